"""SAM's two-way transformer on the cells of images: upstream's modules and results in less time.

Upstream projects all of an image's 4,096 cells for each attention. Here the few tokens are
projected instead of the many cells: ``q · (W k)`` is ``(Wᵀ q) · k``. What positions add is computed
once.

Source of the computation: ``segment_anything.modeling.transformer`` (Apache-2.0).
"""

from __future__ import annotations

import math

import torch
from segment_anything.modeling.transformer import (
    Attention,
    TwoWayAttentionBlock,
    TwoWayTransformer,
)
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["TwoWay", "cells_of", "doubled"]


class TwoWay:
    """Upstream's transformer for images of one size.

    Parameters
    ----------
    transformer : TwoWayTransformer
        With its weights.
    positions : (T, C) Tensor
        Positional encoding of the cells.
    """

    def __init__(self, transformer: TwoWayTransformer, positions: Tensor) -> None:
        self._transformer = transformer
        self._layers = [
            (
                block,
                _Reading(block.cross_attn_token_to_image, positions),
                _Writing(block.cross_attn_image_to_token, positions),
            )
            for block in transformer.layers
        ]
        self._final = _Reading(transformer.final_attn_token_to_image, positions)

    def __call__(self, tokens: Tensor, keys: Tensor) -> tuple[Tensor, Tensor]:
        """Return tokens and cells after they attended to each other.

        Parameters
        ----------
        tokens : (N, P, C)
            Of N prompts.
        keys : (N, T, C)
            Cells of the image as each prompt sees it, or (1, T, C) for all.
        """
        queries = tokens
        for block, reading, writing in self._layers:
            queries = _self_attention(block, queries, tokens)
            queries = block.norm2(queries + reading(queries + tokens, keys))
            queries = block.norm3(queries + block.mlp(queries))
            keys = block.norm4(writing(keys, queries + tokens, queries))
        queries = queries + self._final(queries + tokens, keys)
        return self._transformer.norm_final_attn(queries), keys


def cells_of(maps: Tensor) -> Tensor:
    """Return (N, C, h, w) as (N, h x w, C)."""
    return maps.flatten(2).transpose(1, 2).contiguous()


def doubled(layer: nn.ConvTranspose2d, cells: Tensor) -> Tensor:
    """Return (..., C) cells as (..., 4, D): what each becomes at twice the resolution."""
    matrix = layer.weight.permute(2, 3, 1, 0).flatten(0, 2)
    assert layer.bias is not None
    made = functional.linear(cells, matrix, layer.bias.repeat(4))
    return made.reshape(*cells.shape[:-1], 4, -1)


def _self_attention(block: TwoWayAttentionBlock, queries: Tensor, tokens: Tensor) -> Tensor:
    if block.skip_first_layer_pe:
        attended = block.self_attn(q=queries, k=queries, v=queries)
    else:
        asked = queries + tokens
        attended = queries + block.self_attn(q=asked, k=asked, v=queries)
    normed: Tensor = block.norm1(attended)
    return normed


def _heads(attention: Attention, projected: Tensor) -> Tensor:
    """Return (N, P, D) as (N, heads, P, D / heads)."""
    count, tokens, width = projected.shape
    split = projected.reshape(count, tokens, attention.num_heads, width // attention.num_heads)
    return split.transpose(1, 2)


def _per_head(attention: Attention, weight: Tensor) -> Tensor:
    """Return a projection (D, C) as (heads, D / heads, C)."""
    return weight.reshape(attention.num_heads, -1, weight.shape[1])


class _Attending:
    """Attention between the few tokens of many prompts and the many cells of one image."""

    def __init__(self, attention: Attention, projection: nn.Linear, positions: Tensor) -> None:
        self._attention = attention
        self._weight = projection.weight
        projected = functional.linear(positions, projection.weight)
        self._on_positions = projected.reshape(len(positions), attention.num_heads, -1)

    def _scores(self, few: Tensor, keys: Tensor) -> Tensor:
        """Return (N, heads x P, T) products of (N, heads, P, d) tokens with projected cells.

        Without the bias of the cells' projection.
        """
        count, heads, tokens, width = few.shape
        few = few / math.sqrt(width)
        fixed = self._on_positions
        if len(keys) == 1:
            fixed = fixed + functional.linear(keys[0], self._weight).reshape(fixed.shape)
        # All prompts at once: (heads, N x P, d) @ (heads, d, T).
        on_fixed = few.transpose(0, 1).flatten(1, 2) @ fixed.permute(1, 2, 0)
        scores = on_fixed.reshape(heads, count, tokens, -1).transpose(0, 1).flatten(1, 2)
        if len(keys) == 1:
            return scores
        turned = (few @ _per_head(self._attention, self._weight)).flatten(1, 2)
        return torch.baddbmm(scores, turned, keys.transpose(1, 2))


class _Reading(_Attending):
    """Tokens attend to the image."""

    def __init__(self, attention: Attention, positions: Tensor) -> None:
        # The bias of the cells' keys adds one number to all cells: the softmax does not see it.
        super().__init__(attention, attention.k_proj, positions)

    def __call__(self, asked: Tensor, keys: Tensor) -> Tensor:
        """Return what tokens (N, P, C) find in an image (N, T, C), or (1, T, C) for all."""
        attention = self._attention
        count, tokens, _ = asked.shape
        few = _heads(attention, attention.q_proj(asked))
        shares = torch.softmax(self._scores(few, keys), dim=-1)
        if len(keys) == 1:
            shares = shares.flatten(0, 1)[None]
        mixed = (shares @ keys).reshape(count, attention.num_heads, tokens, -1)
        values = mixed @ _per_head(attention, attention.v_proj.weight).transpose(1, 2)
        values = values.transpose(1, 2).flatten(2) + attention.v_proj.bias
        found: Tensor = attention.out_proj(values)
        return found


class _Writing(_Attending):
    """The image attends to tokens."""

    def __init__(self, attention: Attention, positions: Tensor) -> None:
        super().__init__(attention, attention.q_proj, positions)

    def __call__(self, keys: Tensor, asked: Tensor, values: Tensor) -> Tensor:
        """Return the image, (N, T, C), plus what its cells find in the tokens (N, P, C)."""
        attention = self._attention
        count, tokens, _ = asked.shape
        few = _heads(attention, attention.k_proj(asked))
        # The bias of the cells' queries differs from token to token.
        bias = attention.q_proj.bias.reshape(attention.num_heads, 1, -1)
        offset = (few * bias).sum(-1, keepdim=True) / math.sqrt(few.shape[-1])
        scores = self._scores(few, keys).reshape(count, attention.num_heads, tokens, -1)
        shares = torch.softmax(scores + offset, dim=2).flatten(1, 2)
        given = _heads(attention, attention.v_proj(values))
        out = attention.out_proj
        turned = (given @ _per_head(attention, out.weight.T)).flatten(1, 2)
        return torch.baddbmm(
            (keys + out.bias).expand(count, -1, -1), shares.transpose(1, 2), turned
        )
