"""The embedded model in training."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from napari_segmate.core.numbers.diameter import nearest_zoom
from napari_segmate.core.types import DenseMaps
from napari_segmate.models._tiny_network import (
    FIELD,
    TinyFeatures,
    TinyNetwork,
    draw_prompts,
    flow_maps,
)
from napari_segmate.models.tiny import maps_at_half
from napari_segmate.training.data import Sample
from napari_segmate.training.learner import DenseTruth, Features, Learner
from napari_segmate.training.losses import affinity_loss, dense_loss, flow_loss
from napari_segmate.training.presets import Preset, Schedule
from napari_segmate.training.prompting import Prompts

__all__ = ["TinyLearner"]

LEVELS = ("level4", "level8", "level16", "level32")
LATE_STAGES = ("stages_2", "stages_3")
AFFINITY = 4
"""Channel of `draw_prompts` that holds the affinity with the clicks."""
SIZES = ((64.0, 256), (100.0, 384), (np.inf, 512))
"""Largest typical object, and the side of the views that then show enough round it."""


class TinyLearner(Learner):
    """The embedded model: its backbone is what *quick* leaves as it is."""

    dense = True
    diameter = 30.0
    network: TinyNetwork

    def _choose(self) -> None:
        parts = [self.network.decoder, self.network.encoder]
        for part in parts:
            for parameter in part.parameters():
                parameter.requires_grad_(True)
        for name, parameter in self.network.encoder.backbone.named_parameters():
            late = self.preset is Preset.BALANCED and name.startswith(LATE_STAGES)
            parameter.requires_grad_(late or self.preset is Preset.FULL)

    def fit(self, samples: Sequence[Sample]) -> None:
        """Choose the side of the views for the largest of the typical objects."""
        shown = max(sample.diameter * self.zoom(sample) for sample in samples)
        self.size = next(size for largest, size in SIZES if shown <= largest)

    def zoom(self, sample: Sample) -> float:
        """Return the zoom that brings the objects to the size that the model knows best."""
        diameter = sample.diameter
        return nearest_zoom(self.diameter, diameter) if diameter else 1.0

    def prepare(self, images: Tensor) -> Features:
        """Return the backbone's features with *quick*, else the images."""
        if self.preset is not Preset.QUICK:
            return {"images": images}
        with torch.no_grad():
            levels = self.network.encoder.levels(self._channels_last(images))
        return dict(zip(LEVELS, levels, strict=True))

    def features(self, prepared: Features) -> Features:
        """Return embedding, detail and maps."""
        encoder = self.network.encoder
        if self.preset is Preset.QUICK:
            found = encoder.fuse([prepared[name] for name in LEVELS])
        else:
            found = encoder(self._channels_last(prepared["images"]))
        return {"embedding": found.embedding, "detail": found.detail, "maps": found.maps}

    def _channels_last(self, images: Tensor) -> Tensor:
        return images.contiguous(memory_format=torch.channels_last)

    def decode(
        self,
        features: Features,
        image_index: Tensor,
        prompts: Prompts,
        rng: np.random.Generator | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Return logits at half the size of the view."""
        if rng is None:
            origin = torch.full((2,), (FIELD - self.size) / 2)
        else:
            # A view may lie anywhere in the field that positions are counted in.
            spread = max(int(FIELD) - self.size, 1)
            origin = torch.from_numpy(rng.integers(0, 2, 2) * rng.integers(0, spread, 2))
        logits, scores = self.network.decode_indexed(
            _as_tiny(features),
            image_index,
            prompts.points,
            prompts.labels,
            prompts.boxes,
            prompts.mask,
            origin,
        )
        return logits, scores

    def maps(self, features: Features) -> Tensor:
        """Return the dense maps."""
        return features["maps"]

    def dense_loss(self, maps: Tensor, truth: DenseTruth) -> Tensor:
        """Return the loss of the pre-training."""
        loss = dense_loss(maps, truth.foreground, truth.distance, truth.offset_yx, truth.weight)
        flow = flow_maps(maps)
        if flow is None:
            return loss
        foreground, distance, *flow_yx, weight = truth.flow.unbind(1)
        return loss + flow_loss(flow, foreground, distance, torch.stack(flow_yx, 1), weight)

    @property
    def has_flow(self) -> bool:
        """Whether the network has flow maps."""
        return self.network.config.flow > 0

    def teach_maps(self, maps: Tensor) -> Tensor:
        """Return foreground, depth and offset."""
        return torch.cat([maps[:1].sigmoid(), maps[1:2].clamp(0, 1), maps[2:4]])

    def teach_flow(self, maps: Tensor) -> Tensor:
        """Return foreground, depth and flow."""
        flow = flow_maps(maps)
        assert flow is not None, "a network with flow maps"
        return self.teach_maps(flow)

    def dense_maps(self, maps: Tensor, size: int) -> DenseMaps:
        """Return the maps as `TinySegmenter.instance_maps` would."""
        return maps_at_half(maps.detach().cpu(), (size, size))

    def extra_loss(
        self, features: Features, image_index: Tensor, prompts: Prompts, masks: Tensor
    ) -> Tensor:
        """Return how badly the affinity with the clicks describes the objects."""
        drawn = draw_prompts(
            features["maps"], image_index, prompts.points, prompts.labels, None, None
        )
        truth = functional.avg_pool2d(masks[:, None].float(), 4)[:, 0]
        clicked = (prompts.labels == 1).any(1).float()
        return 0.5 * affinity_loss(drawn[:, AFFINITY], truth, clicked)

    def activations_mb(self, schedule: Schedule) -> float:
        """Return the measured needs, scaled to the size of the views."""
        share = (self.size / 256) ** 2
        encoder = 0.0 if self.preset is Preset.QUICK else 90.0
        kept = 1.5 * schedule.views if self.preset is Preset.QUICK else 0.3 * schedule.views
        objects = schedule.batch * schedule.objects
        return share * (schedule.batch * (40 + encoder) + 45 * objects + kept)

    def weights(self) -> dict[str, Tensor]:
        """Return the weights of the network."""
        return {
            name: value.detach().cpu().contiguous()
            for name, value in self.network.state_dict().items()
        }

    def metadata(self) -> dict[str, str]:
        """Return the widths of the network."""
        return {"config": json.dumps(asdict(self.network.config)), "family": "tiny"}


def _as_tiny(features: Features) -> TinyFeatures:
    return TinyFeatures(features["embedding"], features["detail"], features["maps"])
