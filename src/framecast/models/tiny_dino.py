"""A small network of DINOv2's architecture with a decoder: frame → embedding → frame.

The encoder is transformers' `Dinov2Model`, so that it loads like any DINOv2 (`framecast.prediction.export.dino`).
Shapes: frames [B, 3, H, W] in [0, 1]; embedding [B, D]; deviation [B, 3, H, W]; motion map [B, M, M].

Sources: encoder: Oquab et al. 2023, arXiv 2304.07193. Decoder: a linear map to a coarse grid, then nearest
upsampling and convolutions (Odena et al. 2016, doi 10.23915/distill.00003). The motion map is read out linearly, so
that where something moves is linear in the embedding.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from framecast.config.base import Closed, Positive

GAIN = 8.0
"""Both linear readouts are multiplied by it, so that they learn that much faster than the network: without it, the
embedding takes more steps to say where things are (measured)."""


class Config(Closed):
    """Sizes of the network."""

    width: Positive = 128
    """D, numbers in an embedding; a multiple of `heads`."""
    layers: Positive = 3
    """Transformer layers."""
    heads: Positive = 4
    """Attention heads."""
    mlp_ratio: Positive = 2
    """Width of the feed-forward layers, as a multiple of `width`."""
    patch: Positive = 16
    """Side of a patch, pixels; the view's sides are multiples of it."""
    pool: Literal["cls", "mean"] = "mean"
    """The embedding: the class token, or the mean of the patch tokens, which learns faster. An encoder that is made of
    the run says the same in its own `pool`."""
    channels: Annotated[list[Positive], Field(min_length=1)] = [64, 32, 16]  # noqa: RUF012 (pydantic copies it)
    """Channels of the decoder, coarse to fine; the first grid has side H / 2^length, each entry doubles it."""


class TinyDino(nn.Module):
    """Encoder, decoder of the deviation from the mean frame, and linear readout of the motion map."""

    mean: Tensor
    std: Tensor

    def __init__(self, config: Config, size: int, grid: int) -> None:
        super().__init__()
        from transformers import Dinov2Config, Dinov2Model

        architecture = Dinov2Config(
            hidden_size=config.width, num_hidden_layers=config.layers, num_attention_heads=config.heads,
            mlp_ratio=config.mlp_ratio, image_size=size, patch_size=config.patch, use_mask_token=False,
            initializer_range=config.width**-0.5,
        )  # fmt: skip
        self.width, self.pool = config.width, config.pool
        self.network = Dinov2Model(architecture)
        waves = _positions(size // config.patch, config.width)
        self.network.embeddings.position_embeddings.data[0, 1:] = waves
        self.decoder = Decoder(config.width, config.channels, size)
        self.motion = nn.Linear(config.width, grid * grid)
        self.local = nn.Linear(config.width, 1)
        for parameter in (*self.motion.parameters(), *self.local.parameters()):
            nn.init.zeros_(parameter)  # the first answer is none
        self.grid = grid
        self.register_buffer("mean", torch.full((1, 3, 1, 1), 0.5))
        self.register_buffer("std", torch.full((1, 3, 1, 1), 0.5))

    def encode(self, frames: Tensor) -> Tensor:
        """Frames [B, 3, H, W] in [0, 1] → embeddings [B, D]."""
        return self.pooled(self.tokens(frames))

    def pooled(self, tokens: Tensor) -> Tensor:
        """[B, 1 + N, D] → embeddings [B, D]."""
        return tokens[:, 0] if self.pool == "cls" else tokens[:, 1:].mean(1)

    def tokens(self, frames: Tensor) -> Tensor:
        """Frames [B, 3, H, W] in [0, 1] → class token and patch tokens [B, 1 + N, D]."""
        return self.network(pixel_values=(frames - self.mean) / self.std).last_hidden_state

    def decode(self, embedding: Tensor) -> Tensor:
        """[B, D] → deviation from the mean frame [B, 3, H, W]; zero before the first step."""
        return self.decoder(embedding)

    def motion_map(self, embedding: Tensor) -> Tensor:
        """[B, D] → where something moves [B, M, M], in units of the map's deviation."""
        return GAIN * self.motion(embedding).unflatten(1, (self.grid, self.grid))

    def local_map(self, tokens: Tensor) -> Tensor:
        """[B, 1 + N, D] → how much moves in each patch, read from its own token [B, √N, √N]."""
        side = math.isqrt(tokens.shape[1] - 1)
        return GAIN * self.local(tokens[:, 1:]).squeeze(2).unflatten(1, (side, side))


def _positions(side: int, width: int) -> Tensor:
    """Where training starts from: sines and cosines of each patch's row and column, [side², width].

    From random position encodings, hundreds of steps pass before the network knows where a patch is. Half of the
    numbers are for the row, half for the column; wavelengths rise in equal ratios from 2 to 4 · side patches, so that
    the longest are nearly linear in the position.
    """
    count = -(-width // 4)
    wavelength = 2 * (2 * side) ** torch.linspace(0, 1, count)
    angle = 2 * torch.pi * torch.arange(side)[:, None] / wavelength  # [side, count]
    axis = torch.cat([angle.sin(), angle.cos()], dim=1)
    rows, columns = axis[:, None].expand(-1, side, -1), axis[None].expand(side, -1, -1)
    return torch.cat([rows, columns], dim=2).flatten(0, 1)[:, :width]


class Decoder(nn.Module):
    """Linear map to a coarse grid, then doublings; the last convolution starts at zero."""

    def __init__(self, width: int, channels: Sequence[int], size: int) -> None:
        super().__init__()
        self.coarse = size >> len(channels)
        self.first = nn.Linear(width, channels[0] * self.coarse**2)
        self.channels = channels[0]
        following = [*channels[1:], channels[-1]]
        self.blocks = nn.ModuleList(
            nn.Conv2d(here, there, 3, padding=1) for here, there in zip(channels, following, strict=True)
        )
        self.last = nn.Conv2d(channels[-1], 3, 3, padding=1)
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)  # type: ignore[arg-type]

    def forward(self, embedding: Tensor) -> Tensor:
        features = self.first(embedding).view(-1, self.channels, self.coarse, self.coarse)
        for block in self.blocks:
            features = functional.interpolate(functional.gelu(block(features)), scale_factor=2, mode="nearest")
        return self.last(features)


def build(config: Config, size: int, grid: int) -> TinyDino:
    """The network for square frames.

    Args:
        size: H = W, pixels.
        grid: M, side of the motion map.

    Raises:
        ValueError: sizes that do not divide.
    """
    step = 1 << len(config.channels)
    if size % config.patch or size % step:
        raise ValueError(
            f"models.tiny_dino: the view's side {size} must be a multiple of patch = {config.patch} and of {step} "
            f"(2 to the number of decoder channels {config.channels}); change the view or these keys"
        )
    if config.width % config.heads:
        raise ValueError(f"models.tiny_dino: width = {config.width} must be a multiple of heads = {config.heads}")
    return TinyDino(config, size, grid)
