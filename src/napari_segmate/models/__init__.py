"""Promptable segmenters: one file is one family.

A module of this package that ends in ``FAMILY = ModelFamily(...)`` is found by itself; other
distributions add families through the entry point group ``napari_segmate.models``.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from napari_segmate.core.context import Context
from napari_segmate.core.errors import OfflineError, WeightsError
from napari_segmate.core.files.weights import WeightsFile, fetch
from napari_segmate.core.registry import Registry, unknown_name
from napari_segmate.models._light_imports import defer_package
from napari_segmate.models._own import FORMAT, broken_models, check_version, described, own_models
from napari_segmate.models.base import Checkpoint, ModelFamily, ModelInfo, Segmenter

__all__ = ["DEFAULT_MODEL", "FAMILIES", "get_model", "left_out", "list_models", "load_model"]

DEFAULT_MODEL = "tiny"
FAMILIES: Registry[ModelFamily] = Registry(
    "model family", __name__, "FAMILY", "napari_segmate.models"
)

# Its own code imports torchvision; the networks below it need none of that.
defer_package("segment_anything")


def list_models() -> tuple[ModelInfo, ...]:
    """Return every model that can be chosen by name: the default, the user's own, the others."""
    models = [info for family in FAMILIES.values() for info in family.models]
    shipped = sorted(models, key=lambda info: info.name != DEFAULT_MODEL)
    return (*shipped[:1], *own_models(), *shipped[1:])


def get_model(name: str) -> ModelInfo:
    """Return the description of a model.

    Raises
    ------
    UnknownNameError
        No such model; names the nearest and all others.
    """
    infos = list_models()
    for info in infos:
        if info.name == name:
            return info
    raise unknown_name("model", name, [info.name for info in infos])


def _family_of(info: ModelInfo) -> ModelFamily:
    return next(family for family in FAMILIES.values() if info in family.models)


def load_model(
    name: str | Path = DEFAULT_MODEL,
    *,
    device: str = "auto",
    fast: bool = False,
    context: Context | None = None,
) -> Segmenter:
    """Return a model ready to use, downloaded if need be.

    Parameters
    ----------
    name : str or Path
        Name of a model (see `list_models`), or a weights file; a file's architecture is found from
        the shapes in it.
    device : str
        ``"auto"``, ``"cpu"``, ``"cuda"``, ``"cuda:1"`` or ``"mps"``.
    fast : bool
        Allow lower precision (bfloat16) where it is faster.
    context : Context, optional
        Progress and cancellation of download and loading.

    Raises
    ------
    UnknownNameError
        No such model and no such file.
    OfflineError, WeightsError
        The weights cannot be had, or do not fit.
    ModelError
        No such device.
    """
    from napari_segmate._torch import resolve_device

    context = context or Context()
    chosen = resolve_device(device)
    if _is_path(name):
        return _load_file(Path(name).expanduser(), chosen, fast, context)
    info = get_model(str(name))
    if info.path is not None:
        return _load_file(info.path, chosen, fast, context)
    path = None if info.weights is None else fetch(info.weights, context)
    info = replace(info, extra=tuple(file for file in info.extra if _fetched(file, context)))
    context.report(0, 0, f"loading {info.title}")
    return _family_of(info).load(info, path, chosen, fast, context)


def _fetched(file: WeightsFile, context: Context) -> bool:
    """Download a file that a model can do without; tell whether it is there."""
    try:
        fetch(file, context)
    except OfflineError:
        return False
    return True


def _is_path(name: str | Path) -> bool:
    if isinstance(name, Path):
        return True
    return "/" in name or "\\" in name or Path(name).suffix in (".pth", ".pt", ".safetensors")


def left_out() -> dict[str, str]:
    """Return the models and families that are there and cannot be used, with the reasons."""
    return {**FAMILIES.broken, **broken_models()}


def _load_file(path: Path, device: str, fast: bool, context: Context) -> Segmenter:
    from napari_segmate.models._checkpoint import read_checkpoint

    context.report(0, 0, f"reading {path.name}")
    checkpoint = read_checkpoint(path)
    check_version(path, checkpoint.metadata)
    for family in FAMILIES.values():
        architecture = family.recognise(checkpoint)
        if architecture is not None:
            info = _info_of(checkpoint, family, architecture)
            return family.load(info, path, device, fast, context)
    raise WeightsError(
        f"{path} is of no known architecture; known are the families {list(FAMILIES)}"
    )


def _info_of(checkpoint: Checkpoint, family: ModelFamily, architecture: str) -> ModelInfo:
    """Return what is known about the model in a file: what it says itself, or its architecture."""
    path = checkpoint.path
    if checkpoint.metadata.get("format") == FORMAT:
        return described(path, checkpoint.metadata)
    related = next((info for info in family.models if info.architecture == architecture), None)
    embedded = related is not None and related.weights is None
    return ModelInfo(
        name=path.stem,
        title=path.name,
        description=f"own weights, {architecture}",
        architecture=architecture,
        licence="",
        source=str(path),
        instance_head=embedded and related is not None and related.instance_head,
        diameter=related.diameter if related is not None else 0.0,
    )
