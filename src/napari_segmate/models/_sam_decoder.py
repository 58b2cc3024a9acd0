"""SAM's mask decoder for many points of one image: upstream's modules and results in less time.

Upstream repeats the image for every prompt and projects all of its 4,096 cells for each attention.
Here what prompts share is computed once per image; in what they do not share the few tokens are
projected instead of the many cells: ``q · (W k)`` is ``(Wᵀ q) · k``. Masks are drawn cell by cell,
where transposed convolutions are plain matrix products, and only those that are wanted.

Source of the computation: ``segment_anything.modeling`` (mask decoder, transformer; Apache-2.0).
"""

from __future__ import annotations

import math

import torch
from segment_anything.modeling.mask_decoder import MaskDecoder
from segment_anything.modeling.transformer import Attention, TwoWayAttentionBlock
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["PointDecoder"]


class PointDecoder:
    """Decodes prompts without masks on one image.

    Parameters
    ----------
    decoder : MaskDecoder
        Upstream's decoder, with its weights.
    embedding, dense, positions : (1, C, h, w) Tensor
        Embedding of the image, embedding of "no mask" and positional encoding, as upstream's
        decoder takes them.
    """

    def __init__(
        self, decoder: MaskDecoder, embedding: Tensor, dense: Tensor, positions: Tensor
    ) -> None:
        self._decoder = decoder
        self._size = (int(embedding.shape[-2]), int(embedding.shape[-1]))
        self._keys = _cells(embedding + dense)
        cells = _cells(positions)
        transformer = decoder.transformer
        self._layers = [
            (
                block,
                _Reading(block.cross_attn_token_to_image, cells),
                _Writing(block.cross_attn_image_to_token, cells),
            )
            for block in transformer.layers
        ]
        self._final = _Reading(transformer.final_attn_token_to_image, cells)

    @property
    def device(self) -> str:
        """Where it runs."""
        return str(self._keys.device)

    def decode(self, sparse: Tensor, least: float | None = None) -> tuple[Tensor, Tensor]:
        """Return three masks of each prompt, as ``decoder(..., multimask_output=True)`` would.

        Parameters
        ----------
        sparse : (N, P, C)
            Tokens of N prompts.
        least : float, optional
            Masks with a predicted IoU up to this need not be drawn.

        Returns
        -------
        logits : (N, M, 4 h, 4 w)
            Minus infinity where no mask was drawn.
        scores : (N, M)
            Predicted IoU.
        """
        decoder = self._decoder
        fixed = torch.cat([decoder.iou_token.weight, decoder.mask_tokens.weight])
        tokens = torch.cat([fixed.expand(len(sparse), -1, -1), sparse], dim=1)
        states, keys = self._transform(tokens)
        scores = decoder.iou_prediction_head(states[:, 0])[:, 1:]
        wanted = torch.ones_like(scores, dtype=torch.bool) if least is None else scores > least
        size = self._size[0] * 4, self._size[1] * 4
        logits = scores.new_full((*scores.shape, *size), -torch.inf)
        for number in wanted.any(1).nonzero()[:, 0].tolist():
            chosen = wanted[number].nonzero()[:, 0]
            logits[number, chosen] = self._draw(states[number], keys[number], chosen.tolist())
        return logits, scores

    def _transform(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Return tokens (N, P, C) and image (N, T, C) after they attended to each other."""
        queries, keys = tokens, self._keys[None]
        for block, reading, writing in self._layers:
            queries = _self_attention(block, queries, tokens)
            queries = block.norm2(queries + reading(queries + tokens, keys))
            queries = block.norm3(queries + block.mlp(queries))
            keys = block.norm4(writing(keys, queries + tokens, queries))
        queries = queries + self._final(queries + tokens, keys)
        states: Tensor = self._decoder.transformer.norm_final_attn(queries)
        return states, keys

    def _draw(self, states: Tensor, keys: Tensor, numbers: list[int]) -> Tensor:
        """Return (m, 4 h, 4 w) logits of the chosen masks of one prompt."""
        decoder = self._decoder
        first, norm, activation, second, last = decoder.output_upscaling
        weights = torch.stack(
            [decoder.output_hypernetworks_mlps[at + 1](states[at + 2]) for at in numbers]
        )
        pixels = _doubled(first, keys)
        pixels = functional.layer_norm(
            pixels, (norm.weight.shape[0],), norm.weight, norm.bias, norm.eps
        )
        pixels = last(_doubled(second, activation(pixels)))
        height, width = self._size
        drawn = (weights @ pixels.reshape(-1, pixels.shape[-1]).T).reshape(
            -1, height, width, 2, 2, 2, 2
        )
        # Cell, then half and quarter of the cell, along y and along x.
        large: Tensor = drawn.permute(0, 1, 3, 5, 2, 4, 6).reshape(-1, 4 * height, 4 * width)
        return large


def _cells(maps: Tensor) -> Tensor:
    """Return (1, C, h, w) as (h x w, C)."""
    return maps[0].flatten(1).T.contiguous()


def _doubled(layer: nn.ConvTranspose2d, cells: Tensor) -> Tensor:
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
