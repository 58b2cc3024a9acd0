"""Sizes, lengths and scores."""
