import unicodedata
from pathlib import Path

import numpy as np
import pytest
import tifffile

from napari_segmate.cli import main
from napari_segmate.cli._files import check_apart
from napari_segmate.core.errors import LabelsError


@pytest.mark.parametrize(
    ("target", "image", "why"),
    [
        ("p.zarr", "p.zarr", "replace an image"),
        ("p.zarr", "p.zarr/c.tif", "the image lies in it"),
        ("p.zarr", "p.zarr/img/0", "the image lies in it"),
        ("p.zarr/labels.zarr", "p.zarr", "it lies in the image"),
        ("x/../p.zarr", "p.zarr/c.tif", "the image lies in it"),
        ("P.ZARR", "p.zarr", "replace an image"),
        (unicodedata.normalize("NFD", "zürich.tif"), "zürich.tif", "replace an image"),
        ("link.zarr", "p.zarr/c.tif", "the image lies in it"),
        ("again.tif", "p.zarr/c.tif", "replace an image"),
    ],
)
def test_labels_never_are_hold_or_lie_in_an_image(tmp_path, monkeypatch, target, image, why):
    monkeypatch.chdir(tmp_path)
    Path("p.zarr").mkdir()
    Path("p.zarr/c.tif").write_bytes(b"image")
    Path("link.zarr").symlink_to("p.zarr")
    Path("again.tif").symlink_to("p.zarr/c.tif")
    with pytest.raises(LabelsError, match=why):
        check_apart(Path(target), [Path("other.tif"), Path(image)])


@pytest.mark.parametrize("target", ["p.zarr2", "labels/p.zarr", "q.tif", "p.zar"])
def test_names_that_only_look_alike_are_no_danger(tmp_path, target):
    check_apart(tmp_path / target, [tmp_path / "p.zarr", tmp_path / "p.tif"])


@pytest.mark.parametrize("command", [["auto"], ["segment", "--point", "5,5"]])
def test_the_folder_that_holds_an_image_is_not_replaced_by_its_labels(
    tmp_path, monkeypatch, capsys, command
):
    monkeypatch.chdir(tmp_path)
    Path("p.zarr").mkdir()
    tifffile.imwrite("p.zarr/c.tif", np.zeros((32, 32), np.uint8))
    before = Path("p.zarr/c.tif").read_bytes()
    name, *options = command
    assert main([name, "p.zarr/c.tif", *options, "-o", "p.zarr", "--overwrite"]) == 1
    assert "the image lies in it" in capsys.readouterr().err
    assert Path("p.zarr/c.tif").read_bytes() == before


def test_records_that_are_there_are_not_replaced_unasked(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    tifffile.imwrite("a.tif", np.zeros((32, 32), np.uint8))
    records = Path("out.tif.segmate.json")
    records.write_text("mine")
    arguments = ["segment", "a.tif", "--point", "5,5", "-o", "out.tif", "--provenance"]
    assert main(arguments) == 1
    assert "out.tif.segmate.json exists" in capsys.readouterr().err
    assert records.read_text() == "mine" and not Path("out.tif").exists()
