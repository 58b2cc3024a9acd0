import subprocess
import sys
import threading
import time

import numpy as np
import pytest

from napari_segmate.core.errors import CacheError, LabelsError
from napari_segmate.core.prompts import ObjectPrompts, Points
from napari_segmate.core.types import Frame
from napari_segmate.io.provenance import Record, Step
from napari_segmate.sessions.recovery import (
    Entry,
    Header,
    Patch,
    RecoveryWriter,
    discard,
    leftovers,
    read_journal,
)

SHAPE = (4, 30, 40)
HEADER = Header("labels", "cells.tif", SHAPE, "uint16", extra={"scale": [1.0, 0.5, 0.5]})


def record(label):
    step = Step(ObjectPrompts(Points([(1, 1)])), Frame((0, 0, 9, 9), (9, 9)), True)
    return Record(label, (0,), (0, 0, 1, 1), "tiny", "tiny@0", (step,), {}, 0.5, 0.5)


def patch(label, at=(2, 3), plane=0, size=4):
    y, x = at
    values = np.full((size, size), label)
    return Patch((plane,), (y, x, y + size, x + size), values)


def entry(label, **where):
    return Entry((patch(label, **where),), (record(label),))


class Background:
    """Runs jobs on threads that a test can wait for."""

    def __init__(self):
        self.threads = []

    def __call__(self, job):
        thread = threading.Thread(target=job)
        self.threads.append(thread)
        thread.start()

    def join(self):
        for thread in self.threads:
            thread.join()


@pytest.fixture
def background():
    run = Background()
    yield run
    run.join()


def writer(folder, submit, interval_s=0.0, header=HEADER, **more):
    return RecoveryWriter(folder, header, submit, interval_s=interval_s, **more)


def test_what_was_committed_can_be_recovered(tmp_path, background):
    journal = writer(tmp_path, background)
    journal.add(entry(1))
    journal.add(entry(2, at=(10, 10), plane=3))
    journal.close()
    (left,) = leftovers(tmp_path)
    assert (left.header, left.n_objects) == (HEADER, 2)
    recovered = read_journal(left.path)
    labels = np.zeros(SHAPE, np.uint16)
    recovered.apply(labels)
    expected = np.zeros(SHAPE, np.uint16)
    expected[0, 2:6, 3:7] = 1
    expected[3, 10:14, 10:14] = 2
    np.testing.assert_array_equal(labels, expected)
    assert [one.label for one in recovered.records] == [1, 2]


def test_an_undone_commit_is_not_recovered(tmp_path, background):
    journal = writer(tmp_path, background)
    journal.add(entry(1))
    journal.add(Entry((patch(0),), dropped=(1,)))
    journal.close()
    recovered = read_journal(journal.path)
    labels = np.zeros(SHAPE, np.uint16)
    recovered.apply(labels)
    assert not labels.any()
    assert recovered.records == ()


def test_it_is_recovered_into_zarr(tmp_path, background):
    import zarr

    journal = writer(tmp_path / "r", background)
    journal.add(entry(5))
    journal.close()
    labels = zarr.create_array(tmp_path / "l.zarr", shape=SHAPE, dtype="uint16", chunks=(1, 8, 8))
    read_journal(journal.path).apply(labels)
    assert (labels[0, 2:6, 3:7] == 5).all()
    assert labels[...].sum() == 5 * 16


def test_a_running_session_is_not_offered(tmp_path, background):
    journal = writer(tmp_path, background)
    journal.add(entry(1))
    background.join()
    assert journal.path.exists()
    assert leftovers(tmp_path) == ()
    journal.close()
    assert len(leftovers(tmp_path)) == 1


CRASH = """
import os, sys, threading
import numpy as np
from pathlib import Path
from napari_segmate.sessions.recovery import Entry, Header, Patch, RecoveryWriter
journal = RecoveryWriter(
    Path(sys.argv[1]), Header("labels", "cells.tif", (9, 9), "uint8"),
    lambda job: threading.Thread(target=job).start(), interval_s=0,
)
journal.add(Entry((Patch((), (0, 0, 2, 2), np.full((2, 2), 3)),)))
while not journal.path.exists() or journal.path.read_text().count("\\n") < 2:
    pass
print("written", flush=True)
sys.stdin.readline()
os._exit(1)
"""


def test_a_crashed_process_is_offered_and_a_living_one_is_not(tmp_path):
    process = subprocess.Popen(
        [sys.executable, "-c", CRASH, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    with process:
        assert process.stdout.readline().strip() == b"written"
        assert leftovers(tmp_path) == ()
        process.communicate(b"\n")
    (left,) = leftovers(tmp_path)
    labels = np.zeros((9, 9), np.uint8)
    read_journal(left.path).apply(labels)
    assert labels.sum() == 3 * 4


def test_a_clean_end_leaves_nothing(tmp_path, background):
    journal = writer(tmp_path, background)
    journal.add(entry(1))
    journal.discard()
    background.join()
    assert list(tmp_path.iterdir()) == []


def test_a_session_without_commits_leaves_nothing(tmp_path, background):
    writer(tmp_path / "none", background).close()
    assert not (tmp_path / "none").exists()


def test_writing_happens_on_the_other_thread(tmp_path):
    jobs = []
    journal = writer(tmp_path, jobs.append)
    journal.add(entry(1))
    assert list(tmp_path.iterdir()) == []
    jobs[0]()
    assert journal.path.exists()
    journal.close()


def test_writes_are_throttled_and_nothing_is_lost(tmp_path, background):
    journal = writer(tmp_path, background, interval_s=0.2)
    started = time.monotonic()
    for label in range(1, 21):
        journal.add(entry(label))
        time.sleep(0.01)
    background.join()
    journal.close()
    writes = len(background.threads)
    assert 2 <= writes <= 2 + (time.monotonic() - started) / 0.2
    assert len(read_journal(journal.path).entries) == 20


def test_closing_does_not_wait_for_the_throttle(tmp_path, background):
    journal = writer(tmp_path, background, interval_s=60)
    journal.add(entry(1))
    background.join()
    journal.add(entry(2))
    started = time.monotonic()
    journal.close()
    background.join()
    assert time.monotonic() - started < 5
    assert len(read_journal(journal.path).entries) == 2


def test_a_commit_costs_its_own_size_not_that_of_the_labels(tmp_path, background):
    header = Header("labels", "slide", (20000, 20000), "uint32")
    journal = writer(tmp_path, background, header=header)
    journal.add(Entry((Patch((), (9000, 9000, 9040, 9040), np.ones((40, 40), int)),)))
    journal.close()
    assert journal.path.stat().st_size < 1000


@pytest.mark.parametrize("cut", [1, 20, 100])
def test_a_line_cut_off_by_a_crash_costs_that_change_only(tmp_path, background, cut):
    journal = writer(tmp_path, background)
    for label in (1, 2, 3):
        journal.add(entry(label, at=(label * 5, 0)))
    journal.close()
    content = journal.path.read_bytes()
    journal.path.write_bytes(content[:-cut])
    assert [one.label for one in read_journal(journal.path).records][:2] == [1, 2]
    assert len(leftovers(tmp_path)) == 1


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"{}", b"[]", b'{"schema": 99}\n'])
def test_a_file_that_is_no_recovery_file_is_not_offered(tmp_path, content):
    path = tmp_path / "x.segmate-recovery"
    path.write_bytes(content)
    assert leftovers(tmp_path) == ()
    with pytest.raises(CacheError, match="delete it"):
        read_journal(path)


def test_the_newest_leftover_comes_first(tmp_path, background):
    import os

    for number, name in enumerate(["old", "new"]):
        journal = writer(tmp_path, background, header=Header(name, "i", SHAPE, "uint8"))
        journal.add(entry(1))
        journal.close()
        os.utime(journal.path, (1000 + number, 1000 + number))
    assert [left.header.labels for left in leftovers(tmp_path)] == ["new", "old"]


def test_a_leftover_can_be_discarded(tmp_path, background):
    journal = writer(tmp_path, background)
    journal.add(entry(1))
    journal.close()
    discard(journal.path)
    discard(journal.path)
    assert leftovers(tmp_path) == ()


def test_a_folder_that_cannot_be_made_warns_once_and_the_session_goes_on(tmp_path, background):
    (tmp_path / "file").write_text("in the way")
    warnings = []
    journal = writer(tmp_path / "file" / "r", background, warn=warnings.append)
    for label in (1, 2, 3):
        journal.add(entry(label))
        background.join()
    journal.close()
    assert len(warnings) == 1
    assert "save your labels often" in warnings[0]


def test_a_full_disk_warns_once_and_keeps_what_was_written(tmp_path, background, monkeypatch):
    warnings = []
    journal = writer(tmp_path, background, warn=warnings.append)
    journal.add(entry(1))
    background.join()

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("napari_segmate.sessions.recovery.os.fsync", full)
    for label in (2, 3):
        journal.add(entry(label))
        background.join()
    journal.close()
    assert len(warnings) == 1 and "No space left" in warnings[0]
    assert [one.label for one in read_journal(journal.path).records][:1] == [1]


def test_recovering_into_another_shape_is_refused(tmp_path, background):
    journal = writer(tmp_path, background)
    journal.add(entry(1))
    journal.close()
    with pytest.raises(LabelsError, match=r"\(4, 30, 40\)"):
        read_journal(journal.path).apply(np.zeros((30, 40), np.uint16))


def test_recovering_into_a_type_too_small_is_refused(tmp_path, background):
    journal = writer(tmp_path, background)
    journal.add(entry(300))
    journal.close()
    recovered = read_journal(journal.path)
    assert recovered.largest_label == 300
    with pytest.raises(LabelsError, match="300"):
        recovered.apply(np.zeros(SHAPE, np.uint8))


def test_a_patch_must_fill_its_box():
    with pytest.raises(LabelsError, match="do not fill"):
        Patch((), (0, 0, 2, 2), np.zeros((3, 3), int))


FILLING = """
import resource, signal, sys
import numpy as np
from pathlib import Path
from napari_segmate.sessions.recovery import Entry, Header, Patch, RecoveryWriter

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, resource.RLIM_INFINITY))
warnings = []
journal = RecoveryWriter(
    Path(sys.argv[1]), Header("labels", "cells.tif", (99, 99), "uint8"), lambda job: job(),
    interval_s=0, warn=warnings.append,
)
noise = np.random.default_rng(0).integers(0, 9, (60, 60))
for _ in range(9):
    journal.add(Entry((Patch((), (0, 0, 60, 60), noise),)))
journal.close()
print(len(warnings))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no limit on file sizes")
def test_a_disk_that_fills_up_while_writing_keeps_the_whole_lines(tmp_path):
    command = [sys.executable, "-W", "error", "-c", FILLING, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["1"]
    assert done.stderr == ""
    (left,) = leftovers(tmp_path)
    assert 0 < left.n_changes < 9


def test_a_change_may_be_read_by_the_thread_that_writes(tmp_path, background):
    journal = writer(tmp_path, background)
    readers = []

    def read():
        readers.append(threading.current_thread())
        return entry(7)

    journal.add(read)
    background.join()
    assert readers == background.threads
    journal.close()
    assert read_journal(leftovers(tmp_path)[0].path).largest_label == 7


def test_no_change_leaves_no_line(tmp_path, background):
    journal = writer(tmp_path, background)
    journal.add(lambda: Entry(()))
    journal.close()
    assert list(tmp_path.iterdir()) == []


def test_labels_that_cannot_be_read_cost_a_warning_only(tmp_path, background):
    said = []
    journal = writer(tmp_path, background, warn=said.append)

    def read():
        raise KeyError("chunk")

    journal.add(read)
    background.join()
    journal.add(entry(1))
    journal.close()
    assert journal.failed and len(said) == 1
