"""What every family with a network of its own shares: names, devices, batches, checks."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from threading import RLock
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import numpy.typing as npt

from napari_segmate.core.context import Context
from napari_segmate.core.errors import ImageError, ModelError
from napari_segmate.core.prompts import ObjectPrompts
from napari_segmate.core.types import (
    DenseMaps,
    Embedding,
    FloatArray,
    MaskResult,
    RGBImage,
    Shape2D,
)
from napari_segmate.models._prompts import PromptArrays, batches, prompt_arrays
from napari_segmate.models.base import ModelInfo

if TYPE_CHECKING:
    import torch

__all__ = ["NetworkSegmenter"]


class NetworkSegmenter(ABC):
    """A `napari_segmate.models.base.Segmenter` on top of one network.

    Parameters
    ----------
    info : ModelInfo
        Which model.
    network : torch.nn.Module
        With its weights.
    sha256 : str
        Of the weights file.
    device : str
        Where to run.
    fast : bool
        Encode in lower precision where that is faster.
    """

    batch: ClassVar[int]
    """Prompts decoded at a time: larger batches leave the processor's cache."""
    confident: ClassVar[float]
    """Logit of a pixel inside a mask prompt."""

    def __init__(
        self,
        info: ModelInfo,
        network: torch.nn.Module,
        sha256: str,
        device: str,
        fast: bool = False,
    ) -> None:
        self._info = info
        self._network: Any = network.to(device).eval()
        self._key = f"{info.name}@{sha256[:12]}{'-fast' if fast else ''}"
        self._device = device
        self._fast = fast
        # The caller need not care which thread asks.
        self._lock = RLock()

    @property
    def network(self) -> Any:
        """The network itself; whoever wants to change it takes a copy."""
        return self._network

    @property
    def info(self) -> ModelInfo:
        """Which model this is."""
        return self._info

    @property
    def key(self) -> str:
        """Name and weights hash; another one for lower precision."""
        return self._key

    @property
    def device(self) -> str:
        """Where it runs."""
        return self._device

    def encode(self, image: RGBImage, context: Context | None = None) -> Embedding:
        """Return the embedding of an image.

        Parameters
        ----------
        image : (H, W, 3) uint8
            Any size from 1 x 1.
        context : Context, optional
            Progress and cancellation.

        Raises
        ------
        ImageError
            Not an RGB image.
        OutOfMemoryError
            Too little memory, on the device and in the machine.
        """
        if image.ndim != 3 or image.shape[2] != 3 or 0 in image.shape:
            raise ImageError(f"expected (height, width, 3) uint8, got {image.shape}")
        from napari_segmate._torch import inference, on_device_or_cpu

        context = context or Context()
        context.check()

        def run(device: str) -> dict[str, npt.NDArray[Any]]:
            self._move(device)
            with inference(device, self._fast):
                return self._arrays(image, context)

        with self._lock:
            arrays = on_device_or_cpu(run, self._device)
        height, width = image.shape[:2]
        return Embedding(arrays, (int(height), int(width)), self._key)

    def decode(
        self,
        embedding: Embedding,
        prompts: Sequence[ObjectPrompts],
        *,
        multimask: bool = True,
        context: Context | None = None,
    ) -> MaskResult:
        """Return masks of N objects; see `napari_segmate.models.base.Segmenter.decode`."""
        context = context or Context()
        low = self._low_shape(embedding.image_shape)
        count = 3 if multimask else 1
        logits = np.empty((len(prompts), count, *low), np.float32)
        scores = np.empty((len(prompts), count), np.float32)
        for numbers in batches(prompts, self.batch):
            context.check()
            arrays = prompt_arrays([prompts[number] for number in numbers])
            logits[numbers], found = self.decode_xy(embedding, arrays, multimask)
            scores[numbers] = self._expected(found, logits[numbers], arrays.logits is not None)
        return MaskResult(logits, np.clip(scores, 0, 1), embedding.image_shape)

    def decode_xy(
        self, embedding: Embedding, prompts: PromptArrays, multimask: bool = True
    ) -> tuple[FloatArray, FloatArray]:
        """Return low-resolution logits (N, M, h, w) and predicted IoU (N, M)."""
        from napari_segmate._torch import inference, to_array

        with self._lock, inference(self._device):
            logits, scores = self._masks(embedding, prompts, multimask)
        return to_array(logits), to_array(scores)

    def _expected(self, scores: FloatArray, logits: FloatArray, again: bool) -> FloatArray:
        """Return the IoU to expect of masks with predicted ones; calibrated families differ."""
        return scores

    def decode_points(
        self,
        embedding: Embedding,
        points_yx: npt.NDArray[np.float64],
        least: float | None = None,
        context: Context | None = None,
    ) -> tuple[FloatArray, FloatArray]:
        """Return masks of many single points, one object each.

        Parameters
        ----------
        embedding : Embedding
            Of the image.
        points_yx : (N, 2) float
            Pixels of the encoded image.
        least : float, optional
            Masks with a predicted IoU up to this are not wanted.
        context : Context, optional
            Cancellation.

        Returns
        -------
        logits : (N, 3, h, w) float32
            Low resolution; minus infinity, or anything, in masks that are not wanted.
        scores : (N, 3) float32
            Predicted IoU as the network gives it, not cut to 0 .. 1.
        """
        context = context or Context()
        logits = np.empty((len(points_yx), 3, *self._low_shape(embedding.image_shape)), np.float32)
        scores = np.empty((len(points_yx), 3), np.float32)
        for start in range(0, len(points_yx), self.batch):
            context.check()
            part = slice(start, start + self.batch)
            points = points_yx[part, None, ::-1]
            prompts = PromptArrays(points, np.ones(points.shape[:2], np.int64))
            logits[part], scores[part] = self._points(embedding, prompts, least)
        return logits, scores

    def _points(
        self, embedding: Embedding, prompts: PromptArrays, least: float | None
    ) -> tuple[FloatArray, FloatArray]:
        """Return masks of single points; families that can do it faster do."""
        return self.decode_xy(embedding, prompts)

    def instance_maps(self, embedding: Embedding) -> DenseMaps:
        """Return the maps that tell all objects apart; families with an instance head do.

        Raises
        ------
        ModelError
            There is no instance head.
        """
        raise ModelError(
            f"{self._info.name} has no instance head; choose a model that has one, "
            "or the grid mode, which every model knows"
        )

    def upscale(self, logits: FloatArray, image_shape: Shape2D) -> FloatArray:
        """Return (..., h, w) low-resolution logits at the size of the encoded image."""
        from napari_segmate._torch import inference, to_array

        flat = np.reshape(logits, (-1, 1, *logits.shape[-2:]))
        with inference("cpu"):
            large = self._large(self._tensor(flat, "cpu"), image_shape)
        result: FloatArray = to_array(large).reshape((*logits.shape[:-2], *image_shape))
        return result

    def mask_input(self, mask: npt.NDArray[Any], image_shape: Shape2D) -> FloatArray:
        """Return (H, W) mask of the encoded image as low-resolution logits for a prompt."""
        inside = self._shares(mask, image_shape)
        logits: FloatArray = ((inside - 0.5) * 2 * self.confident).astype(np.float32)
        return logits

    @abstractmethod
    def _arrays(self, image: RGBImage, context: Context) -> dict[str, npt.NDArray[Any]]:
        """Return what the encoder makes of an image."""

    @abstractmethod
    def _masks(
        self, embedding: Embedding, prompts: PromptArrays, multimask: bool
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return logits and predicted IoU."""

    @abstractmethod
    def _low_shape(self, image_shape: Shape2D) -> Shape2D:
        """Return the size of the low-resolution logits."""

    @abstractmethod
    def _large(self, logits: torch.Tensor, image_shape: Shape2D) -> torch.Tensor:
        """Return (N, 1, h, w) logits at the size of the image."""

    @abstractmethod
    def _shares(self, mask: npt.NDArray[Any], image_shape: Shape2D) -> FloatArray:
        """Return which share of each low-resolution cell a mask covers."""

    def _tensor(self, array: npt.ArrayLike, device: str | None = None) -> torch.Tensor:
        from napari_segmate._torch import to_tensor

        return to_tensor(array, device or self._device)

    def _move(self, device: str) -> None:
        if device != self._device:
            self._network.to(device)
            self._device = device
