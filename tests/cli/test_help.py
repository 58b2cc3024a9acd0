"""The help of every command: each option says what it does, its unit and its default."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from napari_segmate.cli._app import app
from napari_segmate.core.labels.commit import CommitPolicy
from napari_segmate.tasks.automask.params import Mode
from napari_segmate.training.data import Annotation
from napari_segmate.training.presets import Preset

PAGE = Path(__file__).parents[2] / "docs" / "cli.md"
STANDARD = {"help", "version"}


def commands(group: Any, path: str = "segmate") -> dict[str, Any]:
    """Return all commands by what is typed for them."""
    found = {path: group}
    for name, one in getattr(group, "commands", {}).items():
        found |= commands(one, f"{path} {name}")
    return found


ALL = commands(get_command(app))
OPTIONS = [
    pytest.param(param, id=f"{path} {param.name}")
    for path, command in ALL.items()
    for param in command.params
    if param.name not in STANDARD
]


def is_flag(param: Any) -> bool:
    return bool(getattr(param, "is_flag", False))


@pytest.mark.parametrize("param", OPTIONS)
def test_help_is_a_sentence(param):
    text = param.help.split("  [default:")[0]
    assert text[0].isupper() or text[0] == "'"
    assert text.endswith(".")


@pytest.mark.parametrize("param", [one for one in OPTIONS if not is_flag(one.values[0])])
def test_what_follows_an_option_has_a_name(param):
    assert param.metavar, param.name


@pytest.mark.parametrize("param", [one for one in OPTIONS if not one.values[0].required])
def test_defaults_are_said(param):
    text = param.help
    if param.default is None or param.default == ():
        assert "[default:" in text or "repeat" in text or "Instead" in text or "options" in text
    elif param.default is False:
        words = ("off by default", "Only", "Also", "For programs", "all are one by default")
        assert any(word in text for word in words), text


@pytest.mark.parametrize(
    ("command", "option", "names"),
    [
        ("segmate auto", "mode", Mode),
        ("segmate segment", "overlap", CommitPolicy),
        ("segmate segment", "contrast", ("plane", "stack")),
        ("segmate train", "preset", Preset),
        ("segmate train", "annotated", Annotation),
        ("segmate evaluate", "annotated", Annotation),
        ("segmate demo", "sample", ("nuclei", "touching-cells")),
    ],
)
def test_allowed_values_are_named(command, option, names):
    (param,) = [one for one in ALL[command].params if one.name == option]
    assert [str(name) for name in names if str(name) not in param.help] == []


def test_the_same_option_says_the_same_everywhere():
    shared = {"model", "device", "fast", "diameter", "pixel_size", "axes", "channels", "anisotropy"}
    for name in shared:
        said = {one.help for command in ALL.values() for one in command.params if one.name == name}
        assert len(said) == 1, said


NAMED = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", PAGE.read_text(encoding="utf-8")))


def test_the_page_names_options_that_exist():
    known = {name for command in ALL.values() for one in command.params for name in one.opts}
    off = {
        name for command in ALL.values() for one in command.params for name in one.secondary_opts
    }
    assert NAMED - known - off == {"--help"}


@pytest.mark.parametrize("command", ["segment", "auto", "text", "train", "evaluate", "demo"])
def test_the_page_names_every_option(command):
    params = [one for one in ALL[f"segmate {command}"].params if one.param_type_name == "option"]
    assert len(params) > 3
    assert [one.name for one in params if not NAMED & {*one.opts, *one.secondary_opts}] == []
