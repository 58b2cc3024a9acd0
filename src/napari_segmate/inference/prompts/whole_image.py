"""A picture that a model looks at whole, enlarged where its objects are small."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from napari_segmate.core.context import Context
from napari_segmate.core.images.resample import resample
from napari_segmate.core.prompts import MaskPrompt, ObjectPrompts
from napari_segmate.core.types import BoolArray, FloatArray, Frame, IntBoxYX, RGBImage, Shape2D
from napari_segmate.inference.embeddings.store import EmbeddingStore
from napari_segmate.inference.prompts.candidates import mask_in_frame
from napari_segmate.inference.prompts.zoom import zoom_of
from napari_segmate.models.base import Segmenter

__all__ = ["WholeImage"]

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
