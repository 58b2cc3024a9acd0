"""Many objects on their way into a labels layer: their pixels, plane by plane."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_segmate.core.labels.commit import Change
from napari_segmate.io.provenance import Record, to_json
from napari_segmate.plugin.planes.displayed_plane import DisplayedPlane

__all__ = ["Indices", "ManyObjects", "Patch"]

Indices = npt.NDArray[np.intp]
PIECE = 50_000
"""How many pixels are written in one turn of the event loop (some 10 ms)."""
TILE = 1024
"""Side of the squares that are written one after the other, in pixels."""


@dataclass(frozen=True, eq=False)
class Patch:
    """The pixels of all new objects of one plane; no pixel twice.

    Parameters
    ----------
    plane : DisplayedPlane
        The plane, in the axes of the labels layer.
    y, x : (N,) int
        Plane pixels.
    number : (N,) int
        Object of each pixel, from 1. An object of several planes has one number.
    """

    plane: DisplayedPlane
    y: Indices
    x: Indices
    number: Indices

    @classmethod
    def of(
        cls, plane: DisplayedPlane, changes: Sequence[Change], numbers: Sequence[int] = ()
    ) -> Patch:
        """Return the pixels of changes to an empty label image.

        Parameters
        ----------
        plane : DisplayedPlane
            The plane.
        changes : sequence of Change
            Their values are numbers of objects.
        numbers : sequence of int
            ``numbers[value - 1]`` is the number of the object; by default the value itself.
        """
        values = [one.value if not numbers else numbers[one.value - 1] for one in changes]
        return cls(
            plane,
            _joined([one.index[0] for one in changes]),
            _joined([one.index[1] for one in changes]),
            _joined([np.full(len(c.index[0]), v) for c, v in zip(changes, values, strict=True)]),
        )

    def pieces(self) -> tuple[Patch, ...]:
        """Return the same pixels in patches that are quick to write.

        Objects stay whole, and those of one patch lie near each other: napari draws the box round
        what was written.
        """
        if len(self.number) <= PIECE:
            return (self,)
        rank = self._ranks()
        order = np.argsort(rank, kind="stable")
        ends = np.flatnonzero(np.diff(rank[order], append=rank.max() + 1)) + 1
        # The first object that ends beyond each multiple of the size ends a piece.
        wanted = np.searchsorted(ends, np.arange(PIECE, len(rank) + PIECE, PIECE))
        cuts = np.unique(ends[np.minimum(wanted, len(ends) - 1)])
        parts = np.split(order, cuts[:-1])
        return tuple(
            Patch(self.plane, self.y[part], self.x[part], self.number[part]) for part in parts
        )

    def _ranks(self) -> Indices:
        """Return the place of each pixel's object in an order of tiles, row by row."""
        _, first, member = np.unique(self.number, return_index=True, return_inverse=True)
        tiles = np.lexsort((self.number[first], self.x[first] // TILE, self.y[first] // TILE))
        ranks = np.empty(len(first), np.intp)
        ranks[tiles] = np.arange(len(first))
        return ranks[member.reshape(-1)]


def _joined(parts: Sequence[npt.NDArray[Any]]) -> Indices:
    return np.concatenate([np.zeros(0, np.intp), *parts]).astype(np.intp)


@dataclass(frozen=True, eq=False)
class ManyObjects:
    """Objects on their way into a labels layer.

    Parameters
    ----------
    count : int
        Their numbers are 1 to `count`.
    patches : sequence of Patch
        Their pixels, plane by plane.
    records : sequence of Record
        How they came about; ``Record.label`` is the number of the object.
    features : mapping of str to sequence
        Columns for the features of the layer: one value per object.
    """

    count: int
    patches: Sequence[Patch]
    records: Sequence[Record] = ()
    features: Mapping[str, Sequence[Any]] = field(default_factory=dict)

    @cached_property
    def stored(self) -> list[dict[str, Any]]:
        """The records as JSON values."""
        return to_json(self.records)

    def prepared(self) -> ManyObjects:
        """Return the same objects in patches that are quick to write, as far as can be prepared."""
        found = replace(self, patches=[one for patch in self.patches for one in patch.pieces()])
        assert len(found.stored) == len(self.records), "one record each"
        return found
