"""Autoencoder: frame → embedding → frame. It makes an image encoder out of videos without labels.

What moves is small, so a plain pixel error would spend the embedding on what never changes. Motion is found without
labels: a pixel moves where it differs from two other moments of its video alike. It weighs the reconstruction, and its
coarse map is read out linearly from the embedding: so where things are becomes linear in it. The map's change over a
few frames is read from the change of the embedding likewise, so that small steps are not lost in noise.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from pydantic import Field

from framecast.config.base import Closed, Positive
from framecast.core import contract
from framecast.core.needs import Needs
from framecast.metrics import psnr
from framecast.stores import Stores
from framecast.stores.frames import Frames
from framecast.tasks._moments import BEST_PSNR, SCALE, Moments, coarsened, frame, moving, weighted
from framecast.tasks._tensors import pixels, without_gradients

if TYPE_CHECKING:
    import pandas as pd
    import torch
    from torch import Tensor, nn

    from framecast.stores.predictions import Predictions
    from framecast.tasks._networks import Autoencoder

NonNegative = Annotated[float, Field(ge=0)]


EXPORT = "dino"
"""Module of `framecast.prediction.export` that writes a run's network in the hub's folder format."""


class Config(Closed):
    """Frames and the weights of the loss."""

    frames: str
    """Frame set to learn from."""
    view: str
    """View of that frame set; square."""
    stride: Positive = 8
    """Frames between samples in evaluated splits; in training every frame is one."""
    emphasis: NonNegative = 5.0
    """Extra weight of moving pixels in the reconstruction; 0 weighs all pixels alike."""
    motion: NonNegative = 1.0
    """Weight of the error of the motion map, in units of its variance."""
    grid: Positive = 8
    """Side of the motion map, cells; divides the view's side."""
    change: NonNegative = 0.5
    """Weight of the error of the map's change from a frame to the one `lag` later, in units of its variance."""
    local: NonNegative = 1.0
    """Weight of the error of each patch's motion, read from its own token, in units of its variance. It reaches every
    patch directly, so the network learns what an object is before the embedding can tell where it is."""
    lag: Positive = 2
    """Frames from a sample's first frame to its second."""


class Inference(Closed):
    """Nothing to choose."""


def needs(config: dict[str, Any]) -> Needs:
    """One view of a frame set."""
    return Needs(frames=((config["frames"], config["view"]),))


def dataset(config: dict[str, Any], stores: Stores, split: str) -> Moments:
    """All samples of a split.

    Raises:
        ValueError: no video has more than `lag` frames, or the view is not square.
    """
    samples = stores.split(split)
    frames = Frames(stores.frames[config["frames"]], config["view"])
    stride = 1 if split == "train" else config["stride"]
    units = samples["unit"].astype(str).tolist()
    moments = Moments(frames, samples["video_id"].tolist(), units, stride, config["lag"])
    height, width, _ = frames.shape
    if height != width or height % config["grid"]:
        raise ValueError(
            f"the autoencoder's view {config['view']!r} is {height}x{width}: it must be square and a multiple of the "
            f"task's grid = {config['grid']}"
        )
    if not len(moments):
        longest = max(moments.counts)
        raise ValueError(
            f"split {split!r}: the longest video has {longest} frames; the task's lag = {config['lag']} needs one more"
        )
    return moments


def facts(config: dict[str, Any], dataset: Moments) -> dict[str, Any]:
    """What the network's shape depends on, and how much there is to learn from."""
    return {"size": dataset.frames.shape[0], "frames": len(dataset), "videos": len(dataset.video_ids)}


def build(config: dict[str, Any], facts: dict[str, Any], core: Callable[..., nn.Module]) -> Autoencoder:
    """The network for the view's size."""
    from framecast.tasks._networks import Autoencoder

    return Autoencoder(core(size=facts["size"], grid=config["grid"]), config, facts["size"])


@without_gradients
def fit(module: Autoencoder, dataset: Moments) -> None:
    """Statistics of up to 512 samples of the training split.

    They are the mean frame, mean and deviation of the channels, and the root mean square of the motion map and of its
    change.
    """
    import torch

    chosen = np.unique(np.linspace(0, len(dataset) - 1, 512).astype(int))
    parts = [dataset.__getitems__(part.tolist()) for part in np.array_split(chosen, -(-len(chosen) // 64))]
    frames = torch.cat([pixels(part["moments"][:, 0]) for part in parts])
    maps = torch.cat([coarsened(moving(pixels(part["moments"]))[:, :2], module.config["grid"]) for part in parts])
    spread = (maps - maps.mean((0, 1))).square().mean(), maps.diff(dim=1).square().mean()
    module.levels.copy_(torch.stack(spread).sqrt().clamp_min(1e-3))
    module.background.copy_(frames.mean(0))
    if contract.hook(module.core, "std") is not None:
        module.core.mean.copy_(frames.mean((0, 2, 3)).view(1, 3, 1, 1))
        module.core.std.copy_(frames.std((0, 2, 3)).clamp_min(1e-3).view(1, 3, 1, 1))


def loss(module: Autoencoder, batch: dict[str, Any], generator: torch.Generator, progress: float) -> dict[str, Tensor]:
    """Weighted squared error of the first frame's reconstruction, errors of the motion map and of its change."""
    config, frames = module.config, pixels(batch["moments"])  # [B, 4, 3, H, W]
    motion = moving(frames)
    tokens = module.core.tokens(frames.flatten(0, 1))  # [4B, 1 + N, D]
    embedding = module.core.pooled(tokens)
    rebuilt = module.background + module.core.decode(embedding[::4])
    error = weighted(rebuilt, frames[:, 0], motion[:, 0], config["emphasis"]).mean()
    level, change = module.levels[0], module.levels[1]
    wrong = module.core.motion_map(embedding).unflatten(0, (-1, 4)) - coarsened(motion, config["grid"]) / level
    mapped = wrong.square().mean()  # wrong: [B, 4, M, M], in units of the map's deviation
    changed = ((wrong[:, 1] - wrong[:, 0]) * level / change).square().mean()
    local = module.core.local_map(tokens)  # [4B, P, P]
    seen = (local - coarsened(motion.flatten(0, 1), local.shape[-1]) / level).square().mean()
    total = SCALE * error + config["motion"] * mapped + config["change"] * changed + config["local"] * seen
    return {"loss": total, "reconstruction": error, "motion": mapped, "change": changed, "local": seen}


@without_gradients
def monitor(module: Autoencoder, batch: dict[str, Any], generator: torch.Generator) -> dict[str, Tensor]:
    """error: squared error of the first frame, moving pixels weighed as in the loss; one a sample."""
    frames = pixels(batch["moments"])
    rebuilt = module(frames[:, 0])[1]
    return {"error": weighted(rebuilt, frames[:, 0], moving(frames)[:, 0], module.config["emphasis"])}


@without_gradients
def predict(
    module: Autoencoder, batch: dict[str, Any], generator: torch.Generator, inference: dict[str, Any]
) -> dict[str, Tensor]:
    """frame: the first frame rebuilt, uint8 [B, H, W, 3]."""
    return {"frame": frame(module(pixels(batch["moments"][:, 0]))[1])}


def score(config: dict[str, Any], predictions: Predictions, dataset: Moments) -> tuple[pd.DataFrame, dict[str, Any]]:
    """PSNR of each rebuilt frame, dB."""
    import pandas as pd

    places = [dataset.places[index] for index in dataset.find(predictions.sample_ids)]
    values = []
    for start in range(0, len(predictions.sample_ids), 256):
        truth = dataset.first_frames(places[start : start + 256])
        values.append(np.minimum(psnr(predictions.arrays["frame"][start : start + 256], truth, 255), BEST_PSNR))
    columns = {"sample_id": predictions.sample_ids, "unit": predictions.units, "metric": "psnr"}
    return pd.DataFrame({**columns, "value": np.concatenate(values)}), {}


def preview(predictions: dict[str, Tensor], batch: dict[str, Any]) -> np.ndarray:
    """Up to eight columns: the frame above, rebuilt below; uint8 [2H, 8W, 3]."""
    shown = min(8, len(predictions["frame"]))
    rows = [batch["moments"][:shown, 0].cpu(), predictions["frame"][:shown].cpu()]
    return np.concatenate([np.concatenate(list(row.numpy()), axis=1) for row in rows], axis=0)
