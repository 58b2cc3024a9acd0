"""A GroundingDINO of half a million random weights, in the format that real ones come in."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

WORDS = [
    "cell",
    "cells",
    "nucleus",
    "nuclei",
    "dark",
    "bright",
    "round",
    "red",
    "blood",
    "a",
    "the",
    "##s",
    "##es",
]
SIZE = 1100
# transformers has the numbers of these tokens in its code.
FIXED = {0: "[PAD]", 100: "[UNK]", 101: "[CLS]", 102: "[SEP]", 103: "[MASK]", 1012: ".", 1029: "?"}
FIRST_WORD = 1040


def _vocabulary() -> list[str]:
    words = dict(enumerate(WORDS, start=FIRST_WORD))
    return [FIXED.get(at) or words.get(at) or f"[unused{at}]" for at in range(SIZE)]


def write_vocabulary(folder: Path) -> Path:
    """Write the words that these models know."""
    path = folder / "vocab.txt"
    path.write_text("\n".join(_vocabulary()) + "\n", encoding="utf-8")
    return path


def _tell_apart(model: Any) -> None:
    """Give the heads, which begin with zeros, weights."""
    import torch

    with torch.no_grad():
        for head, inner in zip(model.bbox_embed, model.model.decoder.bbox_embed, strict=True):
            for one, other in zip(head.parameters(), inner.parameters(), strict=True):
                one.copy_(torch.randn_like(one))
                other.copy_(one)


def build(folder: Path, kind: str = "grounding_dino", shared: bool = True) -> Path:
    """Write the files of a model into a folder.

    `kind` may be ``"mm_grounding_dino"``; without `shared`, every layer of the decoder has a head
    of its own.
    """
    import torch
    import transformers
    from transformers import (
        BertConfig,
        BertTokenizerFast,
        GroundingDinoImageProcessor,
        GroundingDinoProcessor,
        SwinConfig,
    )

    start = {"grounding_dino": "GroundingDino", "mm_grounding_dino": "MMGroundingDino"}[kind]
    config_class = getattr(transformers, f"{start}Config")
    model_class = getattr(transformers, f"{start}ForObjectDetection")
    heads = {} if shared else {"decoder_bbox_embed_share": False, "decoder_cls_embed_share": False}
    folder.mkdir(parents=True, exist_ok=True)
    write_vocabulary(folder)
    settings = {"tokenizer_class": "BertTokenizer", "do_lower_case": True, "model_max_length": 512}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    tokenizer = BertTokenizerFast.from_pretrained(folder)
    torch.manual_seed(0)
    config = config_class(
        backbone_config=SwinConfig(
            image_size=64,
            embed_dim=16,
            depths=[1, 1, 1, 1],
            num_heads=[1, 2, 2, 4],
            window_size=4,
            out_indices=[2, 3, 4],
        ),
        text_config=BertConfig(
            vocab_size=SIZE,
            hidden_size=32,
            num_hidden_layers=1,
            num_attention_heads=2,
            intermediate_size=37,
        ),
        d_model=32,
        encoder_layers=2,
        decoder_layers=2,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=32,
        decoder_ffn_dim=32,
        num_queries=20,
        encoder_n_points=2,
        decoder_n_points=2,
        **heads,
    )
    model = model_class(config).eval()
    if not shared:
        _tell_apart(model)
    model.save_pretrained(folder)
    images = GroundingDinoImageProcessor(size={"shortest_edge": 64, "longest_edge": 96})
    GroundingDinoProcessor(images, tokenizer).save_pretrained(folder)
    if not (folder / "preprocessor_config.json").is_file():
        # Newer versions keep these settings with those of the processor.
        (folder / "preprocessor_config.json").write_text(images.to_json_string())
    return folder
