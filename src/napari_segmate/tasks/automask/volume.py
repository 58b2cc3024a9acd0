"""All objects of a volume: what a model sees in planes of three directions, gathered in one field.

Each voxel lies in a plane of rows and columns and in two cuts across the planes. The model's dense
maps of all three are averaged: the probability of an object, the distance to its border, and the
direction that leads inwards. Voxels that lead to one place are one object. The idea is that of the
three-dimensional mode of Cellpose (Stringer et al. 2021) and of u-Segment3D (Zhou et al. 2024).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from napari_segmate.core.context import Context
from napari_segmate.core.errors import ModelError, ParameterError
from napari_segmate.core.images.image_source import Contrast, ContrastMode, ImageSource
from napari_segmate.core.images.pictures import as_plane
from napari_segmate.core.images.resample import resample
from napari_segmate.core.labels.enlarge import as_unit
from napari_segmate.core.types import DenseMaps, FloatArray, LabelArray, RGBImage, Shape2D
from napari_segmate.inference.automask.diameter import estimate_diameter
from napari_segmate.inference.embeddings.store import EmbeddingStore
from napari_segmate.models.base import Segmenter
from napari_segmate.tasks.automask.params import Mode, Params
from napari_segmate.tasks.automask.prepare import prepare

__all__ = [
    "PlaneField",
    "Volume",
    "VolumeParams",
    "gathered",
    "run_volume",
    "run_volumes",
    "volume_for",
]

VIEWS_UP_TO = 4.0
"""Planes farther apart than this many pixels are linked instead: cuts show too little there."""
SPARED = 8.0
"""Cuts so many times closer than an object is wide are enough."""


class Volume(StrEnum):
    """How the objects of a stack are found."""

    PLANES = "planes"
    """Each plane on its own, then objects of neighbouring planes linked."""
    VIEWS = "views"
    """Planes of three directions, averaged into one field and gathered in three dimensions."""


def volume_for(anisotropy: float) -> Volume:
    """Return what suits planes that lie so far apart, in pixels.

    Examples
    --------
    >>> str(volume_for(2.0)), str(volume_for(8.0))
    ('views', 'planes')
    """
    near = 1 / VIEWS_UP_TO <= anisotropy <= VIEWS_UP_TO
    return Volume.VIEWS if near else Volume.PLANES


@dataclass(frozen=True)
class VolumeParams:
    """How the field of three views becomes objects.

    Parameters
    ----------
    foreground : float
        Least probability of a voxel of an object, 0 to 1.
    density : float
        Paths that must end in a voxel for it to be the core of an object.
    smoothing : float
        Blur of the density, in pixels: more splits objects less.
    min_volume : int
        Least voxels of an object.
    cut_step : int
        Pixels between cuts; 0 takes what suits the size of objects.
    denoise : float
        Blur of the volume before the model sees it, in pixels; 0 for none.

    Raises
    ------
    ParameterError
        A value out of its range.
    """

    foreground: float = field(
        default=0.5, metadata={"help": "Least probability of a voxel of an object, 0 to 1."}
    )
    density: float = field(
        default=5.0, metadata={"help": "Paths that must end in the core of an object."}
    )
    smoothing: float = field(
        default=1.5, metadata={"help": "Blur of the density in pixels: more splits less."}
    )
    min_volume: int = field(default=60, metadata={"help": "Least voxels of an object."})
    cut_step: int = field(
        default=0, metadata={"help": "Pixels between cuts; 0 takes what suits the objects."}
    )
    denoise: float = field(
        default=1.0, metadata={"help": "Blur before the model sees the volume, in pixels."}
    )

    def __post_init__(self) -> None:
        if not 0 <= self.foreground <= 1:
            raise ParameterError(f"foreground must be 0 to 1, got {self.foreground}")
        for name in ("density", "smoothing", "min_volume", "cut_step", "denoise"):
            if not 0 <= getattr(self, name) < float("inf"):
                raise ParameterError(f"{name} must be 0 or more, got {getattr(self, name)}")


@dataclass(frozen=True, eq=False)
class PlaneField:
    """What a model sees in one plane, at the size of the plane; whatever its dense maps are like.

    Parameters
    ----------
    foreground : (H, W) float32
        Probability of an object, 0 to 1.
    distance : (H, W) float32
        Distance to the border, 0 to 1 where it is deepest.
    direction_yx : (2, H, W) float32
        Where the middle of the object lies: steps of length 1 or less.
    """

    foreground: FloatArray
    distance: FloatArray
    direction_yx: FloatArray

    @classmethod
    def of_maps(cls, maps: DenseMaps, shape: Shape2D) -> PlaneField:
        """Return the field of dense maps; without a flow of theirs, the way up the distance."""
        foreground = _sized(as_unit(maps.foreground), shape)
        distance = _sized(as_unit(maps.depth), shape)
        flow = getattr(maps, "flow_yx", None)
        if flow is not None:
            scale = 127.0 if flow.dtype == np.int8 else 1.0
            parts = [_sized(np.asarray(axis, np.float32) / scale, shape) for axis in flow]
        else:
            centre = _sized(as_unit(maps.centre), shape)
            hill = ndimage.gaussian_filter(distance + CENTRE_WEIGHT * (centre - distance), 1.0)
            parts = [np.asarray(part, np.float32) for part in np.gradient(hill)]
            length = np.maximum(np.hypot(*parts), STEEP)
            parts = [np.asarray(part / length, np.float32) for part in parts]
        return cls(foreground, distance, np.stack(parts).astype(np.float32))


CENTRE_WEIGHT = 0.3
STEEP = 0.02
"""Slope of a hill from which on its direction counts fully."""


def _sized(values: FloatArray, shape: Shape2D) -> FloatArray:
    if values.shape == shape:
        return values
    zoom = [out / size for out, size in zip(shape, values.shape, strict=True)]
    rows = np.clip((np.arange(shape[0]) + 0.5) / zoom[0] - 0.5, 0, values.shape[0] - 1)
    columns = np.clip((np.arange(shape[1]) + 0.5) / zoom[1] - 0.5, 0, values.shape[1] - 1)
    grid = np.meshgrid(rows, columns, indexing="ij")
    return np.asarray(ndimage.map_coordinates(values, grid, order=1), dtype=np.float32)


class Field3D:
    """The average of the fields of planes of three directions.

    Parameters
    ----------
    shape : (Z, Y, X)
        Of the volume.
    """

    def __init__(self, shape: tuple[int, int, int]) -> None:
        self.foreground = np.zeros(shape, np.float32)
        self.distance = np.zeros(shape, np.float32)
        self.direction = np.zeros((3, *shape), np.float32)

    def add(self, axis: int, at: int, seen: PlaneField, share: float) -> None:
        """Add a plane across an axis, which is one of three views, or a part of one."""
        place = (slice(None),) * axis + (at,)
        self.foreground[place] += share * seen.foreground / 3
        self.distance[place] += share * seen.distance / 3
        others = [one for one in range(3) if one != axis]
        for other, part in zip(others, seen.direction_yx, strict=True):
            # Each direction is seen in two of three views.
            self.direction[(other, *place)] += share * part / 2


def run_volume(
    source: ImageSource,
    model: Segmenter,
    params: Params | None = None,
    volume: VolumeParams | None = None,
    *,
    z_axis: int = -1,
    index: tuple[int, ...] | None = None,
    contrast: Contrast | None = None,
    anisotropy: float = 1.0,
    store: EmbeddingStore | None = None,
    context: Context | None = None,
) -> LabelArray:
    """Return the labels of all objects of a volume, found in planes of three directions.

    Parameters
    ----------
    source : ImageSource
        The image. The volume is read into memory, as are about 24 bytes per voxel.
    model : Segmenter
        Has an instance head.
    params : Params, optional
        As for a plane; the diameter matters here.
    volume : VolumeParams, optional
        How the field becomes objects.
    z_axis : int
        Which of `ImageSource.index_axes` leads from plane to plane.
    index : tuple of int, optional
        Position along all index axes, that along `z_axis` aside; the first one by default.
    contrast : Contrast, optional
        The same for all planes; estimated from the stack by default.
    anisotropy : float
        Distance of planes over that of pixels.
    store : EmbeddingStore, optional
        Guards the model.
    context : Context, optional
        Progress in planes, and cancellation.

    Returns
    -------
    (Z, Y, X) int32
        0 is background.

    Raises
    ------
    ModelError
        The model has no instance head.
    ParameterError
        There is no such axis, or an anisotropy that is not above 0.
    """
    params, volume = params or Params(), volume or VolumeParams()
    context, store = context or Context(), store or EmbeddingStore()
    _check(source, model, z_axis, anisotropy, params)
    voxels = _read(source, z_axis, index, contrast, context)
    if volume.denoise:
        voxels = _blurred(voxels, volume.denoise, anisotropy)
    if params.diameter is None:
        params = replace(params, diameter=_diameter(voxels, model, store, context))
    field3d = _seen(voxels, model, params, volume, anisotropy, context)
    context.report(1, 1, "gathering objects")
    return gathered(field3d, volume, anisotropy)


def run_volumes(
    source: ImageSource,
    model: Segmenter,
    params: Params | None = None,
    volume: VolumeParams | None = None,
    *,
    z_axis: int = -1,
    anisotropy: float = 1.0,
    store: EmbeddingStore | None = None,
    context: Context | None = None,
) -> LabelArray:
    """Return the labels of every volume of an image, as those of time points.

    Returns
    -------
    (..., H, W) int32
        In the order of the axes of the image; no two volumes share an id.
    """
    sizes = source.index_shape
    _check(source, model, z_axis, anisotropy, params or Params())
    found = np.zeros((*sizes, *source.shape), np.int32)
    axis = z_axis % len(sizes)
    others = [range(1 if at == axis else size) for at, size in enumerate(sizes)]
    for index in product(*others):
        labels = run_volume(
            source,
            model,
            params,
            volume,
            z_axis=axis,
            index=index,
            anisotropy=anisotropy,
            store=store,
            context=context,
        )
        place: tuple[int | slice, ...] = (*index[:axis], slice(None), *index[axis + 1 :])
        found[place] = np.where(labels > 0, labels + found.max(initial=0), 0)
    return found


def _check(
    source: ImageSource, model: Segmenter, z_axis: int, anisotropy: float, params: Params
) -> None:
    if not model.info.instance_head or params.mode in (Mode.GRID, Mode.REFINED):
        raise ModelError(
            f"three views need the mode 'objects' and a model with an instance head, not "
            f"'{model.info.name}' in mode '{params.mode or 'grid'}'; link planes instead "
            "(--volume planes)"
        )
    if not source.index_shape or not -len(source.index_shape) <= z_axis < len(source.index_shape):
        raise ParameterError(
            f"no axis {z_axis} that leads from plane to plane; the image has "
            f"{len(source.index_shape)} besides rows, columns and channels"
        )
    if not 0 < anisotropy < float("inf"):
        raise ParameterError(f"the anisotropy must be above 0, got {anisotropy}")


def _read(
    source: ImageSource,
    z_axis: int,
    index: tuple[int, ...] | None,
    contrast: Contrast | None,
    context: Context,
) -> RGBImage:
    """Return the volume as the model sees it, (Z, Y, X, 3) uint8."""
    sizes = source.index_shape
    axis = z_axis % len(sizes)
    at = list((0,) * len(sizes) if index is None else index)
    contrast = contrast or source.estimate_contrast(ContrastMode.STACK, tuple(at))
    planes = []
    for number in range(sizes[axis]):
        context.report(number, sizes[axis], "reading")
        at[axis] = number
        planes.append(source.read(tuple(at), contrast, (0, 0, *source.shape)))
    return np.stack(planes)


def _blurred(voxels: RGBImage, sigma: float, anisotropy: float) -> RGBImage:
    """Return a volume with less noise, one colour at a time."""
    sides = (sigma / anisotropy, sigma, sigma)
    first = ndimage.gaussian_filter(voxels[..., 0], sides)
    if (voxels[..., 0] == voxels[..., 1]).all() and (voxels[..., 0] == voxels[..., 2]).all():
        return np.repeat(first[..., None], 3, axis=3)
    others = [ndimage.gaussian_filter(voxels[..., colour], sides) for colour in (1, 2)]
    return np.stack([first, *others], axis=3)


def _diameter(voxels: RGBImage, model: Segmenter, store: EmbeddingStore, context: Context) -> float:
    """Return the typical diameter of objects, from the plane in the middle and its neighbours."""
    middle = len(voxels) // 2
    for number in sorted(range(len(voxels)), key=lambda at: abs(at - middle))[:TRIED]:
        found = estimate_diameter(as_plane(voxels[number]), model, store, context=context)
        if found:
            return float(found)
    return model.info.diameter or USUAL_PX


TRIED = 5
USUAL_PX = 30.0


def _seen(
    voxels: RGBImage,
    model: Segmenter,
    params: Params,
    volume: VolumeParams,
    anisotropy: float,
    context: Context,
) -> Field3D:
    depth, height, width = voxels.shape[:3]
    found = Field3D((depth, height, width))
    step = volume.cut_step or max(1, round((params.diameter or USUAL_PX) / SPARED))
    views = [(0, range(depth)), (1, _spread(height, step)), (2, _spread(width, step))]
    total, done = sum(len(places) for _, places in views), 0
    for axis, places in views:
        before: tuple[int, PlaneField] | None = None
        for at in places:
            context.report(done, total, f"view {axis + 1} of 3")
            seen = _looked_at(np.take(voxels, at, axis), axis, model, params, anisotropy, context)
            for between, one, share in _interpolated(before, (at, seen)):
                found.add(axis, between, one, share)
            before, done = (at, seen), done + 1
    return found


def _spread(length: int, step: int) -> Sequence[int]:
    """Return places along an axis, the first and the last one among them."""
    return sorted({*range(0, length, step), length - 1})


def _interpolated(
    before: tuple[int, PlaneField] | None, now: tuple[int, PlaneField]
) -> Iterator[tuple[int, PlaneField, float]]:
    """Yield which part of two planes belongs to each of those from one to the other."""
    yield (*now, 1.0)
    if before is not None:
        for at in range(before[0] + 1, now[0]):
            share = (at - before[0]) / (now[0] - before[0])
            yield at, before[1], 1 - share
            yield at, now[1], share


def _looked_at(
    image: RGBImage,
    axis: int,
    model: Segmenter,
    params: Params,
    anisotropy: float,
    context: Context,
) -> PlaneField:
    """Return the field of a plane; cuts are shown with pixels as high as they are wide."""
    shape: Shape2D = (image.shape[0], image.shape[1])
    if axis and anisotropy != 1:
        rows = max(1, round(shape[0] * anisotropy))
        image = resample(image, (rows, shape[1]), (0.0, float(shape[0])), (0.0, float(shape[1])))
    inner = Context(cancelled=context.cancelled)
    plane = as_plane(image)
    # Cuts are looked at once: kept, their embeddings would push others out.
    prepared = prepare(plane, model, params, store=EmbeddingStore(0), context=inner)
    assert prepared.maps is not None, "the mode 'objects' has maps"
    return PlaneField.of_maps(prepared.maps, shape)


def gathered(
    seen: Field3D, volume: VolumeParams | None = None, anisotropy: float = 1.0
) -> LabelArray:
    """Return the objects of a field, (Z, Y, X) int32.

    Paths are followed from every voxel inside objects; where many end is the core of an object.
    Then objects grow from their cores over the voxels inside.
    """
    from bioimage_cpp.flow import compute_flow_density
    from bioimage_cpp.segmentation import watershed

    volume = volume or VolumeParams()
    inside = seen.foreground > volume.foreground
    if not inside.any():
        return np.zeros(inside.shape, np.int32)
    flow = seen.direction.copy()
    flow[0] /= anisotropy
    density = compute_flow_density(
        np.ascontiguousarray(flow), inside, n_iter=STEPS, dt=STEP_PX, sigma=None
    )
    sides = np.array([volume.smoothing / anisotropy, volume.smoothing, volume.smoothing])
    blurred = ndimage.gaussian_filter(density, sides)
    cores, _ = ndimage.label((blurred > volume.density) & inside, np.ones((3, 3, 3)))
    hill = np.asarray(-seen.distance, dtype=np.float32)
    labels = watershed(hill, cores.astype(np.int32), mask=inside)
    return _large(labels, volume.min_volume)


STEPS, STEP_PX = 100, 0.3


def _large(labels: npt.NDArray[Any], least: int) -> LabelArray:
    keep = np.bincount(labels.ravel()) >= max(least, 1)
    keep[0] = False
    number = (np.cumsum(keep) * keep).astype(np.int32)
    return np.asarray(number[labels])
