import json
from dataclasses import asdict, replace
from importlib.resources import as_file, files

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from napari_segmate.core.synthetic import nuclei
from napari_segmate.models._tiny_network import (
    TinyConfig,
    TinyFeatures,
    TinyNetwork,
    draw_prompts,
    flow_maps,
    load_tiny,
    save_tiny,
)

SMALL = TinyConfig(width=32, detail=16)
EARLIER, HAS_MASK, POSITIVE, NEGATIVE, JOINED, APART, BOX, BOX_CENTRE, BOX_SPOT = range(9)


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return TinyNetwork(SMALL).eval()


@pytest.fixture(scope="module")
def features(network):
    with torch.inference_mode():
        return network.encode(torch.rand(1, 3, 96, 128) * 255)


def _clicks(*points):
    return torch.tensor(points, dtype=torch.float32)[:, None]


def _ones(count):
    return torch.ones(count, 1, dtype=torch.long)


@pytest.mark.parametrize("shape", [(32, 32), (64, 160), (512, 512)])
def test_encoder_gives_strides_eight_and_four(network, shape):
    height, width = shape
    with torch.inference_mode():
        features = network.encode(torch.zeros(2, 3, height, width))
    assert features.embedding.shape == (2, 32, height // 8, width // 8)
    assert features.detail.shape == (2, 16, height // 4, width // 4)
    assert features.maps.shape == (2, 5, height // 4, width // 4)


@pytest.mark.parametrize(("multimask", "masks"), [(True, 3), (False, 1)])
def test_decoder_gives_masks_at_half_resolution(network, features, multimask, masks):
    with torch.inference_mode():
        logits, scores = network.decode(
            features, points=_clicks((5, 5), (90, 60)), point_labels=_ones(2), multimask=multimask
        )
    assert logits.shape == (2, masks, 48, 64)
    assert scores.shape == (2, masks)


@torch.inference_mode()
def test_each_kind_of_prompt_alone_and_all_together(network, features):
    points, labels = _clicks((5, 5), (90, 60)), _ones(2)
    boxes = torch.tensor([[0.0, 0, 20, 20], [60, 30, 110, 90]])
    mask = torch.randn(2, 1, 48, 64)
    prompts = [
        {"points": points, "point_labels": labels},
        {"boxes": boxes},
        {"mask_input": mask},
        {"points": points, "point_labels": labels, "boxes": boxes, "mask_input": mask},
    ]
    answers = [network.decode(features, **prompt)[0] for prompt in prompts]
    for number, answer in enumerate(answers):
        assert torch.isfinite(answer).all()
        assert not any(torch.allclose(answer, other) for other in answers[:number])


@torch.inference_mode()
def test_prompts_of_a_batch_do_not_touch_each_other(network, features):
    points = _clicks((5, 5), (90, 60), (30, 80))
    together = network.decode(features, points=points, point_labels=_ones(3))[0]
    for number in range(3):
        alone = network.decode(features, points=points[number : number + 1], point_labels=_ones(1))[
            0
        ]
        torch.testing.assert_close(alone[0], together[number], atol=1e-4, rtol=1e-4)


@torch.inference_mode()
def test_absent_boxes_and_masks_are_rows_of_nan(network, features):
    points, nan = _clicks((5, 5), (90, 60)), float("nan")
    boxes = torch.tensor([[nan] * 4, [60, 30, 110, 90.0]])
    mask = torch.full((2, 1, 48, 64), nan)
    mask[1] = 3
    logits, _ = network.decode(
        features, points=points, point_labels=_ones(2), boxes=boxes, mask_input=mask
    )
    assert torch.isfinite(logits).all()
    # The box that is absent must not matter, the other must.
    moved = torch.where(torch.isnan(boxes), boxes, boxes - 20)
    other, _ = network.decode(
        features, points=points, point_labels=_ones(2), boxes=moved, mask_input=mask
    )
    torch.testing.assert_close(other[0], logits[0])
    assert not torch.allclose(other[1], logits[1])


def _flat_maps(height=24, width=32):
    maps = torch.zeros(1, 5, height, width)
    maps[:, 0] = 10
    return maps


def _aim_at(maps, x, y, columns):
    """Let the cells of some columns predict one centre, narrowly."""
    rows = torch.arange(maps.shape[2])[:, None] * 4 + 1.5
    at = torch.arange(maps.shape[3])[columns] * 4 + 1.5
    maps[0, 2, :, columns] = ((y - rows) / 32).expand(-1, len(at))
    maps[0, 3, :, columns] = (x - at) / 32
    maps[0, 4] = -2


def _draw(maps, points=None, labels=None, boxes=None, mask=None):
    count = len(next(item for item in (points, boxes, mask) if item is not None))
    return draw_prompts(maps, torch.zeros(count).long(), points, labels, boxes, mask)


def test_affinity_marks_the_pixels_that_share_the_centre_of_the_clicked_one():
    maps = _flat_maps()
    _aim_at(maps, 20.0, 50.0, slice(0, 12))
    _aim_at(maps, 100.0, 50.0, slice(12, 32))
    drawn = _draw(maps, _clicks((10, 10)), _ones(1))[0]
    assert (drawn[JOINED][:, :12] > 0.9).all()
    assert (drawn[JOINED][:, 12:] < 0.1).all()
    assert drawn[APART].abs().max() == drawn[NEGATIVE].abs().max() == 0
    excluded = _draw(maps, _clicks((10, 10)), 0 * _ones(1))[0]
    torch.testing.assert_close(excluded[APART], drawn[JOINED])
    assert excluded[JOINED].abs().max() == excluded[POSITIVE].abs().max() == 0


def test_clicks_are_drawn_where_they_are_and_padding_is_not():
    points = torch.tensor([[[41.5, 21.5], [0.0, 0.0]]])
    drawn = _draw(_flat_maps(), points, torch.tensor([[1, -1]]))[0]
    assert divmod(drawn[POSITIVE].argmax().item(), 32) == (5, 10)
    assert drawn[POSITIVE][0, 0] < 1e-3
    assert drawn[POSITIVE].max() == pytest.approx(1)


def test_boxes_are_drawn_filled_and_absent_ones_are_empty():
    boxes = torch.tensor([[20.0, 8, 60, 40], [float("nan")] * 4])
    drawn = _draw(_flat_maps(), boxes=boxes)
    assert drawn[0, BOX, 5, 10] > 0.9
    assert drawn[0, BOX, 15, 10] < 0.01
    assert drawn[0, BOX_SPOT].argmax() == drawn[0, BOX_CENTRE].argmax()
    assert drawn[1].abs().max() == 0


def test_earlier_masks_are_drawn_with_a_flag():
    mask = torch.full((2, 1, 48, 64), float("nan"))
    mask[0] = -8
    mask[0, :, 10:20, 10:20] = 8
    drawn = _draw(_flat_maps(), mask=mask)
    assert (drawn[0, HAS_MASK] == 1).all() and (drawn[1, HAS_MASK] == 0).all()
    assert drawn[0, EARLIER, 7, 7] > 0.9 and drawn[0, EARLIER, 0, 0] < -0.9
    assert (drawn[1, EARLIER] == 0).all()


BOXES = torch.tensor([[8.0, 4, 40, 60], [float("nan")] * 4, [20.0, 30, 90, 80]])


@pytest.mark.parametrize("multimask", [True, False])
@pytest.mark.parametrize(
    "prompts",
    [
        {"points": _clicks((5, 9), (70, 40), (100, 90)), "point_labels": _ones(3)},
        {"boxes": BOXES, "mask_input": torch.linspace(-9, 9, 3 * 48 * 64).reshape(3, 1, 48, 64)},
    ],
    ids=["clicks", "boxes and masks"],
)
@torch.inference_mode()
def test_the_decoder_of_one_image_answers_as_that_of_many(network, features, prompts, multimask):
    found = network.decode(features, **prompts, multimask=multimask)
    everything = {
        "points": None,
        "point_labels": None,
        "boxes": None,
        "mask_input": None,
        **prompts,
    }
    # 96 x 128 pixels in the middle of 512 x 512.
    origin = torch.tensor([192.0, 208.0])
    wanted = network.decode_indexed(features, torch.zeros(3).long(), **everything, origin=origin)
    part = slice(1, None) if multimask else slice(0, 1)
    for mine, modules in zip(found, wanted, strict=True):
        torch.testing.assert_close(mine, modules[:, part], atol=1e-5, rtol=1e-4)


def test_positions_are_in_fixed_units(network):
    tokens, origin = network.decoder.tokens, torch.zeros(2)
    small, large = tokens.grid(4, 6, origin), tokens.grid(16, 20, origin)
    torch.testing.assert_close(small, large[:, :, :4, :6])
    shifted = tokens.grid(4, 6, torch.tensor([16.0, 8.0]))
    torch.testing.assert_close(shifted, large[:, :, 1:5, 2:8])


def test_a_point_is_encoded_like_the_cell_under_it(network):
    tokens, origin = network.decoder.tokens, torch.zeros(2)
    cell = tokens.grid(8, 8, origin)[0, :, 3, 5]
    point = tokens.encode_xy(torch.tensor([5 * 8 + 3.5, 3 * 8 + 3.5]), origin)
    torch.testing.assert_close(point, cell)


def test_gradients_reach_every_part_through_masks_and_maps(network):
    trained = TinyNetwork(SMALL)
    features = trained.encode(torch.rand(2, 3, 64, 64) * 255)
    boxes = torch.tensor([[float("nan")] * 4, [5.0, 5, 40, 40]])
    logits, scores = trained.decode_indexed(
        features,
        torch.tensor([0, 1]),
        _clicks((20, 20), (30, 30)),
        torch.tensor([[1], [-1]]),
        boxes,
        torch.randn(2, 1, 32, 32),
        torch.zeros(2),
    )
    (logits.square().mean() + scores.mean() + features.maps.square().mean()).backward()
    silent = [name for name, value in trained.named_parameters() if value.grad is None]
    # SAM's token order keeps one kind of embedding free.
    assert silent == []


def test_saved_weights_come_back_in_half_precision(network, tmp_path):
    path = tmp_path / "tiny.safetensors"
    save_tiny(path, network, {"steps": "12"})
    loaded = load_tiny(path)
    assert loaded.config == SMALL
    assert not loaded.training
    state = loaded.state_dict()
    for name, value in network.state_dict().items():
        torch.testing.assert_close(state[name], value, atol=1e-3, rtol=1e-3)
        assert state[name].dtype == value.dtype
    with safe_open(path, "pt") as file:
        assert file.metadata()["steps"] == "12"


@pytest.fixture(scope="module")
def embedded():
    with as_file(files("napari_segmate") / "weights" / "tiny.safetensors") as path:
        return load_tiny(path), path.stat().st_size


def test_embedded_weights_are_small(embedded):
    network, size = embedded
    assert size < 20e6
    assert sum(value.numel() for value in network.parameters()) < 12e6


@pytest.fixture(scope="module")
def scene(embedded):
    image, labels = nuclei((256, 256), count=25, radius=11, seed=4)
    rgb = np.clip(image / np.percentile(image, 99.8), 0, 1) * 255
    pixels = torch.from_numpy(np.repeat(rgb[None, None], 3, axis=1).astype(np.float32))
    with torch.inference_mode():
        features: TinyFeatures = embedded[0].encode(pixels)
    ids = np.flatnonzero(np.bincount(labels.ravel())[1:] > 150) + 1
    return features, labels, ids


def _mean_iou(logits, masks):
    large = torch.nn.functional.interpolate(logits, scale_factor=2, mode="bilinear")[:, 0] > 0
    return ((large & masks).sum((1, 2)) / (large | masks).sum((1, 2))).mean().item()


@torch.inference_mode()
def test_embedded_weights_segment_nuclei_from_clicks_and_boxes(embedded, scene):
    features, labels, ids = scene
    masks = torch.from_numpy(labels[None] == ids[:, None, None])
    pixels = [np.argwhere(mask) for mask in masks.numpy()]
    clicks = _clicks(*(each.mean(axis=0)[::-1].tolist() for each in pixels))
    logits, scores = embedded[0].decode(features, points=clicks, point_labels=_ones(len(ids)))
    rows = torch.arange(len(ids))
    assert _mean_iou(logits[rows, scores.argmax(1)][:, None], masks) > 0.6
    boxes = [[*each.min(axis=0)[::-1], *each.max(axis=0)[::-1]] for each in pixels]
    logits, _ = embedded[0].decode(
        features, boxes=torch.tensor(np.array(boxes, np.float32)), multimask=False
    )
    assert _mean_iou(logits, masks) > 0.7


@torch.inference_mode()
def test_answers_do_not_depend_on_half_precision_features(embedded, scene):
    features, labels, ids = scene
    y, x = np.argwhere(labels == ids[0]).mean(axis=0)
    prompt = {"points": _clicks((x, y)), "point_labels": _ones(1)}
    halved = replace(
        features,
        embedding=features.embedding.half().float(),
        detail=features.detail.half().float(),
        maps=features.maps.half().float(),
    )
    before, after = (embedded[0].decode(each, **prompt)[0] > 0 for each in (features, halved))
    assert (before == after).float().mean() > 0.999


@pytest.mark.parametrize("shape", [(64, 96), (128, 32)])
def test_flow_maps_have_a_value_per_two_pixels(shape):
    torch.manual_seed(0)
    network = TinyNetwork(replace(SMALL, flow=8)).eval()
    maps = network.encode(torch.rand(2, 3, *shape) * 255).maps
    assert maps.shape == (2, 21, shape[0] // 4, shape[1] // 4)
    assert flow_maps(maps).shape == (2, 4, shape[0] // 2, shape[1] // 2)
    # Neighbouring cells come from neighbouring features: no cell of a block is a copy.
    assert flow_maps(maps)[0, 0].unique().numel() > maps[0, 0].numel()


def test_flow_maps_leave_the_prompts_as_they_are():
    torch.manual_seed(0)
    plain = TinyNetwork(SMALL).eval()
    more = TinyNetwork(replace(SMALL, flow=8)).eval()
    more.load_state_dict(plain.state_dict(), strict=False)
    image = torch.rand(1, 3, 64, 64) * 255
    click = {"points": torch.tensor([[[20.0, 30.0]]]), "point_labels": torch.ones(1, 1).long()}
    for one, other in zip(
        plain.decode(plain.encode(image), **click),
        more.decode(more.encode(image), **click),
        strict=True,
    ):
        torch.testing.assert_close(one, other)


def test_files_of_networks_without_flow_maps_load(tmp_path):
    path = tmp_path / "old.safetensors"
    network = TinyNetwork(SMALL)
    config = {key: value for key, value in asdict(SMALL).items() if key != "flow"}
    save_file(network.state_dict(), path, {"config": json.dumps(config)})
    loaded = load_tiny(path)
    assert loaded.config == SMALL
    assert flow_maps(loaded.encode(torch.zeros(1, 3, 64, 64)).maps) is None
