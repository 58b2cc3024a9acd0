"""MobileSAM (Zhang et al., 2023): SAM with a small encoder, TinyViT (Wu et al., 2022).

The decoder is SAM's own, so everything else is that of `napari_segmate.models._sam_segmenter`.
"""

from __future__ import annotations

from napari_segmate.core.files.weights import WeightsFile
from napari_segmate.models._microsam import generalist, suggested
from napari_segmate.models._sam_segmenter import load_sam
from napari_segmate.models.base import Checkpoint, ModelFamily, ModelInfo

__all__ = ["FAMILY"]


def _recognise(checkpoint: Checkpoint) -> str | None:
    from napari_segmate.models._mobile_encoder import mobile_architecture

    return mobile_architecture(checkpoint.state)


FAMILY = ModelFamily(
    name="mobile_sam",
    models=(
        ModelInfo(
            name="vit_t",
            title="MobileSAM",
            description="Segment Anything with an encoder that is small and fast; natural images",
            architecture="vit_t",
            licence="Apache-2.0",
            source="https://github.com/ChaoningZhang/MobileSAM",
            weights=WeightsFile(
                "mobile_sam.pt",
                "https://github.com/ChaoningZhang/MobileSAM/raw/master/weights/mobile_sam.pt",
                "sha256:6dbb90523a35330fedd7f1d3dfc66f995213d81b29a5ca8108dbcdd4e37d6c2f",
                40_728_226,
            ),
            parameters=10_130_092,
        ),
        generalist(
            "vit_t_lm",
            "light microscopy",
            "faithful-chicken/1.1/files/vit_t",
            "72ec5074774761a6e5c05a08942f981e",
            "3e914a5f397b0312cdd36813031f8823",
            suggested(0.5, 0.5, 2.0, 0.6, 0.65),
        ),
        generalist(
            "vit_t_em_organelles",
            "organelles in EM",
            "greedy-whale/1/files/vit_t",
            "253474720c497cce605e57c9b1d18fd9",
            "8f897c7bb93174a4d1638827c4dd6f44",
            suggested(0.4, 0.5, 1.2, 0.75, 0.75),
        ),
    ),
    load=load_sam,
    recognise=_recognise,
)
