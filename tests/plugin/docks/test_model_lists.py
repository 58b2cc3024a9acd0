from __future__ import annotations

from dataclasses import replace

import pytest
from blob_images import SECOND_MODEL, blob_image, other_model
from napari.components import ViewerModel

from napari_segmate.core.files.weights import WeightsFile, weights_path
from napari_segmate.plugin.docks.model_lists import announce_model, follow_models, model_tips
from napari_segmate.plugin.worker.engine import SHARED_MODELS, ModelChoice

pytestmark = pytest.mark.gui


def test_docks_of_the_same_viewer_choose_others_only_refresh() -> None:
    told: list = []
    here, there = ViewerModel(), ViewerModel()
    stops = [
        follow_models(viewer, lambda at=at: told.append(at), lambda name, at=at: told.append(name))
        for at, viewer in enumerate((here, there))
    ]
    announce_model("mine", here)
    assert told == [0, 1, "mine"]
    for stop in (*stops, *stops):
        stop()
    announce_model("mine", here)
    assert len(told) == 3


def test_model_of_the_same_name_is_loaded_anew(monkeypatch) -> None:
    monkeypatch.setattr(SHARED_MODELS, "_models", {})

    class Model:
        pass

    model = Model()
    SHARED_MODELS._models[ModelChoice("mine")] = model
    SHARED_MODELS._models[ModelChoice("other")] = model
    announce_model("mine")
    assert list(SHARED_MODELS._models) == [ModelChoice("other")]


def test_new_model_is_listed_and_chosen_in_an_open_dock(make_bench) -> None:
    bench = make_bench(blob_image())
    bench.dock.list_models = lambda: [
        bench.model.info,
        other_model(SECOND_MODEL),
        other_model("mine"),
    ]
    announce_model("mine", bench.viewer)
    bench.settle()
    assert list(bench.panel.models()) == ["fake", SECOND_MODEL, "mine"]
    assert bench.panel._model.currentData() == "mine"
    assert bench.loaded[-1] == "mine"


def test_refresh_keeps_the_choice_and_replaces_one_that_is_gone(make_bench) -> None:
    bench = make_bench(blob_image())
    bench.dock.list_models = lambda: [other_model("new"), bench.model.info]
    announce_model("new")
    assert bench.panel._model.currentData() == "fake"
    bench.dock.list_models = lambda: [other_model("new")]
    announce_model("fake")
    bench.settle()
    assert bench.panel._model.currentData() == "new"
    assert bench.loaded[-1] == "new"


def test_closed_dock_is_left_alone(make_bench) -> None:
    bench = make_bench(blob_image())
    bench.dock.shut_down()
    bench.dock.list_models = lambda: pytest.fail("asked after its end")
    announce_model("mine", bench.viewer)


def test_lists_say_what_choosing_a_model_would_download(monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("NAPARI_SEGMATE_CACHE", str(tmp_path))
    file = WeightsFile("net.pt", "https://example.org/net.pt", "", 375_042_383)
    remote, unknown = replace(other_model("a"), weights=file), replace(file, size=0)
    models = [remote, other_model("b"), replace(other_model("c"), weights=unknown)]
    tips = model_tips(models)
    assert tips["a"].splitlines()[1] == "It is downloaded when it is first chosen: 375 MB"
    assert tips["b"] == "another one"
    assert tips["c"].endswith("first chosen")
    place = weights_path(unknown)
    place.parent.mkdir(parents=True)
    place.touch()
    assert model_tips(models)["c"] == "another one"
