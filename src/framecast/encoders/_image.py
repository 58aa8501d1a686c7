"""Frozen image networks: frames in, one embedding a frame out. Each module's `load` returns an `ImageEncoder`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from framecast import hub
from framecast.files import digest


class ImageEncoder(nn.Module):
    """A frozen network with its pixel preparation. Subclasses say how an embedding is read from the network.

    Attributes:
        width: D, numbers in an embedding.
        patch: Side of a patch, pixels.
        identity: Digest of weights, config, pixel preparation, revision and pooling.
    """

    scale: Tensor
    shift: Tensor

    def __init__(self, network: Any, width: int, patch: int, source: Path, revision: str | None, pool: str) -> None:
        super().__init__()
        self.network: Any = network
        self.width, self.patch, self.pool = width, patch, pool
        mean, std = hub.pixel_statistics(source)
        self.register_buffer("scale", 1 / torch.tensor(std).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("shift", -torch.tensor(mean).view(1, 3, 1, 1) * self.scale, persistent=False)
        self.identity = digest(type(self).__name__, hub.identity(source, revision), pool)
        self.eval()

    @torch.inference_mode()
    def encode(self, frames: Tensor) -> Tensor:
        """Embed frames.

        Args:
            frames: uint8 [B, H, W, 3], RGB, on the network's device.

        Returns:
            float32 [B, D].

        Raises:
            ValueError: the frames are not uint8 RGB, or their size does not suit the network.
        """
        if frames.dtype != torch.uint8 or frames.ndim != 4 or frames.shape[-1] != 3:
            raise ValueError(f"frames are {frames.dtype} {tuple(frames.shape)}: uint8 [B, H, W, 3] is needed")
        self.check_size(*frames.shape[1:3])
        return self.pooled(self.pixels(frames)).float()

    def pixels(self, frames: Tensor) -> Tensor:
        """uint8 [B, H, W, 3] → normalised float32 [B, 3, H, W]; the size stays as it is."""
        return torch.addcmul(self.shift, frames.permute(0, 3, 1, 2).float(), self.scale)

    def check_size(self, height: int, width: int) -> None:
        """Refuse frames that do not divide into whole patches."""
        if height % self.patch or width % self.patch:
            near = [max(self.patch, round(side / self.patch) * self.patch) for side in (height, width)]
            raise ValueError(
                f"the view is {height}x{width}, but height and width must be multiples of the encoder's patch of "
                f"{self.patch} pixels; add a view of {near} to the frame set and name it in the encoder's `view`"
            )

    def pooled(self, pixels: Tensor) -> Tensor:
        """Normalised pixels [B, 3, H, W] → [B, D]."""
        raise NotImplementedError
