"""The input frame, blurred: trivial baseline of the task `pixels`, stronger than copying in PSNR where things move.

Where nothing is known of where things go, the mean of the possible pictures is nearest to the true one in squared
error, and that is a blurred picture. A network that blurs gains as much without having predicted anything.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn

from framecast.config.base import Closed
from framecast.ops.blur import blurred

NonNegative = Annotated[float, Field(ge=0)]


class Config(Closed):
    """How wide the Gaussian is."""

    sigma: NonNegative | None = None
    """Its standard deviation, pixels; 0 copies the frame. Null takes the one of `candidates` with the highest mean PSNR
    on the pairs of frames of the training split; the log says which."""
    candidates: list[NonNegative] = Field(default=[0.0, 0.5, 0.7, 1.0, 1.4, 2.0, 2.8, 4.0, 5.6, 8.0], min_length=1)
    """Standard deviations that are tried where `sigma` is null, pixels."""


class BlurFrame(nn.Module):
    sigma: Tensor

    def __init__(self, candidates: list[float]) -> None:
        super().__init__()
        self.candidates = candidates
        self.register_buffer("sigma", torch.tensor(candidates[0]))

    def fit_frames(self, pairs: Iterable[tuple[Tensor, Tensor]]) -> str:
        """Take the candidate with the highest mean PSNR, the first of equals, on input and target frames of the
        training split, uint8 [B, H, W, 3] each. Returns a line for the log: what was taken, and the PSNR of each."""
        errors = [
            torch.stack([_error(blurred(frames, sigma), targets) for sigma in self.candidates], 1)
            for frames, targets in pairs
        ]
        decibels = (10 * (255**2 / torch.cat(errors)).log10()).mean(0)  # [S]
        chosen = int(decibels.argmax())
        self.sigma.fill_(self.candidates[chosen])
        tried = [f"{sigma:g}: {value:.3f}" for sigma, value in zip(self.candidates, decibels.tolist(), strict=True)]
        return f"blur_frame: sigma {self.candidates[chosen]:g} px; mean PSNR of training pairs, dB: {', '.join(tried)}"

    def answer(self, frames: Tensor | None, target: Tensor) -> Tensor:
        """Input frames uint8 [B, H, W, 3], blurred; the target's latents [B, C, h, w] are not looked at.

        Raises:
            ValueError: the task has no input frame.
        """
        if frames is None:
            raise ValueError("models.blur_frame: the task's input is null, so that there is no frame to blur")
        return blurred(frames, float(self.sigma))


def _error(frames: Tensor, targets: Tensor) -> Tensor:
    """Mean squared error of each picture [B], at least what rounding hides: PSNR is 100 dB at most."""
    error = (frames.double() - targets.double()).square().mean((1, 2, 3))
    return error.clamp(min=255**2 * 1e-10)


def build(config: Config, **shape: object) -> nn.Module:
    """The baseline, whatever the shapes."""
    return BlurFrame(config.candidates if config.sigma is None else [config.sigma])
