"""Text to boxes; one file is one detector."""
