"""Trivial baseline of the autoencoder: every frame is the mean frame of the training split."""

from __future__ import annotations

from torch import Tensor, nn

from framecast.config.base import Closed


class Config(Closed):
    """Nothing to choose."""


class MeanFrame(nn.Module):
    """Deviates nowhere from the mean frame; its embedding is one zero."""

    width = 1

    def encode(self, frames: Tensor) -> Tensor:
        """[B, 3, H, W] → [B, 1]."""
        return frames.new_zeros(len(frames), 1)

    def decode(self, embedding: Tensor) -> Tensor:
        """[B, 1] → [B, 1, 1, 1], broadcast over the frame."""
        return embedding[..., None, None]

    def motion_map(self, embedding: Tensor) -> Tensor:
        """[B, 1] → [B, 1, 1], broadcast over the map."""
        return embedding[..., None]


def build(config: Config, size: int, grid: int) -> MeanFrame:
    """The baseline; sizes do not matter."""
    return MeanFrame()
