"""Interactive jobs: evented state, no Qt."""
