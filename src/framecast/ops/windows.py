"""Windows of frames, drawn around what matters."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def windows(
    frames: Tensor, values: Tensor, chances: Tensor, size: Sequence[int], generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """A window [h, w] of each sample that holds a pixel drawn by chances [B, H, W], which need not add up to 1.

    Frames [B, C, H, W] → [B, C, h, w], values [B, H, W] → [B, h, w].
    """
    pixel = torch.multinomial(chances.flatten(1), 1, generator=generator)[:, 0]
    shares = torch.rand(2, len(values), generator=generator, device=values.device)
    lines = []
    for place, share, small, big in zip(
        (pixel // values.shape[2], pixel % values.shape[2]), shares, size, values.shape[1:], strict=True
    ):
        start = (place - (share * small).long()).clamp(0, big - small)
        lines.append(start[:, None] + torch.arange(small, device=values.device))  # [B, small]
    rows, columns = lines[0][:, :, None], lines[1][:, None]
    sample = torch.arange(len(values), device=values.device)[:, None, None]
    return frames.movedim(1, -1)[sample, rows, columns].movedim(-1, 1), values[sample, rows, columns]
