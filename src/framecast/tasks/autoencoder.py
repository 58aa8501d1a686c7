"""Autoencoder: frame → embedding → frame. It makes an image encoder out of videos without labels.

What moves is small, so a plain pixel error would spend the embedding on what never changes. Motion is found without
labels: a pixel moves where it differs from two other moments of its video alike. It weighs the reconstruction, and its
coarse map is read out linearly from the embedding: so where things are becomes linear in it. The map's change over a
few frames is read from the change of the embedding likewise, so that small steps are not lost in noise.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from pydantic import Field

from framecast.config.base import Closed, Positive
from framecast.metrics import psnr
from framecast.stores import Stores
from framecast.stores.frames import Frames
from framecast.tasks._tensors import as_tensors, pixels, without_gradients

if TYPE_CHECKING:
    import pandas as pd
    import torch
    from torch import Tensor, nn

    from framecast.stores.predictions import Predictions
    from framecast.tasks._networks import Autoencoder

NonNegative = Annotated[float, Field(ge=0)]


SCALE = 100.0
"""Brings the reconstruction error, about 0.02 at first, to the size of the other two, 1 at first."""
BEST_PSNR = 100.0
"""What an equal frame scores, dB, in place of infinity; frames that differ stay below, up to 16 million values each."""
CONTRAST = 0.15
"""Difference of a channel, of 1, from which on a pixel counts as moving; compression noise is well below."""


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


class Moments:
    """Four moments of a video: a frame, the one `lag` later, and those a third and two thirds of the video away."""

    def __init__(self, frames: Frames, video_ids: list[str], units: list[str], stride: int, lag: int) -> None:
        self.frames, self.video_ids, self.units, self.lag = frames, video_ids, units, lag
        self.counts = [frames.count(video_id) for video_id in video_ids]
        self.places = [
            (video, first) for video, count in enumerate(self.counts) for first in range(0, count - lag, stride)
        ]

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, index: int) -> dict[str, Any]:
        return {key: value[0] for key, value in self.__getitems__([index]).items()}

    def __getitems__(self, indices: Sequence[int]) -> dict[str, Any]:
        """moments uint8 [B, 4, H, W, 3]; sample_id, unit: lists of B."""
        places = [self.places[index] for index in indices]
        wanted = [(self.video_ids[video], index) for video, first in places for index in self._moments(video, first)]
        frames = self.frames.read_batch(wanted)
        return as_tensors({
            "moments": frames.reshape(len(places), 4, *frames.shape[1:]),
            "sample_id": [self.name(place) for place in places],
            "unit": [self.units[video] for video, _ in places],
        })  # fmt: skip

    def first_frames(self, places: Sequence[tuple[int, int]]) -> np.ndarray:
        """The frames that are encoded, uint8 [B, H, W, 3]."""
        return self.frames.read_batch([(self.video_ids[video], first) for video, first in places])

    def name(self, place: tuple[int, int]) -> str:
        """`<video id>#<frame number>`."""
        return f"{self.video_ids[place[0]]}#{place[1]}"

    def _moments(self, video: int, first: int) -> list[int]:
        count = self.counts[video]
        return [first, first + self.lag, (first + count // 3) % count, (first + 2 * count // 3) % count]


def needs(config: dict[str, Any]) -> dict[str, Any]:
    """What has to be extracted first."""
    return {"frames": [[config["frames"], config["view"]]], "encoders": []}


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
    if hasattr(module.core, "std"):
        module.core.mean.copy_(frames.mean((0, 2, 3)).view(1, 3, 1, 1))
        module.core.std.copy_(frames.std((0, 2, 3)).clamp_min(1e-3).view(1, 3, 1, 1))


def frame(rebuilt: Tensor) -> Tensor:
    """[B, 3, H, W] in [0, 1] but for errors → uint8 [B, H, W, 3]."""
    return (rebuilt.clamp(0, 1) * 255).round().byte().movedim(1, -1)


def moving(frames: Tensor) -> Tensor:
    """How much each pixel differs from two other moments at once: [B, 4, 3, H, W] → [B, 4, H, W] in [0, 1].

    The first two moments are near each other, so each is held against the third and the fourth.
    """

    import torch

    def apart(one: int, other: int) -> Tensor:
        return (frames[:, one] - frames[:, other]).abs().amax(1)

    far = apart(0, 2), apart(0, 3), apart(2, 3)
    smallest = [
        far[0].minimum(far[1]),
        apart(1, 2).minimum(apart(1, 3)),
        far[0].minimum(far[2]),
        far[1].minimum(far[2]),
    ]
    return (torch.stack(smallest, 1) / CONTRAST).clamp(max=1)


def coarsened(motion: Tensor, grid: int) -> Tensor:
    """Means over the cells of a grid: [..., H, W] → [..., grid, grid]."""
    side = motion.shape[-1] // grid
    return motion.unflatten(-1, (grid, side)).unflatten(-3, (grid, side)).mean((-1, -3))


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


def weighted(rebuilt: Tensor, frames: Tensor, motion: Tensor, emphasis: float) -> Tensor:
    """Squared error of frames [B, 3, H, W] where moving pixels [B, H, W] weigh 1 + emphasis; [B]."""
    weight = 1 + emphasis * motion[:, None]
    return ((rebuilt - frames).square() * weight).sum((1, 2, 3)) / (3 * weight.sum((1, 2, 3)))


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

    places = {dataset.name(place): place for place in dataset.places}
    values = []
    for start in range(0, len(predictions.sample_ids), 256):
        names = predictions.sample_ids[start : start + 256]
        truth = dataset.first_frames([places[name] for name in names])
        values.append(np.minimum(psnr(predictions.arrays["frame"][start : start + 256], truth, 255), BEST_PSNR))
    columns = {"sample_id": predictions.sample_ids, "unit": predictions.units, "metric": "psnr"}
    return pd.DataFrame({**columns, "value": np.concatenate(values)}), {}


def preview(predictions: dict[str, Tensor], batch: dict[str, Any]) -> np.ndarray:
    """Up to eight columns: the frame above, rebuilt below; uint8 [2H, 8W, 3]."""
    shown = min(8, len(predictions["frame"]))
    rows = [batch["moments"][:shown, 0].cpu(), predictions["frame"][:shown].cpu()]
    return np.concatenate([np.concatenate(list(row.numpy()), axis=1) for row in rows], axis=0)
