from __future__ import annotations

import threading

import pytest

from napari_segmate.core.errors import Cancelled
from napari_segmate.plugin.worker.runner import Job, Runner

pytestmark = pytest.mark.gui


@pytest.fixture
def runner(qtbot):
    made = Runner()
    yield made
    assert made.close(2)


def test_answers_come_back_on_the_gui_thread(runner, qtbot) -> None:
    threads = []
    runner.submit(
        Job(
            lambda context: threads.append(threading.current_thread()) or 7,
            done=lambda result: threads.append((result, threading.current_thread())),
        )
    )
    qtbot.waitUntil(lambda: len(threads) == 2)
    assert threads[0] is not threading.main_thread()
    assert threads[1] == (7, threading.main_thread())


def test_errors_come_back(runner, qtbot) -> None:
    errors = []

    def fail(context):
        raise ValueError("no")

    runner.submit(Job(fail, failed=errors.append))
    qtbot.waitUntil(lambda: bool(errors))
    assert str(errors[0]) == "no"


def test_jobs_run_in_order_and_one_at_a_time(runner, qtbot) -> None:
    seen: list[int] = []
    for number in range(5):
        runner.submit(Job(lambda context, number=number: number, done=seen.append))
    qtbot.waitUntil(lambda: len(seen) == 5)
    assert seen == [0, 1, 2, 3, 4]


def test_cancelled_job_tells_and_does_not_answer(runner, qtbot) -> None:
    started, answers, errors = threading.Event(), [], []

    def work(context):
        started.set()
        while True:
            context.check()

    job = runner.submit(Job(work, done=answers.append, failed=errors.append))
    assert started.wait(2)
    job.cancel()
    qtbot.waitUntil(lambda: bool(errors))
    assert isinstance(errors[0], Cancelled)
    assert not answers


def test_answer_of_a_job_that_ignores_cancellation_is_dropped(runner, qtbot) -> None:
    gate, answers, later = threading.Event(), [], []
    job = runner.submit(Job(lambda context: gate.wait(2), done=answers.append))
    job.cancel()
    gate.set()
    runner.submit(Job(lambda context: 1, done=later.append))
    qtbot.waitUntil(lambda: bool(later))
    assert not answers


def test_idle_jobs_give_way_except_those_that_help(runner, qtbot) -> None:
    gate, done = threading.Event(), []

    def wait(context):
        gate.wait(2)
        context.check()
        return "helped"

    runner.submit(Job(wait, done=done.append, idle=True, topic="plane"))
    qtbot.waitUntil(lambda: runner._current is not None)
    waiting = runner.submit(Job(lambda context: "waited", done=done.append, idle=True))
    runner.submit(Job(lambda context: "asked", done=done.append, topic="plane"))
    gate.set()
    qtbot.waitUntil(lambda: "asked" in done)
    assert done == ["helped", "asked"]
    assert waiting.cancelled


def test_progress_is_throttled_and_the_last_report_comes_through(runner, qtbot) -> None:
    reports, done = [], []

    def work(context):
        for number in range(1, 1001):
            context.report(number, 1000, "")

    runner.submit(Job(work, done=done.append, progress=lambda *report: reports.append(report)))
    qtbot.waitUntil(lambda: bool(done))
    assert len(reports) < 100
    assert reports[-1] == (1000, 1000, "")


def test_closing_ends_the_thread_and_refuses_new_jobs(qtbot) -> None:
    runner = Runner()
    assert runner.close(2)
    assert runner.submit(Job(lambda context: 1)).cancelled


def test_many_quick_jobs_while_others_are_forgotten(runner, qtbot) -> None:
    gate, done = threading.Event(), []
    runner.submit(Job(lambda context: gate.wait(2)))
    forgotten = runner.submit(Job(lambda context: "forgotten", done=done.append))
    runner.submit(Job(lambda context: "kept", done=done.append))
    runner.forget(forgotten)
    gate.set()
    qtbot.waitUntil(lambda: bool(done))
    assert done == ["kept"]
    assert runner.idle
