"""Class masks [..., H, W], uint8, as tensors: augmentation, and losses that need no one-hot copies."""

from __future__ import annotations

import torch
from torch import Tensor


def recoloured(masks: Tensor, orders: Tensor) -> Tensor:
    """Exchange the colours of each sample: masks [B, ..., H, W] and orders [B, C], a permutation of C colours each.

    Class 1 + C·g + c (of kind g, in colour c) becomes 1 + C·g + orders[c]; 0, the background, stays. What moves how
    does not depend on its colour, so the result is as good a clip as the one it came from.
    """
    count = orders.shape[1]
    numbers = torch.arange(256, device=masks.device)
    kind, colour = (numbers - 1).div(count, rounding_mode="floor"), (numbers - 1) % count
    tables = torch.where(numbers > 0, 1 + kind * count + orders[:, colour], numbers).to(masks.dtype)  # [B, 256]
    flat = masks.flatten(1).long()  # [B, N]
    return tables.gather(1, flat).view_as(masks)


def soft_iou(logits: Tensor, targets: Tensor) -> Tensor:
    """1 − soft IoU of each sample, averaged over the classes in its truth: [B, K, H, W] and [B, H, W] → [B].

    Intersection and union are sums of probabilities (Rahman & Wang 2016); nothing is one-hot encoded.
    """
    classes = logits.shape[1]
    probability = logits.float().softmax(1)
    of_truth = probability.gather(1, targets[:, None].long())[:, 0]  # [B, H, W]
    places = targets.long().flatten(1)  # [B, N]
    zeros = of_truth.new_zeros(len(targets), classes)
    shared = zeros.scatter_add(1, places, of_truth.flatten(1))  # [B, K]
    size = zeros.scatter_add(1, places, torch.ones_like(of_truth).flatten(1))
    union = probability.sum((2, 3)) + size - shared
    present = size > 0
    return 1 - (shared / union.clamp_min(1e-6) * present).sum(1) / present.sum(1)


def confusion_counts(prediction: Tensor, truth: Tensor, classes: int) -> tuple[Tensor, Tensor]:
    """Pixels in both and pixels in either, of each class and sample: two masks [B, ...] → two float64 [B, K]."""
    shape = (len(truth), classes)

    def counted(masks: Tensor, where: Tensor | None = None) -> Tensor:
        ones = (torch.ones_like(masks, dtype=torch.float64) if where is None else where.double()).flatten(1)
        return ones.new_zeros(shape).scatter_add(1, masks.flatten(1).long(), ones)

    shared = counted(truth, prediction == truth)
    return shared, counted(prediction) + counted(truth) - shared


def iou_of(shared: Tensor, union: Tensor) -> Tensor:
    """Mean IoU over the classes that occur: two [..., K] → [...]."""
    occurs = union > 0
    return (shared / union.clamp_min(1) * occurs).sum(-1) / occurs.sum(-1)


def seen(masks: Tensor, classes: int) -> Tensor:
    """Classes that occur, background always: masks [B, ...] → bool [B, K]."""
    found = torch.zeros(len(masks), classes, dtype=torch.bool, device=masks.device)
    found.scatter_(1, masks.flatten(1).long(), True)
    found[:, 0] = True
    return found
