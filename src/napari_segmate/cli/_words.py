"""Words that commands share."""

from __future__ import annotations

__all__ = ["counted"]


def counted(number: int, what: str) -> str:
    """Return a number with its noun.

    Examples
    --------
    >>> counted(1, "object"), counted(0, "image")
    ('1 object', '0 images')
    """
    return f"{number} {what}{'' if number == 1 else 's'}"
