"""Folders of diffusers' AutoencoderKL: found, checked, loaded; and what its size asks of frames."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from framecast.weights import diffusers_folders, hub

PART = "vae"
"""Subfolder of a pipeline that holds its autoencoder."""
CLASS = "AutoencoderKL"


def down_factor(network: Any) -> int:
    """How many pixels of a frame's side become one number of a latent's side."""
    return 1 << (len(network.config.block_out_channels) - 1)


def check_size(height: int, width: int, down: int) -> None:
    """Raises ValueError for a view whose sides the autoencoder cannot halve often enough."""
    if height % down or width % down:
        near = [max(down, round(side / down) * down) for side in (height, width)]
        raise ValueError(
            f"the view is {height}x{width}, but the autoencoder makes one number a side of {down} pixels, so height "
            f"and width must be multiples of {down}; add a view of {near} to the frame set and name it instead"
        )


def find(weights: str, revision: str | None) -> Path:
    """Local folder of an AutoencoderKL: `weights` itself, or its subfolder `vae` where it is a pipeline.

    Raises:
        WeightsError: no such folder, no config.json, another class; or the hub cannot be reached.
    """
    folder = hub.folder(weights, revision, PART)
    diffusers_folders.config(folder, PART, CLASS)
    return diffusers_folders.part(folder, PART)


def network(path: Path) -> Any:
    """The AutoencoderKL of a folder in float32, for evaluation, with every parameter from its safetensors.

    Raises:
        WeightsError: parameters are missing, left over or of wrong shape (named), or a file is damaged.
    """
    from diffusers import AutoencoderKL

    return hub.load_diffusers(AutoencoderKL, path)
