from __future__ import annotations

import json

import imageio.v3 as imageio
import numpy as np
import pytest
import tifffile
import zarr

from napari_segmate.core.errors import ImageError
from napari_segmate.core.images.image_source import ContrastMode, ImageAxes, ImageSource
from napari_segmate.io.images import axes_from_letters, read_image

STACK = np.random.default_rng(0).integers(0, 999, (3, 2, 20, 30)).astype(np.uint16)


def test_a_tiff_is_mapped_from_the_file(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", STACK[0, 0])
    data, axes = read_image(tmp_path / "a.tif")
    assert isinstance(data, np.memmap)
    np.testing.assert_array_equal(data, STACK[0, 0])
    assert axes == ImageAxes(0, 1)


@pytest.mark.parametrize("kind", ["imagej", "ome"])
def test_axes_of_imagej_and_ome_files_are_known(tmp_path, kind):
    path = tmp_path / ("a.ome.tif" if kind == "ome" else "a.tif")
    tifffile.imwrite(path, STACK, **{kind: True}, metadata={"axes": "ZCYX"})
    data, axes = read_image(path)
    np.testing.assert_array_equal(data, STACK)
    assert axes == ImageAxes(2, 3, channel=1)


def test_rgb_of_a_tiff_is_rgb(tmp_path):
    colours = STACK[0, :1].repeat(3, 0).transpose(1, 2, 0).astype(np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", colours, photometric="rgb", compression="zlib")
    data, axes = read_image(tmp_path / "a.tif")
    np.testing.assert_array_equal(data, colours)
    assert axes == ImageAxes(0, 1, rgb=True)


def test_planar_rgb_of_a_tiff_has_channels(tmp_path):
    planar = STACK[0, :1].repeat(3, 0).astype(np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", planar, photometric="rgb", planarconfig="separate")
    assert read_image(tmp_path / "a.tif")[1] == ImageAxes(1, 2, channel=0)


def test_a_large_compressed_tiff_is_read_lazily(tmp_path, monkeypatch):
    monkeypatch.setattr("napari_segmate.io.images.LAZY_BYTES", 100)
    tifffile.imwrite(tmp_path / "a.tif", STACK, compression="zlib", metadata={"axes": "TCYX"})
    data, axes = read_image(tmp_path / "a.tif")
    assert isinstance(data, zarr.Array)
    np.testing.assert_array_equal(data[1, 1, 5:9], STACK[1, 1, 5:9])
    assert axes == ImageAxes(2, 3, channel=1)
    data.store.close()


def test_a_pyramid_is_a_list_of_levels(tmp_path):
    image = STACK[0, 0].repeat(8, 0).repeat(8, 1)
    with tifffile.TiffWriter(tmp_path / "a.ome.tif") as writer:
        options = {"tile": (64, 64), "compression": "zlib"}
        writer.write(image, subifds=1, metadata={"axes": "YX"}, **options)
        writer.write(image[::2, ::2], subfiletype=1, **options)
    levels, axes = read_image(tmp_path / "a.ome.tif")
    assert [level.shape for level in levels] == [(160, 240), (80, 120)]
    np.testing.assert_array_equal(levels[1][:10, :10], image[:20:2, :20:2])
    assert axes == ImageAxes(0, 1)
    levels[0].store.close()


@pytest.mark.parametrize("suffix", ["png", "bmp", "PNG"])
def test_pictures_keep_their_pixels(tmp_path, suffix):
    colours = (np.arange(20 * 30 * 3) % 251).reshape(20, 30, 3).astype(np.uint8)
    imageio.imwrite(tmp_path / f"a.{suffix}", colours)
    data, axes = read_image(tmp_path / f"a.{suffix}")
    np.testing.assert_array_equal(data, colours)
    assert axes == ImageAxes(0, 1, rgb=True)


def test_jpeg_is_read(tmp_path):
    imageio.imwrite(tmp_path / "a.jpg", np.full((20, 30), 99, np.uint8))
    data, axes = read_image(tmp_path / "a.jpg")
    np.testing.assert_allclose(data, 99, atol=2)
    assert axes == ImageAxes(0, 1)


def test_png_of_16_bits_keeps_them(tmp_path):
    imageio.imwrite(tmp_path / "a.png", STACK[0, 0])
    np.testing.assert_array_equal(read_image(tmp_path / "a.png")[0], STACK[0, 0])


def test_grey_with_alpha_is_grey(tmp_path):
    imageio.imwrite(
        tmp_path / "a.png", np.stack([np.full((20, 30), v, np.uint8) for v in (7, 255)], -1)
    )
    data, axes = read_image(tmp_path / "a.png")
    assert data.shape == (20, 30)
    assert (data == 7).all()
    assert axes == ImageAxes(0, 1)


def test_npy_is_mapped_from_the_file(tmp_path):
    np.save(tmp_path / "a.npy", STACK[0])
    data, axes = read_image(tmp_path / "a.npy")
    assert isinstance(data, np.memmap)
    assert axes == ImageAxes(1, 2)


def test_a_zarr_array_is_lazy(tmp_path):
    zarr.save_array(str(tmp_path / "a.zarr"), STACK[0])
    data, axes = read_image(tmp_path / "a.zarr")
    assert isinstance(data, zarr.Array)
    np.testing.assert_array_equal(data[1], STACK[0, 1])
    assert axes == ImageAxes(1, 2)


def ome_zarr(path, wrapped: bool) -> None:
    group = zarr.open_group(str(path), mode="w")
    for name, part in {"0": STACK, "1": STACK[..., ::2, ::2]}.items():
        group.create_array(name, shape=part.shape, dtype=part.dtype)[:] = part
    scales = [
        {
            "axes": [{"name": name} for name in ("time", "c", "y", "x")],
            "datasets": [{"path": "0"}, {"path": "1"}],
        }
    ]
    group.attrs.update({"ome": {"multiscales": scales}} if wrapped else {"multiscales": scales})


@pytest.mark.parametrize("wrapped", [False, True], ids=["0.4", "0.5"])
def test_ome_zarr_is_a_pyramid_with_axes(tmp_path, wrapped):
    ome_zarr(tmp_path / "a.zarr", wrapped)
    levels, axes = read_image(tmp_path / "a.zarr")
    assert [level.shape for level in levels] == [(3, 2, 20, 30), (3, 2, 10, 15)]
    assert axes == ImageAxes(2, 3, channel=1)


def test_a_group_of_one_array_is_that_array(tmp_path):
    group = zarr.open_group(str(tmp_path / "a.zarr"), mode="w")
    group.create_array("only", shape=(20, 30), dtype="u1")
    assert read_image(tmp_path / "a.zarr")[0].shape == (20, 30)


def test_a_group_of_several_arrays_names_them(tmp_path):
    group = zarr.open_group(str(tmp_path / "a.zarr"), mode="w")
    for name in ("raw", "mask"):
        group.create_array(name, shape=(20, 30), dtype="u1")
    with pytest.raises(ImageError, match="'mask', 'raw'"):
        read_image(tmp_path / "a.zarr")


def test_given_axes_count_more_than_those_of_the_file(tmp_path):
    np.save(tmp_path / "a.npy", STACK)
    assert read_image(tmp_path / "a.npy", "CTXY")[1] == ImageAxes(3, 2, channel=0)


@pytest.mark.parametrize("letters", ["YX", "TCYXS", "TCZX", "CCYX", "YYXT"])
def test_axes_that_do_not_fit_are_an_error(letters):
    with pytest.raises(ImageError, match="axes"):
        axes_from_letters(letters, (3, 2, 20, 30))


def test_colours_in_front_are_channels():
    assert axes_from_letters("SYX", (3, 20, 30)) == ImageAxes(1, 2, channel=0)


def test_a_missing_file_is_an_error(tmp_path):
    with pytest.raises(ImageError, match="there is no file"):
        read_image(tmp_path / "a.tif")


@pytest.mark.parametrize("name", ["a.tif", "a.png", "a.jpg", "a.npy", "a.zarr"])
def test_a_file_that_is_something_else_is_an_error_that_names_it(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(b"this is no image at all")
    with pytest.raises(ImageError, match=name):
        read_image(path)


@pytest.mark.parametrize(("imagej", "compression"), [(True, None), (False, None), (False, "zlib")])
def test_a_file_cut_off_is_an_error(tmp_path, imagej, compression):
    tifffile.imwrite(tmp_path / "a.tif", STACK, compression=compression, imagej=imagej)
    content = (tmp_path / "a.tif").read_bytes()
    (tmp_path / "a.tif").write_bytes(content[: len(content) // 2])
    with pytest.raises(ImageError, match=r"a\.tif"):
        read_image(tmp_path / "a.tif")


def test_an_array_file_that_would_run_code_is_refused(tmp_path):
    np.save(tmp_path / "a.npy", np.array([{}, json], dtype=object)[:1], allow_pickle=True)
    with pytest.raises(ImageError, match=r"a\.npy"):
        read_image(tmp_path / "a.npy")


def test_an_unknown_ending_is_an_error_that_names_the_known_ones(tmp_path):
    (tmp_path / "a.xyz").touch()
    with pytest.raises(ImageError, match=r"\.tif"):
        read_image(tmp_path / "a.xyz")


def test_a_folder_that_is_no_zarr_is_an_error(tmp_path):
    with pytest.raises(ImageError, match="is a folder, and no Zarr; give the path of an image"):
        read_image(tmp_path)


def test_an_array_with_one_axis_is_an_error(tmp_path):
    np.save(tmp_path / "a.npy", np.zeros(5))
    with pytest.raises(ImageError, match="two axes"):
        read_image(tmp_path / "a.npy")


def test_ome_zarr_of_one_level_is_an_array(tmp_path):
    group = zarr.open_group(str(tmp_path / "a.zarr"), mode="w")
    group["0"] = STACK[0, 0]
    group.attrs["multiscales"] = [{"axes": ["y", "x"], "datasets": [{"path": "0"}]}]
    np.testing.assert_array_equal(read_image(tmp_path / "a.zarr")[0][...], STACK[0, 0])


def test_what_is_read_can_be_shown(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", STACK, imagej=True, metadata={"axes": "ZCYX"})
    source = ImageSource(*read_image(tmp_path / "a.tif"))
    assert (source.shape, source.index_shape, source.n_channels) == ((20, 30), (3,), 2)
    contrast = source.estimate_contrast(ContrastMode.PLANE, (2,))
    assert source.plane((2,), contrast).read((0, 0, 20, 30)).max() == 255


@pytest.mark.parametrize("suffix", ["png", "npy"])
def test_a_picture_cut_off_is_an_error(tmp_path, suffix):
    path = tmp_path / f"half.{suffix}"
    image = np.random.default_rng(0).integers(0, 255, (200, 200), dtype=np.uint8)
    {"png": imageio.imwrite, "npy": np.save}[suffix](path, image)
    path.write_bytes(path.read_bytes()[:20000])
    with pytest.raises(ImageError, match=f"half.{suffix}"):
        read_image(path)
