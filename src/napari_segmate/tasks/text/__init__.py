"""Find objects by name."""
