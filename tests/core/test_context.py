"""Progress and cancellation."""

from __future__ import annotations

import pytest

from napari_segmate.core.context import Context
from napari_segmate.core.errors import Cancelled


def test_a_context_of_nobody_lets_a_job_run() -> None:
    context = Context()
    context.check()
    context.report(1, 2, "working")


def test_a_cancelled_job_stops_before_it_reports() -> None:
    seen: list[int] = []
    context = Context(progress=lambda done, total, text: seen.append(done), cancelled=lambda: True)
    with pytest.raises(Cancelled):
        context.report(1, 2)
    assert seen == []


def test_cancelling_is_asked_each_time() -> None:
    answers = iter([False, True])
    context = Context(cancelled=lambda: next(answers))
    context.check()
    with pytest.raises(Cancelled):
        context.check()
