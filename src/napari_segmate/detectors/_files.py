"""Files of a detector: which are missing, what to say about them, how they are downloaded."""

from __future__ import annotations

import shutil
from http.client import HTTPException
from pathlib import Path
from urllib.request import urlopen

from napari_segmate.core.context import Context
from napari_segmate.core.errors import OfflineError
from napari_segmate.core.weights import WeightsFile, cache_folder, fetch
from napari_segmate.detectors.base import DetectorInfo

__all__ = ["download", "folder_of", "missing_files", "offline"]

HUB = "https://huggingface.co"
TIMEOUT_S = 30.0
SHA256_DIGITS = 64


def folder_of(info: DetectorInfo) -> Path:
    """Return where the files of a detector belong."""
    return cache_folder() / "models" / info.name


def missing_files(info: DetectorInfo) -> tuple[str, ...]:
    """Return the files that are not there yet."""
    folder = folder_of(info)
    return tuple(name for name in info.files if not (folder / name).is_file())


def download(info: DetectorInfo, context: Context) -> None:
    """Download the files that are missing.

    Large ones go on where they stopped, and are checked against the digest that the hub tells.

    Raises
    ------
    OfflineError
        No connection; says which files to put where.
    Cancelled
        The user stopped the download.
    """
    for name in missing_files(info):
        context.report(0, 0, f"downloading {name}")
        url = f"{HUB}/{info.repository}/resolve/{info.revision}/{name}"
        try:
            digest = _digest(url)
            if digest:
                fetch(WeightsFile(f"{info.name}/{name}", url, f"sha256:{digest}"), context)
            else:
                _copy(url, folder_of(info) / name)
        except (OSError, HTTPException) as error:
            raise offline(info) from error


def offline(info: DetectorInfo) -> OfflineError:
    """Return the error that says which files to put where."""
    files = ", ".join(missing_files(info))
    return OfflineError(
        f"{info.title} cannot be downloaded without a connection; put {files} from "
        f"{HUB}/{info.repository} into {folder_of(info)}"
    )


def _digest(url: str) -> str:
    """Return the digest of a large file, empty for a small one, of which the hub tells none."""
    from huggingface_hub import get_hf_file_metadata

    etag = get_hf_file_metadata(url, timeout=TIMEOUT_S).etag or ""
    return etag if len(etag) == SHA256_DIGITS else ""


def _copy(url: str, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.part")
    with urlopen(url, timeout=TIMEOUT_S) as source, part.open("wb") as target:
        shutil.copyfileobj(source, target)
    part.replace(path)
