"""Objects of a search for words as they enter a labels layer, with class and story of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from napari_segmate.plugin.labels.commit_many import ManyObjects, Patch
from napari_segmate.plugin.planes.geometry import DisplayedPlane
from napari_segmate.sessions.text_boxes import PlaneIndex, TextBox
from napari_segmate.tasks.text.segment_boxes import SegmentedBoxes

__all__ = ["as_objects"]


def as_objects(
    segmented: SegmentedBoxes[TextBox],
    planes: Mapping[PlaneIndex, DisplayedPlane],
    prompt: str,
) -> ManyObjects:
    """Return objects as they enter a labels layer.

    Parameters
    ----------
    segmented : SegmentedBoxes
        The objects.
    planes : mapping
        Where each plane lies in the labels layer.
    prompt : str
        What the user had typed, for the record.
    """
    patches = [
        Patch.of(planes[one.index], one.segmentation.changes, numbers)
        for one, numbers in zip(segmented.planes, segmented.numbers, strict=True)
    ]
    columns: dict[str, Sequence[Any]] = {
        "class": segmented.classes,
        "text score": segmented.scores,
    }
    return ManyObjects(segmented.count, patches, segmented.records(prompt), columns)
