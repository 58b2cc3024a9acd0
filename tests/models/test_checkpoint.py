from __future__ import annotations

import pickle
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from napari_segmate.core.errors import UnsafeFileError, WeightsError
from napari_segmate.models import load_model
from napari_segmate.models._checkpoint import file_sha256, read_checkpoint


class Payload:
    """Writes a file when it is unpickled."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self):
        return Path.write_text, (self.target, "run")


@pytest.mark.parametrize("legacy", [False, True], ids=["torch.save", "bare pickle"])
def test_pickle_that_runs_code_is_refused_and_not_run(tmp_path, legacy):
    proof, path = tmp_path / "proof.txt", tmp_path / "evil.pth"
    content = {"weights": torch.zeros(2), "payload": Payload(proof)}
    if legacy:
        path.write_bytes(pickle.dumps(content))
    else:
        torch.save(content, path)
    with pytest.raises(UnsafeFileError, match=r"evil\.pth.*safetensors"):
        load_model(path)
    assert not proof.exists()
    pickle.loads(pickle.dumps(Payload(proof)))
    assert proof.exists(), "the payload must work for this test to mean something"


@pytest.mark.parametrize("name", ["half.pth", "half.safetensors"])
def test_half_a_file_is_called_damaged(tmp_path, name):
    path = tmp_path / name
    state = {"a": torch.zeros(4000)}
    if name.endswith("pth"):
        torch.save(state, path)
    else:
        save_file(state, path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(WeightsError, match="damaged") as caught:
        read_checkpoint(path)
    assert not isinstance(caught.value, UnsafeFileError)


@pytest.mark.parametrize("content", [b"", b"hello, not weights"])
def test_other_files_are_called_damaged(tmp_path, content):
    path = tmp_path / "notes.pth"
    path.write_bytes(content)
    with pytest.raises(WeightsError, match=r"notes\.pth cannot be read as weights"):
        read_checkpoint(path)


def test_file_without_tensors_is_refused(tmp_path):
    path = tmp_path / "numbers.pth"
    torch.save({"epoch": 3}, path)
    with pytest.raises(WeightsError, match="holds no weights"):
        read_checkpoint(path)


@pytest.mark.parametrize("wrap", ["model_state", "state_dict"])
def test_training_checkpoints_are_unwrapped(tmp_path, wrap):
    path = tmp_path / "best.pt"
    torch.save({"epoch": 3, wrap: {"sam.encoder": torch.ones(1)}}, path)
    assert list(read_checkpoint(path).state) == ["encoder"]


def test_weights_of_another_network_name_the_known_families(tmp_path):
    path = tmp_path / "other.pth"
    torch.save({"conv.weight": torch.zeros(3)}, path)
    with pytest.raises(WeightsError, match=r"no known architecture.*'sam'"):
        load_model(path)


def test_hash_follows_the_file(tmp_path):
    path = tmp_path / "w.pth"
    path.write_bytes(b"one")
    first = file_sha256(path)
    path.write_bytes(b"another")
    assert file_sha256(path) != first
