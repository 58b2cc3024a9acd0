"""Label images: commits, objects from dense maps, links, seams."""
