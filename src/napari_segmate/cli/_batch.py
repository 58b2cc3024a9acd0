"""Many images in, a label file for each out: what commands that work through folders share."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from napari_segmate.cli._files import Jobs
from napari_segmate.cli._words import counted
from napari_segmate.core.context import Context
from napari_segmate.core.errors import Cancelled, ImageError, LabelsError, SegmateError
from napari_segmate.core.files.json_reader import read_json
from napari_segmate.core.files.paths import path_problem

__all__ = ["DEBUG_VARIABLE", "Done", "Work", "error_line", "run_all", "unexpected"]

Facts = dict[str, Any]
DEBUG_VARIABLE = "SEGMATE_DEBUG"
"""Set in the environment, errors that nobody foresaw show where they came from."""
LONGEST_SHOWN = 300


def _nothing(image: Path, target: Path) -> None:
    """Complete nothing."""


def _alone(image: Path, target: Path) -> Sequence[Path]:
    """Return no file beside the labels."""
    return ()


@dataclass(frozen=True)
class Work:
    """What is done to each image.

    Parameters
    ----------
    facts_suffix : str
        What is added to the name of the labels for the file that says how they came about.
    made_with : mapping
        All that the result depends on beside the image, as JSON has it.
    run : callable
        Called with the image and the label file to write; returns facts on the result, among
        them the number of ``"objects"``.
    complete : callable, optional
        Called with both where the labels are there already: writes what is asked for beside them
        and is not there yet.
    beside : callable, optional
        Called with both; returns the files that are written beside the labels.
    """

    facts_suffix: str
    made_with: Mapping[str, Any]
    run: Callable[[Path, Path], Facts]
    complete: Callable[[Path, Path], None] = _nothing
    beside: Callable[[Path, Path], Sequence[Path]] = _alone


@dataclass(frozen=True)
class Done:
    """What came of it."""

    objects: int
    images: int
    skipped: int
    errors: tuple[str, ...]

    def as_text(self) -> str:
        """Return it as a line for the user."""
        parts = []
        if self.images or not self.skipped:
            parts = [f"{counted(self.objects, 'object')} in {counted(self.images, 'image')}"]
        if self.skipped:
            parts.append(f"{self.skipped} done before (--overwrite does them again)")
        if self.errors:
            parts.append(f"{len(self.errors)} failed")
        return ", ".join(parts)


def run_all(jobs: Jobs, work: Work, *, overwrite: bool, context: Context) -> Done:
    """Do the work for each image that it was not done for; errors do not stop the others."""
    objects = skipped = 0
    errors = []
    for number, (image, target) in enumerate(jobs):
        context.report(number, len(jobs), image.name)
        try:
            problem = path_problem(image)
            if problem is not None:
                raise ImageError(f"{image} {problem}")
            if target.exists() and not overwrite:
                _check_finished(target, image, work)
                work.complete(image, target)
                skipped += 1
            else:
                _check_beside(work.beside(image, target), overwrite)
                objects += _run_one(image, target, work)
        except Cancelled:
            raise
        except Exception as error:
            # Readers and libraries raise what they like; the other images are still to be done.
            told = error_line(error)
            named = told.startswith((str(image), str(target)))
            errors.append(told if named else f"{image}: {told}")
    context.report(len(jobs), len(jobs), "done")
    return Done(objects, len(jobs) - skipped - len(errors), skipped, tuple(errors))


def error_line(error: BaseException) -> str:
    """Return an error as a user wants to read it."""
    if isinstance(error, SegmateError):
        return str(error)
    if isinstance(error, FileNotFoundError):
        return f"there is no file {error.filename} any more; was it moved or deleted?"
    if isinstance(error, OSError):
        return f"{error.strerror or error}; check the file and the disk, and try again"
    if isinstance(error, MemoryError):
        return f"{str(error) or 'the memory is full'}; close other programs, or give a .zarr output"
    return unexpected(error)


def unexpected(error: BaseException) -> str:
    """Return a line on an error that nobody foresaw."""
    said = " ".join(str(error).split())[:LONGEST_SHOWN]
    return (
        f"an unexpected {type(error).__name__} ({said}); please report it, with what "
        f"{DEBUG_VARIABLE}=1 shows"
    )


def _check_beside(files: Sequence[Path], overwrite: bool) -> None:
    """Make sure that tables of someone else stay as they are."""
    there = [path for path in files if path.exists()]
    if there and not overwrite:
        raise LabelsError(
            f"{there[0]} exists; choose another --output, or replace it (--overwrite)"
        )


def _run_one(image: Path, target: Path, work: Work) -> int:
    from napari_segmate.io.tables import write_whole

    started = time.monotonic()
    found = work.run(image, target)
    facts = _facts(image, work) | found | {"seconds": round(time.monotonic() - started, 2)}
    # Written last: its presence says that everything else is there.
    write_whole(_facts_path(target, work), json.dumps(facts, indent=1) + "\n")
    return int(found["objects"])


def _facts_path(target: Path, work: Work) -> Path:
    return target.with_name(target.name + work.facts_suffix)


def _facts(image: Path, work: Work) -> Facts:
    from napari_segmate.io.provenance import package_version

    state = image.stat()
    return {
        "input": str(image.resolve()),
        "input_bytes": state.st_size,
        "input_changed": state.st_mtime_ns,
        **json.loads(json.dumps(dict(work.made_with))),
        "version": package_version(),
    }


def _check_finished(target: Path, image: Path, work: Work) -> None:
    """Make sure that labels were made from this image, in this way.

    Raises
    ------
    LabelsError
        They were not; says what is different.
    """
    path = _facts_path(target, work)
    try:
        stored = read_json(path)
    except (OSError, ValueError):
        stored = None
    if not isinstance(stored, dict):
        raise LabelsError(
            f"{target} exists, and nothing says that this command made it; --overwrite replaces it"
        )
    wanted = _facts(image, work)
    other = [name for name in wanted if name != "version" and stored.get(name) != wanted[name]]
    if any(name.startswith("input") for name in other):
        raise LabelsError(
            f"{target} exists, made from another image than {image} is now; --overwrite replaces it"
        )
    if other:
        raise LabelsError(
            f"{target} exists, made with other settings ({', '.join(_differences(stored, wanted))})"
            "; --overwrite replaces it"
        )


def _differences(stored: Facts, wanted: Facts) -> list[str]:
    """Return the names of settings that differ, those inside of others by their own names."""
    names = []
    for name, value in wanted.items():
        before = stored.get(name)
        if name == "version" or before == value:
            continue
        if isinstance(before, dict) and isinstance(value, dict):
            names += [one for one in value if before.get(one) != value[one]]
        else:
            names.append(name)
    return names
