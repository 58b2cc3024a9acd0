from __future__ import annotations

import pytest

from napari_segmate.core.training_events import Result
from napari_segmate.models._own import own_path
from napari_segmate.plugin.train.model_names import (
    delete_own,
    forget_unfinished,
    name_problem,
    propose_name,
)

pytestmark = pytest.mark.gui


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("NAPARI_SEGMATE_MODELS", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize("name", ["", "a/b", "..", "x" * 80, "tiny", "mine"])
def test_names_that_cannot_be_are_refused(name, folder) -> None:
    (folder / "mine.safetensors").touch()
    assert name_problem(name, ["tiny"])


@pytest.mark.parametrize("model", ["tiny", "vit_b", "a model/of.pth", "Zellen ä"])
@pytest.mark.parametrize("image", ["cells", "Größe 3 (µm).ome.tif", "", "x" * 90])
def test_proposals_can_be_taken(model, image, folder) -> None:
    taken = ["tiny", "vit_b"]
    for _ in range(3):
        found = propose_name(model, image, taken)
        assert not name_problem(found, taken)
        (folder / f"{found}.safetensors").touch()


def test_discarded_model_is_gone_with_its_picture(folder) -> None:
    for name in ("mine.safetensors", "mine.png"):
        (folder / name).touch()
    delete_own(Result("mine", str(folder / "mine.safetensors"), picture=str(folder / "mine.png")))
    assert not list(folder.iterdir())
    delete_own(Result("mine", str(folder / "mine.safetensors")))


def test_what_a_cancelled_training_kept_is_found_where_trainings_keep_it() -> None:
    from napari_segmate.tasks.train.run import _state_file

    state = _state_file(own_path("my cells"))
    state.parent.mkdir(exist_ok=True)
    state.touch()
    forget_unfinished("my cells")
    assert not state.exists()
