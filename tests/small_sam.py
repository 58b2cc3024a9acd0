"""SAM's own classes at a small size, with random weights."""

from __future__ import annotations

from functools import partial

import torch
from segment_anything.modeling import (
    ImageEncoderViT,
    MaskDecoder,
    PromptEncoder,
    Sam,
    TwoWayTransformer,
)
from torch import nn


def small_sam(window: int = 3, size: int = 128) -> Sam:
    """SAM's own classes at a small size, random weights, relative positions included."""
    torch.manual_seed(0)
    sam = Sam(
        ImageEncoderViT(
            img_size=size,
            embed_dim=32,
            depth=2,
            num_heads=2,
            out_chans=32,
            norm_layer=partial(nn.LayerNorm, eps=1e-6),
            use_rel_pos=True,
            window_size=window,
            global_attn_indexes=(1,),
        ),
        PromptEncoder(32, (size // 16, size // 16), (size, size), 16),
        MaskDecoder(
            transformer_dim=32,
            transformer=TwoWayTransformer(depth=2, embedding_dim=32, mlp_dim=64, num_heads=8),
            iou_head_hidden_dim=16,
        ),
        [123.675, 116.28, 103.53],
        [58.395, 57.12, 57.375],
    )
    for parameter in sam.parameters():
        nn.init.normal_(parameter, std=0.15)
    return sam.eval()
