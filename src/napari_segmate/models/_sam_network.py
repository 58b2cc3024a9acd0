"""Build a SAM whose sizes are read off the shapes of its weights."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import partial

from segment_anything.modeling import (
    ImageEncoderViT,
    MaskDecoder,
    PromptEncoder,
    Sam,
    TwoWayTransformer,
)
from torch import Tensor, nn

from napari_segmate.core.errors import WeightsError
from napari_segmate.models._checkpoint import INSTANCE_DECODER
from napari_segmate.models._mobile_encoder import MobileEncoder, build_mobile_encoder, is_mobile

__all__ = ["architecture_of", "build_sam", "is_sam"]

WIDTHS = {768: "vit_b", 1024: "vit_l", 1280: "vit_h"}
PATCH = "image_encoder.patch_embed.proj.weight"
POSITIONS = "image_encoder.pos_embed"
NOT_SAM = ("pixel_mean", "pixel_std", INSTANCE_DECODER)
DECODER_HEADS = 8
PIXEL_MEAN = [123.675, 116.28, 103.53]
PIXEL_STD = [58.395, 57.12, 57.375]


def architecture_of(state: Mapping[str, Tensor]) -> str | None:
    """Return ``"vit_b"``, ``"vit_l"``, ``"vit_h"``, ``"vit_<width>"``, or None: not a SAM."""
    if not all(name in state for name in (PATCH, POSITIONS, "mask_decoder.iou_token.weight")):
        return None
    width = int(state[PATCH].shape[0])
    return WIDTHS.get(width, f"vit_{width}")


def is_sam(state: Mapping[str, Tensor]) -> bool:
    """Tell whether these are the weights of a SAM, whichever its encoder."""
    return architecture_of(state) is not None or is_mobile(state)


def build_sam(state: Mapping[str, Tensor], name: str) -> Sam:
    """Return a SAM with these weights, ready for inference.

    Parameters
    ----------
    state : mapping of str to Tensor
        Weights under upstream's names.
    name : str
        Of the file, for messages.

    Raises
    ------
    WeightsError
        Weights are missing, left over, or of other shapes.
    """
    try:
        network = _empty(state)
        network.load_state_dict(
            {key: value for key, value in state.items() if not key.startswith(NOT_SAM)}
        )
    except (KeyError, RuntimeError, IndexError, ZeroDivisionError) as error:
        first = str(error).splitlines()
        raise WeightsError(
            f"{name} is not a complete SAM ({' '.join(first[:2]).strip()}); choose a checkpoint of "
            "SAM ViT-B, ViT-L, ViT-H or MobileSAM, or one trained from them"
        ) from error
    return network.eval()


def _empty(state: Mapping[str, Tensor]) -> Sam:
    channels = int(state["image_encoder.neck.0.weight"].shape[0])
    encoder, patch = _encoder(state, channels)
    size = int(encoder.img_size)
    grid = size // patch
    return Sam(
        image_encoder=encoder,
        prompt_encoder=PromptEncoder(
            embed_dim=channels,
            image_embedding_size=(grid, grid),
            input_image_size=(size, size),
            mask_in_chans=int(state["prompt_encoder.mask_downscaling.3.weight"].shape[0]),
        ),
        mask_decoder=_decoder(state, channels),
        pixel_mean=PIXEL_MEAN,
        pixel_std=PIXEL_STD,
    )


def _encoder(
    state: Mapping[str, Tensor], channels: int
) -> tuple[ImageEncoderViT | MobileEncoder, int]:
    """Return the encoder and how many pixels a cell of its embedding is long."""
    if is_mobile(state):
        mobile = build_mobile_encoder(state)
        return mobile, mobile.stride
    width, _, _, patch = state[PATCH].shape
    return _vit(state, int(width), int(patch), channels), int(patch)


def _vit(state: Mapping[str, Tensor], width: int, patch: int, channels: int) -> ImageEncoderViT:
    grid = int(state[POSITIONS].shape[1])
    lengths = _by_number(state, r"image_encoder\.blocks\.(\d+)\.attn\.rel_pos_h")
    # A table of relative positions has 2 n - 1 rows for n positions along an axis.
    sizes = [(int(table.shape[0]) + 1) // 2 for table in lengths]
    windows = {size for size in sizes if size != grid}
    if len(windows) > 1:
        raise RuntimeError(f"windows of different sizes {sorted(windows)}")
    head_width = int(lengths[0].shape[1])
    hidden = int(state["image_encoder.blocks.0.mlp.lin1.weight"].shape[0])
    return ImageEncoderViT(
        img_size=grid * patch,
        patch_size=patch,
        embed_dim=width,
        depth=len(sizes),
        num_heads=width // head_width,
        mlp_ratio=hidden / width,
        out_chans=channels,
        norm_layer=partial(nn.LayerNorm, eps=1e-6),
        use_rel_pos=True,
        window_size=windows.pop() if windows else 0,
        global_attn_indexes=tuple(number for number, size in enumerate(sizes) if size == grid),
    )


def _decoder(state: Mapping[str, Tensor], channels: int) -> MaskDecoder:
    layers = _by_number(state, r"mask_decoder\.transformer\.layers\.(\d+)\.mlp\.lin1\.weight")
    heads = _by_number(state, r"mask_decoder\.iou_prediction_head\.layers\.(\d+)\.weight")
    return MaskDecoder(
        transformer_dim=channels,
        transformer=TwoWayTransformer(
            depth=len(layers),
            embedding_dim=channels,
            mlp_dim=int(layers[0].shape[0]),
            num_heads=DECODER_HEADS,
        ),
        num_multimask_outputs=int(state["mask_decoder.mask_tokens.weight"].shape[0]) - 1,
        iou_head_depth=len(heads),
        iou_head_hidden_dim=int(heads[0].shape[0]),
    )


def _by_number(state: Mapping[str, Tensor], pattern: str) -> list[Tensor]:
    found = {
        int(hit[1]): value for name, value in state.items() if (hit := re.fullmatch(pattern, name))
    }
    return [found[number] for number in sorted(found)]
