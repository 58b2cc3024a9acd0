"""`SegMate`: prompts in, masks out, in the (x, y) order of Segment Anything's own interfaces."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from napari_segmate.core.context import Context
from napari_segmate.core.errors import ImageError, ParameterError, PromptError
from napari_segmate.core.image import ContrastMode, ImageSource, as_rgb, guess_axes
from napari_segmate.core.masks import instance_from_mask
from napari_segmate.core.prompts import Box, MaskPrompt, ObjectPrompts, Points
from napari_segmate.core.training_events import Event, Result
from napari_segmate.core.types import LabelArray, RGBImage
from napari_segmate.inference.embeddings import EmbeddingStore
from napari_segmate.inference.whole import WholeImage
from napari_segmate.io.images import read_image
from napari_segmate.models import DEFAULT_MODEL, load_model
from napari_segmate.models.base import Segmenter
from napari_segmate.tasks.auto import Mode, run_stack
from napari_segmate.tasks.auto import Params as AutoParams
from napari_segmate.tasks.segment import inside
from napari_segmate.tasks.train import Params
from napari_segmate.tasks.train import run as train
from napari_segmate.training.data import Annotation, Sample, sample_of
from napari_segmate.training.presets import Preset

__all__ = ["SegMate"]

BATCH = 16
"""Objects decoded and enlarged at a time: bounds memory."""

PathLike = str | os.PathLike[str]


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
    ) -> None:
        name = model_type if checkpoint is None else Path(checkpoint)
        self.model: Segmenter = load_model(name, device=device, fast=fast, context=context)
        self._store = EmbeddingStore()

    def segment(
        self,
        image: npt.ArrayLike | PathLike,
        points_prompt: tuple[npt.ArrayLike, npt.ArrayLike] | None = None,
        boxes_prompt: npt.ArrayLike | None = None,
        mask_input: npt.ArrayLike | None = None,
        multimask_output: bool = True,
    ) -> npt.NDArray[np.uint8]:
        """Return the masks of the prompted objects.

        Given together, points, boxes and masks say more about the same N objects.

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

        Returns
        -------
        (N, M, H, W) uint8
            1 inside; the better of two masks is not always the first one.

        Raises
        ------
        ImageError
            No picture.
        PromptError
            No prompt, prompts outside the picture, or numbers that do not match.

        Examples
        --------
        >>> SegMate("tiny").segment(image=np.zeros((64, 48)), boxes_prompt=[[5, 5, 20, 20]]).dtype
        dtype('uint8')
        """
        whole = WholeImage(_picture(image), self.model, self._store)
        prompts = [
            inside(one, whole.shape)
            for one in _prompts(points_prompt, boxes_prompt, mask_input, whole)
        ]
        batches = [prompts[at : at + BATCH] for at in range(0, len(prompts), BATCH)]
        found = [whole.decode(one, multimask=multimask_output)[0] > 0 for one in batches]
        return np.concatenate(found).astype(np.uint8)

    def auto(
        self,
        image: npt.ArrayLike | PathLike,
        mode: str | None = None,
        diameter: float | None = None,
        *,
        params: AutoParams | None = None,
        link: bool = True,
        anisotropy: float = 1.0,
        context: Context | None = None,
    ) -> LabelArray:
        """Return the labels of all objects of an image or of a stack.

        Parameters
        ----------
        image : array_like or path
            (H, W), (H, W, 3), or a stack (Z, H, W); of any size.
        mode : {"objects", "refined", "grid"}, optional
            How objects are found; by default what suits the model.
        diameter : float, optional
            Typical object in pixels; estimated by default.
        params : napari_segmate.tasks.auto.Params, optional
            All other settings.
        link : bool
            Objects that overlap from plane to plane of a stack get one number.
        anisotropy : float
            Distance of the planes of a stack over that of pixels.
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
            A setting out of its range, or no such mode.
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
            settings = replace(settings, diameter=diameter)
        return run_stack(
            _source(image),
            self.model,
            settings,
            link=link,
            anisotropy=anisotropy,
            store=self._store,
            context=context,
        )

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
            More of `napari_segmate.tasks.train.Params`, such as ``{"seed": 1}``.
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
        samples = _samples(train_data, original_input_size, mode)
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


def _samples(
    train_data: Iterable[tuple[npt.ArrayLike | PathLike, npt.ArrayLike | PathLike]],
    size: tuple[int, int] | None,
    annotation: Annotation,
) -> list[Sample]:
    samples = []
    for number, (image, labels) in enumerate(train_data):
        picture = _picture(image)
        truth = read_image(labels)[0] if isinstance(labels, (str, os.PathLike)) else labels
        name = f"pair {number}"
        if size is not None and picture.shape[:2] != tuple(size):
            raise ImageError(
                f"the image of {name} has {picture.shape[0]} x {picture.shape[1]} pixels, "
                f"original_input_size says {size[0]} x {size[1]}; leave it out for mixed sizes"
            )
        samples.append(sample_of(picture, np.asarray(truth), annotation, name=name))
    return samples


def _source(image: npt.ArrayLike | PathLike) -> ImageSource:
    if isinstance(image, (str, os.PathLike)):
        return ImageSource(*read_image(image))
    array: Any = image if hasattr(image, "shape") else np.asarray(image)
    return ImageSource(array, guess_axes(array.shape, array.dtype))


def _picture(image: npt.ArrayLike | PathLike) -> RGBImage:
    if not isinstance(image, (str, os.PathLike)):
        return as_rgb(image)
    data, axes = read_image(image)
    source = ImageSource(data, axes)
    if np.prod(source.index_shape) != 1:
        raise ImageError(
            f"{image} is a stack of {source.index_shape} planes; read it with "
            "napari_segmate.read_image and give one plane"
        )
    index = (0,) * len(source.index_shape)
    plane = source.plane(index, source.estimate_contrast(ContrastMode.PLANE, index))
    return plane.read((0, 0, *source.shape))


def _prompts(
    points: tuple[npt.ArrayLike, npt.ArrayLike] | None,
    boxes: npt.ArrayLike | None,
    masks: npt.ArrayLike | None,
    whole: WholeImage,
) -> list[ObjectPrompts]:
    parts: dict[str, list[Any]] = {}
    if points is not None:
        parts["points"] = _points(*points)
    if boxes is not None:
        parts["box"] = _boxes(boxes)
    if masks is not None:
        parts["mask"], parts["logits"] = _masks(masks, whole)
    counts = {name: len(values) for name, values in parts.items()}
    if not counts or not max(counts.values()):
        raise PromptError("no prompt: give points_prompt, boxes_prompt or mask_input")
    if len(set(counts.values())) > 1:
        raise PromptError(f"prompts for different numbers of objects: {counts}")
    objects = [dict(zip(parts, one, strict=True)) for one in zip(*parts.values(), strict=True)]
    return [_located(ObjectPrompts(**one)) for one in objects]


def _located(prompts: ObjectPrompts) -> ObjectPrompts:
    """Return prompts that also say as a box where a mask is."""
    if prompts.mask is None or prompts.box is not None or prompts.points is not None:
        return prompts
    y0, x0, y1, x1 = prompts.mask.box_yx
    return replace(prompts, box=Box((y0 - 0.5, x0 - 0.5, y1 - 0.5, x1 - 0.5)))


def _points(coords_xy: npt.ArrayLike, labels: npt.ArrayLike) -> list[Points]:
    coords = np.asarray(coords_xy, dtype=np.float64)
    values = np.asarray(labels)
    if coords.ndim == 2:
        coords, values = coords[:, None], values[..., None]
    if coords.ndim != 3 or coords.shape[-1] != 2 or values.shape != coords.shape[:2]:
        raise PromptError(
            f"points_prompt is (coords, labels) of shapes (N, 2) and (N,), or (N, P, 2) and "
            f"(N, P), not {np.shape(coords_xy)} and {np.shape(labels)}"
        )
    if not np.isin(values, (-1, 0, 1)).all():
        raise PromptError(f"labels of points are 1, 0 or -1, got {np.unique(values).tolist()}")
    return [
        Points(one[label >= 0][:, ::-1], label[label >= 0] == 1)
        for one, label in zip(coords, values, strict=True)
    ]


def _boxes(boxes_xyxy: npt.ArrayLike) -> list[Box]:
    boxes = np.atleast_2d(np.asarray(boxes_xyxy, dtype=np.float64))
    if boxes.ndim != 2 or boxes.shape[1] != 4:
        raise PromptError(f"boxes_prompt has shape (N, 4), x0 y0 x1 y1, not {np.shape(boxes_xyxy)}")
    return [Box((y0, x0, y1, x1)) for x0, y0, x1, y1 in boxes.tolist()]


def _masks(
    masks: npt.ArrayLike, whole: WholeImage
) -> tuple[list[MaskPrompt], list[npt.NDArray[np.float32]]]:
    values = np.asarray(masks)
    if values.ndim == 4 and values.shape[1] == 1:
        values = values[:, 0]
    values = values[None] if values.ndim == 2 else values
    if values.ndim != 3:
        raise PromptError(f"mask_input has shape (N, H, W), not {np.shape(masks)}")
    full = values.shape[1:] == whole.shape and values.dtype.kind in "bui"
    if not full and values.dtype.kind != "f":
        raise PromptError(
            f"masks of {values.shape[1:]} pixels for an image of {whole.shape}; give masks as "
            "large as the image, or low-resolution logits"
        )
    if full:
        inner = values != 0
        logits = [whole.mask_input(one) for one in inner]
    else:
        logits = [one.astype(np.float32) for one in values]
        inner = whole.upscale(values.astype(np.float32)) > 0
    rough = [_rough(one) for one in inner]
    return rough, [one.reshape(one.shape[-2:]) for one in logits]


def _rough(mask: npt.NDArray[np.bool_]) -> MaskPrompt:
    instance = instance_from_mask(mask)
    if instance is None:
        raise PromptError("a mask in mask_input is empty; leave it out or mark at least one pixel")
    return MaskPrompt(instance.box_yx, instance.mask)
