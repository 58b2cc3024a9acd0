"""Reading images and labels, writing labels and provenance."""
