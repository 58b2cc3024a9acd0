from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from training_samples import grid_of_objects

from napari_segmate.core.errors import Cancelled, OutOfMemoryError
from napari_segmate.core.training_events import Command, Message, Step, Validation
from napari_segmate.models import load_model
from napari_segmate.training import loop as loop_module
from napari_segmate.training.build import Views, fingerprint_of, judging_entries
from napari_segmate.training.control import Control
from napari_segmate.training.data import Annotation
from napari_segmate.training.learners import learner_of
from napari_segmate.training.loop import Loop
from napari_segmate.training.presets import Preset, Schedule
from napari_segmate.training.resume import VERSION, load_state
from napari_segmate.training.steps import StepLoss

SCHEDULE = Schedule(rate=1e-3, epochs=2, patience=5, views=4, batch=2, objects=2, prompted=1.0)


@pytest.fixture(scope="module")
def start():
    return load_model("tiny", device="cpu")


class Training:
    def __init__(self, start, preset=Preset.QUICK, schedule=SCHEDULE, samples=None, **options):
        self.events: list = []
        self.control = Control()
        self.learner = learner_of(start, preset, "cpu")
        self.learner.size = 64
        samples = samples or [grid_of_objects()]
        self.loop = Loop(
            self.learner,
            Views(samples, self.learner, schedule, 3),
            judging_entries([grid_of_objects(seed=9)], self.learner)[:1],
            schedule,
            3,
            emit=self.take,
            control=self.control,
            **options,
        )

    def take(self, event) -> None:
        self.events.append(event)

    def of(self, kind) -> list:
        return [event for event in self.events if isinstance(event, kind)]


def test_every_step_and_every_epoch_is_told(start) -> None:
    training = Training(start)
    outcome = training.loop.run()
    assert [event.step for event in training.of(Step)] == [1, 2, 3, 4]
    assert [event.epoch for event in training.of(Validation)] == [0, 1, 2]
    assert outcome.reason == "done"
    assert all(math.isfinite(event.loss) for event in training.of(Step))


def test_quick_leaves_the_backbone_as_it_is_and_changes_the_rest(start) -> None:
    training = Training(start)
    before = {name: value.clone() for name, value in training.learner.weights().items()}
    training.loop._epoch(1, 0)
    changed = {
        name for name, value in training.learner.weights().items() if (value != before[name]).any()
    }
    assert not [name for name in changed if name.startswith("encoder.backbone.")]
    assert [name for name in changed if name.startswith("encoder.head.")]
    assert [name for name in changed if name.startswith("decoder.")]


@pytest.mark.parametrize(
    ("preset", "stages"), [(Preset.BALANCED, {"stages_2", "stages_3"}), (Preset.FULL, {"stem"})]
)
def test_presets_let_the_stages_learn_that_they_say(start, preset, stages) -> None:
    names = {name for name, _ in learner_of(start, preset, "cpu").learning()}
    learning = {name.split(".")[2] for name in names if name.startswith("encoder.backbone.")}
    assert stages <= learning
    assert ("stem" in learning) == (preset is Preset.FULL)


def test_training_the_whole_network_runs(start) -> None:
    training = Training(start, Preset.FULL, replace(SCHEDULE, epochs=1, views=2))
    assert training.loop.run().steps == 1


def test_the_same_seed_gives_the_same_weights(start) -> None:
    ends = []
    for _ in range(2):
        training = Training(start, schedule=replace(SCHEDULE, epochs=1))
        training.loop._epoch(1, 0)
        ends.append(training.learner.weights())
    for name, value in ends[0].items():
        assert torch.equal(value, ends[1][name]), name


def test_the_best_weights_are_kept(start) -> None:
    # A rate that ruins the network: nothing is better than the start.
    training = Training(start, schedule=replace(SCHEDULE, rate=0.5, epochs=1))
    before = training.learner.weights()
    outcome = training.loop.run()
    assert outcome.best_epoch == 0
    for name, value in training.learner.weights().items():
        assert torch.equal(value, before[name]), name


def test_it_ends_when_nothing_gets_better(start) -> None:
    training = Training(start, schedule=replace(SCHEDULE, rate=0.5, epochs=9, patience=1))
    assert training.loop.run().reason == "no improvement"
    assert len(training.of(Validation)) == 2


def test_a_loss_that_is_not_a_number_ends_it_and_keeps_the_best(start, monkeypatch) -> None:
    training = Training(start)
    before = training.learner.weights()
    nan = torch.tensor(math.nan, requires_grad=True)
    monkeypatch.setattr(loop_module, "step_loss", lambda *args: StepLoss(nan * 1, nan.detach()))
    outcome = training.loop.run()
    assert outcome.reason == "not a number"
    assert "not-a-number" in training.of(Message)[0].text
    for name, value in training.learner.weights().items():
        assert torch.equal(value, before[name]), name


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory"),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"),
    ],
)
def test_too_little_memory_halves_the_batch_and_says_so(start, monkeypatch, error) -> None:
    training = Training(start, schedule=replace(SCHEDULE, epochs=1))
    real = loop_module.step_loss

    def scarce(learner, entries, *rest):
        if len(entries) > 1:
            raise error
        return real(learner, entries, *rest)

    monkeypatch.setattr(loop_module, "step_loss", scarce)
    outcome = training.loop.run()
    assert outcome.steps == 2
    assert "1 instead of 2" in training.of(Message)[0].text


def test_too_little_memory_for_one_view_is_an_error_with_a_cure(start, monkeypatch) -> None:
    training = Training(start)

    def never(*args):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(loop_module, "step_loss", never)
    with pytest.raises(OutOfMemoryError, match="preset quick"):
        training.loop.run()


def test_stop_keeps_what_there_is(start) -> None:
    training = Training(start, schedule=replace(SCHEDULE, epochs=50))
    training.loop._emit = lambda event: (
        training.take(event),
        training.control.tell(Command.STOP) if isinstance(event, Step) else None,
    )
    outcome = training.loop.run()
    assert outcome.reason == "stopped"
    assert outcome.steps == 1
    assert [event.epoch for event in training.of(Validation)] == [0, 1]


def test_cancel_ends_it_at_once(start) -> None:
    training = Training(start)
    training.control.tell(Command.CANCEL)
    with pytest.raises(Cancelled):
        training.loop.run()
    assert not training.of(Step)


def test_a_full_disk_is_told_once_and_training_goes_on(start, tmp_path, monkeypatch) -> None:
    training = Training(start, state_file=tmp_path / "state.pt", fingerprint="f")

    def full(self, *args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "open", full)
    outcome = training.loop.run()
    assert outcome.reason == "done"
    (message,) = training.of(Message)
    assert "No space left" in message.text


def test_an_ended_training_goes_on_and_ends_like_an_uninterrupted_one(start, tmp_path) -> None:
    whole = Training(start)
    whole.loop.run()
    file = tmp_path / "state.pt"
    first = Training(start, state_file=file, fingerprint="f")
    first.loop.schedule = replace(SCHEDULE)
    first.loop._judge(0)
    first.loop._epoch(1, 0)
    first.loop._progress.epoch = 1
    first.loop._judge(1)
    first.loop._keep()
    second = Training(start, state_file=file, fingerprint="f")
    second.loop.run()
    assert "epoch 1" in second.of(Message)[0].text
    assert [event.loss for event in second.of(Step)] == [event.loss for event in whole.of(Step)[2:]]
    for name, value in second.learner.weights().items():
        assert torch.equal(value, whole.learner.weights()[name]), name


def test_a_damaged_or_foreign_state_counts_as_none(tmp_path) -> None:
    file = tmp_path / "state.pt"
    file.write_bytes(b"half of it")
    assert load_state(file, "f") is None
    torch.save({"version": VERSION, "fingerprint": "other"}, file)
    assert load_state(file, "f") is None
    torch.save({"version": VERSION + 1, "fingerprint": "f"}, file)
    assert load_state(file, "f") is None
    torch.save({"version": VERSION, "fingerprint": "f"}, file)
    assert load_state(file, "f") is not None


def test_losses_of_steps_with_and_without_prompts_compare(start) -> None:
    # Steps without prompts would else look much better, and so would training beside validation.
    half = Training(start, schedule=replace(SCHEDULE, rate=1e-9, views=24, prompted=0.5, epochs=1))
    half.loop.run()
    losses = np.array([event.loss for event in half.of(Step)])
    (held_out, _) = half.of(Validation)
    assert losses.std() < 0.5 * losses.mean()
    assert 0.3 * held_out.loss < losses.mean() < 3 * held_out.loss


def test_another_label_is_another_training() -> None:
    one, other = grid_of_objects(), grid_of_objects()
    other.labels[0, 0] = 99
    assert fingerprint_of([one], SCHEDULE) != fingerprint_of([other], SCHEDULE)


def test_unknown_background_counts_little_and_as_the_network_sees_it(start) -> None:
    training = Training(start, samples=[grid_of_objects(annotation=Annotation.OBJECTS)])
    entry = training.loop.entries_of(1)[0]
    weights = np.unique(entry.truth.weight.numpy()).round(3)
    assert weights.tolist() == [pytest.approx(0.1), 1.0]
    assert entry.looked.all()


def test_outside_a_rectangle_nothing_is_asked_for(start) -> None:
    sample = grid_of_objects(annotation=Annotation.PLANES)
    sample.known[:, 64:] = 0
    training = Training(start, samples=[sample])
    entries = training.loop.entries_of(1)
    assert any(not entry.looked.all() for entry in entries)


def test_a_resumed_training_tells_the_epochs_before(start, tmp_path) -> None:
    file = tmp_path / "state.pt"
    first = Training(start, state_file=file, fingerprint="f")
    first.loop.run()
    second = Training(start, state_file=file, fingerprint="f")
    second.loop.run()
    assert second.of(Validation) == first.of(Validation)[: len(second.of(Validation))]
    assert len(second.of(Validation)) == 3
