"""Segment Anything (Kirillov et al., 2023): ViT-B, ViT-L, ViT-H, and models trained from them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from threading import RLock
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from napari_segmate.core.context import Context
from napari_segmate.core.errors import ImageError
from napari_segmate.core.prompts import ObjectPrompts
from napari_segmate.core.types import Embedding, FloatArray, MaskResult, RGBImage, Shape2D
from napari_segmate.core.weights import WeightsFile
from napari_segmate.models._prompts import PromptArrays, batches, prompt_arrays
from napari_segmate.models.base import Checkpoint, ModelFamily, ModelInfo, Segmenter

if TYPE_CHECKING:
    import torch
    from segment_anything.modeling import Sam

__all__ = ["FAMILY", "SamSegmenter"]

BATCH = 4
"""Prompts decoded at a time: 64 at once cost more per prompt, they leave the processor's cache."""
CONFIDENT = 8.0
"""Logit of a pixel inside a mask prompt."""


class SamSegmenter:
    """A SAM with a ViT encoder.

    Parameters
    ----------
    info : ModelInfo
        Which model.
    network : Sam
        Upstream's network with its weights.
    sha256 : str
        Of the weights file.
    device : str
        Where to run.
    fast : bool
        Encode in bfloat16.
    """

    def __init__(
        self, info: ModelInfo, network: Sam, sha256: str, device: str, fast: bool = False
    ) -> None:
        self._info = info
        self._network = network.to(device).eval()
        self._key = f"{info.name}@{sha256[:12]}{'-fast' if fast else ''}"
        self._device = device
        self._fast = fast
        self._lock = RLock()
        self._image_pe: torch.Tensor | None = None

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

    @property
    def input_size(self) -> int:
        """Side in pixels of the square that the encoder sees."""
        return int(self._network.image_encoder.img_size)

    def encode(self, image: RGBImage, context: Context | None = None) -> Embedding:
        """Return the embedding of an image.

        Parameters
        ----------
        image : (H, W, 3) uint8
            Any size from 1 x 1; the longer side is resized to the input size, as upstream does.
        context : Context, optional
            Progress per block of the encoder, and cancellation.

        Raises
        ------
        ImageError
            Not an RGB image.
        OutOfMemoryError
            Too little memory, on the device and in the machine.
        """
        if image.ndim != 3 or image.shape[2] != 3 or 0 in image.shape:
            raise ImageError(f"expected (height, width, 3) uint8, got {image.shape}")
        from napari_segmate._torch import inference, on_device_or_cpu, to_array

        context = context or Context()
        resized = self._resized(image)

        def run(device: str) -> torch.Tensor:
            from napari_segmate.models._sam_encoder import encode_image

            self._move(device)
            with inference(device, self._fast):
                prepared = self._network.preprocess(resized.to(device))
                return encode_image(self._network.image_encoder, prepared, context)

        with self._lock:
            embedded = to_array(on_device_or_cpu(run, self._device))[0]
        height, width = image.shape[:2]
        return Embedding({"embedding": embedded}, (int(height), int(width)), self._key)

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
        count = 3 if multimask else 1
        logits = np.empty((len(prompts), count, *self._low_shape), np.float32)
        scores = np.empty((len(prompts), count), np.float32)
        for numbers in batches(prompts, BATCH):
            context.check()
            arrays = prompt_arrays([prompts[number] for number in numbers])
            logits[numbers], scores[numbers] = self.decode_xy(embedding, arrays, multimask)
        return MaskResult(logits, np.clip(scores, 0, 1), embedding.image_shape)

    def decode_xy(
        self, embedding: Embedding, prompts: PromptArrays, multimask: bool = True
    ) -> tuple[FloatArray, FloatArray]:
        """Return low-resolution logits (N, M, h, w) and predicted IoU (N, M), as upstream gives."""
        from napari_segmate._torch import inference, to_array

        with self._lock, inference(self._device):
            image = self._tensor(embedding.arrays["embedding"])[None]
            sparse, dense = self._network.prompt_encoder(*self._inputs(prompts, embedding))
            logits, scores = self._network.mask_decoder(
                image_embeddings=image,
                image_pe=self._positions(),
                sparse_prompt_embeddings=sparse,
                dense_prompt_embeddings=dense,
                multimask_output=multimask,
            )
        return to_array(logits), to_array(scores)

    def upscale(self, logits: FloatArray, image_shape: Shape2D) -> FloatArray:
        """Return (..., h, w) low-resolution logits at the size of the encoded image."""
        from napari_segmate._torch import inference, to_array

        flat = np.reshape(logits, (-1, 1, *logits.shape[-2:]))
        with inference("cpu"):
            large = self._network.postprocess_masks(
                self._tensor(flat, "cpu"), self._input_shape(image_shape), image_shape
            )
        result: FloatArray = to_array(large).reshape((*logits.shape[:-2], *image_shape))
        return result

    def mask_input(self, mask: npt.NDArray[Any], image_shape: Shape2D) -> FloatArray:
        """Return (H, W) mask of the encoded image as low-resolution logits for a prompt."""
        from torch.nn.functional import interpolate, pad

        from napari_segmate._torch import inference, to_array

        del image_shape  # the mask has the size of the image
        height, width = self._input_shape((int(mask.shape[0]), int(mask.shape[1])))
        size = self.input_size
        with inference("cpu"):
            tensor = self._tensor(np.asarray(mask, np.float32)[None, None], "cpu")
            resized = interpolate(tensor, (height, width), mode="bilinear", antialias=True)
            square = pad(resized, (0, size - width, 0, size - height))
            inside = to_array(interpolate(square, self._low_shape, mode="area"))[0, 0]
        logits: FloatArray = ((inside - 0.5) * 2 * CONFIDENT).astype(np.float32)
        return logits

    @property
    def _low_shape(self) -> Shape2D:
        height, width = self._network.prompt_encoder.mask_input_size
        return int(height), int(width)

    def _input_shape(self, image_shape: Shape2D) -> Shape2D:
        from segment_anything.utils.transforms import ResizeLongestSide

        height, width = ResizeLongestSide.get_preprocess_shape(*image_shape, self.input_size)
        return int(height), int(width)

    def _resized(self, image: RGBImage) -> torch.Tensor:
        import torch
        from segment_anything.utils.transforms import ResizeLongestSide

        resized = ResizeLongestSide(self.input_size).apply_image(image)
        return torch.from_numpy(np.array(resized).transpose(2, 0, 1))[None]

    def _inputs(self, prompts: PromptArrays, embedding: Embedding) -> tuple[Any, Any, Any]:
        import torch

        height, width = embedding.image_shape
        to_height, to_width = self._input_shape(embedding.image_shape)
        zoom = np.array([to_width / width, to_height / height], np.float64)
        points = boxes = logits = None
        if prompts.points_xy is not None:
            labels = torch.from_numpy(np.asarray(prompts.labels)).to(self._device)
            points = self._tensor(prompts.points_xy * zoom), labels
        if prompts.boxes_xyxy is not None:
            boxes = self._tensor(prompts.boxes_xyxy * np.tile(zoom, 2))
        if prompts.logits is not None:
            logits = self._tensor(prompts.logits)
        return points, boxes, logits

    def _positions(self) -> torch.Tensor:
        if self._image_pe is None or str(self._image_pe.device) != str(self._device):
            self._image_pe = self._network.prompt_encoder.get_dense_pe()
        return self._image_pe

    def _tensor(self, array: npt.ArrayLike, device: str | None = None) -> torch.Tensor:
        from napari_segmate._torch import to_tensor

        return to_tensor(array, device or self._device)

    def _move(self, device: str) -> None:
        if device != self._device:
            self._network.to(device)
            self._device = device


def _load(
    info: ModelInfo, path: Path | None, device: str, fast: bool, context: Context
) -> Segmenter:
    from napari_segmate.models._checkpoint import read_checkpoint
    from napari_segmate.models._sam_network import build_sam

    assert path is not None, "SAM's weights are files"
    checkpoint = read_checkpoint(path)
    context.check()
    network = build_sam(checkpoint.state, path.name)
    return SamSegmenter(info, network, checkpoint.sha256, device, fast)


def _recognise(checkpoint: Checkpoint) -> str | None:
    from napari_segmate.models._sam_network import architecture_of

    return architecture_of(checkpoint.state)


def _official(name: str, file: str, sha256: str, size: int, parameters: int) -> ModelInfo:
    size_name = name[-1].upper()
    return ModelInfo(
        name=name,
        title=f"SAM ViT-{size_name}",
        description="Segment Anything as published; natural images",
        architecture=name,
        licence="Apache-2.0",
        source="https://github.com/facebookresearch/segment-anything",
        weights=WeightsFile(
            file,
            f"https://dl.fbaipublicfiles.com/segment_anything/{file}",
            f"sha256:{sha256}",
            size,
        ),
        parameters=parameters,
    )


def _generalist(name: str, what: str, place: str, digest: str) -> ModelInfo:
    architecture = name[:5]
    return ModelInfo(
        name=name,
        title=f"micro-sam {what} ViT-{architecture[-1].upper()}",
        description=f"Segment Anything for {what}, by micro-sam",
        architecture=architecture,
        licence="CC-BY-4.0",
        source="https://github.com/computational-cell-analytics/micro-sam",
        weights=WeightsFile(
            f"{name}.pt",
            f"https://uk1s3.embassy.ebi.ac.uk/public-datasets/bioimage.io/{place}.pt",
            f"xxh128:{digest}",
        ),
        parameters={"vit_b": 93_735_472, "vit_l": 312_342_832}[architecture],
    )


FAMILY = ModelFamily(
    name="sam",
    models=(
        _official(
            "vit_b",
            "sam_vit_b_01ec64.pth",
            "ec2df62732614e57411cdcf32a23ffdf28910380d03139ee0f4fcbe91eb8c912",
            375_042_383,
            93_735_472,
        ),
        _official(
            "vit_l",
            "sam_vit_l_0b3195.pth",
            "3adcc4315b642a4d2101128f611684e8734c41232a17c648ed1693702a49a622",
            0,
            312_342_832,
        ),
        _official(
            "vit_h",
            "sam_vit_h_4b8939.pth",
            "a7bf3b02f3ebf1267aba913ff637d9a2d5c33d3173bb679e46d9f338c26f262e",
            2_564_550_879,
            641_090_608,
        ),
        _generalist(
            "vit_b_lm",
            "light microscopy",
            "diplomatic-bug/1.2/files/vit_b",
            "fe9252a29f3f4ea53c15a06de471e186",
        ),
        _generalist(
            "vit_l_lm",
            "light microscopy",
            "idealistic-rat/1.2/files/vit_l",
            "017f20677997d628426dec80a8018f9d",
        ),
        _generalist(
            "vit_b_em_organelles",
            "organelles in EM",
            "noisy-ox/1.2/files/vit_b",
            "f3bf2ed83d691456bae2c3f9a05fb438",
        ),
        _generalist(
            "vit_l_em_organelles",
            "organelles in EM",
            "humorous-crab/1.2/files/vit_l",
            "810b084b6e51acdbf760a993d8619f2d",
        ),
    ),
    load=_load,
    recognise=_recognise,
)
