from __future__ import annotations

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Labels
from napari.utils.colormaps.standardize_color import transform_color

from napari_segmate.core.images.image_source import ImageAxes
from napari_segmate.plugin.automask import proposals, proposals_layer
from napari_segmate.plugin.automask.proposals import PlaneProposal, Proposals
from napari_segmate.plugin.automask.proposals_layer import (
    LUMINANCE,
    ON_BRIGHT,
    ON_DARK,
    OUTLINED_COST,
    ProposalPainter,
    ProposalStyle,
    colormap,
    is_bright,
    redraw,
)
from napari_segmate.plugin.planes.geometry import DisplayedPlane
from napari_segmate.tasks.automask.run import Proposal

pytestmark = pytest.mark.gui

SHAPE = (40, 50)
PLANE = DisplayedPlane(ImageAxes(0, 1), (0, 0), SHAPE)


def labels_of(value: int = 1) -> np.ndarray:
    labels = np.zeros(SHAPE, np.int32)
    labels[3:12, 4:14] = value
    labels[20:38, 30:44] = value + 1
    return labels


def rows_of(labels):
    return lambda top, bottom: labels[top:bottom]


@pytest.fixture
def small_bands(monkeypatch) -> None:
    """Bands of five rows, one per turn."""
    monkeypatch.setattr(proposals_layer, "BAND_PIXELS", 5 * SHAPE[1])
    monkeypatch.setattr(proposals_layer, "BUDGET_S", -1.0)


@pytest.fixture
def layer() -> Labels:
    return Labels(np.zeros(SHAPE, np.uint16))


def test_small_planes_are_drawn_at_once(layer) -> None:
    ProposalPainter().draw(layer, [(PLANE, rows_of(labels_of()))])
    np.testing.assert_array_equal(layer.data, labels_of())


@pytest.mark.parametrize("contour", [0, 1])
def test_large_planes_come_in_bands(layer, qtbot, small_bands, contour) -> None:
    layer.contour = contour
    drawing = ProposalPainter()
    drawing.draw(layer, [(PLANE, rows_of(labels_of()))])
    assert drawing.busy and not layer.data[20:].any()
    qtbot.waitUntil(lambda: not drawing.busy)
    np.testing.assert_array_equal(layer.data, labels_of())


def test_the_last_of_two_drawings_of_a_plane_stays(layer, qtbot, small_bands) -> None:
    drawing = ProposalPainter()
    drawing.draw(layer, [(PLANE, rows_of(labels_of(1)))])
    qtbot.waitUntil(lambda: bool(layer.data.any()))
    drawing.draw(layer, [(PLANE, rows_of(labels_of(5)))])
    qtbot.waitUntil(lambda: not drawing.busy)
    np.testing.assert_array_equal(layer.data, labels_of(5))


def test_planes_of_a_stack_are_all_drawn(qtbot, small_bands) -> None:
    layer = Labels(np.zeros((3, *SHAPE), np.uint16))
    drawing = ProposalPainter()
    planes = [DisplayedPlane(ImageAxes(1, 2), (z, 0, 0), SHAPE) for z in (0, 2)]
    drawing.draw(layer, [(plane, rows_of(labels_of(z + 1))) for z, plane in enumerate(planes)])
    drawing.finish()
    np.testing.assert_array_equal(layer.data[0], labels_of(1))
    np.testing.assert_array_equal(layer.data[2], labels_of(2))
    assert not layer.data[1].any()


def test_outlines_are_drawn_as_napari_does(make_napari_viewer, qtbot, small_bands) -> None:
    viewer = make_napari_viewer(show=True)
    layer = viewer.add_labels(np.zeros(SHAPE, np.uint16))
    layer.contour = 2
    qtbot.wait(300)
    drawing = ProposalPainter()
    drawing.draw(layer, [(PLANE, rows_of(labels_of()))])
    qtbot.waitUntil(lambda: not drawing.busy)
    qtbot.wait(100)
    banded = viewer.screenshot(flash=False)
    layer.refresh()
    qtbot.wait(100)
    whole = viewer.screenshot(flash=False)
    assert len(np.unique(whole[..., :3].reshape(-1, 3), axis=0)) >= 3
    np.testing.assert_array_equal(banded, whole)


def test_drawing_a_box_anew_leaves_what_it_holds(layer) -> None:
    layer.data[...] = labels_of()
    told = []
    layer.events.labels_update.connect(lambda event: told.append((event.offset, event.data.shape)))
    redraw(layer, (3, 4, 21, 40))
    np.testing.assert_array_equal(layer.data, labels_of())
    assert told == [([3, 4], (18, 36))]


def proposal_of(labels: np.ndarray) -> Proposal:
    areas = np.bincount(labels.ravel())[1:]
    return Proposal(labels, np.ones(len(areas), np.float32), areas, 10.0)


@pytest.fixture
def proposed() -> tuple[Proposals, PlaneProposal]:
    viewer_model = ViewerModel()
    image = viewer_model.add_image(np.zeros(SHAPE, np.uint8))
    labels = labels_of()
    proposal = proposal_of(labels)
    plane = PlaneProposal((), PLANE, None, None, proposal)
    book = Proposals(viewer_model)
    book.put(image, plane)
    return book, plane


def test_dropping_one_object_draws_its_box_only(proposed, monkeypatch) -> None:
    monkeypatch.setattr(proposals, "SEARCHED_PIXELS", SHAPE[1])
    proposals_of, plane = proposed
    layer = proposals_of.layer
    redrawn = []
    layer.events.set_data.connect(redrawn.append)
    proposals_of.delete(plane, 2)
    assert plane.kept.tolist() == [1]
    assert plane.proposal.labels[next(iter(plane.gone))] == 2
    assert np.unique(layer.data).tolist() == [0, 1]
    assert not redrawn


def test_proposals_that_become_the_users_have_no_steps_to_undo(proposed, small_bands) -> None:
    proposals_of, plane = proposed
    layer = proposals_of.layer
    plane.proposal = proposal_of(labels_of(1)[::-1])
    layer.contour = 1
    proposals_of.draw([plane])
    assert not proposals_of.drawn
    proposals_of.release()
    assert layer.editable
    shown = layer.data.copy()
    np.testing.assert_array_equal(shown, labels_of(1)[::-1])
    layer.undo()
    np.testing.assert_array_equal(layer.data, shown)


# Style


def luminance(colours) -> np.ndarray:
    """Relative luminance as WCAG 2 defines it."""
    rgb = transform_color(list(colours))[:, :3].astype(float)
    linear = np.where(rgb <= 0.03928, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    return linear @ LUMINANCE


def contrast(one, other) -> np.ndarray:
    high, low = np.maximum(one, other), np.minimum(one, other)
    return (high + 0.05) / (low + 0.05)


def image(value: int, **options):
    viewer = ViewerModel()
    options.setdefault("contrast_limits", (0, 255))
    return viewer.add_image(np.full((40, 40), value, np.uint8), **options)


def styled_layer(pixels: int = 1600, *, outlined: bool = True) -> tuple[Labels, ProposalStyle]:
    layer = Labels(np.zeros((40, 40), np.uint16))
    return layer, ProposalStyle(layer, pixels, outlined=outlined)


def test_colours_are_seen_on_the_images_they_are_for() -> None:
    assert (contrast(luminance(ON_DARK), 0.0) > 7).all()
    assert (contrast(luminance(ON_BRIGHT), 1.0) > 2.7).all()
    assert (contrast(luminance(ON_BRIGHT), 0.0) > 5).all()


@pytest.mark.parametrize(("value", "bright"), [(0, False), (90, False), (200, True)])
def test_bright_is_what_looks_bright(value, bright) -> None:
    assert is_bright(image(value)) is bright


def test_contrast_and_colours_of_the_layer_count() -> None:
    assert is_bright(image(60, contrast_limits=(0, 60)))
    assert not is_bright(image(200, colormap="gray_r"))


def test_background_has_no_colour_and_objects_one_after_the_other_have_different_ones() -> None:
    colours = colormap(ON_DARK).map(np.arange(301, dtype=np.uint16))
    assert colours[0, 3] == 0
    assert (colours[1:, 3] == 1).all()
    assert (np.abs(np.diff(colours[1:], axis=0)).max(axis=1) > 0.1).all()
    _, counts = np.unique(colours[1:], axis=0, return_counts=True)
    assert counts.tolist() == pytest.approx([50] * len(ON_DARK), abs=1)


@pytest.mark.parametrize("apart", range(2, 30))
def test_numbers_as_far_apart_do_not_all_share_a_colour(apart) -> None:
    colours = colormap(ON_DARK).map(np.arange(1, 301, dtype=np.uint16))
    same = (colours[apart:] == colours[:-apart]).all(axis=1)
    assert same.mean() < 0.5


@pytest.mark.parametrize(("value", "colours"), [(10, ON_DARK), (240, ON_BRIGHT)])
def test_colours_fit_the_image(value, colours) -> None:
    layer, its_look = styled_layer()
    its_look.fit(image(value), 2)
    shown = layer.colormap.map(np.arange(1, 300, dtype=np.uint16))
    wanted = transform_color(list(colours))
    np.testing.assert_allclose(np.unique(shown, axis=0), np.unique(wanted, axis=0))
    assert (layer.contour, layer.opacity) == (2, 1.0)


def test_colours_that_the_user_has_chosen_stay() -> None:
    layer, its_look = styled_layer()
    its_look.fit(image(10), 1)
    chosen = layer.colormap = colormap(("red", "blue"))
    its_look.fit(image(20), 1)
    assert layer.colormap == chosen


def test_outlines_follow_the_zoom_until_the_user_sets_their_width() -> None:
    layer, its_look = styled_layer()
    its_look.fit(image(10), 1)
    its_look.set_width(3)
    assert layer.contour == 3
    layer.contour = 7
    its_look.set_width(2)
    assert layer.contour == 7


def test_what_takes_napari_long_to_outline_is_shown_as_areas() -> None:
    layer, its_look = styled_layer(OUTLINED_COST // 4)
    its_look.fit(image(10), 4)
    assert layer.contour == 4
    its_look.set_width(5)
    assert layer.contour == 0
    assert layer.opacity < 1
    its_look.set_width(2)
    assert (layer.contour, layer.opacity) == (2, 1.0)


def test_stacks_are_shown_as_areas() -> None:
    layer, its_look = styled_layer(outlined=False)
    its_look.fit(image(10), 2)
    assert layer.contour == 0
    assert layer.opacity < 1
