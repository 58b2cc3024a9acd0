from __future__ import annotations

from pathlib import Path

import pytest
import torch
from segment_anything.modeling import Sam
from small_sam import small_sam

__all__ = ["small_sam"]


@pytest.fixture(scope="session")
def sam() -> Sam:
    return small_sam()


@pytest.fixture(scope="session")
def sam_file(sam: Sam, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "small_sam.pth"
    torch.save(sam.state_dict(), path)
    return path
