"""A promptable segmenter without a network, and a plane that counts its reads."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import ndimage

from napari_segmate.core.context import Context
from napari_segmate.core.prompts import ObjectPrompts
from napari_segmate.core.types import Embedding, IntBoxYX, MaskResult, Shape2D
from napari_segmate.models.base import ModelInfo


def bilinear(image: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    rows = np.clip(rows, 0, image.shape[-2] - 1)
    columns = np.clip(columns, 0, image.shape[-1] - 1)
    y, x = np.floor(rows).astype(int), np.floor(columns).astype(int)
    y1, x1 = np.minimum(y + 1, image.shape[-2] - 1), np.minimum(x + 1, image.shape[-1] - 1)
    wy, wx = (rows - y)[:, None], columns - x
    top = image[..., y[:, None], x] * (1 - wx) + image[..., y[:, None], x1] * wx
    bottom = image[..., y1[:, None], x] * (1 - wx) + image[..., y1[:, None], x1] * wx
    return top * (1 - wy) + bottom * wy


def _nearest(labels: np.ndarray, y: int, x: int, reach: int = 2) -> int:
    """The blob at a position, or one close by: a frame shown smaller rounds positions."""
    around = labels[max(y - reach, 0) : y + reach + 1, max(x - reach, 0) : x + reach + 1]
    return int(labels[y, x] or around.max())


class FakeSegmenter:
    """Finds the bright blob under a prompt, deterministically.

    Like SAM it fits the longer side of an image to its input size, pads to a square and answers
    with logits of a quarter of that size. Three candidates: the blob, the blob and everything
    touching its outline, a disc round the first point.
    """

    device = "cpu"

    def __init__(self, input_size: int = 64, key: str = "fake@1", stride: int = 2) -> None:
        self.input_size = input_size
        self.key = key
        self.low = input_size // stride
        self.info = ModelInfo("fake", "Fake", "bright blobs", "none", "CC0-1.0", "tests")
        self.encoded: list[np.ndarray] = []
        self.decoded: list[tuple[tuple[ObjectPrompts, ...], bool]] = []

    def _scale(self, shape: Shape2D) -> float:
        return self.low / max(shape)

    def encode(self, image: np.ndarray, context: Context | None = None) -> Embedding:
        (context or Context()).check()
        self.encoded.append(image)
        scale = self._scale(image.shape[:2])
        rows = (np.arange(self.low) + 0.5) / scale - 0.5
        bright = bilinear(image[..., 0].astype(np.float32), rows, rows)
        bright[rows > image.shape[0] - 0.5] = 0
        bright[:, rows > image.shape[1] - 0.5] = 0
        return Embedding({"bright": bright.astype(np.float32)}, image.shape[:2], self.key)

    def decode(
        self,
        embedding: Embedding,
        prompts: Sequence[ObjectPrompts],
        *,
        multimask: bool = True,
        context: Context | None = None,
    ) -> MaskResult:
        self.decoded.append((tuple(prompts), multimask))
        shape = embedding.image_shape
        bright = embedding.arrays["bright"].astype(np.float32) > 127
        masks = np.stack([self._masks(bright, one, shape) for one in prompts])
        scores = np.tile(np.float32([0.7, 0.9, 0.5]), (len(prompts), 1))
        if not multimask:
            masks, scores = masks[:, 1:2], scores[:, 1:2]
        return MaskResult(np.where(masks, 8, -8).astype(np.float32), scores, shape)

    def _masks(self, bright: np.ndarray, one: ObjectPrompts, shape: Shape2D) -> np.ndarray:
        scale = self._scale(shape)
        grid = np.mgrid[: self.low, : self.low]
        found = np.zeros_like(bright) if one.logits is None else one.logits > 0
        discs = np.zeros_like(bright)
        labels, _ = ndimage.label(bright)
        if one.points is not None:
            for at, positive in zip(one.points.points_yx, one.points.positive, strict=True):
                y, x = np.clip(np.rint((at + 0.5) * scale - 0.5).astype(int), 0, self.low - 1)
                disc = (grid[0] - y) ** 2 + (grid[1] - x) ** 2 <= 4
                discs |= disc & positive
                blob = (labels == _nearest(labels, y, x)) & bright
                found = found | blob if positive else found & ~disc
        elif one.box is not None and one.logits is None:
            y0, x0, y1, x1 = (np.array(one.box.box_yx) + 0.5) * scale - 0.5
            inside = (grid[0] >= y0) & (grid[0] <= y1) & (grid[1] >= x0) & (grid[1] <= x1)
            found = bright & inside
        return np.stack([ndimage.binary_dilation(found), found, discs])

    def upscale(self, logits: np.ndarray, image_shape: Shape2D) -> np.ndarray:
        scale = self._scale(image_shape)
        rows = (np.arange(image_shape[0]) + 0.5) * scale - 0.5
        columns = (np.arange(image_shape[1]) + 0.5) * scale - 0.5
        return bilinear(logits, rows, columns).astype(np.float32)

    def mask_input(self, mask: np.ndarray, image_shape: Shape2D) -> np.ndarray:
        scale = self._scale(image_shape)
        rows = (np.arange(self.low) + 0.5) / scale - 0.5
        padded = np.pad(mask, [(0, max(image_shape) - side) for side in image_shape])
        low = bilinear(padded.astype(np.float32), rows, rows)
        return np.where(low > 0.5, 8, -8).astype(np.float32)


class ArrayPlane:
    """A plane over a (H, W) uint8 array."""

    def __init__(self, values: np.ndarray) -> None:
        self.values = values
        self.shape: Shape2D = values.shape
        self.reads: list[IntBoxYX] = []

    @classmethod
    def with_blobs(cls, shape: Shape2D, boxes: Sequence[IntBoxYX]) -> ArrayPlane:
        values = np.full(shape, 20, np.uint8)
        for y0, x0, y1, x1 in boxes:
            values[y0:y1, x0:x1] = 220
        return cls(values)

    def read(self, box_yx: IntBoxYX, shape: Shape2D | None = None) -> np.ndarray:
        self.reads.append(box_yx)
        y0, x0, y1, x1 = box_yx
        part = self.values[y0:y1, x0:x1]
        if shape is not None and shape != part.shape:
            rows = ((np.arange(shape[0]) + 0.5) * part.shape[0] / shape[0]).astype(int)
            columns = ((np.arange(shape[1]) + 0.5) * part.shape[1] / shape[1]).astype(int)
            part = part[np.ix_(rows, columns)]
        return np.repeat(part[..., None], 3, axis=-1)
