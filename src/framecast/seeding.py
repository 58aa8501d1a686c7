"""Randomness by name: a generator depends on (seed, purpose, sample) alone, never on batch size, order or workers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from framecast.files import digest

if TYPE_CHECKING:
    import torch


def derive(seed: int, *purpose: str | int) -> int:
    """A 63-bit seed from a seed and the words that say what it is for."""
    return int(digest(str(seed), *(str(word) for word in purpose))[:16], 16) >> 1


def rng(seed: int, *purpose: str | int) -> np.random.Generator:
    """A numpy generator for one purpose."""
    return np.random.default_rng(derive(seed, *purpose))


def torch_generator(seed: int, *purpose: str | int, device: str = "cpu") -> torch.Generator:
    """A torch generator for one purpose."""
    import torch

    return torch.Generator(device).manual_seed(derive(seed, *purpose))
