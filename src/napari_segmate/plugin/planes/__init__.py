"""Image layers and the plane on the screen: coordinates, geometry, alignment."""
