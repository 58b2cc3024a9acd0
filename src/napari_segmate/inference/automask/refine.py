"""Objects that maps show, drawn again by the mask decoder."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import ndimage

from napari_segmate.core.context import Context
from napari_segmate.core.prompts import Box, MaskPrompt, ObjectPrompts
from napari_segmate.core.types import Instance, IntBoxYX, LabelArray
from napari_segmate.inference.automask.tiles import Tile
from napari_segmate.inference.embeddings.store import EmbeddingStore
from napari_segmate.inference.prompts.decoding import BATCH, Decoder, ObjectQuery
from napari_segmate.inference.prompts.request import MaskOptions, ObjectResult, PlaneLike
from napari_segmate.models.base import Segmenter

__all__ = ["refine"]


def refine(
    plane: PlaneLike,
    labels: LabelArray,
    tiles: Sequence[Tile],
    model: Segmenter,
    store: EmbeddingStore,
    context: Context | None = None,
) -> tuple[Instance, ...]:
    """Return the masks that the decoder draws of labelled objects.

    Each object is asked for with its box and its rough mask, in the tile that holds its middle.
    On validation images of four modalities that gave a higher mSA than a box, a point (as in
    micro-sam's automatic prompt generation, Archit et al. 2025) or both.

    Parameters
    ----------
    plane : Plane
        Where to read pixels.
    labels : (H, W) int
        Objects 1 .. n; 0 is background.
    tiles : sequence of Tile
        What the model looks at.
    model : Segmenter
        Who draws.
    store : EmbeddingStore
        Where embeddings are kept.
    context : Context, optional
        Progress in objects, and cancellation.

    Returns
    -------
    tuple of Instance
        At most one per object, in no order; objects of which the decoder draws nothing are left
        out.
    """
    context = context or Context()
    decoder = Decoder(plane, model, store, MaskOptions(), context)
    prompts = _prompts(labels)
    found: list[Instance] = []
    done = 0
    for tile in tiles:
        asked = [one for one, middle in prompts if _holds(tile.inner_box_yx, middle)]
        for first in range(0, len(asked), BATCH):
            context.report(done, len(prompts), "drawing objects")
            batch = asked[first : first + BATCH]
            answers = decoder.decode(tile.frame, [ObjectQuery(one, None, False) for one in batch])
            found += [one for one in map(_best, answers) if one is not None]
            done += len(batch)
    context.report(done, len(prompts), "drawing objects")
    return tuple(found)


def _best(answer: ObjectResult) -> Instance | None:
    return answer.candidates[0] if answer.candidates else None


def _holds(box: IntBoxYX, middle: tuple[float, float]) -> bool:
    return box[0] <= middle[0] < box[2] and box[1] <= middle[1] < box[3]


def _prompts(labels: LabelArray) -> list[tuple[ObjectPrompts, tuple[float, float]]]:
    """Return what to ask for each object, and where its middle is."""
    found = []
    for number, part in enumerate(ndimage.find_objects(labels), start=1):
        if part is None:
            continue
        (y0, y1), (x0, x1) = ((side.start, side.stop) for side in part)
        box = Box((y0 - 0.5, x0 - 0.5, y1 - 0.5, x1 - 0.5))
        mask = MaskPrompt((y0, x0, y1, x1), np.asarray(labels[part] == number))
        prompts = ObjectPrompts(box=box, mask=mask)
        found.append((prompts, ((y0 + y1) / 2, (x0 + x1) / 2)))
    return found
