"""Elapsed frames: progress from the number of the clip's last frame, whatever is seen. Trivial baseline.

Source: the index baselines of Boer, van Gemert, Dijkstra, Pintea 2023, arXiv 2308.05533, which networks barely beat.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from framecast.config import Closed


class Config(Closed):
    """How progress follows from the frame number."""

    rule: Literal["mean_length", "average"] = "mean_length"
    """`mean_length`: the frame number over the mean length of training videos, at most 1. `average`: the mean training
    target at that frame number, interpolated where training has none."""


class ElapsedFrames(nn.Module):
    table: Tensor

    def __init__(self, rule: str, longest: int) -> None:
        super().__init__()
        self.rule = rule
        self.register_buffer("table", torch.linspace(0, 1, longest))

    def fit(self, targets: Tensor, elapsed: Tensor, lengths: Tensor) -> None:
        """Progress at every frame number from training targets [n] at frames `elapsed` [n] and lengths of videos."""
        numbers = torch.arange(len(self.table))
        if self.rule == "mean_length":
            self.table.copy_((numbers / lengths.double().mean()).clamp(max=1))
            return
        places, which = elapsed.long().unique(return_inverse=True)
        counts = torch.bincount(which)
        means = torch.zeros(len(places), dtype=torch.double).index_add(0, which, targets.double()) / counts
        self.table.copy_(interpolated(numbers.double(), places.double(), means))

    def forward(self, frames: Tensor, tokens: Tensor, kept: Tensor, elapsed: Tensor) -> Tensor:  # -> [B]
        return self.table[elapsed.long().clamp(max=len(self.table) - 1)]


def interpolated(x: Tensor, places: Tensor, values: Tensor) -> Tensor:
    """Linear interpolation at x [m] between `values` [n] at rising `places` [n]; constant beyond the ends."""
    if len(places) == 1:
        return values.expand(len(x))
    right = torch.searchsorted(places, x).clamp(1, len(places) - 1)
    share = (x - places[right - 1]) / (places[right] - places[right - 1])
    return torch.lerp(values[right - 1], values[right], share.clamp(0, 1))


def build(config: Config, frames: int, vocabulary: int, length: int, longest: int) -> nn.Module:
    """See `framecast.models.pac_net.build`; the table covers the frames 0 … longest − 1, later ones count as the
    last."""
    return ElapsedFrames(config.rule, longest)
