"""Downloads, from a hub that runs here."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
from small_dino import build

from napari_segmate.core.context import Context
from napari_segmate.core.errors import Cancelled, ModelError, OfflineError, WeightsError
from napari_segmate.detectors import (
    _files,
    address_of,
    commit_of,
    download,
    folder_of,
    get_detector,
    list_detectors,
    load_detector,
    missing_files,
    usable,
)
from napari_segmate.detectors.base import DetectorInfo

OWN = "someone/colonies@1f2e3d4"
COMMIT = "1f2e3d4".ljust(40, "0")


class Hub:
    """Files by name, as the hub serves them; remembers what was asked for."""

    def __init__(self, files: dict[str, bytes]) -> None:
        self.files = files
        self.asked: list[str] = []
        self.digests: dict[str, str] = {}
        self.named, self.commit = "1f2e3d4", COMMIT

    def answer(self, path: str) -> bytes | None:
        self.asked.append(path)
        asked = "/api/models/someone/colonies/revision/"
        if path.startswith((f"{asked}{self.named}?", f"{asked}{self.commit}?")):
            siblings = [self._sibling(name) for name in self.files]
            return json.dumps({"sha": self.commit, "siblings": siblings}).encode()
        start = f"/someone/colonies/resolve/{self.commit}/"
        return self.files.get(path.removeprefix(start)) if path.startswith(start) else None

    def _sibling(self, name: str) -> dict:
        if not name.endswith(".safetensors"):
            return {"rfilename": name}
        digest = self.digests.get(name) or hashlib.sha256(self.files[name]).hexdigest()
        return {"rfilename": name, "lfs": {"sha256": digest}}


def _serve(hub: Hub) -> ThreadingHTTPServer:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = hub.answer(self.path)
            self.send_response(404 if body is None else 200)
            self.send_header("Content-Length", str(len(body or b"")))
            self.end_headers()
            self.wfile.write(body or b"")

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


@pytest.fixture(scope="module")
def served(tmp_path_factory) -> dict[str, bytes]:
    pytest.importorskip("transformers")
    folder = build(tmp_path_factory.mktemp("hub"))
    files = {path.name: path.read_bytes() for path in folder.iterdir()}
    return {**files, "README.md": b"# Colonies", "onnx/model.onnx": b"", "pytorch_model.bin": b""}


@pytest.fixture
def hub(served, tmp_path, monkeypatch) -> Iterator[Hub]:
    monkeypatch.setenv("NAPARI_SEGMATE_CACHE", str(tmp_path / "cache"))
    hub = Hub(dict(served))
    server = _serve(hub)
    monkeypatch.setattr(_files, "HUB", f"http://127.0.0.1:{server.server_port}")
    yield hub
    server.shutdown()
    server.server_close()


def test_repository_is_downloaded_once_and_then_read_without_asking(hub) -> None:
    info = get_detector(OWN)
    assert usable(info)
    assert missing_files(info) == ("config.json", "model.safetensors")
    download(info, Context())
    assert missing_files(info) == ()
    assert folder_of(info).name == "someone--colonies@1f2e3d4"
    assert not {"README.md", "pytorch_model.bin"} & {one.name for one in folder_of(info).iterdir()}
    hub.asked.clear()
    download(info, Context())
    image = np.zeros((60, 90, 3), np.uint8)
    assert len(load_detector(OWN, device="cpu").detect(image, ("cell",), detail=64)) == 20
    assert hub.asked == []


def test_download_goes_on_with_the_files_that_are_missing(hub) -> None:
    info = get_detector(OWN)
    download(info, Context())
    (folder_of(info) / "vocab.txt").unlink()
    assert missing_files(info) == ("vocab.txt",)
    hub.asked.clear()
    download(info, Context())
    assert [path for path in hub.asked if "/resolve/" in path] == [
        f"/someone/colonies/resolve/{COMMIT}/vocab.txt"
    ]


def test_first_download_settles_which_commit_a_branch_stands_for(hub) -> None:
    hub.named = "main"
    info = get_detector("someone/colonies@main")
    assert commit_of(info) == ""
    download(info, Context())
    assert commit_of(info) == COMMIT
    note = json.loads((folder_of(info) / "revision.json").read_text())
    assert note == {"repository": "someone/colonies", "revision": "main", "commit": COMMIT}
    assert all(COMMIT in path for path in hub.asked if "/resolve/" in path)
    # The branch goes on; what is missing still comes from the commit of the rest.
    (folder_of(info) / "vocab.txt").unlink()
    hub.named = "nothing is called so any more"
    download(info, Context())
    assert missing_files(info) == () and commit_of(info) == COMMIT
    assert load_detector(info.name, device="cpu").info == info


def test_interrupted_download_keeps_its_commit(hub) -> None:
    hub.named = "main"
    info = get_detector("someone/colonies@main")
    with pytest.raises(Cancelled):
        download(info, Context(cancelled=lambda: "/model" in "".join(hub.asked[1:])))
    assert missing_files(info) and commit_of(info) == COMMIT


def test_files_put_there_by_hand_are_of_no_known_commit(hub) -> None:
    info = get_detector(OWN)
    folder_of(info).mkdir(parents=True)
    (folder_of(info) / "config.json").write_bytes(hub.files["config.json"])
    hub.commit = "1f2e3d4"
    download(info, Context())
    assert missing_files(info) == () and commit_of(info) == ""


def test_pinned_detectors_need_no_note() -> None:
    pinned = get_detector("owlv2-base")
    assert commit_of(pinned) == pinned.revision and len(pinned.revision) == 40
    assert address_of(pinned, "config.json").endswith(f"/resolve/{pinned.revision}/config.json")
    assert {one.name for one in list_detectors() if not commit_of(one)} <= {
        "mm-grounding-dino-base",
        "mm-grounding-dino-tiny",
    }


def test_damaged_file_is_refused(hub) -> None:
    hub.digests["model.safetensors"] = "0" * 64
    with pytest.raises(WeightsError, match="damaged"):
        download(get_detector(OWN), Context())
    assert "model.safetensors" in missing_files(get_detector(OWN))


def test_download_can_be_cancelled(hub) -> None:
    with pytest.raises(Cancelled):
        download(get_detector(OWN), Context(cancelled=lambda: True))


def test_unknown_revision_is_named(hub) -> None:
    with pytest.raises(ModelError, match=r"nothing at 999 that everyone may download \(HTTP 404\)"):
        download(get_detector("someone/colonies@999"), Context())


def test_repository_without_safetensors_is_refused(hub) -> None:
    del hub.files["model.safetensors"]
    with pytest.raises(ModelError, match="no weights as safetensors at 1f2e3d4"):
        download(get_detector(OWN), Context())


@pytest.mark.parametrize("name", [OWN, "grounding-dino-tiny", "llmdet-tiny"])
def test_hub_that_cannot_be_reached_leaves_instructions(tmp_path, monkeypatch, name) -> None:
    pytest.importorskip("transformers")
    monkeypatch.setenv("NAPARI_SEGMATE_CACHE", str(tmp_path))
    monkeypatch.setattr(_files, "HUB", "http://127.0.0.1:9")
    info = get_detector(name)
    with pytest.raises(OfflineError, match=r"without a connection .*put config\.json, model\.safe"):
        download(info, Context())
    with pytest.raises(OfflineError, match=r"into .*models"):
        load_detector(name, device="cpu")


def test_files_that_were_put_there_by_hand_will_do(served, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("NAPARI_SEGMATE_CACHE", str(tmp_path))
    folder = folder_of(get_detector(OWN))
    folder.mkdir(parents=True)
    for name, content in served.items():
        if "/" not in name:
            (folder / name).write_bytes(content)
    assert missing_files(get_detector(OWN)) == ()
    assert load_detector(OWN, device="cpu").info.name == OWN


def test_detector_that_needs_no_files_is_complete() -> None:
    info = DetectorInfo("spots", "Spots", "Whatever is bright", "BSD-3-Clause", repository="")
    assert missing_files(info) == ()


def test_every_detector_tells_what_a_user_must_know() -> None:
    for info in list_detectors():
        assert info.title and info.description and info.licence and info.extra
        if info.repository:
            assert info.repository.count("/") == 1 and info.size_mb > 0
