"""Copy-last: every future mask is the last given one.

Trivial baseline of future masks; nothing to train.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from framecast.config.base import Closed


class Config(Closed):
    """No keys."""


class CopyLastMask(nn.Module):
    def __init__(self, classes: int, ahead: int) -> None:
        super().__init__()
        self.classes, self.ahead = classes, ahead

    def forward(self, masks: Tensor) -> Tensor:  # [B, T, H, W] -> [B, T', K, H, W]
        """1 for the class of the last mask, 0 for the others."""
        last = F.one_hot(masks[:, -1].long(), self.classes).float().movedim(3, 1)  # [B, K, H, W]
        return last[:, None].expand(-1, self.ahead, -1, -1, -1)


def build(config: Config, classes: int, given: int, ahead: int, height: int, width: int) -> nn.Module:
    """See `framecast.models.simvp.build`; without parameters, logits are one-hot."""
    return CopyLastMask(classes, ahead)
