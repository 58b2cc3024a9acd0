"""What every one-shot job offers: a name, parameters, and a pure function."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

__all__ = ["Task"]


@dataclass(frozen=True)
class Task:
    """A one-shot job.

    Parameters
    ----------
    name : str
        What users type: ``"segment"``.
    title : str
        What a list shows.
    description : str
        One sentence.
    params : type
        Frozen dataclass of its parameters; each field has a ``"help"`` text in its metadata.
    run : callable
        The job; its keyword ``params`` is an instance of `params`.
    """

    name: str
    title: str
    description: str
    params: type
    run: Callable[..., Any]
