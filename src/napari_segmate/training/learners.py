"""Which learner belongs to which model."""

from __future__ import annotations

import copy

from napari_segmate.core.errors import ModelError
from napari_segmate.models._tiny_network import TinyNetwork
from napari_segmate.models.base import Segmenter
from napari_segmate.training.learner import Learner
from napari_segmate.training.presets import Preset

__all__ = ["family_of", "learner_of"]


def family_of(model: Segmenter) -> str:
    """Return ``"tiny"`` or ``"sam"``.

    Raises
    ------
    ModelError
        Nobody knows how to train a model of its family.
    """
    from segment_anything.modeling import Sam

    network = getattr(model, "network", None)
    if isinstance(network, TinyNetwork):
        return "tiny"
    if isinstance(network, Sam):
        return "sam"
    raise ModelError(
        f"the model '{model.info.name}' cannot be trained; choose the model 'tiny' or one of SAM"
    )


def learner_of(model: Segmenter, preset: Preset, device: str) -> Learner:
    """Return a copy of a model's network, ready to learn.

    Raises
    ------
    ModelError
        Nobody knows how to train a model of its family.
    MissingExtraError
        The preset needs a package that is not installed.
    """
    family = family_of(model)
    network = copy.deepcopy(model.network)  # type: ignore[attr-defined]
    if family == "tiny":
        from napari_segmate.training.tiny_learner import TinyLearner

        return TinyLearner(network, preset, device)
    from napari_segmate.training.sam_learner import SamLearner

    head = copy.deepcopy(getattr(model, "_instance_decoder", None))
    return SamLearner.with_head(network, head, preset, device)
