"""Segment Anything (Kirillov et al., 2023): ViT-B, ViT-L, ViT-H, and models trained from them."""

from __future__ import annotations

from napari_segmate.core.files.weights import WeightsFile
from napari_segmate.models._microsam import generalist, suggested
from napari_segmate.models._sam_segmenter import load_sam
from napari_segmate.models.base import Checkpoint, ModelFamily, ModelInfo

__all__ = ["FAMILY"]


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
            1_249_524_607,
            312_342_832,
        ),
        _official(
            "vit_h",
            "sam_vit_h_4b8939.pth",
            "a7bf3b02f3ebf1267aba913ff637d9a2d5c33d3173bb679e46d9f338c26f262e",
            2_564_550_879,
            641_090_608,
        ),
        generalist(
            "vit_b_lm",
            "light microscopy",
            "diplomatic-bug/1.2/files/vit_b",
            "fe9252a29f3f4ea53c15a06de471e186",
            "708b15ac620e235f90bb38612c4929ba",
            suggested(0.4, 0.5, 2.0, 0.65, 0.7),
        ),
        generalist(
            "vit_l_lm",
            "light microscopy",
            "idealistic-rat/1.2/files/vit_l",
            "017f20677997d628426dec80a8018f9d",
            "2faeafa03819dfe03e7c46a44aaac64a",
            suggested(0.4, 0.4, 1.6, 0.65, 0.73),
        ),
        generalist(
            "vit_b_em_organelles",
            "organelles in EM",
            "noisy-ox/1.2/files/vit_b",
            "f3bf2ed83d691456bae2c3f9a05fb438",
            "bb6398956a6b0132c26b631c14f95ce2",
            suggested(0.3, 0.4, 1.2, 0.75, 0.75),
        ),
        generalist(
            "vit_l_em_organelles",
            "organelles in EM",
            "humorous-crab/1.2/files/vit_l",
            "810b084b6e51acdbf760a993d8619f2d",
            "334877640bfdaaabce533e3252a17294",
            suggested(0.3, 0.4, 1.2, 0.8, 0.8),
        ),
    ),
    load=load_sam,
    recognise=_recognise,
)
