"""Mean: the next embedding is the average of the history.

Trivial baseline of next-embedding prediction; nothing to train. It wins where frames are noisy views of one scene.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from framecast.config.base import Closed


class Config(Closed):
    """No keys."""


class Mean(nn.Module):
    def forward(self, history: Tensor) -> Tensor:  # [B, T, D] -> [B, T, D]
        """The change from each position's embedding to the average of all up to it."""
        counts = torch.arange(1, history.shape[1] + 1, device=history.device, dtype=history.dtype)
        return history.cumsum(dim=1) / counts[:, None] - history


def build(config: Config, *, width: int, history: int, gap: int) -> nn.Module:
    """See `framecast.models.recurrent.build`."""
    return Mean()
