"""Models of the transformers library from a folder: loaded without network, checked, in silence."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from napari_segmate.core.errors import MissingExtraError, ModelError, WeightsError
from napari_segmate.detectors._files import model_type

__all__ = ["check_installed", "check_kind", "check_loaded", "loading", "without_bars"]


def check_installed(feature: str) -> None:
    """Raise when the transformers library, which a feature needs, is not installed.

    Raises
    ------
    MissingExtraError
        Names the extra that brings it.
    """
    if find_spec("transformers") is None:
        raise MissingExtraError.for_feature(feature, "text")


def check_kind(folder: Path, types: Sequence[str], name: str) -> None:
    """Raise when ``config.json`` in a folder is not that of a model of certain types.

    Parameters
    ----------
    folder : Path
        The folder.
    types : sequence of str
        What ``config.json`` calls such models.
    name : str
        What users call them: ``"a SAM 3"``.

    Raises
    ------
    ModelError
        Says what is there.
    """
    kind = model_type(folder)
    if kind not in types:
        found = f"a model of type {kind!r}" if kind else "no model of transformers"
        raise ModelError(f"{folder} holds {found}, not {name}")


@contextmanager
def loading(folder: Path, name: str, files: Sequence[str]) -> Iterator[None]:
    """Turn whatever the library raises while it loads a folder into one error with its cure.

    Parameters
    ----------
    folder : Path
        The folder.
    name : str
        What it should hold.
    files : sequence of str
        What to put there.

    Raises
    ------
    ModelError
        It cannot be loaded.
    """
    from safetensors import SafetensorError

    try:
        with without_bars():
            yield
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        raise ModelError(
            f"{folder} holds no {name} ({error}); put {', '.join(files)} there"
        ) from error


@contextmanager
def without_bars() -> Iterator[None]:
    """Keep the library from drawing progress bars into whatever the program prints."""
    from transformers.utils import logging as library

    logging: Any = library
    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()


def check_loaded(info: Mapping[str, Sequence[Any]], where: Path) -> None:
    """Raise when a file has not all weights of a network, or some that it does not know.

    Parameters
    ----------
    info : mapping
        What ``from_pretrained(..., output_loading_info=True)`` tells.
    where : Path
        For the message.

    Raises
    ------
    WeightsError
        Half a download, or the weights of another model.
    """
    missing = sorted(map(str, info.get("missing_keys", ())))
    sizes = sorted(str(one[0]) for one in info.get("mismatched_keys", ()))
    if missing or sizes:
        raise WeightsError(
            f"{where} lacks {len(missing)} weights and has {len(sizes)} of another size "
            f"({', '.join([*missing, *sizes][:3])}, …): half a download, or config.json belongs to "
            "another model"
        )
    strange = [str(name) for name in info.get("unexpected_keys", ()) if "class_embed" in str(name)]
    if strange:
        raise WeightsError(
            f"{where} holds {strange[0]}, which config.json's model has no place for: it is a "
            "relative of GroundingDINO that needs code of its own; use the version of it that is "
            "made for transformers 4.55 or later"
        )
