"""OWL-ViT and OWLv2 of some thousand random weights, in the format that real ones come in."""

from __future__ import annotations

import string
from pathlib import Path
from typing import Any

SIDE, PATCH = 64, 16
START, END = "<|startoftext|>", "<|endoftext|>"


def tokenizer() -> Any:
    """Return a tokenizer that spells all but a few words."""
    from transformers import CLIPTokenizer

    letters = [*string.ascii_lowercase, *string.digits, ".", ","]
    pieces = ["ce", "ll</w>", "cell</w>", START, END]
    tokens = [*letters, *(f"{letter}</w>" for letter in letters), *pieces]
    merges = [("c", "e"), ("l", "l</w>"), ("ce", "ll</w>")]
    return CLIPTokenizer(vocab={one: at for at, one in enumerate(tokens)}, merges=merges)


def build(folder: Path, kind: str = "Owlv2") -> Path:
    """Write the files of a model into a folder; `kind` may be ``"OwlViT"``."""
    import torch
    import transformers

    words = tokenizer()
    start, end = (words.convert_tokens_to_ids(one) for one in (START, END))
    small = {
        "hidden_size": 32,
        "intermediate_size": 37,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
    }
    torch.manual_seed(0)
    config = getattr(transformers, f"{kind}Config")(
        text_config={
            **small,
            "vocab_size": len(words),
            "max_position_embeddings": 16,
            "bos_token_id": start,
            "eos_token_id": end,
            "pad_token_id": end,
        },
        vision_config={**small, "image_size": SIDE, "patch_size": PATCH},
        projection_dim=32,
    )
    model = getattr(transformers, f"{kind}ForObjectDetection")(config).eval()
    with torch.no_grad():
        # Fresh ones are so small that every patch says nearly the same.
        for weight in model.parameters():
            weight.add_(0.05 * torch.randn_like(weight))
    model.save_pretrained(folder)
    images = getattr(transformers, f"{kind}ImageProcessor")(size={"height": SIDE, "width": SIDE})
    getattr(transformers, f"{kind}Processor")(
        image_processor=images, tokenizer=words
    ).save_pretrained(folder)
    return folder
