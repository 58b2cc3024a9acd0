"""Training: prompt sampling, losses, loops."""
