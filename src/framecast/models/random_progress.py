"""Random: a number between 0 and 1 for each clip. Trivial baseline; nothing to train."""

from __future__ import annotations

from torch import Tensor, nn

from framecast.config.base import Closed


class Config(Closed):
    """No keys."""


class RandomProgress(nn.Module):
    def forward(self, frames: Tensor, tokens: Tensor, kept: Tensor, elapsed: Tensor) -> Tensor:  # -> [B]
        """The mean of what is drawn."""
        return elapsed.new_full((len(elapsed),), 0.5)

    def sample(self, draws: Tensor) -> Tensor:
        """The guesses: `draws` [B], even between 0 and 1."""
        return draws


def build(config: Config, frames: int, vocabulary: int, length: int, longest: int, templates: int) -> nn.Module:
    """See `framecast.models.pac_net.build`; sizes do not matter."""
    return RandomProgress()
