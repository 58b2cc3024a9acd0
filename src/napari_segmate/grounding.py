"""`GroundingDINO`: a picture and words in, boxes out, in the (x, y) order of SAM's interfaces."""

from __future__ import annotations

import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from napari_segmate.core.context import Context
from napari_segmate.core.detections import Detections, select
from napari_segmate.core.phrases import split_phrases
from napari_segmate.core.types import FloatArray
from napari_segmate.detectors.base import Detector
from napari_segmate.inference.search import search
from napari_segmate.io.pictures import PathLike, as_picture
from napari_segmate.tasks.boxes import touches
from napari_segmate.tasks.text import Params, ready
from napari_segmate.tasks.text_found import no_boxes

__all__ = ["GroundingDINO"]

Predicted = tuple[npt.NDArray[np.float64], FloatArray, list[str]]


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
        params : napari_segmate.tasks.text.Params, optional
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
        params = replace(params or Params(), score=box_threshold)
        params = replace(params, diameter=diameter or params.diameter)
        choice = replace(params.select_params, text_score=text_threshold)
        words = split_phrases(text_prompt)
        picture = as_picture(image)
        seen = search(
            picture,
            words,
            self.detector,
            params.search_options,
            diameter=params.diameter,
            context=context,
        )
        found = select(seen, choice)
        large = [touches((y0, x0, y1, x1), seen.shape) for y0, x0, y1, x1 in found.boxes_yx]
        keep = np.array(large, bool)
        if not keep.any():
            best = seen.scores.max(axis=0, initial=0.0)
            warnings.warn(no_boxes([best.tolist()], words, box_threshold), stacklevel=2)
        names = [_name(seen, row, text_threshold) for row in found.rows[keep].tolist()]
        return found.boxes_yx[keep][:, [1, 0, 3, 2]], found.scores[keep], names

    detect = predict


def _name(seen: Detections, row: int, least: float) -> str:
    """Return all concepts that fit a box, the best one first."""
    order = np.argsort(-seen.scores[row], kind="stable").tolist()
    return ", ".join(
        seen.phrases[at] for at in order if at == order[0] or seen.scores[row, at] >= least
    )
