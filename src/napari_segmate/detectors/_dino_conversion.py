"""The checkpoint of GroundingDINO's authors as a model of transformers, weight by weight."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from napari_segmate.core.errors import WeightsError
from napari_segmate.detectors._dino_checkpoint import (
    Sizes,
    measure,
    read_state,
    tokenizer_of,
    vocabulary_beside,
)
from napari_segmate.detectors._dino_checks import HEAD, check_heads
from napari_segmate.detectors._pretrained import check_loaded, without_bars

__all__ = ["convert", "load_into_transformers"]

SWIN = {
    "norm1": "layernorm_before",
    "norm2": "layernorm_after",
    "attn.proj": "attention.output.dense",
    "attn.relative_position_bias_table": "attention.self.relative_position_bias_table",
    "attn.relative_position_index": "attention.self.relative_position_index",
    "mlp.fc1": "intermediate.dense",
    "mlp.fc2": "output.dense",
}
IMAGE_LAYER = {"norm1": "self_attn_layer_norm", "norm2": "final_layer_norm"}
TEXT_LAYER = {"norm1": "layer_norm_before", "norm2": "layer_norm_after"}
FEED_FORWARD = {"linear1": "fc1", "linear2": "fc2"}
FUSION = {
    "gamma_v": "vision_param",
    "gamma_l": "text_param",
    "layer_norm_v": "layer_norm_vision",
    "layer_norm_l": "layer_norm_text",
    "attn.v_proj": "attn.vision_proj",
    "attn.l_proj": "attn.text_proj",
    "attn.values_v_proj": "attn.values_vision_proj",
    "attn.values_l_proj": "attn.values_text_proj",
    "attn.out_v_proj": "attn.out_vision_proj",
    "attn.out_l_proj": "attn.out_text_proj",
}
DECODER = {
    "cross_attn": "encoder_attn",
    "norm1": "encoder_attn_layer_norm",
    "ca_text": "encoder_attn_text",
    "catext_norm": "encoder_attn_text_layer_norm",
    "norm2": "self_attn_layer_norm",
    "norm3": "final_layer_norm",
}
BACKBONE = "model.backbone.conv_encoder.model"
LAYERS: tuple[tuple[str, str, Mapping[str, str]], ...] = (
    (
        r"backbone\.0\.layers\.(\d+)\.blocks\.(\d+)\.",
        rf"{BACKBONE}.encoder.layers.\1.blocks.\2.",
        SWIN,
    ),
    (
        r"transformer\.encoder\.layers\.(\d+)\.",
        r"model.encoder.layers.\1.deformable_layer.",
        {**IMAGE_LAYER, **FEED_FORWARD},
    ),
    (
        r"transformer\.encoder\.text_layers\.(\d+)\.",
        r"model.encoder.layers.\1.text_enhancer_layer.",
        {**TEXT_LAYER, **FEED_FORWARD},
    ),
    (
        r"transformer\.encoder\.fusion_layers\.(\d+)\.",
        r"model.encoder.layers.\1.fusion_layer.",
        FUSION,
    ),
    (
        r"transformer\.decoder\.layers\.(\d+)\.",
        r"model.decoder.layers.\1.",
        {**DECODER, **FEED_FORWARD},
    ),
)
"""Where a layer stands, where transformers has it, and what its parts are called there."""
PARTS: tuple[tuple[str, str], ...] = (
    (r"backbone\.0\.patch_embed\.proj\.", f"{BACKBONE}.embeddings.patch_embeddings.projection."),
    (r"backbone\.0\.patch_embed\.norm\.", f"{BACKBONE}.embeddings.norm."),
    (r"backbone\.0\.layers\.(\d+)\.downsample\.", rf"{BACKBONE}.encoder.layers.\1.downsample."),
    (r"bert\.", "model.text_backbone."),
    (r"feat_map\.", "model.text_projection."),
    (r"input_proj\.", "model.input_proj_vision."),
    (r"transformer\.level_embed$", "model.level_embed"),
    (r"transformer\.tgt_embed\.weight$", "model.query_position_embeddings.weight"),
    (r"transformer\.decoder\.norm\.", "model.decoder.layer_norm."),
    (r"transformer\.decoder\.ref_point_head\.", "model.decoder.reference_points_head."),
    (r"transformer\.decoder\.bbox_embed\.", "model.decoder.bbox_embed."),
    (r"transformer\.enc_output", "model.enc_output"),
    (r"transformer\.enc_out_bbox_embed\.", "model.encoder_output_bbox_embed."),
    (r"bbox_embed\.", "bbox_embed."),
)


def convert(state: Mapping[str, Any]) -> dict[str, Any]:
    """Return the weights under the names that files of transformers have.

    Queries, keys and values, which lie in one array here, are three there.

    Raises
    ------
    WeightsError
        A name that belongs to no GroundingDINO.
    """
    converted = {}
    for name, value in state.items():
        for new, part in _renamed(name, value):
            converted[new] = part
    return converted


def _renamed(name: str, value: Any) -> list[tuple[str, Any]]:
    norm = re.fullmatch(r"backbone\.0\.norm(\d)\.(.*)", name)
    if norm:
        return [(f"{BACKBONE}.hidden_states_norms.stage{int(norm[1]) + 1}.{norm[2]}", value)]
    for pattern, new, table in LAYERS:
        match = re.match(pattern, name)
        if match:
            return _of_layer(match.expand(new), name[match.end() :], table, value)
    for pattern, new in PARTS:
        match = re.match(pattern, name)
        if match:
            return [(match.expand(new) + name[match.end() :], value)]
    raise WeightsError(f"{name!r} belongs to no GroundingDINO; this is another network")


def _of_layer(place: str, rest: str, table: Mapping[str, str], value: Any) -> list[tuple[str, Any]]:
    fused = re.fullmatch(r"attn\.qkv\.(weight|bias)|(\w+)\.in_proj_(weight|bias)", rest)
    if fused:
        kind = fused[1] or fused[3]
        owner = f"{table.get(fused[2], fused[2])}." if fused[2] else "attention.self."
        three = zip(("query", "key", "value"), value.chunk(3, 0), strict=True)
        return [(f"{place}{owner}{which}.{kind}", part.clone()) for which, part in three]
    for old in sorted(table, key=len, reverse=True):
        if rest == old or rest.startswith(f"{old}."):
            return [(place + table[old] + rest[len(old) :], value)]
    return [(place + rest, value)]


def load_into_transformers(checkpoint: Path) -> tuple[Any, Any]:
    """Return the model and its tokenizer; needs the vocabulary beside the checkpoint.

    Raises
    ------
    WeightsError
        No vocabulary, or not all weights of a GroundingDINO.
    """
    import transformers

    library: Any = transformers
    vocabulary = vocabulary_beside(checkpoint)
    state = read_state(checkpoint)
    sizes = measure(state, checkpoint.name)
    tokenizer = tokenizer_of(vocabulary, sizes["text_config"]["vocab_size"])
    converted = convert(state)
    with without_bars():
        model, loaded = library.GroundingDinoForObjectDetection.from_pretrained(
            None, config=_config(sizes), state_dict=dict(converted), output_loading_info=True
        )
    check_loaded(loaded, checkpoint)
    heads = {name: value for name, value in converted.items() if HEAD.match(name)}
    check_heads(model, heads, checkpoint)
    return model, tokenizer


def _config(sizes: Sizes) -> Any:
    from transformers import BertConfig, GroundingDinoConfig, SwinConfig

    return GroundingDinoConfig(
        **{
            **sizes,
            "backbone_config": SwinConfig(**sizes["backbone_config"]),
            "text_config": BertConfig(**sizes["text_config"]),
        }
    )
