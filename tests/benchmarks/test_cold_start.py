"""A cold start is split into steps that add up to all of it."""

from __future__ import annotations

import json
import sys
from time import time
from types import ModuleType

import numpy as np
import pytest
from benchmarks import _cold_start, first_mask
from benchmarks._cold_start import STEPS, ImportClock, StepClock


class FakeTime(ModuleType):
    """A clock that goes on when it is told to; modules under test import it as ``fake_time``."""

    now = 0.0

    def perf_counter(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def fake_time(monkeypatch):
    clock = FakeTime("fake_time")
    monkeypatch.setattr(_cold_start, "perf_counter", clock.perf_counter)
    monkeypatch.setitem(sys.modules, "fake_time", clock)
    return clock


def test_steps_of_a_cold_start_add_up_to_it(tmp_path, capsys):
    found = first_mask.picture(0)
    np.save(tmp_path / "image.npy", found.image)
    y, x = found.centres_yx[first_mask.CELL]
    _cold_start.main([str(tmp_path / "image.npy"), str(y), str(x), str(time())])
    seconds = json.loads(capsys.readouterr().out)
    total = seconds.pop("total")
    assert set(seconds) == set(STEPS)
    assert min(seconds.values()) >= 0
    assert sum(seconds.values()) == pytest.approx(total, rel=0.1, abs=0.1)


def test_imports_are_counted_once_and_taken_out_of_the_step_that_makes_them(
    tmp_path, monkeypatch, fake_time
):
    (tmp_path / "slow_outer.py").write_text("import slow_inner, fake_time; fake_time.sleep(2)")
    (tmp_path / "slow_inner.py").write_text("import fake_time; fake_time.sleep(3)")
    monkeypatch.syspath_prepend(str(tmp_path))
    clock = ImportClock()
    steps = StepClock(clock)
    uninstall = clock.install()
    try:
        steps.call("step", exec, "import slow_outer, fake_time; fake_time.sleep(7)")
    finally:
        uninstall()
        sys.modules.pop("slow_outer", None)
        sys.modules.pop("slow_inner", None)
    assert clock.seconds == 5
    assert steps.seconds == {"step": 7}


def test_a_step_within_a_step_is_not_counted_twice(fake_time):
    steps = StepClock(ImportClock())

    def outer() -> None:
        fake_time.sleep(2)
        steps.call("inner", fake_time.sleep, 3)
        steps.call("inner", fake_time.sleep, 4)

    steps.call("outer", outer)
    assert steps.seconds == {"inner": 7, "outer": 2}
