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
from scipy import ndimage
from skimage import io as skimage_io
from skimage import measure

from napari_segmate.core.synthetic import Scene, packed_scene, random_scene
from napari_segmate.training.sampling import renumber_layers


@dataclass(frozen=True)
class Source:
    """A data set that the recipe knows, and how to read it.

    Parameters
    ----------
    licence : str
        Terms of its images and labels.
    held_out : bool
        Whether groups of it are held out for validation; no where there are too few.
    every : int
        Of stacks, one plane of this many: neighbours are nearly alike.
    nested : str
        Folder of a second label image per picture: parts of the objects, or the wholes round them.
    pieces : bool
        Whether each connected piece of a label is an object of its own in a plane of a volume.
    sparse : tuple of str
        Modalities of which not every object is labelled.
    """

    licence: str
    held_out: bool = True
    every: int = 5
    nested: str = ""
    pieces: bool = False
    sparse: tuple[str, ...] = ()


SOURCES = {
    "dsb2018": Source("CC0"),
    "usiigaci_phase": Source("MIT"),
    "axon_sem": Source("MIT"),
    "ecoli_brightfield": Source("MIT"),
    "cellbindb_demo": Source("MIT, CC0", held_out=False),
    "stardist_example": Source("BSD-3-Clause", held_out=False),
    "volumes_3d": Source("MIT, BSD-3-Clause", held_out=False, pieces=True),
    "axondeepseg_sem": Source("MIT", nested="labels_fibre"),
    "omnipose_bacteria": Source("MIT"),
    "yeastvision_movie": Source("BSD-3-Clause", held_out=False, every=1),
    "c2c12_movie": Source("CC BY 4.0", held_out=False, every=3),
    "ndev_scratch": Source(
        "BSD-3-Clause",
        held_out=False,
        nested="labels_nuclei",
        sparse=("oblique_brightfield_cells", "fluorescence_nuclei"),
    ),
    "gala_em": Source("BSD-3-Clause", held_out=False, pieces=True),
    "neubias_nuclei": Source("CC BY 4.0", held_out=False),
}
"""Sets by name; those that may be redistributed as weights and are not kept to judge retraining."""
HELD_OUT_GROUPS = {"axon_sem": frozenset({"crops256"})}
"""Groups chosen by hand where a hash of so few groups would leave one side empty."""
VALIDATION_SHARE = 7
"""One group of this many is held out."""
SYNTHETIC = "synthetic"
SYNTHETIC_PARTS = "synthetic_parts"
"""Scenes whose objects have parts inside: drawn more often than they are made."""
SYNTHETIC_PACKED = "synthetic_packed"
"""Colonies, membranes and clear cells, of which there are few real images."""
PACKED_SHARE = 3
"""One such scene is made for so many of the others."""
MIN_PIECE = 12
"""Pixels of the smallest piece of an object of a volume that a plane shows."""
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
        Label images: objects; then, where there are any, their parts or the wholes round them.
    sparse : bool
        Not every object is labelled: what lies far from all labels is not sure to be background.
    """

    name: str
    modality: str
    validation: bool
    image: npt.NDArray[np.uint8]
    layers: npt.NDArray[np.int32]
    sparse: bool = False

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
    if not SOURCES[name].held_out:
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
    found = [name for name in SOURCES if (folder / name / "manifest.csv").is_file()]
    if not found:
        raise SystemExit(f"{folder} has none of the data sets {', '.join(SOURCES)}")
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
    source, modality = SOURCES[folder.name], row["modality"]
    path = next((folder / "images").glob(f"{row['name']}.*"))
    image = tifffile.imread(path) if path.suffix == ".tif" else skimage_io.imread(path)
    labels = _read_layers(folder, row["name"], source.nested)
    planes = [(row["name"], image, labels)]
    if labels.ndim == 4:
        planes = list(_planes(row, image, labels, source))
    held_out, sparse = is_held_out(folder.name, row["group"]), modality in source.sparse
    for name, pixels, layers in planes:
        numbered = renumber_layers(layers.astype(np.int32))
        yield Item(name, modality, held_out, convert(pixels), numbered, sparse)


def _read_layers(folder: Path, name: str, nested: str) -> npt.NDArray[np.generic]:
    paths = [folder / "labels" / f"{name}.tif"]
    if nested and (folder / nested / f"{name}.tif").is_file():
        paths.append(folder / nested / f"{name}.tif")
    return np.stack([tifffile.imread(path) for path in paths])


def _planes(
    row: dict[str, str],
    image: npt.NDArray[np.generic],
    layers: npt.NDArray[np.generic],
    source: Source,
) -> Iterator[tuple[str, npt.NDArray[np.generic], npt.NDArray[np.generic]]]:
    """Yield name, image and layers of planes of a stack; of volumes in all directions."""
    spacing = row.get("spacing_zyx", "unknown")
    volume = row.get("kind", "z_stack") == "z_stack"
    known = volume and spacing != "unknown"
    sizes = [float(size) for size in spacing.split(",")] if known else [1.0, 1.0, 1.0]
    for axis in range(3 if known else 1):
        across = [size for at, size in enumerate(sizes) if at != axis]
        zoom = np.array(across) / min(across)
        depth, first = image.shape[axis], 4 if volume else 0
        for place in range(first, depth - first, source.every):
            found = np.take(layers, place, axis + 1)
            if source.pieces:
                found = np.stack([_pieces(labels) for labels in found])
            if np.count_nonzero(found) > 200:
                name = f"{row['name']}_{'zyx'[axis]}{place}"
                yield (
                    name,
                    _stretch(np.take(image, place, axis), zoom, 1),
                    np.stack([_stretch(labels, zoom, 0) for labels in found]),
                )


def _stretch(
    plane: npt.NDArray[np.generic], zoom: npt.NDArray[np.float64], order: int
) -> npt.NDArray[np.generic]:
    """Return a plane whose pixels are as high as wide."""
    if (zoom == 1).all():
        return plane
    return np.asarray(ndimage.zoom(plane, zoom, order=order, mode="nearest"))


def _pieces(labels: npt.NDArray[np.generic]) -> npt.NDArray[np.int32]:
    """Return each connected piece of each label with a number of its own, crumbs left out."""
    pieces = measure.label(labels, connectivity=1)
    crumbs = np.bincount(pieces.ravel()) < MIN_PIECE
    return np.where(crumbs[pieces], 0, pieces).astype(np.int32)


def synthetic_items(count: int, seed: int = 0, side: int = 256) -> Iterator[Item]:
    """Yield random scenes."""
    rng = np.random.default_rng(seed)
    for number in range(count):
        scene = random_scene(rng, (side, side))
        modality = SYNTHETIC_PARTS if scene.parts.any() else SYNTHETIC
        yield _scene_item(f"{SYNTHETIC}_{number}", modality, scene)


def packed_items(count: int, seed: int = 0, side: int = 256) -> Iterator[Item]:
    """Yield random scenes of kinds that are rare among the real images."""
    rng = np.random.default_rng(seed)
    for number in range(count):
        scene = packed_scene(rng, (side, side))
        yield _scene_item(f"{SYNTHETIC_PACKED}_{number}", SYNTHETIC_PACKED, scene)


def _scene_item(name: str, modality: str, scene: Scene) -> Item:
    is_grey = not np.ptp(scene.image, axis=2).any()
    image = scene.image[..., 0] if is_grey else scene.image
    return Item(
        name, modality, False, image, renumber_layers(np.stack([scene.labels, scene.parts]))
    )


def write_pack(path: Path, items: Iterable[Item]) -> None:
    """Write items to one compressed file, at once or not at all."""
    index, arrays = [], {}
    for number, item in enumerate(items):
        index.append([item.name, item.modality, item.validation, item.sparse])
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
                *sparse,
            )
            for number, (name, modality, validation, *sparse) in enumerate(
                json.loads(str(arrays["index"]))
            )
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
    """Return synthetic scenes, from the packs in `work`, which are made when missing."""
    packed = -(-count // PACKED_SHARE)
    found = []
    for kind, number, make in (
        (SYNTHETIC, count, synthetic_items),
        (SYNTHETIC_PACKED, packed, packed_items),
    ):
        path = work / f"{kind}_{number}.npz"
        if not path.exists():
            write_pack(path, make(number))
        found += read_pack(path)
    return found
