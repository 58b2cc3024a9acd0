"""Views made ready for steps: the frozen part of the network has looked at them already."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from napari_segmate.core.types import FloatArray
from napari_segmate.training.data import Knowledge
from napari_segmate.training.learner import DenseTruth, Features, Learner
from napari_segmate.training.targets import FLOW_STRIDE, STRIDE, dense_targets, flow_targets
from napari_segmate.training.views import View

__all__ = ["Entry", "make_entry", "stack_features", "stack_truth"]

KEPT = 0.1
"""Weight of what the network said before training where nobody annotated: it should not drift."""


@dataclass(frozen=True, eq=False)
class Entry:
    """A view without its image.

    Parameters
    ----------
    prepared : Features
        Of one image, in half precision where it came from the frozen part.
    labels : (S, S) int32
    looked : (S, S) bool
        Where it is known which of the labelled objects is there.
    truth : DenseTruth, optional
        For networks with an instance head.
    """

    prepared: Features
    labels: npt.NDArray[np.int32]
    looked: npt.NDArray[np.bool_]
    truth: DenseTruth | None

    @property
    def megabytes(self) -> float:
        """What it takes in memory."""
        tensors = list(self.prepared.values())
        if self.truth is not None:
            tensors += [getattr(self.truth, one.name) for one in fields(self.truth)]
        held = sum(one.element_size() * one.nelement() for one in tensors)
        return float((held + self.labels.nbytes + self.looked.nbytes) / (1 << 20))


def make_entry(view: View, learner: Learner, teacher: Learner | None = None) -> Entry:
    """Return a view ready for steps.

    Parameters
    ----------
    view : View
        What the network sees.
    learner : Learner
        Who looks at it.
    teacher : Learner, optional
        The network before training: says what the maps are where nothing is known.
    """
    image = torch.from_numpy(np.ascontiguousarray(view.image.transpose(2, 0, 1)))[None]
    prepared = {
        name: value.half() if name != "images" else value.byte()
        for name, value in learner.prepare(image.to(learner.device)).items()
    }
    prepared = {name: value.cpu() for name, value in prepared.items()}
    truth = _truth(view, image, learner, teacher) if learner.dense else None
    return Entry(prepared, view.labels, view.known >= Knowledge.OBJECT, truth)


def _truth(view: View, image: Tensor, learner: Learner, teacher: Learner | None) -> DenseTruth:
    certain = view.known == Knowledge.ALL
    encoded = None
    if teacher is not None and not certain.all():
        encoded = _encode_with(image, teacher)
    targets = dense_targets(view.labels)
    wanted = np.stack([targets.foreground, targets.distance, *targets.offset_yx])
    teacher_maps = None if teacher is None or encoded is None else teacher.teach_maps(encoded)
    maps = _filled_in(wanted, _cells(certain), teacher_maps)
    off_centre = torch.from_numpy(_off_centre(targets.offset_yx, _cells(view.labels)))
    flow = _flow_truth(view, encoded, teacher) if learner.has_flow else torch.zeros(0)
    return DenseTruth(maps[0], maps[1], maps[2:4], off_centre, maps[4], flow)


def _flow_truth(view: View, encoded: Tensor | None, teacher: Learner | None) -> Tensor:
    targets = flow_targets(view.labels)
    wanted = np.stack([targets.foreground, targets.distance, *targets.flow_yx])
    teacher_maps = None if teacher is None or encoded is None else teacher.teach_flow(encoded)
    certain = view.known[1::FLOW_STRIDE, 1::FLOW_STRIDE] == Knowledge.ALL
    return _filled_in(wanted, certain, teacher_maps)


def _filled_in(
    wanted: FloatArray, certain: npt.NDArray[np.bool_], teacher_maps: Tensor | None
) -> Tensor:
    """Return (4, h, w) maps, the teacher's where nothing is certain, and weights."""
    weight = certain.astype(np.float32)
    if teacher_maps is not None and not certain.all():
        wanted = np.where(certain, wanted, teacher_maps.float().cpu().numpy())
        weight = np.where(certain, weight, np.float32(KEPT))
    return torch.from_numpy(np.concatenate([wanted, weight[None]]).astype(np.float32))


def _off_centre(offset_yx: FloatArray, labels: npt.NDArray[np.integer[Any]]) -> FloatArray:
    """Return the distance to the centre of each object as a share of its largest one."""
    distance = np.hypot(*offset_yx)
    largest = np.zeros(int(labels.max()) + 1, np.float32)
    np.maximum.at(largest, labels.ravel(), distance.ravel())
    shares = distance / np.maximum(largest, 1e-6)[labels]
    return np.where(labels > 0, shares, 1).astype(np.float32)


def _cells(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return the value of the pixel nearest to the middle of each cell."""
    return values[1::2, 1::2][:: STRIDE // 2, :: STRIDE // 2]


@torch.no_grad()
def _encode_with(image: Tensor, teacher: Learner) -> Tensor:
    """Return the maps of one image as the network sees them."""
    maps = teacher.maps(teacher.features(teacher.prepare(image.to(teacher.device))))
    assert maps is not None, "a network with an instance head"
    return maps[0]


def stack_features(entries: Sequence[Entry], device: str) -> Features:
    """Return what was prepared of several entries as one batch in single precision."""
    return {
        name: torch.cat([entry.prepared[name] for entry in entries]).to(device).float()
        for name in entries[0].prepared
    }


def stack_truth(entries: Sequence[Entry], device: str) -> DenseTruth | None:
    """Return the dense targets of several entries as one batch, None without instance head."""
    truths = [entry.truth for entry in entries if entry.truth is not None]
    if not truths:
        return None
    names = [field.name for field in fields(DenseTruth)]
    stacked = [torch.stack([getattr(truth, name) for truth in truths]) for name in names]
    return DenseTruth(*(one.to(device) for one in stacked))
