"""The networks that tasks train: a model behind a task's conversion of pixels, normalisation or roll-out.

They stand apart from the tasks' modules because those are imported without torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from framecast.tasks._tensors import pixels

if TYPE_CHECKING:
    from diffusers.models.autoencoders.vae import DiagonalGaussianDistribution

SAMPLE = 32
"""Training frames that are kept beside a latent autoencoder's weights, for the scale of its latents."""


class NextEmbedding(nn.Module):
    """A model between the task's normalisation and its target units; raw embeddings in, raw embeddings out."""

    core: Any  # a module; `loss`, `fit`, `sample` and `latent` are there where the model has its own
    mean: Tensor
    deviation: Tensor
    change: Tensor

    def __init__(self, core: nn.Module, width: int, history: int, gap: int, dense: bool) -> None:
        super().__init__()
        self.core, self.history, self.gap, self.dense = core, history, gap, dense
        self.trained = any(True for _ in core.parameters())
        self.register_buffer("mean", torch.zeros(width))
        self.register_buffer("deviation", torch.ones(width))
        self.register_buffer("change", torch.ones(()))

    def inputs(self, history: Tensor) -> Tensor:  # [B, T, D] -> [B, T, D]
        """What the model sees."""
        return (history - self.mean) / self.deviation if self.trained else history

    def outputs(self, change: Tensor, last: Tensor) -> Tensor:
        """The embedding that a model's change from `last` means."""
        return last + (change * self.change if self.trained else change)

    def forward(self, history: Tensor) -> Tensor:  # [B, T, D] -> [B, D]
        """The deterministic prediction, raw units."""
        return self.outputs(self.core(self.inputs(history))[:, -1], history[:, -1])


class FutureMasks(nn.Module):
    """A model that is asked again with its own masks until all frames are there.

    The model sees `given` masks and scores the classes of the `step` ones after them.
    """

    def __init__(self, core: nn.Module, config: dict[str, Any]) -> None:
        super().__init__()
        self.core: Any = core
        self.config = config
        self.step = config["step"] or config["ahead"]
        self.passes = -(-config["ahead"] // self.step)

    def roll_out(self, given: Tensor, allowed: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Masks uint8 [B, T', H, W], and the scores of the last one [B, K, H, W], of all classes.

        allowed: bool [B, K], classes that may be predicted.
        """
        history, found = given, []
        for _ in range(self.passes):
            logits = self.core(history)  # [B, step, K, H, W]
            free = logits if allowed is None else logits.masked_fill(~allowed[:, None, :, None, None], float("-inf"))
            found.append(free.argmax(2).byte())
            history = torch.cat([history, found[-1]], 1)[:, -given.shape[1] :]
        masks = torch.cat(found, 1)[:, : self.config["ahead"]]
        return masks, logits[:, (self.config["ahead"] - 1) % self.step]


class Segmenter(nn.Module):
    """A model behind the conversion of pixels: frames uint8 [B, H, W, 3] in, logits [B, K, H, W] out."""

    def __init__(self, core: nn.Module, config: dict[str, Any]) -> None:
        super().__init__()
        self.core, self.config = core, config

    def forward(self, frames: Tensor) -> Tensor:
        return self.core(pixels(frames))


class Progress(nn.Module):
    """A model behind the conversion of pixels: frames uint8 [B, T, H, W, 3], tokens and kept [B, L], elapsed [B] →
    progress [B], 0 to 1."""

    def __init__(self, core: nn.Module, config: dict[str, Any]) -> None:
        super().__init__()
        self.core: Any = core
        self.config = config

    def forward(self, frames: Tensor, tokens: Tensor, kept: Tensor, elapsed: Tensor) -> Tensor:
        return self.core(pixels(frames), tokens, kept, elapsed).float().clamp(0, 1)


class Pixels(nn.Module):
    """A model and how its latents are scaled. Holds neither the autoencoder nor the text encoder."""

    def __init__(self, core: nn.Module, config: dict[str, Any], facts: dict[str, Any]) -> None:
        super().__init__()
        self.core: Any = core
        self.config = config
        self.scale = float(facts["scaling_factor"])
        self.shape = (int(facts["latent"]), *facts["size"])


class Autoencoder(nn.Module):
    """A model around the mean frame; frames are [B, 3, H, W] in [0, 1]."""

    background: Tensor
    levels: Tensor

    def __init__(self, core: nn.Module, config: dict[str, Any], size: int) -> None:
        super().__init__()
        self.core: Any = core
        self.config = config
        self.register_buffer("background", torch.zeros(3, size, size))
        self.register_buffer("levels", torch.ones(2))

    def forward(self, frames: Tensor) -> tuple[Tensor, Tensor]:
        """Embeddings [B, D] and reconstructions [B, 3, H, W]."""
        embedding = self.core.encode(frames)
        return embedding, self.background + self.core.decode(embedding)


class Contrast(nn.Module):
    """A model behind the conversion of pixels: frames uint8 [B, T, H, W, 3] and tokens [B, L] → embeddings of length 1,
    [B, P] each."""

    def __init__(self, core: nn.Module, config: dict[str, Any]) -> None:
        super().__init__()
        self.core: Any = core
        self.config = config

    def forward(self, frames: Tensor, tokens: Tensor) -> tuple[Tensor, Tensor]:
        count = frames.shape[1]
        seen = self.core.images(pixels(frames).flatten(0, 1))  # [B·T, P]
        # Each frame counts alike, so its direction is averaged, as in CLIP4Clip.
        mean = F.normalize(seen.float(), dim=-1).unflatten(0, (-1, count)).mean(1)
        return F.normalize(mean, dim=-1), F.normalize(self.core.texts(tokens).float(), dim=-1)


class LatentAutoencoder(nn.Module):
    """A model, and a few training frames by which the scale of its latents is found.

    They are kept with the weights, so that the scale is always that of these very weights: averaged or not, best or
    last, also where another machine exports them.

    Attributes:
        sample: uint8 [SAMPLE, H, W, 3], from all over the training split.
    """

    sample: Tensor

    def __init__(self, core: nn.Module, config: dict[str, Any], height: int, width: int) -> None:
        super().__init__()
        self.core: Any = core
        self.config = config
        self.register_buffer("sample", torch.zeros(SAMPLE, height, width, 3, dtype=torch.uint8))

    def posterior(self, frames: Tensor) -> DiagonalGaussianDistribution:
        """Of frames [B, 3, H, W] in [0, 1]."""
        from diffusers.models.autoencoders.vae import DiagonalGaussianDistribution

        return DiagonalGaussianDistribution(self.core.moments(2 * frames - 1))

    def decode(self, latents: Tensor) -> Tensor:
        """Latents → frames [B, 3, H, W], in [0, 1] but for errors."""
        return (self.core.decode(latents) + 1) / 2

    def rebuilt(self, frames: Tensor) -> Tensor:
        """Frames [B, 3, H, W] there and back through the means of their posteriors; [B, 3, H, W]."""
        return self.decode(self.posterior(frames).mode())

    @torch.no_grad()
    def scaling_factor(self) -> float:
        """What brings latents to a deviation of 1, as Stable Diffusion's: of all numbers of a batch of frames."""
        return float(f"{1 / self.posterior(pixels(self.sample)).mode().double().std().item():.6g}")
