"""A GroundingDINO of half a million random weights, in the format that real ones come in."""

from __future__ import annotations

import json
from pathlib import Path

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


def build(folder: Path) -> Path:
    """Write the files of a model into a folder."""
    import torch
    from transformers import (
        BertConfig,
        BertTokenizerFast,
        GroundingDinoConfig,
        GroundingDinoForObjectDetection,
        GroundingDinoImageProcessor,
        GroundingDinoProcessor,
        SwinConfig,
    )

    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.txt").write_text("\n".join(_vocabulary()) + "\n", encoding="utf-8")
    settings = {"tokenizer_class": "BertTokenizer", "do_lower_case": True, "model_max_length": 512}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    tokenizer = BertTokenizerFast.from_pretrained(folder)
    torch.manual_seed(0)
    config = GroundingDinoConfig(
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
    )
    GroundingDinoForObjectDetection(config).eval().save_pretrained(folder)
    images = GroundingDinoImageProcessor(size={"shortest_edge": 64, "longest_edge": 96})
    GroundingDinoProcessor(images, tokenizer).save_pretrained(folder)
    if not (folder / "preprocessor_config.json").is_file():
        # Newer versions keep these settings with those of the processor.
        (folder / "preprocessor_config.json").write_text(images.to_json_string())
    return folder
