"""Every object of a plane: dense maps or a grid of points, in tiles, refined."""
