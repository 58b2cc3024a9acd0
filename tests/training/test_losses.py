import pytest
import torch

from napari_segmate.training.losses import affinity_loss, dense_loss, dice_loss, mask_loss


@pytest.fixture
def truth():
    masks = torch.zeros(2, 16, 16)
    masks[0, 2:9, 3:12] = 1
    masks[1, 8:14, 1:6] = 1
    return masks


def test_dice_loss_orders_answers(truth):
    good, half, bad = truth, truth * 0.5, 1 - truth
    losses = [dice_loss(answer, truth).mean() for answer in (good, half, bad)]
    assert losses[0] < 0.01 < losses[1] < losses[2]


def test_mask_loss_reports_the_iou_of_every_mask(truth):
    logits = torch.stack([truth * 20 - 10, 10 - truth * 20, truth * 0 - 10, truth * 0 + 10], dim=1)
    result = mask_loss(logits, torch.zeros(2, 4), truth)
    assert result.iou[:, 0].tolist() == [1, 1]
    assert result.iou[:, 1:3].tolist() == [[0, 0], [0, 0]]
    torch.testing.assert_close(result.iou[:, 3], truth.mean((1, 2)))


def test_one_good_candidate_is_enough(truth):
    right, wrong = truth * 20 - 10, 10 - truth * 20

    def value(*candidates):
        logits = torch.stack([right, *candidates], dim=1)
        scores = mask_loss(logits, torch.zeros(2, 4), truth).iou
        return mask_loss(logits, scores, truth).value

    assert value(wrong, right, wrong) < 0.35 * value(wrong, wrong, wrong)
    assert value(right, right, right) < value(wrong, right, wrong)


def test_two_candidates_answer_for_two_objects(truth):
    part = torch.zeros_like(truth)
    part[0, 4:6, 4:7] = 1
    whole_logits, part_logits, wrong = truth * 20 - 10, part * 20 - 10, 10 - truth * 20

    def value(*candidates):
        logits = torch.stack([whole_logits, *candidates], dim=1)
        scores = mask_loss(logits, torch.zeros(2, 4), truth).iou
        return mask_loss(logits, scores, truth, other=part).value

    both = value(part_logits, whole_logits, wrong)
    assert both < 0.5 * value(whole_logits, whole_logits, wrong)
    # One candidate cannot serve for both.
    middling = (truth + part) * 10 - 10
    assert both < 0.5 * value(middling, wrong, wrong)


def test_an_empty_other_object_changes_nothing(truth):
    torch.manual_seed(0)
    logits, scores = torch.randn(2, 4, 16, 16), torch.rand(2, 4)
    plain = mask_loss(logits, scores, truth)
    other = mask_loss(logits, scores, truth, other=torch.zeros_like(truth))
    torch.testing.assert_close(plain.value, other.value)
    torch.testing.assert_close(plain.iou, other.iou)


def test_a_good_mask_of_the_other_object_deserves_its_score(truth):
    part = torch.zeros_like(truth)
    part[:, 4:6, 4:7] = 1
    logits = (torch.stack([truth, truth, truth, part], dim=1) * 20 - 10).requires_grad_()

    def error(last):
        scores = torch.tensor([1.0, 1, 1, last]).repeat(2, 1)
        return mask_loss(logits, scores, truth, other=part).value.item()

    assert error(1.0) < error(0.5) < error(0.0)
    # What was asked for is still told from what it may be instead.
    iou = mask_loss(logits, torch.ones(2, 4), truth, other=part).iou
    assert (iou[:, 3] < 0.3).all() and (iou[:, :3] == 1).all()


def test_only_the_scores_learn_from_the_score_error(truth):
    logits = (truth * 8 - 4)[:, None].repeat(1, 4, 1, 1).requires_grad_()
    scores = torch.full((2, 4), 0.2, requires_grad=True)
    mask_loss(logits, scores, truth).value.backward()
    assert (scores.grad < 0).all()
    assert torch.isfinite(logits.grad).all() and logits.grad.abs().sum() > 0


def test_dense_loss_is_least_for_the_targets_and_ignores_offsets_outside(truth):
    offset = torch.randn(2, 2, 16, 16) * truth[:, None]
    ideal = torch.cat([(truth * 20 - 10)[:, None], truth[:, None], offset, truth[:, None]], dim=1)
    best = dense_loss(ideal, truth, truth, offset)
    assert best < 0.01
    outside = ideal.clone()
    outside[:, 2:4] += 5 * (1 - truth)[:, None]
    torch.testing.assert_close(dense_loss(outside, truth, truth, offset), best)
    for channel in range(4):
        worse = ideal.clone()
        worse[:, channel] -= 15
        assert dense_loss(worse, truth, truth, offset) > best + 0.01


def test_affinity_counts_for_clicked_objects_only(truth):
    wrong = 1 - truth
    clicked = torch.tensor([1.0, 0.0])
    mixed = torch.stack([truth[0], wrong[1]])
    assert affinity_loss(mixed, truth, clicked) < 0.01
    assert affinity_loss(wrong, truth, clicked) > 0.4


def test_losses_of_empty_images_are_finite():
    empty = torch.zeros(1, 8, 8)
    assert torch.isfinite(
        dense_loss(torch.zeros(1, 5, 8, 8), empty, empty, torch.zeros(1, 2, 8, 8))
    )
    assert torch.isfinite(mask_loss(torch.zeros(1, 4, 8, 8), torch.zeros(1, 4), empty).value)
