"""Saves labels together with how each object came about, and finds that again."""

from __future__ import annotations

from typing import Any

from napari.layers import Labels

from napari_segmate.io.labels import write_labels
from napari_segmate.io.provenance import (
    METADATA_KEY,
    from_json,
    load_sidecar,
    save_sidecar,
    to_json,
)

__all__ = ["adopt_records", "write_labels_and_records"]


def write_labels_and_records(path: str, data: Any, attributes: dict[str, Any]) -> list[str]:
    """Write a labels layer and, beside it, the records of its objects; return what was written.

    Parameters
    ----------
    path : str
        Where; its ending says the format.
    data : (..., Y, X) int
        Label image.
    attributes : dict
        The layer's attributes, as napari gives them to writers.
    """
    written = [write_labels(path, data)]
    records = from_json(attributes.get("metadata", {}).get(METADATA_KEY) or [])
    if records:
        written.append(save_sidecar(path, records))
    return [str(one) for one in written]


def adopt_records(layer: Labels) -> None:
    """Give a layer that was read from a file the records beside that file.

    Raises
    ------
    LabelsError
        The records are damaged; the layer can be used without them.
    """
    path = layer.source.path
    if path and METADATA_KEY not in layer.metadata:
        records = load_sidecar(path)
        if records:
            layer.metadata[METADATA_KEY] = to_json(records)
