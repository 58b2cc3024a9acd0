"""Objects of stacks: one click each, one correction each, all automatically, filled in; and time.

``python -m benchmarks.stacks --data FOLDER``: FOLDER (or the environment variable
``NAPARI_SEGMATE_DATA``) holds volumes_3d and gala_em, each with ``images/NAME.tif`` and
``labels/NAME.tif``, planes first. Synthetic stacks need no folder.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

import numpy as np
import tifffile
from scipy import ndimage

from benchmarks._report import Table, report
from benchmarks.accuracy import VARIABLE
from napari_segmate.core.images.image_source import ImageSource, guess_axes
from napari_segmate.core.labels.interpolate import fill_between
from napari_segmate.core.masks.object_masks import instance_from_mask
from napari_segmate.core.numbers.metrics import average_precision, mask_iou
from napari_segmate.core.prompts import ObjectPrompts, Points
from napari_segmate.core.synthetic import stack_3d
from napari_segmate.core.types import BoolArray, LabelArray
from napari_segmate.models import load_model
from napari_segmate.models.base import Segmenter
from napari_segmate.tasks.automask.run import run_stack
from napari_segmate.tasks.automask.volume import run_volume
from napari_segmate.tasks.propagate.engine import PlaneByPlane
from napari_segmate.tasks.propagate.fill import fill_with_image
from napari_segmate.tasks.propagate.params import Params
from napari_segmate.tasks.propagate.planes import StackPlanes
from napari_segmate.tasks.propagate.run import Seed, run
from napari_segmate.tasks.propagate.state import Propagation

REAL = (
    ("volumes_3d", "embryo_8_cell_stage", 2.18),
    ("volumes_3d", "nuclei_1136", 1.0),
    ("volumes_3d", "ovule_membrane", 1.0),
    ("gala_em", "train", 1.0),
)
LEAST_VOXELS, LEAST_PLANES = 300, 4
"""Smaller objects are stubs at a face of the volume."""
ANISOTROPIES = (1, 2, 4, 8)


@dataclass(frozen=True, eq=False)
class Stack:
    """A volume with its truth."""

    name: str
    image: np.ndarray
    truth: LabelArray
    anisotropy: float

    @property
    def source(self) -> ImageSource:
        return ImageSource(self.image, guess_axes(self.image.shape))

    def planes(self, params: Params) -> StackPlanes:
        return StackPlanes(self.source, anisotropy=self.anisotropy, smooth_z=params.smooth_z)

    def objects(self, most: int) -> list[int]:
        """Return objects of some size, spread over the volume."""
        found = []
        for number, box in enumerate(ndimage.find_objects(self.truth), start=1):
            if box is None or box[0].stop - box[0].start < LEAST_PLANES:
                continue
            if np.count_nonzero(self.truth[box] == number) >= LEAST_VOXELS:
                found.append(number)
        chosen = np.unique(np.linspace(0, len(found) - 1, min(most, len(found))).astype(int))
        return [found[at] for at in chosen]


def synthetic(seed: int) -> Stack:
    image, truth = stack_3d((24, 128, 128), count=20, seed=seed)
    return Stack(f"synthetic {seed}", image, truth, 2.0)


def stacks(data: Path | None) -> Iterator[Stack]:
    yield from (synthetic(seed) for seed in (0, 1))
    for folder, name, anisotropy in REAL:
        path = None if data is None else data / folder
        if path is not None and (path / "images" / f"{name}.tif").exists():
            image = tifffile.imread(path / "images" / f"{name}.tif")
            truth = tifffile.imread(path / "labels" / f"{name}.tif").astype(np.int32)
            yield Stack(name, image, truth, anisotropy)


def inner_pixel(mask: BoolArray) -> tuple[float, float]:
    depth = ndimage.distance_transform_edt(np.pad(mask, 1))[1:-1, 1:-1]
    y, x = np.unravel_index(int(depth.argmax()), depth.shape)
    return float(y), float(x)


def middle_plane(inside: BoolArray) -> int:
    there = np.flatnonzero(inside.any(axis=(1, 2)))
    return int(there[len(there) // 2])


def clicked(stack: Stack, numbers: Sequence[int], model: Segmenter, params: Params) -> Propagation:
    """Return what one click into the middle plane of each object gives."""
    seeds = []
    for number in numbers:
        inside = stack.truth == number
        plane = middle_plane(inside)
        point = Points(np.array([inner_pixel(inside[plane])]))
        seeds.append(Seed(plane, ObjectPrompts(points=point), number))
    return run(stack.planes(params), model, seeds, params=params)


def corrected(
    stack: Stack, numbers: Sequence[int], state: Propagation, model: Segmenter, params: Params
) -> None:
    """Give each object its true mask on the plane where most of its pixels are wrong."""
    labels = state.labels()
    for number in numbers:
        inside = stack.truth == number
        wrong = ((labels == number) ^ inside).sum(axis=(1, 2)) * inside.any(axis=(1, 2))
        plane = int(wrong.argmax())
        state.set_anchor(number, plane, instance_from_mask(inside[plane]))
    for _ in PlaneByPlane(model, params).start(stack.planes(params), state):
        pass


def ious(stack: Stack, numbers: Sequence[int], labels: LabelArray) -> list[float]:
    return [mask_iou(labels == number, stack.truth == number) for number in numbers]


def clicks(stack: Stack, model: Segmenter, most: int) -> list[object]:
    params, numbers = Params(), stack.objects(most)
    started = perf_counter()
    state = clicked(stack, numbers, model, params)
    spent = perf_counter() - started
    first = ious(stack, numbers, state.labels())
    corrected(stack, numbers, state, model, params)
    second = ious(stack, numbers, state.labels())
    worse = sum(b < a - 0.02 for a, b in zip(first, second, strict=True))
    means = [f"{np.mean(values):.3f}" for values in (first, second)]
    return [stack.name, len(numbers), *means, worse, f"{spent:.0f}"]


def automatic(stack: Stack, model: Segmenter) -> list[object]:
    found: list[object] = [
        stack.name,
        f"{stack.anisotropy:g}",
        int(len(np.unique(stack.truth)) - 1),
    ]
    for route in (run_stack, run_volume):
        started = perf_counter()
        labels = route(stack.source, model, anisotropy=stack.anisotropy)
        score = average_precision(stack.truth, labels, ignore_min_area=60)[0]
        found += [f"{score:.3f}", int(labels.max()), f"{perf_counter() - started:.0f}"]
    return found


def thinned(stack: Stack, anisotropy: int) -> Stack:
    """Return every so many-th plane of an isotropic stack."""
    planes = slice(anisotropy // 2, None, anisotropy)
    name = f"{stack.name}, every {anisotropy}. plane" if anisotropy > 1 else stack.name
    image, truth = stack.image[planes], stack.truth[planes]
    return Stack(name, image, truth, stack.anisotropy * anisotropy)


def isotropic() -> Stack:
    """Return nuclei with planes as far apart as pixels."""
    image, truth = stack_3d((24, 96, 96), count=12, seed=3)
    doubled = ndimage.zoom(image, (2, 1, 1), order=1)
    return Stack("synthetic, isotropic", doubled, np.repeat(truth, 2, axis=0), 1.0)


def filled(stack: Stack, model: Segmenter, most: int) -> list[object]:
    """Return the IoU on the planes between when every third one is given."""
    numbers = stack.objects(most)
    truth = np.where(np.isin(stack.truth, numbers), stack.truth, 0)
    given = truth.copy()
    given[np.arange(len(given)) % 3 != 0] = 0
    alone = fill_between(given)
    pulled = fill_with_image(stack.planes(Params()), given, model)
    scores: list[list[float]] = [[], []]
    for number in numbers:
        there = np.flatnonzero((given == number).any(axis=(1, 2)))
        for plane in range(there.min(initial=0), there.max(initial=0)):
            if plane % 3:
                for result, values in zip((alone, pulled), scores, strict=True):
                    values.append(mask_iou(result[plane] == number, truth[plane] == number))
    return [stack.name, len(numbers), len(scores[0]), *(f"{np.mean(one):.3f}" for one in scores)]


def large(planes: int, side: int, count: int) -> Stack:
    """Return balls of 40 pixels in noise."""
    rng = np.random.default_rng(0)
    truth = np.zeros((planes, side, side), np.uint8)
    z, y, x = np.ogrid[:planes, :side, :side]
    for number in range(count):
        middle = (planes / 2, 60 + number % 4 * 120, 80 + number // 4 * 150)
        square = ((z - middle[0]) / (0.48 * planes)) ** 2
        square = square + ((y - middle[1]) / 22) ** 2 + ((x - middle[2]) / 20) ** 2
        truth[square < 1] = number + 1
    image = np.clip(rng.normal(30, 12, truth.shape) + 120 * (truth > 0), 0, 255).astype(np.uint8)
    return Stack(f"{planes} planes of {side} x {side}", image, truth, 1.0)


def timed(stack: Stack, model: Segmenter) -> list[object]:
    numbers, params = stack.objects(99), Params()
    first: list[float] = []
    started = perf_counter()
    seeds = []
    for number in numbers:
        inside = stack.truth[len(stack.truth) // 2] == number
        point = Points(np.array([inner_pixel(inside)]))
        seeds.append(Seed(len(stack.truth) // 2, ObjectPrompts(points=point), number))
    state = run(
        stack.planes(params),
        model,
        seeds,
        params=params,
        on_plane=lambda found: first.append(perf_counter() - started),
    )
    spent = perf_counter() - started
    score = float(np.mean(ious(stack, numbers, state.labels())))
    return [stack.name, len(numbers), f"{first[0]:.1f}", f"{spent:.1f}", f"{score:.3f}"]


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--data", type=Path, default=os.environ.get(VARIABLE))
    parser.add_argument("--model", default="tiny", help="a name, or a weights file")
    parser.add_argument("--objects", type=int, default=12, help="per stack, at most")
    parser.add_argument("--planes", type=int, default=100, help="of the stack that is timed")
    parser.add_argument(
        "--only", choices=["clicks", "automatic", "anisotropy", "fill", "time"], help="one table"
    )
    parser.add_argument("--no-save", action="store_true", help="print, write no file")
    options = parser.parse_args(argv)
    model = load_model(options.model)
    data = None if options.data is None else Path(options.data)
    makers = {
        "clicks": lambda: [clicks(one, model, options.objects) for one in stacks(data)],
        "automatic": lambda: [automatic(one, model) for one in stacks(data)],
        "anisotropy": lambda: [automatic(thinned(isotropic(), n), model) for n in ANISOTROPIES],
        "fill": lambda: [filled(one, model, options.objects) for one in stacks(data)],
        "time": lambda: [timed(large(options.planes, 512, 10), model)],
    }
    tables = [
        Table(*TITLES[name], rows=make(), text=TEXTS[name])
        for name, make in makers.items()
        if options.only in (None, name)
    ]
    name = "stacks" if options.only is None else f"stacks_{options.only}"
    report(name, f"Stacks, model {model.key}", tables, save=not options.no_save)


ROUTE = ["planes, linked: AP50", "objects", "s", "three views: AP50", "objects", "s"]
TITLES: dict[str, tuple[str, list[str]]] = {
    "clicks": (
        "One click on the middle plane of each object",
        ["stack", "objects", "one click: mean IoU", "one correction", "objects made worse", "s"],
    ),
    "automatic": ("All objects automatically", ["stack", "anisotropy", "objects", *ROUTE]),
    "anisotropy": ("By the distance of planes", ["stack", "anisotropy", "objects", *ROUTE]),
    "fill": (
        "Every third plane given",
        ["stack", "objects", "planes filled", "shapes alone: IoU", "pulled to the image"],
    ),
    "time": (
        "Time of a propagation",
        ["stack", "objects", "first plane, s", "all, s", "mean IoU"],
    ),
}
TEXTS = {
    "clicks": "A click into the pixel farthest from the border. The correction is the true mask on "
    "the plane where most pixels are wrong. Objects below 300 voxels or 4 planes are left out.",
    "automatic": "AP50 in three dimensions; objects below 60 voxels do not count.",
    "anisotropy": "Planes left out of one isotropic stack.",
    "fill": "IoU on the planes between, over all objects and planes.",
    "time": "Ten objects that go through nearly all planes, from the first click to the last mask.",
}


if __name__ == "__main__":
    main()
