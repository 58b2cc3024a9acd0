"""SAM's mask decoder for many points of one image: upstream's modules and results in less time.

Upstream repeats the image for every prompt. Here what prompts share is computed once per image.
Masks are drawn cell by cell, where transposed convolutions are plain matrix products, and only
those that are wanted.

Source of the computation: ``segment_anything.modeling`` (mask decoder, transformer; Apache-2.0).
"""

from __future__ import annotations

import torch
from segment_anything.modeling.mask_decoder import MaskDecoder
from torch import Tensor
from torch.nn import functional

from napari_segmate.models._two_way import TwoWay, cells_of, doubled

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
        self._keys = cells_of(embedding + dense)
        self._two_way = TwoWay(decoder.transformer, cells_of(positions)[0])

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
        states, keys = self._two_way(tokens, self._keys)
        scores = decoder.iou_prediction_head(states[:, 0])[:, 1:]
        wanted = torch.ones_like(scores, dtype=torch.bool) if least is None else scores > least
        size = self._size[0] * 4, self._size[1] * 4
        logits = scores.new_full((*scores.shape, *size), -torch.inf)
        for number in wanted.any(1).nonzero()[:, 0].tolist():
            chosen = wanted[number].nonzero()[:, 0]
            logits[number, chosen] = self._draw(states[number], keys[number], chosen.tolist())
        return logits, scores

    def _draw(self, states: Tensor, keys: Tensor, numbers: list[int]) -> Tensor:
        """Return (m, 4 h, 4 w) logits of the chosen masks of one prompt."""
        decoder = self._decoder
        first, norm, activation, second, last = decoder.output_upscaling
        weights = torch.stack(
            [decoder.output_hypernetworks_mlps[at + 1](states[at + 2]) for at in numbers]
        )
        pixels = doubled(first, keys)
        pixels = functional.layer_norm(
            pixels, (norm.weight.shape[0],), norm.weight, norm.bias, norm.eps
        )
        pixels = last(doubled(second, activation(pixels)))
        height, width = self._size
        drawn = (weights @ pixels.reshape(-1, pixels.shape[-1]).T).reshape(
            -1, height, width, 2, 2, 2, 2
        )
        # Cell, then half and quarter of the cell, along y and along x.
        large: Tensor = drawn.permute(0, 1, 3, 5, 2, 4, 6).reshape(-1, 4 * height, 4 * width)
        return large
