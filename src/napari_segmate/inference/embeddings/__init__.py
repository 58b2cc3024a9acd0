"""Embeddings of parts of planes: which part, made once, kept in memory and on disk."""
