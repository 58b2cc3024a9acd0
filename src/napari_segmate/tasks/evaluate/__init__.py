"""Judge a model on annotated planes."""
