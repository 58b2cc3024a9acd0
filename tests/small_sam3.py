"""A SAM 3 of some thousand random weights, in the format that the real one comes in."""

from __future__ import annotations

from pathlib import Path

from small_owl import END, START, tokenizer

SIDE = 112
QUERIES = 10


def build(folder: Path) -> Path:
    """Write the files of a model into a folder."""
    import torch
    from transformers import Sam3Config, Sam3ImageProcessor, Sam3Model, Sam3Processor

    words = tokenizer()
    start, end = (words.convert_tokens_to_ids(one) for one in (START, END))
    small = {"hidden_size": 32, "num_attention_heads": 2, "intermediate_size": 37}
    torch.manual_seed(0)
    config = Sam3Config(
        vision_config={
            "backbone_config": {
                **small,
                "model_type": "sam3_vit_model",
                "num_hidden_layers": 2,
                "image_size": SIDE,
                "pretrain_image_size": SIDE,
                "patch_size": 14,
                "window_size": 4,
                "global_attn_indexes": [1],
            },
            "fpn_hidden_size": 32,
            "backbone_feature_sizes": [[32, 32], [16, 16], [8, 8]],
        },
        text_config={
            **small,
            "vocab_size": len(words),
            "num_hidden_layers": 1,
            "max_position_embeddings": 32,
            "projection_dim": 32,
            "bos_token_id": start,
            "eos_token_id": end,
            "pad_token_id": end,
        },
        geometry_encoder_config={**small, "num_layers": 1},
        detr_encoder_config={**small, "num_layers": 1},
        detr_decoder_config={**small, "num_layers": 1, "num_queries": QUERIES},
        mask_decoder_config={"hidden_size": 32, "num_attention_heads": 2},
    )
    model = Sam3Model(config).eval()
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(0.05 * torch.randn_like(weight))
    model.save_pretrained(folder)
    Sam3Processor(Sam3ImageProcessor(size={"height": SIDE, "width": SIDE}), words).save_pretrained(
        folder
    )
    return folder
