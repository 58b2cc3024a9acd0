"""How micro-sam's generalists are described: models trained from SAM, with an instance decoder.

Archit et al., "Segment Anything for Microscopy" (2025).
"""

from __future__ import annotations

from typing import TypeAlias

from napari_segmate.core.files.weights import WeightsFile
from napari_segmate.models.base import ModelInfo

__all__ = ["USUAL", "Suggested", "generalist", "suggested"]

Suggested: TypeAlias = tuple[tuple[str, float], ...]
PARAMETERS = {"vit_t": 10_130_092, "vit_b": 93_735_472, "vit_l": 312_342_832}
BYTES_PER_WEIGHT = 4
"""micro-sam publishes no sizes; SAM's own ViT-B has 375,042,383 bytes for 93,735,472 weights."""
DECODER_BYTES = 41_000_000
"""9.6 or 11.0 million weights, by how it enlarges."""
ZOO = "https://uk1s3.embassy.ebi.ac.uk/public-datasets/bioimage.io"


def suggested(
    centre: float, boundary: float, smoothing: float, score: float, stability: float
) -> Suggested:
    """Return micro-sam's settings for a model: distances of seeds, blur in pixels, thresholds."""
    return (
        ("least_centre", round(1 - centre, 2)),
        ("seed", round(1 - boundary, 2)),
        ("smoothing", smoothing / 2),
        ("min_area", 100),
        ("score", score),
        ("stability", stability),
    )


USUAL = suggested(0.5, 0.5, 1.6, 0.88, 0.95)
"""For models of micro-sam's that it has no settings for."""


def generalist(
    name: str, what: str, place: str, digest: str, decoder: str, settings: Suggested
) -> ModelInfo:
    """Return the description of a generalist.

    Parameters
    ----------
    name : str
        Begins with the architecture: ``"vit_b_lm"``.
    what : str
        What it is for.
    place : str
        Address in the model zoo, without ``".pt"``.
    digest, decoder : str
        XXH128 of the model and of its instance decoder.
    settings : Suggested
        As `suggested` returns them.
    """
    architecture = name[:5]
    address = f"{ZOO}/{place}"
    return ModelInfo(
        name=name,
        title=f"micro-sam {what} ViT-{architecture[-1].upper()}",
        description=f"Segment Anything for {what}, by micro-sam",
        architecture=architecture,
        licence="CC-BY-4.0",
        source="https://github.com/computational-cell-analytics/micro-sam",
        weights=WeightsFile(
            f"{name}.pt",
            f"{address}.pt",
            f"xxh128:{digest}",
            about=BYTES_PER_WEIGHT * PARAMETERS[architecture],
        ),
        extra=(
            WeightsFile(
                f"{name}_decoder.pt",
                f"{address}_decoder.pt",
                f"xxh128:{decoder}",
                about=DECODER_BYTES,
            ),
        ),
        instance_head=True,
        suggested=settings,
        parameters=PARAMETERS[architecture],
    )
