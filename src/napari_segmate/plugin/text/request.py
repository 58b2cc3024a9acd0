"""What the Find by text panel says."""

from __future__ import annotations

from dataclasses import dataclass, field

from napari_segmate.core.masks.coarse_masks import MaskSource
from napari_segmate.plugin.docks.controller import DockRequest
from napari_segmate.widgets.text_options import SearchOptions

__all__ = ["TextRequest"]


@dataclass(frozen=True)
class TextRequest(DockRequest):
    """What the panel says, except text and sliders.

    Parameters
    ----------
    model, region, planes, options
        As in `DockRequest`; the model draws outlines.
    detector : str
        Which detector finds boxes.
    examples : bool
        That detector can search for what is like a box.
    search : SearchOptions
        How to search.
    masks : MaskSource
        Who draws the outlines, where the detector can do that, too.
    """

    detector: str = "auto"
    examples: bool = False
    search: SearchOptions = field(default_factory=SearchOptions)
    masks: MaskSource = MaskSource.DETECTOR
