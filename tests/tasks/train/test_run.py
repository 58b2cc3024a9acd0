from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from segment_anything.modeling import Sam
from small_sam import small_sam
from training_samples import grid_of_objects

from napari_segmate.core.errors import (
    CacheError,
    Cancelled,
    LabelsError,
    ModelError,
    OutOfMemoryError,
    ParameterError,
    WeightsError,
)
from napari_segmate.core.training_events import Command, Message, Result, Start, Step, Work
from napari_segmate.models import get_model, list_models, load_model
from napari_segmate.models._exchange import export_official, import_weights
from napari_segmate.models._own import check_name, own_path, read_header, write_own
from napari_segmate.tasks.evaluate import run as evaluate
from napari_segmate.tasks.train.run import Params, estimate, run, target_of
from napari_segmate.training.control import Control
from napari_segmate.training.data import Annotation, sample_of
from napari_segmate.training.presets import INVERTED, TINY, Preset
from napari_segmate.training.snapshot import write_snapshot

SMALL = {"epochs": 1, "views": 2, "batch": 2, "objects": 2, "size": 64, "device": "cpu"}


@pytest.fixture(autouse=True)
def own_folder(tmp_path, monkeypatch) -> Path:
    folder = tmp_path / "own"
    monkeypatch.setenv("NAPARI_SEGMATE_MODELS", str(folder))
    return folder


@pytest.fixture(scope="module")
def tiny():
    return load_model("tiny", device="cpu")


def two_planes():
    return [grid_of_objects("a"), grid_of_objects("b", seed=5)]


def test_training_ends_with_a_listed_model_and_an_honest_comparison(tiny, own_folder) -> None:
    events: list = []
    result = run(two_planes(), Params(name="mine", **SMALL), emit=events.append, model=tiny)
    assert Path(result.path) == own_folder / "mine.safetensors"
    assert Path(result.picture).is_file()
    assert {"ap50", "click_iou", "box_iou", "clicks"} <= set(result.before) & set(result.after)
    info = get_model("mine")
    assert (info.base, info.instance_head, info.diameter) == ("tiny", True, tiny.info.diameter)
    assert [one.name for one in list_models()][:2] == ["tiny", "mine"]
    loaded = load_model("mine", device="cpu")
    assert loaded.info.name == "mine"
    assert [type(event) for event in events if isinstance(event, Start | Result)] == [Start, Result]
    header = read_header(Path(result.path))
    assert json.loads(header["metrics"])["after"] == dict(result.after)
    assert (header["base"], header["preset"]) == ("tiny", "quick")
    assert json.loads(header["data"])["objects"] > 0


def test_a_model_that_stayed_as_it_was_is_not_called_worse(tiny) -> None:
    result = run(two_planes(), Params(rate=0.5, **SMALL), model=tiny)
    assert result.after == result.before
    assert not result.worse


@pytest.mark.parametrize(("lost", "worse"), [(0.004, False), (0.02, True)])
def test_a_model_is_worse_only_beyond_the_margin(tiny, monkeypatch, lost, worse) -> None:
    values = iter((0.6, 0.6 - lost))

    def judged(*args, **kwargs) -> evaluate.Scores:
        value = next(values)
        return evaluate.Scores(1, 1, click_iou=value, box_iou=value, clicks=3.0)

    monkeypatch.setattr("napari_segmate.tasks.train.result.evaluate.run", judged)
    assert run(two_planes(), Params(**SMALL), model=tiny).worse is worse


def test_an_own_model_can_be_trained_further(tiny) -> None:
    run(two_planes(), Params(name="first", **SMALL), model=tiny)
    result = run(two_planes(), Params(name="second", model="first", **SMALL))
    assert read_header(Path(result.path))["base"] == "first"


def test_one_object_is_enough_but_said_to_be_little(tiny) -> None:
    labels = np.zeros((96, 96), int)
    labels[30:50, 30:50] = 1
    image = np.where(labels > 0, 200, 30).astype(np.uint8)
    events: list = []
    run([sample_of(image, labels)], Params(**SMALL), emit=events.append, model=tiny)
    assert "too few objects" in events[0].text


def test_no_object_is_refused() -> None:
    with pytest.raises(LabelsError, match="label some objects"):
        run([sample_of(np.zeros((64, 64)), np.zeros((64, 64), int))], Params(**SMALL))


def test_a_name_that_is_taken_is_refused_before_anything_is_done(own_folder) -> None:
    own_folder.mkdir()
    (own_folder / "mine.safetensors").write_bytes(b"")
    with pytest.raises(ParameterError, match="already"):
        run(two_planes(), Params(name="mine", **SMALL))
    with pytest.raises(ParameterError, match="comes along"):
        target_of("vit_b")
    with pytest.raises(ParameterError, match="cannot be the name"):
        check_name("", ())


def test_an_estimate_comes_before_the_first_step_and_alone(tiny, own_folder) -> None:
    events: list = []
    run(two_planes(), Params(**SMALL), emit=events.append, model=tiny)
    kinds = [type(event) for event in events]
    assert kinds.index(Start) < kinds.index(Step)
    alone = estimate(two_planes(), Params(**{**SMALL, "epochs": 40}), model=tiny)
    (start,) = (event for event in events if isinstance(event, Start))
    assert alone.steps == 40 * start.steps
    assert alone.estimate_s > start.estimate_s > 0
    assert start.memory_mb > 100
    assert [path.name for path in own_folder.glob("*.safetensors")] == ["my-model.safetensors"]


def test_settings_that_do_not_fit_are_refused_before_anything_is_done(tiny, monkeypatch) -> None:
    monkeypatch.setattr("napari_segmate.training.estimate.free_mb", lambda: 300.0)
    with pytest.raises(OutOfMemoryError, match=r"0\.3 GB are free"):
        run(two_planes(), Params(**SMALL), model=tiny)


def test_inverted_views_are_another_training_and_learn(tiny) -> None:
    assert Params(polarity=True).schedule(TINY[Preset.QUICK]).polarity == INVERTED
    assert Params().schedule(TINY[Preset.QUICK]).polarity == 0
    result = run(two_planes(), Params(polarity=True, **SMALL), model=tiny)
    assert Path(result.path).is_file()


def test_a_name_taken_during_the_training_gets_a_number(tiny, own_folder) -> None:
    events: list = []

    def take_name(event) -> None:
        events.append(event)
        if isinstance(event, Start):
            own_folder.mkdir(exist_ok=True)
            (own_folder / "mine.safetensors").write_bytes(b"of somebody else")

    result = run(two_planes(), Params(name="mine", **SMALL), emit=take_name, model=tiny)
    assert result.model == "mine-2"
    assert (own_folder / "mine.safetensors").read_bytes() == b"of somebody else"
    assert any("taken meanwhile" in getattr(event, "text", "") for event in events)


def test_cancelled_while_judging_leaves_no_model(tiny, own_folder) -> None:
    control = Control()

    def cancel(event) -> None:
        if isinstance(event, Work) and "new model" in event.text:
            control.tell(Command.CANCEL)

    with pytest.raises(Cancelled):
        run(two_planes(), Params(**SMALL), emit=cancel, control=control, model=tiny)
    assert not list(own_folder.rglob("*.safetensors"))


def test_cancel_leaves_no_model(tiny, own_folder) -> None:
    control = Control()

    def cancel(event) -> None:
        if isinstance(event, Step):
            control.tell(Command.CANCEL)

    with pytest.raises(Cancelled):
        run(
            two_planes(), Params(**{**SMALL, "epochs": 9}), emit=cancel, control=control, model=tiny
        )
    assert not list(own_folder.glob("*.safetensors"))


def test_a_full_disk_at_the_end_is_an_error_with_a_cure(tmp_path, monkeypatch) -> None:
    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("safetensors.torch.save_file", full)
    with pytest.raises(CacheError, match="free some space"):
        write_own(tmp_path / "m.safetensors", {"a": torch.zeros(1)}, {})
    assert not list(tmp_path.glob("*"))


def test_after_a_full_disk_the_same_training_goes_on(tiny, own_folder, monkeypatch) -> None:
    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("safetensors.torch.save_file", full)
        with pytest.raises(CacheError, match="free some space"):
            run(two_planes(), Params(name="mine", **SMALL), model=tiny)
    assert not list(own_folder.rglob("*.safetensors"))
    events: list = []
    run(two_planes(), Params(name="mine", **SMALL), emit=events.append, model=tiny)
    assert not [event for event in events if isinstance(event, Step)]
    assert (own_folder / "mine.safetensors").is_file()
    assert not list(own_folder.glob(".mine*"))


@pytest.mark.parametrize(
    ("preset", "annotation"),
    [(Preset.BALANCED, Annotation.OBJECTS), (Preset.FULL, Annotation.RECTANGLE)],
)
def test_other_presets_learn_from_partly_labelled_planes(tiny, preset, annotation) -> None:
    def partly(name: str, seed: int):
        whole = grid_of_objects(name, seed=seed)
        some = np.where(whole.labels <= 5, whole.labels, 0)
        return sample_of(whole.image, some, annotation, name=name)

    events: list = []
    samples = [partly("a", 0), partly("b", 5)]
    result = run(samples, Params(preset=preset, **SMALL), emit=events.append, model=tiny)
    (step,) = (event for event in events if isinstance(event, Step))
    assert np.isfinite(step.loss)
    assert not json.loads(read_header(Path(result.path))["data"])["whole"]


def test_a_model_from_a_newer_version_says_so(own_folder) -> None:
    path = own_path("new")
    write_own(path, {"a": torch.zeros(1)}, {"plugin_version": "99.0"})
    raw = path.read_bytes().replace(b'"format_version":"1"', b'"format_version":"7"')
    path.write_bytes(raw)
    with pytest.raises(WeightsError, match=r"99\.0.*newer"):
        load_model("new", device="cpu")


def test_damaged_files_are_not_listed_and_say_so_when_loaded(own_folder) -> None:
    own_folder.mkdir()
    (own_folder / "broken.safetensors").write_bytes(b"\x10\0\0\0\0\0\0\0not json at all!")
    assert "broken" not in [info.name for info in list_models()]
    with pytest.raises(WeightsError, match="damaged"):
        load_model(own_folder / "broken.safetensors", device="cpu")


@pytest.mark.parametrize("value", [{"rate": 0}, {"epochs": 0}, {"held_out": 0.9}, {"size": 100}])
def test_settings_out_of_range_are_refused(value) -> None:
    with pytest.raises(ParameterError, match=next(iter(value))):
        Params(**value)


# SAM


@pytest.fixture(scope="module")
def sam_file(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("sam") / "small.pth"
    torch.save(small_sam().state_dict(), path)
    return path


def test_sam_is_trained_exported_and_loads_strictly_in_segment_anything(sam_file, tmp_path) -> None:
    sizes = {**SMALL, "views": 1, "batch": 1, "size": None}
    result = run(two_planes(), Params(name="sammy", model=str(sam_file), **sizes))
    assert "ap50" not in result.after and "box_iou" in result.after
    official = export_official(Path(result.path), tmp_path / "sammy.pth")
    network: Sam = small_sam()
    state = torch.load(official, weights_only=True)
    network.load_state_dict(state, strict=True)
    ours = load_model("sammy", device="cpu").network.state_dict()
    assert all(torch.equal(value, ours[name]) for name, value in state.items())


def test_sam_has_a_side_of_views_of_its_own(sam_file) -> None:
    with pytest.raises(ParameterError, match=r"size 64 is for models as 'tiny'.*leave it out"):
        run(two_planes(), Params(name="sammy", model=str(sam_file), **SMALL))


@pytest.mark.parametrize(
    ("name", "said"),
    [("no/where", "no folder 'no'"), ("x/", "is a folder"), ("x.pth", r"as \.safetensors")],
)
def test_what_is_neither_name_nor_path_of_a_model_is_refused(name, said) -> None:
    with pytest.raises(ParameterError, match=said):
        target_of(name)


def test_paths_and_names_of_models_are_told_apart(tmp_path) -> None:
    assert target_of(str(tmp_path / "a")) == tmp_path / "a.safetensors"
    assert target_of(str(tmp_path / "new" / "a.safetensors")).parent == tmp_path / "new"
    assert target_of("my cells").name == "my cells.safetensors"


def test_official_weights_become_an_own_model(sam_file) -> None:
    info = load_model(sam_file, device="cpu").info
    import_weights(sam_file, "imported", info, ("tiny",))
    network = load_model("imported", device="cpu").network
    for name, value in small_sam().state_dict().items():
        assert torch.equal(network.state_dict()[name], value), name


def test_the_embedded_model_cannot_be_exported_as_sam(tiny, tmp_path) -> None:
    result = run(two_planes(), Params(name="t", **SMALL), model=tiny)
    with pytest.raises(ModelError, match="no SAM"):
        export_official(Path(result.path), tmp_path / "t.pth")


# Evaluation


def test_evaluation_counts_only_what_is_known(tiny) -> None:
    whole = grid_of_objects("a")
    sparse = sample_of(
        whole.image, np.where(whole.labels <= 4, whole.labels, 0), "objects", name="sparse"
    )
    scores = evaluate.run([sparse], tiny, evaluate.Params(objects=4, clicks=2))
    assert scores.objects == 4
    assert scores.ap50 is not None and scores.ap50 > 0.5
    assert 1 <= scores.clicks <= 2


# The whole way in a process of its own


def command(data: Path, name: str, *more: str) -> list[str]:
    sizes = ["--views", "4", "--batch", "2", "--objects", "2", "--size", "64"]
    return [
        *(sys.executable, "-m", "napari_segmate", "train", "--data", str(data), "-o", name),
        *("--epochs", "3", "--patience", "9", "--device", "cpu", "--events", *sizes, *more),
    ]


def environment(folder: Path) -> dict[str, str]:
    return {**os.environ, "NAPARI_SEGMATE_MODELS": str(folder), "OMP_NUM_THREADS": "1"}


def started(data: Path, name: str, folder: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        command(data, name),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment(folder),
    )


def to_the_end(process: subprocess.Popen[str]) -> list[dict]:
    assert process.stdout is not None and process.stdin is not None
    events = [json.loads(line) for line in process.stdout]
    process.stdin.close()
    process.stdout.close()
    assert process.wait(60) == 0
    return events


def test_a_killed_training_resumes_bit_for_bit(tmp_path) -> None:
    data = tmp_path / "data"
    write_snapshot(data, two_planes())
    whole = to_the_end(started(data, "same", tmp_path / "whole"))
    process = started(data, "same", tmp_path / "killed")
    assert process.stdout is not None and process.stdin is not None
    for line in process.stdout:
        event = json.loads(line)
        if event["event"] == "step" and event["epoch"] == 2:
            process.send_signal(signal.SIGKILL)
            break
    assert process.wait(60) == -signal.SIGKILL
    process.stdin.close()
    process.stdout.close()
    assert not (tmp_path / "killed" / "same.safetensors").exists()
    resumed = to_the_end(started(data, "same", tmp_path / "killed"))
    assert any("goes on after epoch 1" in event.get("text", "") for event in resumed)

    def losses(events: list[dict]) -> list[float]:
        return [event["loss"] for event in events if event["event"] == "step"]

    assert losses(resumed) == losses(whole)[-len(losses(resumed)) :]
    one, other = (load_tensors(tmp_path / run / "same.safetensors") for run in ("whole", "killed"))
    for name, value in one.items():
        assert torch.equal(value, other[name]), name


def load_tensors(path: Path) -> dict[str, torch.Tensor]:
    from safetensors.torch import load_file

    return load_file(path)


def test_a_cancelled_process_ends_with_the_status_of_a_cancelled_job(tmp_path) -> None:
    data = tmp_path / "data"
    write_snapshot(data, two_planes())
    process = started(data, "gone", tmp_path / "own")
    assert process.stdout is not None and process.stdin is not None
    process.stdin.write("cancel\n")
    process.stdin.flush()
    output = process.stdout.read()
    process.stdin.close()
    process.stdout.close()
    assert process.wait(60) == 130
    assert '"result"' not in output


def test_an_error_is_an_event_with_words_for_the_user(tmp_path) -> None:
    done = subprocess.run(
        command(tmp_path / "nothing", "x"),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        env=environment(tmp_path),
        check=False,
    )
    assert done.returncode == 1
    assert json.loads(done.stdout.splitlines()[-1])["event"] == "error"


def test_presets_are_the_ones_of_the_command_line() -> None:
    assert [str(preset) for preset in Preset] == ["quick", "balanced", "full"]


def test_messages_are_sentences(tiny) -> None:
    events: list = []
    run(two_planes(), Params(**SMALL), emit=events.append, model=tiny)
    texts = [event.text for event in events if isinstance(event, Message)]
    assert "held out" in texts[0]
