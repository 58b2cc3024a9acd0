from __future__ import annotations

from dataclasses import asdict, fields

import numpy as np
import pytest
from fakes import ArrayPlane

from napari_segmate.core.context import Context
from napari_segmate.core.errors import Cancelled, PromptError
from napari_segmate.core.labels.commit import CommitPolicy
from napari_segmate.core.prompts import Box, ObjectPrompts, Points
from napari_segmate.inference.prompts.request import MaskOptions
from napari_segmate.tasks import segment
from napari_segmate.tasks.segment import TASK, Params, inside, run

BLOBS = [(8, 8, 20, 22), (6, 36, 18, 50), (28, 20, 42, 40)]


def click(y, x) -> ObjectPrompts:
    return ObjectPrompts(Points(np.array([[y, x]])))


def centres() -> list[ObjectPrompts]:
    return [click((y0 + y1) / 2, (x0 + x1) / 2) for y0, x0, y1, x1 in BLOBS]


def test_every_prompted_object_gets_its_number(blobs, fake_model):
    labels = run(blobs, centres(), fake_model).labels()
    for number, (y0, x0, y1, x1) in enumerate(BLOBS, start=1):
        mask = np.zeros(blobs.shape, bool)
        mask[y0:y1, x0:x1] = True
        found = labels == number
        assert (found & mask).sum() / (found | mask).sum() > 0.8
    assert labels.dtype == np.uint16


def test_an_object_that_is_not_found_keeps_its_number_free(blobs, fake_model):
    nowhere = ObjectPrompts(box=Box((0, 0, 5, 5)))
    result = run(blobs, [nowhere, *centres()[:1]], fake_model)
    assert result.missing == (1,)
    assert set(np.unique(result.labels())) == {0, 2}
    assert [record.label for record in result.records] == [2]


def test_the_overlap_says_who_gets_a_pixel(blobs, fake_model):
    same = centres()[:1] * 2
    assert run(blobs, same, fake_model).missing == (2,)
    later = run(blobs, same, fake_model, params=Params(overlap=CommitPolicy.OVERWRITE))
    assert later.missing == (1,)


def test_records_say_how_each_object_came_about(blobs, fake_model):
    (record,) = run(blobs, centres()[:1], fake_model, index=(3,)).records
    assert (record.model, record.model_key, record.index) == ("fake", "fake@1", (3,))
    assert record.score == pytest.approx(0.9)
    assert record.options == asdict(MaskOptions())
    np.testing.assert_array_equal(record.steps[0].prompts.points.points_yx, [[14, 15]])


def test_many_objects_are_answered_in_batches(blobs, fake_model, monkeypatch):
    monkeypatch.setattr(segment, "BATCH", 2)
    reports = []
    context = Context(progress=lambda done, total, text: reports.append((done, total, text)))
    at_once = run(blobs, centres(), fake_model)
    batched = run(blobs, centres(), fake_model, params=Params(), context=context)
    np.testing.assert_array_equal(batched.labels(), run(blobs, centres(), fake_model).labels())
    assert at_once.missing == batched.missing == ()
    assert [report for report in reports if report[2] == "segmenting"] == [
        (0, 3, "segmenting"),
        (2, 3, "segmenting"),
        (3, 3, "segmenting"),
    ]


def test_five_hundred_objects_are_no_problem(fake_model):
    plane = ArrayPlane.with_blobs((48, 60), BLOBS)
    at = np.random.default_rng(0).uniform(0, (47, 59), (500, 2))
    result = run(plane, [click(y, x) for y, x in at], fake_model)
    assert len(result.instances) == 500
    assert len(fake_model.encoded) == 1


def test_a_cancelled_job_stops(blobs, fake_model):
    with pytest.raises(Cancelled):
        run(blobs, centres(), fake_model, context=Context(cancelled=lambda: True))
    assert fake_model.decoded == []


def test_no_prompt_is_an_error(blobs, fake_model):
    with pytest.raises(PromptError, match="at least one"):
        run(blobs, [], fake_model)


@pytest.mark.parametrize(
    "prompts",
    [
        click(48, 5),
        click(-0.6, 5),
        click(5, 60),
        ObjectPrompts(box=Box((50, 5, 60, 10))),
        ObjectPrompts(box=Box((-5, 5, 0.2, 10))),
    ],
    ids=["below", "above", "right", "box below", "sliver"],
)
def test_a_prompt_outside_the_plane_is_an_error(blobs, fake_model, prompts):
    with pytest.raises(PromptError, match="outside the image of 48 x 60"):
        run(blobs, [prompts], fake_model)
    assert fake_model.encoded == []


def test_a_box_that_sticks_out_is_cut():
    cut = inside(ObjectPrompts(box=Box((-5, 10, 20, 99))), (48, 60))
    assert cut.box.box_yx == (-0.5, 10, 20, 59.5)


def test_the_border_pixels_are_inside():
    for y, x in [(0, 0), (47, 59), (-0.5, 59.5)]:
        inside(click(y, x), (48, 60))


def test_every_parameter_explains_itself():
    assert all(field.metadata["help"] for field in fields(TASK.params))
    assert TASK.name == "segment"
    assert TASK.run is run
