"""Leave out what an installation lacks: tests of the panels need Qt, those of the plugin napari."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec

import pytest

QT_BINDINGS = ("PyQt6", "PySide6")
WITH_QT = ("tests/widgets", "src/napari_segmate/widgets")
WITH_NAPARI = ("tests/plugin", "tests/transforms.py", "src/napari_segmate/plugin")

has_qt = any(find_spec(name) for name in QT_BINDINGS)
has_napari = has_qt and find_spec("napari") is not None

collect_ignore = [*(() if has_qt else WITH_QT), *(() if has_napari else WITH_NAPARI)]


def pytest_report_header() -> str:
    """Say in the first lines of a run what is left out of it."""
    left_out = ", ".join(collect_ignore) or "nothing"
    return f"Qt: {has_qt}, napari: {has_napari}, left out: {left_out}"


@pytest.fixture(scope="session", autouse=True)
def _folders_of_this_run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep what the user has, models and downloads, apart from what the tests make."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NAPARI_SEGMATE_CACHE", str(tmp_path_factory.mktemp("segmate-cache")))
        for name in ("NAPARI_SEGMATE_MODELS", "NAPARI_SEGMATE_MIRROR"):
            patch.delenv(name, raising=False)
        yield
