"""Shift: every object's mask moves on as its centre moved over the last frames.

Trivial baseline of future masks, stronger than copy-last; nothing to train. Each class of the last given mask is moved
rigidly, by whole pixels, at the mean velocity of its centroid. Where two meet, the one lower in the picture covers the
other: on a ground seen from above it is the nearer one. What objects leave behind becomes background, class 0.
"""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn

from framecast.config.base import Closed


class Config(Closed):
    """How velocity is measured."""

    frames: Annotated[int, Field(ge=2)] = 3
    """Last given frames over which it is the mean; at most all that are given are used."""


class ShiftMask(nn.Module):
    def __init__(self, frames: int, classes: int, ahead: int) -> None:
        super().__init__()
        self.frames, self.classes, self.ahead = frames, classes, ahead

    def forward(self, masks: Tensor) -> Tensor:  # [B, T, H, W] -> [B, T', K, H, W]
        """1 for the class that stands there in each future frame, 0 for the others."""
        labels = torch.arange(self.classes, device=masks.device)[:, None, None]
        return (self.masks(masks)[:, :, None] == labels).float()  # four bytes a score, where one_hot takes eight

    def masks(self, masks: Tensor) -> Tensor:  # [B, T, H, W] -> [B, T', H, W], int64
        """The predicted classes."""
        centre, velocity = self.motion(masks[:, -self.frames :].long())  # [B, K, 2] each
        steps = torch.arange(1, self.ahead + 1, device=masks.device)[:, None, None]
        shift = steps * velocity[:, None]  # [B, T', K, 2]
        return self.paint(masks[:, -1].long(), shift.round().long(), centre[:, None, :, 0] + shift[..., 0])

    def motion(self, masks: Tensor) -> tuple[Tensor, Tensor]:  # [B, T, H, W] -> [B, K, 2] twice
        """Centroids (row, column; pixels) in the last frame, and their mean velocity (pixels a frame) over the steps
        with the class in both frames; zero where there is none."""
        rows, columns = torch.meshgrid(*(torch.arange(side, device=masks.device) for side in masks.shape[2:]),
                                       indexing="ij")  # fmt: skip
        places = torch.stack([torch.ones_like(rows), rows, columns]).flatten(1).double()  # [3, HW]
        index = masks.flatten(2)[:, :, None].expand(-1, -1, 3, -1)  # [B, T, 3, HW]
        sums = places.new_zeros(*index.shape[:3], self.classes).scatter_add(3, index, places.expand(index.shape))
        count = sums[:, :, 0]  # [B, T, K]
        centroids = (sums[:, :, 1:] / count[:, :, None].clamp(min=1)).transpose(2, 3)  # [B, T, K, 2]
        known = ((count[:, 1:] > 0) & (count[:, :-1] > 0))[..., None]
        velocity = (centroids.diff(dim=1) * known).sum(1) / known.sum(1).clamp(min=1)
        return centroids[:, -1], velocity

    def paint(self, last: Tensor, shift: Tensor, rows: Tensor) -> Tensor:
        """Move the pixels of the last mask [B, H, W] by their class's shift [B, T', K, 2]; of several that land on one
        pixel, the class with the larger row [B, T', K] wins. → [B, T', H, W]."""
        height, width = last.shape[1:]
        places = last.flatten(1)[:, None].expand(-1, self.ahead, -1)  # [B, T', HW]
        moves = shift.gather(2, places[..., None].expand(-1, -1, -1, 2))  # [B, T', HW, 2]
        pixels = torch.arange(height * width, device=last.device)
        row, column = pixels // width + moves[..., 0], pixels % width + moves[..., 1]
        inside = (row >= 0) & (row < height) & (column >= 0) & (column < width) & (places > 0)
        order = rows.argsort(2).argsort(2).gather(2, places)  # 0 is the farthest class
        code = (order * self.classes + places + 1) * inside  # 0 is nothing
        target = (row * width + column) * inside
        painted = torch.zeros_like(code).scatter_reduce(2, target, code, "amax")
        return ((painted - 1).clamp(min=0) % self.classes).unflatten(2, (height, width))


def build(config: Config, classes: int, given: int, ahead: int, height: int, width: int) -> nn.Module:
    """See `framecast.models.simvp.build`; without parameters, logits are one-hot."""
    return ShiftMask(config.frames, classes, ahead)
