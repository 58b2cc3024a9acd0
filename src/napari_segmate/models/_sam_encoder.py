"""SAM's image encoder, step by step: upstream's modules and results in less time.

Upstream adds the decomposed relative positions to all scores of a global block at once: 800 MB that
are built, copied and read again, block after block. Here the scores of one head and a few rows of
queries stay in the processor's cache from the matrix product to the softmax. CUDA and Metal have
fused kernels, which take the positions as a mask.

Source of the computation: ``segment_anything.modeling.image_encoder`` (Apache-2.0); Li et al.,
"MViTv2" (2022), for the relative positions.
"""

from __future__ import annotations

import torch
from segment_anything.modeling.image_encoder import (
    Attention,
    Block,
    ImageEncoderViT,
    get_rel_pos,
    window_partition,
    window_unpartition,
)
from torch import Tensor
from torch.nn import functional

from napari_segmate.core.context import Context
from napari_segmate.models._mobile_encoder import MobileEncoder, encode_mobile

__all__ = ["encode_image"]

QUERY_ROWS = 16
"""Rows of queries at a time in global blocks: 16 x 64 queries x 4,096 keys are 16 MB of scores."""
SCORES = 1 << 20
"""Scores at a time in windowed blocks."""


def encode_image(
    encoder: ImageEncoderViT | MobileEncoder, images: Tensor, context: Context
) -> Tensor:
    """Return the embedding of preprocessed images, as ``encoder(images)`` would.

    Parameters
    ----------
    encoder : ImageEncoderViT or MobileEncoder
        Upstream's encoder or that of MobileSAM, with its weights.
    images : (B, 3, S, S) float
        Normalised and padded.
    context : Context
        Progress and cancellation between blocks.

    Returns
    -------
    (B, C, S / 16, S / 16)
    """
    if isinstance(encoder, MobileEncoder):
        return encode_mobile(encoder, images, context)
    tokens = encoder.patch_embed(images)
    if encoder.pos_embed is not None:
        tokens = tokens + encoder.pos_embed
    for number, block in enumerate(encoder.blocks):
        context.report(number, len(encoder.blocks), "encoding the image")
        tokens = _block(block, tokens)
    context.check()
    embedding: Tensor = encoder.neck(tokens.permute(0, 3, 1, 2))
    return embedding


def _block(block: Block, tokens: Tensor) -> Tensor:
    normed = block.norm1(tokens)
    if block.window_size > 0:
        size = normed.shape[1], normed.shape[2]
        windows, padded = window_partition(normed, block.window_size)
        attended = _attention(block.attn, windows)
        attended = window_unpartition(attended, block.window_size, padded, size)
    else:
        attended = _attention(block.attn, normed)
    tokens = tokens + attended
    summed: Tensor = tokens + block.mlp(block.norm2(tokens))
    return summed


def _attention(layer: Attention, tokens: Tensor) -> Tensor:
    batch, height, width, _ = tokens.shape
    parts = layer.qkv(tokens).reshape(batch, height * width, 3, layer.num_heads, -1)
    query, key, value = parts.permute(2, 0, 3, 1, 4).flatten(1, 2).unbind(0)
    if not layer.use_rel_pos:
        mixed = functional.scaled_dot_product_attention(query, key, value)
    else:
        rows, columns = _relative(layer, query, height, width)
        if tokens.device.type != "cpu":
            mixed = _fused(layer, query, key, value, rows, columns)
        elif height * width <= 512:
            mixed = _many_small(query * layer.scale, key, value, rows, columns)
        else:
            mixed = _few_large(query * layer.scale, key, value, rows, columns)
    mixed = mixed.view(batch, layer.num_heads, height, width, -1).permute(0, 2, 3, 1, 4)
    projected: Tensor = layer.proj(mixed.reshape(batch, height, width, -1))
    return projected


def _relative(layer: Attention, query: Tensor, height: int, width: int) -> tuple[Tensor, Tensor]:
    """Return what each query adds to the keys of each row and of each column."""
    grid = query.reshape(len(query), height, width, -1)
    rows = get_rel_pos(height, height, layer.rel_pos_h).to(query.dtype)
    columns = get_rel_pos(width, width, layer.rel_pos_w).to(query.dtype)
    return (
        torch.einsum("bhwc,hkc->bhwk", grid, rows),
        torch.einsum("bhwc,wkc->bhwk", grid, columns),
    )


def _fused(
    layer: Attention, query: Tensor, key: Tensor, value: Tensor, rows: Tensor, columns: Tensor
) -> Tensor:
    count = query.shape[1]
    bias = (rows[..., None] + columns[..., None, :]).reshape(-1, count, count)
    return functional.scaled_dot_product_attention(
        query[None], key[None], value[None], attn_mask=bias[None], scale=float(layer.scale)
    )[0]


def _many_small(query: Tensor, key: Tensor, value: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Attention of many windows: a few of them at a time."""
    mixed = torch.empty_like(value)
    height, width = rows.shape[1:3]
    step = max(1, SCORES // query.shape[1] ** 2)
    for start in range(0, len(query), step):
        part = slice(start, start + step)
        scores = torch.bmm(query[part], key[part].transpose(1, 2))
        grid = scores.view(-1, height, width, height, width)
        grid += rows[part][..., None]
        grid += columns[part][..., None, :]
        mixed[part] = torch.bmm(_softmax(scores, value.dtype), value[part])
    return mixed


def _few_large(query: Tensor, key: Tensor, value: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Attention over a whole image: one head and a few rows of queries at a time."""
    mixed = torch.empty_like(value)
    height, width = rows.shape[1:3]
    for head in range(len(query)):
        keys = key[head].T
        for top in range(0, height, QUERY_ROWS):
            bottom = min(top + QUERY_ROWS, height)
            part = slice(top * width, bottom * width)
            scores = query[head, part] @ keys
            grid = scores.view(bottom - top, width, height, width)
            grid += rows[head, top:bottom][..., None]
            grid += columns[head, top:bottom][:, :, None]
            mixed[head, part] = _softmax(scores, value.dtype) @ value[head]
    return mixed


def _softmax(scores: Tensor, dtype: torch.dtype) -> Tensor:
    # Into the same memory: it is in the cache already.
    if scores.dtype == torch.float32:
        return torch.softmax(scores, dim=-1, out=scores)
    return scores.softmax(dim=-1).to(dtype)
