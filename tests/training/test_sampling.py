import numpy as np
import pytest
import torch

from napari_segmate.core.synthetic import touching_cells
from napari_segmate.training.sampling import (
    FirstPrompt,
    PromptParams,
    also_meant,
    correct,
    first_prompt,
    renumber_layers,
    rough_mask,
    targets_of,
)


def _only(kind, **options):
    chances = dict.fromkeys(("click", "box", "both", "scribble"), 0.0)
    return PromptParams(**{**chances, kind: 1.0, **options})


@pytest.fixture(scope="module")
def targets():
    _, labels = touching_cells((128, 128), radius=12)
    return targets_of(labels[None], np.random.default_rng(0), PromptParams(objects=8))


def test_targets_are_different_objects_with_their_boxes(targets):
    assert len(targets) == 8
    for target in targets:
        y0, x0, y1, x1 = target.box_yx
        assert target.cropped.sum() == target.mask.sum() >= 20
        assert target.cropped.any(axis=1).all() and target.cropped.any(axis=0).all()
        assert target.mask[y0:y1, x0:x1].shape == target.cropped.shape
    assert not (np.sum([target.mask for target in targets], axis=0) > 1).any()


def test_targets_come_from_all_layers_and_leave_small_objects_out():
    layers = np.zeros((2, 40, 40), np.int32)
    layers[0, :10, :10] = 1
    layers[0, 20:22, 20:22] = 2
    layers[1, 2:8, 2:8] = 1
    found = targets_of(layers, np.random.default_rng(0), PromptParams())
    assert sorted(int(target.mask.sum()) for target in found) == [36, 100]


@pytest.mark.parametrize("kind", ["click", "scribble", "both"])
@pytest.mark.parametrize("central", [0.0, 1.0])
def test_clicks_lie_inside(targets, kind, central):
    rng = np.random.default_rng(1)
    for target in targets * 5:
        prompt = first_prompt(target, rng, _only(kind, central=central))
        used = prompt.points_xy[prompt.point_labels == 1].astype(int)
        assert len(used) >= (2 if kind == "scribble" else 1)
        assert target.mask[used[:, 1], used[:, 0]].all()
        assert np.isnan(prompt.box_xy).all() == (kind != "both")


def test_central_clicks_keep_away_from_the_border(targets):
    def near_border(central):
        rng = np.random.default_rng(2)
        count = 0
        for target in targets * 20:
            x, y = first_prompt(target, rng, _only("click", central=central)).points_xy[0]
            around = target.mask[int(y) - 1 : int(y) + 2, int(x) - 1 : int(x) + 2]
            count += not around.all()
        return count

    assert near_border(1.0) < near_border(0.0) / 4


@pytest.mark.parametrize(("loose", "least", "most"), [(0.0, 0.7, 1.4), (1.0, 0.8, 3.0)])
def test_boxes_are_a_little_off_or_loose(targets, loose, least, most):
    rng = np.random.default_rng(3)
    ratios = []
    for target in targets * 10:
        prompt = first_prompt(target, rng, _only("box", loose=loose))
        assert (prompt.point_labels == -1).all()
        x0, y0, x1, y1 = prompt.box_xy
        top, left, bottom, right = target.box_yx
        ratios.append((x1 - x0) * (y1 - y0) / ((right - left - 1) * (bottom - top - 1)))
    assert least < np.median(ratios) < most
    assert np.std(ratios) > 0.03


def test_loose_boxes_are_larger(targets):
    def area(loose):
        rng = np.random.default_rng(4)
        boxes = [first_prompt(t, rng, _only("box", loose=loose)).box_xy for t in targets * 20]
        return np.mean([(b[2] - b[0]) * (b[3] - b[1]) for b in boxes])

    assert area(1.0) > 1.15 * area(0.0)


def test_corrections_click_on_the_error_with_the_fitting_sign():
    generator = torch.Generator().manual_seed(0)
    truth = torch.rand(30, 24, 24, generator=generator) > 0.5
    found = torch.rand(30, 24, 24, generator=generator) > 0.5
    points, labels = correct(found, truth, generator)
    assert set(labels.tolist()) == {0, 1}
    for index, ((x, y), label) in enumerate(zip(points.long(), labels, strict=True)):
        assert truth[index, y, x] == (label == 1)
        assert found[index, y, x] == (label == 0)


def test_corrections_prefer_the_interior_of_the_larger_error():
    truth = torch.zeros(50, 32, 32, dtype=torch.bool)
    truth[:, 4:20, 4:20] = True
    found = truth.clone()
    found[:, 4:20, 10:20] = False
    points, labels = correct(found, truth, torch.Generator().manual_seed(1))
    assert (labels == 1).all()
    x, y = points.T
    assert ((x > 10) & (x < 19) & (y > 4) & (y < 19)).all()
    assert len({tuple(point) for point in points.tolist()}) > 20


def test_nothing_to_correct_is_padding():
    truth = torch.ones(2, 8, 8, dtype=torch.bool)
    assert correct(truth, truth)[1].tolist() == [-1, -1]


def test_rough_mask_follows_the_object_at_half_resolution():
    truth = torch.zeros(1, 64, 64, dtype=torch.bool)
    truth[:, 16:48, 16:48] = True
    logits = rough_mask(truth)
    assert logits.shape == (1, 1, 32, 32)
    assert logits[0, 0, 16, 16] > 5 and logits[0, 0, 0, 0] < -5


def test_renumbering_closes_gaps_per_layer():
    layers = np.array([[[0, 7, 7, 9]], [[5, 5, 0, 2]]], np.int32)
    assert renumber_layers(layers).tolist() == [[[0, 1, 1, 2]], [[2, 2, 0, 1]]]


def _cell_with_organelle():
    layers = np.zeros((2, 40, 40), np.int32)
    layers[0, 5:35, 5:35] = 3
    layers[1, 10:20, 10:20] = 1
    return layers


@pytest.mark.parametrize("layer, other", [(0, 1), (1, 0)])
def test_a_click_inside_a_part_may_mean_part_or_whole(layer, other):
    layers, rng = _cell_with_organelle(), np.random.default_rng(3)
    target = next(t for t in targets_of(layers, rng, PromptParams()) if t.layer == layer)
    inside = outside = 0
    for _ in range(60):
        click = first_prompt(target, rng, _only("click", central=0.0))
        x, y = click.points_xy[0].astype(int)
        meant = also_meant(layers, target, click)
        if layers[other, y, x]:
            np.testing.assert_array_equal(meant, layers[other] > 0)
            inside += 1
        else:
            assert not meant.any()
            outside += 1
    assert inside >= 3
    # Every pixel of the part lies in the whole.
    assert (outside == 0) == (layer == 1)


@pytest.mark.parametrize("kind", ["box", "both", "scribble"])
def test_boxes_and_strokes_are_clear(kind):
    layers, rng = _cell_with_organelle(), np.random.default_rng(3)
    for target in targets_of(layers, rng, PromptParams()):
        prompt = first_prompt(target, rng, _only(kind))
        if (prompt.point_labels == 1).sum() != 1 or kind == "both":
            assert not also_meant(layers, target, prompt).any()


def test_parts_too_small_to_be_prompted_are_not_meant():
    layers, rng = _cell_with_organelle(), np.random.default_rng(3)
    whole = next(t for t in targets_of(layers, rng, PromptParams()) if t.layer == 0)
    click = FirstPrompt(
        np.array([[12, 12]], np.float32), np.array([1]), np.full(4, np.nan, np.float32)
    )
    assert also_meant(layers, whole, click, min_area=100).sum() == 100
    assert not also_meant(layers, whole, click, min_area=101).any()
