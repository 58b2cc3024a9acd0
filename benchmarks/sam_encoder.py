"""The image encoder of SAM ViT-B on a processor, against upstream's.

``python -m benchmarks.sam_encoder``: upstream's ``ImageEncoderViT``, ours in single precision and
ours with lower precision allowed ("fast"), on one 1024 x 1024 input, in turn.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

import torch
from segment_anything import sam_model_registry
from torch import Tensor, nn

from benchmarks._report import Table, report
from benchmarks._timing import alternate
from napari_segmate._torch import inference
from napari_segmate.core.context import Context
from napari_segmate.models._sam_encoder import encode_image

SIDE = 1024


def _encoder() -> nn.Module:
    """Return ViT-B with random weights; positions too, which are zero when new."""
    torch.manual_seed(0)
    encoder = sam_model_registry["vit_b"]().image_encoder.eval()
    for name, parameter in encoder.named_parameters():
        if "rel_pos" in name or "pos_embed" in name:
            nn.init.normal_(parameter, std=0.05)
    return encoder


def compare(repeats: int) -> Table:
    encoder, images = _encoder(), torch.randn(1, 3, SIDE, SIDE)

    def upstream(number: int = 0) -> Tensor:
        with torch.inference_mode():
            return encoder(images)

    def exact(number: int = 0) -> Tensor:
        with inference("cpu"):
            return encode_image(encoder, images, Context())

    def fast(number: int = 0) -> Tensor:
        with inference("cpu", fast=True):
            return encode_image(encoder, images, Context()).float()

    expected = upstream()
    differences = [(run() - expected).abs() for run in (exact, fast)]
    before, *after = alternate([upstream, exact, fast], repeats)
    rows = [["segment_anything", f"{before.median_ms / 1000:.2f} s", "1", "", ""]]
    for name, times, difference in zip(
        ("this package", "this package, fast"), after, differences, strict=True
    ):
        ratio = f"{before.median_ms / times.median_ms:.2f}x"
        off = [f"{difference.max():.0e}", f"{difference.mean():.0e}"]
        rows.append([name, f"{times.median_ms / 1000:.2f} s", ratio, *off])
    return Table(
        "ViT-B at 1024 x 1024, random weights",
        ["encoder", "median", "ratio", "largest difference", "mean difference"],
        rows,
        f"{torch.get_num_threads()} threads; {repeats} runs each, in turn; values of the embedding "
        f"have a mean size of {expected.abs().mean():.2f}.",
    )


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--no-save", action="store_true", help="print, write no file")
    options = parser.parse_args(argv)
    tables = [compare(options.repeats)]
    report("sam_encoder", "SAM's image encoder", tables, save=not options.no_save)


if __name__ == "__main__":
    main()
