"""GroundingDINO by its authors' own code, through the package groundingdino-py.

It reads their ``.pth`` files and needs the vocabulary of the text encoder beside them, nothing
else; `napari_segmate.detectors.transformers` computes the same from the same files.
"""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from napari_segmate.core.errors import MissingExtraError, ModelError, WeightsError
from napari_segmate.core.files.weights import WeightsFile
from napari_segmate.core.types import RGBImage
from napari_segmate.detectors._caption_detector import CaptionDetector, Forward, pixels_of
from napari_segmate.detectors._dino_checkpoint import (
    checkpoint_in,
    measure,
    read_state,
    tokenizer_of,
    vocabulary_beside,
)
from napari_segmate.detectors._files import HUB
from napari_segmate.detectors.base import Detector, DetectorFamily, DetectorInfo

__all__ = ["FAMILY"]

EXTRA = "groundingdino"
FITTING: tuple[tuple[str, tuple[int, ...], tuple[int, ...]], ...] = (
    ("groundingdino-py", (0, 4), (0, 5)),
    ("transformers", (4, 40), (6,)),
    ("timm", (1,), (2,)),
)
"""Distribution, first version that fits, first that does not any more."""
REPOSITORY = "ShilongLiu/GroundingDINO"
REVISION = "a94c9b567a2a374598f05c584e96798a170c56fb"
VOCABULARY = "google-bert/bert-base-uncased/resolve/86b5e0934494bd15c9632b12f734a8a67f723594"


def check() -> None:
    """Refuse to run where the package is missing, or a version that does not fit it is there."""
    missing = [name for name in ("groundingdino", "transformers") if find_spec(name) is None]
    if missing:
        raise MissingExtraError.for_feature("GroundingDINO by groundingdino-py", EXTRA)
    for name, first, end in FITTING:
        found = _version(name)
        if found and not first <= found < end:
            raise ModelError(
                f"groundingdino-py does not work with {name} {_text(found)}: it fits from "
                f'{_text(first)} to below {_text(end)}; pip install "napari-segmate[{EXTRA}]"'
            )


def _version(name: str) -> tuple[int, ...]:
    """Return the installed version; empty when the module comes with another distribution."""
    try:
        parts = version(name).split(".")[:3]
    except PackageNotFoundError:
        return ()
    return tuple(int(part) for part in parts if part.isdigit())


def _text(numbers: tuple[int, ...]) -> str:
    return ".".join(map(str, numbers))


def load(info: DetectorInfo, folder: Path, device: str) -> Detector:
    """Load a model from a ``.pth`` file, or the folder of one; the network is not asked.

    Raises
    ------
    WeightsError
        No such file, no vocabulary beside it, or not all weights.
    ModelError
        A package that does not fit.
    """
    check()
    from napari_segmate.detectors._groundingdino_compat import build

    checkpoint = checkpoint_in(folder)
    if checkpoint is None:
        raise WeightsError(f"{folder} holds no single .pth file of GroundingDINO; put one there")
    vocabulary = vocabulary_beside(checkpoint)
    state = read_state(checkpoint)
    sizes = measure(state, checkpoint.name)
    tokenizer = tokenizer_of(vocabulary, sizes["text_config"]["vocab_size"])
    model = build(sizes, tokenizer)
    _fill(model, state, checkpoint)
    return CaptionDetector(info, device, tokenizer, _pixels(device), _forward(model.to(device)))


def _fill(model: Any, state: dict[str, Any], path: Path) -> None:
    try:
        missing, strange = model.load_state_dict(state, strict=False)
    except RuntimeError as error:
        raise WeightsError(f"{path} does not fit groundingdino-py: {error}") from error
    # What the pooler makes of a text is not used.
    missing = [name for name in missing if not name.startswith("bert.pooler.")]
    if missing or strange:
        raise WeightsError(
            f"{path} lacks {len(missing)} weights and has {len(strange)} that are not known "
            f"({', '.join([*missing, *strange][:3])}, …): half a file, or another network"
        )


def _pixels(device: str) -> Any:
    def make(image: RGBImage, detail: int) -> Any:
        from napari_segmate._torch import to_tensor

        return to_tensor(pixels_of(image, detail), device)[None]

    return make


def _forward(model: Any) -> Forward:
    def run(pixels: Any, text: str, tokens: Any) -> tuple[Any, Any]:
        from napari_segmate.detectors._groundingdino_compat import suppress_warnings

        # It makes its own tokens of the text, with the tokenizer that it was given.
        with suppress_warnings():
            seen = model(pixels, captions=[text])
        return seen["pred_logits"], seen["pred_boxes"]

    return run


def recognise(path: Path) -> bool:
    """Tell whether a path is, or holds, a ``.pth`` file and nothing of transformers."""
    return not (path / "config.json").is_file() and checkpoint_in(path) is not None


def _entry(
    name: str, title: str, about: str, file: str, digest: str, size: int, size_mb: int
) -> DetectorInfo:
    address = f"{HUB}/{REPOSITORY}/resolve/{REVISION}/{file}"
    return DetectorInfo(
        name=name,
        title=title,
        description=about,
        licence="Apache-2.0",
        repository=REPOSITORY,
        revision=REVISION,
        files=(file, "vocab.txt"),
        weights=(
            WeightsFile(f"{name}/{file}", address, f"sha256:{digest}", size),
            WeightsFile(
                f"{name}/vocab.txt",
                f"{HUB}/{VOCABULARY}/vocab.txt",
                "sha256:07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3",
                231508,
            ),
        ),
        size_mb=size_mb,
        extra=EXTRA,
    )


FAMILY = DetectorFamily(
    name="groundingdino",
    detectors=(
        _entry(
            "groundingdino-swint-ogc",
            "GroundingDINO Swin-T (groundingdino-py)",
            "Boxes for words; the authors' code and weights, the same as GroundingDINO tiny",
            "groundingdino_swint_ogc.pth",
            "3b3ca2563c77c69f651d7bd133e97139c186df06231157a64c507099c52bc799",
            693997677,
            694,
        ),
        _entry(
            "groundingdino-swinb-cogcoor",
            "GroundingDINO Swin-B (groundingdino-py)",
            "Boxes for words; the authors' code and weights, the same as GroundingDINO base",
            "groundingdino_swinb_cogcoor.pth",
            "46270f7a822e6906b655b729c90613e48929d0f2bb8b9b76fd10a856f3ac6ab7",
            938057991,
            938,
        ),
    ),
    check=check,
    load=load,
    recognise=recognise,
)
