from __future__ import annotations

import pytest
from blob_images import blob_image
from napari.settings import get_plugin_settings
from npe2 import PluginManifest

from napari_segmate.plugin.settings import PLUGIN, General, read_general, read_keys
from napari_segmate.widgets.actions import SegmentAction, default_keys

pytestmark = pytest.mark.gui


@pytest.fixture
def settings(plugin_settings, npe2pm):
    if PLUGIN not in npe2pm:
        npe2pm.register(PluginManifest.from_distribution(PLUGIN))
    return get_plugin_settings(PLUGIN)


def test_defaults_hold_where_napari_does_not_know_the_plugin(npe2pm) -> None:
    assert read_general() == General()
    assert read_keys(SegmentAction) == default_keys(SegmentAction)


def test_what_the_user_sets_is_read(settings) -> None:
    settings.general.memory_mb = 2048
    settings.keys.commit = "Control-K"
    settings.keys.clear = ""
    assert read_general().memory_mb == 2048
    assert read_keys(SegmentAction)[SegmentAction.COMMIT] == "Control-K"
    assert SegmentAction.CLEAR not in read_keys(SegmentAction)


def test_a_changed_key_is_bound_and_shown_at_once(settings, make_bench) -> None:
    bench = make_bench(blob_image())
    settings.keys.commit = "Shift-K"
    bound = {str(key) for key in bench.viewer.keymap}
    assert "Shift+K" in bound
    assert "K" not in bound
    assert "(⇧K)" in bench.panel.button(SegmentAction.COMMIT).text()


def test_a_key_that_cannot_be_used_is_reported_and_the_others_work(
    settings, make_bench, monkeypatch
) -> None:
    said = []
    monkeypatch.setattr("napari_segmate.plugin.docks.image_dock.warn", said.append)
    settings.keys.clear = "not a key"
    settings.keys.next_mask = "C"
    bench = make_bench(blob_image())
    assert "not a key" in said[0]
    assert "Preferences" in said[0]
    assert "'C'" in said[1]
    assert "napari uses it" in said[1]
    assert "K" in {str(key) for key in bench.viewer.keymap}
