"""Detectors that read all concepts as one caption: GroundingDINO and its relatives.

`GroundingDINO <https://arxiv.org/abs/2303.05499>`_ scores the tokens of a caption. The score of a
concept is the best one of the tokens that stand for it, so that labels are never merged or cut.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from napari_segmate.core.context import Context
from napari_segmate.core.errors import ModelError, PromptError
from napari_segmate.core.text.detections import Detections
from napari_segmate.core.text.phrases import caption, chunks, token_groups
from napari_segmate.core.types import BoxYX, FloatArray, RGBImage, Shape2D
from napari_segmate.detectors._detector_io import (
    check_image,
    check_phrases,
    corners_in,
    join_concepts,
    shape_of,
)
from napari_segmate.detectors.base import DETAIL, LONGEST, DetectorInfo

__all__ = ["CaptionDetector", "Forward", "pixels_of"]

MEAN = np.array([0.485, 0.456, 0.406], np.float32)
SPREAD = np.array([0.229, 0.224, 0.225], np.float32)
"""Of the pixels of ImageNet, 0 to 1."""

Forward = Callable[[Any, str, Any], tuple[Any, Any]]


def pixels_of(image: RGBImage, detail: int) -> FloatArray:
    """Return (3, h, w) of an image resized so that its shorter side has `detail` pixels.

    The longer one has at most 5/3 as many.

    Examples
    --------
    >>> pixels_of(np.zeros((30, 40, 3), np.uint8), 60).shape
    (3, 60, 80)
    >>> pixels_of(np.zeros((30, 90, 3), np.uint8), 60).shape
    (3, 33, 100)
    """
    from PIL import Image

    height, width = image.shape[:2]
    scale = min(detail / min(height, width), round(LONGEST * detail) / max(height, width))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    small = Image.fromarray(image).resize(size, Image.Resampling.BILINEAR)
    values = (np.asarray(small, np.float32) / 255 - MEAN) / SPREAD
    return np.ascontiguousarray(values.transpose(2, 0, 1), dtype=np.float32)


class CaptionDetector:
    """A loaded model.

    Parameters
    ----------
    info : DetectorInfo
        Which one.
    device : str
        Where it runs.
    tokenizer : callable
        A fast tokenizer of transformers.
    pixels : callable
        ``pixels(image, detail)``: what the network takes for an image.
    forward : callable
        ``forward(pixels, caption, tokens)``: (1, n, tokens) logits and (1, n, 4) boxes, centre and
        size as parts of the image.
    """

    def __init__(
        self,
        info: DetectorInfo,
        device: str,
        tokenizer: Any,
        pixels: Callable[[RGBImage, int], Any],
        forward: Forward,
    ) -> None:
        self.info = info
        self._device = device
        self._tokenizer = tokenizer
        self._pixels = pixels
        self._forward = forward

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
            No concept, a concept that is too long, or one without any letter the network knows.
        """
        context = context or Context()
        check_image(image)
        cleaned = check_phrases(phrases)
        unique = tuple(dict.fromkeys(cleaned))
        self._check_letters(unique)
        groups = chunks(unique, lambda text: len(self._tokenizer(text)["input_ids"]))
        shape = shape_of(image)
        pixels = self._pixels(image, detail)
        parts = []
        for group in groups:
            context.check()
            parts.append(self._pass(pixels, group, shape))
        return join_concepts(parts, cleaned, phrases, shape)

    def detect_similar(
        self, image: RGBImage, box_yx: BoxYX, phrase: str, *, context: Context | None = None
    ) -> Detections:
        """See `napari_segmate.detectors.base.Detector`."""
        raise ModelError(f"{self.info.title} only understands words; choose another detector")

    def _check_letters(self, phrases: Sequence[str]) -> None:
        for phrase in phrases:
            tokens = self._tokenizer(phrase, add_special_tokens=False)["input_ids"]
            if set(tokens) <= {self._tokenizer.unk_token_id}:
                raise PromptError(
                    f"{phrase[:40]!r} has no letter that {self.info.title} can read; "
                    "use English words"
                )

    def _pass(self, pixels: Any, phrases: tuple[str, ...], shape: Shape2D) -> Detections:
        from napari_segmate._torch import inference, to_array

        text, spans = caption(phrases)
        tokens = self._tokenizer(text, return_offsets_mapping=True, return_tensors="pt")
        offsets = [tuple(pair) for pair in tokens.pop("offset_mapping")[0].tolist()]
        with inference(self._device):
            logits, boxes = self._forward(pixels, text, tokens)
        likely = to_array(logits[0].float().sigmoid())
        scores = np.zeros((len(likely), len(phrases)), np.float32)
        for number, group in enumerate(token_groups(offsets, spans)):
            if group:
                scores[:, number] = likely[:, list(group)].max(axis=1)
        return Detections(
            corners_in(to_array(boxes[0].float()), shape), scores, phrases, shape, self.info.name
        )
