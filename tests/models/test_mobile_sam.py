"""MobileSAM's files, written down from their format, through the path that users take."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from small_mobile_sam import encoder_shapes, small_mobile_sam
from torch import Tensor, nn
from torch.nn import functional

from napari_segmate.core.context import Context
from napari_segmate.core.errors import Cancelled, ModelError, WeightsError
from napari_segmate.core.prompts import Box, ObjectPrompts, Points
from napari_segmate.models import get_model, load_model
from napari_segmate.models._exchange import export_official
from napari_segmate.models._mobile_encoder import build_mobile_encoder
from napari_segmate.models._unetr import InstanceDecoder

PUBLISHED = encoder_shapes((64, 128, 160, 320), (2, 2, 6, 2), (0, 4, 5, 10), (0, 7, 14, 7), 256)
EM_AND_LM = ("vit_t_lm", "vit_t_em_organelles")


@pytest.fixture(scope="module")
def mobile_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "small_mobile_sam.pt"
    torch.save(small_mobile_sam(), path)
    return path


@pytest.fixture(scope="module")
def model(mobile_file):
    return load_model(mobile_file, device="cpu")


@pytest.fixture(scope="module")
def image():
    return np.random.default_rng(0).integers(0, 256, (60, 80, 3), np.uint8)


@pytest.fixture(scope="module")
def embedding(model, image):
    return model.encode(image)


def with_weights(tmp_path, **changes):
    """Write a file in which some weights are others, or missing: None."""
    state = {**small_mobile_sam(), **{f"image_encoder.{n}": v for n, v in changes.items()}}
    path = tmp_path / "changed.pt"
    torch.save({name: value for name, value in state.items() if value is not None}, path)
    return path


# The network


def test_network_of_the_published_sizes_has_the_published_names_and_shapes():
    with torch.device("meta"):
        state = {name: torch.empty(shape) for name, shape in PUBLISHED.items()}
        network = build_mobile_encoder(state)
    found = {f"image_encoder.{name}": value for name, value in network.state_dict().items()}
    assert {name: tuple(value.shape) for name, value in found.items()} == PUBLISHED
    assert sum(value.numel() for value in network.parameters()) == 6_065_532


def merged(state: dict[str, Tensor], name: str, x: Tensor, stride: int = 1) -> Tensor:
    """A convolution and its normalisation, from the weights alone."""
    kernel = state[f"{name}.c.weight"]
    groups = x.shape[1] // kernel.shape[1]
    x = functional.conv2d(x, kernel, stride=stride, padding=kernel.shape[-1] // 2, groups=groups)
    parts = [
        state[f"{name}.bn.{part}"] for part in ("running_mean", "running_var", "weight", "bias")
    ]
    return functional.batch_norm(x, *parts)


def normed(state: dict[str, Tensor], name: str, x: Tensor) -> Tensor:
    return functional.layer_norm(x, x.shape[-1:], state[f"{name}.weight"], state[f"{name}.bias"])


def linear(state: dict[str, Tensor], name: str, x: Tensor) -> Tensor:
    return functional.linear(x, state[f"{name}.weight"], state[f"{name}.bias"])


def attended(state: dict[str, Tensor], name: str, tokens: Tensor) -> Tensor:
    """Attention of one window (cells, C): scores, and a bias by the distance along each axis."""
    table = state[f"{name}.attention_biases"]
    side = round(table.shape[1] ** 0.5)
    rows, columns = (torch.arange(side**2) // side), (torch.arange(side**2) % side)
    apart = (rows[:, None] - rows).abs() * side + (columns[:, None] - columns).abs()
    parts = linear(state, f"{name}.qkv", normed(state, f"{name}.norm", tokens))
    query, key, value = parts.view(len(tokens), len(table), 3, -1).permute(2, 1, 0, 3)
    scores = query @ key.transpose(1, 2) / query.shape[-1] ** 0.5 + table[:, apart]
    mixed = scores.softmax(-1) @ value
    return linear(state, f"{name}.proj", mixed.transpose(0, 1).reshape(len(tokens), -1))


def windowed(state: dict[str, Tensor], name: str, x: Tensor) -> Tensor:
    """Attention of an image (1, C, h, w), window by window; zeros fill the last ones."""
    side = round(state[f"{name}.attention_biases"].shape[1] ** 0.5)
    height, width = x.shape[2:]
    filled = functional.pad(x, (0, -width % side, 0, -height % side))
    result = torch.empty_like(filled)
    for top in range(0, filled.shape[2], side):
        for left in range(0, filled.shape[3], side):
            part = (0, slice(None), slice(top, top + side), slice(left, left + side))
            tokens = attended(state, name, filled[part].flatten(1).T)
            result[part] = tokens.T.view(-1, side, side)
    return result[..., :height, :width]


def block(state: dict[str, Tensor], name: str, x: Tensor) -> Tensor:
    x = merged(state, f"{name}.local_conv", x + windowed(state, f"{name}.attn", x))
    tokens = x.permute(0, 2, 3, 1)
    inside = linear(state, f"{name}.mlp.fc1", normed(state, f"{name}.mlp.norm", tokens))
    tokens = tokens + linear(state, f"{name}.mlp.fc2", functional.gelu(inside))
    return tokens.permute(0, 3, 1, 2)


def expected_embedding(state: dict[str, Tensor], x: Tensor) -> Tensor:
    """The paper's steps one after the other, from the weights alone."""
    gelu = functional.gelu
    state = {name.removeprefix("image_encoder."): value for name, value in state.items()}
    x = merged(state, "patch_embed.seq.2", gelu(merged(state, "patch_embed.seq.0", x, 2)), 2)
    name = "layers.0.blocks.0"
    inside = gelu(merged(state, f"{name}.conv2", gelu(merged(state, f"{name}.conv1", x))))
    x = gelu(x + merged(state, f"{name}.conv3", inside))
    for layer, depth in ((1, 1), (2, 2), (3, 1)):
        merging = f"layers.{layer - 1}.downsample"
        x = gelu(merged(state, f"{merging}.conv1", x))
        x = gelu(merged(state, f"{merging}.conv2", x, 1 if layer == 3 else 2))
        x = merged(state, f"{merging}.conv3", x)
        for number in range(depth):
            x = block(state, f"layers.{layer}.blocks.{number}", x)
    for number in (0, 2):
        x = functional.conv2d(x, state[f"neck.{number}.weight"], padding=number // 2)
        norm = f"neck.{number + 1}"
        parts = (x.shape[1:2], state[f"{norm}.weight"], state[f"{norm}.bias"], 1e-6)
        x = functional.layer_norm(x.permute(0, 2, 3, 1), *parts).permute(0, 3, 1, 2)
    return x


def test_encoder_does_the_steps_of_the_paper(model):
    images = torch.randn(1, 3, 320, 320, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        found = model.network.image_encoder(images)
        expected = expected_embedding(small_mobile_sam(), images)
    assert found.shape == (1, 32, 20, 20)
    assert expected.std() > 0.1
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-4)


# Files


def test_file_is_known_by_its_shapes(model):
    assert model.info.architecture == "vit_t_8_8_16_16"
    assert model.input_size == 1024


def test_every_weight_of_the_file_is_in_the_network(model):
    state = model.network.state_dict()
    expected = small_mobile_sam()
    assert set(state) == set(expected)
    assert all(torch.equal(state[name], value) for name, value in expected.items())


def test_masks_of_prompts(model, embedding, image):
    assert embedding.arrays["embedding"].shape == (32, 64, 64)
    prompts = [ObjectPrompts(points=Points([[10, 20]])), ObjectPrompts(box=Box((5, 5, 40, 50)))]
    result = model.decode(embedding, prompts)
    assert result.logits.shape == (2, 3, 256, 256)
    assert np.isfinite(result.logits).all() and result.logits.std() > 0
    assert not np.allclose(result.logits[0], result.logits[1])
    assert model.upscale(result.logits, image.shape[:2]).shape == (2, 3, 60, 80)


def test_encoding_reports_each_step_and_stops_when_cancelled(model, image):
    seen = []

    def cancelled() -> bool:
        return len(seen) == 2

    with pytest.raises(Cancelled):
        model.encode(image, Context(lambda *report: seen.append(report), cancelled))
    # Five blocks and three mergings.
    assert seen == [(0, 8, "encoding the image"), (1, 8, "encoding the image")]


def test_lower_precision_stays_close(mobile_file, embedding, image):
    fast = load_model(mobile_file, device="cpu", fast=True).encode(image).arrays["embedding"]
    exact = embedding.arrays["embedding"]
    assert 0 < np.abs(fast - exact).mean() < 0.05 * np.abs(exact).mean()


@pytest.mark.parametrize(
    "name",
    [
        "neck.0.weight",
        "layers.2.blocks.1.mlp.fc1.bias",
        "layers.3.blocks.0.attn.attention_biases",
        "layers.1.downsample.conv3.c.weight",
        "head.weight",
    ],
)
def test_missing_weights_are_named_with_the_file(tmp_path, name):
    with pytest.raises(WeightsError, match=r"changed\.pt is not a complete SAM") as caught:
        load_model(with_weights(tmp_path, **{name: None}), device="cpu")
    assert name in str(caught.value)


def test_unknown_weights_are_named_with_the_file(tmp_path):
    path = with_weights(tmp_path, **{"neck.9.weight": torch.zeros(3)})
    with pytest.raises(WeightsError, match=r"changed\.pt is not a complete SAM.*neck\.9\.weight"):
        load_model(path, device="cpu")


def test_weights_of_other_shapes_are_named_with_the_file(tmp_path):
    path = with_weights(tmp_path, **{"layers.2.blocks.0.attn.qkv.weight": torch.zeros(48, 17)})
    with pytest.raises(WeightsError, match=r"changed\.pt is not .*blocks\.0\.attn\.qkv\.weight"):
        load_model(path, device="cpu")


def test_heads_that_do_not_divide_the_width_are_refused(tmp_path):
    path = with_weights(
        tmp_path, **{"layers.2.blocks.0.attn.attention_biases": torch.zeros(3, 196)}
    )
    with pytest.raises(WeightsError, match=r"changed\.pt is not .*numbers of heads \(1, 3, 2\)"):
        load_model(path, device="cpu")


def test_training_checkpoint_with_an_instance_decoder_loads(tmp_path, image):
    torch.manual_seed(0)
    path = tmp_path / "best.pt"
    state = {f"sam.{name}": value for name, value in small_mobile_sam().items()}
    head = InstanceDecoder(32, [16, 8, 4, 2], learned=True).state_dict()
    torch.save({"model_state": state, "decoder_state": head, "epoch": 1}, path)
    model = load_model(path, device="cpu")
    assert model.info.instance_head
    maps = model.instance_maps(model.encode(image))
    assert maps.foreground.shape == (30, 40)


def test_export_is_the_file_that_came_in(mobile_file, tmp_path):
    written = export_official(mobile_file, tmp_path / "again.pth")
    state = torch.load(written, weights_only=True)
    expected = small_mobile_sam()
    assert set(state) == set(expected)
    assert all(torch.equal(state[name], value) for name, value in expected.items())
    assert all(state[name].dtype == value.dtype for name, value in expected.items())


def test_encoder_without_the_rest_is_no_sam(tmp_path):
    path = tmp_path / "encoder.pt"
    torch.save({n: v for n, v in small_mobile_sam().items() if n.startswith("image_")}, path)
    with pytest.raises(ModelError, match="no SAM"):
        export_official(path, tmp_path / "out.pth")
    with pytest.raises(WeightsError, match="no known architecture"):
        load_model(path, device="cpu")


def test_mobile_sam_is_offered_with_its_licence_and_size():
    info = get_model("vit_t")
    assert (info.title, info.licence, info.weights.size) == ("MobileSAM", "Apache-2.0", 40_728_226)
    assert not info.instance_head


@pytest.mark.parametrize("name", EM_AND_LM)
def test_the_small_generalists_come_with_their_decoders(name):
    info = get_model(name)
    assert (info.architecture, info.instance_head) == ("vit_t", True)
    assert [file.filename for file in info.extra] == [f"{name}_decoder.pt"]
    assert dict(info.suggested)["min_area"] == 100


# What the position biases are


def test_position_biases_that_have_changed_count(model, image):
    """A network that has answered once answers otherwise with other weights."""
    encoder = build_mobile_encoder(small_mobile_sam()).eval()
    images = torch.randn(1, 3, 128, 128, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        before = encoder(images)
        for name, parameter in encoder.named_parameters():
            if name.endswith("attention_biases"):
                nn.init.normal_(parameter, std=5.0)
        assert not torch.allclose(before, encoder(images), atol=1e-4)
