"""How each committed object came about: records, their JSON form, the file beside the labels."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from napari_segmate.core.errors import LabelsError
from napari_segmate.core.files.atomic import write_text
from napari_segmate.core.files.json_reader import read_json
from napari_segmate.core.prompts import Box, MaskPrompt, ObjectPrompts, Points
from napari_segmate.core.types import Frame, IntBoxYX
from napari_segmate.io.runs import decode_runs, encode_runs

__all__ = [
    "METADATA_KEY",
    "Record",
    "Step",
    "from_json",
    "load_sidecar",
    "package_version",
    "save_sidecar",
    "sidecar_path",
    "to_json",
]

METADATA_KEY = "napari_segmate"
"""Key of the records in the metadata of a labels layer."""

SCHEMA = 1


@cache
def package_version() -> str:
    """Return the version of this package, ``"unknown"`` when it is not installed."""
    try:
        return version("napari-segmate")
    except PackageNotFoundError:
        return "unknown"


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


@dataclass(frozen=True, eq=False)
class Step:
    """One answer of the model on the way to an object.

    Parameters
    ----------
    prompts : ObjectPrompts
        What the user had said, in plane pixels; without logits, which follow from the step before.
    frame : Frame
        The part of the plane that the model looked at.
    multimask : bool
        Whether several candidates were asked for.
    candidate : int
        The candidate that the user went on with, 0 for the best score.
    """

    prompts: ObjectPrompts
    frame: Frame
    multimask: bool
    candidate: int = 0


@dataclass(frozen=True, eq=False)
class Record:
    """How one committed object came about.

    Parameters
    ----------
    label : int
        Its value in the label image, 0 while it has none.
    index : tuple of int
        Plane of a stack: one number per axis that is neither y, x nor channel.
    box_yx : (y0, x0, y1, x1)
        Bounding box, half-open, plane pixels.
    model, model_key : str
        Name of the model, and its name with the hash of the weights.
    steps : tuple of Step
        The answers that led to the object, oldest first.
    options : mapping
        Values of the mask options (hole filling, smallest size, threshold).
    score, stability : float
        Predicted IoU and stability score, 0 to 1.
    view : mapping
        How the plane was shown to the model, for a replay (contrast limits, channels; JSON values).
    created : str
        Time, ISO 8601, UTC.
    version : str
        Version of this package.
    """

    label: int
    index: tuple[int, ...]
    box_yx: IntBoxYX
    model: str
    model_key: str
    steps: tuple[Step, ...]
    options: Mapping[str, Any]
    score: float
    stability: float
    view: Mapping[str, Any] = field(default_factory=dict)
    created: str = field(default_factory=_now)
    version: str = field(default_factory=package_version)

    def with_label(self, label: int) -> Record:
        """Return the same record for the label value `label`."""
        return replace(self, label=int(label))


def _points_to_json(points: Points) -> dict[str, Any]:
    return {"yx": points.points_yx.tolist(), "positive": points.positive.tolist()}


def _mask_to_json(mask: MaskPrompt) -> dict[str, Any]:
    return {"box_yx": list(mask.box_yx), "runs": encode_runs(mask.mask)}


def _prompts_to_json(prompts: ObjectPrompts) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if prompts.points is not None:
        found["points"] = _points_to_json(prompts.points)
    if prompts.box is not None:
        found["box_yx"] = list(prompts.box.box_yx)
    if prompts.mask is not None:
        found["mask"] = _mask_to_json(prompts.mask)
    return found


def _mask_from_json(data: Mapping[str, Any]) -> MaskPrompt:
    y0, x0, y1, x1 = map(int, data["box_yx"])
    mask = decode_runs(data["runs"], (y1 - y0, x1 - x0)).astype(bool)
    return MaskPrompt((y0, x0, y1, x1), mask)


def _prompts_from_json(data: Mapping[str, Any]) -> ObjectPrompts:
    points, box, mask = data.get("points"), data.get("box_yx"), data.get("mask")
    return ObjectPrompts(
        points=Points(points["yx"], points["positive"]) if points else None,
        box=Box(tuple(box)) if box else None,
        mask=_mask_from_json(mask) if mask else None,
    )


def _step_to_json(step: Step) -> dict[str, Any]:
    return {
        "prompts": _prompts_to_json(step.prompts),
        "frame": {"box_yx": list(step.frame.box_yx), "shape": list(step.frame.shape)},
        "multimask": step.multimask,
        "candidate": step.candidate,
    }


def _step_from_json(data: Mapping[str, Any]) -> Step:
    y0, x0, y1, x1 = map(int, data["frame"]["box_yx"])
    height, width = map(int, data["frame"]["shape"])
    return Step(
        prompts=_prompts_from_json(data["prompts"]),
        frame=Frame((y0, x0, y1, x1), (height, width)),
        multimask=bool(data["multimask"]),
        candidate=int(data["candidate"]),
    )


def to_json(records: Iterable[Record]) -> list[dict[str, Any]]:
    """Return records as lists, dicts, strings and numbers only, for JSON and layer metadata."""
    return [
        {
            "label": record.label,
            "index": list(record.index),
            "box_yx": list(record.box_yx),
            "model": record.model,
            "model_key": record.model_key,
            "steps": [_step_to_json(step) for step in record.steps],
            "options": dict(record.options),
            "score": round(float(record.score), 6),
            "stability": round(float(record.stability), 6),
            "view": dict(record.view),
            "created": record.created,
            "version": record.version,
        }
        for record in records
    ]


def _record_from_json(data: Mapping[str, Any]) -> Record:
    y0, x0, y1, x1 = map(int, data["box_yx"])
    return Record(
        label=int(data["label"]),
        index=tuple(map(int, data["index"])),
        box_yx=(y0, x0, y1, x1),
        model=str(data["model"]),
        model_key=str(data["model_key"]),
        steps=tuple(map(_step_from_json, data["steps"])),
        options=dict(data["options"]),
        score=float(data["score"]),
        stability=float(data["stability"]),
        view=dict(data.get("view", {})),
        created=str(data["created"]),
        version=str(data["version"]),
    )


def from_json(data: Sequence[Mapping[str, Any]]) -> tuple[Record, ...]:
    """Return the records that `to_json` wrote.

    Raises
    ------
    LabelsError
        Something that is not a list of records.
    """
    try:
        return tuple(map(_record_from_json, data))
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise LabelsError(
            f"these are not records of committed objects ({error!r}); "
            "the labels can be used without them"
        ) from error


def sidecar_path(labels_path: str | os.PathLike[str]) -> Path:
    """Return where the records of a label file lie: beside it, as ``NAME.segmate.json``.

    Examples
    --------
    >>> sidecar_path("results/cells.ome.tif").name
    'cells.ome.tif.segmate.json'
    """
    path = Path(labels_path)
    return path.with_name(f"{path.name}.segmate.json")


def save_sidecar(labels_path: str | os.PathLike[str], records: Iterable[Record]) -> Path:
    """Write records beside a label file, atomically, and return where.

    Raises
    ------
    OSError
        The folder cannot be written.
    """
    target = sidecar_path(labels_path)
    content = {"schema": SCHEMA, "labels": Path(labels_path).name, "objects": to_json(records)}
    write_text(target, json.dumps(content))
    return target


def load_sidecar(labels_path: str | os.PathLike[str]) -> tuple[Record, ...]:
    """Return the records beside a label file, none when there is no such file.

    Raises
    ------
    LabelsError
        The file is damaged or was written by a later version.
    """
    path = sidecar_path(labels_path)
    if not path.exists():
        return ()
    try:
        content = read_json(path)
        schema, objects = int(content["schema"]), content["objects"]
    except (ValueError, KeyError, TypeError, OSError, OverflowError) as error:
        raise LabelsError(f"{path} is damaged ({error!r}); delete it to go on without") from error
    if schema > SCHEMA:
        raise LabelsError(
            f"{path} has format {schema}, this version reads up to {SCHEMA}; update napari-segmate"
        )
    return from_json(objects)
