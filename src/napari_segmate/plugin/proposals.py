"""What automask proposes, plane by plane, in a labels layer of its own."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
from napari.components import ViewerModel
from napari.layers import Image, Labels

from napari_segmate.core.image import ImageAxes
from napari_segmate.core.prompts import MaskPrompt
from napari_segmate.core.types import LabelArray
from napari_segmate.plugin.label_planes import object_mask
from napari_segmate.plugin.layers import DisplayedPlane, to_pixels
from napari_segmate.plugin.output import labels_for
from napari_segmate.plugin.proposal_drawing import ProposalDrawing
from napari_segmate.plugin.proposal_look import Look
from napari_segmate.tasks.auto import Params, Prepared, Proposal
from napari_segmate.tasks.auto_nothing import assumed

__all__ = ["PROPOSALS_NAME", "Index", "PlaneProposal", "Proposals", "middles_of"]

PROPOSALS_NAME = "SegMate proposals"
SHOWN_VALUES = 65535
"""Values of the layer; more objects than that share some of them, which only shows as a colour."""
SEARCHED_PIXELS = 1 << 20
"""How much of a plane is looked at in one go for an object."""

Index = tuple[int, ...]
Labelled = npt.NDArray[np.intp]
Places = npt.NDArray[np.intp]


@dataclass(eq=False)
class PlaneProposal:
    """What is proposed for one plane.

    Parameters
    ----------
    index : tuple of int
        The plane in the image.
    shown : DisplayedPlane
        The same plane in the layer of the image.
    prepared : Prepared
        What the model saw.
    params : Params
        What the labels were generated with.
    proposal : Proposal
        The labels; those of objects that were accepted or deleted are still in it.
    key : hashable
        What the slow step depended on.
    gone : set of (y, x)
        A pixel of each object that was accepted or deleted: it stays away when labels change.
    """

    index: Index
    shown: DisplayedPlane
    prepared: Prepared
    params: Params
    proposal: Proposal
    key: Hashable = None
    gone: set[tuple[int, int]] = field(default_factory=set)

    @property
    def assumed(self) -> str:
        """What was assumed of the objects that were looked for."""
        return assumed(self.prepared.diameter, estimated=self.prepared.estimated)

    @property
    def place(self) -> DisplayedPlane:
        """The plane in the layer of proposals."""
        return self.shown.without_channel()

    @property
    def kept(self) -> Labelled:
        """Labels of the objects that are still proposed."""
        stays = np.ones(self.proposal.count + 1, bool)
        stays[0] = False
        if self.gone:
            y, x = np.array(sorted(self.gone)).T
            stays[self.proposal.labels[y, x]] = False
        return np.flatnonzero(stays)

    @property
    def areas(self) -> npt.NDArray[np.int64]:
        """Pixels of each of them."""
        return np.asarray(self.proposal.areas[self.kept - 1])

    @property
    def labels(self) -> LabelArray:
        """The labels without the objects that are gone."""
        return self.rows(0, self.place.shape[0])

    def rows(self, top: int, bottom: int) -> LabelArray:
        """Return some rows of `labels`."""
        found = self.proposal.labels[top:bottom]
        if not self.gone:
            return found
        stays = np.zeros(self.proposal.count + 1, found.dtype)
        stays[self.kept] = self.kept
        return np.asarray(stays[found])

    def shown_rows(self, top: int, bottom: int) -> LabelArray:
        """Return some rows of the labels, with values that the layer can hold."""
        found = self.rows(top, bottom)
        if self.proposal.count > SHOWN_VALUES:
            found = np.where(found > 0, (found - 1) % SHOWN_VALUES + 1, 0)
        return found

    def outline(self, label: int) -> MaskPrompt:
        """Return box and mask of an object; only its surroundings are looked at."""
        labels = self.proposal.labels
        step = max(1, SEARCHED_PIXELS // max(labels.shape[1], 1))
        tops = range(0, labels.shape[0], step)
        top = next(one for one in tops if (labels[one : one + step] == label).any())
        y, x = np.argwhere(labels[top : top + step] == label)[0]
        flat = DisplayedPlane(ImageAxes(0, 1), (0, 0), self.place.shape)
        return object_mask(labels, flat, (int(y) + top, int(x)))[1]

    def at(self, y: int, x: int) -> int:
        """Return the label of the object at a pixel; 0 where there is none."""
        height, width = self.place.shape
        if not (0 <= y < height and 0 <= x < width):
            return 0
        label = int(self.proposal.labels[y, x])
        return label if label in self.kept else 0


class Proposals:
    """The proposals for one image.

    Parameters
    ----------
    viewer : ViewerModel
        Where the layer is.
    """

    def __init__(self, viewer: ViewerModel) -> None:
        self._viewer = viewer
        self._layer: Labels | None = None
        self._look: Look | None = None
        self._planes: dict[Index, PlaneProposal] = {}
        self._drawing = ProposalDrawing()

    @property
    def drawn(self) -> bool:
        """True when the layer shows all of what is proposed."""
        return not self._drawing.busy

    def __iter__(self) -> Iterator[PlaneProposal]:
        return iter([self._planes[index] for index in sorted(self._planes)])

    def __len__(self) -> int:
        return len(self._planes)

    @property
    def layer(self) -> Labels | None:
        """The layer; None while there is none, or the user has removed it."""
        if self._layer is not None and self._layer not in self._viewer.layers:
            self._layer = None
            self._planes.clear()
            self._drawing.stop()
        return self._layer

    @property
    def areas(self) -> npt.NDArray[np.int64]:
        """Pixels of each object that is proposed, on all planes."""
        return np.concatenate([np.zeros(0, np.int64), *(plane.areas for plane in self)])

    def on(self, index: Index) -> PlaneProposal | None:
        """Return what is proposed for a plane."""
        return self._planes.get(index) if self.layer is not None else None

    def put(self, image: Image, plane: PlaneProposal, width: int = 1) -> None:
        """Propose something for a plane, in place of what was proposed for it before.

        Outlines are `width` pixels wide; stacks and large planes show areas instead.
        """
        if self.layer is None:
            self._new(image, plane.shown)
        if self._look is not None:
            self._look.fit(image, width)
        self._planes[plane.index] = plane
        self.draw([plane])

    def draw(self, planes: Iterable[PlaneProposal]) -> None:
        """Show planes as they are now."""
        layer = self.layer
        if layer is None:
            return
        self._drawing.draw(layer, [(plane.place, plane.shown_rows) for plane in planes])

    def set_width(self, width: int) -> None:
        """Draw outlines `width` pixels wide."""
        if self.layer is not None and self._look is not None:
            self._look.set_width(width)

    def clear(self) -> None:
        """Take the layer away."""
        self._drawing.stop()
        if self.layer is not None:
            self._viewer.layers.remove(self.layer)
        self._layer = None
        self._planes.clear()

    def leave(self) -> None:
        """Let go of the layer, which becomes the user's."""
        if self.layer is not None:
            self._drawing.finish()
            # What was drawn here is no step that the user could undo: napari forgets such steps.
            self.layer.editable = True
            self.layer.editable = False
            self.layer.editable = True
        self._layer = None
        self._planes.clear()

    def at(self, position: Any, index: Index) -> tuple[PlaneProposal, int] | None:
        """Return plane and label of the object at a world position; None where there is none."""
        layer, plane = self.layer, self.on(index)
        if layer is None or plane is None:
            return None
        at = to_pixels(layer, [position], self._viewer.dims)
        y, x = np.floor(plane.place.to_plane(at)[0] + 0.5).astype(int)
        label = plane.at(int(y), int(x))
        return (plane, label) if label else None

    def drop(self, plane: PlaneProposal, label: int) -> None:
        """Take one object away for good."""
        found = plane.outline(label)
        middle = middles_of(found.mask.astype(np.uint8), [1]) + found.box_yx[:2]
        plane.gone.update(pixels(middle))
        if self._drawing.busy:
            self.draw([plane])
        elif self.layer is not None:
            y, x = np.nonzero(found.mask)
            at = plane.place.indices(y + found.box_yx[0], x + found.box_yx[1])
            self.layer.data_setitem(at, 0)

    def _new(self, image: Image, shown: DisplayedPlane) -> None:
        layer = labels_for(image, shown.axes.channel, PROPOSALS_NAME)
        # In 3-D napari warns that it cannot draw outlines.
        height, width = shown.shape
        self._look = Look(layer, height * width, outlined=not shown.fixed)
        layer.editable = False
        layers = self._viewer.layers
        active = layers.selection.active
        # Known before it is inserted: those who choose layers must be able to leave it out.
        self._layer = layer
        layers.insert(layers.index(image) + 1, layer)
        if active is not None:
            layers.selection.active = active


def middles_of(labels: LabelArray, wanted: Sequence[int] | Labelled) -> Places:
    """Return a pixel of each object that is as near to its middle as can be.

    Parameters
    ----------
    labels : (H, W) int
        0 is background.
    wanted : sequence of n int
        Labels that occur.

    Returns
    -------
    (n, 2) int
        (y, x) of each.

    Examples
    --------
    >>> middles_of(np.array([[1, 1, 1, 0, 2]]), [2, 1]).tolist()
    [[0, 4], [0, 1]]
    """
    wanted = np.asarray(wanted, dtype=np.intp)
    asked = np.zeros(int(labels.max(initial=0)) + 1, bool)
    asked[wanted] = True
    y, x = np.nonzero(asked[labels])
    own = labels[y, x]
    size = np.maximum(np.bincount(own, minlength=len(asked)), 1)
    away = (y - (np.bincount(own, y, len(asked)) / size)[own]) ** 2
    away += (x - (np.bincount(own, x, len(asked)) / size)[own]) ** 2
    # Of several assignments to one place the last one, here the nearest, counts.
    order = np.argsort(-away, kind="stable")
    found = np.zeros((len(asked), 2), np.intp)
    found[own[order]] = np.column_stack([y, x])[order]
    return found[wanted]


def pixels(places: Places) -> set[tuple[int, int]]:
    """Return (n, 2) pixels as pairs."""
    return {(int(y), int(x)) for y, x in places}
