import numpy as np
import pytest

from napari_segmate.core.errors import PromptError
from napari_segmate.core.prompts import Box, MaskPrompt, Points, Scribble
from napari_segmate.sessions.prompt_set import PointMode, PromptSet, resolve

SHAPE = (100, 120)
ONE, EACH = PointMode.ONE_OBJECT, PointMode.EACH_POINT


def points(*yx, positive=None):
    return Points(yx, positive)


def mask(box):
    y0, x0, y1, x1 = box
    return MaskPrompt(box, np.ones((y1 - y0, x1 - x0), bool))


def test_nothing_drawn_is_no_object():
    assert resolve(PromptSet(), ONE, SHAPE) == ()
    assert resolve(PromptSet(points=Points([])), ONE, SHAPE) == ()


def test_points_form_one_object():
    prompts = PromptSet(points=points((1, 2), (3, 4), positive=[True, False]))
    (one,) = resolve(prompts, ONE, SHAPE)
    assert one.points.points_yx.tolist() == [[1, 2], [3, 4]]
    assert one.points.positive.tolist() == [True, False]


def test_each_point_is_its_own_object_and_negatives_go_to_the_nearest():
    prompts = PromptSet(points=points((10, 10), (50, 50), (48, 50), positive=[True, True, False]))
    first, second = resolve(prompts, EACH, SHAPE)
    assert len(first.points) == 1
    assert second.points.points_yx.tolist() == [[50, 50], [48, 50]]
    assert second.points.positive.tolist() == [True, False]


def test_each_box_is_an_object():
    boxes = (Box((0, 0, 10, 10)), Box((20, 20, 30, 30)), Box((40, 40, 60, 60)))
    found = resolve(PromptSet(boxes=boxes), ONE, SHAPE)
    assert [one.box for one in found] == list(boxes)
    assert all(one.points is None for one in found)


def test_points_refine_the_box_they_lie_in():
    prompts = PromptSet(
        points=points((25, 25), (5, 5), positive=[False, True]),
        boxes=(Box((0, 0, 10, 10)), Box((20, 20, 30, 30))),
    )
    first, second = resolve(prompts, ONE, SHAPE)
    assert first.points.points_yx.tolist() == [[5, 5]]
    assert second.points.points_yx.tolist() == [[25, 25]]
    assert second.points.positive.tolist() == [False]


def test_a_point_in_nested_boxes_refines_the_smaller():
    prompts = PromptSet(points=points((15, 15)), boxes=(Box((0, 0, 50, 50)), Box((10, 10, 20, 20))))
    outer, inner = resolve(prompts, ONE, SHAPE)
    assert outer.points is None
    assert len(inner.points) == 1


def test_a_point_outside_all_boxes_refines_the_nearest():
    prompts = PromptSet(points=points((14, 14)), boxes=(Box((60, 60, 80, 80)), Box((0, 0, 10, 10))))
    far, near = resolve(prompts, ONE, SHAPE)
    assert far.points is None
    assert len(near.points) == 1


def test_in_each_point_mode_a_point_outside_all_boxes_is_its_own_object():
    prompts = PromptSet(points=points((50, 50), (5, 5)), boxes=(Box((0, 0, 10, 10)),))
    boxed, own = resolve(prompts, EACH, SHAPE)
    assert boxed.points.points_yx.tolist() == [[5, 5]]
    assert own.box is None
    assert own.points.points_yx.tolist() == [[50, 50]]


@pytest.mark.parametrize(
    "prompts",
    [
        PromptSet(polygons=(np.array([(10, 20), (10, 40), (30, 40), (30, 20)], float),)),
        PromptSet(ellipses=((10, 20, 30, 40),)),
    ],
    ids=["polygon", "ellipse"],
)
def test_a_drawn_area_is_a_box_and_a_mask(prompts):
    (one,) = resolve(prompts, ONE, SHAPE)
    np.testing.assert_allclose(one.box.box_yx, (10, 20, 30, 40), atol=1)
    assert one.mask.mask.sum() > 250


def test_a_scribble_gives_points_along_it():
    path = np.array([(10, 10), (10, 50)], float)
    (one,) = resolve(PromptSet(scribbles=(Scribble(path),)), ONE, SHAPE)
    assert len(one.points) == 8
    assert (one.points.points_yx[:, 0] == 10).all()
    assert np.ptp(one.points.points_yx[:, 1]) > 30


def test_a_scribble_is_one_object_in_each_point_mode():
    scribbles = tuple(Scribble(np.array([(y, 10), (y, 50)], float)) for y in (10, 60))
    found = resolve(PromptSet(scribbles=scribbles), EACH, SHAPE)
    assert [len(one.points) for one in found] == [8, 8]


def test_everything_belongs_to_the_object_that_is_edited():
    prompts = PromptSet(points=points((50, 50), (5, 5)), mask=mask((40, 40, 60, 60)))
    (one,) = resolve(prompts, EACH, SHAPE)
    assert len(one.points) == 2
    assert one.mask is prompts.mask


def test_a_polygon_replaces_the_shape_of_the_edited_object():
    polygon = np.array([(10, 20), (10, 40), (30, 40), (30, 20)], float)
    (one,) = resolve(PromptSet(polygons=(polygon,), mask=mask((0, 0, 60, 60))), ONE, SHAPE)
    assert one.mask.box_yx[0] == 10


def test_a_box_bounds_the_edited_object():
    edited = mask((0, 0, 60, 60))
    (one,) = resolve(PromptSet(boxes=(Box((5, 5, 50, 50)),), mask=edited), ONE, SHAPE)
    assert one.mask is edited
    assert one.box.box_yx == (5, 5, 50, 50)


def test_two_shapes_cannot_edit_one_object():
    prompts = PromptSet(boxes=(Box((0, 0, 9, 9)), Box((20, 20, 30, 30))), mask=mask((0, 0, 5, 5)))
    with pytest.raises(PromptError, match="2 shapes"):
        resolve(prompts, ONE, SHAPE)


@pytest.mark.parametrize("at", [(-1, 5), (5, -0.6), (100, 5), (5, 119.6), (1e9, 1e9)])
def test_a_point_outside_the_image_is_named(at):
    with pytest.raises(PromptError, match=r"point at .* outside the image of 100 x 120"):
        resolve(PromptSet(points=points((5, 5), at)), ONE, SHAPE)


@pytest.mark.parametrize("at", [(-0.5, -0.5), (99.5, 119.5), (99, 119)])
def test_a_point_in_a_pixel_at_the_border_is_inside(at):
    assert len(resolve(PromptSet(points=points(at)), ONE, SHAPE)) == 1


def test_a_scribble_outside_the_image_is_named():
    path = np.array([(10, 10), (10, 500)], float)
    with pytest.raises(PromptError, match="scribble"):
        resolve(PromptSet(scribbles=(Scribble(path),)), ONE, SHAPE)


def test_a_box_over_the_border_is_cut():
    (one,) = resolve(PromptSet(boxes=(Box((-50, 90, 10, 500)),)), ONE, SHAPE)
    assert one.box.box_yx == (-0.5, 90, 10, 119.5)


def test_a_box_outside_the_image_is_named():
    with pytest.raises(PromptError, match="box at"):
        resolve(PromptSet(boxes=(Box((-50, -50, -10, -10)),)), ONE, SHAPE)


@pytest.mark.parametrize("mode", [ONE, EACH])
def test_only_negative_points_are_refused(mode):
    prompts = PromptSet(points=points((5, 5), positive=[False]))
    assert prompts.only_negative
    with pytest.raises(PromptError, match="positive"):
        resolve(prompts, mode, SHAPE)


@pytest.mark.parametrize("mode", [ONE, EACH])
def test_five_hundred_points_are_handled(mode):
    rng = np.random.default_rng(0)
    prompts = PromptSet(points=Points(rng.uniform(0, 99, (500, 2))))
    found = resolve(prompts, mode, SHAPE)
    assert sum(len(one.points) for one in found) == 500
    assert len(found) == (1 if mode is ONE else 500)


def test_a_stroke_between_two_clicks_goes_to_the_nearer_scribble():
    scribbles = tuple(Scribble(np.array([(y, 10), (y, 90)], float)) for y in (10, 60))
    prompts = PromptSet(points=points((50, 50), positive=[False]), scribbles=scribbles)
    first, second = resolve(prompts, EACH, SHAPE)
    assert (len(first.points), len(second.points)) == (8, 9)
