"""Checkpoints with random weights in the format of GroundingDINO's authors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from small_dino import SIZE, write_vocabulary


def sizes() -> dict[str, Any]:
    """Return the smallest network that groundingdino-py builds: its backbone is fixed."""
    return {
        "backbone_config": {
            "embed_dim": 96,
            "depths": [2, 2, 6, 2],
            "num_heads": [3, 6, 12, 24],
            "window_size": 7,
            "out_indices": [2, 3, 4],
        },
        "text_config": {
            "vocab_size": SIZE,
            "hidden_size": 64,
            "num_hidden_layers": 1,
            "num_attention_heads": 1,
            "intermediate_size": 37,
            "max_position_embeddings": 512,
        },
        "d_model": 256,
        "num_feature_levels": 4,
        "num_queries": 20,
        "encoder_layers": 1,
        "decoder_layers": 2,
        "encoder_ffn_dim": 64,
        "decoder_ffn_dim": 64,
        "encoder_attention_heads": 8,
        "decoder_attention_heads": 8,
        "encoder_n_points": 4,
        "decoder_n_points": 4,
        "decoder_bbox_embed_share": True,
    }


def save(state: dict[str, Any], folder: Path, name: str = "mine.pth") -> Path:
    """Write a checkpoint and its vocabulary, as the official ones are."""
    import torch

    folder.mkdir(parents=True, exist_ok=True)
    write_vocabulary(folder)
    left_over = {
        "label_enc.weight": torch.zeros(3, 3),
        "bert.embeddings.position_ids": torch.arange(512)[None],
    }
    named = {f"module.{key}": value for key, value in {**state, **left_over}.items()}
    torch.save({"model": named}, folder / name)
    return folder / name
