"""Detectors of the user's: a folder, a file, or a repository of the hub with its revision."""

from __future__ import annotations

import re
from pathlib import Path

from napari_segmate.core.errors import ParameterError, WeightsError
from napari_segmate.detectors.base import DetectorInfo

__all__ = ["own_detector"]

HUB_ID = re.compile(r"(?P<repository>[\w.-]+/[\w.-]+?)(?:@(?P<revision>[\w.-]+))?")
FILES = (".pth", ".pt", ".bin", ".safetensors")


def own_detector(name: str | Path) -> DetectorInfo | None:
    """Return the description of a detector of the user's; None if `name` cannot be one.

    Parameters
    ----------
    name : str or Path
        A folder with the files of a model of transformers, a ``.pth`` file of GroundingDINO, or
        ``"owner/name@revision"`` for a repository on huggingface.co.

    Raises
    ------
    WeightsError
        A path where nothing is.
    ParameterError
        A repository without revision: what it holds may change from one day to the next.

    Examples
    --------
    >>> info = own_detector("someone/colonies@1f2e3d4")
    >>> info.repository, info.revision
    ('someone/colonies', '1f2e3d4')
    """
    path = Path(name).expanduser()
    if path.exists():
        return _at(path)
    if isinstance(name, Path) or path.suffix in FILES or path.is_absolute() or name[:1] in "~.":
        raise WeightsError(f"no detector at {path}; check the path")
    match = HUB_ID.fullmatch(name)
    return None if match is None else _of_hub(name, match["repository"], match["revision"])


def _at(path: Path) -> DetectorInfo:
    path = path.resolve()
    return DetectorInfo(
        name=path.stem if path.is_file() else path.name,
        title=path.name,
        description=f"Your own, from {path.parent}",
        licence="",
        repository="",
        path=path,
    )


def _of_hub(name: str, repository: str, revision: str | None) -> DetectorInfo:
    if revision is None:
        raise ParameterError(
            f"{name!r} names no revision, so that it may be another model tomorrow; write "
            f"{name}@ and the number that 'Files and versions' on the hub shows"
        )
    return DetectorInfo(
        name=name,
        title=repository,
        description=f"Your own choice, revision {revision}",
        licence="see its page",
        repository=repository,
        revision=revision,
    )
