"""Draws what changed in label planes that are larger than a texture of the graphics card.

napari shows such a plane with every second or third pixel, and draws all of it anew for one changed
pixel: seconds for 20,000 x 20,000. Here only the changed part of the texture is replaced.
"""

from __future__ import annotations

from typing import Any
from weakref import ref

import numpy as np
import numpy.typing as npt
from napari.components import ViewerModel
from napari.layers import Labels

__all__ = ["draw_changes_alone", "thinned"]


def thinned(
    data: npt.NDArray[Any], offset: tuple[int, int], step: tuple[int, int]
) -> tuple[npt.NDArray[Any], tuple[int, int]]:
    """Return the part of a region that a thinned-out plane shows, and where it lies there.

    Parameters
    ----------
    data : (H, W) array
        A region of the plane.
    offset : (y, x)
        Its first pixel.
    step : (y, x)
        The plane shows each pixel whose coordinates are multiples of these.

    Examples
    --------
    >>> thinned(np.arange(12).reshape(3, 4), (3, 4), (2, 3))
    (array([[6]]), (2, 2))
    """
    first = tuple(-(-at // by) for at, by in zip(offset, step, strict=True))
    skipped = [number * by - at for number, by, at in zip(first, step, offset, strict=True)]
    shown = data[skipped[0] :: step[0], skipped[1] :: step[1]]
    return np.ascontiguousarray(shown), (first[0], first[1])


def draw_changes_alone(layer: Labels, viewer: ViewerModel) -> None:
    """Draw changes to a layer of a viewer alone from now on; saying it twice changes nothing.

    The texture is not part of napari's public interface: where it is not found as expected, napari
    draws the whole plane, as it does otherwise.
    """
    update = layer.events.labels_update
    napari_draws = _napari_draws(layer)
    if napari_draws is None or update.blocked(napari_draws):
        return
    visual, name = ref(napari_draws.__self__), napari_draws.__name__

    def draw(event: Any) -> None:
        owner: Any = visual()
        if owner is not None and not _draw_thinned(owner.node, event, _plane(layer, viewer)):
            getattr(owner, name)(event)

    update.block(napari_draws)
    update.connect(draw)


def _napari_draws(layer: Labels) -> Any:
    """Return what napari calls for a change; None while no window shows the layer."""
    for callback in layer.events.labels_update.callbacks:
        owner = callback[0]() if isinstance(callback, tuple) else None
        if hasattr(owner, "node"):
            return getattr(owner, callback[1])
    return None


def _plane(layer: Labels, viewer: ViewerModel) -> tuple[int, ...]:
    """Return the shape of the plane on the screen."""
    lacking = viewer.dims.ndim - layer.ndim
    axes = [axis - lacking for axis in viewer.dims.displayed]
    return tuple(int(layer.data.shape[axis]) for axis in axes if axis >= 0)


def _draw_thinned(node: Any, event: Any, plane: tuple[int, ...]) -> bool:
    """Replace a part of a texture that is smaller than its plane; False when it is not."""
    texture = getattr(node, "_texture", None)
    shown = tuple(getattr(texture, "shape", ()))[:2]
    if len(plane) != 2 or len(shown) != 2 or shown == plane or texture is None:
        return False
    step = tuple(-(-size // part) for size, part in zip(plane, shown, strict=True))
    if tuple(-(-size // by) for size, by in zip(plane, step, strict=True)) != shown:
        return False
    data, offset = thinned(event.data, (event.offset[0], event.offset[1]), (step[0], step[1]))
    if data.size:
        texture.scale_and_set_data(data, copy=False, offset=offset)
        node.update()
    return True
