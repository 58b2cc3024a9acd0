"""What can be set when objects are followed through a stack: each gate with its default."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from napari_segmate.core.errors import ParameterError

__all__ = ["Params"]


def _help(text: str) -> Mapping[str, Any]:
    return {"help": text}


@dataclass(frozen=True)
class Params:
    """How objects are followed from plane to plane.

    Parameters
    ----------
    diameter : float
        Typical object in pixels: decides how large the model sees planes; 0 estimates it.
    smooth_z : float
        Blur across planes before the model sees them, in pixels: less noise; 0 for none.
    sections : bool
        Look at cuts across the planes, too, to find out where an object ends.
    most_anisotropy : float
        Planes farther apart than this many pixels are not cut across.
    reach : int
        Planes that are read on each side of a known one, at most: bounds memory.
    memory : float
        Weight of the mask on the last plane against the shape that the cuts show, 0 to 1.
    shape_weight : float
        Weight of the expected shape against the intensities of the image.
    decode_below : float
        Ask the model about planes where intensities tell an object apart less well than this,
        0 (never) to 1 (always).
    model_weight : float
        Weight of the model's answer there.
    least_iou : float
        Gate: least IoU with the mask on the last plane, 0 to 1.
    most_growth : float
        Gate: largest area over that on the last plane.
    least_area : float
        Gate: least area, as a part of that on the plane where the object is known.
    least_score : float
        Gate: least score of a mask, 0 to 1.
    most_claimed : float
        Gate: largest part of a mask that is taken by other objects, 0 to 1.
    misses : int
        Planes running on which a gate fails, after which an object has ended.
    gap : int
        Planes without the object that are filled in when it is found again.
    planes_ahead : int
        Planes that are read and encoded ahead of time.

    Raises
    ------
    ParameterError
        A value out of its range.
    """

    diameter: float = field(
        default=0.0, metadata=_help("Typical object in pixels; 0 estimates it.")
    )
    smooth_z: float = field(
        default=1.0,
        metadata=_help("Blur across planes before the model sees them, in pixels; 0 for none."),
    )
    sections: bool = field(
        default=True,
        metadata=_help("Whether cuts across the planes are looked at to find ends of objects."),
    )
    most_anisotropy: float = field(
        default=6.0,
        metadata=_help("Planes farther apart than this many pixels are not cut across."),
    )
    reach: int = field(
        default=48, metadata=_help("Planes read on each side of a known one at most.")
    )
    memory: float = field(
        default=0.3,
        metadata=_help("Weight of the last mask against the shape that cuts show, 0 to 1."),
    )
    shape_weight: float = field(
        default=1.0, metadata=_help("Weight of the expected shape against intensities.")
    )
    decode_below: float = field(
        default=0.6,
        metadata=_help(
            "Ask the model where intensities tell objects apart less well than this: 0 never, "
            "1 always."
        ),
    )
    model_weight: float = field(default=1.0, metadata=_help("Weight of the model's answer there."))
    least_iou: float = field(
        default=0.25, metadata=_help("Least IoU with the mask on the last plane, 0 to 1.")
    )
    most_growth: float = field(
        default=2.0, metadata=_help("Largest area of an object over that on the last plane.")
    )
    least_area: float = field(
        default=0.03,
        metadata=_help("Least area of an object over that where it was clicked, 0 to 1."),
    )
    least_score: float = field(default=0.3, metadata=_help("Least score of a mask, 0 to 1."))
    most_claimed: float = field(
        default=0.5, metadata=_help("Largest part of a mask that other objects have, 0 to 1.")
    )
    misses: int = field(
        default=2, metadata=_help("Planes running that fail a gate until an object has ended.")
    )
    gap: int = field(default=1, metadata=_help("Planes without an object that are filled in."))
    planes_ahead: int = field(default=2, metadata=_help("Planes encoded ahead of time."))

    def __post_init__(self) -> None:
        for name in UNIT:
            _check(name, getattr(self, name), 0, 1)
        for name in NOT_NEGATIVE:
            _check(name, getattr(self, name), 0)
        for name in ("reach", "misses", "most_growth"):
            _check(name, getattr(self, name), 1)


UNIT = ("memory", "decode_below", "least_iou", "least_area", "least_score", "most_claimed")
NOT_NEGATIVE = (
    "diameter",
    "smooth_z",
    "most_anisotropy",
    "shape_weight",
    "model_weight",
    "gap",
    "planes_ahead",
)


def _check(name: str, value: float, least: float, most: float = float("inf")) -> None:
    if not least <= value <= most:
        allowed = f"{least:g} to {most:g}" if most < float("inf") else f"{least:g} or more"
        raise ParameterError(f"{name} must be {allowed}, got {value}")
