"""Label images of any size block by block."""
