"""The embedded model: ships inside the package, made for microscopy, answers in milliseconds."""

from __future__ import annotations

import json
from dataclasses import replace
from importlib.resources import as_file, files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from napari_segmate.core.context import Context
from napari_segmate.core.types import DenseMaps, Embedding, FloatArray, RGBImage, Shape2D
from napari_segmate.models._calibration import Calibration
from napari_segmate.models._prompts import PromptArrays
from napari_segmate.models._segmenter import NetworkSegmenter
from napari_segmate.models.base import Checkpoint, ModelFamily, ModelInfo, Segmenter

if TYPE_CHECKING:
    import torch

    from napari_segmate.models._tiny_network import TinyNetwork

__all__ = ["FAMILY", "TinySegmenter", "maps_at_half"]

INPUT_SIZE = 512
STRIDE = 32
SMALLEST = 128
"""Images smaller than this are padded up to it: the coarsest features need some room."""
CENTRE_RADIUS = 4.0
"""Pixels from its predicted centre at which the nearness of a pixel has fallen to 0.6."""
SUGGESTED = (("score", 0.65), ("stability", 0.8))
"""What a mask of a grid of points should reach: at Segment Anything's own thresholds, 0.88 and
0.95, no mask of this network is left."""
ARRAYS = ("embedding", "detail", "maps")


class TinySegmenter(NetworkSegmenter):
    """The embedded model, or one trained from it; looks at images without resizing them."""

    batch = 8
    confident = 6.0
    calibration: Calibration | None = None
    """What predicted IoUs are worth; None takes them as they are."""
    _network: TinyNetwork

    @property
    def input_size(self) -> int:
        """Side in pixels of the image that the network was made for."""
        return INPUT_SIZE

    def instance_maps(self, embedding: Embedding) -> DenseMaps:
        """Return the maps at half the size of the encoded image."""
        from napari_segmate._torch import inference

        with inference("cpu"):
            return maps_at_half(
                self._tensor(embedding.arrays["maps"], "cpu"), embedding.image_shape
            )

    def _arrays(self, image: RGBImage, context: Context) -> dict[str, npt.NDArray[Any]]:
        import torch

        from napari_segmate._torch import to_array

        tensor = self._tensor(_padded(image).transpose(2, 0, 1)[None])
        features = self._network.encode(tensor.contiguous(memory_format=torch.channels_last))
        return {name: to_array(getattr(features, name))[0] for name in ARRAYS}

    def _masks(
        self, embedding: Embedding, prompts: PromptArrays, multimask: bool
    ) -> tuple[torch.Tensor, torch.Tensor]:
        from napari_segmate.models._tiny_network import TinyFeatures

        def tensor(array: npt.NDArray[Any] | None) -> torch.Tensor | None:
            return None if array is None else self._tensor(array)

        labels = tensor(prompts.labels)
        return self._network.decode(
            TinyFeatures(*(self._tensor(embedding.arrays[name])[None] for name in ARRAYS)),
            points=tensor(prompts.points_xy),
            point_labels=None if labels is None else labels.long(),
            boxes=tensor(prompts.boxes_xyxy),
            mask_input=tensor(prompts.logits),
            multimask=multimask,
        )

    def _expected(self, scores: FloatArray, logits: FloatArray, again: bool) -> FloatArray:
        if self.calibration is None:
            return scores
        return self.calibration.expected(scores, logits, again)

    def _low_shape(self, image_shape: Shape2D) -> Shape2D:
        height, width = (_padded_length(length) // 2 for length in image_shape)
        return height, width

    def _large(self, logits: torch.Tensor, image_shape: Shape2D) -> torch.Tensor:
        from torch.nn.functional import interpolate

        large = interpolate(logits, scale_factor=2.0, mode="bilinear", align_corners=False)
        return large[..., : image_shape[0], : image_shape[1]]

    def _shares(self, mask: npt.NDArray[Any], image_shape: Shape2D) -> FloatArray:
        height, width = self._low_shape(image_shape)
        padded = np.zeros((2 * height, 2 * width), np.float32)
        padded[: image_shape[0], : image_shape[1]] = mask
        shares: FloatArray = padded.reshape(height, 2, width, 2).mean(axis=(1, 3))
        return shares


def maps_at_half(maps: torch.Tensor, image_shape: Shape2D) -> DenseMaps:
    """Return the network's maps (C, h, w), a quarter of the image in size, at half of it."""
    import torch
    from torch.nn.functional import interpolate

    from napari_segmate._torch import to_array
    from napari_segmate.models._tiny_network import COARSE_CHANNELS, OFFSET_UNIT, flow_maps

    height, width = -(-image_shape[0] // 2), -(-image_shape[1] // 2)
    coarse = maps[None, :COARSE_CHANNELS]
    large = interpolate(coarse, scale_factor=2.0, mode="bilinear", align_corners=False)
    large = large[0, :, :height, :width]
    off_centre = (large[2:4] * OFFSET_UNIT).square().sum(0)
    near = to_array(torch.exp(-off_centre / (2 * CENTRE_RADIUS**2)))
    fine = flow_maps(maps)
    shown = large if fine is None else fine[:, :height, :width]
    likely, depth = to_array(shown[0].sigmoid()), to_array(shown[1].clamp(0, 1))
    flow = None if fine is None else to_array(shown[2:4].clamp(-1, 1))
    return DenseMaps(likely, depth, near, image_shape, flow, (2.0, 2.0))


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
        info = replace(info, suggested=info.suggested or SUGGESTED)
        return TinySegmenter(info, load_tiny(path), file_sha256(path), device, fast)
    weights = files("napari_segmate") / "weights"
    with as_file(weights / "tiny.safetensors") as embedded:
        model = TinySegmenter(info, load_tiny(embedded), file_sha256(embedded), device, fast)
        facts = json.loads((weights / "tiny.json").read_text())
        if facts["sha256"] == file_sha256(embedded):
            model.calibration = Calibration.from_facts(facts)
        return model


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
            instance_head=True,
            # Training shows most objects at 30 pixels; enlarged they came out better, though.
            diameter=46.0,
            suggested=SUGGESTED,
        ),
    ),
    load=_load,
    recognise=_recognise,
)
