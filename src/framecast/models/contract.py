"""The contract of a model: what a module of this folder has, and what tasks ask of the network that it builds.

`core.contract` refuses a module that lacks a part of `Required` or has a public function that is listed nowhere here.
What a network must have depends on its task, and is listed below as one class for each task; where a method may be
left out, its text says what happens without it. Shapes: B batch, T time, D embedding or text, L tokens, C channels,
K classes, S features, P projection, H and W sides of a picture, h and w of latents.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from framecast.config.base import Closed


class Required(Protocol):
    """What every model has."""

    Config: type[Closed]
    """Keys of an entry of `models`, closed, each with a docstring."""

    @staticmethod
    def build(config: Any, **shape: Any) -> nn.Module:
        """The network for the shape that the task's `build` names; a model spells out the keys that it takes. Weights
        are drawn from torch's global generator."""


class Extra(Protocol):
    """What a model may have besides."""

    @staticmethod
    def facts(config: Any) -> dict[str, Any]:
        """What `build` needs of the files that the model starts from, stored in run.json; no weights."""


class Embedding(Protocol):
    """`embedding`: called with histories [B, T, D]; the change from the last embedding, at every position [B, T, D]."""

    latent: int
    """Numbers of a draw's noise; where there is `sample`."""

    @staticmethod
    def fit(histories: Tensor, changes: Tensor) -> None:
        """Up to 512 histories [n, T, D] as they will be seen, and all changes [m, D] in target units."""

    @staticmethod
    def loss(histories: Tensor, change: Tensor, positions: slice, generator: torch.Generator) -> dict[str, Tensor]:
        """As a task's `loss`, at some positions. Without it, the squared error."""

    @staticmethod
    def sample(histories: Tensor, noise: Tensor, steps: int) -> Tensor:
        """Draws [B, K, D] from noise [B, K, latent]. Without it, `inference.mode` must be `deterministic`."""


class Progress(Protocol):
    """`progress`: called with frames [B, T, 3, H, W], tokens and kept [B, L], elapsed [B]; progress [B], 0 to 1."""

    @staticmethod
    def fit(targets: Tensor, elapsed: Tensor, lengths: Tensor) -> None:
        """All training targets [n], their frame numbers [n], the videos' lengths [V]."""

    @staticmethod
    def fit_every_frame(targets: Tensor, elapsed: Tensor, lengths: Tensor, template: Tensor) -> None:
        """The same of all frames at which a video may be cut, and their templates' numbers [n]."""

    @staticmethod
    def loss(frames: Tensor, tokens: Tensor, kept: Tensor, elapsed: Tensor, target: Tensor) -> dict[str, Tensor]:
        """As a task's `loss`, of the targets at all frames [B, T]. Without it, the squared error at the last."""

    @staticmethod
    def from_frame_number(elapsed: Tensor, template: Tensor) -> Tensor:
        """Progress [B] from frame number and template alone, in the place of a call."""

    @staticmethod
    def sample(draws: Tensor) -> Tensor:
        """Progress [B] from numbers drawn evenly in [0, 1), in the place of a call."""


class Pixels(Protocol):
    """`pixels`: called with noisy latents [B, C, h, w], time steps [B], text [B, L, D], source [B, C, h, w] or None;
    what the schedule says is predicted. What has `answer` needs none of the others."""

    steps: int
    """Time steps of the noise schedule."""
    scheduler: dict[str, Any]
    """Config of the noise schedule in diffusers' form, with the sampler's `_class_name`."""
    unet: Any
    """UNet of diffusers; without it, the run cannot be exported as a pipeline."""

    @staticmethod
    def noised(latents: Tensor, noise: Tensor, steps: Tensor) -> tuple[Tensor, Tensor]:
        """Noisy latents, and what has to be predicted of them."""

    @staticmethod
    def fit() -> None:
        """Load the weights of a pretrained base, once, before training."""

    @staticmethod
    def fit_frames(pairs: Iterator[tuple[Tensor, Tensor]]) -> str:
        """Learn from input and target frames of the training split, uint8 [B, H, W, 3]; what is to be logged."""

    @staticmethod
    def adopt(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
        """As a task's `adopt`; names of the network's tensors begin with `prefix`."""

    @staticmethod
    def answer(frames: Tensor | None, target: Tensor) -> Tensor:
        """Predicted frames uint8 [B, H, W, 3], or latents to be decoded, of input frames and, for ceilings, the means
        of the true latents; in the place of sampling."""


class Masks(Protocol):
    """`segmentation`: called with frames [B, 3, H, W]; scores [B, K, H, W]. `future_masks`: called with masks uint8
    [B, T, H, W]; scores [B, T', K, H, W]. What learns future masks has the parts of that call, too:"""

    @staticmethod
    def features(masks: Tensor) -> Tensor:
        """[B, T', S, H, W]."""

    @staticmethod
    def start(masks: Tensor) -> Tensor:
        """Masks [B, T', H, W] that scores start from."""

    @staticmethod
    def logits(features: Tensor, start: Tensor) -> Tensor:
        """Scores [B, K, H, W] of one frame."""


class Autoencoder(Protocol):
    """`autoencoder`: pictures [B, 3, H, W] in [0, 1] ↔ embeddings [B, D]."""

    std: Tensor
    """Deviations of the channels [1, 3, 1, 1], set with `mean` from the training frames; without it, neither is."""
    mean: Tensor
    """Means of the channels [1, 3, 1, 1]."""
    network: Any
    """Network of transformers; without it, the run cannot be exported."""

    @staticmethod
    def encode(frames: Tensor) -> Tensor:
        """Embeddings [B, D]."""

    @staticmethod
    def decode(embedding: Tensor) -> Tensor:
        """Pictures [B, 3, H, W] less the mean frame."""

    @staticmethod
    def motion_map(embedding: Tensor) -> Tensor:
        """What moves, [B, M, M]."""

    @staticmethod
    def tokens(frames: Tensor) -> Tensor:
        """The first is of the whole picture, the others of its patches, [B, 1 + N, D]; to learn."""

    @staticmethod
    def pooled(tokens: Tensor) -> Tensor:
        """Embeddings [B, D]; to learn."""

    @staticmethod
    def local_map(tokens: Tensor) -> Tensor:
        """What moves in each patch, [B, P, P]; to learn."""


class LatentAutoencoder(Protocol):
    """`latent_autoencoder`: called with frames [B, 3, H, W] in [-1, 1]; the same rebuilt."""

    network: Any
    """AutoencoderKL of diffusers; without it, the run cannot be exported."""

    @staticmethod
    def moments(frames: Tensor) -> Tensor:
        """Means and logarithms of variances of the posterior, [B, 2C, h, w]."""

    @staticmethod
    def decode(latents: Tensor) -> Tensor:
        """Frames [B, 3, H, W]."""


class Contrast(Protocol):
    """`contrast`: frames and texts to one space."""

    network: Any
    """CLIPModel of transformers, which is exported."""
    scale: Tensor
    """Logarithm of the inverse temperature."""

    @staticmethod
    def images(frames: Tensor) -> Tensor:
        """Embeddings [B, P] of frames [B, 3, H, W] in [0, 1]."""

    @staticmethod
    def texts(tokens: Tensor) -> Tensor:
        """Embeddings [B, P] of tokens [B, L]."""


NETWORKS = (Embedding, Progress, Pixels, Masks, Autoencoder, LatentAutoencoder, Contrast)
"""What tasks ask of networks."""
