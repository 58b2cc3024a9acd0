import json

import numpy as np
import pytest

from napari_segmate.core.errors import LabelsError
from napari_segmate.core.prompts import Box, MaskPrompt, ObjectPrompts, Points
from napari_segmate.core.types import Frame
from napari_segmate.io.provenance import (
    Record,
    Step,
    from_json,
    load_sidecar,
    save_sidecar,
    sidecar_path,
    to_json,
)

MASK = MaskPrompt((2, 3, 5, 7), np.eye(3, 4, dtype=bool))


def record(label=1, prompts=None):
    prompts = prompts or ObjectPrompts(
        Points([(1.5, 2), (3, 4)], [True, False]), Box((0, 0, 9, 9)), MASK
    )
    step = Step(prompts, Frame((0, 0, 48, 60), (24, 30)), multimask=False, candidate=2)
    return Record(
        label=label,
        index=(3, 4),
        box_yx=(1, 2, 3, 4),
        model="tiny",
        model_key="tiny@0123",
        steps=(step,),
        options={"fill_holes": True, "min_size": 3, "threshold": 0.0},
        score=0.875,
        stability=0.5,
        view={"limits": [[0.0, 255.0]]},
    )


def same(first, second):
    return to_json([first]) == to_json([second])


@pytest.mark.parametrize(
    "prompts",
    [
        None,
        ObjectPrompts(Points([(1, 2)])),
        ObjectPrompts(box=Box((0, 0, 9, 9))),
        ObjectPrompts(mask=MASK),
    ],
    ids=["all", "points", "box", "mask"],
)
def test_records_survive_json(prompts):
    before = record(prompts=prompts)
    (after,) = from_json(json.loads(json.dumps(to_json([before]))))
    assert same(before, after)
    assert (after.index, after.steps[0].candidate, after.created) == ((3, 4), 2, before.created)
    kept = after.steps[0].prompts
    assert kept.box == before.steps[0].prompts.box
    if kept.mask is not None:
        np.testing.assert_array_equal(kept.mask.mask, MASK.mask)


def test_a_record_knows_when_and_by_what_it_was_made():
    assert record().created.endswith("+00:00")
    assert record().version


def test_a_record_keeps_how_the_plane_was_shown():
    (after,) = from_json(json.loads(json.dumps(to_json([record()]))))
    assert after.view == {"limits": [[0.0, 255.0]]}


def test_a_label_is_given_later():
    assert record(0).with_label(np.uint16(7)).label == 7


@pytest.mark.parametrize("data", [[{}], ["x"], [None], [{"label": "x"}], 3])
def test_foreign_metadata_is_refused_with_a_cure(data):
    with pytest.raises(LabelsError, match="can be used without"):
        from_json(data)


def test_the_sidecar_lies_beside_the_labels(tmp_path):
    path = save_sidecar(tmp_path / "cells.tif", [record(1), record(2)])
    assert path == sidecar_path(tmp_path / "cells.tif") == tmp_path / "cells.tif.segmate.json"
    assert [one.label for one in load_sidecar(tmp_path / "cells.tif")] == [1, 2]
    assert [one.name for one in tmp_path.iterdir()] == [path.name]


def test_labels_without_a_sidecar_have_no_records(tmp_path):
    assert load_sidecar(tmp_path / "cells.tif") == ()


@pytest.mark.parametrize("content", ["", "{", "[]", '{"schema": 1}', '{"schema": 1, "objects": 3}'])
def test_a_damaged_sidecar_is_named(tmp_path, content):
    sidecar_path(tmp_path / "cells.tif").write_text(content)
    with pytest.raises(LabelsError):
        load_sidecar(tmp_path / "cells.tif")


def test_a_sidecar_of_a_later_version_is_named(tmp_path):
    path = save_sidecar(tmp_path / "cells.tif", [])
    path.write_text(path.read_text().replace('"schema": 1', '"schema": 99'))
    with pytest.raises(LabelsError, match="update napari-segmate"):
        load_sidecar(tmp_path / "cells.tif")


def test_a_failed_write_leaves_the_old_sidecar_and_no_rest(tmp_path, monkeypatch):
    save_sidecar(tmp_path / "cells.tif", [record(1)])

    def full(self, target):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pathlib.Path.replace", full)
    with pytest.raises(OSError, match="No space"):
        save_sidecar(tmp_path / "cells.tif", [])
    assert len(load_sidecar(tmp_path / "cells.tif")) == 1
    assert len(list(tmp_path.iterdir())) == 1
