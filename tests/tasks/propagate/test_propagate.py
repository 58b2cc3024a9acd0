from __future__ import annotations

import json
from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from fakes import FakeSegmenter

from napari_segmate.core.context import Context
from napari_segmate.core.errors import (
    Cancelled,
    ImageError,
    LabelsError,
    ParameterError,
    PromptError,
)
from napari_segmate.core.images.image_source import ImageAxes, ImageSource, guess_axes
from napari_segmate.core.masks.object_masks import instance_from_mask
from napari_segmate.core.numbers.metrics import mask_iou
from napari_segmate.core.prompts import Box, ObjectPrompts, Points
from napari_segmate.inference.embeddings.store import EmbeddingStore
from napari_segmate.tasks.propagate.engine import PlaneByPlane
from napari_segmate.tasks.propagate.params import Params
from napari_segmate.tasks.propagate.planes import StackPlanes
from napari_segmate.tasks.propagate.run import Seed, follow, propagation_of, run
from napari_segmate.tasks.propagate.state import Propagation, StateError

QUICK = Params(smooth_z=0)


def balls(shape=(20, 48, 64), centres=((10, 22, 20),), radius=(7, 9, 9)):
    """A stack of bright balls on a dark ground, and its labels."""
    grid = np.ogrid[tuple(slice(length) for length in shape)]
    labels = np.zeros(shape, np.int32)
    for number, centre in enumerate(centres, start=1):
        square = sum(((g - c) / r) ** 2 for g, c, r in zip(grid, centre, radius, strict=True))
        labels[(square < 1) & (labels == 0)] = number
    noise = np.random.default_rng(0).integers(0, 30, shape)
    return (20 + noise + 180 * (labels > 0)).astype(np.uint8), labels


def stack_of(image, **options):
    source = ImageSource(image, guess_axes(image.shape))
    return StackPlanes(source, smooth_z=0, **options)


def click(plane, y, x, number=0):
    return Seed(plane, ObjectPrompts(points=Points([[y, x]])), number)


def test_one_click_gives_the_whole_object_which_ends_by_itself():
    image, truth = balls()
    found = run(stack_of(image), FakeSegmenter(), [click(10, 22, 20)], params=QUICK)
    labels = found.labels()
    assert mask_iou(labels, truth) > 0.85
    planes, wanted = found.planes_of(1), np.flatnonzero(truth.any(axis=(1, 2)))
    assert abs(planes[0] - wanted[0]) <= 2 and abs(planes[-1] - wanted[-1]) <= 2
    assert found.finished


def test_planes_come_up_and_down_in_turns_with_scores():
    image, _ = balls()
    planes, model = stack_of(image), FakeSegmenter()
    state = propagation_of(planes, model, [click(10, 22, 20)], params=QUICK)
    stream = PlaneByPlane(model, QUICK).start(planes, state)
    first = [next(stream) for _ in range(4)]
    assert [found.plane for found in first] == [11, 9, 12, 8]
    assert all(0.3 < found.scores[1] <= 1 for found in first)
    stream.close()


def test_the_same_prompts_give_the_same_volume():
    image, _ = balls(centres=((10, 16, 16), (9, 30, 40)))
    seeds = [click(10, 16, 16), click(9, 30, 40)]
    first, second = (
        run(stack_of(image), FakeSegmenter(), seeds, params=QUICK).labels() for _ in range(2)
    )
    assert np.unique(first).tolist() == [0, 1, 2] and (first == second).all()


def test_a_correction_changes_only_what_lies_between_its_neighbouring_anchors():
    image, truth = balls((30, 48, 64), centres=((15, 22, 24),), radius=(13, 11, 11))
    planes, model = stack_of(image), FakeSegmenter()
    given = np.where(np.isin(np.arange(30), [8, 15, 22])[:, None, None], truth, 0)
    state = run(planes, model, labels=given, params=QUICK)
    before = state.labels()
    wrong = np.zeros(planes.shape, bool)
    wrong[30:40, 40:55] = True
    state.set_anchor(1, 18, instance_from_mask(wrong))
    for _ in follow(PlaneByPlane(model, QUICK), planes, state):
        pass
    after = state.labels()
    changed = np.flatnonzero((after != before).any(axis=(1, 2)))
    assert 18 in changed and changed.min() > 15 and changed.max() < 22
    assert (after[18] > 0).sum() == wrong.sum()


def test_taking_a_correction_back_gives_the_first_answer_again():
    image, truth = balls()
    planes, model = stack_of(image), FakeSegmenter()
    state = run(planes, model, [click(10, 22, 20)], params=QUICK)
    before = state.labels()
    state.set_anchor(1, 13, instance_from_mask(truth[12] > 0))
    list(PlaneByPlane(model, QUICK).start(planes, state))
    state.set_anchor(1, 13, None)
    list(PlaneByPlane(model, QUICK).start(planes, state))
    assert (state.labels() == before).all()


def test_two_objects_that_meet_stay_two():
    image, truth = balls(centres=((8, 22, 20), (12, 22, 37)), radius=(6, 9, 9))
    labels = np.where(np.isin(np.arange(20), [8, 12])[:, None, None], truth, 0)
    found = run(stack_of(image), FakeSegmenter(), labels=labels, params=QUICK).labels()
    for number in (1, 2):
        assert mask_iou(found == number, truth == number) > 0.7


def test_prompts_on_two_planes_of_one_object_make_one_object():
    image, truth = balls()
    seeds = [click(7, 22, 20, 5), click(13, 22, 20, 5)]
    state = run(stack_of(image), FakeSegmenter(), seeds, params=QUICK)
    assert set(state.anchors) == {5} and set(state.anchors[5]) == {7, 13}
    assert mask_iou(state.labels() == 5, truth == 1) > 0.85


def test_a_box_works_as_a_click_does():
    image, truth = balls()
    seed = Seed(10, ObjectPrompts(box=Box((12, 10, 32, 30))))
    assert (
        mask_iou(run(stack_of(image), FakeSegmenter(), [seed], params=QUICK).labels(), truth) > 0.8
    )


@pytest.mark.parametrize("plane", [0, 19])
def test_an_object_on_the_first_or_last_plane(plane):
    image, truth = balls(centres=((plane, 22, 20),))
    found = run(stack_of(image), FakeSegmenter(), [click(plane, 22, 20)], params=QUICK)
    assert mask_iou(found.labels(), truth) > 0.8


def test_a_stack_of_one_plane_is_the_plane_itself():
    image, truth = balls()
    found = run(stack_of(image[10:11]), FakeSegmenter(), [click(0, 22, 20)], params=QUICK)
    assert mask_iou(found.labels(), truth[10:11]) > 0.8


def test_an_object_that_vanishes_for_a_plane_goes_on_behind_the_gap():
    image, _ = balls()
    image[13] = 20
    params = replace(QUICK, sections=False, gap=1)
    state = run(stack_of(image), FakeSegmenter(), [click(10, 22, 20)], params=params)
    assert {12, 13, 14} <= set(state.planes_of(1))


@pytest.mark.parametrize("value", [0, 255])
def test_even_planes_in_the_middle_end_an_object_or_are_bridged(value):
    image, _ = balls((24, 48, 64), centres=((12, 22, 20),), radius=(11, 9, 9))
    image[15:19] = value
    labels = run(stack_of(image), FakeSegmenter(), [click(12, 22, 20)], params=QUICK).labels()
    assert (labels[12] > 0).sum() > 150
    assert all((plane > 0).sum() < 4 * (labels[12] > 0).sum() for plane in labels)


@pytest.mark.parametrize("anisotropy", [0.2, 20])
def test_planes_very_near_and_very_far_apart(anisotropy):
    image, truth = balls()
    planes = stack_of(image, anisotropy=anisotropy)
    found = run(planes, FakeSegmenter(), [click(10, 22, 20)], params=QUICK)
    assert mask_iou(found.labels(), truth) > 0.5


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_any_axis_can_be_followed(axis):
    image, truth = balls()
    moved = np.moveaxis(image, 0, axis)
    y, x = (at for at in range(3) if at != axis)
    source = ImageSource(moved, ImageAxes(y, x))
    planes = StackPlanes(source, smooth_z=0)
    found = run(planes, FakeSegmenter(), [click(10, 22, 20)], params=QUICK).labels()
    assert mask_iou(found, truth) > 0.85


def test_time_beside_z_stays_within_one_time_point():
    image, truth = balls()
    movie = np.stack([np.zeros_like(image), image])
    source = ImageSource(movie, guess_axes(movie.shape))
    planes = StackPlanes(source, axis=1, index=(1, 0), smooth_z=0)
    assert len(planes) == 20 and planes.index_of(3) == (1, 3)
    found = run(planes, FakeSegmenter(), [click(10, 22, 20)], params=QUICK)
    assert mask_iou(found.labels(), truth) > 0.85


@pytest.mark.parametrize(
    "seed",
    [
        click(20, 5, 5),
        click(-1, 5, 5),
        click(3, 90, 5),
        Seed(3, ObjectPrompts(box=Box((90, 90, 99, 99)))),
    ],
)
def test_prompts_outside_of_the_stack_are_refused(seed):
    with pytest.raises(PromptError):
        run(stack_of(balls()[0]), FakeSegmenter(), [seed], params=QUICK)


def test_no_prompt_is_refused():
    with pytest.raises(PromptError, match="nothing to follow"):
        run(stack_of(balls()[0]), FakeSegmenter(), params=QUICK)


@pytest.mark.parametrize(
    "labels", [np.zeros((19, 48, 64), int), np.zeros((48, 64), int), np.zeros((20, 48, 64))]
)
def test_labels_of_another_shape_or_type_are_refused(labels):
    with pytest.raises(LabelsError, match="shape"):
        run(stack_of(balls()[0]), FakeSegmenter(), labels=labels, params=QUICK)


def test_images_without_planes_and_axes_that_are_not_there_are_refused():
    image = balls()[0]
    with pytest.raises(ImageError, match="axis"):
        stack_of(image[0])
    with pytest.raises(ImageError, match="axis"):
        stack_of(image, axis=3)
    for anisotropy in (0, -1, float("nan"), float("inf")):
        with pytest.raises(ParameterError):
            stack_of(image, anisotropy=anisotropy)


@pytest.mark.parametrize("after", [1, 3, 7])
def test_a_run_that_is_cancelled_goes_on_as_if_it_had_not_been(tmp_path, after):
    image, _ = balls(centres=((8, 16, 16), (12, 28, 40)))
    seeds, keep = [click(8, 16, 16), click(12, 28, 40)], tmp_path / "work.json"
    whole = run(stack_of(image), FakeSegmenter(), seeds, params=QUICK).labels()
    seen: list[int] = []
    context = Context(cancelled=lambda: len(seen) >= after)
    with pytest.raises(Cancelled):
        run(
            stack_of(image),
            FakeSegmenter(),
            seeds,
            params=QUICK,
            keep=keep,
            context=context,
            on_plane=lambda found: seen.append(found.plane),
        )
    kept = Propagation.load(keep)
    assert not kept.finished and kept.planes_done > 0
    rest: list[int] = []
    found = run(
        stack_of(image),
        FakeSegmenter(),
        seeds,
        params=QUICK,
        keep=keep,
        on_plane=lambda found: rest.append(found.plane),
    )
    assert (found.labels() == whole).all()
    assert found.planes_done > len(rest) or after == 1


def test_stopping_keeps_what_is_there():
    image, _ = balls()
    planes, model = stack_of(image), FakeSegmenter()
    state = propagation_of(planes, model, [click(10, 22, 20)], params=QUICK)
    for found in PlaneByPlane(model, QUICK).start(planes, state):
        if found.plane == 12:
            state.stop()
    assert state.finished
    assert np.flatnonzero(state.labels().any(axis=(1, 2))).tolist() == [9, 10, 11, 12]


def test_a_damaged_file_says_so(tmp_path):
    path = tmp_path / "work.json"
    for text in ("", "{}", json.dumps({"version": 99})):
        path.write_text(text)
        with pytest.raises(StateError):
            Propagation.load(path)
    with pytest.raises(StateError):
        Propagation.load(tmp_path / "none.json")


def test_an_image_that_is_removed_half_way_ends_the_stream_with_its_error():
    image, _ = balls()

    class Removed:
        shape, dtype, ndim, gone = image.shape, image.dtype, 3, False

        def __getitem__(self, index):
            if self.gone:
                raise OSError("the file is gone")
            return image[index]

    data, model = Removed(), FakeSegmenter()
    planes = StackPlanes(ImageSource(data, guess_axes(image.shape)), smooth_z=0)
    state = propagation_of(planes, model, [click(10, 22, 20)], params=QUICK)
    data.gone = True
    with pytest.raises(OSError, match="gone"):
        list(PlaneByPlane(model, QUICK).start(planes, state))
    assert state.masks[1].keys() == {10}


def test_the_model_is_asked_for_all_objects_of_a_plane_at_once_where_intensities_do_not_tell():
    image, _ = balls(centres=((10, 14, 16), (10, 32, 46)), radius=(6, 8, 8))
    model = FakeSegmenter()
    params = replace(QUICK, decode_below=1.0, sections=False)
    noisy = np.random.default_rng(1).normal(0, 90, image.shape) + image
    planes = stack_of(np.clip(noisy, 0, 255).astype(np.uint8))
    state = Propagation(len(planes), planes.shape)
    truth = balls(centres=((10, 14, 16), (10, 32, 46)), radius=(6, 8, 8))[1]
    for number in (1, 2):
        state.set_anchor(number, 10, instance_from_mask(truth[10] == number))
    list(PlaneByPlane(model, params, EmbeddingStore()).start(planes, state))
    asked = [prompts for prompts, _ in model.decoded if len(prompts) == 2]
    assert asked
    assert all(one.box is not None and one.logits is not None for one in asked[0])


def test_memory_holds_blocks_near_the_objects_only():
    image, _ = balls((60, 48, 64), centres=((30, 22, 20),), radius=(29, 9, 9))
    reads: list[int] = []

    class Counting:
        shape, dtype, ndim = image.shape, image.dtype, 3

        def __getitem__(self, index):
            reads.append(int(np.prod(image[index].shape)))
            return image[index]

    planes = StackPlanes(ImageSource(Counting(), guess_axes(image.shape)), smooth_z=0)
    found = run(planes, FakeSegmenter(), [click(30, 22, 20)], params=replace(QUICK, reach=6))
    assert len(found.planes_of(1)) > 40
    assert max(reads[8:]) <= 48 * 64


def test_labels_hold_ids_beyond_16_bits():
    state = Propagation(2, (4, 4))
    state.set_anchor(70_000, 0, instance_from_mask(np.ones((2, 2), bool)))
    assert state.labels().dtype.itemsize == 4 and state.labels().max() == 70_000


@pytest.mark.parametrize(
    ("name", "value"),
    [*product(["memory", "least_iou", "most_claimed"], [-0.1, 1.1]), ("misses", 0), ("gap", -1)],
)
def test_parameters_out_of_range_are_refused(name, value):
    with pytest.raises(ParameterError, match=name):
        Params(**{name: value})
