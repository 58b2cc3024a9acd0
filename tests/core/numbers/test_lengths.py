from __future__ import annotations

import pytest

from napari_segmate.core.errors import ParameterError
from napari_segmate.core.numbers.lengths import Length, parse_length, parse_pixel_size, unit_um


@pytest.mark.parametrize(
    ("text", "length"),
    [
        ("12", Length(12)),
        (12, Length(12)),
        ("12px", Length(12)),
        (" 12.5 PX ", Length(12.5)),
        ("12um", Length(12, micrometres=True)),
        ("12 µm", Length(12, micrometres=True)),
        ("12 μm", Length(12, micrometres=True)),
        ("800nm", Length(0.8, micrometres=True)),
        ("0,05 mm", Length(50, micrometres=True)),
        ("0", Length(0)),
    ],
)
def test_sizes_are_understood_with_and_without_unit(text, length):
    found = parse_length(text)
    assert found.micrometres == length.micrometres
    assert found.value == pytest.approx(length.value)


@pytest.mark.parametrize("text", ["", "um", "-3", "+-3", "nan", "inf", "12 parsec", "12 um um", -1])
def test_what_is_no_size_is_refused_with_what_would_be_one(text):
    with pytest.raises(ParameterError, match=r"is no size; give pixels \(12"):
        parse_length(text)


def test_no_object_is_as_large_as_a_world():
    with pytest.raises(ParameterError, match="at most 10000 pixels"):
        parse_length("1e9")
    with pytest.raises(ParameterError, match="Is the size of a pixel right"):
        parse_length("5mm").pixels(0.1)


def test_micrometres_need_the_size_of_a_pixel():
    assert parse_length("12um").pixels(0.5) == 24
    assert parse_length("12").pixels(None) == 12
    for unknown in (None, 0.0):
        with pytest.raises(ParameterError, match=r"12 µm .*--pixel-size 0.32, pixel_size=0.32"):
            parse_length("12um").pixels(unknown)


@pytest.mark.parametrize("text", ["0", "-1", "2px", "1 inch", "", "nan"])
def test_a_pixel_has_a_side_above_nothing(text):
    with pytest.raises(ParameterError, match="is no side of a pixel; give micrometres"):
        parse_pixel_size(text)


@pytest.mark.parametrize(
    ("name", "micrometres"),
    [
        ("micrometer", 1),
        ("micron", 1),
        ("\\u00B5m", 1),
        ("nm", 1e-3),
        ("Millimeter", 1e3),
        ("Å", 1e-4),
        ("", None),
        ("inch", None),
        ("second", None),
    ],
)
def test_units_of_files_are_known(name, micrometres):
    assert unit_um(name) == micrometres
