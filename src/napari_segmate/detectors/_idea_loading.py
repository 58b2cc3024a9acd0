"""The checkpoint of GroundingDINO's authors as a model of transformers."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from napari_segmate.core.errors import WeightsError
from napari_segmate.detectors._idea_names import convert
from napari_segmate.detectors._idea_weights import (
    Sizes,
    measure,
    read_state,
    vocabulary_beside,
)
from napari_segmate.detectors._transformers_guard import (
    HEAD,
    check_heads,
    check_loaded,
    without_bars,
)

__all__ = ["load_into_transformers", "tokenizer_of"]


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


def tokenizer_of(vocabulary: Path, size: int) -> Any:
    """Return the tokenizer of a vocabulary of `size` tokens.

    Raises
    ------
    WeightsError
        It has another number of them.
    """
    import transformers

    library: Any = transformers
    tokens = len(vocabulary.read_bytes().rstrip().split(b"\n"))
    if tokens != size:
        raise WeightsError(
            f"{vocabulary} has {tokens} tokens, the checkpoint {size}: half a download, or the "
            "vocabulary of another model"
        )
    settings = {"tokenizer_class": "BertTokenizer", "do_lower_case": True}
    # Given as an argument, newer versions of transformers ignore the file, silently.
    with TemporaryDirectory() as folder:
        shutil.copy(vocabulary, Path(folder) / "vocab.txt")
        (Path(folder) / "tokenizer_config.json").write_text(json.dumps(settings))
        return library.BertTokenizerFast.from_pretrained(folder)
