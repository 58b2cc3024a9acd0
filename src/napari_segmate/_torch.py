"""The only place that picks a device and a precision, and moves arrays to tensors and back."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import torch

from napari_segmate.core.errors import ModelError, OutOfMemoryError

__all__ = [
    "available_devices",
    "inference",
    "keep_triton_out",
    "on_device_or_cpu",
    "resolve_device",
    "short_of_memory",
    "to_array",
    "to_tensor",
]

R = TypeVar("R")
NO_MEMORY = ("not enough memory", "can't allocate memory", "out of memory")
"""What errors say that torch has no class for: of processors, on Windows, on Linux, of Metal."""
LOADED_LIBRARIES = Path("/proc/self/maps")


def available_devices() -> tuple[str, ...]:
    """Return the devices of this machine, the fastest first: ``("cuda", "cpu")``."""
    found = ["cuda"] if torch.cuda.is_available() else []
    found += ["mps"] if torch.backends.mps.is_available() else []
    return (*found, "cpu")


def resolve_device(name: str = "auto") -> str:
    """Return the device to use; from then on importing triton is safe (`keep_triton_out`).

    Parameters
    ----------
    name : str
        ``"auto"`` for the fastest one, or ``"cpu"``, ``"cuda"``, ``"cuda:1"``, ``"mps"``.

    Raises
    ------
    ModelError
        This machine has no such device.

    Examples
    --------
    >>> resolve_device("cpu")
    'cpu'
    """
    keep_triton_out()
    devices = available_devices()
    if name == "auto":
        return devices[0]
    kind, _, number = name.partition(":")
    known = kind in devices
    if known and number:
        known = kind == "cuda" and number.isdigit() and int(number) < torch.cuda.device_count()
    if not known:
        raise ModelError(f"no device {name!r} here; choose one of {['auto', *devices]}")
    return name


def keep_triton_out(loaded: Path = LOADED_LIBRARIES) -> bool:
    """Let torch do without triton where importing it would end the process; tell whether it does.

    On Linux both triton and Mesa's OpenGL drivers bring LLVM, and triton crashes when it finds the
    other one in a process that has drawn a window. Only compiled models need triton.
    """
    if "triton" not in sys.modules and loaded.exists() and "libLLVM" in loaded.read_text():
        sys.modules["triton"] = None  # type: ignore[assignment]
    return sys.modules.get("triton", sys) is None


@contextmanager
def inference(device: str, fast: bool = False) -> Iterator[None]:
    """Run without gradients; with `fast` in half precision where the device gains from it."""
    kind = device.partition(":")[0]
    # Metal's autocast is younger than the rest and not faster for these networks.
    lower = fast and kind in ("cpu", "cuda")
    with torch.inference_mode(), torch.autocast(kind, torch.bfloat16, enabled=lower):
        yield


def to_tensor(array: npt.ArrayLike, device: str = "cpu") -> torch.Tensor:
    """Return an array as a float32 tensor on a device."""
    values = np.ascontiguousarray(array, dtype=np.float32)
    if not values.flags.writeable:
        values = values.copy()
    return torch.from_numpy(values).to(device)


def to_array(tensor: torch.Tensor) -> npt.NDArray[Any]:
    """Return a tensor as a float32 array."""
    return tensor.detach().float().cpu().numpy()


def short_of_memory(error: BaseException) -> bool:
    """Tell whether an error means that a device or the machine has too little memory.

    Examples
    --------
    >>> short_of_memory(RuntimeError("DefaultCPUAllocator: can't allocate memory")), (
    ...     short_of_memory(RuntimeError("shapes differ"))
    ... )
    (True, False)
    """
    known = isinstance(error, MemoryError | torch.OutOfMemoryError)
    return known or any(words in str(error) for words in NO_MEMORY)


def on_device_or_cpu(
    run: Callable[[str], R], device: str, told: Callable[[str], None] | None = None
) -> R:
    """Return ``run(device)``, and ``run("cpu")`` when the device has too little memory.

    Parameters
    ----------
    run : callable
        The job, given the device.
    device : str
        Where to try first.
    told : callable, optional
        Gets the message of the fallback. Default: a warning.

    Raises
    ------
    OutOfMemoryError
        The main memory is too small as well.
    """
    if device != "cpu":
        try:
            return run(device)
        except torch.OutOfMemoryError as error:
            message = f"{device} has too little memory for this; it runs on the processor instead"
            if told is None:
                warnings.warn(f"{message} ({error})", stacklevel=2)
            else:
                told(message)
        if device.startswith("cuda"):
            torch.cuda.empty_cache()
    try:
        return run("cpu")
    except (MemoryError, RuntimeError) as error:
        if short_of_memory(error):
            raise OutOfMemoryError(
                "the machine has too little memory for this; close other programs, choose a "
                "smaller model such as 'tiny', or a smaller image"
            ) from error
        raise
