"""Train a model on annotated planes."""
