"""Planes that come next, encoded while the current one is worked on."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Event
from types import TracebackType

from napari_segmate.core.context import Context
from napari_segmate.core.errors import Cancelled
from napari_segmate.core.types import Frame
from napari_segmate.inference.embeddings.crop_window import prefetch
from napari_segmate.inference.embeddings.store import EmbeddingStore
from napari_segmate.inference.prompts.request import PlaneLike
from napari_segmate.models.base import Segmenter

__all__ = ["PlanePrefetcher"]


class PlanePrefetcher:
    """A thread that encodes planes; a context manager that ends it.

    Parameters
    ----------
    model : Segmenter
        Who encodes.
    store : EmbeddingStore
        Where embeddings go.
    context : Context
        Cancellation.
    """

    def __init__(self, model: Segmenter, store: EmbeddingStore, context: Context) -> None:
        self._model, self._store, self._outer = model, store, context
        self._stop = Event()
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="segmate-encode-ahead")
        self._running: Future[None] | None = None

    def __enter__(self) -> PlanePrefetcher:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stop.set()
        self._pool.shutdown(wait=True, cancel_futures=True)

    def ask(self, wanted: Iterable[tuple[PlaneLike, Frame]]) -> None:
        """Encode these unless others are being encoded; an error shows where it matters."""
        if self._running is None or self._running.done():
            self._running = self._pool.submit(self._encode, tuple(wanted))

    def _encode(self, wanted: tuple[tuple[PlaneLike, Frame], ...]) -> None:
        context = Context(cancelled=lambda: self._stop.is_set() or self._outer.cancelled())
        try:
            prefetch(wanted, self._model, self._store, context)
        except Cancelled:
            return
