"""JSON that others wrote, read within limits of size, depth and numbers."""

from __future__ import annotations

import errno
import json
import math
import re
from pathlib import Path
from typing import Any

from napari_segmate.core.files.paths import path_problem

__all__ = ["parse_json", "read_json"]

LONGEST = 1 << 28
"""Bytes of a file: records of a hundred thousand objects have fewer."""
DEEPEST = 100
DIGITS = 30
TOKENS = re.compile(rb'"(?:[^"\\]|\\.)*"|[\[\]{}]', re.DOTALL)


def read_json(path: Path, longest: int = LONGEST) -> Any:
    """Return what a JSON file holds.

    Parameters
    ----------
    path : Path
        A regular file.
    longest : int
        Most bytes.

    Raises
    ------
    ValueError
        No JSON, or beyond a limit; says which one.
    OSError
        It cannot be read.
    """
    problem = path_problem(path)
    if problem is None and path.is_dir():
        problem = "is a folder; give a file"
    if problem is not None:
        raise OSError(errno.ENOENT, f"it {problem}", str(path))
    size = path.stat().st_size
    if size > longest:
        raise ValueError(f"it has {size} bytes, at most {longest} are read")
    return parse_json(path.read_bytes())


def parse_json(content: bytes) -> Any:
    """Return what a JSON text holds.

    Raises
    ------
    ValueError
        No JSON, nested deeper than 100 levels, or with numbers that are not finite.

    Examples
    --------
    >>> parse_json(b'{"a": [1, 2.5]}')
    {'a': [1, 2.5]}
    """
    depth = deepest = 0
    for token in TOKENS.finditer(content):
        first = token.group()[:1]
        depth += (first in b"[{") - (first in b"]}")
        deepest = max(deepest, depth)
    if deepest > DEEPEST:
        raise ValueError(f"it is nested {deepest} levels deep, at most {DEEPEST} are read")
    return json.loads(
        content.decode("utf-8"), parse_int=_whole, parse_float=_number, parse_constant=_number
    )


def _whole(text: str) -> int:
    if len(text) > DIGITS:
        raise ValueError(f"a number has {len(text)} digits, at most {DIGITS} are read")
    return int(text)


def _number(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise ValueError(f"the number {text[:DIGITS]} is not finite")
    return value
