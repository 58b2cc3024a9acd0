"""What is asked of a model and what it answers: frozen values that cross threads."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Protocol

from napari_segmate.core.errors import PromptError
from napari_segmate.core.prompts import ObjectPrompts
from napari_segmate.core.types import (
    FloatArray,
    Frame,
    Instance,
    IntBoxYX,
    RGBImage,
    Shape2D,
)
from napari_segmate.io.provenance import Step

__all__ = [
    "MaskOptions",
    "ObjectResult",
    "PlaneLike",
    "Prediction",
    "Previous",
    "Request",
    "Timings",
]


class PlaneLike(Protocol):
    """One 2-D plane that is read piece by piece; see `image_source.Plane`.

    Planes are compared by identity: the same object always shows the same pixels.
    """

    @property
    def shape(self) -> Shape2D:
        """Height and width."""
        ...

    def read(self, box_yx: IntBoxYX, shape: Shape2D | None = None) -> RGBImage:
        """Return the part inside a half-open box, resampled to `shape`."""
        ...

    def __hash__(self) -> int: ...


@dataclass(frozen=True)
class MaskOptions:
    """How large objects are shown to the model, and how its logits become a mask.

    Parameters
    ----------
    fill_holes : bool
        Fill the holes of an object.
    min_size : int
        Remove pieces smaller than this many pixels; the largest piece always stays.
    threshold : float
        Logits above it are inside.
    diameter : float
        Typical object in plane pixels; 0 has it estimated.

    Raises
    ------
    PromptError
        A negative size or diameter.
    """

    fill_holes: bool = True
    min_size: int = 0
    threshold: float = 0.0
    diameter: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.diameter < float("inf"):
            raise PromptError(
                f"the diameter of objects must be 0 (estimated) or more pixels, got {self.diameter}"
            )
        if self.min_size < 0:
            raise PromptError(f"the smallest size must be 0 or more pixels, got {self.min_size}")


@dataclass(frozen=True, eq=False)
class Previous:
    """The answer that the user goes on from.

    Parameters
    ----------
    frame : Frame
        What the model had looked at.
    logits : (h, w) float32
        Low-resolution logits of the candidate that the user saw.
    instance : Instance
        The same candidate in plane pixels, for an answer in another frame.
    cut : bool
        The mask reached a border of the frame that is not a border of the image.
    steps : tuple of Step
        How that answer came about, oldest first; the last one names the candidate.
    """

    frame: Frame
    logits: FloatArray
    instance: Instance
    cut: bool
    steps: tuple[Step, ...]


@dataclass(frozen=True, eq=False)
class Request:
    """Objects to segment in one plane.

    Parameters
    ----------
    generation : int
        Number of the request; an answer with another number than the latest is stale.
    plane : Plane
        Where to read pixels.
    prompts : tuple of ObjectPrompts
        One entry per object, in plane pixels, without logits.
    visible_yx : (y0, x0, y1, x1), optional
        Part of the plane on the screen.
    previous : tuple of Previous or None, optional
        One entry per object: the answer to go on from.
    multimask : bool
        Offer several candidates where the prompts are ambiguous.
    options : MaskOptions
        How logits become masks.

    Raises
    ------
    PromptError
        As many `previous` as `prompts` are needed.
    """

    generation: int
    plane: PlaneLike
    prompts: tuple[ObjectPrompts, ...]
    visible_yx: IntBoxYX | None = None
    previous: tuple[Previous | None, ...] | None = None
    multimask: bool = True
    options: MaskOptions = field(default_factory=MaskOptions)

    def __post_init__(self) -> None:
        if self.previous is not None and len(self.previous) != len(self.prompts):
            raise PromptError(
                f"{len(self.prompts)} objects but {len(self.previous)} earlier answers"
            )

    def previous_of(self, number: int) -> Previous | None:
        """Return the answer that object `number` goes on from."""
        return self.previous[number] if self.previous is not None else None


@dataclass(frozen=True, eq=False)
class ObjectResult:
    """The model's answer for one object.

    Parameters
    ----------
    prompts : ObjectPrompts
        What was asked, in plane pixels.
    frame : Frame
        What the model looked at.
    candidates : tuple of Instance
        Masks, best score first; empty when the model found nothing.
    logits : (M, h, w) float32
        Low-resolution logits of the candidates, in the same order.
    cut : tuple of bool
        Per candidate: it reaches a border of the frame that is not one of the image.
    multimask : bool
        Whether several candidates were asked for.
    previous : Previous, optional
        The answer it went on from.
    chosen : int
        The candidate to show.
    """

    prompts: ObjectPrompts
    frame: Frame
    candidates: tuple[Instance, ...]
    logits: FloatArray
    cut: tuple[bool, ...] = ()
    multimask: bool = True
    previous: Previous | None = None
    chosen: int = 0

    @property
    def instance(self) -> Instance | None:
        """The chosen mask, None when the model found nothing."""
        return self.candidates[self.chosen] if self.candidates else None

    @property
    def steps(self) -> tuple[Step, ...]:
        """How the chosen mask came about, oldest answer first."""
        before = self.previous.steps if self.previous is not None else ()
        return (*before, Step(self.prompts, self.frame, self.multimask, self.chosen))

    def choose(self, candidate: int) -> ObjectResult:
        """Return the same answer with another candidate shown, the last one if there are fewer."""
        return replace(self, chosen=min(candidate, max(len(self.candidates) - 1, 0)))

    def as_previous(self) -> Previous | None:
        """Return what the next answer goes on from, None when the model found nothing."""
        instance = self.instance
        if instance is None:
            return None
        logits, cut = self.logits[self.chosen], self.cut[self.chosen]
        return Previous(self.frame, logits, instance, cut, self.steps)


@dataclass(frozen=True)
class Timings:
    """Seconds spent on an answer: on embeddings, on decoding, on cutting masks out of logits."""

    embed: float = 0.0
    decode: float = 0.0
    cut: float = 0.0

    @property
    def total(self) -> float:
        """Seconds in all."""
        return self.embed + self.decode + self.cut


@dataclass(frozen=True, eq=False)
class Prediction:
    """The answer to a `Request`.

    Parameters
    ----------
    generation : int
        Number of the request.
    model, model_key : str
        Name of the model, and its name with the hash of the weights.
    objects : tuple of ObjectResult
        One entry per object of the request.
    timings : Timings
        Where the time went.
    diameter : float
        Typical object in plane pixels, as given or estimated; 0 if it is not known.
    """

    generation: int
    model: str
    model_key: str
    objects: tuple[ObjectResult, ...]
    timings: Timings = field(default_factory=Timings)
    diameter: float = 0.0

    @property
    def frame(self) -> Frame | None:
        """What the model looked at for the last object."""
        return self.objects[-1].frame if self.objects else None
