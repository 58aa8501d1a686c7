"""From noise to pictures: the denoising loop over a scheduler of diffusers, with guidance, and decoding.

The numbers are those of diffusers' StableDiffusionInstructPix2PixPipeline (with a source) and StableDiffusionPipeline
(without): same order of operations, so that equal weights and noise give equal pictures.

Axes: B batch, C latent channel, h, w, L text, D text width.
"""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from framecast.core.validation import ConfigError, nearest

Denoiser = Callable[[Tensor, Tensor, Tensor, Tensor | None], Tensor]
"""Noisy latents [B, C, h, w], time steps [B], text [B, L, D], source [B, C, h, w] or None → prediction [B, C, h, w]."""


def schedulers() -> list[str]:
    """Samplers of diffusers that take Stable Diffusion's noise schedules, by class name."""
    from diffusers.schedulers import KarrasDiffusionSchedulers

    return sorted(one.name for one in KarrasDiffusionSchedulers)


def scheduler(config: dict[str, Any], name: str | None) -> Any:
    """A sampler for a noise schedule.

    Args:
        config: scheduler_config.json. name: Class of diffusers; None takes the config's own `_class_name`.

    Raises:
        ConfigError: there is no such sampler.
    """
    import diffusers

    chosen = name or config["_class_name"]
    if chosen not in schedulers():
        raise ConfigError(
            f"inference.scheduler: {chosen!r} is no sampler for these models{nearest(chosen, schedulers())}; there "
            f"are: {', '.join(schedulers())}"
        )
    return getattr(diffusers, chosen).from_config(config)


@torch.no_grad()
def denoise(
    core: Denoiser,
    sampler: Any,
    text: Tensor,
    empty: Tensor,
    source: Tensor | None,
    shape: Sequence[int],
    inference: dict[str, Any],
    generators: list[torch.Generator],
) -> Tensor:
    """Latents [B, C, h, w], in units of the UNet (times the scaling factor).

    Args:
        sampler: See `scheduler`; its state is begun anew.
        text: [B, L, D]. empty: [L, D] of the empty prompt. source: Unscaled latents of the input frame, [B, C, h, w].
        shape: [C, h, w].
        inference: steps, text_guidance, image_guidance. Guidance of 1 is none. With text guidance of 1
            the image's is still applied, which the pipeline of diffusers drops.
        generators: One for each sample, on the CPU: its noise depends on it alone.
    """
    from diffusers.utils.torch_utils import randn_tensor

    device = text.device
    sampler.set_timesteps(inference["steps"], device=device)
    latents = randn_tensor((len(text), *shape), generators, device, text.dtype) * sampler.init_noise_sigma
    takes = inspect.signature(sampler.step).parameters
    extra = {"generator": generators} if "generator" in takes else {}
    texts, sources, combine = _branches(text, empty.expand_as(text), source, inference)
    for step in sampler.timesteps:
        noisy = sampler.scale_model_input(torch.cat([latents] * (len(texts) // len(text))), step)
        found = combine(core(noisy, step, texts, sources).to(latents.dtype))
        latents = sampler.step(found, step, latents, **extra, return_dict=False)[0]
    return latents


def _branches(
    text: Tensor, empty: Tensor, source: Tensor | None, inference: dict[str, Any]
) -> tuple[Tensor, Tensor | None, Callable[[Tensor], Tensor]]:
    """What the UNet is asked at once: texts, sources, and how its answers become one."""
    by_text, by_image = inference["text_guidance"], inference["image_guidance"]
    if source is None:
        if by_text == 1:
            return text, None, lambda found: found

        def two(found: Tensor) -> Tensor:
            without, with_text = found.chunk(2)
            return without + by_text * (with_text - without)

        return torch.cat([empty, text]), None, two
    if by_text == by_image == 1:
        return text, source, lambda found: found

    def three(found: Tensor) -> Tensor:
        with_text, with_image, without = found.chunk(3)
        return without + by_text * (with_text - with_image) + by_image * (with_image - without)

    return torch.cat([text, empty, empty]), torch.cat([source, source, torch.zeros_like(source)]), three


@torch.no_grad()
def decoded(network: Any, latents: Tensor) -> Tensor:
    """Latents [B, C, h, w] as an AutoencoderKL has them (divided by the scaling factor) → frames float32 [B, 3, H, W],
    about 0 to 1. In float32 whatever the surroundings: half precision shows as specks."""
    with whole_precision(latents.device.type):
        return network.decode(latents.float(), return_dict=False)[0] * 0.5 + 0.5


@contextlib.contextmanager
def whole_precision(device: str) -> Iterator[None]:
    """No automatic half precision."""
    with torch.autocast(device, enabled=False):
        yield


def quantised(frames: Tensor) -> Tensor:
    """Frames float [B, 3, H, W], 0 to 1 → uint8 [B, H, W, 3], as diffusers rounds."""
    return (frames.clamp(0, 1).movedim(1, -1).float() * 255).round().to(torch.uint8)
