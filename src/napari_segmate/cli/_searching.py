"""What ``segmate text`` does to each image: labels of what words name, and what goes with them."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_segmate.cli._reading import Reading
from napari_segmate.core.context import Context
from napari_segmate.core.errors import SegmateError
from napari_segmate.core.numbers.lengths import Length

if TYPE_CHECKING:
    from napari_segmate.detectors.base import Detector
    from napari_segmate.models.base import Segmenter
    from napari_segmate.tasks.text.run import Found, Params

__all__ = ["Searcher"]


@dataclass
class Searcher:
    """What is done to each image."""

    detector: Detector
    model: Segmenter
    origin: str
    prompt: str
    params: Params
    diameter: Length | None
    reading: Reading
    context: Context
    box_files: dict[Path, Path]
    notices: list[str] = field(default_factory=list)

    @property
    def made_with(self) -> dict[str, Any]:
        from napari_segmate.detectors import commit_of

        params, size = asdict(self.params), self.diameter
        if size is not None and size.value:
            params["diameter"] = str(size) if size.micrometres else size.value
        return {
            "detector": self.origin,
            "revision": commit_of(self.detector.info) or None,
            "model": self.model.key,
            "prompt": self.prompt,
            "params": params,
            "reading": asdict(self.reading),
        }

    def files(self, image: Path, target: Path) -> list[Path]:
        """Return what is written beside the labels for people to read."""
        boxes = [self.box_files[image]] if image in self.box_files else []
        return [target.with_suffix(".classes.csv"), *boxes]

    def run(self, image: Path, target: Path) -> dict[str, Any]:
        """Label one image and write what belongs to it; return facts on the result."""
        from napari_segmate.io.input_state import check_unchanged, input_state
        from napari_segmate.io.labels import write_labels

        self.notices.extend(self.reading.notes(image))
        before, layout = input_state(image), self.reading.layout(image)
        found = self._found(image)
        labels = found.labels
        check_unchanged(image, before)
        write_labels(target, labels, layout)
        self._write_rest(image, target, found)
        if found.advice:
            self.notices.append(f"{image}: {found.advice}")
        return {
            "objects": found.count,
            "classes": dict(Counter(found.classes)),
            "boxes_found": sum(len(plane.boxes) for plane in found.planes),
            "shape": list(labels.shape),
            **self.reading.stack_facts(image, labels.ndim),
            **self.reading.size_facts(image, self.diameter),
        }

    def _found(self, image: Path) -> Found:
        from napari_segmate.tasks.text.run import run_stack

        source = self.reading.source(image)
        axis = self.reading.link_axis(image, len(source.index_shape))
        found = run_stack(
            source,
            self.prompt,
            self.detector,
            self.model,
            replace(self.params, diameter=self.reading.pixels(image, self.diameter) or 0.0),
            link=axis is not None,
            z_axis=-1 if axis is None else axis,
            anisotropy=self.reading.anisotropy_of(image),
            context=self.context,
        )
        return found.as_plane() if all(size == 1 for size in found.labels.shape[:-2]) else found

    def _write_rest(self, image: Path, target: Path, found: Found) -> None:
        from napari_segmate.detectors import commit_of
        from napari_segmate.io.provenance import save_sidecar
        from napari_segmate.io.tables import write_whole
        from napari_segmate.tasks.text.result import boxes_as_json, classes_as_csv
        from napari_segmate.tasks.text.segment_boxes import Finder

        write_whole(target.with_suffix(".classes.csv"), classes_as_csv(found))
        if image in self.box_files:
            info = self.detector.info
            finder = Finder(info.name, commit_of(info))
            content = boxes_as_json(found, image.name, finder)
            write_whole(self.box_files[image], json.dumps(content) + "\n")
        try:
            save_sidecar(target, found.records)
        except OSError as error:
            raise SegmateError(
                f"{target} is written, but not how it came about ({error.strerror or error}); free "
                "some space and try again"
            ) from error
