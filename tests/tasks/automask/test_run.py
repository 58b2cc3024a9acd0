from __future__ import annotations

from dataclasses import fields, replace
from itertools import pairwise, product

import numpy as np
import pytest
from fakes import ArrayPlane, FakeSegmenter
from scipy import ndimage

from napari_segmate.core.context import Context
from napari_segmate.core.errors import Cancelled, ImageError, ModelError, ParameterError
from napari_segmate.core.images.image_source import ContrastMode, ImageSource, guess_axes
from napari_segmate.core.numbers.metrics import average_precision
from napari_segmate.core.prompts import MaskPrompt
from napari_segmate.core.synthetic import nuclei
from napari_segmate.inference.automask.grid_params import GridParams
from napari_segmate.inference.automask.tiles import tile_grid
from napari_segmate.models import load_model
from napari_segmate.tasks.automask.run import TASK, Mode, Params, Prepared, generate, prepare, run


@pytest.fixture(scope="module")
def tiny():
    return load_model("tiny", device="cpu")


def plane_of(image):
    source = ImageSource(image, guess_axes(image.shape))
    return source.plane((), source.estimate_contrast(ContrastMode.PLANE, ()))


@pytest.fixture(scope="module")
def scene():
    return nuclei((200, 240), count=16, radius=13)


@pytest.fixture(scope="module")
def prepared(tiny, scene) -> Prepared:
    return prepare(plane_of(scene[0]), tiny)


def ap50(labels, found) -> float:
    return float(average_precision(labels, found, ignore_min_area=20)[0])


def test_all_nuclei_are_labelled(prepared, scene):
    _, labels = scene
    proposal = generate(prepared, Params())
    assert ap50(labels, proposal.labels) > 0.9
    assert proposal.labels.shape == labels.shape
    assert proposal.count == len(np.unique(proposal.labels)) - 1
    assert (np.bincount(proposal.labels.ravel())[1:] == proposal.areas).all()
    assert ((proposal.scores > 0.5) & (proposal.scores <= 1)).all()


def test_run_equals_prepare_and_generate(tiny, prepared, scene):
    found = run(plane_of(scene[0]), tiny)
    assert (found.labels == generate(prepared, Params()).labels).all()


def test_tiles_give_what_one_look_gives(tiny):
    image, labels = nuclei((400, 440), count=50, radius=12, seed=3)
    whole = run(plane_of(image), tiny)
    tiled = run(plane_of(image), tiny, Params(tile=192, halo=48))
    assert abs(ap50(labels, whole.labels) - ap50(labels, tiled.labels)) < 0.03
    assert ap50(whole.labels, tiled.labels) > 0.95


def test_typical_diameter_is_estimated_and_can_be_given(tiny, prepared, scene):
    assert prepared.estimated
    assert prepared.diameter == pytest.approx(26, rel=0.2)
    given = prepare(plane_of(scene[0]), tiny, Params(diameter=10.0))
    assert not given.estimated
    assert given.diameter == 10
    assert given.maps.shape[0] > prepared.maps.shape[0]


def test_area_limits_choose_objects_by_size(prepared):
    everything = generate(prepared, Params())
    middle = int(np.median(everything.areas))
    small = generate(prepared, Params(max_area=middle))
    large = generate(prepared, Params(min_area=middle + 1))
    assert small.areas.max() <= middle < large.areas.min()
    assert small.count + large.count == everything.count
    assert np.unique(large.labels).tolist() == list(range(large.count + 1))


def test_objects_at_the_border_can_be_left_out(prepared):
    inner = generate(prepared, Params(border=False)).labels
    edges = np.concatenate([inner[0], inner[-1], inner[:, 0], inner[:, -1]])
    assert inner.any()
    assert not edges.any()


def test_score_threshold_drops_what_the_model_is_unsure_of(prepared):
    everything = generate(prepared, Params())
    limit = float(np.median(everything.scores))
    assert generate(prepared, Params(score=limit)).count == (everything.scores >= limit).sum()


def test_only_objects_that_lie_mostly_in_the_region_are_kept(tiny, scene):
    image, labels = scene
    region = MaskPrompt((0, 0, 200, 110), np.ones((200, 110), bool))
    found = run(plane_of(image), tiny, region=region)
    wanted = [
        n
        for n in np.unique(labels[labels > 0])
        if 2 * (labels == n)[:, :110].sum() > (labels == n).sum()
    ]
    assert abs(found.count - len(wanted)) <= 1
    assert ap50(np.where(np.isin(labels, wanted), labels, 0), found.labels) > 0.85
    assert found.count < run(plane_of(image), tiny).count


def test_a_region_outside_the_image_is_refused(tiny, scene):
    with pytest.raises(ParameterError, match="no pixel in the image of 200 x 240"):
        run(plane_of(scene[0]), tiny, region=(300, 300, 400, 400))


def test_partial_results_arrive_tile_by_tile(tiny):
    image, _ = nuclei((300, 300), count=25, radius=12)
    counts = []
    prepare(
        plane_of(image),
        tiny,
        Params(tile=160, halo=32, diameter=24),
        on_progress=lambda prepared: counts.append(generate(prepared, Params()).count),
    )
    assert len(counts) > 3
    assert counts[0] < counts[-1]


@pytest.mark.parametrize("after", [0, 2])
def test_cancelling_stops_between_tiles(tiny, after):
    image, _ = nuclei((300, 300), count=10)
    reports = []
    context = Context(
        progress=lambda *report: reports.append(report), cancelled=lambda: len(reports) > after
    )
    with pytest.raises(Cancelled):
        prepare(plane_of(image), tiny, Params(tile=160, halo=32, diameter=24), context=context)
    assert len(reports) == after + 1


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((60, 80), np.uint8),
        np.full((60, 80), np.nan, np.float32),
        np.full((1, 90), 7, np.uint16),
        np.zeros((1, 1), np.uint8),
    ],
)
def test_nothing_is_found_where_nothing_is(tiny, image):
    found = run(plane_of(image), tiny)
    assert found.labels.shape == image.shape
    assert not found.labels.any()
    assert found.count == 0


@pytest.mark.parametrize("shape", [(160, 160), (200, 150, 3), (1, 200)])
def test_nothing_is_found_in_noise(tiny, shape):
    noise = np.random.default_rng(0).normal(100, 20, shape).astype(np.float32)
    assert run(plane_of(noise), tiny).count == 0


@pytest.mark.parametrize("kind", ["counts", "bytes", "salt", "hot pixels", "hot pixels in noise"])
def test_nothing_is_found_in_other_noise(tiny, kind):
    rng = np.random.default_rng(1)
    shape, flat = (180, 180), np.full((180, 180), 300.0)
    noise = {
        "counts": rng.poisson(3, shape),
        "bytes": rng.integers(0, 256, shape),
        "salt": 255 * (rng.random(shape) > 0.99),
        "hot pixels": flat,
        "hot pixels in noise": rng.normal(flat, 20),
    }[kind].astype(np.uint16)
    if kind.startswith("hot"):
        noise[tuple(rng.integers(0, 180, (2, 40)))] = 65535
    assert run(plane_of(noise), tiny).count == 0


def test_one_object_as_large_as_the_image_is_one_object(tiny):
    y, x = np.indices((300, 300))
    inside = (y - 150) ** 2 + (x - 150) ** 2 < 130**2
    noise = np.random.default_rng(0).normal(20, 8, inside.shape)
    found = run(plane_of(np.clip(180 * inside + noise, 0, 255).astype(np.uint8)), tiny)
    assert found.count == 1
    assert ap50(inside.astype(int), found.labels) == 1


def test_tiny_images_are_enlarged(tiny):
    image, labels = nuclei((24, 24), count=3, radius=4)
    assert ap50(labels, run(plane_of(image), tiny).labels) > 0.6


def test_hot_pixels_and_holes_in_the_data_hide_no_nucleus(tiny, scene):
    image, labels = scene
    spoilt = image.astype(np.float32)
    spoilt[::37, ::41] = 65535
    spoilt[100, 100] = np.inf
    spoilt[:, 230:] = np.nan
    kept = np.where(np.arange(240) < 230, labels, 0)
    assert ap50(kept, run(plane_of(spoilt), tiny).labels) > 0.8


def test_objects_over_every_seam_and_corner_come_out_whole(tiny):
    tile, halo, side = 160, 32, 400
    params = Params(tile=tile, halo=halo, diameter=24)
    tiles = tile_grid((side, side), tiny.input_size, tile=tile, halo=halo)
    cuts = sorted({tile.inner_box_yx[0] for tile in tiles} - {0})
    assert len(cuts) == 3
    # One on every corner, and one in the middle of every seam.
    along = [(first + last) // 2 for first, last in pairwise([0, *cuts, side])]
    centres = {*product(cuts, cuts), *product(cuts, along), *product(along, cuts)}
    y, x = np.indices((side, side))
    labels = np.zeros((side, side), int)
    for number, (at_y, at_x) in enumerate(sorted(centres), start=1):
        labels[(y - at_y) ** 2 + (x - at_x) ** 2 <= 12**2] = number
    noise = np.random.default_rng(0).normal(300, 20, labels.shape)
    image = np.clip(noise + 1500 * ndimage.gaussian_filter((labels > 0) * 1.0, 1), 0, 65535)
    found = run(plane_of(image.astype(np.uint16)), tiny, params)
    assert found.count == len(centres)
    assert average_precision(labels, found.labels, [0.8])[0] == 1


def test_an_empty_image_is_refused(tiny):
    class Empty:
        shape = (0, 20)

    with pytest.raises(ImageError, match="empty"):
        run(Empty(), tiny, Params(diameter=20))


def test_a_model_without_instance_head_is_refused_for_objects(scene):
    with pytest.raises(ModelError, match="no instance head"):
        run(plane_of(scene[0]), FakeSegmenter(), Params(mode=Mode.OBJECTS))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"seed": 1.5}, "seed must be 0 to 1, got 1.5"),
        ({"diameter": -3}, "above 0 pixels, got -3"),
        ({"min_area": 50, "max_area": 20}, "50 pixels or more and 20 or fewer"),
        ({"tile": 0}, "tile must be 1 or more"),
    ],
)
def test_settings_out_of_range_are_refused(settings, message):
    with pytest.raises(ParameterError, match=message):
        Params(**settings)


def test_a_halo_that_fills_the_tile_is_refused(tiny, scene):
    with pytest.raises(ParameterError, match="a halo of 64 pixels on both sides leaves nothing"):
        run(plane_of(scene[0]), tiny, Params(tile=128, halo=64, diameter=26))


def test_only_settings_of_the_slow_step_change_its_key():
    other = {"mode": Mode.OBJECTS, "diameter": 9.0, "tile": 300, "halo": 9}
    other["grid"] = GridParams(points_per_side=5)
    for field in fields(Params):
        if field.metadata["prepare"]:
            changed = replace(Params(), **{field.name: other[field.name]})
            assert changed.prepare_key() != Params().prepare_key()
    assert replace(Params(), seed=0.2, min_area=3).prepare_key() == Params().prepare_key()
    refined = Params(mode=Mode.REFINED)
    assert replace(refined, seed=0.2).prepare_key() != refined.prepare_key()
    assert replace(refined, score=0.2).prepare_key() == refined.prepare_key()


def test_refined_objects_are_drawn_by_the_decoder(tiny, scene):
    image, labels = scene
    prepared = prepare(plane_of(image), tiny, Params(mode=Mode.REFINED))
    assert prepared.maps is None
    assert prepared.nbytes > 0
    found = generate(prepared, Params(mode=Mode.REFINED))
    assert found.count >= 12
    assert ap50(labels, found.labels) > 0.8
    limit = float(np.median(found.scores))
    assert generate(prepared, Params(mode=Mode.REFINED, score=limit)).count < found.count


def test_refined_objects_of_tiles_are_found_once(tiny, scene):
    image, labels = scene
    params = Params(mode=Mode.REFINED, tile=128, halo=32, diameter=26)
    assert ap50(labels, run(plane_of(image), tiny, params).labels) > 0.8


GRID = Params(mode=Mode.GRID, grid=GridParams(points_per_side=10), score=0.6, stability=0.75)


def test_a_grid_of_points_finds_nuclei(tiny, scene):
    image, labels = scene
    prepared = prepare(plane_of(image), tiny, GRID)
    found = generate(prepared, GRID)
    assert found.count >= 10
    assert ap50(labels, found.labels) > 0.6
    assert generate(prepared, replace(GRID, score=0.9)).count <= found.count
    assert generate(prepared, replace(GRID, min_area=10**6)).count == 0


def test_a_grid_in_tiles_finds_each_nucleus_once(tiny, scene):
    image, labels = scene
    found = run(plane_of(image), tiny, replace(GRID, tile=160, halo=40, diameter=26))
    assert ap50(labels, found.labels) > 0.6


def test_models_without_instance_head_are_asked_with_a_grid():
    plane = ArrayPlane.with_blobs((64, 64), [(8, 8, 24, 24), (36, 30, 56, 50)])
    params = Params(grid=GridParams(points_per_side=8), score=0.4)
    prepared = prepare(plane, FakeSegmenter(), params)
    assert prepared.mode is Mode.GRID
    assert prepared.diameter == 0
    assert generate(prepared, params).count == 2


def test_every_setting_has_a_help_text():
    assert all(len(field.metadata["help"]) > 10 for field in fields(TASK.params))


def test_settings_that_suit_the_model_count_unless_the_user_set_others(tiny, monkeypatch):
    plane = plane_of(nuclei((128, 128), count=6)[0])
    found = run(plane, tiny).count
    wishes = replace(tiny.info, suggested=(("min_area", 10_000),))
    monkeypatch.setattr(type(tiny), "info", property(lambda self: wishes))
    assert run(plane, tiny).count == 0
    assert run(plane, tiny, Params(min_area=19)).count == found > 0
