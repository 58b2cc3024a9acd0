"""Parts of timm and segment-anything without everything that their packages import.

Both packages load torchvision, and with it torch's compiler, before the first line of a network is
read: half of the time from a new process to the first mask. The networks used here need neither.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from types import ModuleType
from typing import Any

__all__ = ["create_backbone", "defer_package"]

MODULES = {"hgnetv2": "hgnet", "hgnet": "hgnet"}
"""First word of a backbone's name → module of timm that defines it."""
UNUSED = ("torchvision.models", "huggingface_hub")
"""Packages that timm does without where it cannot import them; for downloads and tracing."""


class DeferredPackage(ModuleType):
    """A package whose own code runs when one of its names is asked for; submodules need no such."""

    def __init__(self, spec: ModuleSpec) -> None:
        super().__init__(spec.name)
        self.__spec__, self.__loader__, self.__file__ = spec, spec.loader, spec.origin
        self.__package__, self.__path__ = spec.name, spec.submodule_search_locations or []
        self._lock = threading.RLock()
        self._complete = False

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") and name not in ("__version__", "__all__"):
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        self._complete_once()
        try:
            return self.__dict__[name]
        except KeyError:
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}") from None

    def _complete_once(self) -> None:
        with self._lock:
            if not self._complete:
                self._complete = True
                loader = self.__spec__.loader if self.__spec__ else None
                assert loader is not None, "a package that was found has a loader"
                loader.exec_module(self)


def defer_package(name: str, given: str = "") -> None:
    """Have a package import its submodules without running the package's own code.

    Parameters
    ----------
    name : str
        A package; one that has been imported before stays as it is.
    given : str, optional
        A submodule whose names the package has from the start.

    Raises
    ------
    ModuleNotFoundError
        The package is not installed.
    """
    if name in sys.modules:
        return
    spec = find_spec(name)
    if spec is None:
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)
    package = sys.modules[name] = DeferredPackage(spec)
    parent, _, child = name.rpartition(".")
    if parent:
        setattr(sys.modules[parent], child, package)
    if given:
        values = vars(import_module(given))
        vars(package).update({key: value for key, value in values.items() if key[:2] != "__"})
        if "__version__" in values:
            vars(package)["__version__"] = values["__version__"]


def create_backbone(name: str, **options: Any) -> Any:
    """Return what ``timm.create_model(name, **options)`` returns, without the rest of timm.

    timm is imported as usual when it is there already, when it does not define the architecture in
    the module where this package expects it, or when anything else about it is unexpected.
    """
    module = MODULES.get(name.partition("_")[0])
    if module is not None and "timm" not in sys.modules:
        try:
            with _private_timm():
                import_module(f"timm.models.{module}")
                return import_module("timm.models._factory").create_model(name, **options)
        except (ImportError, AttributeError, KeyError, RuntimeError):
            pass  # Another layout of timm: the usual import is slower, and sure.
    import timm

    return timm.create_model(name, **options)


@contextmanager
def _private_timm() -> Iterator[None]:
    """Import parts of timm for one use; whoever imports timm afterwards gets all of it."""
    before = set(sys.modules)
    try:
        with _unavailable(UNUSED):
            defer_package("timm", given="timm.version")
            defer_package("timm.models")
            defer_package("timm.data", given="timm.data.constants")
            # One layer of timm's is torchvision's; it needs nothing else of it.
            defer_package("torchvision")
            defer_package("torchvision.ops")
            yield
    finally:
        for name in set(sys.modules) - before:
            if name.partition(".")[0] in ("timm", "torchvision"):
                del sys.modules[name]


@contextmanager
def _unavailable(names: Sequence[str]) -> Iterator[None]:
    """Have this thread not find some packages, unless they have been imported before."""
    blocker = _Blocker(names, threading.get_ident())
    sys.meta_path.insert(0, blocker)
    try:
        yield
    finally:
        sys.meta_path.remove(blocker)


class _Blocker:
    """A finder that finds nothing, and has nobody else find it, on one thread."""

    def __init__(self, names: Sequence[str], thread: int) -> None:
        self._names, self._thread = frozenset(names), thread

    def find_spec(self, name: str, path: object = None, target: object = None) -> None:
        """Raise for the packages that are not to be found."""
        if name in self._names and threading.get_ident() == self._thread:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
