"""Promptable segmenters: one file is one family."""
