"""OWL-ViT and OWLv2, through the transformers library: words, or more of what is in a box.

`OWL-ViT <https://arxiv.org/abs/2205.06230>`_ and its successor `OWLv2
<https://arxiv.org/abs/2306.09683>`_ compare every patch of an image with every concept on its own:
there is no caption, so that concepts never get into each other's way. What a concept is compared
with may just as well come from another patch: that is how an example finds what is like it.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_segmate.core.context import Context
from napari_segmate.core.masks.boxes import overlaps
from napari_segmate.core.text.detections import Detections
from napari_segmate.core.types import BoxYX, RGBImage
from napari_segmate.detectors._detector_io import (
    check_example,
    check_image,
    check_phrases,
    corners_in,
    shape_of,
    too_long,
)
from napari_segmate.detectors._files import model_type
from napari_segmate.detectors._pretrained import check_installed, check_kind, check_loaded, loading
from napari_segmate.detectors.base import DETAIL, Detector, DetectorFamily, DetectorInfo

__all__ = ["FAMILY"]

TYPES = SQUEEZED, PADDED = "owlvit", "owlv2"
"""The first squeezes an image into its square, the second fills one up below or to the right."""
TEMPLATE = "a photo of a {}"
AT_ONCE = 64
"""Concepts that are read in one go."""
AS_GOOD = 0.8
"""Patches whose box fits an example this well, compared with the best, may stand for it."""


class OwlDetector:
    """A loaded OWL-ViT or OWLv2."""

    def __init__(
        self, info: DetectorInfo, model: Any, tokenizer: Any, images: Any, device: str
    ) -> None:
        self.info = info
        self._model = model
        self._tokenizer = tokenizer
        self._images = images
        self._device = device
        kind = model.config.model_type
        self._padded = kind == PADDED
        self._clip = getattr(model, kind)

    def detect(
        self,
        image: RGBImage,
        phrases: Sequence[str],
        *,
        detail: int = DETAIL,
        context: Context | None = None,
    ) -> Detections:
        """See `napari_segmate.detectors.base.Detector`.

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
        texts = [self._text(phrase) for phrase in check_phrases(phrases)]
        context.check()
        with inference(self._device):
            features, boxes = self._encode_image(image, detail)
            parts = []
            for at in range(0, len(texts), AT_ONCE):
                context.check()
                words = self._encode_texts(texts[at : at + AT_ONCE])
                parts.append(self._scores(features, words))
        return self._detections(image, boxes, np.concatenate(parts, axis=1), tuple(phrases))

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
        from napari_segmate._torch import inference

        box = check_example(image, box_yx)
        (context or Context()).check()
        with inference(self._device):
            features, boxes = self._encode_image(image, DETAIL)
            scores = self._scores(features, self._example_embedding(image, box, features, boxes))
        return self._detections(image, boxes, scores, (phrase,))

    def encode_pattern(
        self, image: RGBImage, box_yx: BoxYX, *, context: Context | None = None
    ) -> npt.NDArray[np.float32]:
        """See `napari_segmate.detectors.base.PatternDetector`: a (1, d) embedding.

        Raises
        ------
        ImageError
            Not 8-bit RGB.
        PromptError
            The box has no area, or lies outside the image.
        """
        from napari_segmate._torch import inference, to_array

        box = check_example(image, box_yx)
        (context or Context()).check()
        with inference(self._device):
            learned = self._example_embedding(image, box, *self._encode_image(image, DETAIL))
        return np.asarray(to_array(learned.float()), dtype=np.float32)

    def detect_pattern(
        self,
        image: RGBImage,
        pattern: npt.NDArray[np.float32],
        phrase: str,
        *,
        context: Context | None = None,
    ) -> Detections:
        """See `napari_segmate.detectors.base.PatternDetector`.

        Raises
        ------
        ImageError
            Not 8-bit RGB.
        """
        from napari_segmate._torch import inference, to_tensor

        check_image(image)
        (context or Context()).check()
        with inference(self._device):
            features, boxes = self._encode_image(image, DETAIL)
            query = to_tensor(pattern, self._device).to(features.dtype)
            scores = self._scores(features, query)
        return self._detections(image, boxes, scores, (phrase,))

    def _example_embedding(
        self, image: RGBImage, box: npt.NDArray[np.float64], features: Any, boxes: Any
    ) -> Any:
        """Return the (1, d) embedding of the patch that stands for what is in a box."""
        embeds = self._model.class_predictor(features)[1][0]
        return embeds[_best_patch(self._corners(image, boxes), box, embeds)][None]

    def _text(self, phrase: str) -> str:
        """Return what is read for a concept: in a sentence, unless that is too long."""
        most = self._model.config.text_config.max_position_embeddings
        for text in (TEMPLATE.format(phrase), phrase):
            if len(self._tokenizer(text)["input_ids"]) <= most:
                return text
        raise too_long(phrase, self.info.title, most)

    def _encode_texts(self, texts: list[str]) -> Any:
        """Return (n, d) embeddings of texts."""
        most = self._model.config.text_config.max_position_embeddings
        tokens = self._tokenizer(
            texts, padding="max_length", max_length=most, truncation=True, return_tensors="pt"
        ).to(self._device)
        read = self._clip.text_model(
            input_ids=tokens["input_ids"], attention_mask=tokens["attention_mask"]
        )
        return self._clip.text_projection(read.pooler_output)

    def _encode_image(self, image: RGBImage, detail: int) -> tuple[Any, Any]:
        """Return (1, n, d) features of all patches, and their (n, 4) boxes: centre and size."""
        vision = self._model.config.vision_config
        side = _side(detail, vision.image_size, vision.patch_size)
        pixels = self._images(
            images=image, size={"height": side, "width": side}, return_tensors="pt"
        )["pixel_values"].to(self._device)
        other = side != vision.image_size
        grid = self._model.image_embedder(pixel_values=pixels, interpolate_pos_encoding=other)[0]
        features = grid.flatten(1, 2)
        boxes = self._model.box_predictor(features, grid, interpolate_pos_encoding=other)
        return features, boxes[0]

    def _scores(self, features: Any, queries: Any) -> npt.NDArray[np.float32]:
        from napari_segmate._torch import to_array

        logits = self._model.class_predictor(features, queries[None])[0]
        return np.asarray(to_array(logits[0].float().sigmoid()), dtype=np.float32)

    def _corners(self, image: RGBImage, boxes: Any) -> npt.NDArray[np.float64]:
        from napari_segmate._torch import to_array

        shape = shape_of(image)
        seen = (max(shape), max(shape)) if self._padded else shape
        return corners_in(to_array(boxes.float()), shape, seen)

    def _detections(
        self,
        image: RGBImage,
        boxes: Any,
        scores: npt.NDArray[np.float32],
        phrases: tuple[str, ...],
    ) -> Detections:
        corners = self._corners(image, boxes)
        return Detections(corners, scores, phrases, shape_of(image), self.info.name)


def _side(detail: int, native: int, patch: int) -> int:
    """Return the side of the square to look at, in whole patches; that of its training by default.

    Examples
    --------
    >>> _side(DETAIL, 960, 16), _side(500, 960, 16)
    (960, 496)
    """
    return native if detail == DETAIL else max(1, round(detail / patch)) * patch


def _best_patch(boxes: npt.NDArray[np.float64], box: npt.NDArray[np.float64], embeds: Any) -> int:
    """Return the patch that stands for an example.

    Of the patches whose own box fits, the one that is least like the rest of the image: the others
    show background, too.
    """
    fit = overlaps(boxes, box[None])[:, 0]
    if not fit.any():
        # No patch has a box there: take the one in the middle.
        away = np.abs((boxes[:, :2] + boxes[:, 2:]) / 2 - (box[:2] + box[2:]) / 2)
        return int(away.max(axis=1).argmin())
    good = np.flatnonzero(fit >= AS_GOOD * fit.max())
    usual = embeds[good] @ embeds.mean(dim=0)
    return int(good[int(usual.argmin())])


def load(info: DetectorInfo, folder: Path, device: str) -> Detector:
    """Load a model from its folder; the network is not asked.

    Raises
    ------
    ModelError, WeightsError
        Not such a model, or half a download.
    """
    from transformers import AutoModelForZeroShotObjectDetection, AutoProcessor

    check_kind(folder, TYPES, "an OWL-ViT or OWLv2")
    processors: Any = AutoProcessor
    with loading(folder, "OWL-ViT or OWLv2 that can be loaded", FILES):
        model, loaded = AutoModelForZeroShotObjectDetection.from_pretrained(
            folder, local_files_only=True, output_loading_info=True
        )
        processor = processors.from_pretrained(folder, local_files_only=True)
    check_loaded(loaded, folder)
    return OwlDetector(
        info, model.eval().to(device), processor.tokenizer, processor.image_processor, device
    )


def recognise(path: Path) -> bool:
    """Tell whether a folder holds an OWL-ViT or OWLv2."""
    return model_type(path) in TYPES


def check() -> None:
    """Raise when what these detectors need is not installed."""
    check_installed("OWL-ViT")


FILES = (
    "config.json",
    "merges.txt",
    "model.safetensors",
    "preprocessor_config.json",
    "special_tokens_map.json",
    "tokenizer_config.json",
    "vocab.json",
)

FAMILY = DetectorFamily(
    name="owl",
    detectors=(
        DetectorInfo(
            "owlv2-base",
            "OWLv2 base",
            "Boxes for words, or for what is like a box; concepts do not disturb each other",
            licence="Apache-2.0",
            repository="google/owlv2-base-patch16-ensemble",
            revision="cfd3195ba4ea9592eec887ded089f4c08eff231d",
            files=FILES,
            size_mb=622,
            examples=True,
        ),
        DetectorInfo(
            "owlvit-base",
            "OWL-ViT base",
            "Forerunner of OWLv2: faster, overlooks more",
            licence="Apache-2.0",
            repository="google/owlvit-base-patch32",
            revision="cbc355fb364588351c5d51c7f74465e8e7ec6f72",
            files=FILES,
            size_mb=615,
            examples=True,
        ),
    ),
    check=check,
    load=load,
    recognise=recognise,
    examples=True,
)
