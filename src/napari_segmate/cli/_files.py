"""Which images a command means, and where the labels of each go."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Sequence
from pathlib import Path

from napari_segmate.core.errors import LabelsError
from napari_segmate.core.files.paths import path_problem

__all__ = ["DEFAULT_FORMAT", "Jobs", "check_apart", "check_free", "expand", "jobs_for"]

IMAGES = (".tif", ".tiff", ".png", ".jpg", ".jpeg", ".bmp", ".npy", ".zarr")
DEFAULT_FORMAT = ".tif"
RECORDS = (".segmate-auto.json", ".segmate-text.json", ".segmate.json")
"""What lies beside labels that were made here: they are no images to label."""

Jobs = Sequence[tuple[Path, Path]]


def expand(inputs: Sequence[str]) -> list[Path]:
    """Return the images that files, folders and patterns name, in order, each once.

    Labels that were made here are left out, unless they are named themselves.

    Raises
    ------
    LabelsError
        There is none.
    """
    found: dict[Path, None] = {}
    for text in inputs:
        found.update(dict.fromkeys(_named(text)))
    return list(found)


def _named(text: str) -> list[Path]:
    path = Path(text)
    problem = path_problem(path)
    if problem is not None and not problem.startswith("does not exist"):
        raise LabelsError(f"{path} {problem}")
    if path.is_dir() and not _is_zarr(path):
        names = sorted(one for one in path.iterdir() if one.suffix.lower() in IMAGES)
        if not names:
            raise LabelsError(f"the folder {path} has no image; known are {', '.join(IMAGES)}")
    elif path.exists() or path.is_symlink():
        return [path]
    else:
        names = sorted(path.parent.glob(path.name)) if path.name else []
        if not names:
            raise LabelsError(f"there is no file {text}; check the name and the folder")
    images = [one for one in names if not _made_here(one)]
    if not images:
        raise LabelsError(f"{text} holds only labels that segmate wrote; name the images")
    return images


def _is_zarr(path: Path) -> bool:
    from napari_segmate.io.images import ZARR_FILES

    return path.suffix == ".zarr" or any((path / name).exists() for name in ZARR_FILES)


def _made_here(path: Path) -> bool:
    return any(path.with_name(path.name + suffix).exists() for suffix in RECORDS)


def jobs_for(images: Sequence[Path], output: Path, ending: str = DEFAULT_FORMAT) -> Jobs:
    """Return where the labels of each image go: into one file, or a folder that is made.

    Parameters
    ----------
    images : sequence of Path
        The images.
    output : Path
        A file, when its name has an ending and it is no folder yet; else a folder.
    ending : str
        Of the files in a folder.

    Raises
    ------
    LabelsError
        Several images for one file, or a file or folder that cannot be written.
    """
    from napari_segmate.io.labels import check_target

    problem = path_problem(output)
    if problem is not None and "not exist" not in problem:
        raise LabelsError(f"{output} {problem}")
    folder = output.is_dir() and output.suffix != ".zarr"
    if output.suffix and not folder:
        if len(images) > 1:
            raise LabelsError(
                f"{len(images)} images cannot go into the one file {output}; give a folder"
            )
        check_apart(output, images)
        return [(images[0], check_target(output))]
    jobs = [(image, output / f"{image.stem}_labels{ending}") for image in images]
    names = [target.name for _, target in jobs]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise LabelsError(
            f"several images would be written to {twice[0]}; give folders of their own to images "
            "of the same name"
        )
    for _, target in jobs:
        check_apart(target, images)
    try:
        output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise LabelsError(f"cannot make the folder {output}: {error.strerror or error}") from error
    return jobs


def check_apart(target: Path, images: Sequence[Path]) -> None:
    """Make sure that labels do not take the place of an image, hold it, or lie in it.

    Links are followed; names that only differ in case or in how letters are composed are taken for
    the same, as some disks do.

    Raises
    ------
    LabelsError
        They would.
    """
    place = _spelled_alike(target)
    for image in images:
        of_image = _spelled_alike(image)
        if place == of_image:
            raise LabelsError(
                f"the labels {target} would replace an image; choose another --output"
            )
        if place == of_image[: len(place)] or of_image == place[: len(of_image)]:
            where = "the image lies in it" if len(place) < len(of_image) else "it lies in the image"
            raise LabelsError(
                f"the labels {target} cannot be written: {where} ({image}); choose another --output"
            )


def check_free(written: Sequence[Path], overwrite: bool) -> None:
    """Make sure that nothing stands where a command will write, unless it may be replaced.

    Raises
    ------
    LabelsError
        Something does.
    """
    there = [path for path in written if path.exists()]
    if there and not overwrite:
        raise LabelsError(
            f"{there[0]} exists; choose another --output, or replace it (--overwrite)"
        )


def _spelled_alike(path: Path) -> tuple[str, ...]:
    """Return the parts of a real path in one spelling."""
    # Not Path.resolve: it raises at links that lead back to themselves.
    real = os.path.realpath(path)
    return Path(unicodedata.normalize("NFC", real).casefold()).parts
