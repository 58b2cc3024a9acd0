"""The Find by text dock: words, boxes, objects."""
