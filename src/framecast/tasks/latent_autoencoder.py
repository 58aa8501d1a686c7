"""Autoencoder with a latent picture: frame → posterior of a latent → frame. Diffusion then works on latents.

What moves is small, and what is predicted later is judged by it, so moving pixels weigh more (`tasks.autoencoder`).
The network gets, in `build`, the frames' height and width; frames are [B, 3, H, W] in [-1, 1], latents [B, C, h, w].
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from pydantic import Field

from framecast.config.base import Closed, Positive
from framecast.core.needs import Needs
from framecast.metrics import psnr
from framecast.stores import Stores
from framecast.stores.frames import Frames
from framecast.tasks import autoencoder
from framecast.tasks._moments import BEST_PSNR, SCALE, Moments, frame, moving, weighted
from framecast.tasks._tensors import pixels, without_gradients

if TYPE_CHECKING:
    import pandas as pd
    import torch
    from torch import Tensor, nn

    from framecast.stores.predictions import Predictions
    from framecast.tasks._networks import LatentAutoencoder

NonNegative = Annotated[float, Field(ge=0)]
STILL = 0.02
"""What a pixel that does not move counts where windows are drawn, so that the whole picture is learned; one that does
counts 1 more."""


EXPORT = "vae"
"""Module of `framecast.prediction.export` that writes a run's network in the hub's folder format."""


class Config(Closed):
    """Frames and the weights of the loss."""

    frames: str
    """Frame set to learn from."""
    view: str
    """View of that frame set; its sides are multiples of the autoencoder's factor between frame and latent."""
    stride: Positive = 8
    """Frames between samples in evaluated splits; in training every frame is one."""
    emphasis: NonNegative = 5.0
    """Extra weight of moving pixels in the reconstruction; 0 weighs all pixels alike."""
    crop: tuple[Positive, Positive] | None = None
    """Train on windows of this [height, width], pixels, drawn around what moves: they show more of it for the same
    work. Its sides are multiples of the autoencoder's factor too. Null trains on whole frames."""
    kl: NonNegative = 1e-6
    """Weight of the posterior's divergence from the standard normal, a latent number, beside the squared error of
    pixels in [0, 1]."""


class Inference(Closed):
    """Nothing to choose."""


def needs(config: dict[str, Any]) -> Needs:
    """One view of a frame set."""
    return Needs(frames=((config["frames"], config["view"]),))


def dataset(config: dict[str, Any], stores: Stores, split: str) -> Moments:
    """All samples of a split: a frame, and two more of its video that say what moves.

    Raises:
        ValueError: the crop is larger than the view.
    """
    samples = stores.split(split)
    frames = Frames(stores.frames[config["frames"]], config["view"])
    size = list(frames.shape[:2])
    if config["crop"] is not None and any(small > big for small, big in zip(config["crop"], size, strict=True)):
        raise ValueError(f"the task's crop {config['crop']} does not fit into view {config['view']!r} of {size}")
    stride = 1 if split == "train" else config["stride"]
    units = samples["unit"].astype(str).tolist()
    return Moments(frames, samples["video_id"].tolist(), units, stride, lag=0)


def facts(config: dict[str, Any], dataset: Moments) -> dict[str, Any]:
    """What the network's shape depends on, and how much there is to learn from."""
    height, width, _ = dataset.frames.shape
    return {"height": height, "width": width, "frames": len(dataset), "videos": len(dataset.video_ids)}


def build(config: dict[str, Any], facts: dict[str, Any], core: Callable[..., nn.Module]) -> LatentAutoencoder:
    """The network for the view's size.

    Raises:
        ValueError: the view's sides are no multiples of the network's factor.
    """
    from framecast.tasks._networks import LatentAutoencoder

    size = {"height": facts["height"], "width": facts["width"]}
    return LatentAutoencoder(core(**size), config, **size)


def fit(module: LatentAutoencoder, dataset: Moments) -> None:
    """Frames from all over the training split are kept."""
    chosen = np.linspace(0, len(dataset) - 1, len(module.sample)).round().astype(int).tolist()
    module.sample.copy_(dataset.__getitems__(chosen)["moments"][:, 0])


def loss(
    module: LatentAutoencoder, batch: dict[str, Any], generator: torch.Generator, progress: float
) -> dict[str, Tensor]:
    """Weighted squared error of the frame rebuilt from a draw of its posterior, and the posterior's divergence."""
    from framecast.ops.windows import windows

    config, moments = module.config, pixels(batch["moments"])  # [B, 4, 3, H, W]
    frames, motion = moments[:, 0], moving(moments)[:, 0]
    if module.training and config["crop"] is not None:
        frames, motion = windows(frames, motion, motion + STILL, config["crop"], generator)
    posterior = module.posterior(frames)
    latents = posterior.sample(generator)
    error = weighted(module.decode(latents), frames, motion, config["emphasis"]).mean()
    divergence = posterior.kl().mean() / latents[0].numel()
    total = SCALE * (error + config["kl"] * divergence)
    return {"loss": total, "reconstruction": error, "kl": divergence}


@without_gradients
def monitor(module: LatentAutoencoder, batch: dict[str, Any], generator: torch.Generator) -> dict[str, Tensor]:
    """psnr: of the rebuilt frame, dB; error: its squared error, moving pixels weighed as in the loss; one a sample."""
    import torch

    moments = pixels(batch["moments"])
    rebuilt = module.rebuilt(moments[:, 0])
    error = weighted(rebuilt, moments[:, 0], moving(moments)[:, 0], module.config["emphasis"])
    own, truth = (frames.cpu().numpy() for frames in (frame(rebuilt), batch["moments"][:, 0]))
    found = np.minimum(psnr(own, truth, 255), BEST_PSNR)
    return {"psnr": torch.from_numpy(found), "error": error}


@without_gradients
def predict(
    module: LatentAutoencoder, batch: dict[str, Any], generator: torch.Generator, inference: dict[str, Any]
) -> dict[str, Tensor]:
    """frame: the frame rebuilt, uint8 [B, H, W, 3]."""
    return {"frame": frame(module.rebuilt(pixels(batch["moments"][:, 0])))}


def score(config: dict[str, Any], predictions: Predictions, dataset: Moments) -> tuple[pd.DataFrame, dict[str, Any]]:
    """PSNR of each rebuilt frame, dB."""
    return autoencoder.score(config, predictions, dataset)


def preview(predictions: dict[str, Tensor], batch: dict[str, Any]) -> np.ndarray:
    """Up to eight columns: the frame above, rebuilt below; uint8 [2H, 8W, 3]."""
    return autoencoder.preview(predictions, batch)
