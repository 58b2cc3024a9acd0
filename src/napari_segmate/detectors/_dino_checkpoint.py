"""The ``.pth`` files of GroundingDINO's authors: weights, sizes of the network, tokenizer.

Layout: https://github.com/IDEA-Research/GroundingDINO (Apache-2.0). The files hold the weights of
the text encoder, too: nothing but its vocabulary is needed beside them.
"""

from __future__ import annotations

import json
import math
import pickle
import re
import shutil
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from napari_segmate.core.errors import UnsafeFileError, WeightsError

__all__ = [
    "Sizes",
    "checkpoint_in",
    "measure",
    "read_state",
    "tokenizer_of",
    "vocabulary_beside",
]

VOCABULARY = "vocab.txt"
VOCABULARY_URL = "https://huggingface.co/google-bert/bert-base-uncased/blob/main/vocab.txt"
UNUSED = re.compile(r"label_enc\.weight|bert\.embeddings\.position_ids|bert\.pooler\..*")
"""Left over from training, or not used to find boxes."""
HEAD = re.compile(r"bbox_embed\.\d+\.layers\.0\.weight")
HEADS = 8
"""Of the attention between boxes; nothing in a file tells it."""
HEAD_SIZE = 64
"""Of the text encoder, for the same reason."""

State = Mapping[str, Any]
Sizes = dict[str, Any]


def checkpoint_in(path: Path) -> Path | None:
    """Return the one ``.pth`` file that a path is, or that a folder holds."""
    found = sorted(path.glob("*.pth")) if path.is_dir() else [path]
    return found[0] if len(found) == 1 and found[0].suffix in (".pth", ".pt") else None


def vocabulary_beside(checkpoint: Path) -> Path:
    """Return the vocabulary that belongs to a checkpoint.

    Raises
    ------
    WeightsError
        There is none; says where to get it.
    """
    path = checkpoint.with_name(VOCABULARY)
    if not path.is_file():
        raise WeightsError(
            f"{checkpoint.name} needs the vocabulary of its text encoder beside it; save "
            f"{VOCABULARY_URL} (232 kB) as {path}"
        )
    return path


def read_state(path: Path) -> dict[str, Any]:
    """Return the weights in a checkpoint by name; runs nothing that is in the file.

    Raises
    ------
    WeightsError
        Damaged, half a download, or the weights of something else.
    UnsafeFileError
        The file holds more than weights.
    """
    import torch

    try:
        with warnings.catch_warnings():
            # About the age of the pickle format: nothing that the user of a file can change.
            warnings.simplefilter("ignore", UserWarning)
            loaded = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        if zipfile.is_zipfile(path):
            raise UnsafeFileError(
                f"{path} holds more than weights and could run code, so it was not opened; save "
                'the weights alone: torch.save({"model": model.state_dict()}, …)'
            ) from error
        raise _damaged(path, error) from error
    except (RuntimeError, EOFError, OSError, ValueError, KeyError) as error:
        raise _damaged(path, error) from error
    inner = loaded.get("model", loaded) if isinstance(loaded, Mapping) else {}
    state = {str(name).removeprefix("module."): value for name, value in inner.items()}
    measure(state, path.name)
    return {name: value for name, value in state.items() if not UNUSED.fullmatch(name)}


def _damaged(path: Path, error: Exception) -> WeightsError:
    return WeightsError(
        f"{path} cannot be read ({error or type(error).__name__}): it is damaged, or half a "
        "download. Download it again."
    )


def measure(state: State, name: str = "the file") -> Sizes:
    """Return the sizes of a network as arguments of `transformers.GroundingDinoConfig`.

    Raises
    ------
    WeightsError
        Not the weights of a GroundingDINO.
    """
    try:
        return _measure(state)
    except (KeyError, IndexError, AttributeError, ValueError) as error:
        begin = ", ".join(sorted(map(str, state))[:3]) or "nothing"
        raise WeightsError(
            f"{name} holds no GroundingDINO as its authors save it: {error} is missing, there is "
            f"{begin}, …; choose groundingdino_swint_ogc.pth, groundingdino_swinb_cogcoor.pth or "
            "one that was trained from them"
        ) from error


def _measure(state: State) -> Sizes:
    levels, width = state["transformer.level_embed"].shape
    layer = "transformer.{}.layers.0.{}.weight"
    points = {
        part: state[layer.format(part, f"{attention}.attention_weights")].shape[0]
        // (HEADS * levels)
        for part, attention in (("encoder", "self_attn"), ("decoder", "cross_attn"))
    }
    return {
        "backbone_config": _measure_backbone(state),
        "text_config": _measure_text(state),
        "d_model": width,
        "num_feature_levels": levels,
        "num_queries": state["transformer.tgt_embed.weight"].shape[0],
        "encoder_layers": _count(state, r"transformer\.encoder\.layers\.(\d+)\."),
        "decoder_layers": _count(state, r"transformer\.decoder\.layers\.(\d+)\."),
        "encoder_ffn_dim": state[layer.format("encoder", "linear1")].shape[0],
        "decoder_ffn_dim": state[layer.format("decoder", "linear1")].shape[0],
        "encoder_attention_heads": HEADS,
        "decoder_attention_heads": HEADS,
        "encoder_n_points": points["encoder"],
        "decoder_n_points": points["decoder"],
        "decoder_bbox_embed_share": _shared(state),
    }


def _shared(state: State) -> bool:
    """Tell whether all layers of the decoder have one head."""
    heads = [value for name, value in state.items() if HEAD.fullmatch(name)]
    return all(bool((one == heads[0]).all()) for one in heads)


def _measure_backbone(state: State) -> Sizes:
    stages = _count(state, r"backbone\.0\.layers\.(\d+)\.")
    table = "backbone.0.layers.{}.blocks.0.attn.relative_position_bias_table"
    return {
        "embed_dim": state["backbone.0.patch_embed.proj.weight"].shape[0],
        "depths": [
            _count(state, rf"backbone\.0\.layers\.{stage}\.blocks\.(\d+)\.")
            for stage in range(stages)
        ],
        "num_heads": [state[table.format(stage)].shape[1] for stage in range(stages)],
        "window_size": (math.isqrt(state[table.format(0)].shape[0]) + 1) // 2,
        "out_indices": sorted(
            int(match[1]) + 1
            for name in state
            if (match := re.fullmatch(r"backbone\.0\.norm(\d)\.weight", name))
        ),
    }


def _measure_text(state: State) -> Sizes:
    words, width = state["bert.embeddings.word_embeddings.weight"].shape
    return {
        "vocab_size": words,
        "hidden_size": width,
        "num_hidden_layers": _count(state, r"bert\.encoder\.layer\.(\d+)\."),
        "num_attention_heads": max(1, width // HEAD_SIZE),
        "intermediate_size": state["bert.encoder.layer.0.intermediate.dense.weight"].shape[0],
        "max_position_embeddings": state["bert.embeddings.position_embeddings.weight"].shape[0],
    }


def _count(state: State, pattern: str) -> int:
    begin = re.compile(pattern)
    return 1 + max(int(match[1]) for name in state if (match := begin.match(name)))


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
