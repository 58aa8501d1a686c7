"""AutoencoderKL of diffusers (Kingma & Welling 2014, arXiv 1312.6114; Rombach et al. 2022, arXiv 2112.10752).

A frame becomes the parameters of its posterior: means, then logarithms of the variances, [2C, h, w].
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from framecast.core.files import canonical, digest, file_digest
from framecast.encoders._image import FrameEncoder, check_frames
from framecast.weights import diffusers_folders, vae


class Vae(FrameEncoder):
    """The encoder with `quant_conv`, as `AutoencoderKL.encode` runs it.

    Attributes:
        network: The whole AutoencoderKL.
        down: Pixels of a side that become one number of a latent's side.
    """

    def __init__(self, network: Any, path: Path, revision: str | None) -> None:
        super().__init__()
        self.network = network.to(memory_format=torch.channels_last)
        self.down = vae.down_factor(network)
        self.identity = identity(path, revision)
        self.eval()

    def shape(self, height: int, width: int) -> tuple[int, ...]:
        """[2C, h, w]."""
        return (2 * self.network.config.latent_channels, height // self.down, width // self.down)

    def check_size(self, height: int, width: int) -> None:
        """Refuse frames whose sides are no multiples of the factor between frame and latent."""
        vae.check_size(height, width, self.down)

    @torch.inference_mode()
    def encode(self, frames: Tensor) -> Tensor:
        """uint8 [B, H, W, 3] → float32 [B, 2C·h·w], in the order of [2C, h, w]."""
        check_frames(frames)
        self.check_size(*frames.shape[1:3])
        pixels = frames.permute(0, 3, 1, 2).float() / 127.5 - 1
        return self.network.encode(pixels).latent_dist.parameters.float().flatten(1)


def identity(path: Path, revision: str | None) -> str:
    """Digest of the weights, the config and the revision."""
    config = diffusers_folders.config(path, vae.PART, vae.CLASS)
    known = {key: value for key, value in config.items() if not key.startswith("_")}
    files = sorted(path.glob(f"{diffusers_folders.STEM}*.safetensors"))
    return digest(Vae.__name__, *(file_digest(file) for file in files), canonical(known), revision or "folder")


def load(weights: str, revision: str | None, pool: str = "cls") -> Vae:
    """Load an autoencoder's encoder.

    Args:
        weights: Hub name or local folder of an AutoencoderKL, or of a pipeline with the subfolder `vae`.
        revision: Commit of the hub model; None for a folder.
        pool: Left at its default: there are no tokens to pool.

    Raises:
        WeightsError: the weights are absent, pickled, incomplete or of another class.
        ValueError: `pool` was set.
    """
    if pool != "cls":
        raise ValueError(f"{weights}: `pool` is {pool!r}, but an autoencoder has no tokens to pool; leave `pool` out")
    path = vae.find(weights, revision)
    return Vae(vae.network(path), path, revision)
