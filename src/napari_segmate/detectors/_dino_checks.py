"""Checks that keep GroundingDINO in transformers from silently computing wrong boxes.

Each check stands for a way in which some version did.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from inspect import signature
from pathlib import Path
from typing import Any

from napari_segmate.core.errors import ModelError, WeightsError
from napari_segmate.detectors._pretrained import check_installed

__all__ = [
    "HEAD",
    "check_heads",
    "check_positions",
    "check_separators",
    "check_version",
    "own_heads",
    "saved_heads",
]

FIRST_RIGHT = (5, 23)
"""Earlier versions of 5.x give the full stop of a phrase the position of its first token, and cut
position embeddings to whole numbers: https://github.com/huggingface/transformers/issues/47674."""
# [CLS] three words, full stop, two words, full stop, [SEP]
PROBE = (101, 1996, 1996, 1996, 1012, 1996, 1996, 1012, 102)
SEPARATORS = (101, 102, 1012, 1029)
SIGNS = ("[CLS]", "[SEP]", ".", "?")
RIGHT_POSITIONS = (0, 0, 1, 2, 3, 0, 1, 2, 0)
HEAD = re.compile(r"(?:model\.decoder\.)?(bbox|class)_embed\.(\d+)\.")
SHARED_MODELS = {"bbox": "bbox", "class": "cls"}
"""What settings call them."""
CURE = 'install another one: pip install "transformers>=5.23"'


def check_version() -> None:
    """Refuse to run where transformers is missing, or known to compute wrong results."""
    check_installed("GroundingDINO")
    try:
        found = version("transformers")
    except PackageNotFoundError:
        return
    numbers = tuple(int(part) for part in found.split(".")[:2])
    if (5, 0) <= numbers < FIRST_RIGHT:
        raise ModelError(
            f"transformers {found} computes wrong boxes with GroundingDINO, silently; {CURE}"
        )


def check_positions(model: Any) -> None:
    """Raise when the positions of tokens are not those that the network was trained with."""
    import torch

    modeling = sys.modules[type(model).__module__]
    make: Any = modeling.generate_masks_with_special_tokens_and_transfer_map
    # The second argument came with 5.23.
    more = (torch.tensor(SEPARATORS),) if "special_tokens" in signature(make).parameters else ()
    _, positions = make(torch.tensor([PROBE]), *more)
    if tuple(positions[0].tolist()) != RIGHT_POSITIONS:
        raise ModelError(
            "this version of transformers gives tokens wrong positions, so that boxes would be "
            f"wrong; {CURE}"
        )
    # From 5.0 on "eager" adds the mask of the text as 0 and 1 instead of leaving tokens out.
    way = getattr(model.model.text_backbone.config, "_attn_implementation", None)
    if more and way != "sdpa":
        raise ModelError(
            f"with attention {way!r} GroundingDINO computes wrong boxes; remove "
            "'_attn_implementation' and 'attn_implementation' from its config.json"
        )


def check_separators(tokenizer: Any, where: Path) -> None:
    """Raise when a vocabulary is not the one that transformers has in its code."""
    found = tuple(tokenizer.convert_tokens_to_ids(list(SIGNS)))
    if found != SEPARATORS:
        raise WeightsError(
            f"the vocabulary in {where} has {', '.join(SIGNS)} at {found} instead of {SEPARATORS}; "
            "it must be that of bert-base-uncased"
        )


def saved_heads(folder: Path) -> dict[str, Any]:
    """Return the weights of the heads of the decoder in a file of transformers.

    Raises
    ------
    WeightsError
        The file is damaged.
    """
    from safetensors import SafetensorError, safe_open

    path = folder / "model.safetensors"
    if not path.is_file():
        return {}
    try:
        with safe_open(path, "pt") as file:
            return {name: file.get_tensor(name) for name in file.keys() if HEAD.match(name)}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise WeightsError(
            f"{path} cannot be read ({error}): it is damaged, or half a download. Download it again"
        ) from error


def own_heads(saved: Mapping[str, Any]) -> dict[str, bool]:
    """Return settings for heads that a file holds for every layer of the decoder.

    Files of MM-GroundingDINO and LLMDet were written when such heads were never shared, and need
    not say so; transformers 5 shares them unless told, and layers get the first one's.

    Examples
    --------
    >>> own_heads({"bbox_embed.0.layers.0.bias": 0, "bbox_embed.1.layers.0.bias": 0})
    {'decoder_bbox_embed_share': False}
    """
    several = {match[1] for name in saved if (match := HEAD.match(name)) and int(match[2]) > 0}
    return {f"decoder_{SHARED_MODELS[kind]}_embed_share": False for kind in sorted(several)}


def check_heads(model: Any, saved: Mapping[str, Any], where: Path) -> None:
    """Raise when layers of the decoder refine boxes with another head than the one they learned.

    Which of the names that stand for one head a file has, depends on what wrote it; versions of
    transformers took the wrong one, or none, and reported nothing.
    """
    import torch

    own = dict(model.named_parameters(remove_duplicate=False))
    lost = [
        name
        for name, value in saved.items()
        if name not in own or not torch.equal(own[name], value.to(own[name].dtype))
    ]
    pairs = zip(model.bbox_embed, model.model.decoder.bbox_embed, strict=True)
    same = all(
        torch.equal(one, other)
        for head, inner in pairs
        for one, other in zip(head.parameters(), inner.parameters(), strict=True)
    )
    if lost or not same:
        raise ModelError(
            f"this version of transformers loads the heads of {where} wrongly, so that boxes would "
            f"be wrong; {CURE}, or choose another detector"
        )
