"""LSTM and GRU over a history of embeddings: the baselines that TMDN has to beat.

Sources: LSTM, Hochreiter & Schmidhuber 1997; GRU, Cho et al. 2014 (arXiv 1406.1078). The head starts at zero, so that
an untrained network copies the last embedding, as every compared model does.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field
from torch import Tensor, nn

from framecast.config.base import Closed, Positive
from framecast.ops.steps import Steps


class Config(Closed):
    """A recurrent network."""

    cell: Literal["gru", "lstm"]
    """Kind of recurrent cell."""
    hidden: Positive = 1024
    """Width of the hidden state."""
    lags: tuple[Positive, ...] = ()
    """Frames over which steps between embeddings are inputs beside the embeddings, as TMDN's are; none by default."""
    layers: Positive = 1
    """Stacked recurrent layers."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Share of the hidden state set to zero in training, between layers and before the head."""


class Recurrent(nn.Module):
    def __init__(self, config: Config, width: int) -> None:
        super().__init__()
        kind = nn.GRU if config.cell == "gru" else nn.LSTM
        between = config.dropout if config.layers > 1 else 0.0
        self.steps = Steps(config.lags)
        self.cell = kind(self.steps.widened(width), config.hidden, config.layers, batch_first=True, dropout=between)
        self.dropout = nn.Dropout(config.dropout)
        self.head = nn.Linear(config.hidden, width)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def fit(self, histories: Tensor, changes: Tensor) -> None:
        """Measure the size of steps on histories [n, T, D] of the training split."""
        self.steps.fit(histories)

    def forward(self, history: Tensor) -> Tensor:  # [B, T, D] -> [B, T, D]
        """The predicted change at every position, from the embeddings up to it."""
        states, _ = self.cell(self.steps(history))  # [B, T, hidden]
        return self.head(self.dropout(states))


def build(config: Config, *, width: int, history: int, gap: int) -> nn.Module:
    """A network from embeddings [B, T, width], T <= history, to the predicted change over `gap` steps at every
    position, [B, T, width], causal in T. Units are the caller's (`framecast.tasks.embedding`); without parameters the
    same ones on both sides."""
    return Recurrent(config, width)
