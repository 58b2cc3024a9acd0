"""Frames, and results of models."""

from __future__ import annotations

import numpy as np
import pytest

from napari_segmate.core.types import Embedding, Frame, Instance, MaskResult

FRAMES = [
    Frame((0, 0, 10, 10), (10, 10)),
    Frame((100, 40, 356, 552), (128, 256)),
    Frame((3, 5, 14, 20), (33, 45)),
]


@pytest.mark.parametrize("frame", FRAMES)
def test_coordinates_go_there_and_back(frame: Frame) -> None:
    points = np.random.default_rng(0).uniform(-20, 600, (50, 2))
    np.testing.assert_allclose(frame.to_plane(frame.to_frame(points)), points)


@pytest.mark.parametrize("frame", FRAMES)
def test_edges_of_the_box_are_the_edges_of_the_picture(frame: Frame) -> None:
    y0, x0, y1, x1 = frame.box_yx
    edges = np.array([[y0, x0], [y1, x1]]) - 0.5
    height, width = frame.shape
    np.testing.assert_allclose(frame.to_frame(edges), [[-0.5, -0.5], [height - 0.5, width - 0.5]])


def test_a_frame_of_full_size_only_shifts() -> None:
    frame = Frame((30, 40, 94, 104), (64, 64))
    assert frame.size == (64, 64)
    assert frame.zoom_yx == (1.0, 1.0)
    np.testing.assert_array_equal(frame.to_frame([[30, 40], [31, 42]]), [[0, 0], [1, 2]])


def test_sides_may_be_shown_at_different_sizes() -> None:
    assert Frame((0, 0, 100, 50), (50, 50)).zoom_yx == (0.5, 1.0)


@pytest.mark.parametrize(
    ("box", "inside"),
    [
        ((10, 20, 19, 29), True),
        ((9.5, 19.5, 19.5, 29.5), True),
        ((9, 20, 15, 25), False),
        ((12, 22, 20, 25), False),
    ],
)
def test_contains_counts_pixel_edges(box: tuple[float, ...], inside: bool) -> None:
    assert Frame((10, 20, 20, 30), (10, 10)).contains(box) is inside


def test_frames_with_the_same_values_are_equal() -> None:
    assert len({Frame((0, 0, 5, 5), (5, 5)), Frame((0, 0, 5, 5), (5, 5))}) == 1


def test_an_embedding_knows_its_bytes() -> None:
    arrays = {"a": np.zeros((2, 3), np.float32), "b": np.zeros(5, np.float16)}
    assert Embedding(arrays, (8, 8), "tiny@1").nbytes == 24 + 10


@pytest.mark.parametrize(
    ("logits", "scores"), [((2, 3, 8), (2, 3)), ((2, 3, 8, 8), (2,)), ((2, 3, 8, 8), (3, 2))]
)
def test_results_that_do_not_match_are_refused(
    logits: tuple[int, ...], scores: tuple[int, ...]
) -> None:
    with pytest.raises(ValueError, match=r"\(N, M, h, w\)"):
        MaskResult(np.zeros(logits, np.float32), np.zeros(scores, np.float32), (32, 32))


def test_a_result_is_as_long_as_it_has_objects() -> None:
    assert len(MaskResult(np.zeros((4, 3, 8, 8)), np.zeros((4, 3)), (32, 32))) == 4


def test_area_counts_pixels() -> None:
    mask = np.array([[1, 0], [1, 1]], bool)
    assert Instance((0, 0, 2, 2), mask).area == 3
