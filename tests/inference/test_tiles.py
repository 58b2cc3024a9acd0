import numpy as np
import pytest

from napari_segmate.core.errors import ImageError, ParameterError
from napari_segmate.inference.tiles import tile_grid


@pytest.mark.parametrize("zoom", [0.5, 1.0, 1.5, 3.0])
@pytest.mark.parametrize("shape", [(1, 3000), (700, 1301), (513, 512), (90, 40)])
def test_inner_boxes_cover_the_plane_once(shape, zoom):
    covered = np.zeros(shape, int)
    for tile in tile_grid(shape, 512, zoom=zoom):
        y0, x0, y1, x1 = tile.inner_box_yx
        covered[y0:y1, x0:x1] += 1
    assert (covered == 1).all()


def test_no_tile_is_much_larger_than_the_input_of_the_model():
    for tile in tile_grid((1500, 4000), 512, zoom=1.5):
        assert max(tile.frame.shape) <= 1.125 * 512


def test_tiles_reach_into_their_neighbours_by_the_halo():
    left, right = tile_grid((100, 400), 512, tile=256, halo=32)
    assert left.inner_box_yx[3] == right.inner_box_yx[1]
    assert left.frame.box_yx[3] - left.inner_box_yx[3] == 32
    assert right.inner_box_yx[1] - right.frame.box_yx[1] == 32


@pytest.mark.parametrize("zoom", [0.25, 0.75, 1.5, 3.0])
def test_cells_of_all_tiles_lie_on_one_grid(zoom):
    for tile in tile_grid((900, 2000), 256, zoom=zoom):
        assert all((start * zoom) % 2 == 0 for start in tile.frame.box_yx[:2])


def test_tiles_in_view_come_first():
    visible = (700, 1500, 800, 1600)
    tiles = tile_grid((1000, 2000), 256, visible_yx=visible)
    y0, x0, y1, x1 = tiles[0].inner_box_yx
    assert y0 < 800 and y1 > 700 and x0 < 1600 and x1 > 1500
    assert {t.inner_box_yx for t in tiles} == {t.inner_box_yx for t in tile_grid((1000, 2000), 256)}


def test_only_tiles_that_touch_the_region():
    some = tile_grid((1000, 2000), 256, region=(10, 10, 30, 300))
    assert 0 < len(some) < len(tile_grid((1000, 2000), 256))


def test_a_tile_larger_than_the_image_is_the_image():
    (tile,) = tile_grid((50, 70), 512, tile=4000, halo=3000)
    assert tile.frame.box_yx == tile.inner_box_yx == (0, 0, 50, 70)


def test_wrong_sizes_are_refused():
    with pytest.raises(ParameterError, match="halo of 60"):
        tile_grid((500, 500), 512, tile=100, halo=60)
    with pytest.raises(ImageError, match="empty"):
        tile_grid((0, 5), 512)


@pytest.mark.parametrize("zoom", [1 / 64, 1 / 32, 1 / 16])
def test_tiles_that_are_shown_very_small_lie_on_one_grid_of_cells(zoom) -> None:
    tiles = tile_grid((9000, 9000), 64, zoom=zoom)
    assert len(tiles) > 1
    for tile in tiles:
        assert all((start * zoom) % 2 == 0 for start in tile.frame.box_yx[:2])
