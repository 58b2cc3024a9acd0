"""Nuclei that wander, grow and divide: the plot of a synthetic time-lapse."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from napari_segmate.core.types import Shape2D

__all__ = ["Population"]


class Population:
    """Discs with a position, a radius and a number, advanced frame by frame.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of all randomness.
    shape : (height, width)
        Size of a frame in pixels.
    count : int
        Nuclei in the first frame; fewer when there is no room.
    frames : int
        About how many frames a nucleus takes to divide.
    """

    def __init__(self, rng: np.random.Generator, shape: Shape2D, count: int, frames: int) -> None:
        self.rng, self.shape = rng, shape
        self.centres = {i + 1: centre for i, centre in enumerate(self._apart(count))}
        self.radii = {i: rng.uniform(9, 12) for i in self.centres}
        self.used = len(self.centres)
        self.chance = 1.0 / max(frames - 1, 1)
        self.frame = 0
        self.brightness = rng.uniform(0.5, 1, 4 * len(self.centres) + 1)
        self.brightness[0] = 0

    def _apart(self, count: int) -> list[npt.NDArray[np.float64]]:
        chosen: list[npt.NDArray[np.float64]] = []
        for _ in range(50 * count):
            centre = self.rng.uniform(14, np.array(self.shape) - 14)
            if len(chosen) < count and all(np.hypot(*(centre - c)) > 34 for c in chosen):
                chosen.append(centre)
        return chosen

    def next_frame(self) -> npt.NDArray[np.int32]:
        """Return the labels of the next frame."""
        if self.frame:
            self._divide_some()
            self._move()
        self.frame += 1
        return self._draw()

    def _divide_some(self) -> None:
        for mother in [i for i, radius in self.radii.items() if radius > 8.5]:
            # The first chance is taken, so that even a short time-lapse shows a division.
            first = self.used == len(self.centres)
            if (first or self.rng.random() < self.chance) and self.used + 2 < len(self.brightness):
                self._divide(mother)

    def _divide(self, mother: int) -> None:
        centre, radius = self.centres.pop(mother), self.radii.pop(mother)
        angle = self.rng.uniform(0, np.pi)
        step = 0.8 * radius * np.array([np.sin(angle), np.cos(angle)])
        for sign in (-1, 1):
            self.used += 1
            self.centres[self.used] = centre + sign * step
            self.radii[self.used] = 0.72 * radius

    def _move(self) -> None:
        limit = np.array(self.shape) - 10.0
        for i, centre in self.centres.items():
            push = sum(
                (_push(centre, other) for j, other in self.centres.items() if j != i), np.zeros(2)
            )
            step = self.rng.normal(0, 1.2, 2) + push
            self.centres[i] = np.clip(centre + step, 10.0, limit)
            self.radii[i] = min(self.radii[i] * 1.02, 12.0)

    def _draw(self) -> npt.NDArray[np.int32]:
        y, x = np.ogrid[: self.shape[0], : self.shape[1]]
        nearest = np.full(self.shape, 1.0)
        labels = np.zeros(self.shape, dtype=np.int32)
        for i, (cy, cx) in self.centres.items():
            distance = np.hypot(y - cy, x - cx) / self.radii[i]
            closer = distance < nearest
            labels[closer], nearest[closer] = i, distance[closer]
        return labels


def _push(
    centre: npt.NDArray[np.float64], other: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Return the step by which a nucleus gives way to a close neighbour."""
    apart = centre - other
    distance = max(float(np.hypot(*apart)), 1.0)
    step: npt.NDArray[np.float64] = apart / distance * max(0.0, 22.0 - distance) * 0.25
    return step
