"""Weights files: downloads from a server on this machine."""

from __future__ import annotations

import errno
import hashlib
import re
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import xxhash
from filelock import FileLock

from napari_segmate.core.context import Context
from napari_segmate.core.errors import CacheError, Cancelled, OfflineError, WeightsError
from napari_segmate.core.files import weights
from napari_segmate.core.files.weights import WeightsFile, digest_of, fetch, locate, weights_path

CONTENT = bytes(range(256)) * 4096
SHA256 = f"sha256:{hashlib.sha256(CONTENT).hexdigest()}"


@dataclass
class Server:
    """What the server does, and what it was asked."""

    url: str
    content: bytes = CONTENT
    ranges: bool = True
    breaks_after: int | None = None
    chunked: bool = False
    status: int = 200
    asked: list[tuple[str, str | None]] = field(default_factory=list)

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        wanted = request.headers.get("Range")
        self.asked.append((request.path, wanted))
        if self.status != 200:
            request.send_error(self.status)
            return
        start = int(re.findall(r"\d+", wanted)[0]) if wanted and self.ranges else 0
        if start >= len(self.content):
            request.send_error(416)
            return
        body = self.content[start:]
        request.send_response(206 if start else 200)
        if not self.chunked:
            request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        # Who cancels hangs up.
        with suppress(ConnectionError):
            request.wfile.write(body[: self.breaks_after])


@pytest.fixture
def server() -> Iterator[Server]:
    served = Server("")

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            served.answer(self)

        def log_message(self, *arguments: Any) -> None:
            pass

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=http.serve_forever, args=(0.01,))
    thread.start()
    served.url = f"http://127.0.0.1:{http.server_address[1]}"
    yield served
    http.shutdown()
    thread.join()
    http.server_close()


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("NAPARI_SEGMATE_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("NAPARI_SEGMATE_MIRROR", raising=False)
    return tmp_path / "cache"


@pytest.fixture
def file(server: Server) -> WeightsFile:
    return WeightsFile("net.pth", f"{server.url}/official/net.pth", SHA256, len(CONTENT))


def partial(file: WeightsFile) -> Path:
    path = weights_path(file)
    path.parent.mkdir(parents=True, exist_ok=True)
    return path.with_name("net.pth.part")


def test_fetch_downloads_once_with_progress(server: Server, file: WeightsFile, cache: Path) -> None:
    seen: list[tuple[int, int, str]] = []
    path = fetch(file, Context(progress=lambda *report: seen.append(report)))
    assert path == cache / "models" / "net.pth"
    assert path.read_bytes() == CONTENT
    done = [report for report in seen if report[1]]
    assert [one[0] for one in done] == sorted(one[0] for one in done)
    assert done[-1][:2] == (len(CONTENT), len(CONTENT))
    assert fetch(file) == path
    assert len(server.asked) == 1
    assert [left.name for left in path.parent.iterdir()] == ["net.pth"]


def test_the_other_digest_is_checked_as_well(server: Server) -> None:
    digest = f"xxh128:{xxhash.xxh128(CONTENT).hexdigest()}"
    assert fetch(WeightsFile("net.pth", f"{server.url}/a", digest)).read_bytes() == CONTENT


def test_unknown_digest_is_named(server: Server, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"md5.*sha256"):
        fetch(WeightsFile("net.pth", f"{server.url}/a", "md5:00"))
    (tmp_path / "a").write_bytes(b"")
    with pytest.raises(WeightsError, match="crc"):
        digest_of(tmp_path / "a", "crc")


def test_interrupted_download_goes_on(server: Server, file: WeightsFile) -> None:
    partial(file).write_bytes(CONTENT[:1000])
    assert fetch(file).read_bytes() == CONTENT
    assert server.asked == [("/official/net.pth", "bytes=1000-")]


def test_server_without_ranges_starts_anew(server: Server, file: WeightsFile) -> None:
    server.ranges = False
    partial(file).write_bytes(b"x" * 1000)
    assert fetch(file).read_bytes() == CONTENT


def test_complete_part_is_only_checked(server: Server, file: WeightsFile) -> None:
    partial(file).write_bytes(CONTENT)
    assert fetch(file).read_bytes() == CONTENT
    assert server.asked == []


def test_part_longer_than_the_file_is_dropped(server: Server, file: WeightsFile) -> None:
    partial(file).write_bytes(CONTENT + b"more")
    assert fetch(file).read_bytes() == CONTENT


def test_complete_part_of_unknown_size_is_asked_for_again(server: Server) -> None:
    file = WeightsFile("net.pth", f"{server.url}/a", SHA256)
    partial(file).write_bytes(CONTENT)
    assert fetch(file).read_bytes() == CONTENT
    assert [wanted for _, wanted in server.asked] == [f"bytes={len(CONTENT)}-", None]


def test_broken_connection_keeps_the_part_for_the_next_time(
    server: Server, file: WeightsFile
) -> None:
    server.breaks_after = 300_000
    with pytest.raises(OfflineError, match=r"net\.pth could not be downloaded"):
        fetch(file)
    assert partial(file).stat().st_size == 300_000
    assert locate(file) is None
    server.breaks_after = None
    assert fetch(file).read_bytes() == CONTENT
    assert server.asked[-1][1] == "bytes=300000-"


def test_wrong_digest_is_refused_and_deleted(server: Server, file: WeightsFile) -> None:
    server.content = CONTENT[::-1]
    with pytest.raises(WeightsError, match="digest") as raised:
        fetch(file)
    assert str(weights_path(file)) in str(raised.value)
    assert list(weights_path(file).parent.iterdir()) == []


@pytest.mark.parametrize("change", [-100, 100])
def test_another_size_is_refused(server: Server, file: WeightsFile, change: int) -> None:
    server.content = (CONTENT * 2)[: len(CONTENT) + change]
    with pytest.raises(WeightsError, match=f"{len(CONTENT) + change} bytes"):
        fetch(file)
    assert list(weights_path(file).parent.iterdir()) == []


def test_half_a_file_of_unknown_length_is_not_taken(server: Server, file: WeightsFile) -> None:
    server.chunked, server.breaks_after = True, 5000
    with pytest.raises((WeightsError, OfflineError)):
        fetch(file)
    assert locate(file) is None


def test_half_a_file_put_there_by_hand_is_not_taken(server: Server, file: WeightsFile) -> None:
    partial(file)
    weights_path(file).write_bytes(CONTENT[:100])
    assert locate(file) is None
    assert fetch(file).read_bytes() == CONTENT


def test_cancelling_keeps_the_part(server: Server, file: WeightsFile) -> None:
    seen: list[int] = []
    context = Context(
        progress=lambda done, total, text: seen.append(done), cancelled=lambda: len(seen) > 1
    )
    with pytest.raises(Cancelled):
        fetch(file, context)
    assert 0 < partial(file).stat().st_size < len(CONTENT)
    assert fetch(file).read_bytes() == CONTENT
    assert server.asked[-1][1] is not None


def test_offline_says_which_file_to_put_where(cache: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{taken.getsockname()[1]}/net.pth"
        with pytest.raises(OfflineError) as raised:
            fetch(WeightsFile("net.pth", address, SHA256))
    for part in (address, str(cache / "models" / "net.pth"), "NAPARI_SEGMATE_MIRROR"):
        assert part in str(raised.value)


def test_missing_page_is_told_as_offline(server: Server, file: WeightsFile) -> None:
    server.status = 404
    with pytest.raises(OfflineError, match="404"):
        fetch(file)


@pytest.mark.parametrize("how", ["argument", "environment"])
def test_mirror_is_asked_instead(
    server: Server, file: WeightsFile, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    mirror = f"{server.url}/mirror/"
    if how == "environment":
        monkeypatch.setenv("NAPARI_SEGMATE_MIRROR", mirror)
    fetch(file, mirror=mirror if how == "argument" else None)
    assert [path for path, _ in server.asked] == ["/mirror/net.pth"]


def test_address_of_another_kind_is_refused() -> None:
    with pytest.raises(WeightsError, match="http"):
        fetch(WeightsFile("net.pth", "file:///etc/passwd", SHA256))


def test_folder_that_cannot_be_made_is_named(
    file: WeightsFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a-file").write_text("not a folder")
    monkeypatch.setenv("NAPARI_SEGMATE_CACHE", str(tmp_path / "a-file"))
    with pytest.raises(CacheError, match=r"a-file.*NAPARI_SEGMATE_CACHE"):
        fetch(file)


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS, errno.EACCES])
def test_full_or_read_only_disk_is_told(
    file: WeightsFile, code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuses(*arguments: Any) -> None:
        raise OSError(code, "the disk says no")

    monkeypatch.setattr(weights, "_save", refuses)
    with pytest.raises(CacheError, match=r"the disk says no.*NAPARI_SEGMATE_CACHE"):
        fetch(file)
    assert locate(file) is None


def test_cache_folder_is_one_of_its_own_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NAPARI_SEGMATE_CACHE")
    assert "napari-segmate" in weights.cache_folder().parts


def test_of_several_at_once_one_downloads_and_the_others_wait(
    server: Server, file: WeightsFile
) -> None:
    with ThreadPoolExecutor(4) as pool:
        paths = list(pool.map(lambda _: fetch(file), range(4)))
    assert {path.read_bytes() for path in paths} == {CONTENT}
    assert len(server.asked) == 1
    assert list(paths[0].parent.iterdir()) == [paths[0]]


def test_who_waits_for_another_download_can_cancel(file: WeightsFile) -> None:
    place = weights._lock_path(file)
    place.parent.mkdir(parents=True)
    told: list[str] = []
    context = Context(
        progress=lambda done, total, text: told.append(text), cancelled=lambda: bool(told)
    )
    with FileLock(place), pytest.raises(Cancelled):
        fetch(file, context)
    assert told == [f"waiting for another download of {file.filename}"]
