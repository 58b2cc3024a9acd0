"""groundingdino-py 0.4 of 2023 with the transformers library of today.

Nothing in the package is changed on the disk; what is replaced in its modules while a network is
built is put back afterwards.
"""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from runpy import run_path
from types import ModuleType, SimpleNamespace
from typing import Any

from napari_segmate.core.errors import ModelError

__all__ = ["build", "check_text_encoder", "keep_environment", "suppress_warnings"]

QT_VARIABLES = ("QT_QPA_PLATFORM_PLUGIN_PATH", "QT_QPA_FONTDIR")
"""opencv sets them to its own Qt when it is imported, and Qt 5 then finds no screen."""
PICTURES = "groundingdino.util.visualizer"
"""Draws results with opencv and matplotlib; not needed, and left out."""
NETWORK = "groundingdino.models.GroundingDINO.groundingdino"
TOKENIZER = "groundingdino.util.get_tokenlizer"
SETTINGS = {96: "GroundingDINO_SwinT_OGC.py", 128: "GroundingDINO_SwinB_cfg.py"}
"""By the width of the backbone."""
CLOSE = 1e-4


@contextmanager
def keep_environment(names: tuple[str, ...] = QT_VARIABLES) -> Iterator[None]:
    """Put environment variables back as they were."""
    before = {name: os.environ.get(name) for name in names}
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@contextmanager
def suppress_warnings() -> Iterator[None]:
    """Keep warnings about the age of the package from users, who can do nothing about it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@contextmanager
def _without_pictures() -> Iterator[None]:
    if PICTURES in sys.modules:
        yield
        return
    stand_in = ModuleType(PICTURES)
    stand_in.COCOVisualizer = None  # type: ignore[attr-defined]
    sys.modules[PICTURES] = stand_in
    try:
        yield
    finally:
        sys.modules.pop(PICTURES, None)


def _import() -> tuple[Any, Any, Any]:
    """Return the modules of the network, of its tokenizer, and of all networks."""
    try:
        with keep_environment(), suppress_warnings(), _without_pictures():
            found = import_module(NETWORK), import_module(TOKENIZER)
            models = import_module("groundingdino.models")
    except ImportError as error:
        raise ModelError(
            f"the package groundingdino cannot be imported ({error}); install the versions that "
            'fit: pip install "napari-segmate[groundingdino]"'
        ) from error
    lacking = [
        f"{module.__name__}.{name}"
        for module, name in (
            (found[0], "BertModelWarper"),
            (found[1], "get_tokenlizer"),
            (found[1], "get_pretrained_language_model"),
            (models, "build_model"),
        )
        if not hasattr(module, name)
    ]
    if lacking:
        raise ModelError(
            f"the package groundingdino that is installed has no {lacking[0]}: it is another one; "
            'install the one that fits: pip install "groundingdino-py>=0.4,<0.5"'
        )
    return (*found, models)


def build(sizes: dict[str, Any], tokenizer: Any) -> Any:
    """Return a network with random weights; nothing is downloaded.

    Parameters
    ----------
    sizes : dict
        From `napari_segmate.detectors._dino_checkpoint.measure`.
    tokenizer : object
        A fast tokenizer of transformers.

    Raises
    ------
    ModelError
        Another package, or a backbone that it does not have.
    """
    from transformers import BertConfig, BertModel

    network, words, models = _import()
    check_text_encoder(_encoder_class())
    arguments = _arguments(sizes)
    replaced = (
        (network, "BertModelWarper", _encoder_class()),
        (words, "get_tokenlizer", lambda _: tokenizer),
        (
            words,
            "get_pretrained_language_model",
            lambda _: BertModel(BertConfig(**sizes["text_config"])),
        ),
    )
    with suppress_warnings(), _replaced(replaced):
        return models.build_model(arguments).eval()


@contextmanager
def _replaced(changes: tuple[tuple[Any, str, Any], ...]) -> Iterator[None]:
    before = [(module, name, getattr(module, name)) for module, name, _ in changes]
    try:
        for module, name, value in changes:
            setattr(module, name, value)
        yield
    finally:
        for module, name, value in before:
            setattr(module, name, value)


def _arguments(sizes: dict[str, Any]) -> SimpleNamespace:
    """Return the package's settings for a backbone, with the sizes of a checkpoint."""
    import groundingdino

    width = sizes["backbone_config"]["embed_dim"]
    if width not in SETTINGS:
        raise ModelError(
            f"groundingdino-py has no backbone of width {width}, only {sorted(SETTINGS)}"
        )
    file = Path(str(groundingdino.__file__)).parent / "config" / SETTINGS[width]
    settings = {name: value for name, value in run_path(str(file)).items() if name[:1] != "_"}
    settings |= {
        "enc_layers": sizes["encoder_layers"],
        "dec_layers": sizes["decoder_layers"],
        "dim_feedforward": sizes["encoder_ffn_dim"],
        "num_queries": sizes["num_queries"],
        "hidden_dim": sizes["d_model"],
        "num_feature_levels": sizes["num_feature_levels"],
        "enc_n_points": sizes["encoder_n_points"],
        "dec_n_points": sizes["decoder_n_points"],
        "dec_pred_bbox_embed_share": sizes["decoder_bbox_embed_share"],
        # For training with less memory; they only warn here.
        "use_checkpoint": False,
        "use_transformer_ckpt": False,
    }
    return SimpleNamespace(**settings)


def _encoder_class() -> Callable[[Any], Any]:
    """Return what takes the place of the package's `BertModelWarper`.

    The original one takes two methods of `BertModel` that transformers 5 no longer has.
    """
    import torch
    from torch import nn

    class TextEncoder(nn.Module):
        """The text encoder, with a mask of its own for every token; the same names of weights."""

        def __init__(self, bert_model: Any) -> None:
            super().__init__()
            self.config = bert_model.config
            self.embeddings = bert_model.embeddings
            self.encoder = bert_model.encoder
            self.pooler = bert_model.pooler

        def forward(
            self,
            input_ids: torch.Tensor,
            attention_mask: torch.Tensor,
            token_type_ids: torch.Tensor | None = None,
            position_ids: torch.Tensor | None = None,
        ) -> dict[str, torch.Tensor]:
            embedded = self.embeddings(
                input_ids=input_ids, token_type_ids=token_type_ids, position_ids=position_ids
            )
            rows = attention_mask.ndim == 3
            mask = attention_mask[:, None] if rows else attention_mask[:, None, None]
            away = (1.0 - mask.to(embedded.dtype)) * torch.finfo(embedded.dtype).min
            return {"last_hidden_state": self.encoder(embedded, attention_mask=away)[0]}

    return TextEncoder


def check_text_encoder(encoder_class: Callable[[Any], Any]) -> None:
    """Raise when the text encoder does not compute what transformers' own one does.

    Raises
    ------
    ModelError
        A version of transformers that this does not fit.
    """
    import torch
    from transformers import BertConfig, BertModel

    config = BertConfig(
        vocab_size=8,
        hidden_size=8,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=8,
        max_position_embeddings=8,
    )
    tokens = torch.tensor([[1, 2, 3, 4]])
    plain = torch.tensor([[1, 1, 1, 0]])
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(0)
        model: Any = BertModel(config)
        model.eval()
        wanted = model(input_ids=tokens, attention_mask=plain)[0]
        own = encoder_class(model)
        each = plain[:, None].expand(1, 4, 4)
        found = [own(tokens, mask)["last_hidden_state"] for mask in (plain, each)]
    if any(not torch.allclose(one[:, :3], wanted[:, :3], atol=CLOSE) for one in found):
        raise ModelError(
            "with this version of transformers the text encoder of groundingdino-py computes "
            'something else; install another one: pip install "transformers>=5.23,<6"'
        )
