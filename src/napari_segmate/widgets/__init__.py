"""Panels: Qt only; one file is one panel."""
