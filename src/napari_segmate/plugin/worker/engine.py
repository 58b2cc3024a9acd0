"""The model in use, for the worker thread: loaded, shared between docks, asked for masks."""

from __future__ import annotations

import sys
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from threading import Lock
from weakref import WeakValueDictionary

from napari_segmate.core.context import Context
from napari_segmate.core.errors import ModelError
from napari_segmate.core.files.weights import cache_folder
from napari_segmate.core.types import IntBoxYX
from napari_segmate.inference.embeddings.crop_window import (
    first_frame,
    frames_in_view,
    zoom_of,
)
from napari_segmate.inference.embeddings.crop_window import (
    prefetch as prefetch_frames,
)
from napari_segmate.inference.embeddings.store import EmbeddingStore
from napari_segmate.inference.prompts.predict import predict as predict_masks
from napari_segmate.inference.prompts.request import PlaneLike, Prediction, Request
from napari_segmate.models.base import Segmenter
from napari_segmate.plugin.settings import General

__all__ = ["SHARED_MODELS", "ModelChoice", "ModelEngine", "default_engine", "load_choice"]

MAX_PREFETCHED = 16
"""Parts of a plane encoded before anyone clicks in them."""
MB = 1 << 20
WAIT_S = 0.05
"""How often a job that waits for another dock's model looks whether it was cancelled."""


@dataclass(frozen=True)
class ModelChoice:
    """Which model, and where it runs."""

    name: str
    device: str = "auto"


LoadModel = Callable[[ModelChoice, Context], Segmenter]


def load_choice(choice: ModelChoice, context: Context) -> Segmenter:
    """Load a model of the package; imports torch.

    Raises
    ------
    ModelError
        torch cannot be loaded in this process.
    """
    from napari_segmate.models import load_model

    context.report(0, 0, "Loading the model")
    try:
        return load_model(choice.name, device=choice.device, context=context)
    except OSError as error:
        if sys.platform == "win32" and "DLL" in str(error):
            raise _torch_too_late() from error
        raise


def _torch_too_late() -> ModelError:
    # Qt brings C++ run-time libraries that are older than those torch needs, and the first ones
    # loaded win; by now Qt is loaded, so that only a new start of napari can help.
    return ModelError(
        "torch cannot be loaded after Qt on this computer; start napari with\n"
        'python -c "import torch, napari; napari.Viewer(); napari.run()"'
    )


def available_devices() -> tuple[str, ...]:
    """Return where models can run; imports torch."""
    from napari_segmate._torch import available_devices

    return available_devices()


class _SharedModels:
    """What all docks of a process share: loaded models and prepared images.

    Held weakly: a model is freed when the last dock has let go of it.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._models: WeakValueDictionary[ModelChoice, Segmenter] = WeakValueDictionary()
        self._stores: WeakValueDictionary[Hashable, EmbeddingStore] = WeakValueDictionary()

    def model(self, choice: ModelChoice, context: Context) -> Segmenter:
        """Return a model, loaded unless another dock uses it."""
        while not self._lock.acquire(timeout=WAIT_S):
            context.check()
        try:
            found = self._models.get(choice)
            if found is None:
                found = self._models[choice] = load_choice(choice, context)
            return found
        finally:
            self._lock.release()

    def forget(self, name: str) -> None:
        """Load a model anew the next time, because its weights have changed."""
        for choice in [one for one in list(self._models) if one.name == name]:
            self._models.pop(choice, None)

    def store(self, key: Hashable, make: Callable[[], EmbeddingStore]) -> EmbeddingStore:
        """Return the store with these settings."""
        found = self._stores.get(key)
        if found is None:
            found = self._stores[key] = make()
        return found


SHARED_MODELS = _SharedModels()


class ModelEngine:
    """Keeps the model in use; every method is for the worker thread.

    Parameters
    ----------
    store : EmbeddingStore
        Keeps embeddings.
    load : callable
        ``load(choice, context) -> Segmenter``; by default docks share the models they load.
    devices : callable
        Returns where models can run; may import torch.
    """

    def __init__(
        self,
        store: EmbeddingStore,
        load: LoadModel = SHARED_MODELS.model,
        devices: Callable[[], tuple[str, ...]] = available_devices,
    ) -> None:
        self.devices = devices
        self.store = store
        self._load = load
        self._choice: ModelChoice | None = None
        self._model: Segmenter | None = None

    def model(self, choice: ModelChoice, context: Context) -> Segmenter:
        """Return a model, loaded if it is not the one in use."""
        if self._model is None or choice != self._choice:
            # Free the old one first: two large models may not fit.
            self._model = self._choice = None
            self._model = self._load(choice, context)
            self._choice = choice
        return self._model

    def predict(self, request: Request, choice: ModelChoice, context: Context) -> Prediction:
        """Return the masks that a request asks for."""
        return predict_masks(request, self.model(choice, context), self.store, context)

    def prefetch(
        self,
        plane: PlaneLike,
        visible_yx: IntBoxYX | None,
        choice: ModelChoice,
        context: Context,
        everywhere: bool = False,
        diameter: float = 0.0,
    ) -> float:
        """Encode the part of a plane in which a click in the middle of the screen would fall.

        With `everywhere` the parts for clicks elsewhere on the screen, too, from the middle
        outwards. Returns the typical diameter of objects if it was estimated, otherwise 0.
        """
        model = self.model(choice, context)
        zoom = zoom_of(
            plane, model, self.store, diameter=diameter, visible_yx=visible_yx, context=context
        )
        if everywhere:
            frames = frames_in_view(plane.shape, model.input_size, visible_yx, zoom)[
                :MAX_PREFETCHED
            ]
        else:
            frames = (first_frame(plane.shape, model.input_size, visible_yx, zoom),)
        prefetch_frames([(plane, frame) for frame in frames], model, self.store, context)
        return self.store.diameter(plane, model.key)


def default_engine(general: General, warn: Callable[[str], None]) -> ModelEngine:
    """Return what a dock uses: embeddings in memory and in the user's cache folder.

    Docks with the same settings share models and embeddings.
    """
    folder = cache_folder() / "embeddings" if general.disk_mb > 0 else None
    settings = (general.memory_mb, folder, general.disk_mb, general.half_precision)

    def make() -> EmbeddingStore:
        return EmbeddingStore(
            general.memory_mb * MB,
            folder,
            general.disk_mb * MB,
            float16=general.half_precision,
            warn=warn,
        )

    return ModelEngine(SHARED_MODELS.store(settings, make))
