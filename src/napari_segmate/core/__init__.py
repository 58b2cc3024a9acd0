"""Value objects and array functions; no torch, Qt or napari."""
