"""The instance decoder of micro-sam's models: SAM's embedding → maps that tell objects apart.

A UNETR without skip connections to the encoder: everything comes from the embedding, at four sizes.
Written from the names and shapes of its weights and the description of its steps; the network is
that of torch_em (MIT), Archit et al., "Segment Anything for Microscopy" (2025). Enlarging and a
convolution of one pixel change places here, which gives the same result for a quarter of the work.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from napari_segmate.core.errors import WeightsError

__all__ = ["InstanceDecoder", "build_instance_decoder", "is_instance_decoder"]


class _Enlarge(nn.Module):
    """Twice the size: interpolated, or learned (older files)."""

    def __init__(self, channels_in: int, channels_out: int, learned: bool) -> None:
        super().__init__()
        if learned:
            self.block = nn.ConvTranspose2d(channels_in, channels_out, 2, 2)
        else:
            self.conv = nn.Conv2d(channels_in, channels_out, 1)
        self._learned = learned

    def forward(self, x: Tensor) -> Tensor:
        if self._learned:
            larger: Tensor = self.block(x)
            return larger
        return functional.interpolate(
            self.conv(x), scale_factor=2, mode="bilinear", align_corners=False
        )


class _Conv(nn.Module):
    """A convolution under the name that the weights have."""

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__()
        self.block = nn.Conv2d(channels_in, channels_out, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.block(x)
        return y


class _Deconvolution(nn.Module):
    """Enlarge, convolve, normalise: one level of what skip connections are elsewhere."""

    def __init__(self, channels_in: int, channels_out: int, learned: bool) -> None:
        super().__init__()
        self.block = nn.Sequential(
            _Enlarge(channels_in, channels_out, learned),
            _Conv(channels_out, channels_out),
            nn.BatchNorm2d(channels_out),
            nn.ReLU(inplace=True),
        )

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.block(x)
        return y


class _Block(nn.Module):
    """Two convolutions, each after a normalisation over the image."""

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__()
        self.block = nn.Sequential(
            nn.InstanceNorm2d(channels_in),
            nn.Conv2d(channels_in, channels_out, 3, padding=1),
            nn.ReLU(inplace=True),
            nn.InstanceNorm2d(channels_out),
            nn.Conv2d(channels_out, channels_out, 3, padding=1),
            nn.ReLU(inplace=True),
        )

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.block(x)
        return y


class _Decoder(nn.Module):
    def __init__(self, widths: list[int], learned: bool) -> None:
        super().__init__()
        pairs = list(pairwise(widths))
        self.blocks = nn.ModuleList([_Block(wide, narrow) for wide, narrow in pairs])
        self.samplers = nn.ModuleList([_Enlarge(wide, narrow, learned) for wide, narrow in pairs])

    def forward(self, x: Tensor, sides: list[Tensor]) -> Tensor:
        for block, sampler, side in zip(self.blocks, self.samplers, sides, strict=True):
            x = sampler(x)
            channels = x.shape[1]
            # Only the middle channels are used: so the weights were trained.
            first = (side.shape[1] - channels) // 2
            x = block(torch.cat([x, side[:, first : first + channels]], dim=1))
        return x


class InstanceDecoder(nn.Module):
    """Foreground, distance to the centre and distance to the border, from SAM's embedding.

    Parameters
    ----------
    embedding : int
        Channels of the embedding.
    widths : list of int
        Channels at the size of the embedding and at 2, 4, 8 and 16 times that.
    learned : bool
        Enlarge by transposed convolutions.
    """

    def __init__(self, embedding: int, widths: list[int], learned: bool = False) -> None:
        super().__init__()
        first, second, third, fourth = widths
        self.deconv1 = _Deconvolution(embedding, first, learned)
        self.deconv2 = _Deconvolution(first, second, learned)
        self.deconv3 = _Deconvolution(second, third, learned)
        self.deconv4 = _Deconvolution(third, fourth, learned)
        self.base = _Block(embedding, first)
        self.decoder = _Decoder(widths, learned)
        self.deconv_out = _Enlarge(fourth, fourth, learned)
        self.decoder_head = _Block(2 * fourth, fourth)
        self.out_conv = nn.Conv2d(fourth, 3, 1)

    def forward(self, embedding: Tensor) -> Tensor:
        """Return (B, 3, 16 h, 16 w) maps of 0 to 1 for a (B, C, h, w) embedding."""
        half = self.deconv1(embedding)
        quarter = self.deconv2(half)
        eighth = self.deconv3(quarter)
        x = self.decoder(self.base(embedding), [half, quarter, eighth])
        x = self.decoder_head(torch.cat([self.deconv_out(x), self.deconv4(eighth)], dim=1))
        maps: Tensor = self.out_conv(x).sigmoid()
        return maps


def is_instance_decoder(state: Mapping[str, Any]) -> bool:
    """Tell whether these are the weights of such a decoder."""
    return all(name in state for name in ("base.block.1.weight", "out_conv.weight"))


def build_instance_decoder(state: Mapping[str, Tensor], name: str) -> InstanceDecoder:
    """Return an instance decoder with these weights, ready for inference.

    Parameters
    ----------
    state : mapping of str to Tensor
        Weights under the names that torch_em gives them.
    name : str
        Of the file, for messages.

    Raises
    ------
    WeightsError
        Weights are missing, left over, or of other shapes.
    """
    try:
        base = state["base.block.1.weight"]
        widths = [int(base.shape[0])]
        widths += [int(state[f"deconv{level}.block.2.weight"].shape[0]) for level in (2, 3, 4)]
        learned = any(re.search(r"samplers\.\d+\.block\.", key) for key in state)
        network = InstanceDecoder(int(base.shape[1]), widths, learned)
        # Some trainers keep the encoder here as well, which is SAM's.
        network.load_state_dict(
            {key: value for key, value in state.items() if not key.startswith("encoder.")}
        )
    except (KeyError, RuntimeError, IndexError) as error:
        first = " ".join(str(error).splitlines()[:2]).strip()
        raise WeightsError(
            f"{name} is not a complete instance decoder ({first}); choose one of micro-sam"
        ) from error
    return network.eval()
