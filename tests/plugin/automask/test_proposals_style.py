from __future__ import annotations

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Labels
from napari.utils.colormaps.standardize_color import transform_color

from napari_segmate.plugin.automask.proposals_layer import (
    LUMINANCE,
    ON_BRIGHT,
    ON_DARK,
    OUTLINED_COST,
    ProposalStyle,
    colormap,
    is_bright,
)


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


def look(pixels: int = 1600, *, outlined: bool = True) -> tuple[Labels, ProposalStyle]:
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
    layer, its_look = look()
    its_look.fit(image(value), 2)
    shown = layer.colormap.map(np.arange(1, 300, dtype=np.uint16))
    wanted = transform_color(list(colours))
    np.testing.assert_allclose(np.unique(shown, axis=0), np.unique(wanted, axis=0))
    assert (layer.contour, layer.opacity) == (2, 1.0)


def test_colours_that_the_user_has_chosen_stay() -> None:
    layer, its_look = look()
    its_look.fit(image(10), 1)
    chosen = layer.colormap = colormap(("red", "blue"))
    its_look.fit(image(20), 1)
    assert layer.colormap == chosen


def test_outlines_follow_the_zoom_until_the_user_sets_their_width() -> None:
    layer, its_look = look()
    its_look.fit(image(10), 1)
    its_look.set_width(3)
    assert layer.contour == 3
    layer.contour = 7
    its_look.set_width(2)
    assert layer.contour == 7


def test_what_takes_napari_long_to_outline_is_shown_as_areas() -> None:
    layer, its_look = look(OUTLINED_COST // 4)
    its_look.fit(image(10), 4)
    assert layer.contour == 4
    its_look.set_width(5)
    assert layer.contour == 0
    assert layer.opacity < 1
    its_look.set_width(2)
    assert (layer.contour, layer.opacity) == (2, 1.0)


def test_stacks_are_shown_as_areas() -> None:
    layer, its_look = look(outlined=False)
    its_look.fit(image(10), 2)
    assert layer.contour == 0
    assert layer.opacity < 1
