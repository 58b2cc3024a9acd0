from __future__ import annotations

from dataclasses import replace

from fakes import FakeSegmenter

from napari_segmate.models import get_model
from napari_segmate.tasks.automask.run import Mode, Params, suited


def test_what_the_user_set_stays_and_the_rest_suits_the_model():
    found = suited(Params(seed=0.9, min_area=3), get_model("vit_b_em_organelles"), Mode.OBJECTS)
    assert (found.seed, found.min_area) == (0.9, 3)
    assert (found.least_centre, found.smoothing) == (0.7, 0.6)


def test_thresholds_for_masks_of_a_grid_are_not_asked_of_objects():
    info = get_model("vit_b_lm")
    assert suited(Params(), info, Mode.GRID).least_score(Mode.GRID) == 0.65
    assert suited(Params(), info, Mode.GRID).least_stability(Mode.GRID) == 0.7
    assert suited(Params(), info, Mode.OBJECTS).least_score(Mode.OBJECTS) == 0.5
    assert suited(Params(), info, Mode.REFINED) == suited(Params(score=0.0), info, Mode.REFINED)


def test_a_model_without_wishes_changes_nothing():
    info = replace(FakeSegmenter().info, suggested=())
    assert suited(Params(), info, Mode.GRID) == Params()
