"""Copy-last: the next embedding is the last one.

Trivial baseline of next-embedding prediction; nothing to train. Over short gaps it is hard to beat, which is why every
result stands beside its skill over it.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from framecast.config.base import Closed


class Config(Closed):
    """No keys."""


class CopyLast(nn.Module):
    def forward(self, history: Tensor) -> Tensor:  # [B, T, D] -> [B, T, D]
        """The change from each position's embedding to the predicted one, here none."""
        return torch.zeros_like(history)


def build(config: Config, *, width: int, history: int, gap: int) -> nn.Module:
    """See `framecast.models.recurrent.build`."""
    return CopyLast()
