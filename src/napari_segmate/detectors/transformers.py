"""GroundingDINO and its relatives, through the transformers library.

`GroundingDINO <https://arxiv.org/abs/2303.05499>`_ reads all concepts as one caption. Scores per
concept are those of the tokens that stand for it, so that labels are never merged or cut.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from inspect import signature
from pathlib import Path
from typing import Any

import numpy as np

from napari_segmate.core.context import Context
from napari_segmate.core.detections import Detections, join
from napari_segmate.core.errors import MissingExtraError, ModelError
from napari_segmate.core.phrases import caption, chunks, token_groups
from napari_segmate.core.types import BoxYX, RGBImage
from napari_segmate.detectors.base import DETAIL, Detector, DetectorFamily, DetectorInfo

__all__ = ["FAMILY"]

FIRST_RIGHT = (5, 23)
"""Earlier versions of 5.x give the full stop of a phrase the position of its first token, and cut
position embeddings to whole numbers: https://github.com/huggingface/transformers/issues/47674."""
LONGEST = 5 / 3
"""Longer side of what the network sees over the shorter one, at most."""
FILES = (
    "config.json",
    "model.safetensors",
    "preprocessor_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "vocab.txt",
)
# [CLS] three words, full stop, two words, full stop, [SEP]
PROBE = (101, 1996, 1996, 1996, 1012, 1996, 1996, 1012, 102)
SEPARATORS = (101, 102, 1012, 1029)
RIGHT_POSITIONS = (0, 0, 1, 2, 3, 0, 1, 2, 0)


def check() -> None:
    """Refuse to run where transformers is missing, or known to compute wrong results."""
    if find_spec("transformers") is None:
        raise MissingExtraError.for_feature("GroundingDINO", "text")
    try:
        found = version("transformers")
    except PackageNotFoundError:
        return
    numbers = tuple(int(part) for part in found.split(".")[:2])
    if (5, 0) <= numbers < FIRST_RIGHT:
        raise ModelError(
            f"transformers {found} computes wrong boxes with GroundingDINO, silently; install "
            'another one: pip install "transformers>=5.23"'
        )


def _check_positions() -> None:
    """Raise when the positions of tokens are not those that the network was trained with."""
    import torch
    from transformers.models.grounding_dino import modeling_grounding_dino as modeling

    make: Any = modeling.generate_masks_with_special_tokens_and_transfer_map
    # The second argument came with 5.23.
    more = (torch.tensor(SEPARATORS),) if "special_tokens" in signature(make).parameters else ()
    _, positions = make(torch.tensor([PROBE]), *more)
    if tuple(positions[0].tolist()) != RIGHT_POSITIONS:
        raise ModelError(
            "this version of transformers gives tokens wrong positions, so that boxes would be "
            'wrong; install another one: pip install "transformers>=5.23"'
        )


class GroundingDino:
    """One loaded model."""

    def __init__(self, info: DetectorInfo, model: Any, processor: Any, device: str) -> None:
        self.info = info
        self._model = model
        self._images = processor.image_processor
        self._tokenizer = processor.tokenizer
        self._device = device

    def detect(
        self,
        image: RGBImage,
        phrases: Sequence[str],
        *,
        detail: int = DETAIL,
        context: Context | None = None,
    ) -> Detections:
        """See `napari_segmate.detectors.base.Detector`."""
        context = context or Context()
        pixels = self._pixels(image, detail)
        shape = (image.shape[0], image.shape[1])
        groups = chunks(phrases, lambda text: len(self._tokenizer(text)["input_ids"]))
        parts = []
        for group in groups:
            context.check()
            parts.append(self._pass(pixels, group, shape))
        return join(parts, tuple(phrases), shape)

    def alike(
        self, image: RGBImage, box_yx: BoxYX, phrase: str, *, context: Context | None = None
    ) -> Detections:
        """See `napari_segmate.detectors.base.Detector`."""
        raise ModelError(f"{self.info.title} only understands words; choose another detector")

    def _pixels(self, image: RGBImage, detail: int) -> Any:
        size = {"shortest_edge": detail, "longest_edge": round(LONGEST * detail)}
        return self._images(images=image, size=size, return_tensors="pt").to(self._device)

    def _pass(self, pixels: Any, phrases: tuple[str, ...], shape: tuple[int, int]) -> Detections:
        from napari_segmate._torch import inference, to_array

        text, spans = caption(phrases)
        tokens = self._tokenizer(text, return_offsets_mapping=True, return_tensors="pt")
        offsets = [tuple(pair) for pair in tokens.pop("offset_mapping")[0].tolist()]
        with inference(self._device):
            seen = self._model(**pixels, **tokens.to(self._device))
        likely = to_array(seen.logits[0].float().sigmoid())
        scores = np.zeros((len(likely), len(phrases)), np.float32)
        for number, group in enumerate(token_groups(offsets, spans)):
            if group:
                scores[:, number] = likely[:, list(group)].max(axis=1)
        boxes = _corners(to_array(seen.pred_boxes[0].float()), shape)
        return Detections(boxes, scores, phrases, shape, self.info.name)


def _corners(centred: Any, shape: tuple[int, int]) -> Any:
    """Return (n, 4) boxes cx, cy, w, h of 0 to 1 as y0, x0, y1, x1 in pixels, inside the image."""
    cx, cy, width, height = np.asarray(centred, dtype=np.float64).T
    low = np.stack([cy - height / 2, cx - width / 2], axis=1)
    high = np.stack([cy + height / 2, cx + width / 2], axis=1)
    corners = np.clip(np.concatenate([low, high], axis=1), 0, 1)
    # Pixel centres lie at integers: the image reaches from -0.5 to its size - 0.5.
    return corners * (shape * 2) - 0.5


def load(info: DetectorInfo, folder: Path, device: str) -> Detector:
    """Load a model from its folder; the network is not asked.

    Raises
    ------
    ModelError
        Not a folder of such a model.
    """
    check()
    from transformers import AutoModelForZeroShotObjectDetection, AutoProcessor

    _check_positions()
    processors: Any = AutoProcessor
    try:
        model = AutoModelForZeroShotObjectDetection.from_pretrained(folder, local_files_only=True)
        processor = processors.from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError, KeyError) as error:
        raise ModelError(
            f"{folder} holds no GroundingDINO of transformers ({error}); put {', '.join(FILES)} "
            "there"
        ) from error
    if "grounding" not in str(model.config.model_type):
        raise ModelError(
            f"{folder} holds a model of type {model.config.model_type!r}, not a GroundingDINO"
        )
    return GroundingDino(info, model.eval().to(device), processor, device)


FAMILY = DetectorFamily(
    name="transformers",
    detectors=(
        DetectorInfo(
            name="grounding-dino-tiny",
            title="GroundingDINO tiny",
            description="Boxes for words; trained on photographs",
            licence="Apache-2.0",
            repository="IDEA-Research/grounding-dino-tiny",
            revision="a2bb814dd30d776dcf7e30523b00659f4f141c71",
            files=FILES,
            size_mb=690,
        ),
        DetectorInfo(
            name="grounding-dino-base",
            title="GroundingDINO base",
            description="Boxes for words; larger, slower, knows more words",
            licence="Apache-2.0",
            repository="IDEA-Research/grounding-dino-base",
            files=FILES,
            size_mb=934,
        ),
    ),
    check=check,
    load=load,
)
