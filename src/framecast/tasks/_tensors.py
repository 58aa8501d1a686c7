"""Between numpy, in which tasks hold their data, and torch, which training and prediction alone load."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from torch import Tensor


def as_tensors(batch: dict[str, Any]) -> dict[str, Any]:
    """The batch with its arrays as tensors that share their memory; other values as they are."""
    import torch

    return {key: torch.from_numpy(value) if isinstance(value, np.ndarray) else value for key, value in batch.items()}


def pixels(frames: Tensor) -> Tensor:
    """uint8 [..., H, W, 3] → float32 [..., 3, H, W] in [0, 1]."""
    return frames.movedim(-1, -3).float() / 255
