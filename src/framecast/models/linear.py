"""Linear: the next embedding goes on as the last two went.

Trivial baseline of next-embedding prediction; nothing to train: last + gap · (last - the one before).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from framecast.config.base import Closed


class Config(Closed):
    """No keys."""


class Linear(nn.Module):
    def __init__(self, gap: int) -> None:
        super().__init__()
        self.gap = gap

    def forward(self, history: Tensor) -> Tensor:  # [B, T, D] -> [B, T, D]
        """The change from each position's embedding to the extrapolated one; none at the first, which has no speed."""
        return self.gap * torch.diff(history, dim=1, prepend=history[:, :1])


def build(config: Config, *, width: int, history: int, gap: int) -> nn.Module:
    """See `framecast.models.recurrent.build`."""
    return Linear(gap)
