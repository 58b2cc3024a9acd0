"""What the training loop needs of a network, whichever family it is of."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import torch
from torch import Tensor, nn

from napari_segmate.core.types import DenseMaps
from napari_segmate.training.data import Sample
from napari_segmate.training.presets import Preset, Schedule
from napari_segmate.training.prompting import Prompts

__all__ = ["DenseTruth", "Features", "Learner"]


@dataclass(frozen=True, eq=False)
class DenseTruth:
    """What the dense maps should be, per cell of 4 x 4 pixels, and how much each cell counts.

    Parameters
    ----------
    foreground, distance : (..., h, w)
        As in `napari_segmate.training.targets.DenseTargets`.
    offset_yx : (..., 2, h, w)
        As there.
    off_centre : (..., h, w)
        Distance to the centre of the object, 1 where it is largest; 1 outside.
    weight : (..., h, w)
        How much each cell counts, 0 to 1.
    flow : (..., 5, 2 h, 2 w) or (..., 0)
        Foreground, distance and flow as in `napari_segmate.training.targets.FlowTargets`, and how
        much each of these cells counts; empty for a network without flow maps.
    """

    foreground: Tensor
    distance: Tensor
    offset_yx: Tensor
    off_centre: Tensor
    weight: Tensor
    flow: Tensor


Features: TypeAlias = Mapping[str, Tensor]
"""Named tensors whose first axis counts images."""


class Learner(ABC):
    """A network in training.

    `prepare` runs the part that does not learn; what it returns may be kept and used again. The
    rest runs at every step.

    Parameters
    ----------
    network : torch.nn.Module
        With the weights to begin with; it is changed.
    preset : Preset
        What learns.
    device : str
        Where.
    """

    size: int = 256
    """Side of the views in pixels."""
    dense: bool
    """Whether there is an instance head."""

    def __init__(self, network: nn.Module, preset: Preset, device: str) -> None:
        self.network = network.to(device).eval()
        self.preset, self.device = preset, device
        for parameter in network.parameters():
            parameter.requires_grad_(False)
        self._choose()

    @abstractmethod
    def _choose(self) -> None:
        """Let those parameters learn that the preset names."""

    @abstractmethod
    def fit(self, samples: Sequence[Sample]) -> None:
        """Choose the side of the views."""

    @abstractmethod
    def zoom(self, sample: Sample) -> float:
        """Return how large inference would show a sample."""

    @abstractmethod
    def prepare(self, images: Tensor) -> Features:
        """Return what the frozen part makes of (B, 3, S, S) images, 0 to 255."""

    @abstractmethod
    def features(self, prepared: Features) -> Features:
        """Return what prompts are decoded on."""

    @abstractmethod
    def decode(
        self,
        features: Features,
        image_index: Tensor,
        prompts: Prompts,
        rng: np.random.Generator | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Return logits (N, 4, h, w), the single mask first, and predicted IoU (N, 4).

        With `rng`, positions are varied where the network should not rely on them.
        """

    def maps(self, features: Features) -> Tensor | None:
        """Return the dense maps (B, C, S / 4, S / 4), None without an instance head."""
        return None

    @property
    def has_flow(self) -> bool:
        """Whether the dense maps hold flow maps."""
        return False

    def dense_loss(self, maps: Tensor, truth: DenseTruth) -> Tensor:
        """Return how far maps are from the truth, a scalar."""
        raise NotImplementedError

    def dense_maps(self, maps: Tensor, size: int) -> DenseMaps:
        """Return the maps (C, h, w) of one view as inference would."""
        raise NotImplementedError

    def teach_maps(self, maps: Tensor) -> Tensor:
        """Return foreground, depth and offset (4, h, w) that the maps of one view mean."""
        raise NotImplementedError

    def teach_flow(self, maps: Tensor) -> Tensor:
        """Return foreground, depth and flow (4, 2 h, 2 w) that the maps of one view mean."""
        raise NotImplementedError

    def extra_loss(
        self, features: Features, image_index: Tensor, prompts: Prompts, masks: Tensor
    ) -> Tensor:
        """Return what else should be small after the first prompts, a scalar."""
        return torch.zeros((), device=self.device)

    @abstractmethod
    def activations_mb(self, schedule: Schedule) -> float:
        """Return about what a step and the views hold in memory, in MB."""

    def learning(self) -> Iterator[tuple[str, nn.Parameter]]:
        """Yield the parameters that learn, with their names."""
        for name, parameter in self.network.named_parameters():
            if parameter.requires_grad:
                yield name, parameter

    @abstractmethod
    def weights(self) -> dict[str, Tensor]:
        """Return all weights under the names that files of the family use, on the CPU."""

    @abstractmethod
    def metadata(self) -> dict[str, str]:
        """Return what a file must say about the architecture."""
