"""Many images in, a label file for each out, whatever is done to them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from napari_segmate.cli._batch import Work, run_all
from napari_segmate.cli._files import expand, jobs_for
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
    assert "(model); --overwrite" in other.errors[0] and done == ["b.tif"]
    run_all(jobs, work(done), overwrite=True, context=Context())
    assert done == ["b.tif", "b.tif"]


def test_another_image_of_the_same_name_is_not_taken_for_done(folder):
    jobs, done = jobs_for(expand(["b.tif"]), Path("out")), []
    run_all(jobs, work(done), overwrite=False, context=Context())
    Path("b.tif").write_bytes(b"another")
    (told,) = run_all(jobs, work(done), overwrite=False, context=Context()).errors
    assert "made from another image" in told
    Path("out/b_labels.tif.facts.json").unlink()
    (told,) = run_all(jobs, work(done), overwrite=False, context=Context()).errors
    assert "nothing says that this command made it" in told and done == ["b.tif"]


def test_errors_are_collected_and_cancelling_ends_all(folder):
    jobs, done = jobs_for(expand(["."]), Path("out")), []
    found = run_all(jobs, work(done, fails="a.PNG"), overwrite=False, context=Context())
    assert found.errors == ("a.PNG: no image",)
    assert found.as_text() == "4 objects in 2 images, 1 failed"
    stop = Context(cancelled=lambda: len(done) == 4)
    with pytest.raises(Cancelled):
        run_all(jobs, work(done), overwrite=True, context=stop)


def test_labels_that_were_made_here_are_no_images_of_a_folder(folder):
    Path("b_labels.tif").write_bytes(b"labels")
    Path("b_labels.tif.segmate-auto.json").write_text("{}")
    assert [path.name for path in expand(["."])] == ["a.PNG", "b.tif", "c.zarr"]
    assert [path.name for path in expand(["b*.tif"])] == ["b.tif"]
    assert [path.name for path in expand(["b_labels.tif"])] == ["b_labels.tif"]
    with pytest.raises(LabelsError, match="only labels that segmate wrote"):
        expand(["b_*.tif"])


def test_a_zarr_folder_of_any_name_is_an_image(folder):
    Path("plain").mkdir()
    Path("plain/zarr.json").write_text("{}")
    assert expand(["plain"]) == [Path("plain")]


def test_labels_never_take_the_place_of_an_image(folder):
    with pytest.raises(LabelsError, match="would replace an image"):
        jobs_for([Path("b.tif")], Path("b.tif"))
    Path("b_labels.tif").write_bytes(b"drawn by hand")
    with pytest.raises(LabelsError, match="would replace an image"):
        jobs_for([Path("b.tif"), Path("b_labels.tif")], Path())


def test_a_folder_with_a_dot_in_its_name_is_a_folder(folder):
    Path("run.2").mkdir()
    assert jobs_for([Path("b.tif")], Path("run.2")) == [(Path("b.tif"), Path("run.2/b_labels.tif"))]


def test_what_is_asked_for_beside_finished_labels_is_completed(folder):
    jobs, done, completed = jobs_for(expand(["b.tif"]), Path("out")), [], []
    run_all(jobs, work(done), overwrite=False, context=Context())
    again = replace(work(done), complete=lambda image, target: completed.append(target.name))
    assert run_all(jobs, again, overwrite=False, context=Context()).skipped == 1
    assert (done, completed) == (["b.tif"], ["b_labels.tif"])


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (FileNotFoundError(2, "No such file", "b.tif"), "b.tif any more; was it moved"),
        (OSError(5, "Input/output error"), "b.tif: Input/output error; check the file"),
        (MemoryError(), "b.tif: the memory is full; close other programs"),
    ],
)
def test_errors_of_the_machine_are_told_in_one_line(folder, error, said):
    def fails(image: Path, target: Path) -> dict[str, Any]:
        raise error

    jobs = jobs_for(expand(["b.tif"]), Path("out"))
    (told,) = run_all(
        jobs, Work(".facts.json", {}, fails), overwrite=False, context=Context()
    ).errors
    assert said in told and "\n" not in told
