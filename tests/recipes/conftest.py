"""Make the files of a recipe importable, as when it is run as a script."""

from __future__ import annotations

import csv
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile

from napari_segmate.core.synthetic import nuclei

RECIPE = Path(__file__).parents[2] / "recipes" / "tiny"


@pytest.fixture
def recipe(monkeypatch):
    """Put the recipe's folder on the path; forget its modules afterwards."""
    names = [path.stem for path in RECIPE.glob("*.py")]
    monkeypatch.syspath_prepend(str(RECIPE))
    yield RECIPE
    for name in names:
        sys.modules.pop(name, None)


def _write_set(folder: Path, rows: list[dict[str, str]], image, labels) -> None:
    for name in ("images", "labels"):
        (folder / name).mkdir(parents=True)
    with (folder / "manifest.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, ["name", "modality", "group"])
        writer.writeheader()
        writer.writerows(rows)
    for row in rows:
        tifffile.imwrite(folder / "images" / f"{row['name']}.tif", image)
        tifffile.imwrite(folder / "labels" / f"{row['name']}.tif", labels.astype(np.uint16))


@pytest.fixture
def data_sets(tmp_path):
    """A folder with two small data sets: ten images of nuclei, one stack."""
    folder = tmp_path / "data"
    image, labels = nuclei((70, 90), count=8, radius=8)
    rows = [
        {"name": f"n{i}", "modality": "fluorescence_nuclei", "group": f"g{i}"} for i in range(10)
    ]
    _write_set(folder / "dsb2018", rows, image, labels * 3)
    stack = {"name": "s", "modality": "fluorescence_nuclei_3d", "group": "s"}
    _write_set(folder / "volumes_3d", [stack], np.stack([image] * 12), np.stack([labels] * 12))
    return folder
