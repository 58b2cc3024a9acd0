"""The embedded model: ships inside the package, made for microscopy, answers in milliseconds."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import as_file, files
from pathlib import Path
from threading import RLock
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from napari_segmate.core.context import Context
from napari_segmate.core.errors import ImageError
from napari_segmate.core.prompts import ObjectPrompts
from napari_segmate.core.types import Embedding, FloatArray, MaskResult, RGBImage, Shape2D
from napari_segmate.models._prompts import PromptArrays, batches, prompt_arrays
from napari_segmate.models.base import Checkpoint, ModelFamily, ModelInfo, Segmenter

if TYPE_CHECKING:
    import torch

    from napari_segmate.models._tiny_network import TinyFeatures, TinyNetwork

__all__ = ["FAMILY", "TinySegmenter"]

INPUT_SIZE = 512
STRIDE = 32
BATCH = 8
"""Prompts decoded at a time: larger batches leave the processor's cache."""
SMALLEST = 128
"""Images smaller than this are padded up to it: the coarsest features need some room."""
CONFIDENT = 6.0
"""Logit of a pixel inside a mask prompt."""


class TinySegmenter:
    """The embedded model, or one trained from it.

    Parameters
    ----------
    info : ModelInfo
        Which model.
    network : TinyNetwork
        Ready for inference.
    sha256 : str
        Of the weights file.
    device : str
        Where to run.
    fast : bool
        Allow bfloat16.
    """

    def __init__(
        self, info: ModelInfo, network: TinyNetwork, sha256: str, device: str, fast: bool = False
    ) -> None:
        import torch

        self._info = info
        self._network = network.to(device).to(memory_format=torch.channels_last).eval()
        self._key = f"{info.name}@{sha256[:12]}"
        self._device = device
        self._fast = fast
        # The caller need not care which thread asks.
        self._lock = RLock()

    @property
    def info(self) -> ModelInfo:
        """Which model this is."""
        return self._info

    @property
    def key(self) -> str:
        """Name and weights hash."""
        return self._key

    @property
    def device(self) -> str:
        """Where it runs."""
        return self._device

    @property
    def input_size(self) -> int:
        """Side in pixels of the image that the network was made for."""
        return INPUT_SIZE

    def encode(self, image: RGBImage, context: Context | None = None) -> Embedding:
        """Return the embedding of an image.

        Parameters
        ----------
        image : (H, W, 3) uint8
            Any size from 1 x 1; looked at as it is, without being resized.
        context : Context, optional
            Cancellation.

        Raises
        ------
        ImageError
            Not an RGB image.
        """
        (context or Context()).check()
        if image.ndim != 3 or image.shape[2] != 3 or 0 in image.shape:
            raise ImageError(f"expected (height, width, 3) uint8, got {image.shape}")
        from napari_segmate._torch import inference, on_device_or_cpu, to_array, to_tensor

        padded = _padded(image).transpose(2, 0, 1)[None]

        def run(device: str) -> TinyFeatures:
            self._move(device)
            with inference(device, self._fast):
                import torch

                tensor = to_tensor(padded, device).contiguous(memory_format=torch.channels_last)
                return self._network.encode(tensor)

        with self._lock:
            features = on_device_or_cpu(run, self._device)
        arrays = {
            "embedding": to_array(features.embedding)[0],
            "detail": to_array(features.detail)[0],
            "maps": to_array(features.maps)[0],
        }
        height, width = image.shape[:2]
        return Embedding(arrays, (int(height), int(width)), self._key)

    def decode(
        self,
        embedding: Embedding,
        prompts: Sequence[ObjectPrompts],
        *,
        multimask: bool = True,
        context: Context | None = None,
    ) -> MaskResult:
        """Return masks of N objects; see `napari_segmate.models.base.Segmenter.decode`."""
        context = context or Context()
        low = self._low_shape(embedding.image_shape)
        count = 3 if multimask else 1
        logits = np.empty((len(prompts), count, *low), np.float32)
        scores = np.empty((len(prompts), count), np.float32)
        for numbers in batches(prompts, BATCH):
            context.check()
            arrays = prompt_arrays([prompts[number] for number in numbers])
            logits[numbers], scores[numbers] = self.decode_xy(embedding, arrays, multimask)
        return MaskResult(logits, np.clip(scores, 0, 1), embedding.image_shape)

    def upscale(self, logits: FloatArray, image_shape: Shape2D) -> FloatArray:
        """Return (..., h, w) low-resolution logits at the size of the encoded image."""
        from torch.nn.functional import interpolate

        from napari_segmate._torch import inference, to_array, to_tensor

        flat = np.reshape(logits, (-1, 1, *logits.shape[-2:]))
        with inference("cpu"):
            large = interpolate(
                to_tensor(flat), scale_factor=2.0, mode="bilinear", align_corners=False
            )
        height, width = image_shape
        cropped: FloatArray = to_array(large)[:, 0, :height, :width]
        return cropped.reshape((*logits.shape[:-2], height, width))

    def mask_input(self, mask: npt.NDArray[Any], image_shape: Shape2D) -> FloatArray:
        """Return (H, W) mask of the encoded image as low-resolution logits for a prompt."""
        height, width = self._low_shape(image_shape)
        padded = np.zeros((2 * height, 2 * width), np.float32)
        padded[: image_shape[0], : image_shape[1]] = mask
        inside = padded.reshape(height, 2, width, 2).mean(axis=(1, 3))
        logits: FloatArray = ((inside - 0.5) * 2 * CONFIDENT).astype(np.float32)
        return logits

    def _move(self, device: str) -> None:
        if device != self._device:
            self._network.to(device)
            self._device = device

    def _low_shape(self, image_shape: Shape2D) -> Shape2D:
        height, width = (_padded_length(length) // 2 for length in image_shape)
        return height, width

    def _features(self, embedding: Embedding) -> TinyFeatures:
        from napari_segmate._torch import to_tensor
        from napari_segmate.models._tiny_network import TinyFeatures

        embedded, detail, maps = (
            to_tensor(embedding.arrays[name], self._device)[None]
            for name in ("embedding", "detail", "maps")
        )
        return TinyFeatures(embedded, detail, maps)

    def decode_xy(
        self, embedding: Embedding, prompts: PromptArrays, multimask: bool = True
    ) -> tuple[FloatArray, FloatArray]:
        """Return low-resolution logits (N, M, h, w) and predicted IoU (N, M)."""
        from napari_segmate._torch import inference, to_array, to_tensor

        def tensor(array: npt.NDArray[Any] | None) -> torch.Tensor | None:
            return None if array is None else to_tensor(array, self._device)

        labels = tensor(prompts.labels)
        with self._lock, inference(self._device):
            masks, scores = self._network.decode(
                self._features(embedding),
                points=tensor(prompts.points_xy),
                point_labels=None if labels is None else labels.long(),
                boxes=tensor(prompts.boxes_xyxy),
                mask_input=tensor(prompts.logits),
                multimask=multimask,
            )
        return to_array(masks), to_array(scores)


def _padded_length(length: int) -> int:
    return max(SMALLEST, -(-length // STRIDE) * STRIDE)


def _padded(image: RGBImage) -> RGBImage:
    """Return the image continued by its mirror image to sides that the network can halve."""
    after = [_padded_length(length) - length for length in image.shape[:2]]
    if after == [0, 0]:
        return image
    return np.pad(image, ((0, after[0]), (0, after[1]), (0, 0)), mode="symmetric")


def _load(
    info: ModelInfo, path: Path | None, device: str, fast: bool, context: Context
) -> Segmenter:
    from napari_segmate.models._checkpoint import file_sha256
    from napari_segmate.models._tiny_network import load_tiny

    if path is not None:
        return TinySegmenter(info, load_tiny(path), file_sha256(path), device, fast)
    with as_file(files("napari_segmate") / "weights" / "tiny.safetensors") as embedded:
        return TinySegmenter(info, load_tiny(embedded), file_sha256(embedded), device, fast)


def _recognise(checkpoint: Checkpoint) -> str | None:
    return "tiny" if "config" in checkpoint.metadata and _has_maps(checkpoint) else None


def _has_maps(checkpoint: Checkpoint) -> bool:
    return any(name.startswith("decoder.tokens.") for name in checkpoint.state)


FAMILY = ModelFamily(
    name="tiny",
    models=(
        ModelInfo(
            name="tiny",
            title="SegMate tiny (built in)",
            description="Ships with the plugin; fast on a laptop; cells, nuclei, bacteria",
            architecture="tiny",
            licence="BSD-3-Clause",
            source="https://github.com/napari-segmate/napari-segmate",
            parameters=2_540_000,
        ),
    ),
    load=_load,
    recognise=_recognise,
)
