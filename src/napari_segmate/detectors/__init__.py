"""Text to boxes; one file is one detector.

A module of this package that ends in ``FAMILY = DetectorFamily(...)`` is found by itself; other
distributions add families through the entry point group ``napari_segmate.detectors``.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from napari_segmate.core.context import Context
from napari_segmate.core.errors import ModelError
from napari_segmate.core.registry import Registry, unknown_name
from napari_segmate.detectors._files import (
    address_of,
    download,
    missing_files,
    model_type,
    offline,
)
from napari_segmate.detectors._own_detectors import own_detector
from napari_segmate.detectors._revision import commit_of, folder_of
from napari_segmate.detectors.base import Detector, DetectorFamily, DetectorInfo

__all__ = [
    "DETECTORS",
    "address_of",
    "commit_of",
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
FIRST = ("transformers", "groundingdino")
"""Families that are listed, and asked, before the others."""


def list_detectors() -> tuple[DetectorInfo, ...]:
    """Return every detector that can be chosen by name."""
    return tuple(info for family in _families() for info in family.detectors)


def _families() -> list[DetectorFamily]:
    return sorted(
        DETECTORS.values(),
        key=lambda one: FIRST.index(one.name) if one.name in FIRST else len(FIRST),
    )


def get_detector(name: str | Path) -> DetectorInfo:
    """Return the description of a detector.

    Parameters
    ----------
    name : str or Path
        Name of a detector; ``"auto"`` for the first one that is installed and there; or one of the
        user's: a folder of a model of transformers, a ``.pth`` file of GroundingDINO, or
        ``"owner/name@revision"`` on huggingface.co.

    Raises
    ------
    UnknownNameError
        No such detector; names the nearest and all others.
    WeightsError, ParameterError
        A path where nothing is; a repository without revision.
    """
    infos = list_detectors()
    if name == AUTO:
        return _first_there(infos)
    for info in infos:
        if info.name == name:
            return info
    own = own_detector(name)
    if own is None:
        raise unknown_name("detector", str(name), [AUTO, *(info.name for info in infos)])
    with suppress(ModelError):  # said when it is loaded
        family = _family_of(own)
        return replace(own, examples=family.examples, masks=family.masks)
    return own


def _first_there(infos: tuple[DetectorInfo, ...]) -> DetectorInfo:
    """Return a detector that is installed and there, or else one that can be made so."""
    able = [info for info in infos if usable(info)]
    ready = [info for info in able if not missing_files(info)]
    return (ready or able or list(infos))[0]


def usable(info: DetectorInfo) -> bool:
    """Tell whether what a detector needs is installed."""
    try:
        return _installed(_family_of(info))
    except ModelError:
        return False


def _family_of(info: DetectorInfo) -> DetectorFamily:
    for family in _families():
        if info in family.detectors:
            return family
    place = folder_of(info)
    if info.path is None and not place.exists():
        return DETECTORS["transformers"]
    takers = [family for family in _families() if family.recognise(place)]
    if not takers:
        raise _unknown_kind(place)
    return next((family for family in takers if _installed(family)), takers[0])


def _installed(family: DetectorFamily) -> bool:
    try:
        family.check()
    except (ImportError, ModelError):
        return False
    return True


def _unknown_kind(place: Path) -> ModelError:
    kind = model_type(place)
    found = f"a model of type {kind!r}" if kind else "no GroundingDINO"
    return ModelError(
        f"{place} holds {found} and no other detector that is known here; choose a folder with "
        "config.json, model.safetensors and vocabulary as transformers saves them, or a .pth file "
        "of GroundingDINO"
    )


def load_detector(
    name: str | Path = AUTO, *, device: str = "auto", context: Context | None = None
) -> Detector:
    """Return a detector ready to use; its files must be there.

    Parameters
    ----------
    name : str or Path
        As in `get_detector`.
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
        What it needs is not installed, or does not fit; half a download, another kind of model.
    """
    from napari_segmate._torch import resolve_device

    context = context or Context()
    chosen = resolve_device(device)
    info = get_detector(name)
    family = _family_of(info)
    family.check()
    if missing_files(info):
        raise offline(info)
    context.report(0, 0, f"loading {info.title}")
    return family.load(info, folder_of(info), chosen)
