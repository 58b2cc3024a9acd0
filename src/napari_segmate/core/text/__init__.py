"""Phrases and the boxes that detectors find for them."""
