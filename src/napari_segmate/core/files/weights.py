"""Weights files: where they lie, how they are downloaded and checked.

Written by hand because pooch (1.9) neither resumes nor locks, and huggingface_hub (2.4), which
locks, writes each attempt to a file of its own and so begins anew after a restart. Downloads of
about a gigabyte must do both, be cancelled between two blocks, and leave nothing that looks whole.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

from filelock import FileLock, Timeout

from napari_segmate.core.context import Context
from napari_segmate.core.errors import CacheError, OfflineError, WeightsError

__all__ = [
    "WeightsFile",
    "cache_folder",
    "digest_of",
    "fetch",
    "locate",
    "own_models_folder",
    "weights_path",
]

CACHE_VARIABLE = "NAPARI_SEGMATE_CACHE"
OWN_VARIABLE = "NAPARI_SEGMATE_MODELS"
MIRROR_VARIABLE = "NAPARI_SEGMATE_MIRROR"
CHUNK_BYTES = 1 << 18
TIMEOUT_S = 30.0
WAIT_S = 0.2


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
    about : int
        Roughly how many, where `size` is unknown: to be told, never to be checked.
    """

    filename: str
    url: str
    digest: str
    size: int = 0
    about: int = 0


def cache_folder() -> Path:
    """Return the folder for downloads and caches; ``NAPARI_SEGMATE_CACHE`` sets another one."""
    chosen = os.environ.get(CACHE_VARIABLE)
    if chosen:
        return Path(chosen).expanduser()
    import platformdirs

    return Path(platformdirs.user_cache_dir("napari-segmate"))


def own_models_folder() -> Path:
    """Return the folder of the models that the user has trained; they cannot be downloaded again.

    ``NAPARI_SEGMATE_MODELS`` sets another one; otherwise it lies beside the caches where
    ``NAPARI_SEGMATE_CACHE`` sets their place, and in the user's data folder where it does not.
    """
    chosen = os.environ.get(OWN_VARIABLE)
    if chosen:
        return Path(chosen).expanduser()
    if os.environ.get(CACHE_VARIABLE):
        return cache_folder() / "own-models"
    import platformdirs

    return Path(platformdirs.user_data_dir("napari-segmate")) / "models"


def weights_path(file: WeightsFile) -> Path:
    """Return where a weights file belongs, whether it is there or not."""
    return cache_folder() / "models" / file.filename


def locate(file: WeightsFile) -> Path | None:
    """Return a weights file that is already there, None when it must be downloaded.

    A file of another size than published is not taken: it is half a download. The digest is checked
    when a file is downloaded, not each time.
    """
    path = weights_path(file)
    if not path.is_file() or (file.size and path.stat().st_size != file.size):
        return None
    return path


def fetch(file: WeightsFile, context: Context | None = None, mirror: str | None = None) -> Path:
    """Return a weights file, downloaded if need be.

    An interrupted download goes on where it stopped; of several programs one downloads and the
    others wait. The file appears under its name only once it
    is whole and its digest is right.

    Parameters
    ----------
    file : WeightsFile
        What to download.
    context : Context, optional
        Progress in bytes, and cancellation.
    mirror : str, optional
        Address of a folder that holds the files under their names, tried instead of the official
        one. Default: the environment's ``NAPARI_SEGMATE_MIRROR``.

    Raises
    ------
    OfflineError
        No connection; says which file to put where.
    WeightsError
        Another size or digest than published.
    CacheError
        The cache folder cannot be written.
    Cancelled
        The user stopped the download; what has arrived stays for the next time.
    """
    found = locate(file)
    if found is not None:
        return found
    context = context or Context()
    path = weights_path(file)
    partial = path.with_name(path.name + ".part")
    with _cache_errors(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
        with _alone(file, context):
            # Another program may have downloaded it while this one waited.
            if locate(file) is None:
                _download(file, _address(file, mirror), partial, path, context)
                _check(file, partial, path, context)
                partial.replace(path)
    return path


def _lock_path(file: WeightsFile) -> Path:
    return cache_folder() / "locks" / f"{file.filename}.lock"


@contextmanager
def _alone(file: WeightsFile, context: Context) -> Iterator[None]:
    """Wait until no other program downloads the same file, and keep others waiting."""
    # The empty file stays: a new lock beside a deleted one would let two in.
    place = _lock_path(file)
    place.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(place, timeout=0, thread_local=False)
    while not lock.is_locked:
        try:
            lock.acquire()
        except Timeout:
            context.report(0, 0, f"waiting for another download of {file.filename}")
            time.sleep(WAIT_S)
    try:
        yield
    finally:
        lock.release()


def digest_of(path: Path, algorithm: str = "sha256", context: Context | None = None) -> str:
    """Return the digest of a file, ``"sha256:..."`` or ``"xxh128:..."``.

    Raises
    ------
    WeightsError
        An algorithm that is not known.
    """
    hasher = _hasher(algorithm)
    context = context or Context()
    with path.open("rb") as stream:
        while block := stream.read(1 << 22):
            context.check()
            hasher.update(block)
    return f"{algorithm}:{hasher.hexdigest()}"


def _hasher(algorithm: str) -> Any:
    if algorithm == "sha256":
        return hashlib.sha256()
    if algorithm == "xxh128":
        import xxhash

        return xxhash.xxh128()
    raise WeightsError(f"no digest {algorithm!r}; choose one of ['sha256', 'xxh128']")


def _address(file: WeightsFile, mirror: str | None) -> str:
    mirror = mirror or os.environ.get(MIRROR_VARIABLE)
    address = f"{mirror.rstrip('/')}/{file.filename}" if mirror else file.url
    if urlsplit(address).scheme not in ("http", "https"):
        raise WeightsError(f"the address {address!r} must begin with http:// or https://")
    return address


def _by_hand(file: WeightsFile, address: str, path: Path) -> str:
    return (
        f"Download {address} on a machine with a connection and save it as {path}, "
        f"or set {MIRROR_VARIABLE} to the address of a folder that has '{file.filename}'."
    )


def _download(file: WeightsFile, address: str, partial: Path, path: Path, context: Context) -> None:
    done = partial.stat().st_size if partial.exists() else 0
    if file.size and done == file.size:
        return
    if file.size and done > file.size:
        partial.unlink()
        done = 0
    try:
        with _open(address, done) as response:
            done = done if response.status == 206 else 0
            _save(response, partial, done, file, context)
    except (HTTPError, URLError, TimeoutError, ConnectionError, HTTPException) as error:
        raise OfflineError(
            f"{file.filename} could not be downloaded ({error}). {_by_hand(file, address, path)}"
        ) from error


def _open(address: str, start: int) -> HTTPResponse:
    headers = {"User-Agent": "napari-segmate"}
    if start:
        headers["Range"] = f"bytes={start}-"
    try:
        response: HTTPResponse = urlopen(Request(address, headers=headers), timeout=TIMEOUT_S)
    except HTTPError as error:
        if error.code == 416 and start:
            error.close()
            return _open(address, 0)
        raise
    return response


def _blocks(response: HTTPResponse) -> Iterator[bytes]:
    """Yield what arrives; what fails here is the connection, not the disk."""
    try:
        while block := response.read(CHUNK_BYTES):
            yield block
    except OSError as error:
        raise ConnectionError(str(error)) from error


def _save(
    response: HTTPResponse, partial: Path, done: int, file: WeightsFile, context: Context
) -> None:
    length = int(response.headers.get("Content-Length") or 0)
    announced = done + length if length else 0
    total = file.size or announced
    with partial.open("ab" if done else "wb") as stream:
        for block in _blocks(response):
            stream.write(block)
            done += len(block)
            context.report(done, total, f"downloading {file.filename}")
    if done < announced:
        raise ConnectionError(f"the connection broke after {done} of {announced} bytes")


def _check(file: WeightsFile, partial: Path, path: Path, context: Context) -> None:
    size = partial.stat().st_size
    if file.size and size != file.size:
        partial.unlink()
        raise WeightsError(
            f"{file.filename} has {size} bytes instead of {file.size}: the address serves another "
            "file. Try again, or choose another model."
        )
    context.report(0, 0, f"checking {file.filename}")
    digest = digest_of(partial, file.digest.partition(":")[0], context)
    if digest != file.digest:
        partial.unlink()
        raise WeightsError(
            f"{file.filename} has the digest {digest} instead of {file.digest}: it is damaged or "
            f"another file, and was deleted. Try again; {_by_hand(file, file.url, path)}"
        )


@contextmanager
def _cache_errors(folder: Path) -> Iterator[None]:
    """Turn what the disk says into an error with a cure; ours pass."""
    try:
        yield
    except (OfflineError, WeightsError, CacheError):
        raise
    except OSError as error:
        raise CacheError(
            f"cannot write to {folder} ({error.strerror or error}). Free some space or give write "
            f"access, or set {CACHE_VARIABLE} to another folder."
        ) from error
