from __future__ import annotations

import os
import signal

import numpy as np
import pytest
import zarr

from napari_segmate.core.context import Context
from napari_segmate.core.errors import Cancelled, LabelsError, ParameterError
from napari_segmate.core.images.image_source import ImageSource, guess_axes
from napari_segmate.core.numbers.metrics import average_precision
from napari_segmate.core.synthetic import nuclei
from napari_segmate.io.ome_zarr import open_ome
from napari_segmate.models import load_model
from napari_segmate.tasks.automask.run import Params, run
from napari_segmate.tasks.blockwise.run import Output, label_blocks, work_folder
from napari_segmate.tasks.blockwise.work import ImageFile, ModelHandle

PARAMS = Params(diameter=24.0)
BLOCK = 128


@pytest.fixture(scope="module")
def handle():
    return ModelHandle("tiny", "cpu", model=load_model("tiny", device="cpu"))


@pytest.fixture(scope="module")
def scene():
    return nuclei((300, 330), count=36, radius=12, seed=5)


@pytest.fixture(scope="module")
def image(tmp_path_factory, scene):
    path = tmp_path_factory.mktemp("images") / "image.zarr"
    array = zarr.create_array(
        str(path), shape=scene[0].shape, chunks=(64, 64), dtype=scene[0].dtype
    )
    array[...] = scene[0]
    return ImageFile(str(path))


@pytest.fixture(scope="module")
def here(image, handle, tmp_path_factory):
    """The result of this process, on threads."""
    path = tmp_path_factory.mktemp("here") / "labels.zarr"
    return label_blocks(image, handle, path, PARAMS, block=BLOCK)


def labels_of(written) -> np.ndarray:
    return np.asarray(open_ome(written.path).levels[0][...])


def test_objects_across_borders_of_blocks_come_out_whole(here, scene, handle, image):
    labels = labels_of(here)
    source = image.open()
    whole = run(source.plane((), here.plan.contrast), handle.get(), PARAMS)
    assert np.unique(labels).tolist() == list(range(here.count + 1))
    assert abs(here.count - whole.count) <= 1
    assert float(average_precision(whole.labels, labels)[0]) > 0.97
    truth = scene[1]
    seen = float(average_precision(truth, whole.labels, ignore_min_area=20)[0])
    assert float(average_precision(truth, labels, ignore_min_area=20)[0]) > seen - 0.03


def test_result_is_a_pyramid_and_nothing_else_is_left(here):
    assert [level.shape for level in open_ome(here.path).levels] == [(300, 330), (150, 165)]
    assert [one.name for one in here.path.parent.iterdir()] == ["labels.zarr"]


def bars(shape, boxes) -> np.ndarray:
    values = np.full(shape, 20, np.uint8)
    for y0, x0, y1, x1 in boxes:
        values[y0:y1, x0:x1] = 220
    return values


def test_each_object_on_a_seam_or_corner_has_one_number_of_its_own(handle, tmp_path):
    values = bars((256, 256), [(50, 118, 74, 138), (118, 40, 138, 64), (116, 116, 140, 140)])
    source = ImageSource(values, guess_axes(values.shape))
    written = label_blocks(source, handle, tmp_path / "out.zarr", PARAMS, block=BLOCK)
    labels = labels_of(written)
    assert written.count == 3
    for y0, x0, y1, x1 in [(50, 118, 74, 138), (118, 40, 138, 64), (116, 116, 140, 140)]:
        inside = labels[y0 + 3 : y1 - 3, x0 + 3 : x1 - 3]
        assert len(np.unique(inside)) == 1
        assert inside[0, 0] > 0


def test_area_and_border_limits_hold_for_whole_objects(handle, tmp_path):
    values = bars((256, 256), [(116, 116, 140, 140), (30, 30, 50, 50), (0, 180, 20, 200)])
    source = ImageSource(values, guess_axes(values.shape))
    large = Params(diameter=24.0, min_area=480)
    inner = Params(diameter=24.0, border=False)
    assert label_blocks(source, handle, tmp_path / "a.zarr", large, block=BLOCK).count == 1
    assert label_blocks(source, handle, tmp_path / "b.zarr", inner, block=BLOCK).count == 2


def test_a_stopped_run_goes_on_where_it_was(image, handle, here, tmp_path):
    path = tmp_path / "labels.zarr"
    seen: list[int] = []
    stop = Context(
        progress=lambda done, total, text: seen.append(done) if "labelling" in text else None,
        cancelled=lambda: max(seen, default=0) >= 4,
    )
    with pytest.raises(Cancelled):
        label_blocks(image, handle, path, PARAMS, block=BLOCK, context=stop)
    assert not path.exists()
    finished = {one.name for one in (work_folder(path) / "findings").iterdir()}
    assert 4 <= len(finished) < 9
    again: list[int] = []
    context = Context(progress=lambda done, total, text: again.append(done))
    written = label_blocks(image, handle, path, PARAMS, block=BLOCK, context=context)
    assert written.resumed == len(finished)
    np.testing.assert_array_equal(labels_of(written), labels_of(here))
    assert not work_folder(path).exists()


def test_other_settings_do_not_go_on_with_what_was_begun(image, handle, tmp_path):
    path = tmp_path / "labels.zarr"
    stop = Context(cancelled=lambda: any(work_folder(path).glob("findings/*.npz")))
    with pytest.raises(Cancelled):
        label_blocks(image, handle, path, PARAMS, block=BLOCK, context=stop)
    written = label_blocks(image, handle, path, Params(diameter=30.0), block=BLOCK)
    assert written.resumed == 0


def test_an_existing_result_is_kept_unless_told(image, handle, tmp_path):
    path = tmp_path / "labels.zarr"
    path.mkdir()
    (path / "mine").touch()
    with pytest.raises(LabelsError, match="overwrite"):
        label_blocks(image, handle, path, PARAMS, block=BLOCK)
    assert (path / "mine").exists()
    label_blocks(image, handle, path, PARAMS, block=512, overwrite=True)
    assert not (path / "mine").exists()
    assert open_ome(path) is not None


def test_planes_of_a_stack_are_linked(scene, handle, tmp_path):
    plane = scene[0][:130, :140]
    stack = np.stack([np.zeros_like(plane), plane, plane])
    source = ImageSource(stack, guess_axes(stack.shape))
    output = Output(axes="zyx", link_axis=0, scale=(2.0, 1.0, 1.0), version="0.4")
    linked = label_blocks(source, handle, tmp_path / "a.zarr", PARAMS, output=output, block=BLOCK)
    apart = label_blocks(source, handle, tmp_path / "b.zarr", PARAMS, block=BLOCK)
    labels = labels_of(linked)
    assert not labels[0].any()
    np.testing.assert_array_equal(labels[1], labels[2])
    assert apart.count == 2 * linked.count > 2
    image = open_ome(linked.path)
    assert (image.axes, image.scale) == ("zyx", (2.0, 1.0, 1.0))


@pytest.mark.parametrize(
    "values", [np.zeros((40, 50)), np.full((300, 1), 7.0), np.full((9, 300), np.nan)]
)
def test_an_image_without_objects_gives_empty_labels(handle, tmp_path, values):
    source = ImageSource(values, guess_axes(values.shape))
    written = label_blocks(source, handle, tmp_path / "out.zarr", block=BLOCK)
    assert written.count == 0
    assert not labels_of(written).any()


def test_a_halo_as_large_as_a_block_is_refused(image, handle, tmp_path):
    with pytest.raises(ParameterError, match="halo"):
        label_blocks(image, handle, tmp_path / "a.zarr", Params(halo=128), block=BLOCK)


def test_a_full_disk_is_told_and_leaves_no_result(image, handle, tmp_path, monkeypatch):
    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("napari_segmate.tasks.blockwise.work._save", full)
    with pytest.raises(LabelsError, match="No space left"):
        label_blocks(image, handle, tmp_path / "a.zarr", PARAMS, block=BLOCK)
    assert not (tmp_path / "a.zarr").exists()


def test_an_unknown_scheduler_is_told(image, handle, tmp_path, monkeypatch):
    pytest.importorskip("distributed")
    monkeypatch.setattr("napari_segmate.tasks.blockwise.execute.TIMEOUT_S", 1)
    with pytest.raises(ParameterError, match=r"127\.0\.0\.1:9"):
        label_blocks(
            image, handle, tmp_path / "a.zarr", PARAMS, block=BLOCK, scheduler="tcp://127.0.0.1:9"
        )


def test_a_cluster_that_loses_a_worker_half_way_gives_the_same(image, handle, here, tmp_path):
    distributed = pytest.importorskip("distributed")
    killed: list[int] = []
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None, memory_limit=0
    ) as cluster:

        def kill(done: int, total: int, text: str) -> None:
            if done == 4 and not killed:
                killed.append(cluster.workers[0].pid)
                os.kill(killed[0], signal.SIGKILL)

        written = label_blocks(
            image,
            handle,
            tmp_path / "labels.zarr",
            PARAMS,
            block=BLOCK,
            scheduler=cluster.scheduler_address,
            context=Context(progress=kill),
        )
    assert killed
    np.testing.assert_array_equal(labels_of(written), labels_of(here))
