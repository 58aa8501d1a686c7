"""Masks as tensors and pictures: resizing, recolouring, soft IoU, counts."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from framecast.metrics import confusions, iou
from framecast.ops.masks import confusion_counts, iou_of, recoloured, soft_iou
from framecast.pictures import masks as mask_pictures
from framecast.stores.masks import resized


def drawn(shape, classes=49, seed=0):
    return torch.randint(classes, shape, generator=torch.Generator().manual_seed(seed), dtype=torch.uint8)


def test_resizing_takes_the_nearest_pixel():
    masks = np.arange(16, dtype=np.uint8).reshape(1, 4, 4)
    assert resized(masks, 2, 2).tolist() == [[[5, 7], [13, 15]]]
    assert resized(masks, 8, 4).tolist() == masks.repeat(2, 1).tolist()
    assert resized(masks, 4, 4) is masks


def test_recolouring_keeps_background_shape_and_material():
    masks = drawn((2, 3, 4, 5))
    orders = torch.stack([torch.arange(8), torch.tensor([1, 2, 3, 4, 5, 6, 7, 0])])
    found = recoloured(masks, orders)
    assert torch.equal(found[0], masks[0]) and found.dtype == torch.uint8
    assert torch.equal(found[1] == 0, masks[1] == 0)
    objects = masks[1] > 0
    before, after = masks[1][objects].long() - 1, found[1][objects].long() - 1
    assert torch.equal(before // 8, after // 8) and torch.equal((before % 8 + 1) % 8, after % 8)


def test_soft_iou_of_certain_predictions_is_one_minus_iou_of_the_classes_in_the_truth():
    truth, guess = drawn((3, 6, 8), 5), drawn((3, 6, 8), 5, seed=1)
    logits = 1000.0 * torch.nn.functional.one_hot(guess.long(), 7).movedim(-1, 1).float()
    expected = 1 - iou(guess.numpy(), truth.numpy(), 7)  # all five occur in each truth
    np.testing.assert_allclose(soft_iou(logits, truth), expected, atol=1e-5)
    assert soft_iou(1000.0 * torch.nn.functional.one_hot(truth.long(), 7).movedim(-1, 1), truth).tolist() == [0, 0, 0]


def test_soft_iou_by_hand():
    truth = torch.tensor([[[0, 1]]], dtype=torch.uint8)
    logits = torch.zeros(1, 2, 1, 2)  # a half everywhere: each class shares 0.5 of a union of 1.5
    assert soft_iou(logits, truth).item() == pytest.approx(1 - 1 / 3)


def test_soft_iou_falls_along_its_gradient():
    truth, logits = drawn((2, 6, 8), 4), torch.zeros(2, 4, 6, 8, requires_grad=True)
    before = soft_iou(logits, truth).mean()
    before.backward()
    assert soft_iou((logits - 10 * logits.grad), truth).mean() < before


def test_counts_agree_with_numpy():
    truth, guess = drawn((4, 6, 8)), drawn((4, 6, 8), seed=1)
    shared, union = confusion_counts(guess, truth, 49)
    expected = confusions(guess.numpy(), truth.numpy(), 49)
    np.testing.assert_array_equal(shared, expected[0])
    np.testing.assert_array_equal(union, expected[1])
    np.testing.assert_allclose(iou_of(shared, union), iou(guess.numpy(), truth.numpy(), 49))


def test_every_class_has_a_colour_of_its_own():
    for classes in (2, 21, 49):
        colours = mask_pictures.palette(classes)
        assert colours.shape == (classes, 3) and len(np.unique(colours, axis=0)) == classes
        assert colours[0].tolist() == [0, 0, 0]


def test_overlays_leave_a_faded_frame_where_there_is_background():
    frame, mask = np.full((2, 2, 3), 100, np.uint8), np.array([[0, 0], [0, 5]], np.uint8)
    shown = mask_pictures.overlay(frame, mask, 49)
    assert shown[0, 0].tolist() == [162] * 3
    assert shown[1, 1].tolist() == np.round(35 + 0.65 * mask_pictures.palette(49)[5]).astype(int).tolist()
