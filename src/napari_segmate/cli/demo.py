"""``segmate demo``: the main job on a sample image, with the embedded model, offline."""

from __future__ import annotations

import json
from enum import StrEnum
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Annotated, Any

import typer

from napari_segmate.cli._options import AsJson
from napari_segmate.cli._parse import choice
from napari_segmate.cli._progress import progress
from napari_segmate.cli._viewer import check_viewer, open_viewer
from napari_segmate.core.errors import LabelsError

if TYPE_CHECKING:
    from napari_segmate.core.prompts import ObjectPrompts
    from napari_segmate.core.types import LabelArray, RGBImage
    from napari_segmate.tasks.segment import Segmentation

__all__ = ["demo"]

YELLOW = (255, 214, 0)
FILES = IMAGE, LABELS, PICTURE = "image.tif", "labels.tif", "picture.png"


class Sample(StrEnum):
    """Images to try: synthetic, so that what is right is known."""

    NUCLEI = "nuclei"
    TOUCHING = "touching-cells"


def demo(
    output: Annotated[
        Path,
        typer.Option(
            "--output",
            "-o",
            metavar="FOLDER",
            help="Folder for image, labels and picture; is made.",
        ),
    ] = Path("segmate-demo"),
    sample: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            parser=choice("sample", lambda: Sample),
            help="Image to segment: nuclei or touching-cells.",
        ),
    ] = "nuclei",
    view: Annotated[
        bool,
        typer.Option(
            "--view", help="Then open the image and the labels in napari; off by default."
        ),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Segment a sample image, one click per object, and save a picture and the labels.

    Example:

        segmate demo --output demo

        segmate demo --view
    """
    from napari_segmate.core.images.image_source import ContrastMode, ImageSource, guess_axes

    if view:
        check_viewer()
    _make(output)
    _check_own(output)
    image, truth = _sample(Sample(sample))
    source = ImageSource(image, guess_axes(image.shape, image.dtype))
    plane = source.plane((), source.estimate_contrast(ContrastMode.PLANE, ()))
    with progress(quiet=as_json) as context:
        from napari_segmate.models import load_model
        from napari_segmate.tasks.segment import run

        model = load_model(context=context)
        start = perf_counter()
        result = run(plane, _clicks(truth), model, context=context)
        seconds = perf_counter() - start
        files = _save(output, image, plane.read((0, 0, *plane.shape)), result)
    scores = {
        "objects": len(result.instances) - len(result.missing),
        "of": len(result.instances),
        "mean_iou": round(_mean_iou(result, truth), 3),
        "seconds": round(seconds, 2),
        "model": model.key,
    }
    typer.echo(json.dumps({**scores, **files}) if as_json else _told(scores, files))
    if view:
        open_viewer([Path(files["image"]), Path(files["labels"])])


def _sample(sample: Sample) -> tuple[Any, LabelArray]:
    from napari_segmate.core import synthetic

    return synthetic.nuclei() if sample is Sample.NUCLEI else synthetic.touching_cells()


def _clicks(truth: LabelArray) -> list[ObjectPrompts]:
    """Return one click per object, where it is thickest."""
    import numpy as np
    from scipy import ndimage

    from napari_segmate.core.prompts import ObjectPrompts, Points

    boxes = ndimage.find_objects(truth)
    clicks = []
    for value, box in enumerate(boxes, start=1):
        inside = np.pad(truth[box] == value, 1)
        depth = ndimage.distance_transform_edt(inside)[1:-1, 1:-1]
        at = np.array(np.unravel_index(np.argmax(depth), depth.shape), dtype=np.float64)
        at += box[0].start, box[1].start
        clicks.append(ObjectPrompts(Points(at[None])))
    return clicks


def _mean_iou(result: Segmentation, truth: LabelArray) -> float:
    import numpy as np

    labels = result.labels()
    values = range(1, len(result.instances) + 1)
    pairs = [(labels == value, truth == value) for value in values]
    return float(np.mean([(a & b).sum() / (a | b).sum() for a, b in pairs]))


def _make(output: Path) -> None:
    try:
        output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _unwritable(output, error) from error


def _check_own(output: Path) -> None:
    """Make sure that files of the user stay as they are; those of an earlier demo may go.

    Raises
    ------
    LabelsError
        There is a file of one of the names, and the image is none of the samples.
    """
    there = [name for name in FILES if (output / name).exists()]
    if there and not _is_sample(output / IMAGE):
        raise LabelsError(f"{output / there[0]} exists, of no demo; choose another --output")


def _is_sample(path: Path) -> bool:
    import numpy as np

    from napari_segmate.core.errors import ImageError
    from napari_segmate.io.images import read_image

    try:
        found, _ = read_image(path)
    except ImageError:
        return False
    return any(np.array_equal(found, _sample(one)[0]) for one in Sample)


def _unwritable(output: Path, error: OSError) -> LabelsError:
    return LabelsError(
        f"cannot write to {output} ({error.strerror or error}); choose another --output"
    )


def _save(output: Path, image: Any, rgb: RGBImage, result: Segmentation) -> dict[str, str]:
    import imageio.v3 as imageio
    import tifffile

    from napari_segmate.core.files.atomic import replacing
    from napari_segmate.io.labels import write_labels

    try:
        picture, original = output / PICTURE, output / IMAGE
        with replacing(picture) as part:
            imageio.imwrite(part, _drawn(rgb, result))
        with replacing(original) as part:
            tifffile.imwrite(part, image)
    except OSError as error:
        raise _unwritable(output, error) from error
    labels = write_labels(output / LABELS, result.labels(), axes="YX")
    return {"picture": str(picture), "labels": str(labels), "image": str(original)}


def _drawn(rgb: RGBImage, result: Segmentation) -> RGBImage:
    from napari_segmate.core.masks.object_masks import outline

    picture = rgb.copy()
    for instance in result.instances:
        if instance is not None:
            y0, x0, y1, x1 = instance.box_yx
            picture[y0:y1, x0:x1][outline(instance.mask)] = YELLOW
    return picture


def _told(scores: dict[str, Any], files: dict[str, str]) -> str:
    return (
        f"{scores['objects']} of {scores['of']} objects found with one click each in "
        f"{scores['seconds']:.1f} s by {scores['model']} "
        f"(mean IoU with the truth {scores['mean_iou']:.2f})\n"
        f"picture: {files['picture']}\nlabels:  {files['labels']}\nimage:   {files['image']}"
    )
