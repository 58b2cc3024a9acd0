"""The segmenter of all networks with SAM's decoder, whatever their encoder, and its loading."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from napari_segmate.core.context import Context
from napari_segmate.core.types import DenseMaps, Embedding, FloatArray, RGBImage, Shape2D
from napari_segmate.models._microsam import USUAL
from napari_segmate.models._prompts import PromptArrays
from napari_segmate.models._segmenter import NetworkSegmenter
from napari_segmate.models.base import Checkpoint, ModelInfo, Segmenter

if TYPE_CHECKING:
    import torch
    from segment_anything.modeling import Sam

    from napari_segmate.models._sam_decoder import PointDecoder
    from napari_segmate.models._unetr import InstanceDecoder

__all__ = ["SamSegmenter", "load_sam"]


class SamSegmenter(NetworkSegmenter):
    """A SAM, whichever its encoder; the longer side of an image is resized to the input size."""

    batch = 4
    confident = 8.0
    _network: Sam
    _image_pe: torch.Tensor | None = None
    _instance_decoder: InstanceDecoder | None = None
    _points_on: tuple[Embedding, PointDecoder] | None = None

    @property
    def input_size(self) -> int:
        """Side in pixels of the square that the encoder sees."""
        return int(self._network.image_encoder.img_size)

    def with_instance_decoder(self, decoder: InstanceDecoder) -> SamSegmenter:
        """Take a decoder of micro-sam's, and return the model, which now has an instance head."""
        self._instance_decoder = decoder.eval()
        settings = self._info.suggested or USUAL
        self._info = replace(self._info, instance_head=True, suggested=settings)
        return self

    def instance_maps(self, embedding: Embedding) -> DenseMaps:
        """Return the maps at half the size of the encoded image."""
        if self._instance_decoder is None:
            return super().instance_maps(embedding)
        from napari_segmate._torch import inference, on_device_or_cpu, to_array

        decoder = self._instance_decoder

        def run(device: str) -> npt.NDArray[np.float32]:
            with inference(device, self._fast):
                tensor = self._tensor(embedding.arrays["embedding"], device)[None]
                maps = decoder.to(device)(tensor).float()
            found: npt.NDArray[np.float32] = to_array(self._at_half(maps[0], embedding.image_shape))
            return found

        with self._lock:
            foreground, off_centre, shallow = on_device_or_cpu(run, self._device)
        return DenseMaps(foreground, 1 - shallow, 1 - off_centre, embedding.image_shape)

    def _at_half(self, maps: torch.Tensor, image_shape: Shape2D) -> torch.Tensor:
        """Return square maps (3, S, S) at half the size of the image, without the padding."""
        from torch.nn.functional import interpolate

        size = self.input_size
        maps = interpolate(maps[None], (size, size), mode="bilinear", align_corners=False)
        height, width = self._input_shape(image_shape)
        half = -(-image_shape[0] // 2), -(-image_shape[1] // 2)
        inner = maps[..., :height, :width]
        small = interpolate(inner, half, mode="bilinear", align_corners=False, antialias=True)
        return small[0]

    def _arrays(self, image: RGBImage, context: Context) -> dict[str, npt.NDArray[Any]]:
        import torch
        from segment_anything.utils.transforms import ResizeLongestSide

        from napari_segmate._torch import to_array
        from napari_segmate.models._sam_encoder import encode_image

        resized = np.array(ResizeLongestSide(self.input_size).apply_image(image))
        tensor = torch.from_numpy(resized.transpose(2, 0, 1))[None].to(self._device)
        prepared = self._network.preprocess(tensor)
        encoded = encode_image(self._network.image_encoder, prepared, context)
        return {"embedding": to_array(encoded)[0]}

    def _masks(
        self, embedding: Embedding, prompts: PromptArrays, multimask: bool
    ) -> tuple[torch.Tensor, torch.Tensor]:
        sparse, dense = self._network.prompt_encoder(*self._inputs(prompts, embedding))
        logits, scores = self._network.mask_decoder(
            image_embeddings=self._tensor(embedding.arrays["embedding"])[None],
            image_pe=self._positions(),
            sparse_prompt_embeddings=sparse,
            dense_prompt_embeddings=dense,
            multimask_output=multimask,
        )
        return logits, scores

    def _points(
        self, embedding: Embedding, prompts: PromptArrays, least: float | None
    ) -> tuple[FloatArray, FloatArray]:
        from napari_segmate._torch import inference, to_array

        with self._lock, inference(self._device):
            sparse, _ = self._network.prompt_encoder(*self._inputs(prompts, embedding))
            logits, scores = self._point_decoder(embedding).decode(sparse, least)
        return to_array(logits), to_array(scores)

    def _point_decoder(self, embedding: Embedding) -> PointDecoder:
        """Return the decoder of an image, the same as long as it is asked about one image."""
        from napari_segmate.models._sam_decoder import PointDecoder

        known = self._points_on
        if known is None or known[0] is not embedding or known[1].device != self._device:
            _, dense = self._network.prompt_encoder(None, None, None)
            tensor = self._tensor(embedding.arrays["embedding"])[None]
            decoder = PointDecoder(self._network.mask_decoder, tensor, dense, self._positions())
            known = self._points_on = embedding, decoder
        return known[1]

    def _low_shape(self, image_shape: Shape2D) -> Shape2D:
        height, width = self._network.prompt_encoder.mask_input_size
        return int(height), int(width)

    def _large(self, logits: torch.Tensor, image_shape: Shape2D) -> torch.Tensor:
        resized = self._input_shape(image_shape)
        large: torch.Tensor = self._network.postprocess_masks(logits, resized, image_shape)
        return large

    def _shares(self, mask: npt.NDArray[Any], image_shape: Shape2D) -> FloatArray:
        from torch.nn.functional import interpolate, pad

        from napari_segmate._torch import inference, to_array

        height, width = self._input_shape(image_shape)
        size = self.input_size
        with inference("cpu"):
            tensor = self._tensor(np.asarray(mask, np.float32)[None, None], "cpu")
            resized = interpolate(tensor, (height, width), mode="bilinear", antialias=True)
            square = pad(resized, (0, size - width, 0, size - height))
            shares = interpolate(square, self._low_shape(image_shape), mode="area")
        covered: FloatArray = to_array(shares)[0, 0]
        return covered

    def _input_shape(self, image_shape: Shape2D) -> Shape2D:
        from segment_anything.utils.transforms import ResizeLongestSide

        height, width = ResizeLongestSide.get_preprocess_shape(*image_shape, self.input_size)
        return int(height), int(width)

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
        positions = self._image_pe
        if positions is None or str(positions.device) != self._device:
            positions = self._image_pe = self._network.prompt_encoder.get_dense_pe()
        return positions


def load_sam(
    info: ModelInfo, path: Path | None, device: str, fast: bool, context: Context
) -> Segmenter:
    """Return a segmenter from a checkpoint in SAM's format; see `ModelFamily.load`."""
    from napari_segmate.models._checkpoint import read_checkpoint
    from napari_segmate.models._sam_network import build_sam
    from napari_segmate.models._unetr import build_instance_decoder

    assert path is not None, "SAM's weights are files"
    checkpoint = read_checkpoint(path)
    context.check()
    network = build_sam(checkpoint.state, path.name)
    alone = replace(info, instance_head=False)
    model = SamSegmenter(alone, network, checkpoint.sha256, device, fast)
    weights, name = _decoder_weights(info, checkpoint)
    return model.with_instance_decoder(build_instance_decoder(weights, name)) if weights else model


def _decoder_weights(info: ModelInfo, checkpoint: Checkpoint) -> tuple[Mapping[str, Any], str]:
    """Return the weights of an instance decoder and the name of their file; none: no weights.

    They are in the file of the model, or in one beside it: ``NAME_decoder`` beside ``NAME``.
    """
    from napari_segmate.models._checkpoint import INSTANCE_DECODER, read_checkpoint
    from napari_segmate.models._unetr import is_instance_decoder

    path = checkpoint.path
    inside = {
        name.removeprefix(INSTANCE_DECODER): tensor
        for name, tensor in checkpoint.state.items()
        if name.startswith(INSTANCE_DECODER)
    }
    # Decoders of other kinds are left alone: prompts work without.
    if is_instance_decoder(inside):
        return inside, path.name
    beside = path.with_name(f"{path.stem}_decoder{path.suffix}")
    if beside.is_file() and (info.weights is None or info.extra):
        return read_checkpoint(beside).state, beside.name
    return {}, ""
