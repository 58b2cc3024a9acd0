from __future__ import annotations

import ast
import importlib
import json
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

import napari_segmate

HEAVY = ["torch", "torchvision", "qtpy", "napari", "magicgui", "scipy", "skimage", "zarr", "numpy"]
PROBE = """
import json, sys, time
start = time.perf_counter()
import napari_segmate
seconds = time.perf_counter() - start
print(json.dumps({"seconds": seconds, "modules": sorted(sys.modules)}))
"""


def run(code: str) -> dict:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def test_importing_the_package_loads_nothing_heavy():
    loaded = {name.partition(".")[0] for name in run(PROBE)["modules"]}
    assert loaded.isdisjoint(HEAVY)


def test_importing_the_package_takes_less_than_a_tenth_of_a_second():
    # The fastest of a few: other work on the machine only ever makes it slower.
    assert min(run(PROBE)["seconds"] for _ in range(5)) < 0.1


@pytest.mark.parametrize(
    "arguments", [["--help"], ["auto", "--help"], ["train", "--help"], ["models"], ["detectors"]]
)
def test_the_command_line_helps_without_torch(arguments):
    code = (
        "import contextlib, io, json, sys\n"
        "from napari_segmate.cli import main\n"
        "with contextlib.redirect_stdout(io.StringIO()):\n"
        f"    assert main({arguments!r}) == 0\n"
        "print(json.dumps(sorted(sys.modules)))"
    )
    loaded = {name.partition(".")[0] for name in run(code)}
    assert loaded.isdisjoint({"torch", "qtpy", "napari", "scipy", "skimage", "zarr"})


@pytest.mark.parametrize("name", napari_segmate.__all__)
def test_every_public_name_is_there(name):
    assert getattr(napari_segmate, name) is not None
    assert name in dir(napari_segmate)


def test_the_version_is_that_of_the_distribution():
    assert napari_segmate.__version__ == version("napari-segmate")


def test_a_name_that_is_not_there_is_an_attribute_error():
    with pytest.raises(AttributeError):
        _ = napari_segmate.nothing


def test_the_module_runs_as_a_program():
    done = subprocess.run(
        [sys.executable, "-m", "napari_segmate", "--version"], capture_output=True, text=True
    )
    assert done.returncode == 0
    assert done.stdout.strip() == f"segmate {importlib.metadata.version('napari-segmate')}"


def imported_in(package: Path, module: str) -> set[str]:
    """Return the modules of one package that a module of it imports, directly or not."""
    found: set[str] = set()
    waiting = [module]
    while waiting:
        tree = ast.parse((package / f"{waiting.pop()}.py").read_text("utf-8"))
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and node.module is not None:
                home, _, name = node.module.rpartition(".")
                new = {name} if home.endswith(f".{package.name}") else set()
                if node.module.endswith(f".{package.name}"):
                    new = {alias.name for alias in node.names}
                new = {one for one in new if (package / f"{one}.py").is_file()} - found
                found |= new
                waiting += new
    return found


@pytest.mark.parametrize("folder", ["models", "detectors"])
def test_no_family_needs_another_one(folder):
    package = Path(napari_segmate.__file__).parent / folder
    families = {
        path.stem
        for path in package.glob("*.py")
        if not path.name.startswith("_") and path.stem != "base"
    }
    assert len(families) >= 3
    others = {name: imported_in(package, name) & families for name in families}
    assert others == {name: set() for name in families}
