"""Many images in, a label file for each out, whatever is done to them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from napari_segmate.cli._batch import Reading, Work, expand, jobs_for, run_all
from napari_segmate.core.context import Context
from napari_segmate.core.errors import Cancelled, ImageError, LabelsError


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("b.tif", "a.PNG", "notes.txt"):
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "c.zarr").mkdir()
    return tmp_path


def work(done: list[str], made_with: dict[str, Any] | None = None, fails: str = "") -> Work:
    def run(image: Path, target: Path) -> dict[str, Any]:
        done.append(image.name)
        if image.name == fails:
            raise ImageError("no image")
        target.write_text("labels")
        return {"objects": 2}

    return Work(".facts.json", made_with or {"model": "m"}, run)


def test_folders_give_their_images_in_order_and_patterns_what_fits(folder):
    assert [path.name for path in expand(["."])] == ["a.PNG", "b.tif", "c.zarr"]
    assert [path.name for path in expand(["b.*", "c.zarr", "b.tif"])] == ["b.tif", "c.zarr"]
    with pytest.raises(LabelsError, match=r"no file x\*"):
        expand(["x*"])


def test_labels_are_named_after_their_image(folder):
    jobs = jobs_for([Path("a.PNG"), Path("b.tif")], Path("out"))
    assert [target for _, target in jobs] == [Path("out/a_labels.tif"), Path("out/b_labels.tif")]
    assert Path("out").is_dir()


def test_what_was_done_in_the_same_way_is_skipped(folder):
    jobs, done = jobs_for(expand(["b.tif"]), Path("out")), []
    first = run_all(jobs, work(done), overwrite=False, context=Context())
    assert first.as_text() == "2 objects in 1 image"
    facts = json.loads(Path("out/b_labels.tif.facts.json").read_text())
    assert facts["model"] == "m" and facts["objects"] == 2 and facts["seconds"] >= 0
    again = run_all(jobs, work(done), overwrite=False, context=Context())
    assert (again.skipped, done) == (1, ["b.tif"])
    other = run_all(jobs, work(done, {"model": "n"}), overwrite=False, context=Context())
    assert "--overwrite" in other.errors[0] and done == ["b.tif"]
    run_all(jobs, work(done), overwrite=True, context=Context())
    assert done == ["b.tif", "b.tif"]


def test_another_image_of_the_same_name_is_not_taken_for_done(folder):
    jobs, done = jobs_for(expand(["b.tif"]), Path("out")), []
    run_all(jobs, work(done), overwrite=False, context=Context())
    Path("b.tif").write_bytes(b"another")
    assert run_all(jobs, work(done), overwrite=False, context=Context()).errors


def test_errors_are_collected_and_cancelling_ends_all(folder):
    jobs, done = jobs_for(expand(["."]), Path("out")), []
    found = run_all(jobs, work(done, fails="a.PNG"), overwrite=False, context=Context())
    assert found.errors == ("a.PNG: no image",)
    assert found.as_text() == "4 objects in 2 images, 1 failed"
    stop = Context(cancelled=lambda: len(done) == 4)
    with pytest.raises(Cancelled):
        run_all(jobs, work(done), overwrite=True, context=stop)


def test_planes_are_as_far_apart_as_asked_for(folder):
    assert Reading(None, None, True, 3.0).anisotropy_of(Path("b.tif")) == 3
    assert Reading(None, None, True, None).anisotropy_of(Path("b.tif")) == 1
