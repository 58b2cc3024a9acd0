"""The voxels round an object, and what they say about each pixel of the planes there."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from napari_segmate.core.context import Context
from napari_segmate.core.labels.interpolate import mix_distances, signed_distance
from napari_segmate.core.masks.object_masks import crop
from napari_segmate.core.numbers.metrics import mask_iou
from napari_segmate.core.types import BoolArray, FloatArray, Instance, IntBoxYX, Shape2D
from napari_segmate.inference.embeddings.store import EmbeddingStore
from napari_segmate.models.base import Segmenter
from napari_segmate.tasks.propagate.appearance import Appearance, appearance_of, features_of
from napari_segmate.tasks.propagate.params import Params
from napari_segmate.tasks.propagate.planes import StackPlanes
from napari_segmate.tasks.propagate.sections import Shape3D, shape_from_sections, unknown_shape

__all__ = ["Neighbourhood", "open_neighbourhood"]

MARGIN, LEAST_MARGIN = 0.8, 8
"""Room round an object, in parts of its size, and in pixels."""
DEPTH = 2.0
"""Planes looked at on each side: so many times the size of the object."""
FEWEST_PLANES = 3
SOFT = 0.2
"""Part of the size of an object within which its outline is unsure."""
LARGEST = 1.5
"""Largest evidence of a shape."""
UNSURE, SURE = 0.3, 0.6
"""Cuts that agree this well with the known mask count for nothing, and fully."""
UNTOLD = 2.0
"""Weight that the shape gains where intensities say nothing."""
BLUR_PX = 0.7
"""Blur of the evidence: smooths outlines."""

Numbers = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Neighbourhood:
    """What is known about the planes round one on which an object is known.

    Parameters
    ----------
    origin : int
        The plane on which the object is known.
    first : int
        First plane of the block.
    box_yx : (y0, x0, y1, x1)
        Part of the plane that the block covers.
    shape : Shape3D
        The expected shape.
    appearance : Appearance
        The evidence of intensities.
    area : int
        Pixels of the known mask.
    """

    origin: int
    first: int
    box_yx: IntBoxYX
    shape: Shape3D
    appearance: Appearance
    area: int

    def covers(self, plane: int, mask: Instance, plane_shape: Shape2D) -> bool:
        """Tell whether a plane lies in the block, and a mask well inside of it."""
        if not 0 <= plane - self.first < len(self.shape.distances):
            return False
        inner = [
            low <= edge if low == 0 else low < edge
            for low, edge in zip(self.box_yx[:2], mask.box_yx[:2], strict=True)
        ]
        outer = [
            edge <= high if high == length else edge < high
            for high, edge, length in zip(
                self.box_yx[2:], mask.box_yx[2:], plane_shape, strict=True
            )
        ]
        return all(inner) and all(outer)

    @property
    def trust(self) -> float:
        """How well intensities tell the object apart, 0 to 1."""
        return self.appearance.trust

    def crop(self, mask: Instance) -> BoolArray:
        """Return a mask as the block shows it."""
        return crop(mask.mask, mask.box_yx, self.box_yx)

    def expected(self, plane: int, last: BoolArray, params: Params) -> Numbers:
        """Return the evidence that the shape gives, -1.5 to 1.5."""
        width = max(1.5, SOFT * float(np.sqrt(self.area)))
        seen = np.clip(self.shape.distances[plane - self.first] / width, -LARGEST, LARGEST)
        before = np.clip(signed_distance(last) / width, -LARGEST, LARGEST)
        sure = float(np.clip((self.shape.trust - UNSURE) / (SURE - UNSURE), 0, 1))
        memory = params.memory + (1 - params.memory) * (1 - sure)
        return np.asarray((1 - memory) * seen + memory * before)

    def evidence(
        self, plane: int, expected: Numbers, drawn: BoolArray | None, params: Params
    ) -> Numbers:
        """Return the evidence for each pixel of the block on a plane: above 0 is inside.

        Parameters
        ----------
        plane : int
            Which one.
        expected : (H, W) float
            See `expected`.
        drawn : (H, W) bool, optional
            What the model draws there.
        params : Params
            Weights.
        """
        trust = self.trust
        total = trust * self.appearance.evidence[plane - self.first]
        total = total + (params.shape_weight + UNTOLD * (1 - trust)) * expected
        if drawn is not None and drawn.any():
            inside = expected > 0
            agreement = mask_iou(inside, drawn)
            width = max(1.5, SOFT * float(np.sqrt(self.area)))
            shown = np.clip(signed_distance(drawn) / width, -1, 1)
            total = total + params.model_weight * (1 - trust) * agreement * shown
        return np.asarray(ndimage.gaussian_filter(total, BLUR_PX), dtype=np.float64)


def open_neighbourhood(
    planes: StackPlanes,
    origin: int,
    mask: Instance,
    model: Segmenter,
    store: EmbeddingStore,
    params: Params,
    context: Context,
    toward: tuple[int, Instance] | None = None,
) -> Neighbourhood:
    """Return what the planes round a known one say.

    Parameters
    ----------
    planes : StackPlanes
        The stack.
    origin : int
        The plane on which the object is known.
    mask : Instance
        The object there.
    model : Segmenter
        Asked for the object in cuts across the planes.
    store : EmbeddingStore
        Guards the model.
    params : Params
        How far to look.
    context : Context
        Cancellation.
    toward : (int, Instance), optional
        Another plane on which the object is known, and its mask there.
    """
    box = _box(mask, toward, planes.shape)
    first, end = _span(planes, origin, mask, params, toward)
    block = planes.block(first, end, box)
    inside = crop(mask.mask, mask.box_yx, box)
    known = origin - first
    look = _Sections(planes, model, store, params, context)
    if toward is None:
        shape = look.shape(block, inside, known)
    else:
        shape = look.between((origin, mask), toward, box, range(first, end))
    diameter = 2 * float(np.sqrt(mask.area / np.pi))
    features = features_of(block, diameter, planes.anisotropy)
    appearance = appearance_of(features, shape.distances, known, inside)
    return Neighbourhood(origin, first, box, shape, appearance, mask.area)


def _box(mask: Instance, toward: tuple[int, Instance] | None, shape: Shape2D) -> IntBoxYX:
    """Return the part of a plane to look at."""
    boxes = np.array([mask.box_yx] + ([] if toward is None else [toward[1].box_yx]))
    low, high = boxes[:, :2].min(axis=0), boxes[:, 2:].max(axis=0)
    size = max(mask.box_yx[2] - mask.box_yx[0], mask.box_yx[3] - mask.box_yx[1])
    room = max(LEAST_MARGIN, round(MARGIN * size))
    y0, x0 = np.maximum(low - room, 0).tolist()
    y1, x1 = np.minimum(high + room, shape).tolist()
    return y0, x0, y1, x1


def _span(
    planes: StackPlanes,
    origin: int,
    mask: Instance,
    params: Params,
    toward: tuple[int, Instance] | None,
) -> tuple[int, int]:
    """Return first plane and end of the block."""
    size = max(mask.box_yx[2] - mask.box_yx[0], mask.box_yx[3] - mask.box_yx[1])
    depth = min(max(FEWEST_PLANES, round(DEPTH * size / planes.anisotropy)), params.reach)
    first, end = max(origin - depth, 0), min(origin + depth + 1, len(planes))
    if toward is not None:
        # Only one way is gone from here.
        if toward[0] > origin:
            first, end = max(origin - 1, 0), min(end, toward[0] + 1)
        else:
            first, end = max(first, toward[0]), min(origin + 2, len(planes))
    return first, end


@dataclass(frozen=True, eq=False)
class _Sections:
    """Who is asked for shapes in cuts across the planes."""

    planes: StackPlanes
    model: Segmenter
    store: EmbeddingStore
    params: Params
    context: Context

    def shape(self, block: FloatArray, inside: BoolArray, known: int) -> Shape3D:
        """Return the shape of an object that is known on a plane of a block."""
        anisotropy = self.planes.anisotropy
        wanted = self.params.sections and anisotropy <= self.params.most_anisotropy
        if not wanted or len(block) == 1:
            return unknown_shape(inside, known, len(block))
        return shape_from_sections(
            block, inside, known, anisotropy, self.model, self.store, self.context
        )

    def between(
        self,
        one: tuple[int, Instance],
        other: tuple[int, Instance],
        box: IntBoxYX,
        wanted: range,
    ) -> Shape3D:
        """Return the shape of an object that is known on two planes, on the planes `wanted`.

        It is the shape that cuts through the larger mask show, changed by and by so that it is the
        smaller mask where that is known. Cuts that do not agree with the larger mask count less
        than the interpolation of the two.
        """
        (large, mask), (small, beyond) = sorted((one, other), key=lambda at: (-at[1].area, at[0]))
        inside, outer = (crop(at.mask, at.box_yx, box) for at in (mask, beyond))
        first, end = _span(self.planes, large, mask, self.params, None)
        first, end = min(first, small), max(end, small + 1)
        seen = self.shape(self.planes.block(first, end, box), inside, large - first)
        sure = float(np.clip((seen.trust - UNSURE) / (SURE - UNSURE), 0, 1))
        change = signed_distance(outer) - seen.distances[small - first]
        found = np.empty((len(wanted), *inside.shape), np.float32)
        for number, plane in enumerate(wanted):
            share = min(max((plane - large) / (small - large), 0.0), 1.0)
            drawn = mix_distances(inside, outer, share)
            if first <= plane < end:
                changed = seen.distances[plane - first] + share * change
                drawn = sure * changed + (1 - sure) * drawn
            found[number] = drawn
        return Shape3D(found, 1.0)
