from __future__ import annotations

from importlib import import_module
from importlib.metadata import distribution
from pathlib import Path

import numpy as np
import pytest
from npe2 import PluginManifest

import napari_segmate
from napari_segmate.plugin.settings import General
from napari_segmate.widgets.actions import AutoAction, SegmentAction, default_keys

PACKAGE = Path(napari_segmate.__file__).parent
MANIFEST = PluginManifest.from_file(PACKAGE / "napari.yaml")
COMMANDS = {command.id: command for command in MANIFEST.contributions.commands or ()}


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_leads_to_python(command) -> None:
    module, _, name = (COMMANDS[command].python_name or "").partition(":")
    assert callable(getattr(import_module(module), name))


def test_every_contribution_uses_a_command_that_exists() -> None:
    contributions = MANIFEST.contributions
    used = [one.command for one in (*contributions.widgets, *contributions.sample_data)]
    used += [item.command for items in contributions.menus.values() for item in items]
    assert set(used) <= set(COMMANDS)


def test_menus_are_those_that_napari_lets_plugins_use() -> None:
    assert set(MANIFEST.contributions.menus) == {"napari/layers/segment"}


def test_napari_finds_the_manifest() -> None:
    entries = distribution("napari-segmate").entry_points.select(group="napari.manifest")
    assert [entry.value for entry in entries] == ["napari_segmate:napari.yaml"]


@pytest.mark.parametrize("sample", MANIFEST.contributions.sample_data, ids=lambda one: one.key)
def test_sample_data_opens_offline(sample) -> None:
    module, _, name = COMMANDS[sample.command].python_name.partition(":")
    layers = getattr(import_module(module), name)()
    assert layers[0][2] == "image"
    assert np.ptp(layers[0][0]) > 0
    for data, _, kind in layers[1:]:
        assert kind == "labels"
        assert data.shape == layers[0][0].shape[: data.ndim]


def test_settings_agree_with_their_defaults_in_code() -> None:
    sections = MANIFEST.contributions.configurations
    general = {name: one.default for name, one in sections["general"].properties.items()}
    assert general == vars(General())
    keys = {name: one.default for name, one in sections["keys"].properties.items()}
    assert keys == {action.value: key for action, key in default_keys(SegmentAction).items()}
    keys = {name: one.default for name, one in sections["automask_keys"].properties.items()}
    assert keys == {action.value: key for action, key in default_keys(AutoAction).items()}
