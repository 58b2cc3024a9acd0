"""The Train dock: annotated layers in, a trained model out."""
