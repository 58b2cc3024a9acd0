"""Synthetic microscopy with exact labels: sample data, test data, and scenes to train on."""

from napari_segmate.core.synthetic.scenes import (
    Scene,
    nuclei,
    packed_scene,
    random_scene,
    stack_3d,
    timelapse_divisions,
    touching_cells,
)

__all__ = [
    "Scene",
    "nuclei",
    "packed_scene",
    "random_scene",
    "stack_3d",
    "timelapse_divisions",
    "touching_cells",
]
