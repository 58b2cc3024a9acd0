from dataclasses import replace

import numpy as np
import pytest
from fakes import ArrayPlane, FakeSegmenter

from napari_segmate.core.types import DenseMaps, Embedding
from napari_segmate.inference.dense import dense_maps
from napari_segmate.inference.embeddings import EmbeddingStore
from napari_segmate.inference.tiles import tile_grid


class BrightnessHead(FakeSegmenter):
    """Its maps are the brightness of the image, in cells of 2 pixels, wrong near the border."""

    def __init__(self, wrong: int = 0, cell: int = 2) -> None:
        super().__init__()
        self.info = replace(self.info, instance_head=True, diameter=20.0)
        self.wrong, self.cell = wrong, cell

    def encode(self, image, context=None):
        self.encoded.append(image)
        bright = image[..., 0].astype(np.float32) / 255
        if self.wrong:
            spoilt = np.ones_like(bright)
            inner = slice(self.wrong, -self.wrong)
            spoilt[inner, inner] = bright[inner, inner]
            bright = spoilt
        return Embedding({"bright": bright}, image.shape[:2], self.key)

    def instance_maps(self, embedding):
        bright = embedding.arrays["bright"]
        cell = self.cell
        padded = np.pad(bright, [(0, -side % cell) for side in bright.shape], mode="edge")
        height, width = padded.shape
        cells = padded.reshape(height // cell, cell, width // cell, cell).mean((1, 3))
        return DenseMaps(cells, cells / 2, 1 - cells, embedding.image_shape)


def smooth_plane(shape):
    y, x = np.indices(shape)
    return ArrayPlane((127 + 120 * np.sin(y / 9) * np.cos(x / 13)).astype(np.uint8))


def maps_of(plane, model, zoom=1.0, **tiling):
    tiles = tile_grid(plane.shape, 64, zoom=zoom, **tiling)
    return dense_maps(plane, tiles, zoom, model, EmbeddingStore())


@pytest.mark.parametrize("zoom", [0.5, 1.0, 1.5, 3.0])
@pytest.mark.parametrize("shape", [(96, 160), (101, 67), (1, 90)])
def test_tiles_and_one_look_give_the_same_maps(shape, zoom):
    plane = smooth_plane(shape)
    whole = maps_of(plane, BrightnessHead(), zoom, tile=1000)
    tiled = maps_of(plane, BrightnessHead(), zoom, tile=48, halo=8)
    assert tiled.shape == whole.shape
    for name in ("foreground", "depth", "centre"):
        gap = getattr(tiled, name).astype(int) - getattr(whole, name)
        # Where sides are odd the last tile of a plane is shown a little larger than the others.
        assert np.abs(gap[:-2, :-2]).max(initial=0) <= 16


def test_what_the_border_of_a_tile_disturbs_is_not_used():
    plane = smooth_plane((160, 160))
    right = maps_of(plane, BrightnessHead(), tile=1000).foreground.astype(int)
    found = maps_of(plane, BrightnessHead(wrong=8), tile=80, halo=16).foreground.astype(int)
    inner = slice(6, -6)
    assert np.abs(found - right)[inner, inner].max() <= 2


def test_the_order_of_tiles_does_not_matter():
    plane = smooth_plane((120, 200))
    first = maps_of(plane, BrightnessHead(4), tile=64, halo=16)
    other = maps_of(plane, BrightnessHead(4), tile=64, halo=16, visible_yx=(80, 150, 110, 190))
    assert np.abs(first.depth.astype(int) - other.depth).max() <= 2


def test_heads_of_another_stride_are_resized():
    plane = smooth_plane((96, 128))
    fine = maps_of(plane, BrightnessHead(), tile=1000).foreground.astype(int)
    coarse = maps_of(plane, BrightnessHead(cell=4), tile=1000).foreground.astype(int)
    assert np.abs(fine - coarse).mean() < 8


def test_even_tiles_are_not_encoded():
    plane = ArrayPlane(np.zeros((64, 200), np.uint8))
    plane.values[10:30, 10:30] = 200
    model = BrightnessHead()
    maps = maps_of(plane, model, tile=64, halo=8)
    assert len(model.encoded) == 1
    assert maps.foreground[5:15, 5:15].min() > 150
    assert maps.foreground[:, 60:].max() == 0


def test_embeddings_of_many_tiles_are_not_kept():
    plane, store = smooth_plane((200, 400)), EmbeddingStore()
    tiles = tile_grid(plane.shape, 64)
    assert len(tiles) > 16
    dense_maps(plane, tiles, 1.0, BrightnessHead(), store)
    assert store.nbytes == 0


class FlowHead(BrightnessHead):
    """Its flow is the brightness along y, and the opposite along x."""

    def instance_maps(self, embedding):
        maps = super().instance_maps(embedding)
        flow = np.stack([maps.foreground, -maps.foreground])
        return replace(maps, flow_yx=flow)


@pytest.mark.parametrize("zoom", [0.5, 1.0, 2.0])
def test_flow_of_tiles_fades_like_the_other_maps(zoom):
    plane = smooth_plane((96, 160))
    whole = maps_of(plane, FlowHead(), zoom, tile=1000)
    tiled = maps_of(plane, FlowHead(), zoom, tile=48, halo=8)
    assert tiled.flow_yx.dtype == np.int8
    assert np.abs(tiled.flow_yx.astype(int) - whole.flow_yx).max() <= 8
    along_y, along_x = tiled.flow_yx.astype(int)
    np.testing.assert_allclose(along_y, tiled.foreground * (127 / 255), atol=2)
    np.testing.assert_array_equal(along_y, -along_x)


def test_even_tiles_have_no_flow():
    image = np.zeros((96, 160), np.uint8)
    image[:, 96:] = smooth_plane((96, 64)).values
    maps = maps_of(ArrayPlane(image), FlowHead(), tile=32, halo=0)
    assert not maps.flow_yx[:, :, :40].any()
    assert maps.flow_yx[:, :, 60:].any()
