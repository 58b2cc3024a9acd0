from __future__ import annotations

import pytest
from fakes import ArrayPlane, FakeSegmenter

from napari_segmate.core.prompts import Points
from napari_segmate.inference.embeddings.store import EmbeddingStore
from napari_segmate.inference.prompts.predict import predict
from napari_segmate.inference.prompts.request import Prediction, Request
from napari_segmate.sessions.interactive import Session
from napari_segmate.sessions.prompt_set import PromptSet
from napari_segmate.sessions.state import KeyNames

KEYS = KeyNames(commit="K", next_candidate="N", undo="U", retry="G")


class Desk:
    """A session on a plane with blobs, its signals written down, answered when asked to."""

    def __init__(self, plane: ArrayPlane, model: FakeSegmenter, **options: object) -> None:
        self.model, self.store = model, EmbeddingStore()
        self.session = Session(keys=KEYS, model_name="fake", **options)
        self.requests: list[Request] = []
        self.restored: list[PromptSet] = []
        self.states: list[object] = []
        self.previews: list[object] = []
        self.commits: list[object] = []
        self.session.requested.connect(self.requests.append)
        self.session.prompts_restored.connect(self.restored.append)
        self.session.state_changed.connect(self.states.append)
        self.session.preview_changed.connect(self.previews.append)
        self.session.committed.connect(self.commits.append)
        self.session.set_plane(plane, "plane 0")

    @property
    def state(self):
        return self.session.state

    def click(self, *yx, positive=None, **more) -> None:
        self.session.set_prompts(PromptSet(points=Points(yx, positive), **more))

    def predict(self, number: int = -1) -> Prediction:
        return predict(self.requests[number], self.model, self.store)

    def answer(self, number: int = -1) -> bool:
        return self.session.accept(self.predict(number))

    def click_and_answer(self, *yx, positive=None, **more) -> None:
        self.click(*yx, positive=positive, **more)
        assert self.answer()


@pytest.fixture
def desk(blobs: ArrayPlane, fake_model: FakeSegmenter) -> Desk:
    return Desk(blobs, fake_model)
