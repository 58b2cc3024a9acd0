"""Instance decoders in the files that micro-sam writes, with small random weights."""

from __future__ import annotations

from collections import OrderedDict
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from segment_anything.modeling import Sam
from torch import Tensor
from torch.nn import functional

from napari_segmate.core.errors import ModelError, WeightsError
from napari_segmate.models import get_model, load_model
from napari_segmate.models._unetr import InstanceDecoder, build_instance_decoder

EMBEDDING, WIDTHS = 32, [32, 16, 8, 4]


def shapes(learned: bool = False) -> dict[str, tuple[int, ...]]:
    """Names and shapes as in micro-sam's files: 66 of them, at small widths."""
    found: dict[str, tuple[int, ...]] = {}

    def conv(name: str, wide: int, narrow: int, size: int) -> None:
        found[f"{name}.weight"] = (narrow, wide, size, size)
        found[f"{name}.bias"] = (narrow,)

    def enlarge(name: str, wide: int, narrow: int) -> None:
        if learned:
            found[f"{name}.block.weight"] = (wide, narrow, 2, 2)
            found[f"{name}.block.bias"] = (narrow,)
        else:
            conv(f"{name}.conv", wide, narrow, 1)

    def block(name: str, wide: int, narrow: int) -> None:
        conv(f"{name}.block.1", wide, narrow, 3)
        conv(f"{name}.block.4", narrow, narrow, 3)

    for number, (wide, narrow) in enumerate(pairwise(WIDTHS)):
        block(f"decoder.blocks.{number}", wide, narrow)
        enlarge(f"decoder.samplers.{number}", wide, narrow)
    for level, (wide, narrow) in enumerate(zip([EMBEDDING, *WIDTHS], WIDTHS, strict=False)):
        name = f"deconv{level + 1}.block"
        enlarge(f"{name}.0", wide, narrow)
        conv(f"{name}.1.block", narrow, narrow, 3)
        for part in ("weight", "bias", "running_mean", "running_var"):
            found[f"{name}.2.{part}"] = (narrow,)
        found[f"{name}.2.num_batches_tracked"] = ()
    block("base", EMBEDDING, WIDTHS[0])
    enlarge("deconv_out", WIDTHS[-1], WIDTHS[-1])
    block("decoder_head", 2 * WIDTHS[-1], WIDTHS[-1])
    conv("out_conv", WIDTHS[-1], 3, 1)
    return found


def weights(learned: bool = False) -> OrderedDict[str, Tensor]:
    generator = torch.Generator().manual_seed(5)
    state: OrderedDict[str, Tensor] = OrderedDict()
    for name, shape in shapes(learned).items():
        state[name] = torch.randn(shape, generator=generator) * 0.3
        if name.endswith("running_var"):
            state[name] = torch.rand(shape, generator=generator) + 0.5
        if name.endswith("num_batches_tracked"):
            state[name] = torch.tensor(7)
    return state


def reference(state: dict[str, Tensor], z12: Tensor) -> Tensor:
    """The steps of micro-sam's decoder, in functions, enlarging before the small convolution."""

    def enlarge(name: str, x: Tensor) -> Tensor:
        if f"{name}.block.weight" in state:
            return functional.conv_transpose2d(
                x, state[f"{name}.block.weight"], state[f"{name}.block.bias"], stride=2
            )
        larger = functional.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
        return functional.conv2d(larger, state[f"{name}.conv.weight"], state[f"{name}.conv.bias"])

    def deconv(name: str, x: Tensor) -> Tensor:
        x = enlarge(f"{name}.block.0", x)
        weight, bias = (state[f"{name}.block.1.block.{part}"] for part in ("weight", "bias"))
        x = functional.conv2d(x, weight, bias, padding=1)
        parts = [state[f"{name}.block.2.{p}"] for p in ("running_mean", "running_var")]
        scale = [state[f"{name}.block.2.{p}"] for p in ("weight", "bias")]
        return functional.batch_norm(x, *parts, *scale).relu()

    def block(name: str, x: Tensor) -> Tensor:
        for number in (1, 4):
            weight, bias = (state[f"{name}.block.{number}.{part}"] for part in ("weight", "bias"))
            x = functional.conv2d(functional.instance_norm(x), weight, bias, padding=1).relu()
        return x

    z9 = deconv("deconv1", z12)
    z6 = deconv("deconv2", z9)
    z3 = deconv("deconv3", z6)
    z0 = deconv("deconv4", z3)
    x = block("base", z12)
    for number, side in enumerate((z9, z6, z3)):
        x = enlarge(f"decoder.samplers.{number}", x)
        c = x.shape[1]
        first = (side.shape[1] - c) // 2
        x = block(f"decoder.blocks.{number}", torch.cat([x, side[:, first : first + c]], 1))
    x = block("decoder_head", torch.cat([enlarge("deconv_out", x), z0], 1))
    return functional.conv2d(x, state["out_conv.weight"], state["out_conv.bias"]).sigmoid()


@pytest.mark.parametrize("learned", [False, True])
def test_the_network_has_the_names_of_the_files(learned: bool) -> None:
    network = InstanceDecoder(EMBEDDING, WIDTHS, learned)
    found = {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}
    assert found == shapes(learned)
    assert len(found) == 66


def test_at_full_size_it_has_the_parameters_of_micro_sams() -> None:
    with torch.device("meta"):
        network = InstanceDecoder(256, [512, 256, 128, 64])
    assert sum(one.numel() for one in network.parameters()) == 9_591_235


@pytest.mark.parametrize("learned", [False, True])
@torch.inference_mode()
def test_it_computes_what_micro_sams_steps_compute(learned: bool) -> None:
    state = weights(learned)
    embedding = torch.randn(1, EMBEDDING, 8, 8, generator=torch.Generator().manual_seed(1))
    found = build_instance_decoder(state, "decoder")(embedding)
    assert found.shape == (1, 3, 128, 128)
    torch.testing.assert_close(found, reference(state, embedding), atol=1e-4, rtol=1e-4)


def test_a_decoder_with_missing_weights_is_named() -> None:
    state = weights()
    del state["base.block.4.weight"]
    with pytest.raises(WeightsError, match="half is not a complete instance decoder"):
        build_instance_decoder(state, "half")


def files(sam: Sam, folder: Path) -> dict[str, Path]:
    plain, decoder = sam.state_dict(), weights()
    contents: dict[str, Any] = {
        "exported": {"model_state": plain, "decoder_state": decoder},
        "training": {
            "iteration": 10,
            "epoch": 1,
            "best_metric": 0.5,
            "model_state": OrderedDict((f"sam.{name}", at) for name, at in plain.items()),
            "decoder_state": decoder,
            "optimizer_state": {"state": {}, "param_groups": []},
        },
        "two_files": plain,
        "without": plain,
    }
    for name, content in contents.items():
        torch.save(content, folder / f"{name}.pt")
    torch.save(decoder, folder / "two_files_decoder.pt")
    return {name: folder / f"{name}.pt" for name in contents}


@pytest.fixture(scope="module")
def saved(sam: Sam, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return files(sam, tmp_path_factory.mktemp("heads"))


@pytest.mark.parametrize("name", ["exported", "training", "two_files"])
def test_maps_of_every_kind_of_file(sam: Sam, saved: dict[str, Path], name: str) -> None:
    model = load_model(saved[name], device="cpu")
    assert model.info.instance_head
    image = np.random.default_rng(0).integers(0, 255, (64, 128, 3), np.uint8)
    embedding = model.encode(image)
    maps = model.instance_maps(embedding)
    assert maps.shape == (32, 64)
    assert maps.image_shape == (64, 128)
    with torch.inference_mode():
        wanted = reference(weights(), torch.from_numpy(embedding.arrays["embedding"])[None])
    # Half of the 128 x 128 square is the image, the rest padding.
    inner = functional.interpolate(
        wanted[..., :64, :], (32, 64), mode="bilinear", align_corners=False, antialias=True
    )[0].numpy()
    np.testing.assert_allclose(maps.foreground, inner[0], atol=1e-4)
    np.testing.assert_allclose(maps.centre, 1 - inner[1], atol=1e-4)
    np.testing.assert_allclose(maps.depth, 1 - inner[2], atol=1e-4)


def test_a_file_without_decoder_has_no_head(saved: dict[str, Path]) -> None:
    model = load_model(saved["without"], device="cpu")
    assert not model.info.instance_head
    embedding = model.encode(np.zeros((32, 32, 3), np.uint8))
    with pytest.raises(ModelError, match="no instance head"):
        model.instance_maps(embedding)


def test_the_generalists_come_with_their_decoders() -> None:
    for name in ("vit_b_lm", "vit_l_lm", "vit_b_em_organelles", "vit_l_em_organelles"):
        info = get_model(name)
        (decoder,) = info.extra
        assert info.instance_head
        assert decoder.filename == f"{name}_decoder.pt"
        assert decoder.url == info.weights.url.replace(".pt", "_decoder.pt")
        assert dict(info.suggested)["min_area"] == 100
    assert dict(get_model("vit_b_lm").suggested)["least_centre"] == 0.6
