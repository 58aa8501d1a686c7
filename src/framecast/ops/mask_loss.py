"""Cross-entropy over many classes without holding the scores of all frames at once.

Scores of K classes take K / S of the memory of the S features they are read from, and training keeps several copies
of them. Here they are made chunk by chunk and made again in the backward pass (arXiv 1604.06174), so that those of one
chunk are all there ever are; a readout that is a 1×1 convolution costs little. `benchmarks/mask_loss_memory.py`
measures it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.checkpoint import checkpoint


def chunked_cross_entropy(
    features: Tensor, targets: Tensor, readout: Callable[..., Tensor], chunk: int | None = None,
    beside: Sequence[Tensor] = (), weight: Tensor | None = None,
) -> Tensor:  # fmt: skip
    """Mean cross-entropy over frames and pixels, equal in value and gradient to that of all scores at once.

    Args:
        features: [N, S, H, W], N frames.
        targets: Classes, uint8 [N, H, W].
        readout: Features of n frames, and as many of each tensor in `beside` → scores [n, K, H, W]. It is called twice
            a chunk, so it draws nothing at random.
        chunk: Frames read out at once; None for all.
        beside: Further tensors [N, ...] that the readout takes, for example the last given masks.
        weight: Weight of each frame in the mean, [N]; None for equal ones.
    """
    size = chunk or len(features)
    weight = features.new_ones(len(features)) if weight is None else weight
    errors = [
        checkpoint(_errors, readout, *part, use_reentrant=False, preserve_rng_state=False)
        for part in zip(*(whole.split(size) for whole in (targets, features, *beside)), strict=True)
    ]
    return (torch.cat(errors) * weight).sum() / weight.sum()


def _errors(readout: Callable[..., Tensor], targets: Tensor, features: Tensor, *beside: Tensor) -> Tensor:  # -> [n]
    scores = readout(features, *beside).float()
    return F.cross_entropy(scores, targets.long(), reduction="none").flatten(1).mean(1)
