"""What both tasks of autoencoders share: four moments of a video, what moves in them, errors that weigh it more."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from framecast.stores.frames import Frames
from framecast.tasks._samples import Samples
from framecast.tasks._tensors import as_tensors

if TYPE_CHECKING:
    from torch import Tensor

SCALE = 100.0
"""Brings the reconstruction error, about 0.02 at first, to the size of the other two, 1 at first."""

BEST_PSNR = 100.0
"""What an equal frame scores, dB, in place of infinity; frames that differ stay below, up to 16 million values each."""

CONTRAST = 0.15
"""Difference of a channel, of 1, from which on a pixel counts as moving; compression noise is well below."""


class Moments(Samples):
    """Four moments of a video: a frame, the one `lag` later, and those a third and two thirds of the video away."""

    def __init__(self, frames: Frames, video_ids: list[str], units: list[str], stride: int, lag: int) -> None:
        self.frames, self.video_ids, self.units, self.lag = frames, video_ids, units, lag
        self.counts = [frames.count(video_id) for video_id in video_ids]
        self.places = [
            (video, first) for video, count in enumerate(self.counts) for first in range(0, count - lag, stride)
        ]

    def __getitems__(self, indices: Sequence[int]) -> dict[str, Any]:
        """moments uint8 [B, 4, H, W, 3]; sample_id, unit: lists of B."""
        places = [self.places[index] for index in indices]
        wanted = [(self.video_ids[video], index) for video, first in places for index in self._moments(video, first)]
        frames = self.frames.read_batch(wanted)
        return as_tensors({
            "moments": frames.reshape(len(places), 4, *frames.shape[1:]),
            **self.named(places),
        })  # fmt: skip

    def first_frames(self, places: Sequence[tuple[int, int]]) -> np.ndarray:
        """The frames that are encoded, uint8 [B, H, W, 3]."""
        return self.frames.read_batch([(self.video_ids[video], first) for video, first in places])

    def _moments(self, video: int, first: int) -> list[int]:
        count = self.counts[video]
        return [first, first + self.lag, (first + count // 3) % count, (first + 2 * count // 3) % count]


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


def weighted(rebuilt: Tensor, frames: Tensor, motion: Tensor, emphasis: float) -> Tensor:
    """Squared error of frames [B, 3, H, W] where moving pixels [B, H, W] weigh 1 + emphasis; [B]."""
    weight = 1 + emphasis * motion[:, None]
    return ((rebuilt - frames).square() * weight).sum((1, 2, 3)) / (3 * weight.sum((1, 2, 3)))
