from __future__ import annotations

import pytest

from napari_segmate.cli._training_words import Teller
from napari_segmate.core.training_events import Result, Validation


@pytest.mark.parametrize(
    ("after", "worse", "says"),
    [(0.3, True, "it is worse than"), (0.5, False, "it is no better than"), (0.7, False, "")],
)
def test_balance_of_a_training_is_told(capsys, after, worse, says) -> None:
    Teller()(Result("mine", "mine.safetensors", {"ap50": 0.5}, {"ap50": after}, worse))
    said = capsys.readouterr().out
    assert f"{after:.3f}" in said
    assert says in said
    assert ("On balance" in said) is bool(says)


def test_measures_of_an_epoch_are_those_of_the_views(capsys) -> None:
    Teller()(Validation(epoch=2, loss=0.25, iou=0.5, ap50=0.75, best=True))
    said = capsys.readouterr().err
    assert said == "epoch 2: loss 0.250, on the views: IoU 0.500, AP50 0.750  best so far\n"
