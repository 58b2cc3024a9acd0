"""A picture that a model looks at whole, and prompts as Segment Anything's interfaces give them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_segmate.core.context import Context
from napari_segmate.core.errors import PromptError
from napari_segmate.core.images.resample import resample
from napari_segmate.core.masks.object_masks import instance_from_mask
from napari_segmate.core.prompts import Box, MaskPrompt, ObjectPrompts, Points
from napari_segmate.core.types import BoolArray, FloatArray, Frame, IntBoxYX, RGBImage, Shape2D
from napari_segmate.inference.embeddings.crop_window import zoom_of
from napari_segmate.inference.embeddings.store import EmbeddingStore
from napari_segmate.inference.prompts.decoding import mask_in_frame
from napari_segmate.models.base import Segmenter

__all__ = ["WholeImage", "prompts_of"]

LARGEST = 2
"""Model inputs that the longer side of an enlarged picture may fill."""


class WholeImage:
    """A picture, and a model that answers prompts on it.

    Parameters
    ----------
    image : (H, W, 3) uint8
        The picture.
    model : Segmenter
        Who answers.
    store : EmbeddingStore
        Keeps the embedding, so that the next prompts cost a decode only.
    """

    def __init__(self, image: RGBImage, model: Segmenter, store: EmbeddingStore) -> None:
        self._image, self._model, self._store = image, model, store
        most = max(1.0, LARGEST * model.input_size / max(self.shape))
        zoom = min(zoom_of(self, model, store), most)
        height, width = (max(1, round(length * zoom)) for length in self.shape)
        self._frame = Frame((0, 0, *self.shape), (height, width))

    @property
    def shape(self) -> Shape2D:
        """Height and width of the picture."""
        return self._image.shape[0], self._image.shape[1]

    def read(self, box_yx: IntBoxYX, shape: Shape2D | None = None) -> RGBImage:
        """Return a part of the picture at another size."""
        y0, x0, y1, x1 = box_yx
        part = self._image[y0:y1, x0:x1]
        return part if shape in (None, part.shape[:2]) else resample(part, shape or self.shape)

    def decode(
        self, prompts: Sequence[ObjectPrompts], *, multimask: bool
    ) -> tuple[FloatArray, FloatArray]:
        """Return logits (N, M, H, W) and scores (N, M) of N objects.

        Parameters
        ----------
        prompts : sequence of ObjectPrompts
            In pixels of the picture; logits as `mask_input` gives them, or of an earlier answer.
        multimask : bool
            Three candidates, or one.
        """
        embedding = self._store.of_plane(self, self._frame, self._model)
        shown = [replace(one.in_frame(self._frame), mask=None) for one in prompts]
        with self._store.exclusive(Context()):
            found = self._model.decode(embedding, shown, multimask=multimask)
        return self.upscale(found.logits), found.scores

    def upscale(self, logits: FloatArray) -> FloatArray:
        """Return (..., h, w) low-resolution logits at the size of the picture."""
        large = np.asarray(self._model.upscale(logits, self._frame.shape))
        for axis in (-2, -1):
            large = _shrunk(large, axis, self.shape[axis])
        return large

    def mask_input(self, mask: BoolArray) -> FloatArray:
        """Return an (H, W) mask as low-resolution logits."""
        shown = mask_in_frame(MaskPrompt((0, 0, *self.shape), mask), self._frame)
        logits = np.asarray(self._model.mask_input(shown, self._frame.shape), dtype=np.float32)
        return logits.reshape(logits.shape[-2:])


def _shrunk(values: FloatArray, axis: int, length: int) -> FloatArray:
    """Return values at the middle of `length` pixels along one axis, linear in between."""
    count = values.shape[axis]
    if count == length:
        return values
    at = np.clip((np.arange(length) + 0.5) * count / length - 0.5, 0, count - 1)
    before = np.minimum(at.astype(np.intp), max(count - 2, 0))
    after = np.minimum(before + 1, count - 1)
    shape = [1] * values.ndim
    shape[axis] = length
    share: npt.NDArray[np.float32] = (at - before).astype(np.float32).reshape(shape)
    low, high = np.take(values, before, axis), np.take(values, after, axis)
    shrunk: FloatArray = low + share * (high - low)
    return shrunk


def prompts_of(
    points: tuple[npt.ArrayLike, npt.ArrayLike] | None,
    boxes: npt.ArrayLike | None,
    masks: npt.ArrayLike | None,
    image: WholeImage,
) -> list[ObjectPrompts]:
    """Return what points, boxes and masks say about objects.

    Parameters
    ----------
    points : (coords_xy, labels), optional
        (N, 2) and (N,), or (N, P, 2) and (N, P); labels are 1, 0 or -1 for no point.
    boxes : (N, 4) array_like, optional
        x0, y0, x1, y1.
    masks : (N, H, W) array_like, optional
        Masks of the size of the picture, or low-resolution logits.
    image : WholeImage
        The picture.

    Raises
    ------
    PromptError
        No prompt, or shapes that do not match.
    """
    parts: dict[str, list[Any]] = {}
    if points is not None:
        parts["points"] = _points(*points)
    if boxes is not None:
        parts["box"] = _boxes(boxes)
    if masks is not None:
        parts["mask"], parts["logits"] = _masks(masks, image)
    counts = {name: len(values) for name, values in parts.items()}
    if not counts or not max(counts.values()):
        raise PromptError("no prompt: give points_prompt, boxes_prompt or mask_input")
    if len(set(counts.values())) > 1:
        raise PromptError(f"prompts for different numbers of objects: {counts}")
    objects = [dict(zip(parts, one, strict=True)) for one in zip(*parts.values(), strict=True)]
    return [_located(ObjectPrompts(**one)) for one in objects]


def _located(prompts: ObjectPrompts) -> ObjectPrompts:
    """Return prompts that also say as a box where a mask is."""
    if prompts.mask is None or prompts.box is not None or prompts.points is not None:
        return prompts
    y0, x0, y1, x1 = prompts.mask.box_yx
    return replace(prompts, box=Box((y0 - 0.5, x0 - 0.5, y1 - 0.5, x1 - 0.5)))


def _points(coords_xy: npt.ArrayLike, labels: npt.ArrayLike) -> list[Points]:
    coords = np.asarray(coords_xy, dtype=np.float64)
    values = np.asarray(labels)
    if coords.ndim == 2:
        coords, values = coords[:, None], values[..., None]
    if coords.ndim != 3 or coords.shape[-1] != 2 or values.shape != coords.shape[:2]:
        raise PromptError(
            f"points_prompt is (coords, labels) of shapes (N, 2) and (N,), or (N, P, 2) and "
            f"(N, P), not {np.shape(coords_xy)} and {np.shape(labels)}"
        )
    if not np.isin(values, (-1, 0, 1)).all():
        raise PromptError(f"labels of points are 1, 0 or -1, got {np.unique(values).tolist()}")
    return [
        Points(one[label >= 0][:, ::-1], label[label >= 0] == 1)
        for one, label in zip(coords, values, strict=True)
    ]


def _boxes(boxes_xyxy: npt.ArrayLike) -> list[Box]:
    boxes = np.atleast_2d(np.asarray(boxes_xyxy, dtype=np.float64))
    if boxes.ndim != 2 or boxes.shape[1] != 4:
        raise PromptError(f"boxes_prompt has shape (N, 4), x0 y0 x1 y1, not {np.shape(boxes_xyxy)}")
    return [Box((y0, x0, y1, x1)) for x0, y0, x1, y1 in boxes.tolist()]


def _masks(
    masks: npt.ArrayLike, image: WholeImage
) -> tuple[list[MaskPrompt], list[npt.NDArray[np.float32]]]:
    values = np.asarray(masks)
    if values.ndim == 4 and values.shape[1] == 1:
        values = values[:, 0]
    values = values[None] if values.ndim == 2 else values
    if values.ndim != 3:
        raise PromptError(f"mask_input has shape (N, H, W), not {np.shape(masks)}")
    full = values.shape[1:] == image.shape and values.dtype.kind in "bui"
    if not full and values.dtype.kind != "f":
        raise PromptError(
            f"masks of {values.shape[1:]} pixels for an image of {image.shape}; give masks as "
            "large as the image, or low-resolution logits"
        )
    if full:
        inner = values != 0
        logits = [image.mask_input(one) for one in inner]
    else:
        logits = [one.astype(np.float32) for one in values]
        inner = image.upscale(values.astype(np.float32)) > 0
    rough = [_rough(one) for one in inner]
    return rough, [one.reshape(one.shape[-2:]) for one in logits]


def _rough(mask: npt.NDArray[np.bool_]) -> MaskPrompt:
    instance = instance_from_mask(mask)
    if instance is None:
        raise PromptError("a mask in mask_input is empty; leave it out or mark at least one pixel")
    return MaskPrompt(instance.box_yx, instance.mask)
