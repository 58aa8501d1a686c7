"""Between numpy, in which tasks hold their data, and torch, which training and prediction alone load."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

import numpy as np

if TYPE_CHECKING:
    from torch import Tensor

P = ParamSpec("P")
R = TypeVar("R")


def as_tensors(batch: dict[str, Any]) -> dict[str, Any]:
    """The batch with its arrays as tensors that share their memory; other values as they are."""
    import torch

    return {key: torch.from_numpy(value) if isinstance(value, np.ndarray) else value for key, value in batch.items()}


def pixels(frames: Tensor) -> Tensor:
    """uint8 [..., H, W, 3] → float32 [..., 3, H, W] in [0, 1]."""
    return frames.movedim(-1, -3).float() / 255


def without_gradients(function: Callable[P, R]) -> Callable[P, R]:
    """The function under `torch.no_grad`; torch is loaded by the first call, not by the definition."""

    @functools.wraps(function)
    def called(*args: P.args, **keys: P.kwargs) -> R:
        import torch

        with torch.no_grad():
            return function(*args, **keys)

    return called
