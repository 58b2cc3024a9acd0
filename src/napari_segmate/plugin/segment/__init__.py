"""The Segment dock: prompts, preview, commit."""
