"""What importing the package costs, and what it offers."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import version

import pytest

import napari_segmate

HEAVY = {"torch", "torchvision", "qtpy", "PyQt6", "PySide6", "napari", "scipy", "skimage", "numpy"}


def modules_after(statement: str) -> set[str]:
    """The modules that a fresh Python has loaded after a statement."""
    code = f"{statement}\nimport sys\nprint(*sorted(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    return set(done.stdout.split())


def test_import_loads_nothing_heavy_and_few_modules() -> None:
    loaded = modules_after("import napari_segmate")
    assert "napari_segmate" in loaded
    assert not loaded & HEAVY
    assert len(loaded - modules_after("import lazy_loader, ast")) < 10


def test_the_command_line_loads_no_torch() -> None:
    assert not modules_after("import napari_segmate.cli") & {"torch", "napari", "qtpy", "skimage"}


@pytest.mark.parametrize("name", ["SegMate", "Predictor", "load_model", "list_models"])
def test_public_names_are_there(name: str) -> None:
    assert name in dir(napari_segmate)
    assert name in napari_segmate.__all__
    assert callable(getattr(napari_segmate, name))


def test_version_is_the_installed_one() -> None:
    assert napari_segmate.__version__ == version("napari-segmate")


def test_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="segmate_all"):
        _ = napari_segmate.segmate_all
