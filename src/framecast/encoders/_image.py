"""Frozen image networks: frames in, one row of numbers a frame out. Each module's `load` returns a `FrameEncoder`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from framecast.core.files import digest
from framecast.weights import hub


class FrameEncoder(nn.Module, ABC):
    """A frozen network with its pixel preparation.

    Attributes:
        identity: Digest of all that the numbers depend on.
    """

    identity: str

    @abstractmethod
    def shape(self, height: int, width: int) -> tuple[int, ...]:
        """Shape of what a frame of this size becomes, before it is flattened into a row."""

    @abstractmethod
    def check_size(self, height: int, width: int) -> None:
        """Refuse, with ValueError, frames of a size that does not suit the network."""

    @abstractmethod
    def encode(self, frames: Tensor) -> Tensor:
        """uint8 [B, H, W, 3], RGB, on the network's device → float32 [B, D].

        Raises:
            ValueError: the frames are not uint8 RGB, or their size does not suit the network.
        """


def check_frames(frames: Tensor) -> None:
    """Refuse, with ValueError, what is no batch of RGB frames."""
    if frames.dtype != torch.uint8 or frames.ndim != 4 or frames.shape[-1] != 3:
        raise ValueError(f"frames are {frames.dtype} {tuple(frames.shape)}: uint8 [B, H, W, 3] is needed")


class ImageEncoder(FrameEncoder):
    """A network with one embedding a frame. Subclasses say how it is read from the network.

    The normalisation of the channels is folded into the network's first convolution: the same numbers, and a tenth less
    time for a small network.

    Attributes:
        width: D, numbers in an embedding.
        patch: Side of a patch, pixels.
        identity: Digest of weights, config, pixel preparation, revision and pooling.
    """

    def __init__(
        self, network: Any, first: nn.Conv2d, width: int, source: Path, revision: str | None, pool: str
    ) -> None:
        super().__init__()
        self.network: Any = network
        self.width, self.patch, self.pool = width, first.kernel_size[0], pool
        self.identity = digest(type(self).__name__, hub.identity(source, revision), pool)
        self._pixels = torch.empty(0)
        _fold(first, *hub.pixel_statistics(source))
        self.eval()

    @torch.inference_mode()
    def encode(self, frames: Tensor) -> Tensor:
        check_frames(frames)
        self.check_size(*frames.shape[1:3])
        return self.pooled(self.pixels(frames)).float()

    def pixels(self, frames: Tensor) -> Tensor:
        """uint8 [B, H, W, 3] → float32 [B, 3, H, W] in [0, 1]; the size stays as it is.

        The result is one and the same memory for every batch of a shape: fetching new pages takes longer than the
        arithmetic.
        """
        moved = frames.permute(0, 3, 1, 2)
        if self._pixels.shape != moved.shape or self._pixels.device != frames.device:
            self._pixels = torch.empty(moved.shape, device=frames.device, memory_format=torch.channels_last)
        return self._pixels.copy_(moved).mul_(1 / 255)

    def shape(self, height: int, width: int) -> tuple[int, ...]:
        return (self.width,)

    def check_size(self, height: int, width: int) -> None:
        """Refuse frames that do not divide into whole patches."""
        if height % self.patch or width % self.patch:
            near = [max(self.patch, round(side / self.patch) * self.patch) for side in (height, width)]
            raise ValueError(
                f"the view is {height}x{width}, but height and width must be multiples of the encoder's patch of "
                f"{self.patch} pixels; add a view of {near} to the frame set and name it in the encoder's `view`"
            )

    @abstractmethod
    def pooled(self, pixels: Tensor) -> Tensor:
        """Pixels [B, 3, H, W] in [0, 1] → [B, D]."""


@torch.no_grad()
def _fold(convolution: nn.Conv2d, mean: list[float], std: list[float]) -> None:
    """Let a convolution without padding take pixels in [0, 1] where it took (255 · pixel − mean) / std."""
    weight = convolution.weight.double()
    scale, shift = 255 / torch.tensor(std).double(), -torch.tensor(mean).double() / torch.tensor(std).double()
    moved = (weight * shift.view(1, 3, 1, 1)).sum((1, 2, 3))
    bias = moved if convolution.bias is None else convolution.bias.double() + moved
    convolution.weight = nn.Parameter((weight * scale.view(1, 3, 1, 1)).float(), requires_grad=False)
    convolution.bias = nn.Parameter(bias.float(), requires_grad=False)
