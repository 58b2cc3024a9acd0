"""Images as planes: axes, pyramid levels, contrast, resampling."""
