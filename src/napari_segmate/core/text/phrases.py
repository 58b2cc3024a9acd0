"""What a user types as concepts, and concepts as detectors want to read them."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from napari_segmate.core.errors import PromptError

__all__ = ["MAX_TOKENS", "caption", "chunks", "split_phrases", "token_groups"]

MAX_TOKENS = 256
"""Tokens that GroundingDINO reads, those at both ends included."""
SEPARATORS = re.compile(r"[,;.?\n\r]+")
NOT_WORDS = re.compile(r"[\[\](){}\"`#\s]+")
EXAMPLE = "type what is to be seen, one concept per comma or line, for example: cell, dark spot"

Span = tuple[int, int]


def split_phrases(text: str) -> tuple[str, ...]:
    r"""Return the concepts in a text: lower case, single spaces, each once.

    Commas, semicolons, full stops, question marks and new lines separate concepts.

    Raises
    ------
    PromptError
        There is no concept in it.

    Examples
    --------
    >>> split_phrases("Red  blood cell, nucleus.\nnucleus;")
    ('red blood cell', 'nucleus')
    """
    parts = (NOT_WORDS.sub(" ", part).strip().lower() for part in SEPARATORS.split(text))
    found = tuple(dict.fromkeys(part for part in parts if any(map(str.isalnum, part))))
    if not found:
        raise PromptError(f"nothing to look for in {text[:40]!r}; {EXAMPLE}")
    return found


def caption(phrases: Sequence[str]) -> tuple[str, tuple[Span, ...]]:
    """Return the text that GroundingDINO reads, and where in it each phrase stands.

    Without the full stop at the end the last phrase would not be seen as one.

    Examples
    --------
    >>> caption(["cell", "dark spot"])
    ('cell. dark spot.', ((0, 4), (6, 15)))
    """
    spans, at = [], 0
    for phrase in phrases:
        spans.append((at, at + len(phrase)))
        at += len(phrase) + 2
    return " ".join(f"{phrase}." for phrase in phrases), tuple(spans)


def token_groups(offsets: Sequence[Span], spans: Sequence[Span]) -> tuple[tuple[int, ...], ...]:
    """Return which tokens belong to each phrase.

    Parameters
    ----------
    offsets : sequence of (begin, end)
        Where each token stands in the caption; empty for tokens that stand for no text.
    spans : sequence of (begin, end)
        Where each phrase stands.

    Examples
    --------
    >>> token_groups([(0, 0), (0, 4), (4, 5), (6, 10), (11, 15), (0, 0)], [(0, 4), (6, 15)])
    ((1,), (3, 4))
    """
    return tuple(
        tuple(at for at, (a, b) in enumerate(offsets) if a < b and begin <= a and b <= end)
        for begin, end in spans
    )


def chunks(
    phrases: Sequence[str], count_tokens: Callable[[str], int], limit: int = MAX_TOKENS
) -> tuple[tuple[str, ...], ...]:
    """Return phrases in groups whose captions can be read whole, in their order.

    Parameters
    ----------
    phrases : sequence of str
        The concepts.
    count_tokens : callable
        Tells how many tokens a caption has.
    limit : int
        How many may be read.

    Raises
    ------
    PromptError
        A single phrase is too long.

    Examples
    --------
    >>> chunks(["a", "b c", "d"], lambda text: len(text.split()), limit=3)
    (('a', 'b c'), ('d',))
    """
    groups: list[tuple[str, ...]] = []
    for phrase in phrases:
        tokens = count_tokens(caption([phrase])[0])
        if tokens > limit:
            raise PromptError(
                f"{phrase[:40]!r} … has {tokens} tokens, a detector reads {limit}; use few words"
            )
        longer = (*groups[-1], phrase) if groups else (phrase,)
        if groups and count_tokens(caption(longer)[0]) <= limit:
            groups[-1] = longer
        else:
            groups.append((phrase,))
    return tuple(groups)
