"""What dense maps can tell at best: maps made from the truth, turned into labels as in use.

``python -m benchmarks.perfect_maps --data FOLDER``: truth, targets, maps at the stride of the
network, objects, average precision. FOLDER (or the environment variable
``NAPARI_SEGMATE_DATA``) holds one folder per data set with ``manifest.csv`` and
``labels/NAME.tif``. A network can only be worse than its targets; how much worse, the table of
spoilt maps hints at: the same maps, blurred and with noise that is alike in neighbouring cells.
"""

from __future__ import annotations

import argparse
import csv
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import tifffile
import torch
from scipy import ndimage

from benchmarks._report import Table, report
from benchmarks.accuracy import VARIABLE
from napari_segmate.core.metrics import MSA_THRESHOLDS, average_precision
from napari_segmate.core.types import DenseMaps, FloatArray
from napari_segmate.models.tiny import CENTRE_RADIUS, maps_at_half
from napari_segmate.tasks.auto_labels import labels_of_maps
from napari_segmate.tasks.auto_params import Params
from napari_segmate.training.targets import OFFSET_UNIT, dense_targets, flow_targets

MIN_AREA = 20
LARGEST = 1400
"""Pixels of a side: more of an image is left out."""
SURE = 12.0
"""Logit of a cell that is foreground for certain."""
BLUR, NOISE, ALIKE = 1.5, 0.2, 3.0
"""Cells of the blur of spoilt maps, strength of the noise, and cells over which it is alike."""
COLUMNS = ["kind of image", "objects", "wide"]
Labels = npt.NDArray[np.int32]
Maker = Callable[[Labels], DenseMaps]


def centre_maps(labels: Labels) -> DenseMaps:
    """Return maps of centre offsets with 4 pixels a cell, as networks without flow have them."""
    targets = dense_targets(labels)
    foreground = np.where(targets.foreground > 0, SURE, -SURE)[None]
    parts = [foreground, targets.distance[None], targets.offset_yx, foreground * 0]
    return maps_at_half(torch.from_numpy(np.concatenate(parts).astype(np.float32)), labels.shape)


def fine_centre_maps(labels: Labels) -> DenseMaps:
    """Return maps of centre offsets with 2 pixels a cell."""
    targets = dense_targets(labels.repeat(2, 0).repeat(2, 1))
    # Labels are twice as large here: offsets are halves of what they say.
    off_centre = np.square(targets.offset_yx * OFFSET_UNIT / 2).sum(0)
    near = np.exp(-off_centre / (2 * CENTRE_RADIUS**2)) * targets.foreground
    return DenseMaps(targets.foreground, targets.distance, near, labels.shape)


def flow_maps(labels: Labels) -> DenseMaps:
    """Return flow maps with 2 pixels a cell."""
    targets = flow_targets(labels)
    likely, depth = targets.foreground, targets.distance
    return DenseMaps(likely, depth, depth, labels.shape, targets.flow_yx)


KINDS: dict[str, Maker] = {
    "centres, 4 px": centre_maps,
    "centres, 2 px": fine_centre_maps,
    "flow, 2 px": flow_maps,
}


def spoilt(maps: DenseMaps, rng: np.random.Generator) -> DenseMaps:
    """Return maps that are blurred and noisy."""

    def worse(values: npt.NDArray[Any]) -> FloatArray:
        noise = ndimage.gaussian_filter(rng.standard_normal(values.shape), ALIKE)
        noise *= NOISE / max(float(noise.std()), 1e-6)
        blurred = ndimage.gaussian_filter(values, BLUR) + noise
        return np.clip(blurred, -1 if (values < 0).any() else 0, 1).astype(np.float32)

    likely, depth, near = (worse(one) for one in (maps.foreground, maps.depth, maps.centre))
    flow = maps.flow_yx if maps.flow_yx is None else np.stack([worse(one) for one in maps.flow_yx])
    return replace(maps, foreground=likely, depth=depth, centre=near, flow_yx=flow)


@dataclass
class Reached:
    """Scores of one kind of maps on one kind of image."""

    perfect: list[npt.NDArray[np.float64]] = field(default_factory=list)
    spoilt: list[npt.NDArray[np.float64]] = field(default_factory=list)
    ms: list[float] = field(default_factory=list)

    def add(self, labels: Labels, make: Maker) -> None:
        maps = make(labels)
        begin = time.perf_counter()
        found = found_in(maps)
        self.ms.append(1000 * (time.perf_counter() - begin) / labels.size * 512**2)
        self.perfect.append(_precision(labels, found))
        worse = found_in(spoilt(maps, np.random.default_rng(0)))
        self.spoilt.append(_precision(labels, worse))


def found_in(maps: DenseMaps) -> Labels:
    return np.asarray(labels_of_maps(maps, Params()).labels, dtype=np.int32)


def _precision(labels: Labels, found: Labels) -> npt.NDArray[np.float64]:
    """Return mSA and AP50."""
    values = average_precision(labels, found, MSA_THRESHOLDS, ignore_min_area=MIN_AREA)
    return np.array([values.mean(), values[0]])


def read_labels(data: Path, images: int) -> Iterator[tuple[str, Labels]]:
    """Yield kind and labels of the first images of each kind in each data set."""
    for manifest in sorted(data.glob("*/manifest.csv")):
        taken: dict[str, int] = {}
        with manifest.open(newline="") as file:
            for row in csv.DictReader(file):
                path = manifest.parent / "labels" / f"{row['name']}.tif"
                kind = f"{manifest.parent.name}: {row['modality'].replace('_', ' ')}"
                if taken.get(kind, 0) < images and path.is_file():
                    labels = tifffile.imread(path)
                    # Of a stack the plane in the middle.
                    labels = labels[len(labels) // 2] if labels.ndim == 3 else labels
                    if labels.any():
                        taken[kind] = taken.get(kind, 0) + 1
                        yield kind, labels.astype(np.int32)


def shown(labels: Labels, diameter: float) -> Labels:
    """Return labels as a network sees them: the median object so many pixels wide."""
    areas = np.bincount(labels.ravel())[1:]
    zoom = diameter / float(np.median(np.sqrt(4 * areas[areas > 0] / np.pi)))
    for axis in (0, 1):
        side = 2 * max(int(labels.shape[axis] * zoom) // 2, 8)
        labels = labels.take((2 * np.arange(side) + 1) * labels.shape[axis] // (2 * side), axis)
    return _large(labels[:LARGEST, :LARGEST])


def _large(labels: Labels) -> Labels:
    keep = np.bincount(labels.ravel()) >= MIN_AREA
    keep[0] = False
    return np.asarray((np.cumsum(keep) * keep)[labels], dtype=np.int32)


def measure(data: Path, images: int, diameters: Sequence[float]) -> list[Table]:
    """Return the tables: perfect maps, spoilt maps, time."""
    reached: dict[tuple[str, float], dict[str, Reached]] = {}
    objects: dict[tuple[str, float], int] = {}
    for kind, labels in read_labels(data, images):
        for diameter in diameters:
            seen = shown(labels, diameter)
            key = kind, diameter
            objects[key] = objects.get(key, 0) + int(seen.max())
            by_maps = reached.setdefault(key, {name: Reached() for name in KINDS})
            for name, make in KINDS.items():
                by_maps[name].add(seen, make)
    texts = {
        "perfect": "Means over images: mSA / AP50 of the objects in maps made from the truth.",
        "spoilt": (
            f"The same maps, blurred by {BLUR} cells, with noise of {NOISE} that is alike within "
            f"{ALIKE:g} cells: the order of the kinds counts, not the numbers."
        ),
    }
    tables = []
    for state, text in texts.items():
        rows = []
        for (kind, diameter), by_maps in reached.items():
            cells = [np.mean(getattr(one, state), axis=0) for one in by_maps.values()]
            shown_cells = [f"{msa:.2f} / {ap50:.2f}" for msa, ap50 in cells]
            rows.append([kind, objects[kind, diameter], f"{diameter:g} px", *shown_cells])
        tables.append(Table(f"{state.capitalize()} maps", [*COLUMNS, *KINDS], rows, text))
    times = [
        [name, f"{np.mean([np.mean(each[name].ms) for each in reached.values()]):.0f} ms"]
        for name in KINDS
    ]
    text = "Maps to labels for 512 x 512 pixels, on one core; the kinds are measured in turn."
    return [*tables, Table("Time", ["maps", "time"], times, text)]


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=os.environ.get(VARIABLE))
    parser.add_argument("--images", type=int, default=6, help="of each kind")
    parser.add_argument("--diameters", type=float, nargs="+", default=[30.0, 46.0])
    parser.add_argument("--no-save", action="store_true", help="only print")
    options = parser.parse_args(arguments)
    if not options.data or not Path(options.data).is_dir():
        print(f"skipped: no folder of data sets; name it with --data or {VARIABLE}")
        return
    torch.set_num_threads(1)
    tables = measure(Path(options.data), options.images, options.diameters)
    report("perfect_maps", "What dense maps can tell at best", tables, save=not options.no_save)


if __name__ == "__main__":
    main()
