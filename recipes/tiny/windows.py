"""Windows of a network's features, one per prompted object."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from napari_segmate.models._tiny_network import COARSE_CHANNELS, TinyFeatures


class _Windows(torch.autograd.Function):
    """N windows of B maps; slices, whose gradients are added up in place."""

    @staticmethod
    def forward(ctx: Any, maps: Tensor, places: list[tuple[int, int, int]], side: int) -> Tensor:
        ctx.places, ctx.side, ctx.shape = places, side, maps.shape
        shown = [maps[image, :, y : y + side, x : x + side] for image, y, x in places]
        return torch.stack(shown)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        side, total = ctx.side, gradient.new_zeros(ctx.shape)
        for part, (image, y, x) in zip(gradient, ctx.places, strict=True):
            total[image, :, y : y + side, x : x + side] += part
        return total, None, None


def windows_of(
    features: TinyFeatures, image_index: Tensor, corner: Tensor, side: int
) -> TinyFeatures:
    """Return the features (N, ...) of N windows, without flow maps: prompts do not need them.

    Parameters
    ----------
    features : TinyFeatures
        Of B images.
    image_index : (N,) int64
        The image of each window.
    corner : (N, 2) int64
        y, x of its first pixel, multiples of 8.
    side : int
        Pixels of a window, a multiple of 8.
    """
    places = torch.cat([image_index[:, None], corner], 1).tolist()

    def cut(maps: Tensor, stride: int) -> Tensor:
        at = [(image, y // stride, x // stride) for image, y, x in places]
        found: Tensor = _Windows.apply(maps, at, side // stride)  # type: ignore[no-untyped-call]
        return found

    return TinyFeatures(
        cut(features.embedding, 8),
        cut(features.detail, 4),
        cut(features.maps[:, :COARSE_CHANNELS], 4),
    )
