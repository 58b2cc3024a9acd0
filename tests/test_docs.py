"""The documentation is true: code runs, links lead somewhere, tables say what the code says."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import tifffile
import zarr

from napari_segmate.cli import main
from napari_segmate.core.synthetic import nuclei, stack_3d
from napari_segmate.models import list_models
from napari_segmate.widgets.actions import SegmentAction, default_keys

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), ROOT / "benchmarks/README.md"])
BLOCK = re.compile(
    r"(?P<skip><!-- not run: [^\n]+ -->\n)?^```(?P<language>\w*)[^\n]*\n(?P<code>.*?)^```",
    re.M | re.S,
)
LINK = re.compile(r"\]\((?P<target>[^)\s]+)\)")


@dataclass(frozen=True)
class Block:
    """A piece of code in a page."""

    language: str
    code: str
    line: int


def blocks(page: Path) -> list[Block]:
    text = page.read_text(encoding="utf-8")
    return [
        Block(found["language"], found["code"], text.count("\n", 0, found.start("code")) + 1)
        for found in BLOCK.finditer(text)
        if not found["skip"]
    ]


def pages_with(language: str, needle: str = "") -> list[Path]:
    return [
        page
        for page in PAGES
        if any(block.language == language and needle in block.code for block in blocks(page))
    ]


def page_name(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


@pytest.fixture
def samples(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the images that the pages speak of, as the working directory."""
    tifffile.imwrite(tmp_path / "cells.tif", nuclei()[0])
    tifffile.imwrite(tmp_path / "stack.tif", stack_3d()[0], metadata={"axes": "ZYX"})
    (tmp_path / "images").mkdir()
    tifffile.imwrite(tmp_path / "images" / "cells.tif", nuclei()[0])
    zarr.save_array(str(tmp_path / "huge.zarr"), nuclei()[0])
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NAPARI_SEGMATE_CACHE", str(tmp_path / "cache"))
    return tmp_path


@pytest.mark.usefixtures("samples")
@pytest.mark.parametrize("page", pages_with("python"), ids=page_name)
def test_python_in_a_page_runs_from_top_to_bottom(page: Path):
    namespace: dict[str, object] = {"__name__": page.stem}
    for block in blocks(page):
        if block.language == "python":
            source = "\n" * (block.line - 1) + block.code
            exec(compile(source, str(page), "exec"), namespace)


@pytest.mark.usefixtures("samples")
@pytest.mark.parametrize("page", pages_with("console", "segmate "), ids=page_name)
def test_commands_in_a_page_succeed(page: Path, capsys: pytest.CaptureFixture[str]):
    for block in blocks(page):
        for line in block.code.splitlines():
            if block.language == "console" and line.startswith("segmate "):
                status = main(shlex.split(line)[1:])
                assert status == 0, f"{line}: {capsys.readouterr().err}"


def test_segmenting_on_the_command_line_leaves_the_labels_that_the_page_promises(samples: Path):
    assert main(shlex.split("segment cells.tif --each-point --point 120,340 --point 300,200")) == 0
    assert set(np.unique(tifffile.imread(samples / "cells_labels.tif"))) <= {0, 1, 2}


@pytest.mark.parametrize("page", PAGES, ids=page_name)
def test_links_to_files_lead_to_files(page: Path):
    targets = [found["target"] for found in LINK.finditer(page.read_text(encoding="utf-8"))]
    local = [target.partition("#")[0] for target in targets if "://" not in target]
    assert [one for one in local if one and not (page.parent / one).exists()] == []


def table(page: Path, header: str) -> list[list[str]]:
    """Return the cells of the table below a header line, row by row."""
    lines = page.read_text(encoding="utf-8").splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith(header)) + 2
    rows = []
    for line in lines[start:]:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in line.strip("|").split("|")])
    return rows


def test_readme_names_every_key():
    found = {key.strip("`"): title for key, title in table(ROOT / "README.md", "| key |")}
    assert found == {key: action.title for action, key in default_keys(SegmentAction).items()}


def test_readme_names_every_model():
    rows = table(ROOT / "README.md", "| name |")
    assert {name for row in rows for name in re.findall(r"`(\w+)`", row[0])} == {
        info.name for info in list_models()
    }


def test_the_two_commands_of_the_readme_are_the_ones_that_dev_offers():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    import dev

    for line in re.findall(r"^python dev\.py (\w+)$", text, re.M):
        assert dev.parse([line]).command == line
