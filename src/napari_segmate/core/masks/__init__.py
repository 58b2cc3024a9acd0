"""Masks of single objects: boxes, overlap, run lengths, nesting."""
