"""Committed objects again, from their records."""

from __future__ import annotations

from collections.abc import Sequence

from napari_segmate.core.context import Context
from napari_segmate.core.errors import ModelError
from napari_segmate.core.types import Instance
from napari_segmate.inference.embeddings.store import EmbeddingStore
from napari_segmate.inference.prompts.decoding import Decoder, ObjectQuery
from napari_segmate.inference.prompts.request import MaskOptions, ObjectResult, PlaneLike, Previous
from napari_segmate.io.provenance import Record, Step
from napari_segmate.models.base import Segmenter

__all__ = ["replay"]


def replay(
    records: Sequence[Record],
    plane: PlaneLike,
    model: Segmenter,
    store: EmbeddingStore,
    context: Context | None = None,
    *,
    any_model: bool = False,
) -> tuple[Instance | None, ...]:
    """Return the objects that the records describe, made again step by step.

    Parameters
    ----------
    records : sequence of Record
        Objects of this plane.
    plane : Plane
        The same pixels, shown with the same contrast, as when the objects were made.
    model : Segmenter
        The model that made them.
    store : EmbeddingStore
        Where embeddings are kept.
    context : Context, optional
        Progress (one step per record) and cancellation.
    any_model : bool
        Let another model, or other weights, answer the same prompts.

    Returns
    -------
    tuple of Instance or None
        One entry per record; None where the model finds nothing now.

    Raises
    ------
    ModelError
        A record was made by another model and `any_model` is False.
    """
    context = context or Context()
    found: list[Instance | None] = []
    for number, record in enumerate(records):
        context.report(number, len(records), "replaying")
        if record.model_key != model.key and not any_model:
            raise ModelError(
                f"object {record.label} was made by {record.model_key!r}, this is {model.key!r}; "
                "load that model, or allow any model"
            )
        found.append(_object(record, plane, model, store, context))
    return tuple(found)


def _object(
    record: Record,
    plane: PlaneLike,
    model: Segmenter,
    store: EmbeddingStore,
    context: Context,
) -> Instance | None:
    decoder = Decoder(plane, model, store, MaskOptions(**record.options), context)
    previous: Previous | None = None
    result: ObjectResult | None = None
    for step in record.steps:
        result = _chosen(decoder, step, previous)
        previous = result.as_previous()
    return result.instance if result is not None else None


def _chosen(decoder: Decoder, step: Step, previous: Previous | None) -> ObjectResult:
    query = ObjectQuery(step.prompts, previous, step.multimask)
    (result,) = decoder.decode(step.frame, [query])
    return result.choose(step.candidate)
