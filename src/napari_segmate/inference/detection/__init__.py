"""Detectors on images of any size: whole, in tiles, by words or by example."""
