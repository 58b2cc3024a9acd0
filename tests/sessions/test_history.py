import numpy as np
from fakes import ArrayPlane

from napari_segmate.sessions.history import (
    MAX_ANSWERS,
    MAX_ENTRIES,
    MAX_PLANES,
    Entry,
    Histories,
    History,
)


def plane():
    return ArrayPlane(np.zeros((4, 4), np.uint8))


def test_old_entries_are_dropped_in_the_end():
    history = History()
    for number in range(MAX_ENTRIES + 50):
        history.push(Entry(editing=number))
    steps = 0
    while history.undo():
        steps += 1
    assert steps == MAX_ENTRIES - 1
    assert history.current.editing == 50


def test_only_the_latest_entries_keep_their_answers():
    history = History()
    for number in range(MAX_ANSWERS + 5):
        history.push(Entry(editing=number, results=()))
    kept = 0
    while history.current.results is not None and history.undo():
        kept += 1
    assert kept == MAX_ANSWERS


def test_answers_of_another_plane_are_forgotten():
    history, first = History(), plane()
    history.set_plane(first)
    history.push(Entry(editing=1, results=()))
    history.set_plane(first)
    assert history.current.results == ()
    history.set_plane(plane())
    assert history.current.results is None
    assert history.current.editing == 1


def test_the_plane_is_not_kept_alive():
    import gc
    import weakref

    history, shown = History(), plane()
    history.set_plane(shown)
    alive = weakref.ref(shown)
    del shown
    gc.collect()
    assert alive() is None


def test_planes_looked_at_longest_ago_are_dropped_first():
    histories = Histories()
    for number in range(MAX_PLANES + 1):
        histories.of(number).push(Entry(editing=number))
        histories.of(0)
    assert histories.of(0).current.editing == 0
    assert histories.of(1).current.editing is None
