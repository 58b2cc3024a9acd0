"""Names of the labels layers that the docks make; by them a dock knows those of the others."""

from __future__ import annotations

__all__ = ["OUTPUT_NAME", "PREVIEW_NAME", "PROPOSALS_NAME"]

OUTPUT_NAME = "SegMate labels"
PREVIEW_NAME = "SegMate preview"
PROPOSALS_NAME = "SegMate proposals"
