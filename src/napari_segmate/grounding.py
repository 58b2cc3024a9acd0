"""`GroundingDINO`: a picture and words in, boxes out, in the (x, y) order of SAM's interfaces."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from napari_segmate.core.context import Context
from napari_segmate.core.errors import PromptError
from napari_segmate.core.masks.coarse_masks import CoarseMask, MaskSource
from napari_segmate.core.masks.object_masks import clean, paste
from napari_segmate.core.text.detections import Detections, Masks, select
from napari_segmate.core.text.phrases import split_phrases
from napari_segmate.core.types import BoolArray, FloatArray, Shape2D
from napari_segmate.detectors.base import Detector
from napari_segmate.inference.detection.search import search
from napari_segmate.io.pictures import PathLike, as_plane
from napari_segmate.tasks.text.result import no_boxes
from napari_segmate.tasks.text.run import Params, ready
from napari_segmate.tasks.text.segment_boxes import touches

__all__ = ["GroundingDINO", "ObjectDetector", "TextPrompt"]

Predicted = tuple[npt.NDArray[np.float64], FloatArray, list[str]]


class ObjectDetector(Protocol):
    """What finds boxes for words; `GroundingDINO` is one.

    One that draws masks, too, has a method ``predict_masks`` as `GroundingDINO.predict_masks`.
    """

    def predict(
        self,
        image: Any,
        text_prompt: str,
        box_threshold: float,
        text_threshold: float,
    ) -> tuple[Any, Any, Any]:
        """Return (N, 4) boxes x0, y0, x1, y1, their scores, and their phrases."""
        ...


@dataclass(frozen=True)
class TextPrompt:
    """What to look for, and least scores of a box and of its further names, 0 to 1."""

    words: str
    box_threshold: float = 0.3
    text_threshold: float = 0.25

    @classmethod
    def of(cls, prompt: str | tuple[str, float, float]) -> TextPrompt:
        """Return what a user gives as a prompt.

        Raises
        ------
        PromptError
            Another form, or no words.
        """
        if isinstance(prompt, str):
            prompt = (prompt, cls.box_threshold, cls.text_threshold)
        try:
            words, box_threshold, text_threshold = prompt
        except (TypeError, ValueError):
            raise PromptError(
                f"text_prompt is (words, box threshold, text threshold), not {prompt!r}"
            ) from None
        split_phrases(words)
        return cls(words, box_threshold, text_threshold)

    def find(
        self, image: Any, detector: ObjectDetector, source: MaskSource
    ) -> tuple[npt.NDArray[np.float64], dict[int, BoolArray]]:
        """Return (N, 4) boxes x0, y0, x1, y1, and by their numbers the masks that are known."""
        asked = (image, self.words, self.box_threshold, self.text_threshold)
        draw = getattr(detector, "predict_masks", None)
        if draw is None or source is MaskSource.MODEL:
            boxes, _, _ = detector.predict(*asked)
            return np.asarray(boxes, dtype=np.float64), {}
        boxes, _, _, masks = draw(*asked)
        known = {at: np.asarray(mask, bool) for at, mask in enumerate(masks) if mask is not None}
        return np.asarray(boxes, dtype=np.float64), known


class GroundingDINO:
    """Finds boxes for words: a GroundingDINO, or any other detector of this package.

    Parameters
    ----------
    model : str or Path
        Name of a detector (``segmate detectors`` lists them), ``"auto"`` for the first one that is
        there, or one of your own: a folder, a file, or ``"owner/name@revision"``. Its files are
        downloaded if they are missing.
    device : str
        ``"auto"``, ``"cpu"``, ``"cuda"``, ``"cuda:1"`` or ``"mps"``.
    context : Context, optional
        Progress and cancellation of a download.

    Raises
    ------
    UnknownNameError
        No such detector.
    MissingExtraError
        What it needs is not installed; names the command that installs it.
    OfflineError, ModelError
        Its files cannot be had, or do not fit.
    """

    def __init__(
        self,
        model: str | Path = "auto",
        device: str = "auto",
        *,
        context: Context | None = None,
    ) -> None:
        self.detector: Detector = ready(model, device=device, context=context)

    def predict(
        self,
        image: npt.ArrayLike | PathLike,
        text_prompt: str,
        box_threshold: float = 0.3,
        text_threshold: float = 0.25,
        *,
        diameter: float = 0.0,
        params: Params | None = None,
        context: Context | None = None,
    ) -> Predicted:
        """Return the boxes of what words name.

        Boxes that fill more than half of the image, that lie round three others, or that overlap a
        better one are left out; `params` changes that.

        Parameters
        ----------
        image : (H, W), (H, W, 3) or (H, W, 4) array_like, or path
            The picture; of any type, shown with robust contrast.
        text_prompt : str
            Concepts, separated by commas, full stops or lines.
        box_threshold : float
            Least score of a box for the concept that fits it best, 0 to 1.
        text_threshold : float
            Least score of further concepts that a box is named after, 0 to 1.
        diameter : float
            Typical object in pixels; 0 if not known. Small objects are searched in tiles, too.
        params : napari_segmate.tasks.text.run.Params, optional
            All other settings.
        context : Context, optional
            Progress, and cancellation within one tile.

        Returns
        -------
        boxes : (N, 4) float64
            x0, y0, x1, y1 in pixels, pixel centres at integers, best score first: what
            `SegMate.segment` takes as ``boxes_prompt``.
        scores : (N,) float32
            How well each fits its concept, 0 to 1.
        phrases : list of str
            The concept of each; then, after commas, others that score at least `text_threshold`.

        Warns
        -----
        UserWarning
            No box was found; says what to try.

        Raises
        ------
        PromptError
            There is no concept in the text, or one is too long.
        ParameterError
            A threshold that is not 0 to 1.
        ImageError
            No picture.
        """
        found = self._found(
            image, text_prompt, box_threshold, text_threshold, diameter, params, context
        )
        return found.boxes_xy, found.scores, found.names

    def predict_masks(
        self,
        image: npt.ArrayLike | PathLike,
        text_prompt: str,
        box_threshold: float = 0.3,
        text_threshold: float = 0.25,
        *,
        diameter: float = 0.0,
        params: Params | None = None,
        context: Context | None = None,
    ) -> tuple[npt.NDArray[np.float64], FloatArray, list[str], list[BoolArray | None]]:
        """Return the boxes of what words name, and what the detector draws in them.

        Parameters, warnings and errors are those of `predict`.

        Returns
        -------
        boxes, scores, phrases
            As from `predict`.
        masks : list of (H, W) bool or None
            One per box; None where there is none: only some detectors draw masks (SAM 3).
        """
        found = self._found(
            image, text_prompt, box_threshold, text_threshold, diameter, params, context
        )
        masks = [_drawn(mask, found.shape, params or Params()) for mask in found.masks]
        return found.boxes_xy, found.scores, found.names, masks

    def _found(
        self,
        image: npt.ArrayLike | PathLike,
        text_prompt: str,
        box_threshold: float,
        text_threshold: float,
        diameter: float,
        params: Params | None,
        context: Context | None,
    ) -> _Found:
        params = replace(params or Params(), score=box_threshold)
        params = replace(params, diameter=diameter or params.diameter)
        choice = replace(params.select_params, text_score=text_threshold)
        words = split_phrases(text_prompt)
        seen = search(
            as_plane(image),
            words,
            self.detector,
            params.search_options,
            diameter=params.diameter,
            context=context,
        )
        found = select(seen, choice)
        large = [touches((y0, x0, y1, x1), seen.shape) for y0, x0, y1, x1 in found.boxes_yx]
        keep = np.flatnonzero(large)
        if not keep.size:
            best = seen.scores.max(axis=0, initial=0.0)
            # Told of the line that called `predict`.
            warnings.warn(no_boxes([best.tolist()], words, box_threshold), stacklevel=3)
        return _Found(
            found.boxes_yx[keep][:, [1, 0, 3, 2]],
            found.scores[keep],
            [_name(seen, row, text_threshold) for row in found.rows[keep].tolist()],
            tuple(found.masks[at] for at in keep.tolist()),
            seen.shape,
        )

    detect = predict


@dataclass(frozen=True, eq=False)
class _Found:
    """Boxes that passed."""

    boxes_xy: npt.NDArray[np.float64]
    scores: FloatArray
    names: list[str]
    masks: Masks
    shape: Shape2D


def _drawn(mask: CoarseMask | None, shape: Shape2D, params: Params) -> BoolArray | None:
    """Return a mask as large as the picture."""
    drawn = None if mask is None else mask.instance(shape)
    if drawn is None:
        return None
    cleaned = clean(drawn.mask, params.fill_holes, params.min_pixels)
    return paste(replace(drawn, mask=cleaned), shape)


def _name(seen: Detections, row: int, least: float) -> str:
    """Return all concepts that fit a box, the best one first."""
    order = np.argsort(-seen.scores[row], kind="stable").tolist()
    return ", ".join(
        seen.phrases[at] for at in order if at == order[0] or seen.scores[row, at] >= least
    )
