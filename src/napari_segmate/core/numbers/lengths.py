"""Sizes as users write them: in pixels, or in micrometres of an image whose pixel size is known."""

from __future__ import annotations

import re
from dataclasses import dataclass

from napari_segmate.core.errors import ParameterError

__all__ = [
    "LARGEST_PX",
    "MICROMETRES",
    "PIXELS",
    "Length",
    "leading_length",
    "parse_length",
    "parse_pixel_size",
    "unit_um",
]

LARGEST_PX = 10_000
"""A typical object is not larger."""
MICROMETRES = {"nm": 1e-3, "um": 1.0, "µm": 1.0, "μm": 1.0, "mm": 1e3}
"""Units of length that can be typed, in micrometres: both signs for micro are in use."""
PIXELS = ("", "px")
TYPED = re.compile(
    r"\s*(?P<number>(?:\d+(?:[.,]\d*)?|[.,]\d+)(?:e[+-]?\d+)?)\s*(?P<unit>[a-zµμ]*)\s*", re.I
)
ESCAPED_MICRO = re.compile(r"\\u00b5|\\u03bc", re.I)
NAMED = {
    "pm": 1e-6,
    "å": 1e-4,
    "cm": 1e4,
    "m": 1e6,
    "micron": 1.0,
    "microns": 1.0,
    "angstrom": 1e-4,
    "picometer": 1e-6,
    "nanometer": 1e-3,
    "micrometer": 1.0,
    "millimeter": 1e3,
    "centimeter": 1e4,
    "meter": 1e6,
    **MICROMETRES,
}
"""Units that files name, in micrometres."""


@dataclass(frozen=True)
class Length:
    """A size in pixels or in micrometres.

    Parameters
    ----------
    value : float
        How much.
    micrometres : bool
        Of what: micrometres, or pixels.

    Examples
    --------
    >>> str(Length(12)), str(Length(12, micrometres=True))
    ('12 px', '12 µm')
    """

    value: float
    micrometres: bool = False

    def __str__(self) -> str:
        return f"{self.value:.6g} {'µm' if self.micrometres else 'px'}"

    def pixels(self, pixel_um: float | None) -> float:
        """Return it in pixels of an image.

        Parameters
        ----------
        pixel_um : float or None
            How many micrometres a pixel is wide; None is not known.

        Raises
        ------
        ParameterError
            Micrometres, and nobody knows how large a pixel is; or more than `LARGEST_PX`.

        Examples
        --------
        >>> Length(12, micrometres=True).pixels(0.25)
        48.0
        """
        if not self.micrometres:
            return self.value
        if not pixel_um:
            raise ParameterError(
                f"{self} are an unknown number of pixels: the image does not say how large a pixel "
                "is. Give its side in micrometres (--pixel-size 0.32, pixel_size=0.32), or the "
                "size in pixels"
            )
        pixels = self.value / pixel_um
        if pixels > LARGEST_PX:
            raise ParameterError(
                f"{self} are {pixels:.6g} pixels of {pixel_um:.6g} µm; the most is {LARGEST_PX}. "
                "Is the size of a pixel right?"
            )
        return pixels


def parse_length(text: str | float) -> Length:
    """Return the size that a text means; a number alone is in pixels.

    Parameters
    ----------
    text : str or float
        Such as ``"12"``, ``"12px"``, ``"12 µm"``, ``"12um"``, ``"800 nm"``, ``"0.1mm"``.

    Raises
    ------
    ParameterError
        No size, or none that an object can have.

    Examples
    --------
    >>> parse_length("12"), parse_length("800 nm")
    (Length(value=12.0, micrometres=False), Length(value=0.8, micrometres=True))
    """
    value, unit = _split(text)
    if unit not in (*PIXELS, *MICROMETRES):
        raise ParameterError(
            f"{str(text)!r} is no size; give pixels (12, 12px) or micrometres (12um, 12µm), 0 or "
            "more"
        )
    length = Length(value * MICROMETRES.get(unit, 1.0), unit in MICROMETRES)
    if not length.micrometres and value > LARGEST_PX:
        raise ParameterError(f"{text} is too large for an object; give at most {LARGEST_PX} pixels")
    return length


def parse_pixel_size(text: str | float) -> float:
    """Return the side of a pixel in micrometres; a number alone is in micrometres.

    Raises
    ------
    ParameterError
        No length above 0.

    Examples
    --------
    >>> parse_pixel_size("0.32"), parse_pixel_size("320 nm")
    (0.32, 0.32)
    """
    value, unit = _split(text)
    if (unit and unit not in MICROMETRES) or not value > 0:
        raise ParameterError(
            f"{str(text)!r} is no side of a pixel; give micrometres above 0 (0.32, 0.32um, 320nm)"
        )
    return value * MICROMETRES.get(unit, 1.0)


def leading_length(text: str) -> tuple[float, str] | None:
    """Return the number and the unit that a text begins with; None if it begins otherwise.

    Examples
    --------
    >>> leading_length("16 px (8 µm)"), leading_length("8 p"), leading_length("-8")
    ((16.0, 'px'), (8.0, 'p'), None)
    """
    found = TYPED.match(text)
    return None if found is None else _parts(found)


def _split(text: str | float) -> tuple[float, str]:
    """Return number and unit of a whole text; what is none of both has the unit ``"?"``."""
    found = TYPED.fullmatch(str(text))
    return (0.0, "?") if found is None else _parts(found)


def _parts(found: re.Match[str]) -> tuple[float, str]:
    return float(found["number"].replace(",", ".")), found["unit"].lower()


def unit_um(name: str) -> float | None:
    """Return how many micrometres a unit is that a file names; None if it is no unit of length.

    Examples
    --------
    >>> unit_um("nanometer"), unit_um("µm"), unit_um("pixel")
    (0.001, 1.0, None)
    """
    return NAMED.get(ESCAPED_MICRO.sub("µ", name).strip().lower())
