"""GroundingDINO and its relatives, through the transformers library.

`MM-GroundingDINO <https://arxiv.org/abs/2401.02361>`_ and `LLMDet
<https://arxiv.org/abs/2501.18954>`_ are GroundingDINO trained on more, by others.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from napari_segmate.core.errors import ModelError, WeightsError
from napari_segmate.core.types import RGBImage
from napari_segmate.detectors._caption_detector import CaptionDetector, Forward, pixels_of
from napari_segmate.detectors._dino_checkpoint import checkpoint_in
from napari_segmate.detectors._dino_checks import (
    check_heads,
    check_positions,
    check_separators,
    check_version,
    own_heads,
    saved_heads,
)
from napari_segmate.detectors._files import model_type
from napari_segmate.detectors._pretrained import check_loaded, loading
from napari_segmate.detectors.base import LONGEST, Detector, DetectorFamily, DetectorInfo

__all__ = ["FAMILY"]

TYPES = ("grounding-dino", "mm-grounding-dino")
FILES = (
    "config.json",
    "model.safetensors",
    "preprocessor_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "vocab.txt",
)
WORDS = ("tokenizer.json", "vocab.txt")


def load(info: DetectorInfo, folder: Path, device: str) -> Detector:
    """Load a model from its folder, or from a ``.pth`` file; the network is not asked.

    Raises
    ------
    ModelError, WeightsError
        Not such a model, half a download, or one that would compute wrong boxes.
    """
    check_version()
    checkpoint = None if (folder / "config.json").is_file() else checkpoint_in(folder)
    if checkpoint is not None:
        from napari_segmate.detectors._dino_conversion import load_into_transformers

        model, tokenizer = load_into_transformers(checkpoint)
        pixels: Any = _plain_pixels(device)
    else:
        model, tokenizer, images = _load_folder(folder)
        pixels = _own_pixels(images, device)
    check_positions(model)
    check_separators(tokenizer, folder)
    model = model.eval().to(device)
    return CaptionDetector(info, device, tokenizer, pixels, _forward(model, device))


def _load_folder(folder: Path) -> tuple[Any, Any, Any]:
    import torch
    from transformers import AutoConfig, AutoModelForZeroShotObjectDetection, AutoProcessor

    kind = model_type(folder)
    if kind and kind not in TYPES:
        raise ModelError(f"{folder} holds a model of type {kind!r}, not a GroundingDINO")
    if kind and not any((folder / name).is_file() for name in WORDS):
        raise WeightsError(
            f"{folder} has no vocabulary; put tokenizer.json or vocab.txt of the model there"
        )
    heads = saved_heads(folder)
    processors: Any = AutoProcessor
    with loading(folder, "GroundingDINO of transformers", FILES):
        config = AutoConfig.from_pretrained(folder, local_files_only=True, **own_heads(heads))
        model, loaded = AutoModelForZeroShotObjectDetection.from_pretrained(
            folder,
            config=config,
            dtype=torch.float32,
            local_files_only=True,
            output_loading_info=True,
        )
        processor = processors.from_pretrained(folder, local_files_only=True)
    check_loaded(loaded, folder)
    check_heads(model, heads, folder)
    return model, processor.tokenizer, processor.image_processor


def _own_pixels(images: Any, device: str) -> Any:
    """Return what prepares images as the settings beside the model want it."""

    def make(image: RGBImage, detail: int) -> Any:
        size = {"shortest_edge": detail, "longest_edge": round(LONGEST * detail)}
        # Told, because it takes an image of few rows for one of many channels.
        more = {"input_data_format": "channels_last", "return_tensors": "pt"}
        return images(images=image, size=size, **more).to(device)

    return make


def _plain_pixels(device: str) -> Any:
    """Return what prepares images as the authors of GroundingDINO do."""

    def make(image: RGBImage, detail: int) -> Any:
        from napari_segmate._torch import to_tensor

        return {"pixel_values": to_tensor(pixels_of(image, detail), device)[None]}

    return make


def _forward(model: Any, device: str) -> Forward:
    def run(pixels: Any, text: str, tokens: Any) -> tuple[Any, Any]:
        seen = model(**pixels, **tokens.to(device))
        return seen.logits, seen.pred_boxes

    return run


def recognise(path: Path) -> bool:
    """Tell whether a path holds a GroundingDINO, in either format."""
    return model_type(path) in TYPES or (not model_type(path) and checkpoint_in(path) is not None)


def _entry(name: str, title: str, about: str, **more: Any) -> DetectorInfo:
    return DetectorInfo(name, title, about, licence="Apache-2.0", **more)


FAMILY = DetectorFamily(
    name="transformers",
    detectors=(
        _entry(
            "grounding-dino-tiny",
            "GroundingDINO tiny",
            "Boxes for words; trained on photographs",
            repository="IDEA-Research/grounding-dino-tiny",
            revision="a2bb814dd30d776dcf7e30523b00659f4f141c71",
            files=FILES,
            size_mb=690,
        ),
        _entry(
            "grounding-dino-base",
            "GroundingDINO base",
            "Boxes for words; larger, slower, knows more words",
            repository="IDEA-Research/grounding-dino-base",
            revision="12bdfa3120f3e7ec7b434d90674b3396eccf88eb",
            files=FILES,
            size_mb=934,
        ),
        _entry(
            "mm-grounding-dino-tiny",
            "MM-GroundingDINO tiny",
            "GroundingDINO tiny, trained on more kinds of things; as fast",
            repository="openmmlab-community/mm_grounding_dino_tiny_o365v1_goldg_v3det",
            size_mb=692,
        ),
        _entry(
            "mm-grounding-dino-base",
            "MM-GroundingDINO base",
            "MM-GroundingDINO, larger and slower, trained on all data sets of its authors",
            repository="openmmlab-community/mm_grounding_dino_base_all",
            size_mb=936,
        ),
        _entry(
            "llmdet-tiny",
            "LLMDet tiny",
            "MM-GroundingDINO tiny, trained further with descriptions by a language model",
            repository="iSEE-Laboratory/llmdet_tiny",
            revision="d05199165a19320a9236396e20fca0a5e065189c",
            size_mb=692,
        ),
    ),
    check=check_version,
    load=load,
    recognise=recognise,
)
