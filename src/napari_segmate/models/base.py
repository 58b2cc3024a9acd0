"""What every model family offers: a description of its models, and a way to load one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from napari_segmate.core.context import Context
from napari_segmate.core.files.weights import WeightsFile
from napari_segmate.core.prompts import ObjectPrompts
from napari_segmate.core.types import DenseMaps, Embedding, FloatArray, MaskResult, RGBImage

__all__ = ["Checkpoint", "ModelFamily", "ModelInfo", "Segmenter"]


@dataclass(frozen=True)
class ModelInfo:
    """One model that a user can choose.

    Parameters
    ----------
    name : str
        What users type and see: ``"vit_b"``.
    title : str
        What the list shows: ``"SAM ViT-B"``.
    description : str
        One line: what it is good at.
    architecture : str
        The family's own name of the network: ``"vit_b"``.
    licence : str
        SPDX identifier of the weights' licence.
    source : str
        Paper or repository.
    weights : WeightsFile, optional
        What to download; None when the weights ship inside the package.
    parameters : int
        Number of parameters, 0 if unknown.
    instance_head : bool
        Can find all objects of an image in one pass, see `Segmenter.instance_maps`.
    diameter : float
        Pixels of the objects that it knows best, when it sees images without resizing them; 0 if
        it does not matter or is not known.
    base : str
        The model that it was trained from, for a model of the user's own.
    path : Path, optional
        The file of a model of the user's own.
    extra : tuple of WeightsFile
        Further files of the model; it is loaded without what they hold when they cannot be had.
    suggested : tuple of (str, float)
        Settings that suit its automatic modes, by name.
    """

    name: str
    title: str
    description: str
    architecture: str
    licence: str
    source: str
    weights: WeightsFile | None = None
    parameters: int = 0
    instance_head: bool = False
    diameter: float = 0.0
    base: str = ""
    path: Path | None = None
    extra: tuple[WeightsFile, ...] = ()
    suggested: tuple[tuple[str, float], ...] = ()

    @property
    def download_size(self) -> str:
        """How much there is to download in all; empty when nothing is, or nobody knows.

        Examples
        --------
        >>> file = WeightsFile("a", "", "", 375_042_383)
        >>> decoder = WeightsFile("b", "", "", about=41_000_000)
        >>> ModelInfo("a", "A", "", "", "", "", file).download_size
        '375 MB'
        >>> ModelInfo("a", "A", "", "", "", "", file, extra=(decoder,)).download_size
        'about 420 MB'
        """
        files = [self.weights, *self.extra] if self.weights is not None else []
        total = sum(file.size or file.about for file in files)
        if not total or not all(file.size or file.about for file in files):
            return ""
        if all(file.size for file in files):
            return _bytes_text(total)
        return f"about {_bytes_text(float(f'{total:.1e}'))}"


def _bytes_text(count: float) -> str:
    return f"{count / 1e9:.2g} GB" if count >= 1e9 else f"{count / 1e6:.0f} MB"


@dataclass(frozen=True)
class Checkpoint:
    """A weights file that was read safely: tensors by name and the file's own metadata."""

    path: Path
    state: Mapping[str, Any]
    metadata: Mapping[str, str]
    sha256: str


class Segmenter(Protocol):
    """A loaded promptable model: encode an image once, then decode prompts fast.

    Safe to use from one thread at a time; `encode` and `decode` of one object are never called
    concurrently by this package.
    """

    @property
    def info(self) -> ModelInfo:
        """Which model this is."""
        ...

    @property
    def key(self) -> str:
        """Name and weights hash, ``"tiny@0123456789ab"``: changes when the weights change."""
        ...

    @property
    def device(self) -> str:
        """Where it runs: ``"cpu"``, ``"cuda"``, ``"mps"``."""
        ...

    @property
    def input_size(self) -> int:
        """Side in pixels of the largest square that is encoded without being shrunk."""
        ...

    def encode(self, image: RGBImage, context: Context = ...) -> Embedding:
        """Return the embedding of an (H, W, 3) uint8 image of any size ≥ 1 x 1."""
        ...

    def decode(
        self,
        embedding: Embedding,
        prompts: Sequence[ObjectPrompts],
        *,
        multimask: bool = True,
        context: Context = ...,
    ) -> MaskResult:
        """Return masks of N objects, one per entry of `prompts` (pixels of the encoded image).

        With `multimask` three candidates per object, otherwise one.
        """
        ...

    def instance_maps(self, embedding: Embedding) -> DenseMaps:
        """Return the maps that tell all objects of the encoded image apart.

        Raises
        ------
        ModelError
            The model has no instance head (`ModelInfo.instance_head`).
        """
        ...

    def upscale(self, logits: FloatArray, image_shape: tuple[int, int]) -> FloatArray:
        """Return (..., h, w) low-resolution logits at the size of the encoded image."""
        ...

    def mask_input(self, mask: Any, image_shape: tuple[int, int]) -> FloatArray:
        """Return (H, W) mask (bool) of the encoded image as low-resolution logits for a prompt."""
        ...


@dataclass(frozen=True)
class ModelFamily:
    """A family of models that one file of `napari_segmate.models` implements.

    Parameters
    ----------
    name : str
        ``"sam"``, ``"tiny"``.
    models : tuple of ModelInfo
        The models it offers by name.
    load : callable
        ``load(info, path, device, fast, context) -> Segmenter``. `path` is the weights file, None
        for embedded weights. `fast` allows lower precision. Imports torch only when called.
    recognise : callable
        ``recognise(checkpoint) -> architecture`` or None when the file is of another family.
    """

    name: str
    models: tuple[ModelInfo, ...]
    load: Callable[[ModelInfo, Path | None, str, bool, Context], Segmenter]
    recognise: Callable[[Checkpoint], str | None]
