"""SAM 3 from a folder of the user's, through the transformers library: words, or an example.

`SAM 3 <https://arxiv.org/abs/2511.16719>`_ may not be downloaded without asking its authors, who
decide case by case, so that no name stands for it here: whoever has its files points at their
folder. It draws masks, too: each box comes with the one that belongs to it.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from napari_segmate.core.context import Context
from napari_segmate.core.errors import ModelError
from napari_segmate.core.masks.coarse_masks import CoarseMask
from napari_segmate.core.text.detections import Detections
from napari_segmate.core.types import BoxYX, FloatArray, RGBImage
from napari_segmate.detectors._detector_io import (
    check_example,
    check_image,
    check_phrases,
    corners_in,
    join_concepts,
    shape_of,
    too_long,
)
from napari_segmate.detectors._files import model_type
from napari_segmate.detectors._pretrained import check_installed, check_kind, check_loaded, loading
from napari_segmate.detectors.base import DETAIL, Detector, DetectorFamily, DetectorInfo

__all__ = ["FAMILY"]

TYPES = ("sam3", "sam3_video")
"""The published files are those of the model for videos, which holds the one for images."""
FILES = ("config.json", "model.safetensors", "processor_config.json", "tokenizer.json")
EXAMPLE = "visual"
"""What SAM 3 reads where an example says all."""


class Sam3Detector:
    """A loaded SAM 3."""

    def __init__(self, info: DetectorInfo, model: Any, processor: Any, device: str) -> None:
        self.info = info
        self._model = model
        self._processor = processor
        self._device = device

    def detect(
        self,
        image: RGBImage,
        phrases: Sequence[str],
        *,
        detail: int = DETAIL,
        context: Context | None = None,
    ) -> Detections:
        """See `napari_segmate.detectors.base.Detector`; `detail` is always that of its training.

        Raises
        ------
        ImageError
            Not 8-bit RGB.
        PromptError
            No concept, or one of too many words.
        """
        from napari_segmate._torch import inference

        context = context or Context()
        check_image(image)
        cleaned = check_phrases(phrases)
        tokens = {phrase: self._tokens(phrase) for phrase in cleaned}
        context.check()
        parts = []
        with inference(self._device):
            features = self._encode_image(image)
            for phrase, read in tokens.items():
                context.check()
                parts.append(self._detections(features, image, phrase, read))
        return join_concepts(parts, cleaned, phrases, shape_of(image))

    def detect_similar(
        self, image: RGBImage, box_yx: BoxYX, phrase: str, *, context: Context | None = None
    ) -> Detections:
        """See `napari_segmate.detectors.base.Detector`.

        Raises
        ------
        ImageError
            Not 8-bit RGB.
        PromptError
            The box has no area, or lies outside the image.
        """
        import torch

        from napari_segmate._torch import inference

        y0, x0, y1, x1 = (check_example(image, box_yx) + 0.5) / (shape_of(image) * 2)
        middle = [[[(x0 + x1) / 2, (y0 + y1) / 2, x1 - x0, y1 - y0]]]
        example = torch.tensor(middle, dtype=torch.float32, device=self._device)
        (context or Context()).check()
        with inference(self._device):
            features = self._encode_image(image)
            return self._detections(
                features, image, phrase, self._tokens(EXAMPLE), input_boxes=example
            )

    def _tokens(self, phrase: str) -> Any:
        most = self._model.config.text_config.max_position_embeddings
        tokenizer = self._processor.tokenizer
        if len(tokenizer(phrase)["input_ids"]) > most:
            raise too_long(phrase, self.info.title, most)
        tokens = tokenizer(phrase, padding="max_length", max_length=most, return_tensors="pt")
        return tokens.to(self._device)

    def _encode_image(self, image: RGBImage) -> Any:
        images = self._processor.image_processor(images=image, return_tensors="pt")
        return self._model.get_vision_features(pixel_values=images["pixel_values"].to(self._device))

    def _detections(
        self, features: Any, image: RGBImage, phrase: str, tokens: Any, **example: Any
    ) -> Detections:
        from napari_segmate._torch import to_array

        answer = self._model(
            vision_embeds=features,
            input_ids=tokens["input_ids"],
            attention_mask=tokens["attention_mask"],
            **example,
        )
        likely = answer.pred_logits[0].float().sigmoid()
        if answer.presence_logits is not None:
            likely = likely * answer.presence_logits[0].float().sigmoid()
        scores: FloatArray = np.asarray(to_array(likely), dtype=np.float32)
        x0, y0, x1, y1 = to_array(answer.pred_boxes[0].float()).T
        centred = np.stack([(x0 + x1) / 2, (y0 + y1) / 2, x1 - x0, y1 - y0], axis=1)
        shape = shape_of(image)
        # The picture was squeezed into a square: its cells cover it from edge to edge.
        area = (-0.5, -0.5, shape[0] - 0.5, shape[1] - 0.5)
        masks = tuple(
            CoarseMask.of(to_array(mask.float().sigmoid()), area) for mask in answer.pred_masks[0]
        )
        boxes = corners_in(centred, shape)
        return Detections(boxes, scores[:, None], (phrase,), shape, self.info.name, masks)


def load(info: DetectorInfo, folder: Path, device: str) -> Detector:
    """Load a model from its folder; the network is not asked.

    Raises
    ------
    ModelError, WeightsError
        Not such a model, half a download, or a transformers library without SAM 3.
    """
    import transformers

    if not hasattr(transformers, "Sam3Model"):
        raise ModelError(
            f"transformers {transformers.__version__} does not know SAM 3; install another one: "
            'pip install "transformers>=5.23"'
        )
    check_kind(folder, TYPES, "a SAM 3")
    models: Any = transformers.Sam3Model
    processors: Any = transformers.Sam3Processor
    with loading(folder, "SAM 3 that can be loaded", FILES):
        model, loaded = models.from_pretrained(
            folder, local_files_only=True, output_loading_info=True
        )
        processor = processors.from_pretrained(folder, local_files_only=True)
    check_loaded(loaded, folder)
    return Sam3Detector(info, model.eval().to(device), processor, device)


def recognise(path: Path) -> bool:
    """Tell whether a folder holds a SAM 3."""
    return model_type(path) in TYPES


def check() -> None:
    """Raise when what this detector needs is not installed."""
    check_installed("SAM 3")


FAMILY = DetectorFamily(
    name="sam3",
    detectors=(),
    check=check,
    load=load,
    recognise=recognise,
    examples=True,
    masks=True,
)
