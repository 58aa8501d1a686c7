"""Constant: the same progress for every clip, from the training targets. Trivial baseline; nothing to train."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from framecast.config.base import Closed


class Config(Closed):
    """Which constant."""

    value: Literal["median", "mean"] = "median"
    """The training targets' median, which has the smallest absolute error, or their mean."""


class ConstantProgress(nn.Module):
    answer: Tensor

    def __init__(self, value: str) -> None:
        super().__init__()
        self.value = value
        self.register_buffer("answer", torch.tensor(0.5))

    def fit(self, targets: Tensor, elapsed: Tensor, lengths: Tensor) -> None:
        """Take the constant from the training targets [n]."""
        self.answer.copy_(torch.quantile(targets, 0.5) if self.value == "median" else targets.mean())

    def forward(self, frames: Tensor, tokens: Tensor, kept: Tensor, elapsed: Tensor) -> Tensor:  # -> [B]
        return self.answer.expand(len(elapsed))


def build(config: Config, frames: int, vocabulary: int, length: int, longest: int, templates: int) -> nn.Module:
    """See `framecast.models.pac_net.build`; sizes do not matter."""
    return ConstantProgress(config.value)
