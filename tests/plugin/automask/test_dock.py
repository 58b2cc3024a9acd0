"""Automask in a viewer: find, tune, accept, take back."""

from __future__ import annotations

import gc

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Labels

from napari_segmate.core.labels.commit import CommitPolicy
from napari_segmate.core.synthetic import nuclei, stack_3d
from napari_segmate.inference.embeddings.store import EmbeddingStore
from napari_segmate.models import list_models, load_model
from napari_segmate.plugin.automask.dock import AutoDock
from napari_segmate.plugin.automask.request import LEAST, task_params, usual_values
from napari_segmate.plugin.labels.layer_names import PROPOSALS_NAME
from napari_segmate.plugin.worker.engine import ModelEngine
from napari_segmate.sessions.state import Phase
from napari_segmate.tasks.automask.run import Mode, Params
from napari_segmate.widgets.actions import AutoAction
from napari_segmate.widgets.auto_panel import AutoValues

OUTPUT = "SegMate labels"


@pytest.fixture(scope="module")
def model():
    return load_model("tiny", device="cpu")


class Desk:
    """A dock and its viewer."""

    def __init__(self, qtbot, model, image, **layer) -> None:
        self.qtbot = qtbot
        self.viewer = ViewerModel()
        self.viewer.add_image(image, name="image", **layer)
        self.gate = None
        engine = ModelEngine(EmbeddingStore(), lambda choice, context: self._load(model, context))
        tiny = [info for info in list_models() if info.name == "tiny"]
        self.dock = AutoDock(self.viewer, engine=engine, models=tiny)
        qtbot.addWidget(self.dock)

    def _load(self, model, context):
        if self.gate is not None:
            while not self.gate.is_set():
                context.check()
                self.gate.wait(0.01)
        return model

    def wait(self) -> None:
        """Wait until nothing is left to do."""
        dock = self.dock

        def settled() -> bool:
            controller = dock.controller
            waiting = (
                controller.jobs.busy or controller.updater.running or controller.plane_moved.waiting
            )
            return not waiting and controller.runner.idle

        self.qtbot.waitUntil(settled, timeout=60_000)

    def do(self, action: AutoAction) -> None:
        self.dock.trigger(action)
        self.wait()

    @property
    def proposed(self) -> int:
        return len(self.dock.controller.proposals.areas)

    @property
    def hint(self) -> str:
        return self.dock.controller.state.status.hint

    def inside(self, label: int) -> tuple[float, ...]:
        """A world position inside a proposal of the plane in view."""
        plane = self.dock.controller.proposals.on(self.dock.controller.shown_index)
        ys, xs = np.nonzero(plane.labels == label)
        middle = len(ys) // 2
        return (*self.viewer.dims.point[:-2], float(ys[middle]), float(xs[middle]))


@pytest.fixture
def desk(qtbot, model):
    image = nuclei()[0][:192, :192]
    found = Desk(qtbot, model, image)
    yield found
    found.dock.shut_down()
    gc.collect()


def test_every_object_is_proposed_and_nothing_else_is_touched(desk):
    assert AutoAction.RUN.title in desk.hint
    desk.do(AutoAction.RUN)
    assert desk.proposed >= 8
    assert OUTPUT not in desk.viewer.layers
    labels = desk.viewer.layers[PROPOSALS_NAME].data
    assert len(np.unique(labels)) - 1 == desk.proposed
    assert desk.viewer.layers.selection.active.name == "image"


def test_outlines_are_as_wide_at_every_zoom(desk):
    desk.viewer.scene.camera.zoom = 4
    desk.do(AutoAction.RUN)
    layer = desk.viewer.layers[PROPOSALS_NAME]
    assert layer.contour == 1
    desk.viewer.scene.camera.zoom = 0.5
    desk.qtbot.waitUntil(lambda: layer.contour == 5)


def test_accepted_proposals_are_one_step_of_undo(desk):
    desk.do(AutoAction.RUN)
    count = desk.proposed
    desk.do(AutoAction.ACCEPT)
    output = desk.viewer.layers[OUTPUT]
    assert len(np.unique(output.data)) - 1 == count
    assert not desk.viewer.layers[PROPOSALS_NAME].data.any()
    assert f"{count} objects written" in desk.hint
    assert len(output.metadata["napari_segmate"]) == count
    output.undo()
    assert not output.data.any()


def test_accepted_proposals_can_be_taken_back(desk):
    desk.do(AutoAction.RUN)
    desk.do(AutoAction.ACCEPT)
    count = len(desk.viewer.layers[OUTPUT].metadata["napari_segmate"])
    desk.do(AutoAction.TAKE_BACK)
    assert not desk.viewer.layers[OUTPUT].data.any()
    assert desk.proposed == count
    desk.do(AutoAction.TAKE_BACK)
    assert "nothing left" in desk.hint


def test_labels_that_are_there_stay(desk):
    own = np.zeros((192, 192), np.uint16)
    own[:, :96] = 7
    mine = desk.viewer.add_labels(own, name="mine")
    desk.dock._outputs.choose(mine)
    desk.do(AutoAction.RUN)
    desk.do(AutoAction.ACCEPT)
    assert (mine.data[:, :96] == 7).all()
    assert (mine.data[:, 96:] > 7).any()


def test_a_slider_changes_the_labels_without_asking_the_model(desk, monkeypatch):
    desk.do(AutoAction.RUN)
    before = desk.proposed
    monkeypatch.setattr("napari_segmate.plugin.automask.search.prepare", None)
    largest = int(np.sort(desk.dock.controller.proposals.areas)[before // 2])
    desk.dock.panel._largest.setValue(largest)
    desk.wait()
    assert 0 < desk.proposed < before
    assert desk.dock.controller.proposals.areas.max() <= largest
    desk.dock.panel._largest.setValue(0)
    desk.wait()
    assert desk.proposed == before


def test_a_deleted_proposal_stays_away_when_sliders_move(desk):
    desk.do(AutoAction.RUN)
    before = desk.proposed
    desk.dock.controller.delete_at(desk.inside(2))
    assert desk.proposed == before - 1
    desk.dock.panel._smallest.setValue(25)
    desk.dock.panel._sliders["foreground"].setValue(0.45)
    desk.wait()
    plane = desk.dock.controller.proposals.on(())
    assert len(plane.kept) == plane.proposal.count - 1


def test_one_proposal_is_accepted_under_the_cursor(desk):
    desk.do(AutoAction.RUN)
    before, position = desk.proposed, desk.inside(3)
    desk.dock.controller.accept_at(position)
    desk.wait()
    output = desk.viewer.layers[OUTPUT]
    assert desk.proposed == before - 1
    assert np.unique(output.data).tolist() == [0, 1]
    assert output.get_value(position) == 1


def test_pointing_beside_a_proposal_says_so(desk):
    desk.do(AutoAction.RUN)
    desk.dock.controller.delete_at((-50.0, -50.0))
    assert "no proposal there" in desk.hint


def test_only_the_rectangle_is_searched(desk):
    desk.dock.panel._region.setCurrentIndex(2)
    desk.do(AutoAction.RUN)
    assert "rectangle" in desk.hint and not len(desk.dock.controller.proposals)
    corners = [[0, 0], [0, 96], [96, 96], [96, 0]]
    desk.viewer.layers["SegMate region"].add_rectangles([np.array(corners)])
    desk.do(AutoAction.RUN)
    ys, xs = np.nonzero(desk.viewer.layers[PROPOSALS_NAME].data)
    assert desk.proposed
    assert ys.max() < 140 and xs.max() < 140


def test_a_cancelled_search_leaves_no_trace_and_can_be_repeated(desk):
    import threading

    desk.gate = threading.Event()
    desk.dock.trigger(AutoAction.RUN)
    assert desk.dock.controller.state.status.phase is Phase.ENCODING
    desk.dock.trigger(AutoAction.CANCEL)
    desk.wait()
    assert (
        not len(desk.dock.controller.proposals)
        and desk.dock.controller.state.status.phase is not Phase.ERROR
    )
    desk.gate = None
    desk.do(AutoAction.RUN)
    assert desk.proposed


def test_a_failure_is_said_and_can_be_repeated(desk, monkeypatch):
    def broken(*_: object, **__: object) -> None:
        raise OSError("disk on fire")

    monkeypatch.setattr("napari_segmate.plugin.automask.search.prepare", broken)
    desk.do(AutoAction.RUN)
    assert desk.dock.controller.state.status.error == "OSError: disk on fire"
    monkeypatch.undo()
    desk.do(AutoAction.RETRY)
    assert desk.proposed


def test_discarding_takes_the_layer_away(desk):
    desk.do(AutoAction.RUN)
    desk.do(AutoAction.DISCARD)
    assert PROPOSALS_NAME not in desk.viewer.layers
    assert not len(desk.dock.controller.proposals)


def test_a_removed_proposal_layer_is_forgotten(desk):
    desk.do(AutoAction.RUN)
    desk.viewer.layers.remove(PROPOSALS_NAME)
    desk.wait()
    assert desk.proposed == 0
    desk.do(AutoAction.RUN)
    assert desk.proposed


def test_an_empty_image_proposes_nothing_and_says_what_to_try(qtbot, model):
    desk = Desk(qtbot, model, np.full((128, 128), 9, np.uint8))
    desk.do(AutoAction.RUN)
    assert desk.proposed == 0
    assert "Nothing to propose" in desk.hint
    desk.dock.shut_down()


def test_objects_of_a_stack_are_linked(qtbot, model):
    image, _ = stack_3d(shape=(6, 96, 96))
    desk = Desk(qtbot, model, image, scale=(2, 1, 1))
    panel = desk.dock.panel
    desk.wait()
    panel.planes._what.setCurrentIndex(1)
    desk.do(AutoAction.RUN)
    assert len(desk.dock.controller.proposals) == 6
    in_planes = desk.proposed
    qtbot.waitUntil(lambda: desk.dock.controller.counter.objects > 0)
    said = desk.dock.panel._count.text()
    desk.do(AutoAction.ACCEPT)
    output = desk.viewer.layers[OUTPUT]
    objects = len(np.unique(output.data)) - 1
    assert said == f"{objects} objects ({in_planes} outlines) proposed on 6 planes"
    assert output.data.shape == image.shape
    assert tuple(output.scale) == (2, 1, 1)
    assert 0 < len(np.unique(output.data)) - 1 < in_planes
    output.undo()
    assert not output.data.any()
    desk.dock.shut_down()


def test_proposals_of_a_plane_stay_while_others_are_looked_at(qtbot, model):
    image, _ = stack_3d(shape=(6, 96, 96))
    desk = Desk(qtbot, model, image)
    desk.viewer.dims.set_current_step(0, 2)
    desk.wait()
    desk.do(AutoAction.RUN)
    count = desk.proposed
    desk.viewer.dims.set_current_step(0, 4)
    desk.wait()
    assert "1 other plane" in desk.hint
    assert desk.proposed == count
    desk.viewer.dims.set_current_step(0, 2)
    desk.wait()
    assert "accept" in desk.hint
    desk.dock.shut_down()


def test_a_multichannel_image_gets_labels_without_channels(qtbot, model):
    image = np.stack([nuclei()[0][:128, :128]] * 2)
    desk = Desk(qtbot, model, image)
    axis = desk.dock.panel.options._channel_axis
    axis.setCurrentIndex(axis.findData(0))
    desk.wait()
    desk.do(AutoAction.RUN)
    desk.do(AutoAction.ACCEPT)
    assert desk.viewer.layers[OUTPUT].data.shape == (128, 128)
    desk.dock.shut_down()


def test_keys_are_given_back_when_the_dock_is_closed(desk):
    bound = {str(key) for key in desk.viewer.keymap}
    assert "Shift+K" in bound
    desk.dock.shut_down()
    assert not {"Shift+K", "Shift+J"} & {str(key) for key in desk.viewer.keymap}


def test_the_form_says_what_the_task_is_told():
    values = AutoValues(diameter=12, smallest=30, largest=10)
    params = task_params(values, Mode.GRID)
    assert (params.mode, params.diameter, params.min_area, params.max_area) == ("grid", 12, 30, 30)
    assert task_params(AutoValues(), None).diameter is None


def test_the_defaults_of_form_and_task_are_the_same():
    for mode in Mode:
        default = Params()
        limits = default.least_score(mode) or LEAST, default.least_stability(mode) or LEAST
        expected = Params(mode=mode, score=limits[0], stability=limits[1])
        assert task_params(usual_values(AutoValues(), mode), mode) == expected


def test_proposals_are_not_offered_as_output(desk):
    desk.do(AutoAction.RUN)
    layer = desk.viewer.layers[PROPOSALS_NAME]
    assert isinstance(layer, Labels)
    assert not desk.dock.controller.labels_accepts(layer)


def test_only_what_shapes_enclose_is_searched(desk):
    desk.dock.panel._region.setCurrentIndex(3)
    assert "Draw a polygon" in desk.hint
    triangle = np.array([[0, 0], [0, 120], [120, 0]], float)
    desk.viewer.add_shapes([triangle / 2], shape_type="polygon", name="mine", scale=(2, 2))
    desk.do(AutoAction.RUN)
    assert desk.proposed
    ys, xs = np.nonzero(desk.viewer.layers[PROPOSALS_NAME].data)
    assert np.mean(ys + xs < 122) > 0.8


def test_shapes_beside_the_image_are_no_region(desk):
    desk.dock.panel._region.setCurrentIndex(3)
    far = np.array([[900, 900], [900, 999], [999, 999]], float)
    desk.viewer.add_shapes([far], shape_type="polygon", name="far away")
    desk.do(AutoAction.RUN)
    assert "no shape of 'far away' encloses" in desk.dock.controller.state.status.error


def test_proposals_appear_tile_by_tile_and_stay_when_cancelled(qtbot, model, monkeypatch):
    monkeypatch.setattr("napari_segmate.plugin.automask.search.LIVE_S", 0.0)
    desk = Desk(qtbot, model, np.tile(nuclei()[0], (3, 3)))
    controller = desk.dock.controller
    seen = []
    controller.plane_found = lambda plane: seen.append(len(plane.kept))
    desk.dock.trigger(AutoAction.RUN)
    qtbot.waitUntil(lambda: len(seen) > 0 and seen[-1] > 0, timeout=60_000)
    assert controller.state.status.phase is Phase.ENCODING
    desk.dock.trigger(AutoAction.CANCEL)
    desk.wait()
    assert desk.proposed > 0
    assert "stays" in desk.hint
    desk.dock.panel._sliders["foreground"].setValue(0.9)
    desk.wait()
    assert desk.proposed > 0
    desk.dock.shut_down()


def test_of_many_settings_only_the_newest_is_computed(desk, monkeypatch):
    desk.do(AutoAction.RUN)
    from napari_segmate.plugin.automask import proposal_updater

    asked, real = [], proposal_updater.generate

    def counting(prepared, params, context):
        asked.append(params.foreground)
        return real(prepared, params, context=context)

    monkeypatch.setattr(proposal_updater, "generate", counting)
    for step in range(40):
        desk.dock.panel._sliders["foreground"].setValue(0.3 + step / 100)
    desk.wait()
    assert len(asked) <= 2
    assert asked[-1] == pytest.approx(0.69)


def test_every_image_keeps_its_own_proposals(desk):
    desk.do(AutoAction.RUN)
    count = desk.proposed
    other = desk.viewer.add_image(nuclei(seed=3)[0][:128, :128], name="other")
    desk.dock._images.choose(other)
    desk.wait()
    assert desk.proposed == 0
    desk.do(AutoAction.RUN)
    assert desk.proposed
    desk.dock._images.choose(desk.viewer.layers["image"])
    desk.wait()
    assert desk.proposed == count


def test_another_size_asks_for_another_look(desk):
    desk.do(AutoAction.RUN)
    desk.dock.panel._diameter.setValue(60)
    desk.wait()
    assert "look again" in desk.hint
    desk.do(AutoAction.RUN)
    assert "look again" not in desk.hint
    assert desk.dock.controller.proposals.on(()).prepared.diameter == 60


def test_a_grid_of_clicks_has_limits_of_its_own(desk):
    mode = desk.dock.panel._mode
    mode.setCurrentIndex(mode.findData("grid"))
    values = desk.dock.panel.values
    assert (values.score, values.stability) == (0.65, 0.8), "what suits the embedded model"
    assert desk.dock.panel._sliders["score"].minimum() == 0.5
    mode.setCurrentIndex(mode.findData("objects"))
    assert desk.dock.panel.values.score == Params().least_score(Mode.OBJECTS)
    assert desk.dock.panel._sliders["score"].minimum() == 0


def test_what_lies_on_other_labels_stays_a_proposal(desk):
    own = np.zeros((192, 192), np.uint16)
    own[:, :96] = 7
    mine = desk.viewer.add_labels(own, name="mine")
    desk.dock._outputs.choose(mine)
    desk.do(AutoAction.RUN)
    count = desk.proposed
    desk.do(AutoAction.ACCEPT)
    written = len(np.unique(mine.data)) - 2
    assert desk.proposed == count - written > 0
    assert f"{desk.proposed} more lie on others and stay proposals" in desk.hint


def test_a_search_goes_on_while_the_stack_is_seen_in_3d(qtbot, model):
    image, _ = stack_3d(shape=(4, 96, 96))
    desk = Desk(qtbot, model, image)
    desk.wait()
    desk.dock.panel.planes._what.setCurrentIndex(1)
    desk.dock.trigger(AutoAction.RUN)
    desk.viewer.dims.ndisplay = 3
    desk.wait()
    assert len(desk.dock.controller.proposals) == 4
    assert "2-D display" in desk.hint
    assert not desk.dock.controller.can("accept")
    desk.viewer.dims.ndisplay = 2
    desk.wait()
    assert desk.dock.controller.can("accept")
    desk.dock.shut_down()


def test_a_second_run_adds_no_slivers_of_what_is_labelled(desk):
    desk.do(AutoAction.RUN)
    desk.do(AutoAction.ACCEPT)
    output = desk.viewer.layers[OUTPUT]
    before = output.data.copy()
    desk.do(AutoAction.RUN)
    # Larger ones: each has a seam that is free.
    desk.dock.panel._sliders["foreground"].setValue(0.2)
    desk.wait()
    count = desk.proposed
    desk.do(AutoAction.ACCEPT)
    assert (output.data == before).all()
    assert desk.proposed == count
    assert "lie on others" in desk.dock.controller.state.status.error
    desk.dock.controller.committer.policy = CommitPolicy.OVERWRITE
    desk.do(AutoAction.ACCEPT)
    assert len(np.unique(output.data[before > 0])) == count


def test_unlinked_sections_are_objects_of_their_own(qtbot, model):
    desk = Desk(qtbot, model, stack_3d(shape=(4, 96, 96))[0])
    panel = desk.dock.panel
    desk.wait()
    panel.planes._what.setCurrentIndex(1)
    desk.do(AutoAction.RUN)
    qtbot.waitUntil(lambda: f"({desk.proposed} outlines)" in panel._count.text())
    panel.planes._linked.setChecked(False)
    assert panel._count.text() == f"{desk.proposed} objects proposed on 4 planes"
    assert "outlines" not in desk.hint
    desk.dock.shut_down()


@pytest.mark.parametrize("mode", ["grid", "refined"])
def test_proposals_stay_as_they_are_until_the_search_in_another_mode(desk, mode):
    desk.do(AutoAction.RUN)
    before = desk.viewer.layers[PROPOSALS_NAME].data.copy()
    modes = desk.dock.panel._mode
    modes.setCurrentIndex(modes.findData(mode))
    desk.dock.panel._sliders["score"].setValue(0.99)
    desk.wait()
    assert (desk.viewer.layers[PROPOSALS_NAME].data == before).all()
    assert "look again" in desk.hint
    modes.setCurrentIndex(modes.findData("objects"))
    desk.dock.panel._sliders["score"].setValue(1.0)
    desk.wait()
    assert desk.proposed < before.max()


def test_another_region_asks_for_another_look(desk):
    desk.do(AutoAction.RUN)
    desk.dock.panel._region.setCurrentIndex(2)
    layer = desk.viewer.layers["SegMate region"]
    for side in (96, 64):
        layer.add_rectangles([np.array([[0, 0], [0, side], [side, side], [side, 0]])])
        desk.wait()
        assert "look again" in desk.hint
        desk.do(AutoAction.RUN)
        assert "look again" not in desk.hint
    desk.dock.panel._region.setCurrentIndex(0)
    assert "look again" in desk.hint
