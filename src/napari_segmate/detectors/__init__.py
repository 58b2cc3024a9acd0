"""Text to boxes; one file is one detector.

A module of this package that ends in ``FAMILY = DetectorFamily(...)`` is found by itself; other
distributions add families through the entry point group ``napari_segmate.detectors``.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from napari_segmate.core.context import Context
from napari_segmate.core.errors import ModelError
from napari_segmate.core.registry import Registry, unknown_name
from napari_segmate.detectors._files import download, folder_of, missing_files, offline
from napari_segmate.detectors.base import Detector, DetectorFamily, DetectorInfo

__all__ = [
    "DETECTORS",
    "download",
    "folder_of",
    "get_detector",
    "list_detectors",
    "load_detector",
    "missing_files",
    "usable",
]

DETECTORS: Registry[DetectorFamily] = Registry(
    "detector family", __name__, "FAMILY", "napari_segmate.detectors"
)
AUTO = "auto"


def list_detectors() -> tuple[DetectorInfo, ...]:
    """Return every detector that can be chosen by name."""
    return tuple(info for family in DETECTORS.values() for info in family.detectors)


def get_detector(name: str) -> DetectorInfo:
    """Return the description of a detector; ``"auto"`` is the first one that is there.

    Raises
    ------
    UnknownNameError
        No such detector; names the nearest and all others.
    """
    infos = list_detectors()
    if name == AUTO:
        ready = [info for info in infos if usable(info) and not missing_files(info)]
        return (ready or list(infos))[0]
    for info in infos:
        if info.name == name:
            return info
    raise unknown_name("detector", name, [AUTO, *(info.name for info in infos)])


def usable(info: DetectorInfo) -> bool:
    """Tell whether what a detector needs is installed."""
    try:
        _family_of(info).check()
    except (ImportError, ModelError):
        return False
    return True


def _family_of(info: DetectorInfo) -> DetectorFamily:
    names = {one.name: family for family in DETECTORS.values() for one in family.detectors}
    return names[info.name]


def load_detector(
    name: str | Path = AUTO, *, device: str = "auto", context: Context | None = None
) -> Detector:
    """Return a detector ready to use; its files must be there.

    Parameters
    ----------
    name : str or Path
        Name of a detector, or a folder with the files of one.
    device : str
        ``"auto"``, ``"cpu"``, ``"cuda"`` or ``"mps"``.
    context : Context, optional
        Progress and cancellation.

    Raises
    ------
    UnknownNameError
        No such detector and no such folder.
    OfflineError
        Its files are not there: `download` gets them.
    MissingExtraError, ModelError
        What it needs is not installed, or does not fit.
    """
    from napari_segmate._torch import resolve_device

    context = context or Context()
    chosen = resolve_device(device)
    if isinstance(name, Path) or Path(name).is_dir():
        folder = Path(name)
        family = next(iter(DETECTORS.values()))
        info = replace(family.detectors[0], name=folder.name, title=folder.name)
        context.report(0, 0, f"loading {folder.name}")
        return family.load(info, folder, chosen)
    info = get_detector(str(name))
    family = _family_of(info)
    family.check()
    if missing_files(info):
        raise offline(info)
    context.report(0, 0, f"loading {info.title}")
    return family.load(info, folder_of(info), chosen)
