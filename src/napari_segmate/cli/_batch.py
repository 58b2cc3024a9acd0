"""Many images in, a label file for each out: what commands that work through folders share."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_segmate.cli._parse import channel_map
from napari_segmate.core.context import Context
from napari_segmate.core.errors import Cancelled, LabelsError, SegmateError
from napari_segmate.core.image import ImageSource

if TYPE_CHECKING:
    from napari_segmate.io.ome_zarr import OmeImage

__all__ = ["Done", "Reading", "Work", "counted", "expand", "jobs_for", "ome_of", "run_all"]

IMAGES = (".tif", ".tiff", ".png", ".jpg", ".jpeg", ".npy", ".zarr")
DEFAULT_FORMAT = ".tif"

Jobs = Sequence[tuple[Path, Path]]
Facts = dict[str, Any]


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
    """

    facts_suffix: str
    made_with: Mapping[str, Any]
    run: Callable[[Path, Path], Facts]


@dataclass(frozen=True)
class Reading:
    """How files become stacks of planes.

    Parameters
    ----------
    axes, channels : str, optional
        What the axes are, and which channels are shown, as users write it.
    link : bool
        Objects that go on from plane to plane are one.
    anisotropy : float, optional
        Distance of planes over that of pixels; what the file says by default.
    """

    axes: str | None
    channels: str | None
    link: bool
    anisotropy: float | None

    def source(self, image: Path) -> ImageSource:
        """Return an image file as planes that are read when they are needed."""
        from napari_segmate.io.images import read_image

        data, axes = read_image(image, self.axes)
        return ImageSource(data, axes, channel_map(self.channels))

    def anisotropy_of(self, image: Path) -> float:
        """Return the distance of planes over that of pixels; 1 where nobody says."""
        if self.anisotropy is not None:
            return self.anisotropy
        known = ome_of(image)
        if known is None or "z" not in known.axes:
            return 1.0
        return known.scale[known.axes.index("z")] / known.scale[known.axes.index("x")]


def ome_of(image: Path) -> OmeImage | None:
    """Return what an OME-Zarr folder says of itself; None for anything else."""
    from napari_segmate.io.ome_zarr import open_ome

    return open_ome(image) if image.is_dir() else None


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


def counted(number: int, what: str) -> str:
    """Return a number with its noun.

    Examples
    --------
    >>> counted(1, "object"), counted(0, "image")
    ('1 object', '0 images')
    """
    return f"{number} {what}{'' if number == 1 else 's'}"


def expand(inputs: Sequence[str]) -> list[Path]:
    """Return the images that files, folders and patterns name, in order, each once.

    Raises
    ------
    LabelsError
        There is none.
    """
    found: dict[Path, None] = {}
    for text in inputs:
        path = Path(text)
        if path.is_dir() and path.suffix != ".zarr":
            names = sorted(one for one in path.iterdir() if one.suffix.lower() in IMAGES)
            if not names:
                raise LabelsError(f"the folder {path} has no image; known are {', '.join(IMAGES)}")
        else:
            names = [path] if path.exists() else sorted(path.parent.glob(path.name))
            if not names:
                raise LabelsError(f"there is no file {text}")
        found.update(dict.fromkeys(names))
    return list(found)


def jobs_for(images: Sequence[Path], output: Path, ending: str = DEFAULT_FORMAT) -> Jobs:
    """Return where the labels of each image go: into one file, or a folder that is made.

    Parameters
    ----------
    images : sequence of Path
        The images.
    output : Path
        A file, when its name has an ending, else a folder.
    ending : str
        Of the files in a folder.

    Raises
    ------
    LabelsError
        Several images for one file, or a file or folder that cannot be written.
    """
    from napari_segmate.io.labels import check_target

    if output.suffix:
        if len(images) > 1:
            raise LabelsError(
                f"{len(images)} images cannot go into the one file {output}; give a folder"
            )
        return [(images[0], check_target(output))]
    jobs = [(image, output / f"{image.stem}_labels{ending}") for image in images]
    names = [target.name for _, target in jobs]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise LabelsError(
            f"several images would be written to {twice[0]}; give folders of their own to images "
            "of the same name"
        )
    try:
        output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise LabelsError(f"cannot make the folder {output}: {error.strerror or error}") from error
    return jobs


def run_all(jobs: Jobs, work: Work, *, overwrite: bool, context: Context) -> Done:
    """Do the work for each image that it was not done for; errors do not stop the others."""
    objects = skipped = 0
    errors = []
    for number, (image, target) in enumerate(jobs):
        context.report(number, len(jobs), image.name)
        if target.exists() and not overwrite:
            if _is_finished(target, image, work):
                skipped += 1
            else:
                errors.append(f"{target} exists and is of other settings; --overwrite replaces it")
            continue
        try:
            objects += _run_one(image, target, work)
        except Cancelled:
            raise
        except (SegmateError, OSError, MemoryError) as error:
            told = str(error)
            errors.append(told if told.startswith(str(image)) else f"{image}: {told}")
    context.report(len(jobs), len(jobs), "done")
    return Done(objects, len(jobs) - skipped - len(errors), skipped, tuple(errors))


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


def _is_finished(target: Path, image: Path, work: Work) -> bool:
    """Tell whether labels were made from this image, in this way."""
    try:
        stored = json.loads(_facts_path(target, work).read_text(encoding="utf-8"))
        wanted = _facts(image, work)
    except (OSError, ValueError):
        return False
    same = [name for name in wanted if name != "version"]
    return isinstance(stored, dict) and all(stored.get(name) == wanted[name] for name in same)
