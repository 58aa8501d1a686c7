"""InstructPix2Pix (Brooks et al. 2023, arXiv 2211.09800) on the UNet and the noise schedules of diffusers.

The UNet of Stable Diffusion (Rombach et al. 2022, arXiv 2112.10752) sees noisy latents of the target and, beside them,
the latents of the source; without a source it is a text-to-image model. It starts from a pipeline of diffusers
(`base`), from another experiment (`init`), or small and anew. A base that has no channels for the source gets them with
zero weights: at the first step it answers as it did before. One that has them is used as it is.

Differences to the public training script: the bias of the first convolution is kept (diffusers issue 4960), and an
InstructPix2Pix base is not extended again (issue 3455).

Parameter prefix seen by a budget: `core.unet.` with the names of diffusers below it.

Axes: B batch, C latent channel, h, w, L text, D text width.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from framecast.config.base import Closed, Positive, Pretrained
from framecast.weights import diffusers_folders, hub, state_dict

FIRST = "conv_in.weight"


class Config(Closed):
    """A pretrained base, or the size of a small UNet and its noise schedule."""

    base: Pretrained | None = None
    """A pipeline of diffusers, or a folder with a UNet alone: Stable Diffusion, InstructPix2Pix, an export of ours. Its
    text encoder must be the prompts' and its autoencoder the latents'. Null makes a UNet of the keys below."""
    channels: Annotated[tuple[Positive, ...], Field(min_length=1)] = (32, 64)
    """Of the small UNet: channels of each level; each level after the first halves the sides."""
    layers: Positive = 1
    """Of the small UNet: residual blocks of each level."""
    heads: Positive = 4
    """Of the small UNet: attention heads; a divisor of every level's channels."""
    groups: Positive = 8
    """Of the small UNet: groups of its group norms; a divisor of every level's channels."""
    attention: tuple[bool, ...] | None = None
    """Of the small UNet: which levels look at the text, finest first; null means all. The middle always does."""
    prediction: Literal["epsilon", "v_prediction", "sample"] = "epsilon"
    """Of the small UNet: what it predicts: the noise, the velocity, or the latents without noise."""
    checkpointing: bool = False
    """Work out activations again in the backward pass: less memory, more time, equal numbers."""

    @model_validator(mode="after")
    def _divides(self) -> Config:
        for name, value in (("heads", self.heads), ("groups", self.groups)):
            if bad := [width for width in self.channels if width % value]:
                raise ValueError(f"{name} is {value}, which does not divide channels {bad[0]}")
        if self.attention is not None and len(self.attention) != len(self.channels):
            raise ValueError(
                f"attention has {len(self.attention)} entries and channels {len(self.channels)}; give one for each "
                "level, or null"
            )
        return self


class InstructPix2Pix(nn.Module):
    """Noisy latents [B, C, h, w], time steps [B], text [B, L, D], source latents [B, C, h, w] → prediction.

    Attributes: unet, of diffusers. noise, its DDPMScheduler for training. scheduler, the config of the noise schedule,
    with the sampler's `_class_name`. latent, C. given, whether there is a source.
    """

    def __init__(self, config: Config, described: dict[str, Any], scheduler: dict[str, Any], given: bool) -> None:
        from diffusers import DDPMScheduler, UNet2DConditionModel

        super().__init__()
        self.config, self.scheduler, self.given = config, scheduler, given
        self.latent = int(described.get("out_channels", 4))
        wide = {"in_channels": self.latent * (2 if given else 1)}
        self.unet: Any = UNet2DConditionModel.from_config({**described, **wide})
        if config.checkpointing:
            self.unet.enable_gradient_checkpointing()
        self.noise: Any = DDPMScheduler.from_config(scheduler)

    def forward(self, noisy: Tensor, steps: Tensor, text: Tensor, source: Tensor | None = None) -> Tensor:
        seen = noisy if source is None else torch.cat([noisy, source], 1)
        return self.unet(seen, steps, encoder_hidden_states=text, return_dict=False)[0]

    def noised(self, latents: Tensor, noise: Tensor, steps: Tensor) -> tuple[Tensor, Tensor]:
        """Latents with noise at time steps [B], and what the UNet has to predict of them."""
        noisy = self.noise.add_noise(latents, noise, steps)
        kind = self.noise.config["prediction_type"]
        if kind == "v_prediction":
            return noisy, self.noise.get_velocity(latents, noise, steps)
        return noisy, noise if kind == "epsilon" else latents

    @property
    def steps(self) -> int:
        """Time steps of the noise schedule."""
        return int(self.noise.config["num_train_timesteps"])

    def fit(self) -> None:
        """Take the weights of the base.

        Raises:
            WeightsError: they are absent or pickled. ValueError: they do not fit the base's own config.json.
        """
        if self.config.base is None:
            return
        path = _folder(self.config.base)
        state_dict.restore(self.unet, self._widened(diffusers_folders.tensors(path, "unet"), FIRST), str(path))

    def adopt(self, tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
        """Weights of another experiment (names start with `prefix`), the first convolution as wide as this one's."""
        return self._widened(tensors, f"{prefix}unet.{FIRST}")

    def _widened(self, tensors: dict[str, Tensor], name: str) -> dict[str, Tensor]:
        """With zeros for the source's channels, where this network has a source and the weights `name` have none."""
        first = tensors.get(name)
        if not self.given or first is None or first.shape[1] != self.latent:
            return tensors
        return {**tensors, name: torch.cat([first, torch.zeros_like(first)], 1)}


# --- a base, and the small UNet --------------------------------------------------------------------------------------


def _folder(base: Pretrained) -> Path:
    return hub.folder(str(base.hub), base.revision, "unet")


def facts(config: Config) -> dict[str, Any]:
    """What `build` needs of the base's files: stored with the run, because the base is not needed after training.

    Raises:
        WeightsError: the base is absent or no UNet2DConditionModel.
    """
    if config.base is None:
        return {}
    path = _folder(config.base)
    unet = diffusers_folders.config(path, "unet", "UNet2DConditionModel")
    if unet.get("addition_embed_type") is not None:
        raise hub.WeightsError(
            f"{path}: the UNet has addition_embed_type {unet['addition_embed_type']!r} (Stable Diffusion XL), which "
            "takes inputs that there are none of here; give a base of Stable Diffusion 1 or 2, or InstructPix2Pix"
        )
    plain = {key: value for key, value in unet.items() if key != "_name_or_path"}
    return {"base": {"folder": str(path), "unet": plain, "scheduler": diffusers_folders.scheduler(path)}}


def _small(config: Config, latent: int, width: int, size: tuple[int, int]) -> dict[str, Any]:
    """Config of diffusers' UNet2DConditionModel."""
    looks = config.attention or (True,) * len(config.channels)
    return {
        "sample_size": list(size), "out_channels": latent, "cross_attention_dim": width,
        "block_out_channels": list(config.channels), "layers_per_block": config.layers,
        "attention_head_dim": config.heads,  # diffusers reads this as the number of heads
        "norm_num_groups": config.groups,
        "down_block_types": ["CrossAttnDownBlock2D" if one else "DownBlock2D" for one in looks],
        "up_block_types": ["CrossAttnUpBlock2D" if one else "UpBlock2D" for one in reversed(looks)],
    }  # fmt: skip


def _schedule(prediction: str) -> dict[str, Any]:
    """Stable Diffusion's noise schedule, sampled by DDIM."""
    return {
        "_class_name": "DDIMScheduler", "num_train_timesteps": 1000, "beta_start": 0.00085, "beta_end": 0.012,
        "beta_schedule": "scaled_linear", "prediction_type": prediction, "clip_sample": False,
        "set_alpha_to_one": False, "steps_offset": 1,
    }  # fmt: skip


def build(
    config: Config,
    latent: int,
    given: bool,
    width: int,
    size: tuple[int, int],
    base: dict[str, Any] | None,
) -> nn.Module:
    """The network; weights of a base are loaded by `fit`.

    Args:
        latent: C, channels of a frame's latents. given: whether there is a source. width: D of the text. size: [h, w]
            of the latents. base: what `facts` found; None for the small UNet.

    Raises:
        ValueError: the base is of the wrong kind: channels, text width or latents.
    """
    if base is None:
        return InstructPix2Pix(config, _small(config, latent, width, size), _schedule(config.prediction), given)
    _check(base["unet"], base["folder"], latent, given, width)
    scheduler = base["scheduler"] or _schedule(config.prediction)
    return InstructPix2Pix(config, base["unet"], scheduler, given)


def _check(unet: dict[str, Any], folder: str, latent: int, given: bool, width: int) -> None:
    """Refuse a base of the wrong kind, by name and with the remedy."""
    inputs, outputs = unet.get("in_channels", 4), unet.get("out_channels", 4)
    where = f"models.instruct_pix2pix.base: {folder} is a base of the wrong kind"
    if outputs != latent:
        raise ValueError(
            f"{where}: its UNet is for latents of {outputs} channels, and the task's latents have {latent}; give the "
            "task's encoder the autoencoder of this pipeline (its subfolder vae), or take another base"
        )
    allowed = [latent, 2 * latent] if given else [latent]
    if inputs not in allowed:
        kinds = "text-to-image or InstructPix2Pix" if given else "text-to-image"
        raise ValueError(
            f"{where}: its UNet has {inputs} input channels, and {' or '.join(map(str, allowed))} are needed "
            f"({kinds}); models for inpainting, depth or upscaling do not serve"
        )
    if unet.get("cross_attention_dim", 1280) != width:
        raise ValueError(
            f"{where}: it looks at texts of width {unet.get('cross_attention_dim', 1280)}, and the task's prompts have "
            f"{width}; give the prompts' encoder the text encoder of this pipeline (its subfolder text_encoder)"
        )
