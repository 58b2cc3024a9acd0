"""What a benchmark found: a Markdown file with the numbers and the machine they come from."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

__all__ = ["RESULTS", "Table", "put_between", "report"]

RESULTS = Path(__file__).parent / "results"
PACKAGES = ("napari-segmate", "torch", "numpy", "segment-anything-py", "napari")


@dataclass(frozen=True)
class Table:
    """A table and the sentences that say what was measured."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[object]]
    text: str = ""

    def to_markdown(self) -> str:
        lines = [f"## {self.title}", ""]
        if self.text:
            lines += [self.text, ""]
        lines += [_row(self.columns), _row(["---"] * len(self.columns))]
        return "\n".join([*lines, *map(_row, self.rows), ""])


def report(name: str, title: str, tables: Sequence[Table], *, save: bool = True) -> str:
    """Print tables, write them to ``results/NAME.md`` and return the text."""
    parts = [f"# {title}", _machine(), *(table.to_markdown() for table in tables)]
    text = "\n\n".join(parts).rstrip() + "\n"
    print(text)
    if save:
        RESULTS.mkdir(exist_ok=True)
        (RESULTS / f"{name}.md").write_text(text, encoding="utf-8")
    return text


def put_between(path: Path, mark: str, text: str) -> None:
    """Replace what a Markdown file has between ``<!-- MARK -->`` and ``<!-- end of MARK -->``."""
    begin, end = f"<!-- {mark} -->", f"<!-- end of {mark} -->"
    whole = path.read_text(encoding="utf-8")
    if whole.count(begin) != 1 or whole.count(end) != 1:
        raise SystemExit(f"{path} needs the lines {begin} and {end}, once each")
    before, rest = whole.split(begin)
    after = rest.split(end)[1]
    path.write_text(f"{before}{begin}\n{text.strip()}\n{end}{after}", encoding="utf-8")


def _row(cells: Sequence[object]) -> str:
    return "| " + " | ".join(map(str, cells)) + " |"


def _machine() -> str:
    import torch

    packages = ", ".join(f"{name} {_version(name)}" for name in PACKAGES)
    load = f", load {os.getloadavg()[0]:.1f} at the end" if hasattr(os, "getloadavg") else ""
    date = datetime.now(UTC).date()
    return (
        f"{date}, {_processor()}, {os.cpu_count()} cores, {torch.get_num_threads()} torch threads"
        f"{load}; Python {platform.python_version()}, {packages}."
    )


def _version(name: str) -> str:
    try:
        return version(name).partition("+")[0]
    except ImportError:
        return "absent"


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
