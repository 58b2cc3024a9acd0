"""What a training will take: as measured here, or as usual elsewhere."""

from __future__ import annotations

import json
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from napari_segmate.core.files.atomic import write_text
from napari_segmate.plugin.train.run_folder import Order
from napari_segmate.sessions.training import duration
from napari_segmate.training.costs import Cost, fits, free_mb, usual_cost, what_fits

__all__ = ["CostNote", "cost_note", "measured_cost", "save_cost"]

MEASURED = "measured.json"
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
    here, usual = measured_cost(root, order), usual_cost(order.architecture, order.preset)
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


def _key(order: Order) -> str:
    return f"{order.architecture or order.model}/{order.preset.value}/{order.device}"


def measured_cost(root: Path, order: Order) -> tuple[float, float] | None:
    """Return the seconds and megabytes of the last training of this kind, None if unknown."""
    try:
        seconds, memory = json.loads((root / MEASURED).read_text(encoding="utf-8"))[_key(order)]
        return float(seconds), float(memory)
    except (OSError, ValueError, TypeError, KeyError):
        return None


def save_cost(root: Path, order: Order, seconds: float, memory_mb: float) -> None:
    """Keep what a training took; a disk that cannot be written is no reason to complain."""
    path = root / MEASURED
    with suppress(OSError, ValueError, TypeError):
        values = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
        values[_key(order)] = (seconds, memory_mb)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text(path, json.dumps(values))
