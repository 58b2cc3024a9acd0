"""MobileSAM's image encoder: a TinyViT in the place of SAM's ViT, under its published names.

Built from timm's parts of TinyViT. What differs: the last merging of patches keeps the size, so
that an image of 1024 pixels becomes 64 x 64 cells as in SAM, and SAM's neck follows.

References
----------
Zhang et al., "Faster Segment Anything: Towards Lightweight SAM for Mobile Applications" (2023).
Wu et al., "TinyViT: Fast Pretraining Distillation for Small Vision Transformers" (2022).
"""

from __future__ import annotations

import math
import re
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from segment_anything.modeling.common import LayerNorm2d
from timm.models import tiny_vit
from torch import Tensor, nn

from napari_segmate.core.context import Context

__all__ = [
    "MobileEncoder",
    "Sizes",
    "build_mobile_encoder",
    "encode_mobile",
    "is_mobile",
    "mobile_architecture",
]

INPUT_SIZE = 1024
"""The weights fit every size; these were trained on, and SAM's prompts are made for, this one."""
PREFIX = "image_encoder."
FIRST = f"{PREFIX}patch_embed.seq.0.c.weight"
PUBLISHED = (64, 128, 160, 320)
PATCH_STRIDE = 4


@dataclass(frozen=True)
class Sizes:
    """What the shapes of the weights say about the network.

    Parameters
    ----------
    widths : tuple of int
        Channels of each layer.
    depths : tuple of int
        Blocks of each layer.
    heads, windows : tuple of int
        Attention heads, and cells along the side of a window, of each layer but the first, which
        has none.
    expansion : int
        How many times as wide the convolutions of the first layer are inside.
    hidden : int
        How many times as wide the perceptrons are inside.
    channels : int
        Of the embedding.
    classes : int
        Of the classifier that the network was trained with at first; it is not used.
    """

    widths: tuple[int, ...]
    depths: tuple[int, ...]
    heads: tuple[int, ...]
    windows: tuple[int, ...]
    expansion: int
    hidden: int
    channels: int
    classes: int


class _Attention(tiny_vit.Attention):
    """timm keeps the position biases of the first call; here they may learn."""

    attention_bias_idxs: Tensor

    def get_attention_biases(self, device: torch.device) -> Tensor:
        return self.attention_biases[:, self.attention_bias_idxs]


class _Block(tiny_vit.TinyVitBlock):
    """Attention in windows, a convolution and a perceptron, on (B, C, h, w)."""

    def __init__(self, width: int, heads: int, window: int, hidden: int) -> None:
        super().__init__(width, heads, window, mlp_ratio=hidden)
        self.attn = _Attention(width, width // heads, heads, 1, (window, window))

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = super().forward(x.permute(0, 2, 3, 1))  # type: ignore[no-untyped-call]
        return y.permute(0, 3, 1, 2)


class _Layer(nn.Module):
    """Blocks of one size, and the merging that leads to the next layer."""

    def __init__(self, blocks: list[nn.Module], downsample: nn.Module | None) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(blocks)
        self.downsample = downsample

    def steps(self) -> list[nn.Module]:
        """Return what is done one after the other."""
        last = [] if self.downsample is None else [self.downsample]
        return [*self.blocks, *last]


class MobileEncoder(nn.Module):
    """Image to embedding, as SAM's encoder.

    Parameters
    ----------
    sizes : Sizes
        Of the network.
    """

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.img_size = INPUT_SIZE
        first, last, channels = sizes.widths[0], sizes.widths[-1], sizes.channels
        parts = tiny_vit.PatchEmbed(3, first, nn.GELU)
        steps = nn.Sequential(parts.conv1, parts.act, parts.conv2)
        self.patch_embed = nn.Sequential(OrderedDict(seq=steps))
        self.layers = nn.ModuleList(_layer(sizes, number) for number in range(len(sizes.widths)))
        # Not used, but part of the file.
        self.norm_head = nn.LayerNorm(last)
        self.head = nn.Linear(last, sizes.classes)
        self.neck = nn.Sequential(
            nn.Conv2d(last, channels, 1, bias=False),
            LayerNorm2d(channels),
            nn.Conv2d(channels, channels, 3, padding=1, bias=False),
            LayerNorm2d(channels),
        )
        _name_as_published(self)
        self.stride = PATCH_STRIDE * 2 ** max(0, len(sizes.widths) - 2)
        self.inner = sizes.widths[0] * sizes.expansion

    def steps(self) -> list[nn.Module]:
        """Return what is between patches and neck, in order; each takes (B, C, h, w)."""
        layers = [layer for layer in self.layers if isinstance(layer, _Layer)]
        return [step for layer in layers for step in layer.steps()]

    def forward(self, images: Tensor) -> Tensor:
        """Return the embedding (B, C, S / 16, S / 16) of preprocessed images (B, 3, S, S)."""
        return encode_mobile(self, images, Context())

    def activations_mb(self, learning: bool) -> float:
        """Return the memory of an image in it; when it learns, each step is computed again."""
        cells = (self.img_size / PATCH_STRIDE) ** 2
        # Inside the widest step: what two convolutions, normalisations and activations keep, and,
        # as measured, what processors take for the gradients.
        inside = (28 if learning else 6) * self.inner * cells
        # Between steps: each merging halves the sides and widens what is there.
        between = len(self.steps()) * self.inner / 4 * cells
        return float(4 * (inside + between) / (1 << 20))


def encode_mobile(encoder: MobileEncoder, images: Tensor, context: Context) -> Tensor:
    """Return the embedding of preprocessed images.

    Parameters
    ----------
    encoder : MobileEncoder
        With its weights.
    images : (B, 3, S, S) float
        Normalised and padded.
    context : Context
        Progress and cancellation between steps.

    Returns
    -------
    (B, C, S / 16, S / 16)
    """
    x: Tensor = encoder.patch_embed(images)
    steps = encoder.steps()
    for number, step in enumerate(steps):
        context.report(number, len(steps), "encoding the image")
        x = step(x)
    context.check()
    embedding: Tensor = encoder.neck(x)
    return embedding


def is_mobile(state: Mapping[str, Tensor]) -> bool:
    """Tell whether these are the weights of a SAM with such an encoder."""
    return FIRST in state and "mask_decoder.iou_token.weight" in state


def mobile_architecture(state: Mapping[str, Tensor]) -> str | None:
    """Return ``"vit_t"``, ``"vit_t_<widths>"`` at other sizes, or None: another network."""
    if not is_mobile(state):
        return None
    try:
        widths = _widths(state)
    except KeyError:
        # Incomplete; loading says what is missing.
        return "vit_t"
    return "vit_t" if widths == PUBLISHED else f"vit_t_{'_'.join(map(str, widths))}"


def build_mobile_encoder(state: Mapping[str, Tensor]) -> MobileEncoder:
    """Return an encoder of the sizes that the weights have; the weights are not in it yet.

    Raises
    ------
    KeyError, RuntimeError
        Weights are missing or do not fit each other.
    """
    widths = _widths(state)
    biases = [
        state[f"{PREFIX}layers.{number}.blocks.0.attn.attention_biases"]
        for number in range(1, len(widths))
    ]
    heads = tuple(int(table.shape[0]) for table in biases)
    if any(width % count for width, count in zip(widths[1:], heads, strict=True)):
        raise RuntimeError(f"widths {widths} are no multiples of the numbers of heads {heads}")
    return MobileEncoder(
        Sizes(
            widths=widths,
            depths=tuple(_depth(state, number) for number in range(len(widths))),
            heads=heads,
            windows=tuple(math.isqrt(int(table.shape[1])) for table in biases),
            expansion=_rows(state, "layers.0.blocks.0.conv1.c") // widths[0],
            hidden=_rows(state, "layers.1.blocks.0.mlp.fc1") // widths[1],
            channels=_rows(state, "neck.0"),
            classes=_rows(state, "head"),
        )
    )


def _rows(state: Mapping[str, Tensor], name: str) -> int:
    return int(state[f"{PREFIX}{name}.weight"].shape[0])


def _widths(state: Mapping[str, Tensor]) -> tuple[int, ...]:
    numbers = {
        int(hit[1]) for name in state if (hit := re.match(rf"{PREFIX}layers\.(\d+)\.", name))
    }
    later = [_rows(state, f"layers.{number}.downsample.conv3.c") for number in sorted(numbers)[:-1]]
    return (_rows(state, "patch_embed.seq.2.c"), *later)


def _depth(state: Mapping[str, Tensor], layer: int) -> int:
    pattern = rf"{PREFIX}layers\.{layer}\.blocks\.(\d+)\."
    return len({hit[1] for name in state if (hit := re.match(pattern, name))})


def _layer(sizes: Sizes, number: int) -> _Layer:
    width, count = sizes.widths[number], sizes.depths[number]
    blocks: list[nn.Module]
    if number == 0:
        blocks = [
            tiny_vit.MBConv(width, width, sizes.expansion, nn.GELU, 0.0) for _ in range(count)
        ]
    else:
        heads, window = sizes.heads[number - 1], sizes.windows[number - 1]
        blocks = [_Block(width, heads, window, sizes.hidden) for _ in range(count)]
    if number == len(sizes.widths) - 1:
        return _Layer(blocks, None)
    merging = tiny_vit.PatchMerging(width, sizes.widths[number + 1], nn.GELU)
    if number == len(sizes.widths) - 2:
        merging.conv2.conv.stride = (1, 1)
    return _Layer(blocks, merging)


def _name_as_published(module: nn.Module) -> None:
    """Give convolutions with their normalisation the names ``c`` and ``bn``."""
    for name, child in list(module.named_children()):
        if isinstance(child, tiny_vit.ConvNorm):
            parts = OrderedDict(c=child.conv, bn=child.bn)
            setattr(module, name, nn.Sequential(parts))
        else:
            _name_as_published(child)
