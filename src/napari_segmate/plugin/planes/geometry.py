"""Where a layer lies in the world, as one value that new layers are given."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pint
from napari.layers import Layer
from napari.utils.transforms import Affine

__all__ = ["Geometry", "micrometres_per_pixel", "unit_factors"]

Units = Sequence[pint.Unit]
Matrix = npt.NDArray[np.float64]


def unit_factors(source: Units, target: Units | None) -> npt.NDArray[np.float64]:
    """Return how many `target` units one `source` unit is, per axis.

    Trailing axes correspond. Where the units cannot be compared (none, or a length against pixels)
    the factor is 1, which is also how napari draws such layers.

    Examples
    --------
    >>> registry = pint.get_application_registry()
    >>> unit_factors([registry.um], [registry.s, registry.nm]).round(6).tolist()
    [1000.0]
    """
    if target is None or len(target) < len(source):
        return np.ones(len(source))
    trailing = target[len(target) - len(source) :]
    return np.array([_factor(a, b) for a, b in zip(source, trailing, strict=True)])


def micrometres_per_pixel(layer: Layer | None) -> float:
    """Return how many micrometres a pixel of a plane of a layer is wide, 0 when it does not say.

    Examples
    --------
    >>> from napari.layers import Image
    >>> image = Image(np.zeros((4, 5)), scale=(500, 500), units="nm")
    >>> micrometres_per_pixel(image), micrometres_per_pixel(Image(np.zeros((4, 5)), scale=(2, 2)))
    (0.5, 0.0)
    """
    if layer is None:
        return 0.0
    registry: Any = pint.get_application_registry()  # type: ignore[no-untyped-call]
    if not registry.Quantity(1.0, str(layer.units[-1])).check("[length]"):
        return 0.0
    factors = unit_factors(layer.units[-2:], (registry.um, registry.um))
    return float(np.mean(np.abs(layer.scale[-2:]) * factors))


def _factor(source: pint.Unit, target: pint.Unit) -> float:
    registry: Any = pint.get_application_registry()  # type: ignore[no-untyped-call]
    try:
        return float(registry.Quantity(1.0, str(source)).to(str(target)).magnitude)
    except pint.DimensionalityError:
        return 1.0


@dataclass(frozen=True, eq=False)
class Geometry:
    """Everything that says where the pixels of a layer lie: transform, units and axis labels.

    World coordinates are ``affine(rotate @ shear @ scale @ pixel + translate)``, in `units`.

    Examples
    --------
    >>> from napari.layers import Image
    >>> image = Image(np.zeros((4, 5)), scale=(2, 2), translate=(10, 0))
    >>> Geometry.of(image).shifted((1, 0)).translate.tolist()
    [12.0, 0.0]
    """

    scale: Matrix
    translate: Matrix
    rotate: Matrix
    shear: Matrix
    affine: Matrix
    units: tuple[pint.Unit, ...]
    axis_labels: tuple[str, ...]

    @classmethod
    def of(cls, layer: Layer) -> Geometry:
        """Return the geometry of a layer."""
        return cls(
            np.asarray(layer.scale, dtype=np.float64),
            np.asarray(layer.translate, dtype=np.float64),
            np.asarray(layer.rotate, dtype=np.float64),
            np.asarray(layer.shear, dtype=np.float64),
            np.asarray(layer.affine.affine_matrix, dtype=np.float64),
            tuple(layer.units),
            tuple(layer.axis_labels),
        )

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.scale)

    @property
    def linear(self) -> Matrix:
        """(D, D) matrix ``rotate @ shear @ scale``."""
        affine = Affine(scale=self.scale, rotate=self.rotate, shear=self.shear, ndim=self.ndim)
        return np.asarray(affine.linear_matrix, dtype=np.float64)

    @property
    def matrix(self) -> Matrix:
        """(D + 1, D + 1) matrix from pixels to the layer's own world units."""
        inner = np.eye(self.ndim + 1)
        inner[:-1, :-1] = self.linear
        inner[:-1, -1] = self.translate
        return np.asarray(self.affine @ inner, dtype=np.float64)

    def matrix_in(self, units: Units | None) -> Matrix:
        """Return `matrix` with the world in `units` (None: the layer's own)."""
        return _diagonal(unit_factors(self.units, units)) @ self.matrix

    def shifted(self, pixels: npt.ArrayLike) -> Geometry:
        """Return the geometry of an array that begins at `pixels` of this one."""
        return replace(self, translate=self.translate + self.linear @ np.asarray(pixels, float))

    def in_units(self, units: Units | None) -> Geometry:
        """Return the same place in the world, said in `units` (one per trailing axis)."""
        if units is None or len(units) < self.ndim:
            return self
        factors = unit_factors(self.units, units)
        comparable = units[len(units) - self.ndim :]
        return replace(self, affine=_diagonal(factors) @ self.affine, units=tuple(comparable))

    def without_channel(self, axis: int | None, count: int) -> Geometry:
        """Return the geometry of something that holds for all `count` channels along `axis`.

        A leading channel axis is dropped: napari shows a layer with fewer axes everywhere. Any
        other one is stretched, so that a single slice covers all channels.
        """
        if axis is None:
            return self
        return self._dropped() if axis == 0 else self._stretched(axis, count)

    def _dropped(self) -> Geometry:
        keep = np.arange(1, self.ndim)
        # Scale is kept apart so that the new layer shows the same pixel size as the image.
        skewed = self.linear[1:, 1:] / self.scale[1:]
        affine = self.affine[1:, 1:].copy()
        inner = np.eye(self.ndim)
        inner[:-1, :-1] = skewed
        if not np.allclose(skewed, np.eye(self.ndim - 1)):
            shift = np.eye(self.ndim)
            shift[:-1, -1] = self.translate[1:]
            affine = affine @ shift @ inner
            translate = np.zeros(self.ndim - 1)
        else:
            translate = self.translate[1:]
        return Geometry(
            self.scale[keep],
            translate,
            np.eye(self.ndim - 1),
            np.eye(self.ndim - 1),
            affine,
            self.units[1:],
            self.axis_labels[1:],
        )

    def _stretched(self, axis: int, count: int) -> Geometry:
        offset = np.zeros(self.ndim)
        offset[axis] = (count - 1) / 2
        scale = self.scale.copy()
        scale[axis] *= count
        return replace(self.shifted(offset), scale=scale)

    def kwargs(self) -> dict[str, Any]:
        """Return the keyword arguments that give a new layer this geometry."""
        return {
            "scale": self.scale,
            "translate": self.translate,
            "rotate": self.rotate,
            "shear": self.shear,
            "affine": self.affine,
            "units": self.units,
            "axis_labels": self.axis_labels,
        }

    def apply(self, layer: Layer) -> None:
        """Give an existing layer this geometry; sets only what differs."""
        now = Geometry.of(layer)
        for name in ("scale", "translate", "rotate", "shear", "affine"):
            if not np.array_equal(getattr(now, name), getattr(self, name)):
                setattr(layer, name, getattr(self, name))
        for name in ("units", "axis_labels"):
            if getattr(now, name) != getattr(self, name):
                setattr(layer, name, getattr(self, name))


def _diagonal(factors: npt.NDArray[np.float64]) -> Matrix:
    return np.diag(np.append(factors, 1.0))
