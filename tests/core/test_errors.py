"""The errors that users meet."""

from __future__ import annotations

import pytest

from napari_segmate.core import errors
from napari_segmate.core.errors import MissingExtraError, SegmateError, UnknownNameError


@pytest.mark.parametrize("name", errors.__all__)
def test_one_base_catches_all_of_them(name: str) -> None:
    assert issubclass(getattr(errors, name), SegmateError)


@pytest.mark.parametrize(
    ("name", "builtin"),
    [
        ("ImageError", ValueError),
        ("PromptError", ValueError),
        ("LabelsError", ValueError),
        ("UnknownNameError", KeyError),
        ("ModelError", RuntimeError),
        ("OfflineError", OSError),
        ("CacheError", OSError),
        ("OutOfMemoryError", MemoryError),
        ("MissingExtraError", ImportError),
    ],
)
def test_they_are_the_builtin_that_callers_expect(name: str, builtin: type[Exception]) -> None:
    assert issubclass(getattr(errors, name), builtin)


def test_an_unknown_name_shows_its_message_without_quotes() -> None:
    assert str(UnknownNameError("no model 'x'")) == "no model 'x'"
    assert str(UnknownNameError()) == ""


def test_a_missing_extra_says_what_to_install() -> None:
    message = str(MissingExtraError.for_feature("the viewer", "all"))
    assert message == "the viewer needs the 'all' extra: pip install \"napari-segmate[all]\""
