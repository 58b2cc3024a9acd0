"""Image files of all kinds."""

from __future__ import annotations

from pathlib import Path

import imageio.v3 as imageio
import numpy as np
import pytest
import tifffile
import zarr

from napari_segmate.core.contrast import ContrastMode
from napari_segmate.core.errors import ImageError
from napari_segmate.core.image import ImageAxes, ImageSource
from napari_segmate.io.images import axes_from_letters, read_image

RNG = np.random.default_rng(0)
STACK = RNG.integers(0, 4000, (3, 2, 40, 50), dtype=np.uint16)
GREY = {"photometric": "minisblack"}


def test_imagej_tiff_tells_its_axes_and_is_mapped(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, STACK, imagej=True, metadata={"axes": "ZCYX"})
    data, axes = read_image(path)
    assert axes == ImageAxes(2, 3, channel=1)
    assert isinstance(data, np.memmap)
    np.testing.assert_array_equal(data, STACK)


def test_ome_tiff_tells_its_axes(tmp_path: Path) -> None:
    path = tmp_path / "a.ome.tif"
    tifffile.imwrite(path, STACK, metadata={"axes": "TCYX"}, compression="zlib")
    data, axes = read_image(path)
    assert axes == ImageAxes(2, 3, channel=1)
    np.testing.assert_array_equal(data, STACK)


def test_large_compressed_tiff_is_read_piece_by_piece(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("napari_segmate.io.images.LAZY_BYTES", 1000)
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, STACK[:, 0], compression="zlib", **GREY, metadata={"axes": "ZYX"})
    data, axes = read_image(path)
    assert isinstance(data, zarr.Array)
    assert axes == ImageAxes(1, 2)
    np.testing.assert_array_equal(data[1], STACK[1, 0])


def test_tiff_pyramid_is_a_list_of_levels(tmp_path: Path) -> None:
    path = tmp_path / "a.ome.tif"
    full = RNG.integers(0, 255, (128, 96), dtype=np.uint8)
    options = {"tile": (32, 32), **GREY}
    with tifffile.TiffWriter(path) as writer:
        writer.write(full, subifds=1, metadata={"axes": "YX"}, **options)
        writer.write(full[::2, ::2], subfiletype=1, **options)
    data, axes = read_image(path)
    assert [level.shape for level in data] == [(128, 96), (64, 48)]
    assert ImageSource(data, axes).shape == (128, 96)
    np.testing.assert_array_equal(data[0][...], full)


def test_rgb_tiff_has_colours(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, np.zeros((40, 50, 3), np.uint8), photometric="rgb")
    assert read_image(path)[1] == ImageAxes(0, 1, rgb=True)


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_pictures_are_grey_or_colour(tmp_path: Path, suffix: str) -> None:
    grey, colour = tmp_path / f"grey{suffix}", tmp_path / f"colour{suffix}"
    imageio.imwrite(grey, np.full((20, 30), 90, np.uint8))
    imageio.imwrite(colour, np.full((20, 30, 3), 90, np.uint8))
    assert read_image(grey)[1] == ImageAxes(0, 1)
    assert read_image(colour)[1] == ImageAxes(0, 1, rgb=True)
    assert read_image(colour)[0].shape == (20, 30, 3)


def test_png_of_16_bits_keeps_them(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    imageio.imwrite(path, STACK[0, 0])
    np.testing.assert_array_equal(read_image(path)[0], STACK[0, 0])


def test_npy_is_mapped(tmp_path: Path) -> None:
    path = tmp_path / "a.npy"
    np.save(path, STACK)
    data, axes = read_image(path)
    assert isinstance(data, np.memmap)
    assert axes == ImageAxes(2, 3)


def test_npy_with_objects_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.npy"
    np.save(path, np.array([{}, {}], dtype=object), allow_pickle=True)
    with pytest.raises(ImageError, match=r"a\.npy"):
        read_image(path)


def test_zarr_array_is_lazy(tmp_path: Path) -> None:
    path = tmp_path / "a.zarr"
    zarr.save_array(path, STACK)
    data, axes = read_image(path)
    assert isinstance(data, zarr.Array)
    assert axes == ImageAxes(2, 3)


def test_group_with_one_array_is_that_array(tmp_path: Path) -> None:
    group = zarr.open_group(tmp_path / "a.zarr", mode="w")
    group["image"] = STACK[0, 0]
    data, axes = read_image(tmp_path / "a.zarr")
    assert (data.shape, axes) == ((40, 50), ImageAxes(0, 1))


def test_group_with_several_arrays_names_them(tmp_path: Path) -> None:
    group = zarr.open_group(tmp_path / "a.zarr", mode="w")
    group["one"] = group["two"] = STACK[0, 0]
    with pytest.raises(ImageError, match=r"one.*two"):
        read_image(tmp_path / "a.zarr")


@pytest.mark.parametrize("version", [2, 3])
def test_ome_zarr_is_a_pyramid_with_channels(tmp_path: Path, version: int) -> None:
    group = zarr.open_group(tmp_path / "a.ome.zarr", mode="w", zarr_format=version)
    group["0"], group["1"] = STACK, STACK[..., ::2, ::2]
    multiscales = [
        {
            "axes": [{"name": name} for name in "zcyx"],
            "datasets": [{"path": "0"}, {"path": "1"}],
        }
    ]
    group.attrs.update(
        {"ome": {"multiscales": multiscales}} if version == 3 else {"multiscales": multiscales}
    )
    data, axes = read_image(tmp_path / "a.ome.zarr")
    assert [level.shape for level in data] == [(3, 2, 40, 50), (3, 2, 20, 25)]
    assert axes == ImageAxes(2, 3, channel=1)


def test_what_is_read_can_be_shown(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, STACK, imagej=True, metadata={"axes": "ZCYX"})
    source = ImageSource(*read_image(path))
    assert (source.shape, source.index_shape, source.n_channels) == ((40, 50), (3,), 2)
    contrast = source.estimate_contrast(ContrastMode.PLANE, (2,))
    assert source.plane((2,), contrast).read((0, 0, 40, 50)).max() == 255


def test_given_axes_replace_those_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "a.npy"
    np.save(path, STACK)
    assert read_image(path, "XYCT")[1] == ImageAxes(1, 0, channel=2)


@pytest.mark.parametrize("axes", ["YX", "TCYY", "TCCX", "TCZX"])
def test_axes_that_do_not_fit_are_refused(axes: str) -> None:
    with pytest.raises(ImageError, match=axes):
        axes_from_letters(axes, (5, 2, 64, 64))


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"no file .*nothing\.tif"):
        read_image(tmp_path / "nothing.tif")


def test_unknown_format_names_the_known_ones(tmp_path: Path) -> None:
    path = tmp_path / "a.docx"
    path.write_text("text")
    with pytest.raises(ImageError, match=r"a\.docx.*\.tif"):
        read_image(path)


@pytest.mark.parametrize("suffix", [".tif", ".png", ".jpg", ".npy", ".zarr"])
def test_damaged_file_is_named(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"broken{suffix}"
    path.write_bytes(b"this is not an image")
    with pytest.raises(ImageError, match=f"broken{suffix}.*cannot be read"):
        read_image(path)


@pytest.mark.parametrize("suffix", [".tif", ".png", ".npy"])
def test_file_cut_short_is_an_error(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"half{suffix}"
    image = RNG.integers(0, 255, (200, 200), dtype=np.uint8)
    if suffix == ".npy":
        np.save(path, image)
    else:
        imageio.imwrite(path, image)
    path.write_bytes(path.read_bytes()[:20000])
    with pytest.raises(ImageError, match=f"half{suffix}"):
        read_image(path)


def test_folder_without_images_is_named(tmp_path: Path) -> None:
    (tmp_path / "notes").mkdir()
    with pytest.raises(ImageError, match="notes"):
        read_image(tmp_path / "notes")


def test_ome_zarr_with_one_level_is_an_array(tmp_path: Path) -> None:
    group = zarr.open_group(tmp_path / "a.zarr", mode="w")
    group["0"] = STACK[0, 0]
    metadata = {"multiscales": [{"axes": ["y", "x"], "datasets": [{"path": "0"}]}]}
    group.attrs.update(metadata)
    data, _ = read_image(tmp_path / "a.zarr")
    np.testing.assert_array_equal(data[...], STACK[0, 0])
