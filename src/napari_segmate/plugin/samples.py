"""Pictures to try things on; all of them offline."""

from __future__ import annotations

from typing import Any

from napari_segmate.core import synthetic

__all__ = [
    "cell",
    "coins",
    "stained_tissue",
    "synthetic_nuclei",
    "synthetic_stack",
    "synthetic_timelapse",
    "synthetic_touching_cells",
]

LayerData = tuple[Any, dict[str, Any], str]


def _with_truth(name: str, image: Any, labels: Any) -> list[LayerData]:
    truth = {"name": f"{name} (truth)", "visible": False}
    return [(image, {"name": name}, "image"), (labels, truth, "labels")]


def synthetic_nuclei() -> list[LayerData]:
    """Return a picture of nuclei and the objects in it."""
    return _with_truth("nuclei", *synthetic.nuclei())


def synthetic_touching_cells() -> list[LayerData]:
    """Return a picture of cells that touch and the objects in it."""
    return _with_truth("touching cells", *synthetic.touching_cells())


def synthetic_stack() -> list[LayerData]:
    """Return a stack (z, y, x) of nuclei and the objects in it."""
    return _with_truth("stack", *synthetic.stack_3d())


def synthetic_timelapse() -> list[LayerData]:
    """Return a time-lapse (t, y, x) of dividing nuclei and the objects in it."""
    return _with_truth("time-lapse", *synthetic.timelapse_divisions())


def _bundled(function: str, name: str, **options: Any) -> list[LayerData]:
    from skimage import data

    return [(getattr(data, function)(), {"name": name, **options}, "image")]


def cell() -> list[LayerData]:
    """Return one cell in quantitative phase contrast."""
    return _bundled("cell", "cell")


def stained_tissue() -> list[LayerData]:
    """Return a stained tissue section in colour."""
    return _bundled("immunohistochemistry", "stained tissue", rgb=True)


def coins() -> list[LayerData]:
    """Return a picture of coins."""
    return _bundled("coins", "coins")
