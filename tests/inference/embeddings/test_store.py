import gc
import subprocess
import sys
import threading

import numpy as np
import pytest
from fakes import ArrayPlane, FakeSegmenter

from napari_segmate.core.context import Context
from napari_segmate.core.errors import Cancelled
from napari_segmate.core.types import Embedding, Frame
from napari_segmate.inference.embeddings.disk import DiskCache
from napari_segmate.inference.embeddings.store import EmbeddingStore, embedding_key


def image(value):
    return np.full((16, 16, 3), value, np.uint8)


def embedding(value=1.0, size=1000):
    return Embedding({"a": np.full(size, value, np.float32)}, (4, 5), "fake@1")


ONE = FakeSegmenter().encode(image(0)).nbytes
FULL = Frame((0, 0, 48, 60), (48, 60))


def test_an_image_is_encoded_once(fake_model):
    store = EmbeddingStore()
    first = store.get(fake_model, image(1))
    assert store.get(fake_model, image(1)) is first
    assert len(fake_model.encoded) == 1


@pytest.mark.parametrize(
    "other",
    [
        ("fake@2", image(1)),
        ("fake@1", image(2)),
        ("fake@1", image(1).reshape(8, 32, 3)),
    ],
    ids=["weights", "pixels", "shape"],
)
def test_key_changes_with_weights_pixels_and_shape(other):
    assert embedding_key(*other) != embedding_key("fake@1", image(1))


def test_key_changes_with_precision():
    assert embedding_key("a", image(1), float16=True) != embedding_key("a", image(1))


def test_key_ignores_the_memory_layout():
    sliced = np.random.default_rng(0).integers(0, 255, (20, 20, 3), dtype=np.uint8)[::2, ::2]
    assert embedding_key("a", sliced) == embedding_key("a", sliced.copy())


def test_memory_keeps_what_was_used_last(fake_model):
    store = EmbeddingStore(memory_bytes=2 * ONE)
    store.get(fake_model, image(1))
    store.get(fake_model, image(2))
    store.get(fake_model, image(1))
    store.get(fake_model, image(3))
    assert store.nbytes == 2 * ONE
    fake_model.encoded.clear()
    store.get(fake_model, image(1))
    store.get(fake_model, image(3))
    assert fake_model.encoded == []
    store.get(fake_model, image(2))
    assert len(fake_model.encoded) == 1


def test_the_newest_embedding_stays_even_when_it_is_too_large(fake_model):
    store = EmbeddingStore(memory_bytes=1)
    store.get(fake_model, image(1))
    store.get(fake_model, image(1))
    assert len(fake_model.encoded) == 1


def test_a_plane_is_read_once_per_frame(fake_model, blobs):
    store = EmbeddingStore()
    store.of_plane(blobs, FULL, fake_model)
    store.of_plane(blobs, FULL, fake_model)
    assert len(blobs.reads) == 1
    store.of_plane(blobs, Frame((0, 0, 20, 20), (20, 20)), fake_model)
    assert len(blobs.reads) == 2


def test_another_model_encodes_the_plane_again(blobs):
    store = EmbeddingStore()
    first, second = FakeSegmenter(key="fake@1"), FakeSegmenter(key="fake@2")
    store.of_plane(blobs, FULL, first)
    store.of_plane(blobs, FULL, second)
    assert len(second.encoded) == 1


def test_equal_planes_share_an_embedding(fake_model, blobs):
    store = EmbeddingStore()
    store.of_plane(blobs, FULL, fake_model)
    store.of_plane(ArrayPlane(blobs.values.copy()), FULL, fake_model)
    assert len(fake_model.encoded) == 1


def test_a_plane_that_is_gone_is_not_kept_alive(fake_model):
    store = EmbeddingStore()
    plane = ArrayPlane(np.zeros((48, 60), np.uint8))
    store.of_plane(plane, FULL, fake_model)
    del plane
    gc.collect()
    assert len(store._keys) == 0


def test_holds_tells_what_is_in_memory(fake_model, blobs):
    store = EmbeddingStore()
    assert not store.holds(blobs, FULL, fake_model)
    store.of_plane(blobs, FULL, fake_model)
    assert store.holds(blobs, FULL, fake_model)
    store.clear()
    assert not store.holds(blobs, FULL, fake_model)


def test_float16_halves_the_size(fake_model):
    store = EmbeddingStore(float16=True)
    found = store.get(fake_model, image(7))
    assert store.nbytes == ONE // 2
    assert found.arrays["bright"].dtype == np.float16


def test_an_embedding_outlives_the_store_on_disk(fake_model, tmp_path):
    first = EmbeddingStore(folder=tmp_path).get(fake_model, image(9))
    again = EmbeddingStore(folder=tmp_path).get(fake_model, image(9))
    assert len(fake_model.encoded) == 1
    np.testing.assert_array_equal(first.arrays["bright"], again.arrays["bright"])
    assert (again.image_shape, again.model_key) == (first.image_shape, first.model_key)


def test_float16_survives_the_disk(fake_model, tmp_path):
    EmbeddingStore(folder=tmp_path, float16=True).get(fake_model, image(9))
    again = EmbeddingStore(folder=tmp_path, float16=True).get(fake_model, image(9))
    assert again.arrays["bright"].dtype == np.float16
    assert len(fake_model.encoded) == 1


def _damage_end(data):
    return data[: len(data) // 2]


def _damage_chunk(data):
    middle = len(data) // 2
    return data[:middle] + bytes([data[middle] ^ 255]) + data[middle + 1 :]


def _damage_all(data):
    return b"nonsense"


@pytest.mark.parametrize("damage", [_damage_end, _damage_chunk, _damage_all, lambda data: b""])
def test_a_damaged_entry_is_computed_again(fake_model, tmp_path, damage):
    EmbeddingStore(folder=tmp_path).get(fake_model, image(9))
    (file,) = tmp_path.iterdir()
    file.write_bytes(damage(file.read_bytes()))
    found = EmbeddingStore(folder=tmp_path).get(fake_model, image(9))
    assert len(fake_model.encoded) == 2
    np.testing.assert_array_equal(
        found.arrays["bright"], fake_model.encode(image(9)).arrays["bright"]
    )
    fake_model.encoded.clear()
    EmbeddingStore(folder=tmp_path).get(fake_model, image(9))
    assert fake_model.encoded == []


def test_an_entry_without_its_last_part_is_incomplete(tmp_path):
    import zarr
    from zarr.storage import ZipStore

    cache = DiskCache(tmp_path, 10**9)
    with ZipStore(cache.path("k"), mode="w") as store:
        root = zarr.create_group(store=store)
        root.create_array("a", data=np.ones(10, np.float32))
    assert cache.load("k") is None
    assert not cache.path("k").exists()


def test_a_missing_chunk_is_noticed(tmp_path):
    # zarr itself reads a chunk that is not there as zeros.
    import zipfile

    cache = DiskCache(tmp_path, 10**9)
    cache.save("k", embedding())
    with zipfile.ZipFile(cache.path("k")) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(cache.path("k"), "w") as archive:
        for name, content in parts.items():
            if "/c/" not in name:
                archive.writestr(name, content)
    assert cache.load("k") is None


def test_disk_evicts_what_was_used_longest_ago(tmp_path):
    import os

    cache = DiskCache(tmp_path, 3 * 5000)
    for number in range(3):
        cache.save(f"k{number}", embedding(number))
        os.utime(cache.path(f"k{number}"), (1000 + number, 1000 + number))
    assert cache.load("k0") is not None  # used again: now the newest
    cache.save("k3", embedding(3))
    assert cache.load("k1") is None
    assert cache.load("k0") is not None and cache.load("k3") is not None
    assert cache.nbytes <= 3 * 5000


def test_the_entry_just_written_is_not_evicted(tmp_path):
    cache = DiskCache(tmp_path, 1)
    cache.save("k", embedding())
    assert cache.load("k") is not None


def test_what_a_dead_process_left_half_written_is_swept(tmp_path):
    import os

    old, young = tmp_path / "old.part", tmp_path / "young.part"
    old.write_bytes(b"x")
    young.write_bytes(b"x")
    os.utime(old, (1000, 1000))
    DiskCache(tmp_path, 10**9).save("k", embedding())
    assert not old.exists() and young.exists()


def test_clearing_empties_memory_and_disk(fake_model, tmp_path):
    store = EmbeddingStore(folder=tmp_path)
    store.get(fake_model, image(1))
    store.clear()
    assert store.nbytes == 0
    assert list(tmp_path.iterdir()) == []


WRITER = """
import sys, numpy as np
from pathlib import Path
from napari_segmate.core.types import Embedding
from napari_segmate.inference.embeddings.disk import DiskCache
cache = DiskCache(Path(sys.argv[1]), 10**9)
for turn in range(15):
    cache.save("k", Embedding({"a": np.full(20000, turn, np.float32)}, (4, 5), "fake@1"))
"""


def test_two_processes_write_the_same_entry_while_a_third_reads(tmp_path):
    writers = [subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path)]) for _ in range(2)]
    cache, reads = DiskCache(tmp_path, 10**9), 0
    while any(writer.poll() is None for writer in writers):
        if cache.path("k").exists():
            found = cache.load("k")
            assert found is not None
            assert len(np.unique(found.arrays["a"])) == 1
            reads += 1
    assert [writer.returncode for writer in writers] == [0, 0]
    assert reads > 0
    assert [path.name for path in tmp_path.iterdir()] == [cache.path("k").name]


def test_an_entry_that_another_process_holds_open_is_left_as_it_is(tmp_path, monkeypatch):
    def held(self, target):
        raise PermissionError(13, "used by another process")

    cache = DiskCache(tmp_path, 10**9)
    cache.save("k", embedding(1))
    monkeypatch.setattr("pathlib.Path.replace", held)
    cache.save("k", embedding(2))
    found = cache.load("k")
    assert found is not None and found.arrays["a"][0] == 1
    with pytest.raises(PermissionError):
        cache.save("other", embedding(2))
    assert [path.name for path in tmp_path.iterdir()] == [cache.path("k").name]


def test_a_folder_that_cannot_be_made_means_memory_only_and_one_warning(fake_model, tmp_path):
    (tmp_path / "file").write_text("in the way")
    warnings = []
    store = EmbeddingStore(folder=tmp_path / "file" / "cache", warn=warnings.append)
    for value in (1, 2, 1, 2):
        store.get(fake_model, image(value))
    assert len(fake_model.encoded) == 2
    assert len(warnings) == 1
    assert "stay in memory" in warnings[0]


def test_a_full_disk_means_memory_only_and_one_warning(fake_model, tmp_path, monkeypatch):
    def full(path, embedding):
        path.write_bytes(b"part")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("napari_segmate.inference.embeddings.disk._write", full)
    warnings = []
    store = EmbeddingStore(folder=tmp_path, warn=warnings.append)
    for value in (1, 2, 1):
        store.get(fake_model, image(value))
    assert len(fake_model.encoded) == 2
    assert len(warnings) == 1 and "No space left" in warnings[0]
    assert list(tmp_path.iterdir()) == []


def test_a_read_only_folder_still_gives_what_it_holds(fake_model, tmp_path, monkeypatch):
    EmbeddingStore(folder=tmp_path).get(fake_model, image(1))

    def refused(*args, **kwargs):
        raise PermissionError(13, "Permission denied")

    # Permission bits do not stop a superuser, so the calls that they would stop are replaced.
    monkeypatch.setattr("napari_segmate.inference.embeddings.disk.os.utime", refused)
    monkeypatch.setattr("napari_segmate.inference.embeddings.disk._write", refused)
    warnings = []
    store = EmbeddingStore(folder=tmp_path, warn=warnings.append)
    store.get(fake_model, image(1))
    assert len(fake_model.encoded) == 1 and warnings == []
    store.get(fake_model, image(2))
    assert len(warnings) == 1


def test_two_threads_encode_one_image_once(tmp_path):
    class Slow(FakeSegmenter):
        def encode(self, image, context=None):
            threading.Event().wait(0.1)
            return super().encode(image, context)

    model, store = Slow(), EmbeddingStore()
    threads = [threading.Thread(target=store.get, args=(model, image(1))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(model.encoded) == 1


def test_who_waits_for_the_model_can_be_cancelled(fake_model):
    store = EmbeddingStore()
    asked = iter([False, False, True])
    with store.exclusive(Context()), pytest.raises(Cancelled):
        store.get(fake_model, image(1), Context(cancelled=lambda: next(asked)))
    assert fake_model.encoded == []


def test_a_cancelled_encode_leaves_the_store_usable(fake_model):
    store = EmbeddingStore()
    with pytest.raises(Cancelled):
        store.get(fake_model, image(1), Context(cancelled=lambda: True))
    assert store.get(fake_model, image(1)).image_shape == (16, 16)


FILLING = """
import resource, signal, sys
import numpy as np
from pathlib import Path
from napari_segmate.core.types import Embedding
from napari_segmate.inference.embeddings.store import EmbeddingStore

class Model:
    key = "m@1"
    def encode(self, image, context):
        return Embedding({"a": np.random.rand(500, 500)}, (3, 3), self.key)

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, resource.RLIM_INFINITY))
warnings = []
store = EmbeddingStore(folder=Path(sys.argv[1]), warn=warnings.append)
for value in (1, 2, 1):
    store.get(Model(), np.full((3, 3, 3), value, np.uint8))
print(len(warnings), "stay in memory" in warnings[0])
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no limit on file sizes")
def test_a_disk_that_fills_up_while_writing_leaves_no_rest(tmp_path):
    command = [sys.executable, "-W", "error", "-c", FILLING, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["1", "True"]
    assert done.stderr == ""
    assert list(tmp_path.iterdir()) == []
