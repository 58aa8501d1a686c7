"""Autoencoder: frame → embedding → frame. It makes an image encoder out of videos without labels.

What moves is small, so a plain pixel error would spend the embedding on what never changes. Motion is found without labels:
a pixel moves where it differs from two other moments of its video alike. It weighs the reconstruction, and its coarse map is
read out linearly from the embedding. Three neighbouring frames are embedded together, so that the path of the embeddings
can be kept straight (Hénaff et al. 2019, doi 10.1038/s41593-019-0377-4).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from framecast.config import Closed, Positive
from framecast.metrics import psnr
from framecast.stores import Stores
from framecast.stores.frames import Frames

if TYPE_CHECKING:
    import pandas as pd

    from framecast.stores.predictions import Predictions

NonNegative = Annotated[float, Field(ge=0)]
CLIP = 3
"""Neighbouring frames in a sample: the fewest that have a curvature."""


BEST_PSNR = 100.0
"""What an equal frame scores, dB, in place of infinity; frames that differ anywhere stay below at up to 16 million values."""
CONTRAST = 0.15
"""Difference of a channel, of 1, from which on a pixel counts as moving; compression noise is well below."""


class Config(Closed):
    """Frames and the weights of the loss."""

    frames: str
    """Frame set to learn from."""
    view: str
    """View of that frame set; square."""
    stride: Positive = 8
    """Frames between samples in evaluated splits; in training every frame is one."""
    emphasis: NonNegative = 20.0
    """Extra weight of moving pixels in the reconstruction; 0 weighs all pixels alike."""
    motion: NonNegative = 1.0
    """Weight of the error of the motion map."""
    grid: Positive = 16
    """Side of the motion map, cells; divides the view's side."""
    straight: NonNegative = 0.1
    """Weight of the curvature of the path of embeddings: the squared second difference over the squared first."""


class Inference(Closed):
    """Nothing to choose."""


class FrameClips:
    """Clips of three neighbouring frames, with two other moments of the same video; one sample a start."""

    def __init__(self, frames: Frames, video_ids: list[str], units: list[str], stride: int) -> None:
        self.frames, self.video_ids, self.units = frames, video_ids, units
        self.counts = [frames.count(video_id) for video_id in video_ids]
        self.places = [
            (video, start) for video, count in enumerate(self.counts) for start in range(0, count - CLIP + 1, stride)
        ]

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, index: int) -> dict[str, Any]:
        return {key: value[0] for key, value in self.__getitems__([index]).items()}

    def __getitems__(self, indices: Sequence[int]) -> dict[str, Any]:
        """clip uint8 [B, 3, H, W, 3]; others uint8 [B, 2, H, W, 3]; sample_id, unit: lists of B."""
        places = [self.places[index] for index in indices]
        wanted = [(self.video_ids[video], index) for video, start in places for index in self._moments(video, start)]
        read = torch.from_numpy(self.frames.read_batch(wanted)).unflatten(0, (len(places), CLIP + 2))
        return {
            "clip": read[:, :CLIP],
            "others": read[:, CLIP:],
            "sample_id": [f"{self.video_ids[video]}#{start}" for video, start in places],
            "unit": [self.units[video] for video, _ in places],
        }

    def _moments(self, video: int, start: int) -> list[int]:
        """The clip, and the moments a third and two thirds of the video away from it."""
        count = self.counts[video]
        middle = start + CLIP // 2
        return [*range(start, start + CLIP), (middle + count // 3) % count, (middle + 2 * count // 3) % count]


def needs(config: dict[str, Any]) -> dict[str, Any]:
    """What has to be extracted first."""
    return {"frames": [[config["frames"], config["view"]]], "encoders": []}


def dataset(config: dict[str, Any], stores: Stores, split: str) -> FrameClips:
    """All clips of a split.

    Raises:
        ValueError: every video is shorter than a clip, or the view is not square.
    """
    samples = stores.split(split)
    frames = Frames(stores.frames[config["frames"]], config["view"])
    stride = 1 if split == "train" else config["stride"]
    clips = FrameClips(frames, samples["video_id"].tolist(), samples["unit"].astype(str).tolist(), stride)
    height, width, _ = frames.shape
    if height != width or height % config["grid"]:
        raise ValueError(f"the autoencoder's view {config['view']!r} is {height}x{width}: it must be square and a multiple "
                         f"of the task's grid = {config['grid']}")  # fmt: skip
    if not len(clips):
        raise ValueError(f"split {split!r}: no video has the {CLIP} frames of a clip; the longest has {max(clips.counts)}")
    return clips


def facts(config: dict[str, Any], dataset: FrameClips) -> dict[str, Any]:
    """What the network's shape depends on."""
    return {"size": dataset.frames.shape[0], "clips": len(dataset), "videos": len(dataset.video_ids)}


class Autoencoder(nn.Module):
    """A model around the mean frame; frames are [B, 3, H, W] in [0, 1]."""

    background: Tensor
    level: Tensor

    def __init__(self, core: nn.Module, config: dict[str, Any], size: int) -> None:
        super().__init__()
        self.core, self.config = core, config
        self.register_buffer("background", torch.zeros(3, size, size))
        self.register_buffer("level", torch.ones(()))

    def forward(self, frames: Tensor) -> tuple[Tensor, Tensor]:
        """Embeddings [B, D] and reconstructions [B, 3, H, W]."""
        embedding = self.core.encode(frames)
        return embedding, self.background + self.core.decode(embedding)


def build(config: dict[str, Any], facts: dict[str, Any], core: Callable[..., nn.Module]) -> Autoencoder:
    """The network for the view's size."""
    return Autoencoder(core(size=facts["size"], grid=config["grid"]), config, facts["size"])


@torch.no_grad()
def fit(module: Autoencoder, dataset: FrameClips) -> None:
    """Mean frame, mean and deviation of the channels, and mean motion, over up to 512 clips of the training split."""
    chosen = np.unique(np.linspace(0, len(dataset) - 1, 512).astype(int))
    parts = [dataset.__getitems__(part.tolist()) for part in np.array_split(chosen, max(1, len(chosen) // 64))]
    frames = torch.cat([_pixels(part["clip"][:, 1]) for part in parts])
    module.background.copy_(frames.mean(0))
    maps = torch.cat([coarsened(moving(part)[:, 1], module.config["grid"]) for part in parts])
    module.level.copy_(maps.std(0).square().mean().sqrt().clamp_min(1e-4))
    if hasattr(module.core, "std"):
        module.core.mean.copy_(frames.mean((0, 2, 3)).view(1, 3, 1, 1))
        module.core.std.copy_(frames.std((0, 2, 3)).clamp_min(1e-3).view(1, 3, 1, 1))


def _pixels(frames: Tensor) -> Tensor:  # uint8 [..., H, W, 3] -> float [..., 3, H, W]
    return frames.movedim(-1, -3).float() / 255


def moving(batch: dict[str, Any]) -> Tensor:
    """How much each pixel of the clip differs from both other moments at once: [B, 3, H, W] in [0, 1]; axis 1 is time."""
    clip, others = _pixels(batch["clip"]), _pixels(batch["others"])
    apart = (clip[:, :, None] - others[:, None]).abs().amax(3)  # [B, 3, 2, H, W]
    return (apart.amin(2) / CONTRAST).clamp(max=1)


def coarsened(motion: Tensor, grid: int) -> Tensor:
    """Means over the cells of a grid: [B, H, W] → [B, grid, grid]."""
    return functional.avg_pool2d(motion, motion.shape[-1] // grid)


def loss(module: Autoencoder, batch: dict[str, Any], generator: torch.Generator, progress: float) -> dict[str, Tensor]:
    """Weighted squared error of the reconstruction, error of the motion map, curvature of the path."""
    config = module.config
    frames = _pixels(batch["clip"])  # [B, T, 3, H, W]
    motion = moving(batch)  # [B, T, H, W]
    path = module.core.encode(frames.flatten(0, 1)).unflatten(0, frames.shape[:2])  # [B, T, D]
    weight = 1 + config["emphasis"] * motion[:, 1, None]
    rebuilt = module.background + module.core.decode(path[:, 1])
    error = ((rebuilt - frames[:, 1]).square() * weight).sum() / (3 * weight.sum())
    coarse = coarsened(motion.flatten(0, 1), config["grid"]) / module.level
    mapped = (module.core.motion_map(path.flatten(0, 1)) - coarse).square().mean()
    bend = curvature(path)
    total = 100 * error + config["motion"] * mapped + config["straight"] * bend
    return {"loss": total, "reconstruction": error, "motion": mapped, "curvature": bend}


def curvature(path: Tensor) -> Tensor:
    """Squared second difference over squared first difference of embeddings [B, 3, D]: 0 on a straight, even path."""
    first = path.diff(dim=1)
    return first.diff(dim=1).square().sum() / first.square().sum().clamp_min(1e-8)


@torch.no_grad()
def monitor(module: Autoencoder, batch: dict[str, Any], generator: torch.Generator) -> dict[str, Tensor]:
    """error: squared error of the clip's middle frame, moving pixels weighed as in the loss; one a sample."""
    frames = _pixels(batch["clip"][:, 1])
    weight = 1 + module.config["emphasis"] * moving(batch)[:, 1, None]
    error = (module(frames)[1] - frames).square() * weight
    return {"error": error.sum((1, 2, 3)) / (3 * weight.sum((1, 2, 3)))}


@torch.no_grad()
def predict(
    module: Autoencoder, batch: dict[str, Any], generator: torch.Generator, inference: dict[str, Any]
) -> dict[str, Tensor]:
    """frame: the clip's middle frame rebuilt, uint8 [B, H, W, 3]."""
    rebuilt = module(_pixels(batch["clip"][:, 1]))[1]
    return {"frame": (rebuilt.clamp(0, 1) * 255).round().byte().movedim(1, -1)}


def score(
    config: dict[str, Any], predictions: Predictions, dataset: FrameClips
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """PSNR of each rebuilt frame, dB."""
    import pandas as pd

    place = {name: index for index, name in enumerate(_names(dataset))}
    values = []
    for start in range(0, len(predictions.sample_ids), 256):
        names = predictions.sample_ids[start : start + 256]
        truth = dataset.__getitems__([place[name] for name in names])["clip"][:, 1].numpy()
        values.append(np.minimum(psnr(predictions.arrays["frame"][start : start + 256], truth, 255), BEST_PSNR))
    columns = {"sample_id": predictions.sample_ids, "unit": predictions.units, "metric": "psnr"}
    return pd.DataFrame({**columns, "value": np.concatenate(values)}), {}


def _names(dataset: FrameClips) -> list[str]:
    return [f"{dataset.video_ids[video]}#{start}" for video, start in dataset.places]


def preview(predictions: dict[str, Tensor], batch: dict[str, Any]) -> np.ndarray:
    """Up to eight columns: the frame above, rebuilt below; uint8 [2H, 8W, 3]."""
    shown = min(8, len(predictions["frame"]))
    rows = [batch["clip"][:shown, 1].cpu(), predictions["frame"][:shown].cpu()]
    return np.concatenate([np.concatenate(list(row.numpy()), axis=1) for row in rows], axis=0)
