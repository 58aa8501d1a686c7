"""Two layers, a tied head if asked, batch norm if asked, dropout."""

from __future__ import annotations

from torch import nn

from framecast.config.base import Closed


class Config(Closed):
    hidden: int = 8
    """Width."""
    dropout: float = 0.0
    """Share set to zero."""
    norm: bool = False
    """Batch norm between the layers."""
    head: str = "head"
    """Name of the last layer."""


class Net(nn.Module):
    def __init__(self, config, inputs, outputs):
        super().__init__()
        self.body = nn.Sequential(
            nn.Linear(inputs, config.hidden),
            nn.BatchNorm1d(config.hidden) if config.norm else nn.Identity(),
            nn.GELU(),
            nn.Dropout(config.dropout),
        )
        self.name = config.head
        setattr(self, config.head, nn.Linear(config.hidden, outputs))

    def forward(self, x):
        return getattr(self, self.name)(self.body(x))


def build(config, *, inputs, outputs):
    return Net(config, inputs, outputs)
