"""Draw what a model finds on held-out images, beside what people drew: one picture per modality.

python recipes/tiny/pictures.py --work DIR --out docs/images/model [--model tiny]
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import skimage.io
from pack import Item, pack_images
from scipy import ndimage
from skimage.segmentation import find_boundaries
from skimage.transform import resize

from napari_segmate.core.images.image_source import ContrastMode, ImageSource, Plane, guess_axes
from napari_segmate.core.numbers.metrics import average_precision
from napari_segmate.core.prompts import ObjectPrompts, Points
from napari_segmate.core.types import RGBImage
from napari_segmate.inference.embeddings.store import EmbeddingStore
from napari_segmate.models import load_model
from napari_segmate.models.base import Segmenter
from napari_segmate.tasks.automask.run import run
from napari_segmate.tasks.segment import run as segment

SIDE = 320
CUT = 512
GAP = 6
CLICKS = 12
COLOURS = {"truth": (80, 255, 80), "found": (255, 90, 60), "clicked": (80, 190, 255)}
Labels = npt.NDArray[np.integer[npt.NBitBase]]


def plane_of(image: npt.NDArray[np.uint8]) -> Plane:
    source = ImageSource(image, guess_axes(image.shape))
    return source.plane((), source.estimate_contrast(ContrastMode.PLANE, ()))


def clicked(plane: Plane, labels: Labels, model: Segmenter, store: EmbeddingStore) -> Labels:
    """Return the masks for a click in the middle of some objects."""
    ids = np.setdiff1d(labels, [0])
    chosen = np.random.default_rng(0).permutation(ids)[:CLICKS]
    depth = ndimage.distance_transform_edt(labels > 0)
    at = ndimage.maximum_position(depth, labels, chosen)
    prompts = [ObjectPrompts(Points([where])) for where in at]
    return segment(plane, prompts, model, store=store).labels()


def outlined(rgb: RGBImage, labels: Labels, colour: tuple[int, int, int]) -> RGBImage:
    """Return a square picture with the borders of objects drawn in."""
    height, width = rgb.shape[:2]
    scale = SIDE / max(height, width)
    shape = (max(1, round(height * scale)), max(1, round(width * scale)))
    shown = resize(rgb, shape, order=1, preserve_range=True, anti_aliasing=scale < 1)
    large = resize(labels, shape, order=0, preserve_range=True, anti_aliasing=False)
    picture = np.full((SIDE, SIDE, 3), 24, np.uint8)
    shown[find_boundaries(large.astype(np.int32), mode="inner")] = colour
    picture[: shape[0], : shape[1]] = shown.astype(np.uint8)
    return picture


def side_by_side(item: Item, model: Segmenter) -> tuple[RGBImage, float]:
    """Return image, truth, automatic result and clicks in a row, and the AP50 of the third."""
    image, labels = item.image[:CUT, :CUT], item.labels[:CUT, :CUT]
    plane, store = plane_of(image), EmbeddingStore()
    rgb = plane.read((0, 0, *plane.shape))
    found = run(plane, model, store=store).labels
    panels = [
        outlined(rgb, np.zeros_like(labels), COLOURS["truth"]),
        outlined(rgb, labels, COLOURS["truth"]),
        outlined(rgb, found, COLOURS["found"]),
        outlined(rgb, clicked(plane, labels, model, store), COLOURS["clicked"]),
    ]
    gap = np.full((SIDE, GAP, 3), 255, np.uint8)
    row = [part for panel in panels for part in (panel, gap)][:-1]
    return np.concatenate(row, axis=1), float(average_precision(labels, found, (0.5,))[0])


def rows_of(items: Sequence[Item], model: Segmenter) -> Iterator[RGBImage]:
    """Yield the best, the median and the worst of up to nine images."""
    chosen = np.unique(np.linspace(0, len(items) - 1, 9).astype(int))
    drawn = sorted((side_by_side(items[n], model) for n in chosen), key=lambda pair: -pair[1])
    for number in sorted({0, len(drawn) // 2, len(drawn) - 1}):
        yield drawn[number][0]


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, required=True, help="folder of the packed images")
    parser.add_argument("--data", type=Path, help="folder of the data sets, if not packed yet")
    parser.add_argument("--out", type=Path, required=True, help="folder for the pictures")
    parser.add_argument("--model", default="tiny", help="name of a model, or a weights file")
    options = parser.parse_args(arguments)
    options.out.mkdir(parents=True, exist_ok=True)
    model = load_model(options.model)
    by_modality: dict[str, list[Item]] = {}
    for item in pack_images(options.data, options.work):
        if item.validation:
            by_modality.setdefault(item.modality, []).append(item)
    for modality, items in by_modality.items():
        rows = list(rows_of(items, model))
        gap = np.full((GAP, rows[0].shape[1], 3), 255, np.uint8)
        parts = [part for row in rows for part in (row, gap)][:-1]
        path = options.out / f"{modality}.png"
        skimage.io.imsave(path, np.concatenate(parts), check_contrast=False)
        print(path)


if __name__ == "__main__":
    main()
