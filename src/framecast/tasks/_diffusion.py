"""Latent diffusion around a model of `pixels`: posterior samples, conditions left out, drawing, the autoencoder."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from framecast.tasks._networks import Pixels


def sampled(posterior: Tensor, noise: Tensor) -> Tensor:
    """A sample [B, C, h, w] of posteriors [B, 2C, h, w], as diffusers' DiagonalGaussianDistribution draws it."""
    mean, logarithm = posterior.chunk(2, 1)
    return mean + (0.5 * logarithm.clamp(-30, 20)).exp() * noise


def dropped(
    config: dict[str, Any], text: Tensor, empty: Tensor, source: Tensor | None, draws: Tensor
) -> tuple[Tensor, Tensor | None]:
    """Text [B, L, D] and source [B, C, h, w], left out of some samples.

    Args:
        draws: [B], even in [0, 1). Below 2 · dropout the text is empty, from dropout to 3 · dropout the source zero.
    """
    import torch

    share = config["dropout"]
    text = torch.where((draws < 2 * share)[:, None, None], empty, text)
    if source is None:
        return text, None
    absent = (draws >= share) & (draws < 3 * share)
    return text, source * (~absent)[:, None, None, None]


def drawn_latents(
    module: Pixels,
    text: Tensor,
    empty: Tensor,
    source: Tensor | None,
    inference: dict[str, Any],
    generators: list[torch.Generator],
) -> Tensor:
    """Scaled latents [B, C, h, w]; see `sampler.denoise`."""
    from framecast.ops import sampler

    chosen = sampler.scheduler(module.core.scheduler, inference["scheduler"])
    return sampler.denoise(module.core, chosen, text, empty, source, module.shape, inference, generators)


@functools.lru_cache(maxsize=1)
def autoencoder(folder: str, device: str) -> Any:
    """The AutoencoderKL of a folder: loaded at the first picture, so that training steps never see it."""
    from framecast.weights import vae

    return vae.network(Path(folder)).to(device).eval().requires_grad_(False)
