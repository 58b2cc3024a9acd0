"""All blocks of a job, on threads of this process or on the workers of a cluster."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from napari_segmate.core.context import Context
from napari_segmate.core.errors import MissingExtraError, ParameterError, SegmateError
from napari_segmate.tasks.blockwise.work import BlockJob

__all__ = ["run_all"]

THREADS = 2
"""One thread looks with the model, which uses all cores, while the other one tells objects apart
and writes."""
RETRIES = 2
"""How often a block is tried again after an error of its worker."""
TIMEOUT_S = 10
"""How long a scheduler may take to answer."""
WAIT_S = 0.2
ALONE_S = 60.0
"""How long a scheduler may be silent or without workers before the run is given up."""


def run_all(job: BlockJob, numbers: Sequence[int], scheduler: str | None, context: Context) -> None:
    """Compute blocks, by number, in any order.

    Raises
    ------
    ParameterError
        Nothing answers at the address of the scheduler.
    MissingExtraError
        ``distributed`` is not installed.
    SegmateError
        A block lost its worker several times, or the scheduler or all workers are gone.
    Cancelled
        The user stopped the job.
    """
    done = len(job.plan.blocks) - len(numbers)
    context.report(done, len(job.plan.blocks), "labelling blocks")
    if scheduler is not None:
        with _client(scheduler) as client:
            _on_cluster(client, job, numbers, context)
    elif numbers:
        _on_threads(job, numbers, context)


def _on_threads(job: BlockJob, numbers: Sequence[int], context: Context) -> None:
    tell = _Counter(context, len(job.plan.blocks) - len(numbers), len(job.plan.blocks))

    def one(number: int) -> None:
        job.compute(number)
        tell.finished()

    if find_spec("dask") is None:
        for number in numbers:
            one(number)
        return
    dask: Any = import_module("dask")
    tasks = [dask.delayed(one, pure=False)(number) for number in numbers]
    dask.compute(*tasks, scheduler="threads", num_workers=THREADS)


class _Counter:
    """Reports finished blocks, from whichever thread."""

    def __init__(self, context: Context, done: int, total: int) -> None:
        self._context, self._done, self._total = context, done, total
        self._lock = threading.Lock()

    def finished(self) -> None:
        with self._lock:
            self._done += 1
            self._context.report(self._done, self._total, "labelling blocks")


@contextmanager
def _client(address: str) -> Iterator[Any]:
    if find_spec("distributed") is None:
        raise MissingExtraError.for_feature("a cluster", "cluster")
    distributed: Any = import_module("distributed")
    try:
        client = distributed.Client(address, timeout=TIMEOUT_S, set_as_default=False)
    except (OSError, ValueError, TimeoutError) as error:
        raise ParameterError(
            f"no dask scheduler answers at {address!r} ({error}); give an address such as "
            "tcp://10.0.0.5:8786, or leave out the scheduler to compute here"
        ) from error
    try:
        yield client
    finally:
        client.close()


def _on_cluster(client: Any, job: BlockJob, numbers: Sequence[int], context: Context) -> None:
    """Let workers compute blocks; dask gives those of a worker that died to another one."""
    tell = _Counter(context, len(job.plan.blocks) - len(numbers), len(job.plan.blocks))
    futures: Sequence[Any] = ()
    try:
        with _cluster_errors():
            _wait_for_worker(client, context)
            (shared,) = client.scatter([job], broadcast=True)
            futures = client.map(
                _compute, numbers, job=shared, retries=RETRIES, pure=False, key="segmate-block"
            )
            _follow(client, futures, tell, context)
    except BaseException:
        with suppress(Exception):
            client.cancel(futures, force=True)
        raise


@contextmanager
def _cluster_errors() -> Iterator[None]:
    """Turn what dask raises when a cluster falls apart into one error; ours pass."""
    from concurrent.futures import CancelledError as FutureCancelled

    try:
        yield
    except (FutureCancelled, TimeoutError, ConnectionError) as error:
        raise _lost(f"the cluster is gone ({error or type(error).__name__})") from error
    except OSError as error:
        if not type(error).__module__.startswith("distributed"):
            raise
        raise _lost(f"the scheduler is gone ({error})") from error


def _lost(what: str) -> SegmateError:
    return SegmateError(
        f"{what}; finished blocks stay: start again, with a cluster or without --scheduler, to go "
        "on with the rest"
    )


def _workers(client: Any) -> int:
    return len(client.scheduler_info().get("workers", ()))


def _wait_for_worker(client: Any, context: Context) -> None:
    end = time.monotonic() + ALONE_S
    while not _workers(client):
        context.report(0, 0, "waiting for a worker of the cluster")
        if time.monotonic() > end:
            raise _lost(f"the cluster has had no worker for {ALONE_S:g} seconds")
        time.sleep(WAIT_S)


def _compute(number: int, job: BlockJob) -> int:
    return job.compute(number)


def _follow(client: Any, futures: Sequence[Any], tell: _Counter, context: Context) -> None:
    from distributed import KilledWorker

    waiting = set(futures)
    alive = time.monotonic()
    while waiting:
        context.check()
        time.sleep(WAIT_S)
        if client.status == "running" and _workers(client):
            alive = time.monotonic()
        elif time.monotonic() - alive > ALONE_S:
            raise _lost(f"the cluster has had no scheduler or worker for {ALONE_S:g} seconds")
        finished = {future for future in waiting if future.done()}
        for future in finished:
            try:
                future.result()
            except KilledWorker as error:
                raise SegmateError(
                    f"several workers died over one block ({error}); they may lack memory: choose "
                    "smaller blocks, and start again to go on with the rest"
                ) from error
            tell.finished()
        waiting -= finished
