"""Cross-entropy over many classes without holding the scores of all frames at once."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint


def chunked_cross_entropy(
    features: Tensor, targets: Tensor, readout: Callable[[Tensor], Tensor], chunk: int | None = None
) -> Tensor:
    """Mean cross-entropy of classes [N, H, W] uint8 under the scores that `readout` makes of features [N, S, H, W]."""
    size = chunk or len(features)
    parts = [
        checkpoint(_summed, part, truth, readout, use_reentrant=False)
        for part, truth in zip(features.split(size), targets.split(size), strict=True)
    ]
    return torch.stack(parts).sum() / targets.numel()


def _summed(features: Tensor, targets: Tensor, readout: Callable[[Tensor], Tensor]) -> Tensor:
    return torch.nn.functional.cross_entropy(readout(features).float(), targets.long(), reduction="sum")
