"""The user's last searches, kept from one start of napari to the next."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path

from napari_segmate.core.files.atomic import write_text

__all__ = ["PromptHistory"]

REMEMBERED = 20


class PromptHistory:
    """Former prompts, latest first, in a small file.

    A file that cannot be read or written is no reason to disturb the user.

    Parameters
    ----------
    path : Path
        The file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._prompts: list[str] = []

    @property
    def prompts(self) -> tuple[str, ...]:
        """Former prompts, latest first."""
        return tuple(self._prompts)

    def add(self, prompt: str) -> tuple[str, ...]:
        """Remember a prompt, and return all."""
        prompt = prompt.strip()
        if prompt:
            others = [one for one in self._prompts if one != prompt]
            self._prompts = [prompt, *others][:REMEMBERED]
        return self.prompts

    def load(self) -> tuple[str, ...]:
        """Read the file, and return all prompts: those of this session stay first."""
        with suppress(OSError, ValueError):
            found = json.loads(self._path.read_text(encoding="utf-8"))
            stored = [one for one in found if isinstance(one, str)]
            self._prompts = list(dict.fromkeys([*self._prompts, *stored]))[:REMEMBERED]
        return self.prompts

    def save(self) -> None:
        """Write the file, whole or not at all."""
        with suppress(OSError):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            write_text(self._path, json.dumps(self._prompts))
