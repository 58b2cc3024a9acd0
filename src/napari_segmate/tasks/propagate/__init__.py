"""Objects of one plane of a stack, followed through the other planes."""
