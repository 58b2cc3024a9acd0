"""What can be set when all objects of an image are labelled."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

import numpy as np

from napari_segmate.core.errors import ParameterError
from napari_segmate.core.labels.instances import InstanceParams
from napari_segmate.core.masks.nesting import Nesting
from napari_segmate.core.registry import as_member
from napari_segmate.inference.automask.grid_params import GridParams
from napari_segmate.models.base import ModelInfo

__all__ = ["Mode", "Nesting", "Params", "suited"]


class Mode(StrEnum):
    """How objects are found."""

    OBJECTS = "objects"
    """From the maps of an instance head: fast, one object per pixel."""
    REFINED = "refined"
    """The same, and then each object is drawn by the mask decoder."""
    GRID = "grid"
    """A grid of points prompts the mask decoder, as Segment Anything does it."""


LEAST_LIKELY = 0.5
"""Least mean probability of an object where a model's own seeds decide what is one."""
USUAL_SCORES = {Mode.OBJECTS: 0.8, Mode.REFINED: 0.5}
"""Objects in pure noise stay below 0.8. For the grid its own parameters say it."""


MOST = {"smoothing": 100.0, "halo": 1 << 16}
"""Beyond these nothing is found any more, or it takes for ever."""


def _help(text: str, *, prepare: bool = False) -> Mapping[str, Any]:
    """Return the metadata of a field; `prepare`: a change needs the slow step again."""
    return {"help": text, "prepare": prepare}


@dataclass(frozen=True)
class Params:
    """How all objects of an image are found.

    The metadata of each field has a ``"help"`` text, and ``"prepare"`` says whether a change
    needs `prepare` again; the others change `generate` only.

    Parameters
    ----------
    mode : Mode, optional
        How objects are found; by default from the instance head of the model if it has one, else
        with a grid of points.
    diameter : float, optional
        Typical object in pixels; estimated by default.
    tile, halo : int, optional
        Side of a tile and overlap with its neighbours, in pixels; by default what suits the model.
    foreground : float
        Least probability of a pixel of an object, 0 to 1.
    seed : float
        Least seed score of the core of an object, 0 to 1; higher finds fewer objects and splits
        them less.
    smoothing : float
        Blur of the seed score, in cells of the maps; more splits objects less.
    least_centre : float, optional
        Nearness to the centre, 0 to 1, that seeds need beside being as deep as `seed`, as in
        micro-sam; by default a mixture of both counts.
    min_area : int
        Least pixels of an object.
    max_area : int, optional
        Most pixels of an object.
    border : bool
        Keep objects that the border of the image cuts.
    fill_holes : bool
        Fill what an object encloses.
    score : float
        Least score of an object, 0 to 1; with 0, what the mode usually asks for.
    stability : float
        Least stability of a mask, 0 to 1 (refined and grid); with 0, what the mode usually asks
        for.
    box_nms : float
        Largest overlap of two masks, as IoU, 0 to 1 (refined and grid).
    nesting : Nesting
        Which of several masks a pixel belongs to (refined and grid).
    grid : GridParams
        Points and crops (grid).

    Raises
    ------
    ParameterError
        A value out of its range.
    """

    mode: Mode | None = field(
        default=None, metadata=_help("How objects are found: objects, refined, grid.", prepare=True)
    )
    diameter: float | None = field(
        default=None,
        metadata=_help("Typical object in pixels; estimated by default.", prepare=True),
    )
    tile: int | None = field(
        default=None,
        metadata=_help("Side of a tile in pixels; the model decides by default.", prepare=True),
    )
    halo: int | None = field(
        default=None, metadata=_help("Overlap of tiles in pixels; chosen by default.", prepare=True)
    )
    foreground: float = field(
        default=0.5, metadata=_help("Least probability of a pixel of an object, 0 to 1.")
    )
    seed: float = field(
        default=0.55, metadata=_help("Least seed score, 0 to 1: higher splits objects less.")
    )
    smoothing: float = field(
        default=1.0, metadata=_help("Blur of the seeds, in cells of the maps: more splits less.")
    )
    least_centre: float | None = field(
        default=None,
        metadata=_help("Least nearness of seeds to the centre, 0 to 1; by default a mixture."),
    )
    min_area: int = field(default=20, metadata=_help("Least pixels of an object."))
    max_area: int | None = field(default=None, metadata=_help("Most pixels of an object."))
    border: bool = field(
        default=True, metadata=_help("Keep objects that the border of the image cuts.")
    )
    fill_holes: bool = field(default=True, metadata=_help("Fill what an object encloses."))
    score: float = field(
        default=0.0, metadata=_help("Least score of an object, 0 to 1; 0 is the usual one.")
    )
    stability: float = field(
        default=0.0,
        metadata=_help("Least stability of a mask, 0 to 1; 0 is the usual one (refined and grid)."),
    )
    box_nms: float = field(
        default=0.7, metadata=_help("Largest overlap of two masks, 0 to 1 (refined and grid).")
    )
    nesting: Nesting = field(
        default=Nesting.WHOLE,
        metadata=_help("Whose pixels are those of several masks (refined and grid)."),
    )
    grid: GridParams = field(
        default_factory=GridParams, metadata=_help("Points and crops (grid).", prepare=True)
    )

    def __post_init__(self) -> None:
        if self.mode is not None:
            object.__setattr__(self, "mode", as_member("mode", self.mode, Mode))
        object.__setattr__(self, "nesting", as_member("nesting", self.nesting, Nesting))
        for name in ("foreground", "seed", "least_centre", "score", "stability", "box_nms"):
            _check(name, getattr(self, name), 0, 1)
        for name in ("smoothing", "min_area", "halo"):
            _check(name, getattr(self, name), 0, MOST.get(name, float("inf")))
        for name in ("tile", "max_area"):
            _check(name, getattr(self, name), 1)
        if self.diameter is not None and not 0 < self.diameter < float("inf"):
            raise ParameterError(
                f"the diameter of objects must be above 0 pixels, got {self.diameter}; leave it "
                "out to have it estimated"
            )
        if self.max_area is not None and self.max_area < self.min_area:
            raise ParameterError(
                f"no object can have {self.min_area} pixels or more and {self.max_area} or fewer; "
                "lower min_area or raise max_area"
            )

    def prepare_key(self) -> Hashable:
        """Return what `prepare` depends on: equal keys can share what was prepared."""
        key = self.mode, self.diameter, self.tile, self.halo
        if self.mode is Mode.OBJECTS:
            return key
        # What maps show is drawn again in the slow step.
        seeds = self.foreground, self.seed, self.smoothing, self.least_centre, self.fill_holes
        return *key, self.grid.prepare_key(), *(seeds if self.mode is Mode.REFINED else ())

    def least_score(self, mode: Mode) -> float:
        """Return the least score of an object in a mode."""
        return self.score or USUAL_SCORES.get(mode, self.grid.pred_iou_thresh)

    def least_stability(self, mode: Mode) -> float:
        """Return the least stability of a mask in a mode."""
        return self.stability or {Mode.GRID: self.grid.stability_score_thresh}.get(mode, 0.0)

    @property
    def instance_params(self) -> InstanceParams:
        """The part that turns maps into objects."""
        return InstanceParams(
            foreground=self.foreground,
            seed=self.seed,
            smoothing=self.smoothing,
            min_area=0,
            least_centre=self.least_centre,
        )


def suited(params: Params, info: ModelInfo, mode: Mode) -> Params:
    """Return settings in which what was left as it is by default is what suits a model.

    Examples
    --------
    >>> from napari_segmate.models import get_model
    >>> found = suited(Params(min_area=9), get_model("vit_b_lm"), Mode.OBJECTS)
    >>> found.least_centre, found.smoothing, found.min_area
    (0.6, 1.0, 9)
    """
    wanted: dict[str, Any] = dict(info.suggested)
    if mode is not Mode.GRID:
        # They are meant for the masks of a grid of points.
        wanted.pop("score", None)
        wanted.pop("stability", None)
    if mode is Mode.OBJECTS and "least_centre" in wanted:
        wanted["score"] = LEAST_LIKELY
    usual = Params()
    left = [name for name in wanted if getattr(params, name) == getattr(usual, name)]
    return replace(params, **{name: wanted[name] for name in left})


def _check(name: str, value: float | None, low: float, high: float = float("inf")) -> None:
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, (int, float, np.number)):
        raise ParameterError(f"{name} must be a number, got {str(value)[:80]!r}")
    if not low <= value <= high:
        allowed = f"{low} to {high}" if high < float("inf") else f"{low} or more"
        raise ParameterError(f"{name} must be {allowed}, got {value}")
