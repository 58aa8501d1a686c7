"""How a sequence moved: its steps over a few lags, each lag scaled to unit size.

Neighbouring embeddings differ little, so motion is a small signal beside position; scaled steps bring it to the size of
the rest.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class Steps(nn.Module):
    """A sequence [B, T, D] → itself and its steps, [B, T, (1 + lags) D]; causal. Without lags, the sequence alone."""

    scale: Tensor

    def __init__(self, lags: Sequence[int]) -> None:
        super().__init__()
        self.lags = tuple(lags)
        self.register_buffer("scale", torch.ones(len(self.lags)))

    def widened(self, width: int) -> int:
        """Width of the output for sequences of this width."""
        return (1 + len(self.lags)) * width

    def fit(self, sequences: Tensor) -> None:
        """Measure the size of each lag's steps on sequences [n, T, D] of the training split."""
        if self.lags:
            sizes = torch.stack([step(sequences, lag).square().mean().sqrt() for lag in self.lags])
            self.scale.copy_(1 / sizes.clamp(min=1e-6))

    def forward(self, sequence: Tensor) -> Tensor:
        steps = [step(sequence, lag) * scale for lag, scale in zip(self.lags, self.scale, strict=True)]
        return torch.cat([sequence, *steps], dim=2)


def step(sequence: Tensor, lag: int) -> Tensor:  # [B, T, D] -> [B, T, D]
    """The change over the last `lag` frames; from the first frame where there are fewer."""
    past = (torch.arange(sequence.shape[1], device=sequence.device) - lag).clamp(min=0)
    return sequence - sequence[:, past]
