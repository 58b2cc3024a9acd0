"""`SegMate`: prompts in, masks out, in the (x, y) order of Segment Anything's own interfaces."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from napari_segmate.core.context import Context
from napari_segmate.core.errors import ParameterError, PromptError
from napari_segmate.core.masks.coarse_masks import MaskSource
from napari_segmate.core.prompts import Box, ObjectPrompts, Points
from napari_segmate.core.training_events import Event, Result
from napari_segmate.core.types import BoolArray, LabelArray
from napari_segmate.grounding import GroundingDINO, ObjectDetector, TextPrompt
from napari_segmate.inference.embeddings.store import EmbeddingStore
from napari_segmate.inference.prompts.whole_image import WholeImage, prompts_of
from napari_segmate.io.pictures import PathLike, as_picture, as_source
from napari_segmate.io.pixel_size import diameter_of
from napari_segmate.models import DEFAULT_MODEL, load_model
from napari_segmate.models.base import Segmenter
from napari_segmate.tasks.automask.run import Mode, run_stack
from napari_segmate.tasks.automask.run import Params as AutoParams
from napari_segmate.tasks.automask.volume import Volume, run_volumes
from napari_segmate.tasks.propagate.params import Params as PropagateParams
from napari_segmate.tasks.propagate.planes import StackPlanes
from napari_segmate.tasks.propagate.run import Seed
from napari_segmate.tasks.propagate.run import run as propagate
from napari_segmate.tasks.segment import inside
from napari_segmate.tasks.train.run import Params
from napari_segmate.tasks.train.run import run as train
from napari_segmate.training.data import Annotation
from napari_segmate.training.files import samples_of
from napari_segmate.training.presets import Preset

__all__ = ["SegMate"]

BATCH = 16
"""Objects decoded and enlarged at a time: bounds memory."""


class SegMate:
    """A promptable segmenter for pictures: arrays or files in, masks out.

    The model sees the whole picture, enlarged when its objects are small; for objects in large
    images use `napari_segmate.tasks.segment.run`, which looks at windows.

    Parameters
    ----------
    model_type : str
        Name of a model, see `napari_segmate.list_models`.
    checkpoint : path, optional
        A weights file to use instead; its architecture is found from the shapes in it.
    device : str
        ``"auto"``, ``"cpu"``, ``"cuda"``, ``"cuda:1"`` or ``"mps"``.
    fast : bool
        Allow lower precision where it is faster.
    context : Context, optional
        Progress and cancellation of a download.
    object_detector : ObjectDetector, optional
        Who finds boxes for a text prompt; a `GroundingDINO` is loaded with the first one otherwise.

    Raises
    ------
    UnknownNameError
        No such model.
    OfflineError, WeightsError
        The weights cannot be had, or do not fit.

    Examples
    --------
    >>> from napari_segmate.core.synthetic import nuclei
    >>> image, labels = nuclei()
    >>> y, x = np.argwhere(labels == 1).mean(axis=0)
    >>> points = np.array([[x, y]]), np.array([1])
    >>> SegMate("tiny").segment(image=image, points_prompt=points).shape
    (1, 3, 512, 512)
    """

    def __init__(
        self,
        model_type: str = DEFAULT_MODEL,
        checkpoint: PathLike | None = None,
        device: str = "auto",
        *,
        fast: bool = False,
        context: Context | None = None,
        object_detector: ObjectDetector | None = None,
    ) -> None:
        name = model_type if checkpoint is None else Path(checkpoint)
        self.model: Segmenter = load_model(name, device=device, fast=fast, context=context)
        self._store = EmbeddingStore()
        self.object_detector = object_detector

    def set_object_detector(self, object_detector: ObjectDetector) -> None:
        """Take another detector for text prompts."""
        self.object_detector = object_detector

    def segment(
        self,
        image: npt.ArrayLike | PathLike,
        points_prompt: tuple[npt.ArrayLike, npt.ArrayLike] | None = None,
        boxes_prompt: npt.ArrayLike | None = None,
        mask_input: npt.ArrayLike | None = None,
        multimask_output: bool = True,
        text_prompt: str | tuple[str, float, float] | None = None,
        *,
        text_masks: str = "detector",
    ) -> npt.NDArray[np.uint8]:
        """Return the masks of the prompted objects.

        Given together, points, boxes and masks say more about the same N objects. A text prompt
        goes alone.

        Parameters
        ----------
        image : (H, W), (H, W, 3) or (H, W, 4) array_like, or path
            The picture; encoded once, however often it is asked about.
        points_prompt : (coords_xy, labels), optional
            Coordinates (N, 2) in (x, y) and labels (N,): one object each. (N, P, 2) and (N, P):
            several points per object. Label 1 includes, 0 excludes, -1 is no point.
        boxes_prompt : (N, 4) array_like, optional
            x0, y0, x1, y1; one object each.
        mask_input : (N, H, W) array_like of bool, or (N, h, w) array_like of float, optional
            Rough masks of the size of the image, or low-resolution logits of an earlier answer.
        multimask_output : bool
            Three masks per object, from part to whole, instead of one.
        text_prompt : str or (str, float, float), optional
            What to look for, and least scores of a box and of its further names, 0 to 1, as for
            `GroundingDINO.predict`: ``("nucleus, red blood cell", 0.3, 0.25)``. Boxes are then
            found by `object_detector`, best score first.
        text_masks : {"detector", "model"}
            Who draws what words name, where the detector can draw, too. It draws one mask per
            object: with `multimask_output` that one stands three times.

        Returns
        -------
        (N, M, H, W) uint8
            1 inside; the better of two masks is not always the first one. N is 0 where words name
            nothing in the picture.

        Warns
        -----
        UserWarning
            No box was found for a text prompt; says what to try.

        Raises
        ------
        ImageError
            No picture.
        PromptError
            No prompt, prompts outside the picture, numbers that do not match, or a text without
            words.
        ParameterError
            A score that is not 0 to 1, or another `text_masks`.
        MissingExtraError, OfflineError, ModelError
            There is no detector for words; says how to get one.

        Examples
        --------
        >>> SegMate("tiny").segment(image=np.zeros((64, 48)), boxes_prompt=[[5, 5, 20, 20]]).dtype
        dtype('uint8')
        """
        picture = as_picture(image)
        drawn: Mapping[int, BoolArray] = {}
        if text_prompt is not None:
            _check_alone(points_prompt, boxes_prompt, mask_input)
            asked = TextPrompt.of(text_prompt)
            source = _choice(MaskSource, text_masks, "text_masks")
            if self.object_detector is None:
                self.object_detector = GroundingDINO(device=self.model.device)
            boxes_prompt, drawn = asked.find(picture, self.object_detector, source)
            if not len(boxes_prompt):
                return np.zeros((0, 3 if multimask_output else 1, *picture.shape[:2]), np.uint8)
        whole = WholeImage(picture, self.model, self._store)
        prompts = [
            inside(one, whole.shape)
            for one in prompts_of(points_prompt, boxes_prompt, mask_input, whole)
        ]
        masks = np.zeros((len(prompts), 3 if multimask_output else 1, *whole.shape), np.uint8)
        waiting = [at for at in range(len(prompts)) if at not in drawn]
        for at, mask in drawn.items():
            masks[at] = mask
        for first in range(0, len(waiting), BATCH):
            some = waiting[first : first + BATCH]
            batch = [prompts[at] for at in some]
            masks[some] = whole.decode(batch, multimask=multimask_output)[0] > 0
        return masks

    def auto(
        self,
        image: npt.ArrayLike | PathLike,
        mode: str | None = None,
        diameter: float | str | None = None,
        *,
        pixel_size: float | str | None = None,
        params: AutoParams | None = None,
        link: bool = True,
        anisotropy: float = 1.0,
        volume: str = "planes",
        context: Context | None = None,
    ) -> LabelArray:
        """Return the labels of all objects of an image or of a stack.

        Parameters
        ----------
        image : array_like or path
            (H, W), (H, W, 3), or a stack (Z, H, W); of any size.
        mode : {"objects", "refined", "grid"}, optional
            How objects are found; by default what suits the model.
        diameter : float or str, optional
            Typical object: pixels (``12``, ``"12px"``) or micrometres (``"12um"``, ``"12 µm"``);
            estimated by default, and for 0.
        pixel_size : float or str, optional
            Side of a pixel in micrometres, for a diameter in micrometres; by default what the
            file says. Arrays say nothing.
        params : napari_segmate.tasks.automask.run.Params, optional
            All other settings.
        link : bool
            Objects that overlap from plane to plane of a stack get one number.
        anisotropy : float
            Distance of the planes of a stack over that of pixels.
        volume : {"planes", "views"}
            How objects of a stack are found: in each plane, then linked; or in planes of three
            directions, averaged into one field.
        context : Context, optional
            Progress and cancellation.

        Returns
        -------
        (H, W) or (Z, H, W) int32
            0 is background.

        Raises
        ------
        ImageError
            No image.
        ParameterError
            A setting out of its range, no such mode, or micrometres of an image that does not say
            how large a pixel is.
        ModelError
            The model cannot find objects in this mode.

        Examples
        --------
        >>> from napari_segmate.core.synthetic import nuclei
        >>> image, truth = nuclei((128, 128), count=6)
        >>> SegMate("tiny").auto(image).shape
        (128, 128)
        """
        settings = params or AutoParams()
        if mode is not None:
            settings = replace(settings, mode=_choice(Mode, mode, "mode"))
        if diameter is not None:
            settings = replace(settings, diameter=diameter_of(image, diameter, pixel_size))
        source = as_source(image)
        if _choice(Volume, volume, "volume") is Volume.VIEWS and source.index_shape:
            return run_volumes(
                source,
                self.model,
                settings,
                anisotropy=anisotropy,
                store=self._store,
                context=context,
            )
        return run_stack(
            source,
            self.model,
            settings,
            link=link,
            anisotropy=anisotropy,
            store=self._store,
            context=context,
        )

    def propagate(
        self,
        stack: npt.ArrayLike | PathLike,
        points: npt.ArrayLike | None = None,
        boxes: npt.ArrayLike | None = None,
        labels: npt.ArrayLike | None = None,
        *,
        anisotropy: float = 1.0,
        params: PropagateParams | None = None,
        context: Context | None = None,
    ) -> LabelArray:
        """Return the labels of objects shown on some planes of a stack, in all of it.

        Parameters
        ----------
        stack : (Z, H, W) or (Z, H, W, 3) array_like, or path
            The image.
        points : (N, 3) array_like, optional
            Plane, row and column of a pixel of each object.
        boxes : (N, 5) array_like, optional
            Plane, and rows and columns of two corners: z, y0, x0, y1, x1; one object each.
        labels : (Z, H, W) array_like of int, optional
            Objects that are labelled on some planes; they keep their numbers.
        anisotropy : float
            Distance of the planes over that of pixels.
        params : napari_segmate.tasks.propagate.params.Params, optional
            Weights and gates.
        context : Context, optional
            Progress and cancellation.

        Returns
        -------
        (Z, H, W) uint16 or larger
            Points are numbered before boxes, after the objects of `labels`.

        Raises
        ------
        ImageError
            No stack.
        PromptError
            Nothing to follow, or a prompt outside the stack.
        LabelsError
            Labels of another shape.

        Examples
        --------
        >>> from napari_segmate.core.synthetic import stack_3d
        >>> image, truth = stack_3d((8, 64, 64), count=3)
        >>> point = np.argwhere(truth == 1)[:1]
        >>> SegMate("tiny").propagate(image, point, anisotropy=2).shape
        (8, 64, 64)
        """
        settings = params or PropagateParams()
        planes = StackPlanes(as_source(stack), anisotropy=anisotropy, smooth_z=settings.smooth_z)
        at = np.asarray([] if points is None else points, dtype=np.float64).reshape(-1, 3)
        corners = np.asarray([] if boxes is None else boxes, dtype=np.float64).reshape(-1, 5)
        seeds = [Seed(int(one[0]), ObjectPrompts(points=Points(one[None, 1:]))) for one in at]
        for z, y0, x0, y1, x1 in corners.tolist():
            seeds.append(Seed(int(z), ObjectPrompts(box=Box((y0, x0, y1, x1)))))
        state = propagate(
            planes,
            self.model,
            seeds,
            labels=None if labels is None else np.asarray(labels),
            params=settings,
            store=self._store,
            context=context,
        )
        return state.labels()

    def fine_tune(
        self,
        train_data: Iterable[tuple[npt.ArrayLike | PathLike, npt.ArrayLike | PathLike]],
        lr: float | None = None,
        num_epochs: int | None = None,
        original_input_size: tuple[int, int] | None = None,
        *,
        name: str = "my-model",
        preset: str = "quick",
        annotation: str = "planes",
        overwrite: bool = False,
        settings: Mapping[str, Any] | None = None,
        emit: Callable[[Event], None] | None = None,
        context: Context | None = None,
    ) -> Result:
        """Train the model on labelled pictures and use the new one from then on.

        Parameters
        ----------
        train_data : iterable of (image, labels)
            Arrays or files: (H, W) or (H, W, 3) pictures, and (H, W) label images where 0 is
            background and each other number is one object.
        lr : float, optional
            Highest learning rate; what the preset says by default.
        num_epochs : int, optional
            Most epochs; what the preset says by default.
        original_input_size : (height, width), optional
            Size that all pictures must have.
        name : str
            Of the new model: it is written to the user's models, and can be loaded by this name.
        preset : str
            ``"quick"``, ``"balanced"`` or ``"full"``.
        annotation : str
            What was labelled: all objects of the ``"planes"``, or some ``"objects"``.
        overwrite : bool
            Replace a model of this name.
        settings : mapping, optional
            More of `napari_segmate.tasks.train.run.Params`, such as ``{"seed": 1}``.
        emit : callable, optional
            Gets the events of the training.
        context : Context, optional
            Cancellation.

        Returns
        -------
        Result
            Name, file, and measures on held-out objects before and after.

        Raises
        ------
        LabelsError, ImageError
            Labels and pictures that do not fit, or no object.
        ParameterError
            The name is taken, or a setting is out of range.
        """
        params = Params(
            model=self.model.info.name,
            name=name,
            preset=_choice(Preset, preset, "preset"),
            rate=lr,
            epochs=num_epochs,
            device=self.model.device,
            **(settings or {}),
        )
        mode = _choice(Annotation, annotation, "annotation")
        samples = samples_of(train_data, original_input_size, mode)
        result = train(
            samples, params, emit=emit, context=context, overwrite=overwrite, model=self.model
        )
        self.model = load_model(Path(result.path), device=self.model.device)
        return result


C = TypeVar("C", bound=StrEnum)


def _choice(kind: type[C], text: str, what: str) -> C:
    try:
        return kind(text)
    except ValueError:
        raise ParameterError(
            f"no {what} {text!r}; choose one of {[str(one) for one in kind]}"
        ) from None


def _check_alone(*prompts: object) -> None:
    if any(prompt is not None for prompt in prompts):
        raise PromptError("give a text_prompt, or points, boxes and masks, not both")
