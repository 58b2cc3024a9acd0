"""Labels layers: commits, undo, recovery, large and lazy arrays."""
