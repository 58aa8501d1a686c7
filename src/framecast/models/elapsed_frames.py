"""Elapsed frames: progress from the number of the clip's last frame, whatever is seen, and from the action where told
so. Trivial baseline.

Source: the index baselines of Boer, van Gemert, Dijkstra, Pintea 2023, arXiv 2308.05533, which networks barely beat.
"""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import model_validator
from torch import Tensor, nn

from framecast.config.base import Closed


class Config(Closed):
    """How progress follows from the frame number."""

    rule: Literal["mean_length", "average"] = "mean_length"
    """`mean_length`: the frame number over the mean length of training videos, at most 1. `average`: the mean target at
    that frame number of all training videos that have it within the task's `span`, interpolated where none has."""
    by: Literal["template"] | None = None
    """`template`: the `average` of the training videos that have the sample's template, which its text tells as well;
    for a template that training lacks, that of all training videos. Null: of all training videos, whatever the
    template."""

    @model_validator(mode="after")
    def _averages(self) -> Config:
        if self.by is not None and self.rule != "average":
            raise ValueError(f"by is {self.by!r}, which goes with rule: average only, and rule is {self.rule!r}: set "
                             "rule: average, or by: null")  # fmt: skip
        return self


class ElapsedFrames(nn.Module):
    table: Tensor

    """Attributes: table [1 + templates, frames], progress at each frame number: of all videos, then by template."""

    def __init__(self, rule: str, templates: int, longest: int) -> None:
        super().__init__()
        self.rule = rule
        self.register_buffer("table", torch.linspace(0, 1, longest).repeat(1 + templates, 1))

    def fit_every_frame(self, targets: Tensor, elapsed: Tensor, lengths: Tensor, template: Tensor) -> None:
        """Progress at every frame number, from the training videos' targets [n] at their frames `elapsed` [n], the
        numbers of their templates [n], and the lengths of all of them."""
        numbers = torch.arange(self.table.shape[1])
        if self.rule == "mean_length":
            self.table.copy_((numbers / lengths.double().mean()).clamp(max=1))
            return
        self.table.copy_(_average(numbers, elapsed, targets))
        for number, own in enumerate(self.table[1:]):
            clips = template == number
            if clips.any():
                own.copy_(_average(numbers, elapsed[clips], targets[clips]))

    def from_frame_number(self, elapsed: Tensor, template: Tensor) -> Tensor:
        """Progress [B] at frames [B] of videos with templates [B], numbered as in training; -1 for another one."""
        rows, last = (side - 1 for side in self.table.shape)
        return self.table[(template + 1).clamp(max=rows), elapsed.long().clamp(max=last)]

    def forward(self, frames: Tensor, tokens: Tensor, kept: Tensor, elapsed: Tensor) -> Tensor:  # -> [B]
        """As `from_frame_number`, where no template is known."""
        return self.from_frame_number(elapsed, torch.full_like(elapsed, -1, dtype=torch.long))


def _average(numbers: Tensor, elapsed: Tensor, targets: Tensor) -> Tensor:
    """Mean of targets [n] at frames `elapsed` [n], for each of `numbers` [m]; interpolated where there is none."""
    places, which = elapsed.long().unique(return_inverse=True)
    means = torch.zeros(len(places), dtype=torch.double).index_add(0, which, targets.double()) / torch.bincount(which)
    return _interpolated(numbers.double(), places.double(), means)


def _interpolated(x: Tensor, places: Tensor, values: Tensor) -> Tensor:
    """Linear interpolation at x [m] between `values` [n] at rising `places` [n]; constant beyond the ends."""
    if len(places) == 1:
        return values.expand(len(x))
    right = torch.searchsorted(places, x).clamp(1, len(places) - 1)
    share = (x - places[right - 1]) / (places[right] - places[right - 1])
    return torch.lerp(values[right - 1], values[right], share.clamp(0, 1))


def build(config: Config, frames: int, vocabulary: int, length: int, longest: int, templates: int) -> nn.Module:
    """See `framecast.models.pac_net.build`; the table covers the frames 0 … longest − 1, later ones count as the
    last."""
    return ElapsedFrames(config.rule, templates if config.by == "template" else 0, longest)
