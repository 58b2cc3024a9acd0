"""Weights files and locks."""
