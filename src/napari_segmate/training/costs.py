"""What trainings usually take, for a word on it before anything is loaded; no torch in here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from napari_segmate.training.presets import Preset

__all__ = ["COSTS", "RESERVE", "Cost", "fits", "free_mb", "usual_cost", "what_fits"]

MEGA = 1 << 20
RESERVE = 0.9
"""Share of the free memory that a training may take."""


@dataclass(frozen=True)
class Cost:
    """What a training takes.

    Parameters
    ----------
    seconds : float
        From the start to the end, unless it ends early.
    megabytes : float
        Of memory, at most.
    """

    seconds: float
    megabytes: float


# The usual schedules at the times of steps that benchmarks/finetune and finetune_vit measured on
# two cores of an AMD EPYC, unless a training ends early; ViT-L and ViT-H follow from ViT-B by size.
COSTS: Mapping[str, Mapping[Preset, Cost]] = {
    "tiny": {
        Preset.QUICK: Cost(300, 1900),
        Preset.BALANCED: Cost(700, 2200),
        Preset.FULL: Cost(1800, 2400),
    },
    "vit_b": {
        Preset.QUICK: Cost(1500, 4300),
        Preset.BALANCED: Cost(20_000, 9000),
        Preset.FULL: Cost(60_000, 10_500),
    },
    "vit_l": {
        Preset.QUICK: Cost(2400, 7500),
        Preset.BALANCED: Cost(60_000, 12_000),
        Preset.FULL: Cost(180_000, 17_000),
    },
    "vit_h": {
        Preset.QUICK: Cost(3600, 10_500),
        Preset.BALANCED: Cost(120_000, 16_000),
        Preset.FULL: Cost(360_000, 27_000),
    },
}
SMALLER = (Preset.BALANCED, Preset.QUICK)


def usual_cost(architecture: str, preset: Preset) -> Cost | None:
    """Return what a training of an architecture usually takes, None for an unknown one.

    Examples
    --------
    >>> usual_cost("tiny", Preset.QUICK).megabytes < usual_cost("vit_b", Preset.FULL).megabytes
    True
    >>> usual_cost("another", Preset.QUICK) is None
    True
    """
    return COSTS.get(architecture, {}).get(preset)


def free_mb() -> float:
    """Return the free main memory of this computer in MB."""
    import psutil

    return float(psutil.virtual_memory().available / MEGA)


def fits(megabytes: float, free: float) -> bool:
    """Tell whether so much memory may be taken where so much is free.

    Examples
    --------
    >>> fits(800, 1000), fits(950, 1000)
    (True, False)
    """
    return megabytes <= RESERVE * free


def what_fits(architecture: str, preset: Preset, free: float) -> str:
    """Return what to choose instead of a training that does not fit, as a sentence.

    Parameters
    ----------
    architecture : str
        Of the model.
    preset : Preset
        What does not fit.
    free : float
        Memory in MB.

    Examples
    --------
    >>> what_fits("vit_b", Preset.FULL, 8000)
    'Choose the preset quick'
    >>> what_fits("vit_b", Preset.FULL, 3000)
    'Choose the model tiny'
    >>> what_fits("tiny", Preset.QUICK, 100)
    'Close other programs, or use another computer'
    """
    presets = SMALLER[SMALLER.index(preset) + 1 :] if preset in SMALLER else SMALLER
    for smaller in presets:
        cost = usual_cost(architecture, smaller)
        if cost is not None and fits(cost.megabytes, free):
            return f"Choose the preset {smaller}"
    for smaller in (preset, *presets):
        if architecture != "tiny" and fits(COSTS["tiny"][smaller].megabytes, free):
            return f"Choose the model tiny{'' if smaller is preset else f', preset {smaller}'}"
    return "Close other programs, or use another computer"
