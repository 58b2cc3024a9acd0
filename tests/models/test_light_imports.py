import importlib
import subprocess
import sys
from types import ModuleType

import pytest
import timm
import torch

from napari_segmate.models import _light_imports
from napari_segmate.models._light_imports import create_backbone, defer_package

HEAVY = ("torchvision", "torch._dynamo", "huggingface_hub", "timm", "sympy")


def in_new_process(code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=200
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_the_embedded_model_is_loaded_without_torchvision_and_the_rest_of_timm() -> None:
    code = f"""
import sys
from napari_segmate.models import load_model
load_model("tiny", device="cpu")
print([name for name in {HEAVY} if name in sys.modules])
import segment_anything, timm, torchvision
print(sorted(segment_anything.sam_model_registry), timm.is_model("resnet18"))
print(torchvision.ops.nms.__name__, timm.layers.create_feature_extractor.__name__)
from segment_anything.modeling import Sam
print(type(segment_anything.sam_model_registry["vit_b"]) is type(lambda: 0), Sam.__name__)
"""
    heavy, registry, functions, modules = in_new_process(code).splitlines()
    assert heavy == "[]"
    assert registry == "['default', 'vit_b', 'vit_h', 'vit_l'] True"
    assert functions == "nms create_feature_extractor"
    assert modules == "True Sam"


def test_a_light_backbone_is_the_one_that_timm_makes(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "timm"]:
        monkeypatch.delitem(sys.modules, name)
    torch.manual_seed(0)
    light = create_backbone("hgnetv2_b0", features_only=True, pretrained=False)
    assert "timm" not in sys.modules
    torch.manual_seed(0)
    whole = timm.create_model("hgnetv2_b0", features_only=True, pretrained=False)
    image = torch.rand(1, 3, 64, 64)
    for mine, theirs in zip(light.eval()(image), whole.eval()(image), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=0, atol=0)


@pytest.mark.parametrize("module", [None, "no_such_module"])
def test_timm_is_imported_as_usual_where_its_layout_is_another(
    module: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "timm"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(_light_imports, "MODULES", {"hgnetv2": module} if module else {})
    backbone = create_backbone("hgnetv2_b0", features_only=True, pretrained=False)
    assert backbone.feature_info.reduction() == [4, 8, 16, 32]
    assert "timm" in sys.modules


def test_a_deferred_package_runs_once_when_a_name_is_asked_for(tmp_path, monkeypatch) -> None:
    package = tmp_path / "slow_package"
    package.mkdir()
    (package / "__init__.py").write_text("from slow_package import part\nANSWER = [42]\n")
    (package / "part.py").write_text("VALUE = 7\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    defer_package("slow_package")
    try:
        part = importlib.import_module("slow_package.part")
        deferred = sys.modules["slow_package"]
        assert part.VALUE == 7
        assert "ANSWER" not in vars(deferred)
        assert not hasattr(deferred, "__wrapped__")
        assert "ANSWER" not in vars(deferred)
        answer = deferred.ANSWER
        assert answer == [42]
        assert deferred.ANSWER is answer
        with pytest.raises(AttributeError, match="no attribute 'question'"):
            _ = deferred.question
    finally:
        for name in ("slow_package", "slow_package.part"):
            sys.modules.pop(name, None)


def test_a_package_that_is_there_stays_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    there = ModuleType("there_already")
    monkeypatch.setitem(sys.modules, "there_already", there)
    defer_package("there_already")
    assert sys.modules["there_already"] is there


def test_a_package_that_is_not_installed_is_an_error() -> None:
    with pytest.raises(ModuleNotFoundError, match="no_such_package"):
        defer_package("no_such_package")
