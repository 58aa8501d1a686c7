"""U-Net: frames → class of every pixel.

Source: Ronneberger et al. 2015 (arXiv 1505.04597). Departures: convolutions are padded, so that the output has the
input's sides (frames are padded to a multiple of 2^depth inside and cut back); batch or group norm after each
convolution, without bias; no dropout; coming up, the coarse features pass a 1×1 convolution and are doubled bilinearly,
where the original has a transposed convolution.

Axes: B batch, C channel, H, W, K classes.
"""

from __future__ import annotations

import math
from typing import Annotated, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from framecast.config.base import Closed, Positive
from framecast.ops.memory_format import fast_layout


class Config(Closed):
    """Size of the network."""

    width: Positive = 32
    """Channels at full resolution; each level below has twice as many."""
    depth: Annotated[int, Field(ge=1, le=6)] = 4
    """Levels below full resolution, each with half the sides of the one above."""
    norm: Literal["batch", "group"] = "batch"
    """After each convolution: batch norm, or group norm (up to 8 groups), which does not depend on the batch."""


class Convolutions(nn.Sequential):
    """Two 3×3 convolutions, each with norm and ReLU; [B, C, H, W] → [B, C', H, W]."""

    def __init__(self, channels_in: int, channels_out: int, norm: str) -> None:
        layers: list[nn.Module] = []
        for channels in (channels_in, channels_out):
            layers += [
                nn.Conv2d(channels, channels_out, 3, padding=1, bias=False),
                _norm(norm, channels_out),
                nn.ReLU(),
            ]
        super().__init__(*layers)


def _norm(kind: str, channels: int) -> nn.Module:
    return nn.BatchNorm2d(channels) if kind == "batch" else nn.GroupNorm(math.gcd(channels, 8), channels)


class Up(nn.Module):
    """Coarse features [B, 2C, H/2, W/2] and those of the way down [B, C, H, W] → [B, C, H, W]."""

    def __init__(self, channels: int, norm: str) -> None:
        super().__init__()
        self.narrow = nn.Conv2d(2 * channels, channels, 1)
        self.mix = Convolutions(2 * channels, channels, norm)

    def forward(self, coarse: Tensor, fine: Tensor) -> Tensor:
        doubled = F.interpolate(self.narrow(coarse), scale_factor=2, mode="bilinear", align_corners=False)
        return self.mix(torch.cat([fine, doubled], dim=1))


class UNet(nn.Module):
    """Frames [B, C, H, W] in [0, 1] → logits [B, K, H, W]."""

    def __init__(self, config: Config, channels: int, classes: int) -> None:
        super().__init__()
        widths = [config.width << level for level in range(config.depth + 1)]
        self.step = 1 << config.depth
        self.enter = Convolutions(channels, widths[0], config.norm)
        self.down = nn.ModuleList(Convolutions(width, 2 * width, config.norm) for width in widths[:-1])
        self.up = nn.ModuleList(Up(width, config.norm) for width in reversed(widths[:-1]))
        self.readout = nn.Conv2d(widths[0], classes, 1)

    def forward(self, frames: Tensor) -> Tensor:
        height, width = frames.shape[2:]
        padded = F.pad(2 * frames - 1, (0, -width % self.step, 0, -height % self.step), mode="replicate")
        levels = [self.enter(fast_layout(padded))]
        for down in self.down:
            levels.append(down(F.max_pool2d(levels[-1], 2)))
        x = levels.pop()
        for up in self.up:
            x = up(x, levels.pop())
        return self.readout(x[..., :height, :width])


def build(config: Config, channels: int, classes: int, height: int, width: int) -> nn.Module:
    """The network from frames [B, channels, H, W] in [0, 1] to logits [B, classes, H, W]; any height and width do."""
    return UNet(config, channels, classes)
