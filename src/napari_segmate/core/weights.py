"""Weights files: where they lie, how they are downloaded and checked."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["WeightsFile"]


@dataclass(frozen=True)
class WeightsFile:
    """A file to download.

    Parameters
    ----------
    filename : str
        Name in the cache folder.
    url : str
        Official address.
    digest : str
        ``"sha256:..."`` or ``"xxh128:..."``.
    size : int
        Bytes; 0 if unknown.
    """

    filename: str
    url: str
    digest: str
    size: int = 0
