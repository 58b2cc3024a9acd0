"""Segment Anything in training."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from segment_anything.modeling import Sam
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from napari_segmate.core.context import Context
from napari_segmate.core.errors import MissingExtraError
from napari_segmate.core.types import DenseMaps
from napari_segmate.models._mobile_encoder import MobileEncoder
from napari_segmate.models._sam_encoder import encode_image
from napari_segmate.training.data import Sample
from napari_segmate.training.learner import DenseTruth, Features, Learner
from napari_segmate.training.losses import distance_loss
from napari_segmate.training.presets import Preset, Schedule
from napari_segmate.training.prompting import Prompts

__all__ = ["SamLearner"]

HEAD = "instance_decoder"
"""What the names of the weights of an instance head begin with, in files of SAM models."""
LORA_RANK = 8
"""Of the low-rank updates (Hu et al., "LoRA", 2021)."""
LORA_TARGETS = r".*blocks\.\d+\.attn\.(qkv|proj)"
"""As in micro-sam and Zhang & Liu, "Customized Segment Anything Model" (2023): the attention."""
WHOLE = 1.25
"""Planes of up to this many times the input size are shown whole."""


class SamLearner(Learner):
    """A SAM, whichever its encoder; *balanced* adds low-rank updates to its attention (LoRA)."""

    network: Sam

    @classmethod
    def with_head(
        cls, network: Sam, head: nn.Module | None, preset: Preset, device: str
    ) -> SamLearner:
        """Return a learner whose instance head, if there is one, learns as well."""
        if head is not None:
            # Under the name that its weights have in the file.
            network.add_module(HEAD, head)
        return cls(network, preset, device)

    def _choose(self) -> None:
        self.size = int(self.network.image_encoder.img_size)
        head = getattr(self.network, HEAD, None)
        self._head: nn.Module | None = head
        self.dense = head is not None
        for parameter in head.parameters() if head is not None else ():
            parameter.requires_grad_(True)
        for part in (self.network.prompt_encoder, self.network.mask_decoder):
            for parameter in part.parameters():
                parameter.requires_grad_(True)
        if self.preset is Preset.FULL:
            for parameter in self.network.image_encoder.parameters():
                parameter.requires_grad_(True)
        if self.preset is Preset.BALANCED:
            self._add_lora()

    def _add_lora(self) -> None:
        try:
            from peft import LoraConfig, inject_adapter_in_model
        except ImportError as error:
            raise MissingExtraError.for_feature(
                "the preset 'balanced' of SAM models", "train"
            ) from error
        config = LoraConfig(
            r=LORA_RANK, lora_alpha=LORA_RANK, target_modules=LORA_TARGETS, init_lora_weights=True
        )
        # The same seed each time: a training that goes on must begin with the same updates.
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            encoder: Any = self.network.image_encoder
            inject_adapter_in_model(config, encoder)
        self.network.to(self.device).eval()

    def fit(self, samples: Sequence[Sample]) -> None:
        """Keep the side of the views: SAM sees one size only."""

    def zoom(self, sample: Sample) -> float:
        """Return how large inference shows a sample: whole planes fill the input."""
        longest = max(sample.shape)
        return self.size / longest if longest <= WHOLE * self.size else 1.0

    def prepare(self, images: Tensor) -> Features:
        """Return the embedding with *quick*, else the images."""
        if self.preset is not Preset.QUICK:
            return {"images": images}
        with torch.no_grad():
            return {"embedding": self._encode(images)}

    def features(self, prepared: Features) -> Features:
        """Return the embedding."""
        if self.preset is Preset.QUICK:
            return prepared
        return {"embedding": self._encode(prepared["images"])}

    def _encode(self, images: Tensor) -> Tensor:
        encoder = self.network.image_encoder
        if not torch.is_grad_enabled():
            # The same in less time and memory, but nothing to learn by.
            return encode_image(encoder, self.network.preprocess(images), Context())
        tokens = encoder.patch_embed(self.network.preprocess(images))
        mobile = isinstance(encoder, MobileEncoder)
        if not mobile and encoder.pos_embed is not None:
            tokens = tokens + encoder.pos_embed
        for block in encoder.steps() if mobile else encoder.blocks:
            # What a block computes inside is computed again in the backward pass: the scores of
            # its attention alone would take gigabytes.
            tokens = checkpoint(block, tokens, use_reentrant=False)
        embedding: Tensor = encoder.neck(tokens if mobile else tokens.permute(0, 3, 1, 2))
        return embedding

    def maps(self, features: Features) -> Tensor | None:
        """Return the maps of the instance head, a quarter of the view in size."""
        if self._head is None:
            return None
        maps = self._head(features["embedding"])
        return functional.adaptive_avg_pool2d(maps, (self.size // 4, self.size // 4))

    def dense_loss(self, maps: Tensor, truth: DenseTruth) -> Tensor:
        """Return the loss of micro-sam's instance decoder."""
        wanted = torch.stack([truth.foreground, truth.off_centre, 1 - truth.distance], dim=1)
        return distance_loss(maps, wanted, truth.weight)

    def dense_maps(self, maps: Tensor, size: int) -> DenseMaps:
        """Return the maps as inference has them."""
        foreground, off_centre, shallow = maps.detach().float().cpu().numpy()
        return DenseMaps(foreground, 1 - shallow, 1 - off_centre, (size, size))

    def teach_maps(self, maps: Tensor) -> Tensor:
        """Return foreground and depth; these maps know no offset."""
        return torch.stack([maps[0], 1 - maps[2], *torch.zeros_like(maps[:2])])

    def decode(
        self,
        features: Features,
        image_index: Tensor,
        prompts: Prompts,
        rng: np.random.Generator | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Return logits at a quarter of the size of the view."""
        del rng
        positions = self.network.prompt_encoder.get_dense_pe()
        groups = _groups(image_index, prompts)
        found = [self._group(features, rows, image, prompts, positions) for image, rows in groups]
        order = torch.cat([rows for _, rows in groups]).argsort()
        logits = torch.cat([logits for logits, _ in found])[order]
        scores = torch.cat([scores for _, scores in found])[order]
        return logits, scores

    def _group(
        self, features: Features, rows: Tensor, image: int, prompts: Prompts, positions: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Decode objects of one image that have the same kinds of prompts, as inference does."""
        used = (prompts.labels[rows[0]] >= 0).nonzero()[:, 0]
        boxed = not torch.isnan(prompts.boxes[rows[0], 0])
        points = (prompts.points[rows][:, used], prompts.labels[rows][:, used])
        sparse, dense = self.network.prompt_encoder(
            points if len(used) else None,
            prompts.boxes[rows] if boxed else None,
            None if prompts.mask is None else prompts.mask[rows],
        )
        logits, scores = self.network.mask_decoder.predict_masks(
            image_embeddings=features["embedding"][image][None],
            image_pe=positions,
            sparse_prompt_embeddings=sparse,
            dense_prompt_embeddings=dense,
        )
        return logits, scores

    def activations_mb(self, schedule: Schedule) -> float:
        """Return what the encoder, such as attention over the whole image, and the decoder hold."""
        encoder = self.network.image_encoder
        quick = self.preset is Preset.QUICK
        if isinstance(encoder, MobileEncoder):
            cells = (self.size // encoder.stride) ** 2
            held = encoder.activations_mb(learning=not quick)
            once, each = (held, 0.0) if quick else (0.0, held)
        else:
            cells = (self.size // int(encoder.patch_embed.proj.kernel_size[0])) ** 2
            once, each = _vit_mb(encoder, cells, quick)
        objects = schedule.batch * schedule.objects
        decoder = objects * cells * 256 * 4 * 60 / (1 << 20) / 4
        views = schedule.views * (self.size**2 * 8 / (1 << 20) + 2 * cells * 256 / (1 << 20))
        return float(once + schedule.batch * each + decoder + views)

    def weights(self) -> dict[str, Tensor]:
        """Return the weights under SAM's official names, LoRA's updates added to them."""
        state = (
            _merged(self.network) if self.preset is Preset.BALANCED else self.network.state_dict()
        )
        return {name: value.detach().cpu().contiguous().clone() for name, value in state.items()}

    def metadata(self) -> dict[str, str]:
        """Return the family; the sizes can be read off the shapes of the weights."""
        return {"family": "sam"}


def _vit_mb(encoder: Any, cells: int, quick: bool) -> tuple[float, float]:
    """Return what attention over a whole image holds, and what each image of a batch holds."""
    scores = 4 * encoder.blocks[-1].attn.num_heads * cells**2 / (1 << 20)
    tokens = 4 * cells * int(encoder.patch_embed.proj.out_channels) / (1 << 20)
    # Scores, scores with positions, softmax, and for the backward pass their gradients; without it
    # at most the positions and the scores of a device, as measured less on a processor.
    attention = scores * (2 if quick else 6)
    return attention, 0.0 if quick else tokens * (len(encoder.blocks) + 20)


def _groups(image_index: Tensor, prompts: Prompts) -> list[tuple[int, Tensor]]:
    """Return the objects by image and kinds of prompts: padding would change the answer."""
    found: dict[tuple[int, tuple[bool, ...], bool], list[int]] = {}
    used = (prompts.labels >= 0).tolist()
    boxed = (~torch.isnan(prompts.boxes[:, 0])).tolist()
    for row, image in enumerate(image_index.tolist()):
        found.setdefault((image, tuple(used[row]), boxed[row]), []).append(row)
    device = image_index.device
    return [(key[0], torch.tensor(rows, device=device)) for key, rows in found.items()]


def _merged(network: nn.Module) -> dict[str, Tensor]:
    """Return the weights of a network with its low-rank updates added, under their own names."""
    from peft.tuners.lora import LoraLayer

    whole = copy.deepcopy(network)
    for name, module in list(whole.named_modules()):
        if isinstance(module, LoraLayer):
            module.merge()
            parent, _, child = name.rpartition(".")
            setattr(whole.get_submodule(parent), child, module.get_base_layer())
    return dict(whole.state_dict())
