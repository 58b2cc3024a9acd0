import numpy as np
import pytest

from napari_segmate.core.errors import LabelsError
from napari_segmate.io.runs import decode_runs, encode_runs


@pytest.mark.parametrize(
    "values",
    [
        np.zeros((0, 4), int),
        np.zeros((1, 1), bool),
        np.ones((3, 4), bool),
        np.arange(12).reshape(3, 4),
        np.array([[2**31, 2**40], [0, 1]], np.int64),
        np.random.default_rng(0).integers(0, 3, (50, 60)).astype(np.uint8),
    ],
    ids=["empty", "one", "even", "distinct", "large", "noise"],
)
def test_values_survive(values):
    np.testing.assert_array_equal(decode_runs(encode_runs(values), values.shape), values)


def test_a_large_even_object_is_short_text():
    assert len(encode_runs(np.ones((4000, 4000), bool))) < 100


@pytest.mark.parametrize("text", ["", "nonsense", "AAAA", encode_runs(np.ones((2, 2)))[:-6]])
def test_damaged_text_is_named(text):
    with pytest.raises(LabelsError, match="damaged"):
        decode_runs(text, (2, 2))


def test_text_of_another_shape_is_refused():
    with pytest.raises(LabelsError, match=r"\(3, 3\)"):
        decode_runs(encode_runs(np.ones((2, 2))), (3, 3))
