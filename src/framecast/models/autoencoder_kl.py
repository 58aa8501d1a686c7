"""diffusers' AutoencoderKL in small: frame → posterior of a latent → frame.

Source: Rombach et al. 2022 (arXiv 2112.10752), section 3.1; code: diffusers. Departure: training starts at a narrow
posterior, so that the decoder sees means and not noise from its first step on.

Axes: B batch, C latent channels, h and w sides of the latent: the frame's over `down`.
"""

from __future__ import annotations

from typing import Annotated, Any

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from framecast.config.base import Closed, Positive, Pretrained
from framecast.ops.memory_format import fast_layout
from framecast.weights import vae

NARROW = -6.0
"""Logarithm of the posterior's variance that training starts at."""


class Config(Closed):
    """Size of the network, or where it comes from."""

    widths: Annotated[list[Positive], Field(min_length=1)] = [32, 64, 64]  # noqa: RUF012 (pydantic copies it)
    """Channels of each level, fine to coarse; from one to the next the sides are halved."""
    latent_channels: Positive = 4
    """C, numbers at each place of the latent."""
    layers: Positive = 1
    """Residual blocks of each level of the encoder; the decoder has one more."""
    groups: Positive = 8
    """Groups of the group norms; divides every width."""
    attention: bool = False
    """Attention between the places of the coarsest level, as in Stable Diffusion's."""
    base: Pretrained | None = None
    """Start from this AutoencoderKL, or from the `vae` of this pipeline; the other keys are then not looked at. Null
    starts anew."""

    @model_validator(mode="after")
    def _divides(self) -> Config:
        for width in self.widths:
            if width % self.groups:
                raise ValueError(f"groups is {self.groups}, which does not divide {width} of widths {self.widths}")
        return self


class Autoencoder(nn.Module):
    """Frames [B, 3, H, W] in [-1, 1] ↔ latents [B, C, h, w].

    Attributes:
        network: diffusers' AutoencoderKL.
        down: Pixels of a side that become one number of a latent's side.
    """

    def __init__(self, network: Any) -> None:
        super().__init__()
        self.network = network
        self.down = vae.down_factor(network)

    def moments(self, frames: Tensor) -> Tensor:
        """The posterior's means, then logarithms of its variances: [B, 3, H, W] → [B, 2C, h, w]."""
        return self.network.encode(fast_layout(frames)).latent_dist.parameters.float()

    def decode(self, latents: Tensor) -> Tensor:
        """[B, C, h, w] → [B, 3, H, W]."""
        return self.network.decode(fast_layout(latents)).sample.float()

    def forward(self, frames: Tensor) -> Tensor:
        """Frames rebuilt from the means of their posteriors [B, 3, H, W]."""
        return self.decode(self.moments(frames).chunk(2, dim=1)[0])


def build(config: Config, height: int, width: int) -> Autoencoder:
    """The network for frames of this size.

    Raises:
        WeightsError: the base is absent, incomplete or of another class.
        ValueError: sides that cannot be halved often enough.
    """
    network = _new(config, height, width) if config.base is None else _based(config.base)
    vae.check_size(height, width, vae.down_factor(network))
    return Autoencoder(network)


def _based(base: Pretrained) -> Any:
    return vae.network(vae.find(str(base.hub), base.revision)).requires_grad_(True)


def _new(config: Config, height: int, width: int) -> Any:
    from diffusers import AutoencoderKL

    levels = len(config.widths)
    network: Any = AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * levels, up_block_types=("UpDecoderBlock2D",) * levels,
        block_out_channels=tuple(config.widths), layers_per_block=config.layers, latent_channels=config.latent_channels,
        norm_num_groups=config.groups, sample_size=max(height, width), mid_block_add_attention=config.attention,
    )  # fmt: skip
    with torch.no_grad():
        network.quant_conv.weight[config.latent_channels :] = 0
        network.quant_conv.bias[config.latent_channels :] = NARROW
    return network
