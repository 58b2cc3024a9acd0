"""Low-rank updates (Hu et al., "LoRA", 2021) back into the weights they belong to."""

from __future__ import annotations

import copy

from peft.tuners.lora import LoraLayer
from torch import Tensor, nn

__all__ = ["merged"]


def merged(network: nn.Module) -> dict[str, Tensor]:
    """Return the weights of a network with its low-rank updates added, under their own names."""
    whole = copy.deepcopy(network)
    for name, module in list(whole.named_modules()):
        if isinstance(module, LoraLayer):
            module.merge()
            parent, _, child = name.rpartition(".")
            setattr(whole.get_submodule(parent), child, module.get_base_layer())
    return dict(whole.state_dict())
