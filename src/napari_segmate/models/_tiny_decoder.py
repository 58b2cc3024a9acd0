"""The embedded network's prompt decoder for one image: the same results in less time.

The image's positions are projected once for all prompts, and masks are drawn cell by cell, where
transposed convolutions are plain matrix products; only the masks that are wanted are drawn.
Training goes through the modules themselves, see `napari_segmate.models._tiny_network`.
"""

from __future__ import annotations

import torch
from segment_anything.modeling import MaskDecoder
from torch import Tensor
from torch.nn import functional

from napari_segmate.models._two_way import TwoWay, cells_of, doubled

__all__ = ["decode_cells"]


def decode_cells(
    sam: MaskDecoder,
    source: Tensor,
    stride4: Tensor,
    tokens: Tensor,
    positions: Tensor,
    wanted: range,
) -> tuple[Tensor, Tensor]:
    """Return masks and scores of N prompts on one image.

    Parameters
    ----------
    sam : MaskDecoder
        Upstream's decoder, with its weights.
    source : (N, C, h, w)
        Embedding of the image with what each prompt draws into it.
    stride4 : (N, D, 2 h, 2 w)
        What is added when the embedding is enlarged.
    tokens : (N, P, C)
        The prompts.
    positions : (1, C, h, w)
        Positional encoding of the embedding's cells.
    wanted : range
        Numbers of the masks to draw.

    Returns
    -------
    logits : (N, M, 4 h, 4 w)
        One mask per wanted number.
    scores : (N, M)
        Predicted IoU.
    """
    outputs = torch.cat([sam.iou_token.weight, sam.mask_tokens.weight])
    queries = torch.cat([outputs.expand(len(tokens), -1, -1), tokens], dim=1)
    two_way = TwoWay(sam.transformer, cells_of(positions)[0])
    states, cells = two_way(queries, cells_of(source))
    masks = torch.stack(
        [sam.output_hypernetworks_mlps[at](states[:, 1 + at]) for at in wanted], dim=1
    )
    logits = _drawn(masks, _pixels(sam, cells, stride4), (source.shape[-2], source.shape[-1]))
    scores: Tensor = sam.iou_prediction_head(states[:, 0])
    return logits, scores[:, wanted.start : wanted.stop]


def _pixels(sam: MaskDecoder, cells: Tensor, stride4: Tensor) -> Tensor:
    """Return (N, h x w x 16, C) features of the 4 x 4 pixels of each cell."""
    first, norm, activation, second, last = sam.output_upscaling
    pixels = doubled(first, cells) + _quarters(stride4)
    pixels = functional.layer_norm(pixels, norm.weight.shape, norm.weight, norm.bias, norm.eps)
    found: Tensor = last(doubled(second, activation(pixels)))
    return found.flatten(1, 3)


def _quarters(maps: Tensor) -> Tensor:
    """Return (N, D, 2 h, 2 w) as (N, h x w, 4, D): the four quarters of each cell."""
    count, channels, height, width = maps.shape
    rows, columns = height // 2, width // 2
    split = maps.reshape(count, channels, rows, 2, columns, 2)
    return split.permute(0, 2, 4, 3, 5, 1).reshape(count, rows * columns, 4, channels)


def _drawn(masks: Tensor, pixels: Tensor, size: tuple[int, int]) -> Tensor:
    """Return (N, M, 4 h, 4 w) masks of the features of all pixels, that lie cell by cell."""
    drawn = masks @ pixels.transpose(1, 2)
    height, width = size
    split = drawn.reshape(*drawn.shape[:2], height, width, 2, 2, 2, 2)
    # Cell, then half and quarter of the cell, along y and along x.
    return split.permute(0, 1, 2, 4, 6, 3, 5, 7).reshape(*drawn.shape[:2], 4 * height, 4 * width)
