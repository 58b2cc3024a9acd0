from __future__ import annotations

import math

import pytest

from napari_segmate.sessions.text_boxes import COLOURS, BoxBook, BoxRow, Origin, colour_of

FAR = (0.0, 0.0, 10.0, 10.0)
NEAR = (50.0, 50.0, 60.0, 60.0)
LOW = (90.0, 90.0, 99.0, 99.0)
EVERYTHING = [(0, FAR, "cell", 0.9), (1, NEAR, "cell", 0.6), (2, LOW, "nucleus", 0.3)]


@pytest.fixture
def book() -> BoxBook:
    made = BoxBook()
    made.set_found((), EVERYTHING)
    return made


def rows(book: BoxBook) -> list[BoxRow]:
    return [BoxRow(box.number, box.plane, box.box_yx, box.concept) for box in book.shown]


def written(book: BoxBook) -> set[int]:
    return {box.number for box in book.shown}


def test_filters_hide_and_bring_back_the_same_boxes(book) -> None:
    before = book.shown
    book.set_found((), EVERYTHING[:1])
    assert [box.score for box in book.shown] == [0.9]
    book.set_found((), EVERYTHING)
    assert book.shown == before


def test_deleted_box_stays_deleted_when_filters_move(book) -> None:
    numbers = written(book)
    book.take(rows(book)[1:], numbers)
    book.set_found((), EVERYTHING)
    assert [box.box_yx for box in book.shown] == [NEAR, LOW]


def test_edited_box_stays_whatever_the_filters_say(book) -> None:
    moved = (0.0, 0.0, 12.0, 12.0)
    first, *others = rows(book)
    book.take([BoxRow(first.number, (), moved, "cell"), *others], written(book))
    book.set_found((), [])
    (kept,) = book.shown
    assert (kept.box_yx, kept.origin, kept.score) == (moved, Origin.EDITED, 0.9)
    book.set_found((), EVERYTHING)
    assert [box.box_yx for box in book.shown] == [NEAR, LOW, moved]


def test_corners_in_single_precision_are_no_edit(book) -> None:
    first, *others = rows(book)
    nearly = BoxRow(first.number, (), (1e-4, 0, 10, 10), "cell")
    book.take([nearly, *others], written(book))
    assert {box.origin for box in book.shown} == {Origin.FOUND}


def test_other_concept_is_an_edit(book) -> None:
    first, *others = rows(book)
    boxes = book.take([BoxRow(first.number, (), FAR, "platelet"), *others], written(book))
    assert (boxes[0].concept, boxes[0].origin) == ("platelet", Origin.EDITED)


def test_drawn_box_gets_a_number_and_no_score(book) -> None:
    boxes = book.take([*rows(book), BoxRow(0, (), (70, 0, 80, 9), "cell")], written(book))
    drawn = boxes[-1]
    assert drawn.origin is Origin.DRAWN and math.isnan(drawn.score)
    assert drawn.number not in {box.number for box in boxes[:-1]}
    book.take([BoxRow(drawn.number, (), (70, 0, 85, 9), "cell")], {drawn.number})
    assert book.on(())[-1].origin is Origin.DRAWN


def test_pasted_copy_is_another_box(book) -> None:
    first, *others = rows(book)
    copy = BoxRow(first.number, (), (30, 30, 40, 40), first.concept)
    boxes = book.take([first, *others, copy], written(book))
    assert len({box.number for box in boxes}) == 4
    assert boxes[-1].origin is Origin.DRAWN


def test_boxes_not_yet_in_the_layer_are_not_deleted(book) -> None:
    first = rows(book)[0]
    book.take([first], {first.number})
    assert len(book.shown) == 3


def test_found_box_gives_way_to_the_users_box_on_the_same_object(book) -> None:
    book.take([*rows(book), BoxRow(0, (), (0, 0, 10, 9), "cell")], written(book))
    assert [box.origin.value for box in book.shown] == ["found", "found", "drawn"]
    assert FAR not in [box.box_yx for box in book.shown]
    other = BoxBook()
    other.set_found((), EVERYTHING)
    other.take([*rows(other), BoxRow(0, (), (0, 0, 10, 9), "nucleus")], written(other))
    assert len(other.shown) == 4


def test_new_search_forgets_deletions_but_not_drawings(book) -> None:
    numbers = written(book)
    book.take([BoxRow(0, (), (70, 0, 80, 9), "cell")], numbers)
    book.forget_found(())
    book.set_found((), EVERYTHING)
    assert len(book.shown) == 4
    assert not numbers & {box.number for box in book.shown}


def test_planes_are_kept_apart(book) -> None:
    stack = BoxBook()
    stack.set_found((4,), EVERYTHING[:1])
    stack.set_found((2,), EVERYTHING)
    assert stack.planes == ((2,), (4,))
    assert stack.count((2,)) == {"cell": 2, "nucleus": 1}
    assert stack.count() == {"cell": 3, "nucleus": 1}
    assert stack.on((3,)) == ()
    stack.clear()
    assert stack.shown == ()


def test_every_concept_has_a_colour() -> None:
    concepts = [f"concept {number}" for number in range(20)]
    assert colour_of(concepts[0], concepts) == COLOURS[0]
    assert colour_of(concepts[-1], concepts) in COLOURS
    assert colour_of("unknown", []) == COLOURS[0]
