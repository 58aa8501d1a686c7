"""Contrastive loss of pairs."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

LARGEST = 100.0
"""What cosines are multiplied by at most, as in CLIP."""


def symmetric(images: Tensor, texts: Tensor, scale: Tensor, same: Tensor) -> Tensor:
    """CLIP's loss of each pair, [B]: the mean of both directions' −log share of what belongs together.

    Args:
        images, texts: Embeddings of length 1, [B, P].
        scale: Logarithm of what cosines are multiplied by.
        same: bool [B, B], whether the texts of two pairs are equal: then each belongs to the other's frames, too.
    """
    logits = images @ texts.T * scale.exp().clamp(max=LARGEST)
    belonging = logits.masked_fill(~same, float("-inf"))
    return sum(logits.logsumexp(dim) - belonging.logsumexp(dim) for dim in (0, 1)) / 2  # type: ignore[return-value]
