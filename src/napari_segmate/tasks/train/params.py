"""Settings of a training."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from napari_segmate.core.errors import ParameterError
from napari_segmate.training.presets import INVERTED, Preset, Schedule

__all__ = ["Params"]

RANGES = {
    "epochs": (1, 10_000),
    "patience": (1, 10_000),
    "views": (1, 100_000),
    "batch": (1, 1024),
    "objects": (1, 1024),
}


@dataclass(frozen=True)
class Params:
    """How a model is trained; None takes what the preset says."""

    model: str = field(default="tiny", metadata={"help": "Model to begin with: a name or a file."})
    name: str = field(default="my-model", metadata={"help": "Name of the new model."})
    preset: Preset = field(
        default=Preset.QUICK,
        metadata={
            "help": "quick: all but the encoder, in minutes; balanced: also a part of the encoder; "
            "full: everything."
        },
    )
    epochs: int | None = field(default=None, metadata={"help": "Most epochs."})
    patience: int | None = field(
        default=None, metadata={"help": "Epochs without improvement after which it ends."}
    )
    rate: float | None = field(default=None, metadata={"help": "Highest learning rate."})
    views: int | None = field(default=None, metadata={"help": "Augmented views per epoch."})
    batch: int | None = field(default=None, metadata={"help": "Views per step."})
    objects: int | None = field(default=None, metadata={"help": "Most prompted objects per view."})
    held_out: float = field(
        default=0.2, metadata={"help": "Part of the objects that is held out to judge by."}
    )
    seed: int = field(default=17, metadata={"help": "Of everything that is drawn."})
    size: int | None = field(
        default=None, metadata={"help": "Side of the views in pixels, a multiple of 32."}
    )
    polarity: bool = field(
        default=False, metadata={"help": "Also show bright as dark and dark as bright."}
    )
    device: str = field(default="auto", metadata={"help": "auto, cpu, cuda, cuda:1 or mps."})

    def __post_init__(self) -> None:
        for name, (low, high) in RANGES.items():
            value = getattr(self, name)
            if value is not None and not low <= value <= high:
                raise ParameterError(f"{name} must be {low} to {high}, not {value}")
        if self.rate is not None and not 0 < self.rate <= 1:
            raise ParameterError(f"rate must be above 0 and at most 1, not {self.rate:g}")
        if not 0 < self.held_out <= 0.5:
            raise ParameterError(f"held_out must be above 0 and at most 0.5, not {self.held_out:g}")
        if self.size is not None and (self.size < 64 or self.size % 32 or self.size > 1024):
            raise ParameterError(f"size must be a multiple of 32 from 64 to 1024, not {self.size}")

    def schedule(self, usual: Schedule) -> Schedule:
        """Return a schedule with what was set."""
        names = ("epochs", "patience", "rate", "views", "batch", "objects")
        given = {name: getattr(self, name) for name in names}
        schedule = replace(usual, **{name: one for name, one in given.items() if one is not None})
        return replace(schedule, polarity=INVERTED) if self.polarity else schedule
