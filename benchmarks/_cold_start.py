"""A new process that opens an image, loads the embedded model and answers one click.

Run by `benchmarks.first_mask`: ``python -m benchmarks._cold_start IMAGE.npy Y X STARTED``, where
STARTED is what ``time.time()`` was when the process was started. Prints the seconds of each step.
"""

from __future__ import annotations

import builtins
import functools
import importlib
import json
import sys
from collections.abc import Callable, Sequence
from time import perf_counter, time
from typing import Any

__all__ = ["STEPS", "ImportClock", "main"]

STEPS = {
    "python": "Python starts",
    "imports": "imports",
    "load": "load the model",
    "open": "read the image, contrast",
    "encode": "encode",
    "decode": "decode, cut out the mask",
}


class ImportClock:
    """Seconds spent on imports, whichever line asks for them."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._depth = 0

    def install(self) -> Callable[[], None]:
        """Time all imports from now on; what is returned ends that."""
        statement, function = builtins.__import__, importlib.import_module
        builtins.__import__ = self._timed(statement)
        importlib.import_module = self._timed(function)

        def uninstall() -> None:
            builtins.__import__, importlib.import_module = statement, function

        return uninstall

    def _timed(self, call: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(call)
        def timed(*args: Any, **kwargs: Any) -> Any:
            if self._depth:
                return call(*args, **kwargs)
            self._depth += 1
            start = perf_counter()
            try:
                return call(*args, **kwargs)
            finally:
                self._depth -= 1
                self.seconds += perf_counter() - start

        return timed


class StepClock:
    """Seconds of each step, without the imports made during it."""

    def __init__(self, imports: ImportClock) -> None:
        self.seconds: dict[str, float] = {}
        self._imports = imports
        self._inside = 0.0

    def call(self, step: str, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Return what the function returns; steps within this one are not part of its time."""
        outer, self._inside = self._inside, 0.0
        start, imported = perf_counter(), self._imports.seconds
        result = function(*args, **kwargs)
        spent = perf_counter() - start
        own = spent - self._inside - (self._imports.seconds - imported)
        self.seconds[step] = self.seconds.get(step, 0.0) + own
        self._inside = outer + spent
        return result


def first_mask(imports: ImportClock, path: str, click_yx: tuple[float, float]) -> dict[str, float]:
    """Return the seconds of each step from an image file to the first mask, imports aside."""
    import numpy as np

    from napari_segmate.core.images.image_source import ContrastMode, ImageAxes, ImageSource
    from napari_segmate.core.prompts import ObjectPrompts, Points
    from napari_segmate.inference.embeddings.store import EmbeddingStore
    from napari_segmate.inference.prompts.predict import predict
    from napari_segmate.inference.prompts.request import Request
    from napari_segmate.models import load_model

    def read() -> Any:
        source = ImageSource(np.load(path), ImageAxes(0, 1))
        return source.plane((), source.estimate_contrast(ContrastMode.PLANE, ()))

    clock = StepClock(imports)
    model = clock.call("load", load_model, "tiny", device="cpu")
    plane = clock.call("open", read)
    model.encode = functools.partial(clock.call, "encode", model.encode)
    prompts = ObjectPrompts(points=Points(np.array([click_yx])))
    prediction = clock.call(
        "decode", predict, Request(1, plane, (prompts,)), model, EmbeddingStore()
    )
    assert prediction.objects[0].candidates
    return clock.seconds


def main(argv: Sequence[str] | None = None) -> None:
    begun = time()
    path, y, x, started = argv if argv is not None else sys.argv[1:]
    imports = ImportClock()
    uninstall = imports.install()
    try:
        seconds = first_mask(imports, path, (float(y), float(x)))
    finally:
        uninstall()
    total = time() - float(started)
    found = {"python": begun - float(started), "imports": imports.seconds, **seconds}
    print(json.dumps({**found, "total": total}))


if __name__ == "__main__":
    main()
