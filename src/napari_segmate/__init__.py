"""Segment microscopy images interactively with Segment Anything: in napari, scripts and batch jobs.

Names are imported when they are first used: importing the package costs nothing.
"""

from __future__ import annotations

from typing import Any

import lazy_loader

_load, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from napari_segmate.io.provenance import package_version

        return package_version()
    return _load(name)
