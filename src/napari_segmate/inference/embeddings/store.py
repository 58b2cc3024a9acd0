"""Embeddings, computed once: in memory, on disk, and remembered per plane and frame."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from hashlib import blake2b
from pathlib import Path
from threading import Lock, RLock
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

import numpy as np

from napari_segmate.core.context import Context
from napari_segmate.core.types import Embedding, Frame, RGBImage
from napari_segmate.inference.embeddings.disk import DiskCache
from napari_segmate.inference.prompts.request import PlaneLike
from napari_segmate.models.base import Segmenter

__all__ = ["EmbeddingStore", "embedding_key"]

MEMORY_BYTES = 512 * 2**20
DISK_BYTES = 4 * 2**30
MAX_REMEMBERED = 32
WAIT_S = 0.05
"""How often a job that waits for the model looks whether it was cancelled."""

Made = TypeVar("Made")


def _ignore(message: str) -> None:
    """Drop a warning."""


def embedding_key(model_key: str, image: RGBImage, *, float16: bool = False) -> str:
    """Return the name of an embedding: model and weights, and the very bytes the model sees.

    Examples
    --------
    >>> image = np.zeros((2, 3, 3), np.uint8)
    >>> embedding_key("a@1", image) == embedding_key("a@1", image.copy())
    True
    >>> embedding_key("a@1", image) == embedding_key("a@1", image.reshape(3, 2, 3))
    False
    """
    digest = blake2b(f"{model_key}|{image.shape}|{float16}|".encode(), digest_size=20)
    digest.update(np.ascontiguousarray(image).data)
    return digest.hexdigest()


class EmbeddingStore:
    """Embeddings by content, shared by all planes, windows and layers.

    Thread-safe. A folder that cannot be read or written costs speed, never a result: the store
    says so once and goes on in memory.

    Parameters
    ----------
    memory_bytes : int
        Largest size of the embeddings in memory; the newest is kept whatever its size.
    folder : Path, optional
        Where embeddings are kept from one session to the next; None keeps them in memory only.
    disk_bytes : int
        Largest size of that folder.
    float16 : bool
        Keep embeddings in half precision: half the space, masks differ at single pixels.
    warn : callable
        Called once, with a sentence for the user, when the folder cannot be used.
    """

    def __init__(
        self,
        memory_bytes: int = MEMORY_BYTES,
        folder: Path | None = None,
        disk_bytes: int = DISK_BYTES,
        *,
        float16: bool = False,
        warn: Callable[[str], None] = _ignore,
    ) -> None:
        self._memory_bytes = memory_bytes
        self._disk = DiskCache(Path(folder), disk_bytes) if folder is not None else None
        self._float16 = float16
        self._warn = warn
        self._lock = RLock()
        self._model_lock = Lock()
        self._memory: OrderedDict[str, Embedding] = OrderedDict()
        self._remembered: OrderedDict[Hashable, Any] = OrderedDict()
        self._diameters: WeakKeyDictionary[PlaneLike, dict[str, float]] = WeakKeyDictionary()
        self._keys: WeakKeyDictionary[PlaneLike, dict[tuple[str, Frame], str]] = WeakKeyDictionary()

    @property
    def nbytes(self) -> int:
        """Bytes that the embeddings in memory hold."""
        with self._lock:
            return sum(embedding.nbytes for embedding in self._memory.values())

    def clear(self) -> None:
        """Forget every embedding, in memory and on disk."""
        with self._lock:
            self._memory.clear()
            self._keys.clear()
            self._diameters.clear()
        if self._disk is not None:
            self._disk.clear()

    def get(self, model: Segmenter, image: RGBImage, context: Context | None = None) -> Embedding:
        """Return the embedding of an image, computed when it is not stored.

        Parameters
        ----------
        model : Segmenter
            Who encodes.
        image : (H, W, 3) uint8
            What the model sees.
        context : Context, optional
            Progress while encoding, and cancellation.

        Raises
        ------
        Cancelled
            The user stopped the job.
        """
        key = embedding_key(model.key, image, float16=self._float16)
        return self._stored(key) or self._computed(key, model, image, context or Context())

    def of_plane(
        self, plane: PlaneLike, frame: Frame, model: Segmenter, context: Context | None = None
    ) -> Embedding:
        """Return the embedding of a part of a plane.

        While an embedding is stored its plane is not read again.
        """
        key = self._keys.get(plane, {}).get((model.key, frame))
        found = self._stored(key) if key is not None else None
        if found is not None:
            return found
        image = plane.read(frame.box_yx, frame.shape)
        with self._lock:
            keys = self._keys.setdefault(plane, {})
            keys[model.key, frame] = embedding_key(model.key, image, float16=self._float16)
        return self.get(model, image, context)

    def holds(self, plane: PlaneLike, frame: Frame, model: Segmenter) -> bool:
        """Tell whether `of_plane` can answer from memory."""
        return self._keys.get(plane, {}).get((model.key, frame)) in self._memory

    def diameter(self, plane: PlaneLike, model_key: str) -> float:
        """Return the typical diameter remembered for a plane, in its pixels; 0 if there is none."""
        with self._lock:
            return self._diameters.get(plane, {}).get(model_key, 0.0)

    def remember_diameter(self, plane: PlaneLike, model_key: str, diameter: float) -> None:
        """Keep the typical diameter of the objects of a plane, in its pixels."""
        with self._lock:
            self._diameters.setdefault(plane, {})[model_key] = diameter

    @contextmanager
    def exclusive(self, context: Context) -> Iterator[None]:
        """Hold the model: one encodes or decodes at a time, and who waits can be cancelled."""
        while not self._model_lock.acquire(timeout=WAIT_S):
            context.check()
        try:
            context.check()
            yield
        finally:
            self._model_lock.release()

    def remembered(self, key: Hashable, make: Callable[[], Made]) -> Made:
        """Return what is remembered under `key`, made when there is nothing; for small values."""
        with self._lock:
            if key not in self._remembered:
                self._remembered[key] = make()
            self._remembered.move_to_end(key)
            while len(self._remembered) > MAX_REMEMBERED:
                self._remembered.popitem(last=False)
            found: Made = self._remembered[key]
            return found

    def _stored(self, key: str) -> Embedding | None:
        with self._lock:
            if key in self._memory:
                self._memory.move_to_end(key)
                return self._memory[key]
        found = self._disk.load(key) if self._disk is not None else None
        if found is not None:
            self._remember(key, found)
        return found

    def _computed(self, key: str, model: Segmenter, image: RGBImage, context: Context) -> Embedding:
        with self.exclusive(context):
            # Another thread may have encoded the same image while this one waited.
            if key in self._memory:
                return self._memory[key]
            context.report(0, 0, "encoding")
            embedding = self._packed(model.encode(image, context))
            self._remember(key, embedding)
        self._save(key, embedding)
        return embedding

    def _packed(self, embedding: Embedding) -> Embedding:
        if not self._float16:
            return embedding
        halved = {name: array.astype(np.float16) for name, array in embedding.arrays.items()}
        return Embedding(halved, embedding.image_shape, embedding.model_key)

    def _remember(self, key: str, embedding: Embedding) -> None:
        with self._lock:
            self._memory[key] = embedding
            self._memory.move_to_end(key)
            while len(self._memory) > 1 and self.nbytes > self._memory_bytes:
                self._memory.popitem(last=False)

    def _save(self, key: str, embedding: Embedding) -> None:
        disk = self._disk
        if disk is None:
            return
        try:
            disk.save(key, embedding)
        except OSError as error:
            self._disk = None
            self._warn(
                f"Embeddings cannot be kept in {disk.folder} ({error}); they stay in memory. "
                "Free some space or choose another folder in the settings."
            )
