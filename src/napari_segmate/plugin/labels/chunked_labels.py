"""Label images of which only the parts that hold something take memory and time."""

from __future__ import annotations

import zlib
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from itertools import product
from threading import RLock
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_segmate.core.types import LabelArray

__all__ = ["ChunkedLabels"]

CHUNK = 512
"""Side of a chunk, in pixels."""
PLAIN_BYTES = 1 << 30
"""Chunks written last stay as they are, up to this size; others are compressed."""

Key = tuple[int, ...]
Window = tuple[slice, ...]


class ChunkedLabels:
    """A label array in chunks, of which only those exist that were written.

    napari reads the whole plane whenever it draws a layer anew, and it writes single pixels. Pixels
    that were never written are zeros that the operating system gives away for nothing, and the
    chunks written last are plain arrays: an object is written at the speed of memory. Others are
    compressed, so that a stack takes as much as its objects. May be read from other threads.

    Parameters
    ----------
    shape : sequence of int
        Shape of the array, y and x last.
    dtype : dtype
        An integer type.

    Examples
    --------
    >>> labels = ChunkedLabels((50_000, 40_000), np.uint16)
    >>> labels[100:120, 30:40] = 7
    >>> int(labels[90:130, 0:100].sum()), len(labels.written)
    (1400, 1)
    """

    def __init__(self, shape: Sequence[int], dtype: npt.DTypeLike = np.uint16) -> None:
        self.shape = tuple(int(size) for size in shape)
        self.dtype = np.dtype(dtype)
        self.ndim = len(self.shape)
        self.chunks = (1,) * (self.ndim - 2) + (CHUNK, CHUNK)[: self.ndim]
        self._plain: OrderedDict[Key, LabelArray] = OrderedDict()
        self._packed: dict[Key, bytes] = {}
        self._lock = RLock()

    def __getstate__(self) -> dict[str, Any]:
        # For copies, as napari makes one of a layer that is duplicated.
        with self._lock:
            return {
                **self.__dict__,
                "_plain": OrderedDict((key, chunk.copy()) for key, chunk in self._plain.items()),
                "_packed": dict(self._packed),
                "_lock": None,
            }

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, _lock=RLock())

    @property
    def size(self) -> int:
        """Number of pixels."""
        return int(np.prod(self.shape, dtype=np.int64))

    @property
    def written(self) -> frozenset[Key]:
        """The chunks that may hold something: one number per axis."""
        with self._lock:
            return frozenset([*self._plain, *self._packed])

    @property
    def nbytes_stored(self) -> int:
        """How much memory the chunks take."""
        with self._lock:
            plain = sum(chunk.nbytes for chunk in self._plain.values())
            return plain + sum(map(len, self._packed.values()))

    def windows(self) -> Iterator[Window]:
        """Yield where the written chunks lie."""
        for key in self.written:
            yield self._place(key)

    def cast(self, dtype: npt.DTypeLike) -> ChunkedLabels:
        """Return a copy of another type."""
        other = ChunkedLabels(self.shape, dtype)
        for window in self.windows():
            other[window] = self[window].astype(dtype)
        return other

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> LabelArray:
        found: LabelArray = self[...]
        return found if dtype is None else found.astype(dtype, copy=False)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index: Any) -> Any:
        basic = _basic(index, self.shape)
        if basic is not None:
            window, dropped = basic
            return self._read(window)[tuple(0 if drop else slice(None) for drop in dropped)]
        if self._is_pixels(index):
            return self._read_pixels(np.broadcast_arrays(*index))
        return self[...][index]

    def __setitem__(self, index: Any, values: Any) -> None:
        basic = _basic(index, self.shape)
        if basic is not None:
            window, dropped = basic
            kept = [p.stop - p.start for p, d in zip(window, dropped, strict=True) if not d]
            full = [p.stop - p.start for p in window]
            self._write(window, np.broadcast_to(_cut(values, len(kept)), kept).reshape(full))
        elif self._is_pixels(index):
            pixels = np.broadcast_arrays(*index)
            self._write_pixels(pixels, np.broadcast_to(values, pixels[0].shape))
        else:
            everything = self[...]
            everything[index] = values
            self[...] = everything

    # Windows

    def _read(self, window: Window) -> LabelArray:
        out = np.zeros([part.stop - part.start for part in window], self.dtype)
        for key in self._inside(window):
            outer, inner = self._shared(window, key)
            with self._lock:
                out[outer] = self._look(key)[inner]
        return out

    def _write(self, window: Window, values: npt.NDArray[Any]) -> None:
        for key in product(*self._ranges(window)):
            outer, inner = self._shared(window, key)
            part = values[outer]
            with self._lock:
                if key in self._plain or key in self._packed or part.any():
                    self._take(key)[inner] = part

    def _shared(self, window: Window, key: Key) -> tuple[Window, Window]:
        """Return what a window and a chunk have in common, from the corner of each."""
        place = self._place(key)
        shared = [
            (max(one.start, other.start), min(one.stop, other.stop))
            for one, other in zip(window, place, strict=True)
        ]
        outer, inner = (
            tuple(slice(a - o.start, b - o.start) for (a, b), o in zip(shared, box, strict=True))
            for box in (window, place)
        )
        return outer, inner

    def _place(self, key: Key) -> Window:
        sizes = zip(key, self.chunks, self.shape, strict=True)
        return tuple(slice(at * step, min((at + 1) * step, size)) for at, step, size in sizes)

    def _ranges(self, window: Window) -> list[range]:
        return [
            range(part.start // step, -(-part.stop // step)) if part.stop > part.start else range(0)
            for part, step in zip(window, self.chunks, strict=True)
        ]

    def _inside(self, window: Window) -> list[Key]:
        """Return the written chunks that a window touches."""
        ranges, written = self._ranges(window), self.written
        if np.prod([len(one) for one in ranges], dtype=np.float64) < len(written):
            return [key for key in product(*ranges) if key in written]
        return [key for key in written if all(map(range.__contains__, ranges, key))]

    # Pixels

    def _is_pixels(self, index: Any) -> bool:
        whole = isinstance(index, tuple) and len(index) == self.ndim
        return whole and all(map(_is_integers, index))

    def _read_pixels(self, index: Sequence[npt.NDArray[Any]]) -> LabelArray:
        out = np.zeros(index[0].size, self.dtype)
        for key, members, inner in self._by_chunk(index):
            with self._lock:
                if key in self._plain or key in self._packed:
                    # Taken, not looked at: who reads pixels writes them next.
                    out[members] = self._take(key)[inner]
        return out.reshape(index[0].shape)

    def _write_pixels(self, index: Sequence[npt.NDArray[Any]], values: npt.NDArray[Any]) -> None:
        flat = values.reshape(-1)
        for key, members, inner in self._by_chunk(index):
            with self._lock:
                self._take(key)[inner] = flat[members]

    def _by_chunk(
        self, index: Sequence[npt.NDArray[Any]]
    ) -> Iterator[tuple[Key, Any, tuple[npt.NDArray[Any], ...]]]:
        """Yield chunk, which of the pixels lie there, and where in the chunk."""
        pixels = [np.ravel(axis) for axis in index]
        if not pixels[0].size:
            return
        for axis, size in zip(pixels, self.shape, strict=True):
            if axis.min() < -size or axis.max() >= size:
                raise IndexError(f"pixels {axis.min()} to {axis.max()} of an axis of {size}")
        # Remainder: negative indices count from the end.
        pixels = [axis % size for axis, size in zip(pixels, self.shape, strict=True)]
        grid = tuple(-(-size // step) for size, step in zip(self.shape, self.chunks, strict=True))
        keys = tuple(axis // step for axis, step in zip(pixels, self.chunks, strict=True))
        number = np.ravel_multi_index(keys, grid)
        for members in _groups(number):
            key = tuple(int(at) for at in np.unravel_index(number[members][0], grid))
            corner = [at * step for at, step in zip(key, self.chunks, strict=True)]
            yield key, members, tuple(a[members] - c for a, c in zip(pixels, corner, strict=True))

    # Chunks, with the lock held

    def _look(self, key: Key) -> LabelArray:
        """Return a chunk to read from."""
        found = self._plain.get(key)
        if found is not None:
            return found
        packed = np.frombuffer(zlib.decompress(self._packed[key]), self.dtype)
        return packed.reshape([part.stop - part.start for part in self._place(key)])

    def _take(self, key: Key) -> LabelArray:
        """Return a chunk to write to."""
        if key not in self._plain:
            shape = [part.stop - part.start for part in self._place(key)]
            there = key in self._packed
            self._plain[key] = self._look(key).copy() if there else np.zeros(shape, self.dtype)
            self._packed.pop(key, None)
            self._pack()
        self._plain.move_to_end(key)
        return self._plain[key]

    def _pack(self) -> None:
        """Compress the chunk that was written longest ago when there are too many."""
        nbytes = len(self._plain) * int(np.prod(self.chunks)) * self.dtype.itemsize
        if nbytes > PLAIN_BYTES and len(self._plain) > 1:
            key, chunk = self._plain.popitem(last=False)
            if chunk.any():
                self._packed[key] = zlib.compress(chunk.tobytes(), 1)


def _groups(number: npt.NDArray[np.intp]) -> list[Any]:
    """Return the members of each value; a slice of all when there is one value."""
    if (number == number[0]).all():
        return [slice(None)]
    order = np.argsort(number, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(number[order])) + 1)


def _cut(values: Any, ndim: int) -> npt.NDArray[Any]:
    """Return values without leading axes of length 1 that a window does not have, as numpy does."""
    array: npt.NDArray[Any] = np.asarray(values)
    while array.ndim > ndim and len(array) == 1:
        array = array[0]
    return array


def _is_integers(index: Any) -> bool:
    return np.asarray(index).dtype.kind in "iu"


def _basic(index: Any, shape: Sequence[int]) -> tuple[Window, tuple[bool, ...]] | None:
    """Return an index of whole numbers and slices as a window, and which axes it drops.

    None for any other index.

    Examples
    --------
    >>> _basic((3, slice(None), slice(2, 90)), (5, 6, 7))
    ((slice(3, 4, None), slice(0, 6, None), slice(2, 7, None)), (True, False, False))
    """
    parts = list(index) if isinstance(index, tuple) else [index]
    if any(part is Ellipsis for part in parts):
        at = next(number for number, part in enumerate(parts) if part is Ellipsis)
        parts[at : at + 1] = [slice(None)] * (len(shape) - len(parts) + 1)
    parts += [slice(None)] * (len(shape) - len(parts))
    window = []
    for part, size in zip(parts, shape, strict=False):
        if isinstance(part, slice) and part.step in (None, 1):
            start, stop, _ = part.indices(size)
            window.append(slice(start, max(start, stop)))
        elif isinstance(part, int | np.integer) and -size <= part < size:
            window.append(slice(int(part) % size, int(part) % size + 1))
        else:
            return None
    if len(parts) != len(shape):
        return None
    return tuple(window), tuple(not isinstance(part, slice) for part in parts)
