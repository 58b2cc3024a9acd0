"""Click to updated preview with the embedding ready, and decoding against SamPredictor.

``python -m benchmarks.click_latency``: the embedded model on a 1024 x 1024 image, and ViT-B with
random weights in this package and in `segment_anything.SamPredictor`, the same weights and the same
embedding in one run.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from segment_anything import SamPredictor, sam_model_registry

from benchmarks._images import scene
from benchmarks._report import Table, report
from benchmarks._timing import Times, alternate, repeat
from napari_segmate.core.images.image_source import ContrastMode, ImageAxes, ImageSource
from napari_segmate.core.prompts import Box, ObjectPrompts, Points
from napari_segmate.core.types import Embedding
from napari_segmate.inference.embeddings.store import EmbeddingStore
from napari_segmate.inference.prompts.predict import predict
from napari_segmate.inference.prompts.request import Request
from napari_segmate.models import load_model
from napari_segmate.models.base import Segmenter
from napari_segmate.sessions.interactive import Session
from napari_segmate.sessions.prompt_set import PromptSet

SIDE = 1024
SIZE = (SIDE, SIDE)


class Clicker:
    """A session on one image whose requests are answered at once."""

    def __init__(self, model: Segmenter) -> None:
        picture = scene(SIZE)
        self.centres = picture.centres_yx
        source = ImageSource(picture.image, ImageAxes(0, 1))
        plane = source.plane((), source.estimate_contrast(ContrastMode.PLANE, ()))
        self._model = model
        self._store = EmbeddingStore()
        self._session = Session()
        self._session.requested.connect(self._answer)
        self._session.set_model_name(model.info.name)
        self._session.set_plane(plane, "plane")

    def _answer(self, request: Request) -> None:
        self._session.accept(predict(request, self._model, self._store))

    def click(self, number: int) -> None:
        """Click on another cell; the preview is updated when this returns."""
        at = self.centres[number % len(self.centres)]
        self._session.clear()
        self._session.set_prompts(PromptSet(points=Points([at])))
        assert self._session.preview

    def refine(self, number: int) -> None:
        """Click on a cell, then again beside it."""
        at = self.centres[number % len(self.centres)]
        self._session.set_prompts(PromptSet(points=Points([at, at + 4])))
        assert self._session.preview

    def boxes(self, count: int) -> None:
        """Draw a box round each of `count` cells."""
        drawn = tuple(Box((y - 16, x - 16, y + 16, x + 16)) for y, x in self.centres[:count])
        self._session.clear()
        self._session.set_prompts(PromptSet(boxes=drawn))
        assert len(self._session.preview) == count


def embedded(repeats: int) -> Table:
    clicker = Clicker(load_model("tiny", device="cpu"))
    times = {
        "first click": repeat(clicker.click, repeats),
        "click that refines": repeat(clicker.refine, repeats, prepare=clicker.click),
        "50 boxes at once": repeat(lambda number: clicker.boxes(50), max(repeats // 20, 1), 1),
    }
    return Table(
        "Embedded model, 1024 x 1024 image: prompt to updated preview",
        ["prompt", "median", "95th percentile", "slowest"],
        [_milliseconds(name, measured) for name, measured in times.items()],
        "Session, window, decoding, full-size mask and preview; the embedding is ready.",
    )


def _milliseconds(name: str, times: Times) -> list[str]:
    return [name, *(f"{ms:.1f} ms" for ms in (times.median_ms, times.p95_ms, times.worst_ms))]


def upstream(repeats: int) -> Table:
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as folder:
        checkpoint = Path(folder) / "vit_b.pth"
        network = sam_model_registry["vit_b"]()
        torch.save(network.state_dict(), checkpoint)
        ours = load_model(str(checkpoint), device="cpu")
    theirs = SamPredictor(network.eval())
    embedding = _shared_embedding(theirs, ours)
    rows = [
        _compare(name, prompts, arguments, theirs, ours, embedding, repeats)
        for name, prompts, arguments in _prompts()
    ]
    return Table(
        "Decoding, ViT-B, random weights: this package and SamPredictor on the same embedding",
        ["prompt", "SamPredictor", "this package", "ratio", "largest difference of the logits"],
        rows,
        "Prompt to three full-size masks (one for a box), in turn, medians.",
    )


def _shared_embedding(theirs: SamPredictor, ours: Segmenter) -> Embedding:
    """Give upstream the embedding that this package has made of one image."""
    image = np.random.default_rng(0).integers(0, 256, (*SIZE, 3), dtype=np.uint8)
    embedding = ours.encode(image)
    (features,) = embedding.arrays.values()
    theirs.features = torch.from_numpy(np.array(features, np.float32)).reshape(1, 256, 64, 64)
    theirs.original_size = theirs.input_size = SIZE
    theirs.is_image_set = True
    return embedding


def _prompts() -> list[tuple[str, ObjectPrompts, dict[str, Any]]]:
    yx = np.array([[300.0, 200.0], [320.0, 240.0], [500.0, 700.0]])
    labels = np.array([1, 1, 0])
    one = {"point_coords": yx[:1, ::-1], "point_labels": labels[:1], "multimask_output": True}
    three = {"point_coords": yx[:, ::-1], "point_labels": labels, "multimask_output": True}
    box = {"box": np.array([150.0, 250.0, 260.0, 350.0]), "multimask_output": False}
    return [
        ("one point", ObjectPrompts(points=Points(yx[:1])), one),
        ("three points", ObjectPrompts(points=Points(yx, labels > 0)), three),
        ("a box", ObjectPrompts(box=Box((250, 150, 350, 260))), box),
    ]


def _compare(
    name: str,
    prompts: ObjectPrompts,
    arguments: dict[str, Any],
    theirs: SamPredictor,
    ours: Segmenter,
    embedding: Embedding,
    repeats: int,
) -> list[str]:
    multimask = arguments["multimask_output"]

    def run_theirs(number: int = 0) -> Any:
        return theirs.predict(**arguments)

    def run_ours(number: int = 0) -> Any:
        result = ours.decode(embedding, [prompts], multimask=multimask)
        return result, ours.upscale(result.logits, SIZE) > 0

    difference = np.abs(run_theirs()[2] - run_ours()[0].logits[0]).max()
    before, after = alternate([run_theirs, run_ours], repeats)
    ratio = before.median_ms / after.median_ms
    numbers = [f"{before.median_ms:.0f} ms", f"{after.median_ms:.0f} ms", f"{ratio:.2f}x"]
    return [name, *numbers, f"{difference:.0e}"]


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--repeats", type=int, default=100)
    parser.add_argument("--no-upstream", action="store_true", help="the embedded model only")
    parser.add_argument("--no-save", action="store_true", help="print, write no file")
    options = parser.parse_args(argv)
    tables = [embedded(options.repeats)]
    if not options.no_upstream:
        tables.append(upstream(max(options.repeats // 4, 3)))
    report("click_latency", "Click latency", tables, save=not options.no_save)


if __name__ == "__main__":
    main()
