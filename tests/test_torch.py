from __future__ import annotations

import numpy as np
import pytest
import torch

from napari_segmate._torch import (
    available_devices,
    inference,
    on_device_or_cpu,
    resolve_device,
    to_array,
    to_tensor,
)
from napari_segmate.core.errors import ModelError, OutOfMemoryError


def test_automatic_device_is_the_fastest_there_is():
    assert resolve_device("auto") == available_devices()[0]
    assert available_devices()[-1] == "cpu"


@pytest.mark.parametrize("name", ["tpu", "cuda:99", "cuda:x", "cpu:1", ""])
def test_absent_devices_are_refused(name):
    with pytest.raises(ModelError, match="no device"):
        resolve_device(name)


def test_full_device_falls_back_to_the_processor_and_says_so():
    tried, told = [], []

    def run(device: str) -> str:
        tried.append(device)
        if device != "cpu":
            raise torch.OutOfMemoryError("full")
        return "done"

    assert on_device_or_cpu(run, "mps", told.append) == "done"
    assert tried == ["mps", "cpu"]
    assert "too little memory" in told[0]


def test_full_device_warns_when_nobody_listens():
    def run(device: str) -> str:
        if device != "cpu":
            raise torch.OutOfMemoryError("full")
        return "done"

    with pytest.warns(UserWarning, match="runs on the processor"):
        on_device_or_cpu(run, "mps")


def test_full_machine_names_the_cure():
    def run(device: str) -> None:
        raise MemoryError

    with pytest.raises(OutOfMemoryError, match="smaller model"):
        on_device_or_cpu(run, "cpu")


def test_other_errors_pass():
    def run(device: str) -> None:
        raise RuntimeError("mine")

    with pytest.raises(RuntimeError, match="mine"):
        on_device_or_cpu(run, "cpu")


def test_arrays_survive_the_way_there_and_back():
    array = np.arange(6).reshape(2, 3).T
    array.setflags(write=False)
    np.testing.assert_array_equal(to_array(to_tensor(array)), array)


def test_inference_keeps_no_gradients_and_lowers_precision_only_when_asked():
    layer = torch.nn.Linear(2, 2)
    with inference("cpu", fast=True):
        fast = layer(torch.ones(1, 2))
    with inference("cpu"):
        exact = layer(torch.ones(1, 2))
    assert not exact.requires_grad
    assert (fast.dtype, exact.dtype) == (torch.bfloat16, torch.float32)
