"""Fixtures that many tests share."""

from __future__ import annotations

import pytest
from fakes import ArrayPlane, FakeSegmenter


@pytest.fixture
def fake_model() -> FakeSegmenter:
    """A segmenter of 64 pixels input size that finds bright blobs; numpy and scipy only."""
    return FakeSegmenter()


@pytest.fixture
def blobs() -> ArrayPlane:
    """A dark plane of 48 x 60 pixels with three bright rectangles."""
    return ArrayPlane.with_blobs((48, 60), [(8, 8, 20, 22), (6, 36, 18, 50), (28, 20, 42, 40)])
