"""Training images → one compact file, and synthetic scenes → another."""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import tifffile
from skimage import io as skimage_io

from napari_segmate.core.synthetic import random_scene
from napari_segmate.training.sampling import renumber_layers

SETS = (
    "dsb2018",
    "usiigaci_phase",
    "axon_sem",
    "ecoli_brightfield",
    "cellbindb_demo",
    "stardist_example",
    "volumes_3d",
)
TRAIN_ONLY = frozenset({"cellbindb_demo", "stardist_example", "volumes_3d"})
"""Too few images to hold any out."""
HELD_OUT_GROUPS = {"axon_sem": frozenset({"crops256"})}
"""Groups chosen by hand where a hash of so few groups would leave one side empty."""
VALIDATION_SHARE = 7
"""One group of this many is held out."""
SYNTHETIC = "synthetic"
SYNTHETIC_PARTS = "synthetic_parts"
"""Scenes whose objects have parts inside: drawn more often than they are made."""
FULL_SIDE = 720
"""Larger images are judged by their first 512 pixels per axis."""


@dataclass(frozen=True, eq=False)
class Item:
    """One image with its labels.

    Parameters
    ----------
    name, modality : str
    validation : bool
        Held out of training.
    image : (H, W) or (H, W, 3) uint8
    layers : (L, H, W) int32
        Label images: objects, and for synthetic scenes their parts.
    """

    name: str
    modality: str
    validation: bool
    image: npt.NDArray[np.uint8]
    layers: npt.NDArray[np.int32]

    @property
    def labels(self) -> npt.NDArray[np.int32]:
        """The objects."""
        return self.layers[0]


def as_bytes(image: npt.NDArray[np.generic]) -> npt.NDArray[np.uint8]:
    """Return an image with its range, outliers left out, spread over 0 to 255."""
    pixels = image.astype(np.float32)
    if pixels.ndim == 3:
        pixels = pixels[..., :3]
    low, high = np.percentile(pixels, (0.5, 99.8))
    return (np.clip((pixels - low) / max(high - low, 1e-6), 0, 1) * 255).astype(np.uint8)


def is_held_out(name: str, group: str) -> bool:
    """Tell whether a group of a data set belongs to the validation split; by hash, so for good."""
    if name in TRAIN_ONLY:
        return False
    if name in HELD_OUT_GROUPS:
        return group in HELD_OUT_GROUPS[name]
    digest = hashlib.sha256(f"{name}{group}".encode()).hexdigest()
    return int(digest, 16) % VALIDATION_SHARE == 0


def read_sets(
    folder: Path,
    *,
    held_out: bool = False,
    convert: Callable[[npt.NDArray[np.generic]], npt.NDArray[np.generic]] = as_bytes,
) -> Iterator[Item]:
    """Yield the images of all data sets that the folder has, or only those held out."""
    found = [name for name in SETS if (folder / name / "manifest.csv").is_file()]
    if not found:
        raise SystemExit(f"{folder} has none of the data sets {', '.join(SETS)}")
    for name in found:
        with (folder / name / "manifest.csv").open(newline="") as manifest:
            for row in csv.DictReader(manifest):
                if not held_out or is_held_out(name, row["group"]):
                    yield from _read_item(folder / name, row, convert)


def _read_item(
    folder: Path,
    row: dict[str, str],
    convert: Callable[[npt.NDArray[np.generic]], npt.NDArray[np.generic]],
) -> Iterator[Item]:
    path = next((folder / "images").glob(f"{row['name']}.*"))
    image = tifffile.imread(path) if path.suffix == ".tif" else skimage_io.imread(path)
    labels = tifffile.imread(folder / "labels" / f"{row['name']}.tif")
    held_out = is_held_out(folder.name, row["group"])
    planes = [(row["name"], image, labels)]
    if labels.ndim == 3:
        # Every fifth plane: neighbours are nearly alike.
        numbers = range(4, len(labels) - 3, 5)
        planes = [(f"{row['name']}_{z}", image[z], labels[z]) for z in numbers]
        planes = [plane for plane in planes if np.count_nonzero(plane[2]) > 200]
    for name, pixels, plane in planes:
        layers = renumber_layers(plane[None].astype(np.int32))
        yield Item(name, row["modality"], held_out, convert(pixels), layers)


def synthetic_items(count: int, seed: int = 0, side: int = 256) -> Iterator[Item]:
    """Yield random scenes."""
    rng = np.random.default_rng(seed)
    for number in range(count):
        scene = random_scene(rng, (side, side))
        is_grey = not np.ptp(scene.image, axis=2).any()
        image = scene.image[..., 0] if is_grey else scene.image
        layers = renumber_layers(np.stack([scene.labels, scene.parts]))
        modality = SYNTHETIC_PARTS if layers[1].any() else SYNTHETIC
        yield Item(f"{SYNTHETIC}_{number}", modality, False, image, layers)


def write_pack(path: Path, items: Iterable[Item]) -> None:
    """Write items to one compressed file, at once or not at all."""
    index, arrays = [], {}
    for number, item in enumerate(items):
        index.append([item.name, item.modality, item.validation])
        arrays[f"image_{number}"] = item.image
        arrays[f"layers_{number}"] = item.layers.astype(np.uint16)
    temporary = path.with_suffix(".part")
    with temporary.open("wb") as file:
        np.savez_compressed(file, index=np.array(json.dumps(index)), **arrays)
    temporary.replace(path)


def read_pack(path: Path) -> list[Item]:
    """Return the items of a file that `write_pack` wrote."""
    with np.load(path) as arrays:
        return [
            Item(
                name,
                modality,
                validation,
                arrays[f"image_{number}"],
                arrays[f"layers_{number}"].astype(np.int32),
            )
            for number, (name, modality, validation) in enumerate(json.loads(str(arrays["index"])))
        ]


def pack_images(data: Path | None, work: Path) -> list[Item]:
    """Return the real images, from the pack in `work`, which is made from `data` when missing."""
    path = work / "images.npz"
    if not path.exists():
        if data is None:
            raise SystemExit(f"{path} does not exist: give the folder of the data sets with --data")
        work.mkdir(parents=True, exist_ok=True)
        write_pack(path, read_sets(data))
    return read_pack(path)


def pack_scenes(work: Path, count: int) -> list[Item]:
    """Return synthetic scenes, from the pack in `work`, which is made when missing."""
    path = work / f"synthetic_{count}.npz"
    if not path.exists():
        write_pack(path, synthetic_items(count))
    return read_pack(path)
