"""napari glue: docks, controllers, layers, keys, sample data."""
