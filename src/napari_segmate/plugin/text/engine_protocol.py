"""What the text dock asks of detectors: the one place where it meets them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from napari_segmate.core.context import Context
from napari_segmate.core.text.detections import Masks
from napari_segmate.core.types import BoxYX, IntBoxYX, Shape2D
from napari_segmate.inference.prompts.request import PlaneLike
from napari_segmate.sessions.text_state import Offer
from napari_segmate.tasks.text.segment_boxes import Finder
from napari_segmate.widgets.filter_view import FilterValues
from napari_segmate.widgets.text_options import SearchOptions

__all__ = ["Chosen", "DetectorEngine", "DetectorEntry", "Found", "Query"]


@dataclass(frozen=True)
class DetectorEntry:
    """A detector as the list shows it.

    Parameters
    ----------
    name, title, description : str
        What it is called, and what it is good at.
    examples : bool
        Can look for more of what is in a box, not only for words.
    masks : bool
        Draws the outline of what is in each box, too.
    """

    name: str
    title: str
    description: str = ""
    examples: bool = False
    masks: bool = False


@dataclass(frozen=True, eq=False)
class Query:
    """What to look for, and where.

    Parameters
    ----------
    plane : Plane
        Where to read pixels.
    phrases : tuple of str
        The concepts.
    detector, device : str
        Who looks, and where it runs.
    region : (y0, x0, y1, x1), optional
        Part to search, half-open; None for the whole plane.
    diameter : float
        Typical object in pixels; 0 if not known.
    options : SearchOptions
        How to search.
    """

    plane: PlaneLike
    phrases: tuple[str, ...]
    detector: str = "auto"
    device: str = "auto"
    region: IntBoxYX | None = None
    diameter: float = 0.0
    options: SearchOptions = field(default_factory=SearchOptions)


@dataclass(frozen=True, eq=False)
class Found:
    """All that a detector saw on a plane, before any filter.

    Parameters
    ----------
    phrases : tuple of str
        The concepts.
    boxes_yx : (N, 4) float
        Corners in plane pixels.
    scores : (N, P) float
        How well each box fits each concept, 0 to 1.
    shape : (height, width)
        Size of the part that was searched; (0, 0) if it is not known.
    masks : tuple of CoarseMask or None, optional
        One per box, in plane pixels, from detectors that draw outlines.
    finder : Finder
        Who saw them, for the record.
    """

    phrases: tuple[str, ...]
    boxes_yx: npt.NDArray[np.float64]
    scores: npt.NDArray[np.floating[Any]]
    shape: Shape2D = (0, 0)
    masks: Masks | None = None
    finder: Finder = field(default_factory=Finder)

    @property
    def best(self) -> npt.NDArray[np.floating[Any]]:
        """(N,) score of the concept that fits each box best."""
        return self.scores.max(axis=1) if self.scores.size else np.zeros(len(self.boxes_yx))

    @property
    def concept(self) -> npt.NDArray[np.intp]:
        """(N,) number of that concept."""
        if not self.scores.size:
            return np.zeros(len(self.boxes_yx), np.intp)
        return np.asarray(self.scores.argmax(axis=1))

    @property
    def sizes(self) -> npt.NDArray[np.float64]:
        """(N,) side in pixels of a square of the same area."""
        sides = np.maximum(self.boxes_yx[:, 2:] - self.boxes_yx[:, :2], 0)
        return np.asarray(np.sqrt(sides.prod(axis=1)))


Chosen = tuple[int, BoxYX, str, float]
"""(row, box, concept, score): the row names a box of one `Found` whatever the filters say."""


class DetectorEngine(Protocol):
    """What finds boxes for words."""

    def detectors(self) -> Sequence[DetectorEntry]:
        """Return what can be chosen; imports nothing heavy."""
        ...

    def own(self, name: str) -> DetectorEntry:
        """Return one of the user's: a folder, a file, or ``"owner/name@revision"``.

        Raises
        ------
        SegmateError
            Nothing there, or nothing that could be one.
        """
        ...

    def phrases(self, text: str) -> tuple[str, ...]:
        """Return the concepts in a text.

        Raises
        ------
        SegmateError
            Nothing in it that could be looked for.
        """
        ...

    def offer(self, detector: str) -> Offer | None:
        """Return what must be downloaded before a detector can be used; for the worker thread."""
        ...

    def download(self, detector: str, context: Context) -> None:
        """Download it; for the worker thread."""
        ...

    def detect(self, query: Query, context: Context) -> Found:
        """Return what a detector sees; for the worker thread."""
        ...

    def alike(self, query: Query, box_yx: BoxYX, context: Context) -> Found:
        """Return what resembles the content of a box; for the worker thread."""
        ...

    def select(self, found: Found, values: FilterValues) -> Sequence[Chosen]:
        """Return the boxes that filters let through, best score first; takes some 10 ms."""
        ...
