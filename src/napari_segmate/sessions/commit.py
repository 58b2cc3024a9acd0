"""Objects on their way into a label image, with the story of each."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from napari_segmate.core.types import Instance
from napari_segmate.inference.prompts.request import MaskOptions, ObjectResult
from napari_segmate.io.provenance import Record
from napari_segmate.sessions.history import Entry

__all__ = ["Commit", "make_commit"]


@dataclass(frozen=True, eq=False)
class Commit:
    """What a user has accepted.

    Parameters
    ----------
    instances : tuple of Instance
        The objects, in plane pixels.
    records : tuple of Record
        One per object; their label is 0 until `labelled`.
    replaced_id : int, optional
        Label value of the edited object that the first instance replaces.
    plane_key : hashable
        Which plane, as given to `Session.set_plane`.
    index : tuple of int
        Index of the plane in its stack.
    entry : Entry
        The prompts and answers, to bring them back with `Session.restore`.
    """

    instances: tuple[Instance, ...]
    records: tuple[Record, ...]
    replaced_id: int | None
    plane_key: Hashable
    index: tuple[int, ...]
    entry: Entry

    def without(self, numbers: Collection[int]) -> Commit:
        """Return the commit without some of its objects, numbered from 0."""
        kept = [at for at in range(len(self.instances)) if at not in numbers]
        return replace(
            self,
            instances=tuple(self.instances[at] for at in kept),
            records=tuple(self.records[at] for at in kept),
        )

    def labelled(self, first_id: int, view: Mapping[str, Any] | None = None) -> tuple[Record, ...]:
        """Return the records with label values: `first_id` and on, after the replaced one.

        Parameters
        ----------
        first_id : int
            As given to `napari_segmate.core.labels.commit.commit`.
        view : mapping, optional
            How the plane was shown to the model (contrast limits, channels; JSON values).
        """
        records = [replace(record, view=dict(view or {})) for record in self.records]
        labels = list(range(first_id, first_id + len(self.records)))
        if self.replaced_id is not None:
            labels = [self.replaced_id, *labels[:-1]]
        return tuple(map(Record.with_label, records, labels))


def _record(
    result: ObjectResult,
    instance: Instance,
    index: tuple[int, ...],
    model: tuple[str, str],
    options: MaskOptions,
) -> Record:
    return Record(
        label=0,
        index=index,
        box_yx=instance.box_yx,
        model=model[0],
        model_key=model[1],
        steps=result.steps,
        options=asdict(options),
        score=instance.score,
        stability=instance.stability,
    )


def make_commit(
    entry: Entry,
    plane_key: Hashable,
    index: tuple[int, ...],
    model: tuple[str, str],
    options: MaskOptions,
) -> Commit | None:
    """Return the commit of an answered entry, None when it has no object.

    Parameters
    ----------
    entry : Entry
        Prompts and answers.
    plane_key, index
        Which plane.
    model : (name, key)
        Who answered.
    options : MaskOptions
        How logits became masks.
    """
    found = [(result, result.instance) for result in entry.results or ()]
    pairs = [(result, instance) for result, instance in found if instance is not None]
    if not pairs:
        return None
    records = tuple(_record(result, one, index, model, options) for result, one in pairs)
    instances = tuple(instance for _, instance in pairs)
    return Commit(instances, records, entry.editing, plane_key, index, entry)
