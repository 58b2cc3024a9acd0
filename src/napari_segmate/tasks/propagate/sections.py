"""Cuts across the planes of a stack: how an object goes on above and below a known plane.

The model is asked for the object in cuts along its rows and its columns. How wide it is there, from
plane to plane, says how the known mask grows, shrinks and moves, and where it ends.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from napari_segmate.core.context import Context
from napari_segmate.core.images.pictures import as_plane
from napari_segmate.core.labels.interpolate import signed_distance
from napari_segmate.core.masks.object_masks import box_of, paste
from napari_segmate.core.prompts import Box, ObjectPrompts, Points
from napari_segmate.core.types import BoolArray, FloatArray
from napari_segmate.inference.embeddings.store import EmbeddingStore
from napari_segmate.inference.prompts.predict import predict
from napari_segmate.inference.prompts.request import MaskOptions, ObjectResult, Request
from napari_segmate.models.base import Segmenter
from napari_segmate.tasks.propagate.planes import resized

__all__ = ["Shape3D", "shape_from_sections"]

OFFSETS = (-0.25, 0.0, 0.25)
"""Where the cuts lie: from the middle of the object, in parts of its height or width."""
NARROW = 6
"""A line of fewer pixels is clicked once, in its middle."""
LEAST_SIDE = 0.4
"""Least width over height of an expected shape, as compared to the known one, and the reverse."""

Numbers = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Shape3D:
    """The expected shape of an object on the planes around a known one.

    Parameters
    ----------
    distances : (n, H, W) float32
        Signed distances to the expected outline on each plane, above 0 inside.
    trust : float
        How well the cuts agree with the known mask, 0 to 1; 0 where none could be made.
    """

    distances: FloatArray
    trust: float


@dataclass(frozen=True, eq=False)
class _Cut:
    """How wide an object is on each plane along one cut, over its known width, and how it moves."""

    width: Numbers
    shift: Numbers
    weight: float


def shape_from_sections(
    block: FloatArray,
    mask: BoolArray,
    known: int,
    anisotropy: float,
    model: Segmenter,
    store: EmbeddingStore,
    context: Context,
) -> Shape3D:
    """Return the shape that cuts across the planes show.

    Parameters
    ----------
    block : (n, H, W) float32
        Grey planes round the object, 0 to 1.
    mask : (H, W) bool
        The object where it is known.
    known : int
        The plane of the block that is.
    anisotropy : float
        Distance of planes over that of pixels.
    model : Segmenter
        Who is asked.
    store : EmbeddingStore
        Guards the model; cuts are not kept.
    context : Context
        Cancellation.
    """
    ask = _Asker(block, mask, known, anisotropy, model, store, context)
    along_x = [cut for cut in map(ask.row, ask.rows()) if cut is not None]
    along_y = [cut for cut in map(ask.column, ask.columns()) if cut is not None]
    if not along_x and not along_y:
        return unknown_shape(mask, known, len(block))
    width_x, shift_x, trust_x = _joined(along_x or along_y)
    width_y, shift_y, trust_y = _joined(along_y or along_x)
    if not along_x or not along_y:
        shift_x, shift_y = (shift_x, 0 * shift_x) if along_x else (0 * shift_y, shift_y)
    distances = _scaled(mask, known, (width_y, width_x), (shift_y, shift_x))
    return Shape3D(distances, min(trust_x, trust_y))


def unknown_shape(mask: BoolArray, known: int, count: int) -> Shape3D:
    """Return the known shape on all planes, which nothing speaks for."""
    same = np.repeat(signed_distance(mask)[None].astype(np.float32), count, axis=0)
    return Shape3D(same, 0.0)


class _Asker:
    """Asks the model for an object in cuts across a block."""

    def __init__(
        self,
        block: FloatArray,
        mask: BoolArray,
        known: int,
        anisotropy: float,
        model: Segmenter,
        store: EmbeddingStore,
        context: Context,
    ) -> None:
        self._block, self._mask, self._known = block, mask, known
        self._model, self._store, self._context = model, store, context
        self._shown = max(1, round(len(block) * anisotropy))
        self._diameter = 2 * float(np.sqrt(np.count_nonzero(mask) / np.pi))
        box = box_of(mask)
        assert box is not None, "known objects have pixels"
        self._box = box
        depth = ndimage.distance_transform_edt(np.pad(mask, 1))[1:-1, 1:-1]
        self._middle = np.unravel_index(int(depth.argmax()), depth.shape)

    def rows(self) -> Iterator[int]:
        return self._places(int(self._middle[0]), self._box[0], self._box[2])

    def columns(self) -> Iterator[int]:
        return self._places(int(self._middle[1]), self._box[1], self._box[3])

    def _places(self, middle: int, low: int, high: int) -> Iterator[int]:
        places = {min(max(middle + round(part * (high - low)), low), high - 1) for part in OFFSETS}
        return iter(sorted(places))

    def row(self, at: int) -> _Cut | None:
        return self._cut(self._block[:, at, :], self._mask[at])

    def column(self, at: int) -> _Cut | None:
        return self._cut(self._block[:, :, at], self._mask[:, at])

    def _cut(self, section: FloatArray, line: BoolArray) -> _Cut | None:
        line = _longest(line)
        if not line.any():
            return None
        image = resized(section, self._shown)
        plane_px = self._shown / len(section)
        row = (self._known + 0.5) * plane_px - 0.5
        found = _best(self._answers(image, line, row), line, row, image.shape[:2])
        if found is None:
            return None
        mask, agreement = found
        centres = (np.arange(len(section)) + 0.5) * plane_px - 0.5
        on_planes = mask[np.clip(np.rint(centres).astype(int), 0, len(mask) - 1)]
        return _measured(_connected(on_planes, line, self._known), line, agreement)

    def _answers(
        self, image: npt.NDArray[np.uint8], line: BoolArray, row: float
    ) -> list[ObjectResult]:
        pixels = np.flatnonzero(line)
        first, last, width = pixels[0], pixels[-1], len(pixels)
        middle = (first + last) / 2
        row = min(max(row, 0.0), len(image) - 1.0)
        places = [middle] if width <= NARROW else [middle, middle - width / 4, middle + width / 4]
        one = Points(np.array([[row, middle]]))
        prompts = [ObjectPrompts(points=one)]
        if len(places) > 1:
            prompts.append(ObjectPrompts(points=Points(np.array([[row, at] for at in places]))))
        square = _square(row, width, first, last, image.shape[:2])
        if square is not None:
            prompts.append(ObjectPrompts(points=one, box=square))
        plane = as_plane(image)
        options = MaskOptions(diameter=self._diameter)
        request = Request(0, plane, tuple(prompts), options=options)
        # Cuts are seen once: kept, they would push the embeddings of planes out.
        store = EmbeddingStore(memory_bytes=0)
        with self._store.exclusive(self._context):
            return list(predict(request, self._model, store, self._context).objects)


def _square(row: float, width: int, first: int, last: int, shape: tuple[int, ...]) -> Box | None:
    top, bottom = max(row - width / 2, -0.5), min(row + width / 2, shape[0] - 0.5)
    if bottom - top < 1 or last - first + 1 < 1:
        return None
    return Box((top, first - 0.5, bottom, last + 0.5))


def _longest(line: BoolArray) -> BoolArray:
    pieces, count = ndimage.label(line)
    if count < 2:
        return line
    return np.asarray(pieces == np.bincount(pieces[pieces > 0]).argmax(), dtype=bool)


def _best(
    results: list[ObjectResult], line: BoolArray, row: float, shape: tuple[int, int]
) -> tuple[BoolArray, float] | None:
    """Return the mask that agrees best with the known line, and how well."""
    best: tuple[BoolArray, float] | None = None
    at = min(max(round(row), 0), shape[0] - 1)
    for candidate in (one for result in results for one in result.candidates):
        mask = paste(candidate, shape)
        union = np.count_nonzero(mask[at] | line)
        agreement = np.count_nonzero(mask[at] & line) / union * (0.5 + candidate.score / 2)
        if best is None or agreement > best[1]:
            best = mask, float(agreement)
    return best


def _connected(mask: BoolArray, line: BoolArray, known: int) -> BoolArray:
    """Return the part of a cut that hangs together with the known line."""
    joined = mask.copy()
    joined[known] = line
    pieces, _ = ndimage.label(joined, np.ones((3, 3)))
    wanted = pieces[known][line]
    return np.asarray(pieces == wanted[0], dtype=bool)


def _measured(mask: BoolArray, line: BoolArray, agreement: float) -> _Cut:
    place = np.arange(mask.shape[1])
    count = mask.sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        centre = (mask * place).sum(axis=1) / count
    return _Cut(count / np.count_nonzero(line), centre - place[line].mean(), agreement)


def _joined(cuts: list[_Cut]) -> tuple[Numbers, Numbers, float]:
    """Return the mean width and shift of cuts along one direction, and how sure they are."""
    weight = np.array([cut.weight for cut in cuts])[:, None]
    width = np.stack([cut.width for cut in cuts])
    shift = np.stack([cut.shift for cut in cuts])
    there = np.isfinite(shift) * weight
    moved = (np.nan_to_num(shift) * there).sum(axis=0) / np.maximum(there.sum(axis=0), 1e-9)
    total = max(float(weight.sum()), 1e-9)
    return (width * weight).sum(axis=0) / total, moved, float(weight.mean())


def _scaled(
    mask: BoolArray,
    known: int,
    width_yx: tuple[Numbers, Numbers],
    shift_yx: tuple[Numbers, Numbers],
) -> FloatArray:
    """Return the distances of the known shape, made as wide and moved as the cuts say."""
    own = signed_distance(mask)
    centre = np.array(ndimage.center_of_mass(mask))
    found = np.empty((len(width_yx[0]), *mask.shape), np.float32)
    for plane in range(len(found)):
        tall, wide = float(width_yx[0][plane]), float(width_yx[1][plane])
        if plane == known:
            found[plane] = own
        elif max(tall, wide) <= 0:
            found[plane] = -own.max()
        else:
            tall, wide = max(tall, LEAST_SIDE * wide), max(wide, LEAST_SIDE * tall)
            shift = np.array([shift_yx[0][plane], shift_yx[1][plane]])
            found[plane] = _stretched(own, centre, np.array([tall, wide]), shift)
    return found


def _stretched(own: Numbers, centre: Numbers, sides: Numbers, shift: Numbers) -> Numbers:
    offset = centre - (centre + shift) / sides
    moved = ndimage.affine_transform(own, 1 / sides, offset, order=1, mode="nearest")
    return np.asarray(moved * np.sqrt(sides.prod()), dtype=np.float64)
