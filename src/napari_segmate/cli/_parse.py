"""What users write on the command line as values."""

from __future__ import annotations

import typer

from napari_segmate.core.image import ChannelMap, ImageSource

__all__ = ["channel_map", "numbers", "plane_index"]


def numbers(text: str, count: int, form: str) -> tuple[float, ...]:
    """Return numbers separated by commas.

    Raises
    ------
    typer.BadParameter
        Another count, or something that is no number.

    Examples
    --------
    >>> numbers("10,20.5", 2, "Y,X")
    (10.0, 20.5)
    """
    try:
        values = tuple(float(part) for part in text.split(","))
    except ValueError:
        values = ()
    if len(values) != count:
        raise typer.BadParameter(f"{text!r} is not {form}: {count} numbers separated by commas")
    return values


def plane_index(text: str | None, source: ImageSource) -> tuple[int, ...]:
    """Return the index of a plane; the only one there is when `text` is None.

    Raises
    ------
    typer.BadParameter
        A stack of several planes and no index, or something that is no index.
    """
    sizes = source.index_shape
    if text is None:
        if any(size > 1 for size in sizes):
            raise typer.BadParameter(
                f"the image is a stack of {' x '.join(map(str, sizes))} planes; choose one with "
                f"--index (such as --index {','.join('0' for _ in sizes)}), or say what its axes "
                "are with --axes"
            )
        return (0,) * len(sizes)
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise typer.BadParameter(
            f"{text!r} is no index of a plane: whole numbers separated by commas"
        ) from None


def channel_map(text: str | None) -> ChannelMap | None:
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
    if text is None:
        return None
    try:
        values = [None if part.strip() == "-" else int(part) for part in text.split(",")]
    except ValueError:
        values = []
    values = values * 3 if len(values) == 1 else values
    if len(values) != 3:
        raise typer.BadParameter(
            f"{text!r} are no channels: one number, or three for red, green and blue ('-' for none)"
        )
    return ChannelMap(*values)
