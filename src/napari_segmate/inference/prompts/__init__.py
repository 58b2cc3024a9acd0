"""Prompts on a plane in, masks out."""
