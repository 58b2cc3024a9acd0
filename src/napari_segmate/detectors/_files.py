"""Files of a detector: which are missing, what to say about them, how they are downloaded.

huggingface_hub would put them into a cache of its own, a tree of links that nobody can fill by hand
where there is no network, and does not go on with a download after a restart (see
`napari_segmate.core.files.weights`). What the hub is asked for here is one address.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from contextlib import suppress
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import urlopen

from napari_segmate.core.context import Context
from napari_segmate.core.errors import CacheError, ModelError, OfflineError
from napari_segmate.core.files.weights import WeightsFile, fetch, locate
from napari_segmate.detectors._revision import NOTE, commit_of, folder_of, note_commit, write_note
from napari_segmate.detectors.base import DetectorInfo

__all__ = ["HUB", "address_of", "download", "missing_files", "model_type", "offline"]

HUB = "https://huggingface.co"
TIMEOUT_S = 30.0
LIST = "files.json"
NOTES = (LIST, NOTE)
LEAST = ("config.json", "model.safetensors")
"""What must be there when nobody knows what else the repository has."""
NOT_GIVEN = (401, 403, 404)
READ = (".json", ".txt", ".safetensors")


def missing_files(info: DetectorInfo) -> tuple[str, ...]:
    """Return the files that are not there yet; a file of another size than published is not."""
    if info.path is not None or not (info.files or info.repository):
        return ()
    folder = folder_of(info)
    known = _known(info)
    return tuple(
        name
        for name in info.files or _listed(folder) or LEAST
        if not (locate(known[name]) if name in known else (folder / name).is_file())
    )


def download(info: DetectorInfo, context: Context) -> None:
    """Download the files that are missing.

    Large ones go on where they stopped, and are checked against the digest that is published.

    Raises
    ------
    OfflineError
        No connection; says which files to put where.
    ModelError
        No such repository or revision, or not one that everyone may download.
    Cancelled
        The user stopped the download.
    """
    known = _known(info)
    try:
        answer = _asked(info) if set(_wanted(info)) - set(known) else {}
        note_commit(info, answer.get("sha"))
        if answer and not info.files and not _listed(folder_of(info)):
            _save_list(info, answer)
        missing = missing_files(info)
        digests = _digests(answer)
        for name in missing:
            context.report(0, 0, f"downloading {name}")
            _get(info, name, known.get(name), digests.get(name), context)
    except CacheError:
        raise
    except (OSError, HTTPException, ValueError, KeyError) as error:
        raise _failure(info, error) from error


def _failure(info: DetectorInfo, error: Exception) -> Exception:
    # What `fetch` says names one file only.
    cause = error.__cause__ or error
    if isinstance(cause, HTTPError):
        cause.close()
        if cause.code in NOT_GIVEN:
            return ModelError(
                f"{HUB}/{info.repository} has nothing at {info.revision} that everyone may "
                f"download (HTTP {cause.code}); check name and revision, or put its files into "
                f"{folder_of(info)}"
            )
    return offline(info, str(cause))


def address_of(info: DetectorInfo, name: str) -> str:
    """Return where on the web a file of a detector is."""
    known = _known(info).get(name)
    at = commit_of(info) or info.revision
    return known.url if known else f"{HUB}/{info.repository}/resolve/{at}/{name}"


def _known(info: DetectorInfo) -> Mapping[str, WeightsFile]:
    return {Path(file.filename).name: file for file in info.weights}


def _get(
    info: DetectorInfo, name: str, file: WeightsFile | None, digest: str | None, context: Context
) -> None:
    url = address_of(info, name)
    target = folder_of(info) / name
    if file is None and digest:
        file = WeightsFile(f"{target.parent.name}/{name}", url, f"sha256:{digest}")
    if file is None:
        _copy(url, target)
    else:
        fetch(file, context)


def offline(info: DetectorInfo, reason: str = "") -> OfflineError:
    """Return the error that says which files to put where."""
    known = _known(info)
    home = f"{HUB}/{info.repository}"
    elsewhere = {name: file.url for name, file in known.items() if not file.url.startswith(home)}
    files = ", ".join(
        f"{name} ({elsewhere[name]})" if name in elsewhere else name for name in missing_files(info)
    )
    brief = f"{info.title} cannot be downloaded without a connection{reason and f' ({reason})'}"
    source = f"{home}/tree/{commit_of(info) or info.revision}"
    return OfflineError(f"{brief}; put {files} from {source} into {folder_of(info)}", brief=brief)


def _wanted(info: DetectorInfo) -> tuple[str, ...]:
    """Return the files that are missing, or something if it is not known which those are."""
    unknown = not info.files and not _listed(folder_of(info))
    return LEAST if unknown else missing_files(info)


def _asked(info: DetectorInfo) -> Mapping[str, Any]:
    """Return what the hub says of a repository: its commit, its files, digests of large ones."""
    at = commit_of(info) or info.revision
    address = f"{HUB}/api/models/{info.repository}/revision/{at}?blobs=true"
    with urlopen(address, timeout=TIMEOUT_S) as answer:
        return dict(json.load(answer))


def _digests(answer: Mapping[str, Any]) -> Mapping[str, str]:
    found = {}
    for one in answer.get("siblings", ()):
        large = one.get("lfs")
        if isinstance(large, Mapping):
            found[str(one["rfilename"])] = str(large["sha256"])
    return found


def _save_list(info: DetectorInfo, answer: Mapping[str, Any]) -> None:
    """Note which files a repository has, for the time when nobody can be asked."""
    names = [str(one["rfilename"]) for one in answer["siblings"]]
    names = [
        name for name in names if name.endswith(READ) and "/" not in name and name not in NOTES
    ]
    if not any(name.endswith(".safetensors") for name in names):
        raise ModelError(
            f"{info.repository} has no weights as safetensors at {info.revision}; choose another "
            "repository or revision, or convert them"
        )
    write_note(folder_of(info) / LIST, names)


def _listed(folder: Path) -> tuple[str, ...]:
    with suppress(OSError, ValueError):
        return tuple(json.loads((folder / LIST).read_text()))
    return ()


def _copy(url: str, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.part")
    with urlopen(url, timeout=TIMEOUT_S) as source, part.open("wb") as target:
        shutil.copyfileobj(source, target)
    part.replace(path)


def model_type(folder: Path) -> str:
    """Return what ``config.json`` in a folder calls its model; empty if there is none."""
    with suppress(OSError, ValueError, AttributeError):
        return str(json.loads((folder / "config.json").read_text()).get("model_type", ""))
    return ""
