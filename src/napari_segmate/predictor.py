"""The predictor that users of ``segment_anything`` know, on any of our models."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np
import numpy.typing as npt

from napari_segmate.core.context import Context
from napari_segmate.core.errors import ImageError, ModelError, PromptError
from napari_segmate.core.types import Embedding, FloatArray, RGBImage, Shape2D
from napari_segmate.models import DEFAULT_MODEL, load_model
from napari_segmate.models._prompts import PromptArrays

if TYPE_CHECKING:
    import torch

__all__ = ["Predictor"]


class _Decodes(Protocol):
    """What the predictor needs of a model: a `Segmenter` that also takes (x, y) arrays."""

    @property
    def device(self) -> str: ...

    def encode(self, image: RGBImage, context: Context | None = ...) -> Embedding: ...

    def decode_xy(
        self, embedding: Embedding, prompts: PromptArrays, multimask: bool = ...
    ) -> tuple[FloatArray, FloatArray]: ...

    def upscale(self, logits: FloatArray, image_shape: Shape2D) -> FloatArray: ...


class Predictor:
    """Masks of one image, with the methods and results of ``segment_anything.SamPredictor``.

    Parameters
    ----------
    model : str or Segmenter
        Name of a model, path of a weights file, or a loaded model.
    device : str
        ``"auto"``, ``"cpu"``, ``"cuda"``, ``"mps"``; ignored for a loaded model.

    Examples
    --------
    >>> predictor = Predictor()
    >>> predictor.set_image(np.zeros((64, 64, 3), np.uint8))
    >>> masks, scores, logits = predictor.predict(
    ...     point_coords=np.array([[10, 20]]), point_labels=np.array([1])
    ... )
    >>> masks.shape, scores.shape, logits.shape
    ((3, 64, 64), (3,), (3, 64, 64))
    """

    mask_threshold = 0.0

    def __init__(self, model: Any = DEFAULT_MODEL, device: str = "auto") -> None:
        loaded: Any = load_model(model, device=device) if _is_name(model) else model
        if not hasattr(loaded, "decode_xy"):
            raise ModelError(f"{loaded!r} cannot answer a predictor; load it with load_model")
        self.model: _Decodes = loaded
        self.reset_image()

    @property
    def device(self) -> str:
        """Where the model runs."""
        return self.model.device

    def reset_image(self) -> None:
        """Forget the image."""
        self._embedding: Embedding | None = None

    @property
    def is_image_set(self) -> bool:
        """True once an image was given."""
        return self._embedding is not None

    @property
    def original_size(self) -> Shape2D:
        """Height and width of the image."""
        return self._set().image_shape

    def set_image(
        self, image: npt.NDArray[np.uint8], image_format: Literal["RGB", "BGR"] = "RGB"
    ) -> None:
        """Take an image, and encode it.

        Parameters
        ----------
        image : (H, W, 3) uint8
            The image.
        image_format : {"RGB", "BGR"}
            Order of the colours.

        Raises
        ------
        ImageError
            Another shape or type.
        """
        if image_format not in ("RGB", "BGR"):
            raise ImageError(f"no image format {image_format!r}; choose one of ['RGB', 'BGR']")
        array = np.asarray(image)
        if array.ndim != 3 or array.shape[2] != 3 or array.dtype != np.uint8:
            raise ImageError(
                f"expected (height, width, 3) uint8, got {array.shape} {array.dtype}; "
                "napari_segmate.as_rgb converts other images"
            )
        self._embedding = self.model.encode(array[..., ::-1] if image_format == "BGR" else array)

    def get_image_embedding(self) -> torch.Tensor:
        """Return the (1, C, h, w) embedding of the image."""
        import torch

        return torch.from_numpy(np.asarray(self._set().arrays["embedding"]))[None]

    def predict(
        self,
        point_coords: npt.NDArray[Any] | None = None,
        point_labels: npt.NDArray[Any] | None = None,
        box: npt.NDArray[Any] | None = None,
        mask_input: npt.NDArray[Any] | None = None,
        multimask_output: bool = True,
        return_logits: bool = False,
    ) -> tuple[npt.NDArray[Any], FloatArray, FloatArray]:
        """Return masks of one object.

        Parameters
        ----------
        point_coords : (P, 2) array, optional
            Points as (x, y) in pixels.
        point_labels : (P,) array, optional
            1 includes, 0 excludes.
        box : (4,) array, optional
            x0, y0, x1, y1 in pixels.
        mask_input : (1, h, w) array, optional
            Low-resolution logits of an earlier answer.
        multimask_output : bool
            Three candidates, or one.
        return_logits : bool
            Logits instead of masks.

        Returns
        -------
        masks : (M, H, W) bool, or float32 with `return_logits`
        scores : (M,) float32
            Predicted IoU.
        logits : (M, h, w) float32
            Low resolution; use one as the next `mask_input`.

        Raises
        ------
        ModelError
            No image was set.
        PromptError
            Points without labels, or arrays of other shapes.
        """
        embedding = self._set()
        prompts = _arrays(point_coords, point_labels, box, mask_input)
        logits, scores = self.model.decode_xy(embedding, prompts, multimask_output)
        masks = self._masks(logits, return_logits)
        return masks[0], scores[0], logits[0]

    def predict_torch(
        self,
        point_coords: torch.Tensor | None,
        point_labels: torch.Tensor | None,
        boxes: torch.Tensor | None = None,
        mask_input: torch.Tensor | None = None,
        multimask_output: bool = True,
        return_logits: bool = False,
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return masks of N objects from tensors.

        As upstream's, but coordinates are pixels of the image given to `set_image`: no transform
        has to be applied first.

        Parameters
        ----------
        point_coords : (N, P, 2) Tensor, optional
        point_labels : (N, P) Tensor, optional
        boxes : (N, 4) Tensor, optional
        mask_input : (N, 1, h, w) Tensor, optional
        multimask_output, return_logits : bool
            See `predict`.

        Returns
        -------
        masks : (N, M, H, W)
        scores : (N, M)
        logits : (N, M, h, w)
        """
        import torch

        prompts = PromptArrays(
            *(
                None if given is None else given.detach().cpu().numpy()
                for given in (point_coords, point_labels, boxes, mask_input)
            )
        )
        logits, scores = self.model.decode_xy(self._set(), prompts, multimask_output)
        masks = self._masks(logits, return_logits)
        return torch.from_numpy(masks), torch.from_numpy(scores), torch.from_numpy(logits)

    def _masks(self, logits: FloatArray, return_logits: bool) -> npt.NDArray[Any]:
        large = self.model.upscale(logits, self.original_size)
        return large if return_logits else large > self.mask_threshold

    def _set(self) -> Embedding:
        if self._embedding is None:
            raise ModelError("no image is set; call set_image(...) first")
        return self._embedding


def _is_name(model: Any) -> bool:
    from pathlib import Path

    return isinstance(model, str | Path)


def _arrays(
    points: npt.NDArray[Any] | None,
    labels: npt.NDArray[Any] | None,
    box: npt.NDArray[Any] | None,
    mask_input: npt.NDArray[Any] | None,
) -> PromptArrays:
    if (points is None) != (labels is None):
        raise PromptError("point_coords and point_labels must be given together")
    if points is None and box is None and mask_input is None:
        raise PromptError("no prompt: give point_coords with point_labels, a box, or a mask_input")
    coords = None if points is None else _shaped(points, (-1, 2), "point_coords", "(P, 2)")[None]
    kinds = None if labels is None else np.asarray(labels, np.int64).ravel()[None]
    if coords is not None and kinds is not None and coords.shape[1] != kinds.shape[1]:
        raise PromptError(f"{coords.shape[1]} points but {kinds.shape[1]} labels")
    boxes = None if box is None else _shaped(box, (1, 4), "box", "(4,)")
    logits = None if mask_input is None else np.asarray(mask_input, np.float32)[None]
    return PromptArrays(coords, kinds, boxes, logits)


def _shaped(
    value: npt.NDArray[Any], shape: tuple[int, int], name: str, wanted: str
) -> npt.NDArray[np.float64]:
    array = np.asarray(value, np.float64)
    if array.shape[-1] != shape[-1] or array.ndim > 2:
        raise PromptError(f"{name} must have shape {wanted}, got {array.shape}")
    return array.reshape(shape)
