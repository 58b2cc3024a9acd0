"""A small image that is labelled block by block, and the result of an undisturbed run."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from blockwise_case import Case

from napari_segmate.models import load_model
from napari_segmate.tasks.blockwise.work import ModelHandle


@pytest.fixture(scope="session")
def handle() -> ModelHandle:
    return ModelHandle("tiny", "cpu", model=load_model("tiny", device="cpu"))


@pytest.fixture
def case(tmp_path: Path, handle: ModelHandle) -> Case:
    return Case.make(tmp_path, handle)


@pytest.fixture(scope="session")
def expected(tmp_path_factory: pytest.TempPathFactory, handle: ModelHandle) -> np.ndarray:
    undisturbed = Case.make(tmp_path_factory.mktemp("undisturbed"), handle)
    undisturbed.run()
    return undisturbed.labels()
