"""The grid of points on a segmenter that finds bright blobs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from fakes import ArrayPlane, FakeSegmenter

from napari_segmate.core.context import Context
from napari_segmate.core.errors import Cancelled, ParameterError
from napari_segmate.core.masks.object_masks import paste
from napari_segmate.inference.automask.grid import filter_proposals, grid_proposals
from napari_segmate.inference.automask.grid_params import Crop, GridParams, crop_layers

LENIENT = GridParams(points_per_side=8, pred_iou_thresh=0.6, stability_score_thresh=0.5)


def boxes(found: tuple) -> set[tuple[int, ...]]:
    return {one.instance.box_yx for one in found}


@pytest.mark.parametrize("exact", [True, False])
def test_every_blob_is_found_once(
    blobs: ArrayPlane, fake_model: FakeSegmenter, exact: bool
) -> None:
    params = replace(LENIENT, pred_iou_thresh=0.8, exact=exact)
    found = filter_proposals(grid_proposals(blobs, fake_model, params))
    centres = [np.add(one.instance.box_yx[:2], one.instance.box_yx[2:]) / 2 for one in found]
    assert len(found) == 3
    for y, x in ((14, 15), (12, 43), (35, 30)):
        assert min(np.abs(centre - (y, x)).max() for centre in centres) <= 1.5


def test_higher_thresholds_are_applied_afterwards(
    blobs: ArrayPlane, fake_model: FakeSegmenter
) -> None:
    proposals = grid_proposals(blobs, fake_model, replace(LENIENT, box_nms_thresh=1.0))
    fewer = filter_proposals(proposals, replace(LENIENT, pred_iou_thresh=0.8))
    assert len(filter_proposals(proposals)) > len(fewer) == 3
    assert {one.instance.score for one in fewer} == {np.float32(0.9)}
    assert filter_proposals(proposals, replace(LENIENT, pred_iou_thresh=1.0)) == ()


def test_masks_that_a_crop_cuts_are_dropped(fake_model: FakeSegmenter) -> None:
    plane = ArrayPlane.with_blobs((96, 96), [(40, 10, 56, 80)])
    halves = [Crop((0, 0, 96, 48)), Crop((0, 48, 96, 96))]
    params = replace(LENIENT, pred_iou_thresh=0.8)
    assert filter_proposals(grid_proposals(plane, fake_model, params, crops=halves)) == ()
    (whole,) = filter_proposals(grid_proposals(plane, fake_model, params))
    assert whole.crop_yx == (0, 0, 96, 96)


def test_small_crops_come_first_and_duplicates_go(fake_model: FakeSegmenter) -> None:
    plane = ArrayPlane.with_blobs((128, 128), [(30, 30, 40, 40), (84, 80, 100, 96)])
    params = replace(LENIENT, pred_iou_thresh=0.8, crop_n_layers=1, crop_nms_thresh=0.3)
    found = filter_proposals(grid_proposals(plane, fake_model, params))
    assert len(found) == 2
    assert all(one.crop_yx != (0, 0, 128, 128) for one in found)


def test_a_plane_can_be_shown_enlarged(fake_model: FakeSegmenter, blobs: ArrayPlane) -> None:
    params = replace(LENIENT, pred_iou_thresh=0.8)
    found = filter_proposals(grid_proposals(blobs, fake_model, params, zoom=2.0))
    assert fake_model.encoded[0].shape[:2] == (96, 120)
    union = np.any([paste(one.instance, blobs.shape) for one in found], axis=0)
    assert np.mean(union == (blobs.values > 100)) > 0.97


def test_own_points_are_used(blobs: ArrayPlane, fake_model: FakeSegmenter) -> None:
    params = replace(
        LENIENT, points_per_side=None, point_grids=(((0.25, 0.3),),), pred_iou_thresh=0.8
    )
    (one,) = filter_proposals(grid_proposals(blobs, fake_model, params))
    assert one.point_yx == pytest.approx((0.3 * 48, 0.25 * 60))


def test_an_empty_image_has_no_masks(fake_model: FakeSegmenter) -> None:
    plane = ArrayPlane(np.zeros((40, 50), np.uint8))
    params = replace(LENIENT, pred_iou_thresh=0.8)
    assert filter_proposals(grid_proposals(plane, fake_model, params)) == ()


def test_a_tiny_image_does_no_harm(fake_model: FakeSegmenter) -> None:
    plane = ArrayPlane(np.full((1, 7), 255, np.uint8))
    for one in filter_proposals(grid_proposals(plane, fake_model, LENIENT)):
        assert paste(one.instance, (1, 7)).shape == (1, 7)


def test_progress_is_told_and_cancelling_ends_it(
    blobs: ArrayPlane, fake_model: FakeSegmenter
) -> None:
    seen: list[tuple[int, int, str]] = []
    params = replace(LENIENT, points_per_batch=16)

    def progress(done: int, total: int, text: str) -> None:
        if total:
            seen.append((done, total, text))

    context = Context(progress, lambda: len(seen) > 3)
    with pytest.raises(Cancelled):
        grid_proposals(blobs, fake_model, params, context=context)
    assert seen[:2] == [(0, 64, "0 of 64 clicks"), (16, 64, "16 of 64 clicks")]


def test_proposals_are_told_after_each_crop(blobs: ArrayPlane, fake_model: FakeSegmenter) -> None:
    counts: list[int] = []
    params = replace(LENIENT, crop_n_layers=1)
    found = grid_proposals(
        blobs, fake_model, params, on_crop=lambda proposals: counts.append(len(proposals))
    )
    assert len(counts) == 5
    assert counts[-1] == len(found)
    assert found.nbytes > 0


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"pred_iou_thresh": 1.5}, "pred_iou_thresh must be 0 to 1, got 1.5"),
        ({"points_per_batch": 0}, "points_per_batch must be 1 or more"),
        ({"crop_n_layers": -1}, "crop_n_layers must be 0 to 5"),
        ({"points_per_side": None}, "not neither"),
        ({"point_grids": (((0.5, 0.5),),)}, "not both"),
        ({"points_per_side": None, "point_grids": (((5, 0.5),),)}, "shares of 0 to 1"),
        (
            {"points_per_side": None, "point_grids": (((0.5, 0.5),),), "crop_n_layers": 1},
            "1 point_grids for 2 layers",
        ),
    ],
)
def test_wrong_settings_are_named(change: dict, text: str) -> None:
    with pytest.raises(ParameterError, match=text):
        replace(LENIENT, **change)


def test_prepare_key_ignores_what_filtering_changes() -> None:
    assert replace(LENIENT, box_nms_thresh=0.3).prepare_key() == LENIENT.prepare_key()
    assert replace(LENIENT, points_per_side=4).prepare_key() != LENIENT.prepare_key()


@pytest.mark.parametrize("shape", [(100, 60), (37, 211), (512, 512)])
@pytest.mark.parametrize("layers", [0, 1, 2])
def test_crops_are_those_of_upstream(shape: tuple[int, int], layers: int) -> None:
    from segment_anything.utils.amg import generate_crop_boxes

    wanted, numbers = generate_crop_boxes(shape, layers, 512 / 1500)
    crops = crop_layers(shape, layers, 512 / 1500)
    assert [crop.layer for crop in crops] == numbers
    assert [[crop.box_yx[at] for at in (1, 0, 3, 2)] for crop in crops] == wanted


def test_points_are_those_of_upstream() -> None:
    from segment_anything.utils.amg import build_all_layer_point_grids

    params = GridParams(points_per_side=9, crop_n_layers=2, crop_n_points_downscale_factor=2)
    for layer, wanted in enumerate(build_all_layer_point_grids(9, 2, 2)):
        np.testing.assert_allclose(params.points_of(layer), wanted)
