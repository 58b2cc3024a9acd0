"""Label images of which only the parts that hold something take memory and time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_segmate.core.types import LabelArray

__all__ = ["ChunkedLabels"]

CHUNK = 512
"""Side of a chunk: small enough that an object is written at once, which rewrites whole chunks."""

Key = tuple[int, ...]
Window = tuple[slice, ...]


class ChunkedLabels:
    """A label array in compressed chunks that knows which of them were written.

    napari reads the whole plane whenever it draws a layer anew. Chunks that were never written are
    not read for that: they are zeros that the operating system gives away for nothing.

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
        import zarr

        chunks = (1,) * (len(shape) - 2) + tuple(min(CHUNK, max(size, 1)) for size in shape[-2:])
        self.shape = tuple(int(size) for size in shape)
        self.dtype = np.dtype(dtype)
        self.ndim = len(self.shape)
        self.chunks = chunks
        self._written: set[Key] = set()
        self._array: Any = zarr.create_array(
            store=zarr.storage.MemoryStore(),
            shape=self.shape,
            chunks=chunks,
            dtype=self.dtype,
            fill_value=0,
        )

    @property
    def size(self) -> int:
        """Number of pixels."""
        return int(np.prod(self.shape, dtype=np.int64))

    @property
    def written(self) -> frozenset[Key]:
        """The chunks that may hold something: one number per axis."""
        return frozenset(self._written)

    def windows(self) -> Iterator[Window]:
        """Yield where the written chunks lie."""
        for key in self.written:
            yield self._place(key)

    def cast(self, dtype: npt.DTypeLike) -> ChunkedLabels:
        """Return a copy of another type."""
        other = ChunkedLabels(self.shape, dtype)
        for window in self.windows():
            other[window] = np.asarray(self._array[window]).astype(dtype)
        return other

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> LabelArray:
        found: LabelArray = self[...]
        return found if dtype is None else found.astype(dtype, copy=False)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index: Any) -> Any:
        found = _basic(index, self.shape)
        if found is None:
            return np.asarray(self._array[index])
        window, dropped = found
        return self._read(window)[tuple(0 if drop else slice(None) for drop in dropped)]

    def __setitem__(self, index: Any, values: Any) -> None:
        # First the note: another thread that reads meanwhile must not miss the chunk for good.
        self._written |= self._touched(index)
        self._array[index] = values

    def _read(self, window: Window) -> LabelArray:
        inside = self._inside(window)
        if 2 * len(inside) > self._count(window):
            return np.asarray(self._array[window])
        out = np.zeros([part.stop - part.start for part in window], self.dtype)
        for key in inside:
            shared = tuple(map(_common, window, self._place(key)))
            at = tuple(
                slice(one.start - part.start, one.stop - part.start)
                for one, part in zip(shared, window, strict=True)
            )
            out[at] = self._array[shared]
        return out

    def _place(self, key: Key) -> Window:
        sizes = zip(key, self.chunks, self.shape, strict=True)
        return tuple(slice(at * step, min((at + 1) * step, size)) for at, step, size in sizes)

    def _ranges(self, window: Window) -> list[range]:
        return [
            range(part.start // step, -(-part.stop // step)) if part.stop > part.start else range(0)
            for part, step in zip(window, self.chunks, strict=True)
        ]

    def _count(self, window: Window) -> int:
        return int(np.prod([len(one) for one in self._ranges(window)], dtype=np.int64))

    def _inside(self, window: Window) -> list[Key]:
        """Return the written chunks that a window touches."""
        ranges = self._ranges(window)
        if self._count(window) < len(self._written):
            return [key for key in product(*ranges) if key in self._written]
        written = tuple(self._written)
        return [key for key in written if all(map(range.__contains__, ranges, key))]

    def _touched(self, index: Any) -> set[Key]:
        """Return the chunks that an assignment may write to."""
        found = _basic(index, self.shape)
        if found is not None:
            return set(product(*self._ranges(found[0])))
        if isinstance(index, tuple) and len(index) == self.ndim and all(map(_is_integers, index)):
            return self._touched_pixels(np.broadcast_arrays(*index))
        return set(product(*self._ranges(tuple(slice(0, size) for size in self.shape))))

    def _touched_pixels(self, index: Sequence[npt.NDArray[Any]]) -> set[Key]:
        grid = tuple(-(-size // step) for size, step in zip(self.shape, self.chunks, strict=True))
        pairs = zip(index, self.shape, self.chunks, strict=True)
        # Remainder: negative indices count from the end.
        places = tuple((np.ravel(axis) % size) // step for axis, size, step in pairs)
        numbers = np.unique(np.ravel_multi_index(places, grid))
        keys = zip(*np.unravel_index(numbers, grid), strict=True)
        return {tuple(int(at) for at in key) for key in keys}


def _is_integers(index: Any) -> bool:
    return np.asarray(index).dtype.kind in "iu"


def _common(one: slice, other: slice) -> slice:
    return slice(max(one.start, other.start), min(one.stop, other.stop))


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
