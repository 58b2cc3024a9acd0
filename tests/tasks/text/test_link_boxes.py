from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from napari_segmate.core.labels.commit import commit
from napari_segmate.core.types import Instance
from napari_segmate.sessions.text_boxes import TextBox
from napari_segmate.tasks.segment import Segmentation
from napari_segmate.tasks.text.link_boxes import link_planes

SHAPE = (40, 40)
HERE, THERE = (2, 2, 12, 12), (20, 20, 30, 30)


def plane(z: int, *objects: tuple[tuple[int, int, int, int], str]) -> SimpleNamespace:
    found = [Instance(box, np.ones((box[2] - box[0], box[3] - box[1]), bool)) for box, _ in objects]
    changes = commit(np.zeros(SHAPE, int), found, first_id=1)
    boxes = tuple(TextBox(n, (z,), box, concept) for n, (box, concept) in enumerate(objects, 1))
    return SimpleNamespace(
        index=(z,), boxes=boxes, segmentation=Segmentation(SHAPE, tuple(found), (), changes)
    )


def test_object_in_several_planes_has_one_number() -> None:
    planes = [
        plane(0, (HERE, "cell"), (THERE, "cell")),
        plane(1, (THERE, "cell"), (HERE, "cell")),
        plane(2, (THERE, "cell")),
    ]
    assert link_planes(planes, linked=True) == ((1, 2), (2, 1), (2,))


def test_unlinked_objects_are_their_own() -> None:
    planes = [plane(0, (HERE, "cell")), plane(1, (HERE, "cell"))]
    assert link_planes(planes, linked=False) == ((1,), (2,))


def test_concepts_are_not_mixed() -> None:
    planes = [plane(0, (HERE, "cell")), plane(1, (HERE, "nucleus"))]
    assert link_planes(planes, linked=True) == ((1,), (2,))


@pytest.mark.parametrize(("far", "same"), [(2, True), (3, False), (9, False)])
def test_an_object_may_be_missing_from_one_plane(far, same) -> None:
    first, second = link_planes([plane(0, (HERE, "cell")), plane(far, (HERE, "cell"))], linked=True)
    assert (first == second) is same


def test_object_without_a_pixel_keeps_a_number_of_its_own() -> None:
    planes = [plane(0, (HERE, "cell"), (HERE, "cell")), plane(1, (HERE, "cell"))]
    assert link_planes(planes, linked=True) == ((1, 2), (1,))


def test_a_step_along_another_axis_leads_to_another_stack() -> None:
    planes = [plane(0, (HERE, "cell")), plane(0, (HERE, "cell"))]
    planes[0].index, planes[1].index = (0, 1), (1, 0)
    assert link_planes(planes, linked=True) == ((1,), (2,))


@pytest.mark.parametrize(("axis", "same"), [(0, True), (1, False), (None, True)])
def test_only_planes_along_the_given_axis_are_neighbours(axis, same) -> None:
    planes = [plane(0, (HERE, "cell")), plane(0, (HERE, "cell"))]
    planes[0].index, planes[1].index = (0, 0), (1, 0)
    first, second = link_planes(planes, linked=True, z_axis=axis)
    assert (first == second) is same
