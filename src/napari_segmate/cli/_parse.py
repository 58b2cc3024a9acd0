"""What users write on the command line as values: each parser says what would be right.

Parsers are also given defaults, which are values already.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import typer

from napari_segmate.core.errors import ImageError, ParameterError
from napari_segmate.core.images.image_source import ChannelMap, ImageSource
from napari_segmate.core.numbers.lengths import Length, parse_length, parse_pixel_size
from napari_segmate.core.registry import unknown_name

__all__ = [
    "axis_letters",
    "channel_map",
    "choice",
    "number",
    "numbers",
    "plane_index",
    "side_of_pixel",
    "size",
    "whole",
]


def whole(low: int, high: int | None = None) -> Callable[[Any], int]:
    """Return what reads whole numbers of a range.

    Examples
    --------
    >>> whole(1)("12")
    12
    """
    allowed = f"{low} or more" if high is None else f"{low} to {high}"

    def parse(text: Any) -> int:
        try:
            value = int(str(text))
        except ValueError:
            value = low - 1
        if value < low or (high is not None and value > high):
            raise typer.BadParameter(
                f"{str(text)!r} cannot be taken; give a whole number of {allowed}"
            )
        return value

    return parse


def number(low: float, high: float = math.inf, *, above: bool = False) -> Callable[[Any], float]:
    """Return what reads numbers of a range; `above`: its lower end is not in it.

    Examples
    --------
    >>> number(0, 1)("0.5")
    0.5
    """
    least = f"above {low:g}" if above else f"{low:g} or more"
    allowed = least if high == math.inf else f"{least} and at most {high:g}"

    def parse(text: Any) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        inside = low < value <= high if above else low <= value <= high
        if not inside or math.isinf(value):
            raise typer.BadParameter(f"{str(text)!r} cannot be taken; give a number {allowed}")
        return value

    return parse


def choice(what: str, names: Callable[[], Iterable[str]]) -> Callable[[Any], str]:
    """Return what reads one of some names, which are asked for only when they are needed.

    Examples
    --------
    >>> choice("preset", lambda: ["quick", "full"])("full")
    'full'
    """

    def parse(text: Any) -> str:
        known = [str(name) for name in names()]
        if str(text) not in known:
            raise typer.BadParameter(str(unknown_name(what, str(text), known)))
        return str(text)

    return parse


def size(text: Any) -> Length:
    """Return a size in pixels or micrometres; see `lengths.parse_length`.

    Raises
    ------
    typer.BadParameter
        No size.
    """
    try:
        return text if isinstance(text, Length) else parse_length(text)
    except ParameterError as error:
        raise typer.BadParameter(str(error)) from error


def side_of_pixel(text: Any) -> float:
    """Return the side of a pixel in micrometres.

    Raises
    ------
    typer.BadParameter
        No length above 0.
    """
    try:
        return parse_pixel_size(text)
    except ParameterError as error:
        raise typer.BadParameter(str(error)) from error


def axis_letters(text: Any) -> str:
    """Return letters that may name the axes of an image.

    Raises
    ------
    typer.BadParameter
        Something else than letters, or not one Y and one X.

    Examples
    --------
    >>> axis_letters("TZCYX")
    'TZCYX'
    """
    letters = str(text)
    if not letters.isalpha() or any(letters.upper().count(one) != 1 for one in "YX"):
        raise typer.BadParameter(
            f"{letters!r} are no axes; give one letter per axis of the file, Y and X once, as in "
            "TZCYX"
        )
    return letters


def numbers(form: str) -> Callable[[Any], tuple[float, ...]]:
    """Return what reads numbers separated by commas, as many as `form` has.

    Examples
    --------
    >>> numbers("Y,X")("10,20.5")
    (10.0, 20.5)
    """
    count = form.count(",") + 1

    def parse(text: Any) -> tuple[float, ...]:
        try:
            values = tuple(float(part) for part in str(text).split(","))
        except ValueError:
            values = ()
        if len(values) != count or not all(map(math.isfinite, values)):
            raise typer.BadParameter(
                f"{str(text)!r} is not {form}; give {count} numbers separated by commas"
            )
        return values

    return parse


def plane_index(index: str | None, source: ImageSource) -> tuple[int, ...]:
    """Return the index of a plane; the only one there is when none is given.

    Raises
    ------
    typer.BadParameter
        A stack of several planes and no index, or something that is no index.
    ImageError
        The image has no such plane.
    """
    sizes = source.index_shape
    if index is None:
        if any(size > 1 for size in sizes):
            raise typer.BadParameter(
                f"the image is a stack of {' x '.join(map(str, sizes))} planes; choose one with "
                f"--index (such as --index {','.join('0' for _ in sizes)}), or say what its axes "
                "are with --axes"
            )
        return (0,) * len(sizes)
    try:
        place = tuple(int(part) for part in index.split(","))
    except ValueError:
        raise typer.BadParameter(
            f"--index: {index!r} is no index of a plane; give whole numbers separated by commas"
        ) from None
    if len(place) != len(sizes) or any(
        not 0 <= at < size for at, size in zip(place, sizes, strict=True)
    ):
        ranges = ", ".join(f"0 to {size - 1}" for size in sizes) or "nothing: it is one plane"
        raise ImageError(f"there is no plane {index} in the image; --index takes {ranges}")
    return place


def channel_map(text: Any) -> ChannelMap:
    """Return the channels shown as red, green and blue.

    Raises
    ------
    typer.BadParameter
        Neither one nor three channel numbers.

    Examples
    --------
    >>> channel_map("1")
    ChannelMap(red=1, green=1, blue=1)
    >>> channel_map("0,2,-")
    ChannelMap(red=0, green=2, blue=None)
    """
    if isinstance(text, ChannelMap):
        return text
    try:
        values = [None if part.strip() == "-" else int(part) for part in str(text).split(",")]
    except ValueError:
        values = []
    values = values * 3 if len(values) == 1 else values
    if len(values) != 3:
        raise typer.BadParameter(
            f"{str(text)!r} are no channels; give one number from 0, or three for red, green and "
            "blue ('-' for none)"
        )
    return ChannelMap(*values)
