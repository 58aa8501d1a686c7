"""Blurred pictures."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

REACH = 4
"""Standard deviations after which the Gaussian is cut off, as in scipy."""


def blurred(frames: Tensor, sigma: float) -> Tensor:
    """Frames uint8 [B, H, W, 3], convolved with a Gaussian of this standard deviation (pixels); the picture's edge is
    repeated, and what comes out is rounded."""
    reach = int(REACH * sigma + 0.5)
    if reach == 0:
        return frames
    offsets = torch.arange(-reach, reach + 1, device=frames.device)
    weights = (-0.5 * (offsets / sigma).square()).exp()
    weights = (weights / weights.sum()).expand(3, 1, 1, -1)  # [3, 1, 1, n]
    padded = F.pad(frames.movedim(-1, 1).float(), (reach,) * 4, mode="replicate")  # [B, 3, H + 2 reach, W + 2 reach]
    smooth = F.conv2d(F.conv2d(padded, weights, groups=3), weights.mT, groups=3)
    return smooth.round().to(torch.uint8).movedim(1, -1)
