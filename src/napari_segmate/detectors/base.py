"""What every detector offers: a description, a way to load it, and boxes for words."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from napari_segmate.core.context import Context
from napari_segmate.core.files.weights import WeightsFile
from napari_segmate.core.text.detections import Detections
from napari_segmate.core.types import BoxYX, RGBImage

__all__ = ["DETAIL", "LONGEST", "Detector", "DetectorFamily", "DetectorInfo", "PatternDetector"]

DETAIL = 800
"""Shorter side in pixels that detectors were trained at."""
LONGEST = 5 / 3
"""Longer side that they make of an image at most, compared with the shorter one."""


@dataclass(frozen=True)
class DetectorInfo:
    """One detector that a user can choose.

    Parameters
    ----------
    name, title, description : str
        What users type, what the list shows, and what it is good at.
    licence : str
        SPDX identifier of the weights' licence.
    repository, revision : str
        Where the files are: on huggingface.co, and which version of them.
    files : tuple of str
        Their names; none if the repository itself tells which they are.
    weights : tuple of WeightsFile
        Those whose address and digest are known without asking the repository.
    size_mb : int
        How large they are together.
    extra : str
        Extra of this package that installs what it needs.
    examples : bool
        Can look for more of what is in a box.
    masks : bool
        Draws the outline of what is in each box, too.
    path : Path, optional
        Where it lies, for one of the user's; None for those of the cache folder.
    """

    name: str
    title: str
    description: str
    licence: str
    repository: str
    revision: str = "main"
    files: tuple[str, ...] = ()
    weights: tuple[WeightsFile, ...] = ()
    size_mb: int = 0
    extra: str = "text"
    examples: bool = False
    masks: bool = False
    path: Path | None = None


class Detector(Protocol):
    """A loaded detector; safe to use from one thread at a time."""

    @property
    def info(self) -> DetectorInfo:
        """Which detector this is."""
        ...

    def detect(
        self,
        image: RGBImage,
        phrases: Sequence[str],
        *,
        detail: int = ...,
        context: Context = ...,
    ) -> Detections:
        """Return all boxes of an (H, W, 3) uint8 image and their scores; no threshold applied."""
        ...

    def detect_similar(
        self, image: RGBImage, box_yx: BoxYX, phrase: str, *, context: Context = ...
    ) -> Detections:
        """Return what resembles the content of a box, as boxes of one phrase.

        Raises
        ------
        ModelError
            The detector only understands words (`DetectorInfo.examples`).
        """
        ...


@runtime_checkable
class PatternDetector(Protocol):
    """A detector that takes what it learns from an example to other images."""

    def encode_pattern(self, image: RGBImage, box_yx: BoxYX, *, context: Context = ...) -> Any:
        """Return what the content of a box looks like, for `detect_pattern`.

        Raises
        ------
        PromptError
            The box has no area, or lies outside the image.
        """
        ...

    def detect_pattern(
        self, image: RGBImage, pattern: Any, phrase: str, *, context: Context = ...
    ) -> Detections:
        """Return what resembles a pattern, as boxes of one phrase."""
        ...


def _nothing(path: Path) -> bool:
    return False


@dataclass(frozen=True)
class DetectorFamily:
    """Detectors that one file of `napari_segmate.detectors` implements.

    Parameters
    ----------
    name : str
        ``"transformers"``.
    detectors : tuple of DetectorInfo
        Those it offers by name.
    check : callable
        Raises `MissingExtraError` or `ModelError` when what it needs is not installed, or is known
        to compute wrong results; imports nothing heavy.
    load : callable
        ``load(info, folder, device) -> Detector``; imports torch only when called. A detector of
        the user's may be a single file.
    recognise : callable
        Tells whether a folder or a file of the user's is for this family; looks at names and at
        ``config.json`` only.
    examples, masks : bool
        All of them can look for more of what is in a box; draw outlines.
    """

    name: str
    detectors: tuple[DetectorInfo, ...]
    check: Callable[[], None]
    load: Callable[[DetectorInfo, Path, str], Detector]
    recognise: Callable[[Path], bool] = _nothing
    examples: bool = False
    masks: bool = False
