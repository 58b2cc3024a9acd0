"""Annotated planes in a folder, as they were at one moment: what a training in a process reads."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from napari_segmate.core.errors import CacheError, LabelsError
from napari_segmate.core.files.atomic import write_text
from napari_segmate.training.data import Sample

__all__ = ["MANIFEST", "is_snapshot", "read_snapshot", "write_snapshot"]

MANIFEST = "manifest.json"
VERSION = 1


def is_snapshot(folder: Path) -> bool:
    """Tell whether a folder holds a snapshot."""
    return (folder / MANIFEST).is_file()


def write_snapshot(folder: Path, samples: Iterable[Sample]) -> None:
    """Write samples; the manifest comes last, so that a folder that has one is whole.

    Raises
    ------
    CacheError
        The disk is full or cannot be written.
    LabelsError
        There is no sample.
    """
    entries: list[dict[str, str]] = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for number, sample in enumerate(samples):
            file = f"{number:05d}.npz"
            np.savez(folder / file, image=sample.image, labels=sample.labels, known=sample.known)
            entries.append({"file": file, "name": sample.name, "group": sample.group})
        if not entries:
            raise LabelsError("there is no annotated plane; choose an image and its labels")
        manifest = {"version": VERSION, "samples": entries}
        write_text(folder / MANIFEST, json.dumps(manifest, indent=1))
    except OSError as error:
        raise CacheError(
            f"the labels cannot be copied to {folder} ({error.strerror or error}); free some space"
        ) from error


def read_snapshot(folder: Path) -> tuple[Sample, ...]:
    """Return the samples of a snapshot.

    Raises
    ------
    LabelsError
        The folder holds none, or a damaged one.
    """
    try:
        manifest: Any = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        return tuple(_sample(folder, entry) for entry in manifest["samples"])
    except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
        raise LabelsError(
            f"{folder} holds no readable training data ({error}); write it again"
        ) from error


def _sample(folder: Path, entry: dict[str, str]) -> Sample:
    with np.load(folder / entry["file"], allow_pickle=False) as arrays:
        return Sample(
            entry["name"], arrays["image"], arrays["labels"], arrays["known"], entry["group"]
        )
