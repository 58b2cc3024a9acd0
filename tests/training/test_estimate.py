from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from training_samples import grid_of_objects

from napari_segmate.core.errors import OutOfMemoryError
from napari_segmate.models import load_model
from napari_segmate.training import estimate as estimate_module
from napari_segmate.training.build import Views
from napari_segmate.training.costs import COSTS, fits, usual_cost, what_fits
from napari_segmate.training.estimate import (
    available_mb,
    check_fits,
    measure,
    needed_mb,
    peak_mb,
)
from napari_segmate.training.learners import learner_of
from napari_segmate.training.presets import Preset, Schedule

SCHEDULE = Schedule(rate=1e-3, epochs=2, patience=5, views=4, batch=2, objects=2)


@pytest.fixture(scope="module")
def start():
    return load_model("tiny", device="cpu")


def learner(start, preset=Preset.QUICK):
    found = learner_of(start, preset, "cpu")
    found.size = 64
    return found


def pace(start, schedule=SCHEDULE):
    one = learner(start)
    return one, measure(one, Views([grid_of_objects()], one, schedule, 3), schedule, 3)


def test_measuring_takes_times_and_changes_nothing(start) -> None:
    before = learner(start).weights()
    one, found = pace(start)
    assert min(found.look, found.step, found.judge) > 0
    assert 0.02 < found.view_mb < 2
    assert all(parameter.grad is None for _, parameter in one.learning())
    for name, value in one.weights().items():
        assert torch.equal(value, before[name]), name


def test_more_epochs_take_longer_in_proportion(start) -> None:
    _, found = pace(start)
    none = found.look * (SCHEDULE.views + 3)
    two, four = (
        found.seconds(replace(SCHEDULE, epochs=epochs), 3, once=True) - none for epochs in (2, 4)
    )
    assert four == pytest.approx(2 * two)


def test_measuring_takes_fewer_views_where_all_do_not_fit(start, monkeypatch) -> None:
    seen: list[int] = []
    real = estimate_module.step_loss

    def scarce(one, entries, *rest):
        seen.append(len(entries))
        if len(entries) > 1:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return real(one, entries, *rest)

    monkeypatch.setattr(estimate_module, "step_loss", scarce)
    _, found = pace(start)
    assert found.step > 0
    assert seen[:2] == [2, 1]


def test_a_single_view_that_does_not_fit_is_an_error_with_a_cure(start, monkeypatch) -> None:
    def never(*args):
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory")

    monkeypatch.setattr(estimate_module, "step_loss", never)
    with pytest.raises(OutOfMemoryError, match="preset quick"):
        pace(start)


def test_other_errors_are_not_taken_for_a_lack_of_memory(start, monkeypatch) -> None:
    def broken(*args):
        raise RuntimeError("shapes differ")

    monkeypatch.setattr(estimate_module, "step_loss", broken)
    with pytest.raises(RuntimeError, match="shapes differ"):
        pace(start)


def test_memory_is_known() -> None:
    assert 0 < peak_mb("cpu") < 1e6
    assert available_mb("cpu") > 0


# Refusal


def test_what_does_not_fit_is_refused_with_the_numbers_and_what_would(start) -> None:
    full = learner(start, Preset.FULL)
    free = COSTS["tiny"][Preset.QUICK].megabytes
    with pytest.raises(OutOfMemoryError, match=r"needs about .* GB.*0\.3 GB are free.*Close other"):
        check_fits(full, SCHEDULE, "tiny", 300, "tiny")
    wide = replace(SCHEDULE, batch=512, views=512)
    with pytest.raises(OutOfMemoryError, match="batch 1"):
        check_fits(full, wide, "tiny", free, "tiny")
    assert check_fits(full, SCHEDULE, "tiny", 1e5, "tiny") == needed_mb(full, SCHEDULE)


@pytest.mark.parametrize("architecture", list(COSTS))
@pytest.mark.parametrize("preset", list(Preset))
@pytest.mark.parametrize("free", [1000, 4000, 8000, 16_000])
def test_what_is_proposed_fits_and_is_less(architecture, preset, free) -> None:
    text = what_fits(architecture, preset, free)
    if text.startswith("Close"):
        assert not fits(COSTS["tiny"][Preset.QUICK].megabytes, free) or architecture == "tiny"
        return
    chosen = next((one for one in Preset if text.endswith(f"preset {one}")), preset)
    cost = usual_cost("tiny" if "model tiny" in text else architecture, chosen)
    assert cost is not None and fits(cost.megabytes, free)
    assert (chosen, "model tiny" in text) != (preset, False)


def test_larger_models_and_presets_cost_more() -> None:
    for costs in COSTS.values():
        needs = [costs[preset].megabytes for preset in Preset]
        assert needs == sorted(needs)
    for preset in Preset:
        needs = [COSTS[name][preset].megabytes for name in ("tiny", "vit_b", "vit_l", "vit_h")]
        assert needs == sorted(needs)
