"""What is damaged, missing or taken away while an image is labelled block by block."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock

from napari_segmate.core.context import Context
from napari_segmate.core.errors import ImageError, LabelsError, SegmateError
from napari_segmate.tasks.blockwise import execute


def chunks_of(case):
    return sorted(p for p in (case.work / "blocks.zarr" / "c").rglob("*") if p.is_file())


@pytest.mark.parametrize("damage", ["no record", "empty record", "half a record", "no archive"])
def test_a_damaged_record_of_a_block_is_done_again(case, expected, damage):
    case.stop_before_writing()
    record = case.findings[1]
    content = record.read_bytes()
    if damage == "no record":
        record.unlink()
    else:
        kept = {"empty record": b"", "half a record": content[: len(content) // 2]}
        record.write_bytes(kept.get(damage, b"x" * 300))
    written = case.run()
    assert written.resumed == 3
    assert written.damaged == (0 if damage == "no record" else 1)
    np.testing.assert_array_equal(case.labels(), expected)


@pytest.mark.parametrize("damage", ["gone", "empty", "flipped", "another"])
def test_a_block_whose_labels_are_gone_or_damaged_is_done_again(case, expected, damage):
    case.stop_before_writing()
    chunk, other = chunks_of(case)[0], chunks_of(case)[-1]
    content = bytearray(chunk.read_bytes())
    content[len(content) // 2] ^= 0xFF
    if damage == "gone":
        chunk.unlink()
    else:
        new = {"empty": b"", "flipped": bytes(content), "another": other.read_bytes()}
        chunk.write_bytes(new[damage])
    written = case.run()
    assert written.damaged == 1
    assert written.resumed == 3
    np.testing.assert_array_equal(case.labels(), expected)


def test_a_damaged_plan_begins_anew(case, expected):
    case.stop_before_writing()
    (case.work / "plan.json").write_bytes(b"{")
    assert case.run().resumed == 0
    np.testing.assert_array_equal(case.labels(), expected)


def test_labels_damaged_after_the_check_never_become_a_result(case, expected):
    def progress(done, total, text):
        if text == "joining blocks":
            chunks_of(case)[0].unlink()

    with pytest.raises(LabelsError, match="start again"):
        case.run(Context(progress=progress))
    assert not case.target.exists()
    written = case.run()
    assert written.resumed == 3
    np.testing.assert_array_equal(case.labels(), expected)


def when_labelling(act):
    acted = []

    def progress(done, total, text):
        if done == 1 and text == "labelling blocks" and not acted:
            acted.append(True)
            act()

    return Context(progress=progress)


def test_an_image_that_is_removed_meanwhile_gives_no_result(case):
    with pytest.raises(ImageError, match=r"start again|there is no file"):
        case.run(when_labelling(lambda: shutil.rmtree(case.image)))
    assert not case.target.exists()


def test_pieces_of_an_image_that_vanish_are_no_zeros(case, expected, tmp_path):
    piece = case.image / "c" / "1" / "1"
    kept = tmp_path / "kept"
    with pytest.raises(ImageError, match="lost files"):
        case.run(when_labelling(lambda: shutil.copy2(piece, kept) and piece.unlink()))
    assert not case.target.exists()
    shutil.copy2(kept, piece)
    case.run()
    np.testing.assert_array_equal(case.labels(), expected)


def test_blocks_of_an_image_that_has_changed_since_are_not_used(case):
    case.stop_before_writing()
    piece = case.image / "c" / "1" / "1"
    os.utime(piece, ns=(1, 2**62))
    assert case.run().resumed == 0


def test_a_second_run_on_the_same_result_is_told_so_and_takes_nothing_away(case, expected):
    case.stop_before_writing()
    with (
        FileLock(case.work.with_suffix(".lock")),
        pytest.raises(LabelsError, match="another run is writing"),
    ):
        case.run()
    assert len(case.findings) == 4
    assert case.run().resumed == 4
    np.testing.assert_array_equal(case.labels(), expected)


KILLED = """
import os, signal, sys
sys.path.insert(0, sys.argv[2])
from pathlib import Path
from blockwise_case import Case
from napari_segmate.core.context import Context
from napari_segmate.models import load_model
from napari_segmate.tasks.blockwise.work import ModelHandle

folder = Path(sys.argv[1])
handle = ModelHandle("tiny", "cpu", model=load_model("tiny", device="cpu"))
def progress(done, total, text):
    if text == "labelling blocks" and done:
        os.kill(os.getpid(), signal.SIGKILL)
Case(folder / "image.zarr", folder / "labels.zarr", handle).run(Context(progress=progress))
"""


@pytest.mark.skipif(os.name == "nt", reason="there is no SIGKILL")
def test_a_killed_run_goes_on_to_the_same_result(case, expected):
    command = [sys.executable, "-c", KILLED, str(case.image.parent), str(Path(__file__).parents[1])]
    ended = subprocess.run(command, capture_output=True, timeout=120, check=False)
    assert ended.returncode == -signal.SIGKILL, ended.stderr.decode()
    assert not case.target.exists()
    written = case.run()
    assert written.resumed >= 1
    np.testing.assert_array_equal(case.labels(), expected)
    assert [one.name for one in case.image.parent.iterdir() if one.name.startswith(".")] == []


class SilentClient:
    """A client whose blocks never come."""

    status = "running"

    def __init__(self, workers: int) -> None:
        self.workers = workers

    def scheduler_info(self):
        return {"workers": dict.fromkeys(range(self.workers))}

    def scatter(self, data, broadcast):
        return data

    def map(self, function, numbers, **options):
        self.workers = 0
        return [self for _ in numbers]

    def done(self):
        return False

    def cancel(self, futures, force):
        pass


@pytest.mark.parametrize("workers", [0, 1])
def test_a_cluster_without_workers_is_given_up_in_time(case, monkeypatch, workers):
    pytest.importorskip("distributed")
    monkeypatch.setattr(execute, "ALONE_S", 0.3)
    monkeypatch.setattr(execute, "_client", lambda address: nullcontext(SilentClient(workers)))
    case.stop_before_writing()
    case.findings[0].unlink()
    with pytest.raises(SegmateError, match=r"no .*worker for 0.3 seconds; finished blocks stay"):
        case.run(scheduler="tcp://nowhere:1")
    assert len(case.findings) == 3


def test_a_scheduler_that_dies_is_told(case, monkeypatch):
    distributed = pytest.importorskip("distributed")

    class Dead(SilentClient):
        def map(self, function, numbers, **options):
            raise distributed.comm.CommClosedError("closed")

    monkeypatch.setattr(execute, "_client", lambda address: nullcontext(Dead(1)))
    with pytest.raises(SegmateError, match=r"the scheduler is gone .* finished blocks stay"):
        case.run(scheduler="tcp://nowhere:1")
