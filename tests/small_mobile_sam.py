"""MobileSAM's file format at small widths: names and shapes as published, random weights."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor

Shapes = dict[str, tuple[int, ...]]
WIDTHS, DEPTHS, HEADS, WINDOWS = (8, 8, 16, 16), (1, 1, 2, 1), (0, 1, 2, 2), (0, 7, 14, 7)
CHANNELS = 32


def conv_shapes(name: str, wide: int, narrow: int, size: int, groups: int = 1) -> Shapes:
    """A convolution without bias and its batch normalisation."""
    found: Shapes = {f"{name}.c.weight": (narrow, wide // groups, size, size)}
    for part in ("weight", "bias", "running_mean", "running_var"):
        found[f"{name}.bn.{part}"] = (narrow,)
    return {**found, f"{name}.bn.num_batches_tracked": ()}


def linear_shapes(name: str, wide: int, narrow: int) -> Shapes:
    return {f"{name}.weight": (narrow, wide), f"{name}.bias": (narrow,)}


def norm_shapes(name: str, width: int) -> Shapes:
    return {f"{name}.weight": (width,), f"{name}.bias": (width,)}


def encoder_shapes(
    widths: tuple[int, ...] = WIDTHS,
    depths: tuple[int, ...] = DEPTHS,
    heads: tuple[int, ...] = HEADS,
    windows: tuple[int, ...] = WINDOWS,
    channels: int = CHANNELS,
) -> Shapes:
    """Names and shapes of the weights of ``image_encoder``."""
    first = widths[0]
    found = conv_shapes("patch_embed.seq.0", 3, first // 2, 3)
    found |= conv_shapes("patch_embed.seq.2", first // 2, first, 3)
    for layer, (width, depth) in enumerate(zip(widths, depths, strict=True)):
        for block in range(depth):
            name = f"layers.{layer}.blocks.{block}"
            if layer == 0:
                found |= conv_shapes(f"{name}.conv1", width, 4 * width, 1)
                found |= conv_shapes(f"{name}.conv2", 4 * width, 4 * width, 3, 4 * width)
                found |= conv_shapes(f"{name}.conv3", 4 * width, width, 1)
                continue
            found[f"{name}.attn.attention_biases"] = (heads[layer], windows[layer] ** 2)
            found |= norm_shapes(f"{name}.attn.norm", width)
            found |= linear_shapes(f"{name}.attn.qkv", width, 3 * width)
            found |= linear_shapes(f"{name}.attn.proj", width, width)
            found |= norm_shapes(f"{name}.mlp.norm", width)
            found |= linear_shapes(f"{name}.mlp.fc1", width, 4 * width)
            found |= linear_shapes(f"{name}.mlp.fc2", 4 * width, width)
            found |= conv_shapes(f"{name}.local_conv", width, width, 3, width)
    for layer, (width, following) in enumerate(pairwise(widths)):
        name = f"layers.{layer}.downsample"
        found |= conv_shapes(f"{name}.conv1", width, following, 1)
        found |= conv_shapes(f"{name}.conv2", following, following, 3, following)
        found |= conv_shapes(f"{name}.conv3", following, following, 1)
    found |= norm_shapes("norm_head", widths[-1])
    found |= linear_shapes("head", widths[-1], 1000)
    found |= {"neck.0.weight": (channels, widths[-1], 1, 1)} | norm_shapes("neck.1", channels)
    found |= {"neck.2.weight": (channels, channels, 3, 3)} | norm_shapes("neck.3", channels)
    return {f"image_encoder.{name}": shape for name, shape in found.items()}


def random_weights(shapes: Shapes) -> dict[str, Tensor]:
    """Weights that do something: no zeros, positive variances."""
    generator = torch.Generator().manual_seed(0)
    found = {}
    for name, shape in shapes.items():
        if name.endswith("num_batches_tracked"):
            found[name] = torch.tensor(1)
        elif name.endswith("running_var"):
            found[name] = 0.5 + torch.rand(shape, generator=generator)
        else:
            spread = 0.3 if len(shape) < 2 else (1.5 / max(1, torch.Size(shape[1:]).numel())) ** 0.5
            centre = 1.0 if len(shape) == 1 and name.endswith("weight") else 0.0
            found[name] = centre + spread * torch.randn(shape, generator=generator)
    return found


def small_mobile_sam() -> dict[str, Tensor]:
    """A file's content: the encoder, and prompt encoder and decoder under SAM's names."""
    from small_sam import small_sam

    rest = {
        name: value
        for name, value in small_sam().state_dict().items()
        if not name.startswith("image_encoder.")
    }
    return {**random_weights(encoder_shapes()), **rest}
