from __future__ import annotations

import imageio.v3 as imageio
import numpy as np
import pytest
import tifffile

from napari_segmate import SegMate
from napari_segmate.core.errors import (
    ImageError,
    ParameterError,
    PromptError,
    UnknownNameError,
    WeightsError,
)
from napari_segmate.core.synthetic import nuclei

BLOBS = [(8, 8, 20, 22), (6, 36, 18, 50), (28, 20, 42, 40)]
CENTRES_XY = np.array([[(x0 + x1) / 2, (y0 + y1) / 2] for y0, x0, y1, x1 in BLOBS])
BOXES_XYXY = np.array([[x0 - 1, y0 - 1, x1, y1] for y0, x0, y1, x1 in BLOBS])


@pytest.fixture
def segmate(monkeypatch, fake_model) -> SegMate:
    monkeypatch.setattr("napari_segmate.api.load_model", lambda *args, **kwargs: fake_model)
    return SegMate()


@pytest.fixture(scope="module")
def embedded() -> SegMate:
    return SegMate("tiny", device="cpu")


@pytest.fixture
def image(blobs) -> np.ndarray:
    return blobs.values


def matches(mask: np.ndarray, number: int) -> bool:
    truth = np.zeros(mask.shape, bool)
    y0, x0, y1, x1 = BLOBS[number]
    truth[y0:y1, x0:x1] = True
    return bool((truth & (mask > 0)).sum() / (truth | (mask > 0)).sum() > 0.8)


def test_each_point_is_one_object(segmate, image):
    masks = segmate.segment(image=image, points_prompt=(CENTRES_XY, np.ones(3)))
    assert masks.shape == (3, 3, 48, 60)
    assert masks.dtype == np.uint8
    assert set(np.unique(masks)) == {0, 1}
    assert all(matches(masks[number, 1], number) for number in range(3))


def test_each_box_is_one_object(segmate, image):
    masks = segmate.segment(image=image, boxes_prompt=BOXES_XYXY, multimask_output=False)
    assert masks.shape == (3, 1, 48, 60)
    assert all(matches(masks[number, 0], number) for number in range(3))


def test_one_box_may_be_given_flat(segmate, image):
    assert segmate.segment(image=image, boxes_prompt=BOXES_XYXY[0]).shape == (1, 3, 48, 60)


def test_several_points_per_object(segmate, fake_model, image):
    coords = np.array([[CENTRES_XY[0], CENTRES_XY[1]], [CENTRES_XY[2], [0, 0]]])
    masks = segmate.segment(image=image, points_prompt=(coords, [[1, 0], [1, -1]]))
    assert masks.shape[0] == 2
    (first, second), _ = fake_model.decoded[0]
    np.testing.assert_array_equal(first.points.points_yx, coords[0][:, ::-1])
    assert first.points.positive.tolist() == [True, False]
    assert len(second.points) == 1


def test_points_and_boxes_together_are_about_the_same_objects(segmate, fake_model, image):
    points = (CENTRES_XY, np.zeros(3))
    assert segmate.segment(image=image, points_prompt=points, boxes_prompt=BOXES_XYXY).shape[0] == 3
    ((first, *_), _) = fake_model.decoded[0]
    assert first.points.positive.tolist() == [False]
    assert first.box.box_yx == tuple(BOXES_XYXY[0][[1, 0, 3, 2]])


def test_a_rough_mask_is_a_prompt(segmate, fake_model, image):
    rough = np.zeros((1, 48, 60), bool)
    rough[0, 10:18, 10:20] = True
    assert segmate.segment(image=image, mask_input=rough).shape == (1, 3, 48, 60)
    ((one,), _) = fake_model.decoded[0]
    assert one.box.box_yx == (9.5, 9.5, 17.5, 19.5)
    assert one.logits.shape == (32, 32)


def test_logits_of_an_earlier_answer_are_a_prompt(segmate, fake_model, image):
    logits = np.full((1, 1, 32, 32), -8.0)
    logits[..., 5:9, 5:9] = 8
    masks = segmate.segment(image=image, mask_input=logits, multimask_output=False)
    np.testing.assert_array_equal(masks[0, 0] > 0, fake_model.upscale(logits[0, 0], (48, 60)) > 0)


def test_many_objects_are_decoded_in_batches(segmate, fake_model, image):
    points = (np.repeat(CENTRES_XY, 14, axis=0), np.ones(42))
    masks = segmate.segment(image=image, points_prompt=points)
    assert all(matches(mask[1], number // 14) for number, mask in enumerate(masks))
    assert max(len(batch) for batch, _ in fake_model.decoded) <= 16


def test_an_image_is_encoded_once(segmate, fake_model, image):
    for centre in CENTRES_XY:
        segmate.segment(image=image.copy(), points_prompt=(centre[None], [1]))
    assert len(fake_model.encoded) == 1


@pytest.mark.parametrize("suffix", ["png", "tif", "npy"])
def test_an_image_may_be_a_file(segmate, image, tmp_path, suffix):
    path = tmp_path / f"a.{suffix}"
    {"png": imageio.imwrite, "tif": tifffile.imwrite, "npy": np.save}[suffix](path, image)
    masks = segmate.segment(image=path, points_prompt=(CENTRES_XY, np.ones(3)))
    assert matches(masks[0, 1], 0)
    assert segmate.segment(image=str(path), boxes_prompt=BOXES_XYXY).shape[0] == 3


def test_a_stack_is_an_error_that_says_what_to_do(segmate, tmp_path):
    np.save(tmp_path / "a.npy", np.zeros((5, 48, 60), np.uint8))
    with pytest.raises(ImageError, match="one plane"):
        segmate.segment(image=tmp_path / "a.npy", boxes_prompt=BOXES_XYXY)
    with pytest.raises(ImageError, match="one plane"):
        segmate.segment(image=np.zeros((5, 48, 60)), boxes_prompt=BOXES_XYXY)


@pytest.mark.parametrize("image", [np.zeros((0, 5)), np.zeros(5), "nowhere.tif"])
def test_what_is_no_image_is_an_error(segmate, image):
    with pytest.raises(ImageError):
        segmate.segment(image=image, boxes_prompt=BOXES_XYXY)


@pytest.mark.parametrize(
    ("prompts", "message"),
    [
        ({}, "no prompt"),
        ({"boxes_prompt": np.zeros((0, 4))}, "no prompt"),
        ({"points_prompt": ([[5, 5]], [0])}, "only negative"),
        ({"points_prompt": ([[60, 5]], [1])}, "outside the image"),
        ({"points_prompt": ([[5, 5]], [2])}, "1, 0 or -1"),
        ({"points_prompt": ([[5, 5], [6, 6]], [1])}, "shapes"),
        ({"points_prompt": ([5, 5], [1])}, "shapes"),
        ({"points_prompt": ([[np.nan, 5]], [1])}, "finite"),
        ({"boxes_prompt": [[5, 5, 5, 9]]}, "at least 1 x 1"),
        ({"boxes_prompt": [[100, 100, 120, 120]]}, "outside the image"),
        ({"boxes_prompt": [[1, 2, 3]]}, r"\(N, 4\)"),
        ({"boxes_prompt": BOXES_XYXY, "points_prompt": ([[5, 5]], [1])}, "different numbers"),
        ({"mask_input": np.zeros((1, 48, 60), bool)}, "empty"),
        ({"mask_input": np.ones((1, 20, 20), bool)}, "as large as the image"),
        ({"mask_input": np.ones(20)}, r"\(N, H, W\)"),
    ],
)
def test_prompts_that_cannot_be_used_are_an_error(segmate, image, prompts, message):
    with pytest.raises(PromptError, match=message):
        segmate.segment(image=image, **prompts)


def test_an_unknown_model_is_an_error():
    with pytest.raises(UnknownNameError, match="tiny"):
        SegMate("tinny")


def test_a_checkpoint_that_is_not_there_is_an_error(tmp_path):
    with pytest.raises(WeightsError):
        SegMate(checkpoint=tmp_path / "a.pth")


def test_the_embedded_model_finds_a_bright_object(embedded, image):
    masks = embedded.segment(image=image, boxes_prompt=BOXES_XYXY, multimask_output=False)
    assert masks.shape == (3, 1, 48, 60)
    assert masks[2, 0, 35, 30] == 1
    assert masks[2, 0, 0, 0] == 0


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((1, 1)),
        np.full((30, 40), np.nan),
        np.full((5, 300), 7, np.uint16),
        np.ones((40, 40), bool),
        np.linspace(0, 1, 12000).reshape(50, 60, 4).astype(np.float16),
    ],
    ids=["one pixel", "all NaN", "all equal", "bool", "RGBA float16"],
)
def test_odd_images_are_answered(embedded, image):
    masks = embedded.segment(image=image, points_prompt=([[0, 0]], [1]))
    assert masks.shape == (1, 3, *image.shape[:2])


def test_five_hundred_points_on_one_object_are_answered(embedded):
    points = np.random.default_rng(0).uniform(0, 60, (1, 500, 2))
    image = np.random.default_rng(1).random((64, 64))
    masks = embedded.segment(image=image, points_prompt=(points, np.ones((1, 500))))
    assert masks.shape == (1, 3, 64, 64)


def test_all_objects_of_an_image_are_labelled(embedded):
    image, truth = nuclei((128, 160), count=8, radius=13)
    labels = embedded.auto(image)
    assert labels.shape == image.shape
    assert abs(labels.max() - truth.max()) <= 2
    refined = embedded.auto(image, mode="refined", diameter=26)
    assert ((refined > 0) == (labels > 0)).mean() > 0.95


def test_all_objects_of_a_stack_are_linked(embedded):
    image, _ = nuclei((96, 96), count=5, radius=12)
    labels = embedded.auto(np.stack([image] * 3))
    assert labels.shape == (3, 96, 96)
    assert (labels[0] == labels[2]).all()


def test_an_unknown_mode_is_an_error(embedded):
    with pytest.raises(ParameterError, match="no mode 'fast'; choose one of"):
        embedded.auto(np.zeros((20, 20)), mode="fast")


def test_a_diameter_may_be_in_micrometres(embedded, tmp_path):
    image, _ = nuclei((128, 160), count=8, radius=13)
    path, metadata = tmp_path / "a.tif", {"unit": "um"}
    tifffile.imwrite(path, image, imagej=True, resolution=(2, 2), metadata=metadata)
    in_pixels = embedded.auto(image, diameter=26)
    assert (embedded.auto(image, diameter="13 µm", pixel_size=0.5) == in_pixels).all()
    assert (embedded.auto(path, diameter="13um") == in_pixels).all()
    assert (embedded.auto(image, diameter=0) == embedded.auto(image)).all()
    with pytest.raises(ParameterError, match=r"pixel_size=0\.32"):
        embedded.auto(image, diameter="13um")


def test_fine_tuning_replaces_the_model_and_is_checked(tmp_path, monkeypatch):
    from training_samples import grid_of_objects

    monkeypatch.setenv("NAPARI_SEGMATE_MODELS", str(tmp_path))
    segmate = SegMate("tiny", device="cpu")
    pairs = [(one.image, one.labels) for one in (grid_of_objects(), grid_of_objects(seed=1))]
    sizes = {"views": 2, "batch": 2, "objects": 2, "size": 64}
    with pytest.raises(ImageError, match="original_input_size"):
        segmate.fine_tune(train_data=pairs, original_input_size=(1024, 1024))
    with pytest.raises(ParameterError, match="quick"):
        segmate.fine_tune(train_data=pairs, preset="fast")
    result = segmate.fine_tune(
        train_data=pairs, lr=1e-4, num_epochs=1, original_input_size=(96, 128), settings=sizes
    )
    assert segmate.model.info.name == result.model == "my-model"
    assert segmate.segment(image=pairs[0][0], boxes_prompt=[[5, 5, 25, 25]]).any()
