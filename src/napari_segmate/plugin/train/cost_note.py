"""What a training will take, said before it begins: as measured here, or as usual elsewhere."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

from napari_segmate.plugin.train.run_folder import Order, remembered
from napari_segmate.sessions.training import duration
from napari_segmate.training.costs import Cost, fits, free_mb, usual_cost, what_fits

__all__ = ["CostNote", "cost_note"]

MEASURE = '<a style="color: #4fa3e0;" href="measure">{}</a>'


@dataclass(frozen=True)
class CostNote:
    """What is said about a training before it begins.

    Parameters
    ----------
    text : str
        Time and memory, with a link that measures them.
    problem : str
        Why it cannot begin, empty when it can.
    """

    text: str
    problem: str = ""


def cost_note(root: Path, order: Order) -> CostNote:
    """Return what to say about the cost of a training.

    Parameters
    ----------
    root : Path
        Where folders of trainings lie, and what earlier ones took.
    order : Order
        What would be trained.
    """
    here, usual = remembered(root, order), usual_cost(order.architecture, order.preset)
    if here is not None:
        cost, where, link = Cost(*here), "on this computer", "Measure again"
    elif usual is not None:
        cost, where, link = usual, "on two processor cores", "Measure it here"
    else:
        return CostNote(f"{MEASURE.format('Measure')} how long it takes and what it needs.")
    problem = _problem(cost, order) if _on_processor(order.device) else ""
    said = f"About {duration(cost.seconds)} {where}, {cost.megabytes / 1024:.1f} GB."
    return CostNote(problem or f"{said} {MEASURE.format(link)}", problem)


def _problem(cost: Cost, order: Order) -> str:
    free = free_mb()
    if fits(cost.megabytes, free):
        return ""
    needed = f"It needs about {cost.megabytes / 1024:.1f} GB of memory"
    cure = what_fits(order.architecture, order.preset, free)
    return f"{needed}, and {free / 1024:.1f} GB are free. {cure}"


def _on_processor(device: str) -> bool:
    """Tell whether a training surely takes the main memory."""
    if device != "auto":
        return device == "cpu"
    if "torch" not in sys.modules:
        # Loading it only to know would stop the window for seconds; the training will find out.
        return False
    from napari_segmate._torch import available_devices

    return list(available_devices()) == ["cpu"]
