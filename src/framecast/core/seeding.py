"""Randomness by name: a generator depends on (seed, purpose, sample) alone, never on batch size, order or workers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from framecast.core.files import digest

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


def drawn(purpose: str, names: Sequence[str], count: int) -> list[int]:
    """Places of up to `count` of the names, drawn by their hash, in order: other names change nothing for these."""
    return sorted(sorted(range(len(names)), key=lambda place: derive(0, purpose, names[place]))[:count])
