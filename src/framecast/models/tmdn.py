"""TMDN, Temporal Manifold Diffusion Network: conditional diffusion of the next embedding over a learned manifold.

A causal Transformer reads the normalised embeddings and their steps over a few lags, each lag scaled to unit size
(small steps carry the motion), and gives a context at every position. From it a
deterministic head says the change to expect; it starts at zero, so that an untrained network copies the last embedding.
Changes of embeddings fill few directions: a linear manifold of M dimensions is fitted to those of the training split
(principal axes, whitened), and there a small AdaLN network denoises what the head cannot know. Diffusing raw features
loses to regression, diffusing in a compressed latent does not (arXiv 2512.11225).

The denoiser says x0. Around it stands the exact answer for a Gaussian change with the head's mean and a learned spread
(preconditioning as in EDM, arXiv 2206.00364, section 5, for a variance-preserving cosine schedule), so an untrained
denoiser is a sound probabilistic forecast, and training learns only what departs from it. Draws run DDIM (arXiv
2010.02502) without added noise; directions outside the manifold keep the head's value.

Axes: B batch, T time, D embedding, H context width, M manifold, K samples.
"""

from __future__ import annotations

import itertools
import math
from typing import Annotated

import torch
import torch.nn.functional as F
from pydantic import Field, model_validator
from torch import Tensor, nn

from framecast.config.base import Closed, Positive
from framecast.ops.steps import Steps


class Config(Closed):
    """A causal Transformer, a deterministic head and a denoiser on a manifold."""

    lags: Annotated[tuple[Positive, ...], Field(min_length=1)] = (1, 2, 4, 8, 16)
    """Frames over which steps between embeddings are taken as inputs."""
    width: Positive = 128
    """Width H of the Transformer."""
    layers: Positive = 3
    """Transformer blocks."""
    heads: Positive = 4
    """Attention heads; they divide `width`."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.1
    """Share of each block's output set to zero in training."""
    manifold: Positive = 32
    """Dimensions M of the manifold; at most the embedding's width is used."""
    denoiser_width: Positive = 128
    """Width of the denoiser."""
    denoiser_layers: Positive = 3
    """Residual blocks of the denoiser."""
    diffusion_weight: Annotated[float, Field(ge=0)] = 0.5
    """Weight of the denoiser's loss beside the head's."""

    @model_validator(mode="after")
    def _heads(self) -> Config:
        if self.width % self.heads:
            raise ValueError(f"heads is {self.heads}, which does not divide width {self.width}")
        return self


# --- context ---------------------------------------------------------------------------------------------------------


class Block(nn.Module):
    """Causal self-attention and a perceptron, each after a layer norm and beside a shortcut."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.norm_attention, self.norm_mlp = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:  # [B, T, H] -> [B, T, H]
        parts = self.qkv(self.norm_attention(x)).unflatten(2, (3, self.heads, -1))  # [B, T, 3, heads, h]
        q, k, v = parts.permute(2, 0, 3, 1, 4)  # [B, heads, T, h] each
        mixed = F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).flatten(2)
        x = x + self.dropout(self.out(mixed))
        return x + self.dropout(self.mlp(self.norm_mlp(x)))


class Context(nn.Module):
    """Embeddings and their steps → one context a position, from what came before it."""

    def __init__(self, config: Config, width: int, history: int) -> None:
        super().__init__()
        self.steps = Steps(config.lags)
        self.project = nn.Linear(self.steps.widened(width), config.width)
        self.position = nn.Parameter(torch.randn(history, config.width) * 0.02)
        self.blocks = nn.ModuleList(Block(config.width, config.heads, config.dropout) for _ in range(config.layers))
        self.norm = nn.LayerNorm(config.width)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, history: Tensor) -> Tensor:  # [B, T, D] -> [B, T, H]
        x = self.project(self.steps(history)) + self.position[: history.shape[1]]
        x = self.dropout(x)
        for block in self.blocks:
            x = block(x)
        return self.norm(x)


# --- denoiser --------------------------------------------------------------------------------------------------------


class Modulated(nn.Module):
    """A residual perceptron whose layer norm is scaled, shifted and gated by a condition (AdaLN, arXiv 2212.09748)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width, elementwise_affine=False)
        self.condition = nn.Linear(width, 3 * width)
        self.mlp = nn.Sequential(nn.Linear(width, 2 * width), nn.SiLU(), nn.Linear(2 * width, width))
        nn.init.zeros_(self.condition.weight)
        nn.init.zeros_(self.condition.bias)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        scale, shift, gate = self.condition(condition).chunk(3, dim=-1)
        return x + gate * self.mlp(self.norm(x) * (1 + scale) + shift)


class Denoiser(nn.Module):
    """Noisy point on the manifold, time, context, head's guess → x0, as a change to the Gaussian answer."""

    def __init__(self, config: Config, latent: int) -> None:
        super().__init__()
        width = config.denoiser_width
        self.spread = nn.Parameter(torch.full((latent,), math.log(0.5)))  # log deviation of what the head cannot know
        self.enter = nn.Linear(latent, width)
        self.context = nn.Linear(config.width + latent, width)
        self.time = nn.Sequential(nn.Linear(32, width), nn.SiLU(), nn.Linear(width, width))
        self.blocks = nn.ModuleList(Modulated(width) for _ in range(config.denoiser_layers))
        self.leave = nn.Linear(width, latent)
        nn.init.zeros_(self.leave.weight)
        nn.init.zeros_(self.leave.bias)

    def forward(self, noisy: Tensor, time: Tensor, context: Tensor, guess: Tensor) -> Tensor:
        """noisy [..., M], time [..., 1] in [0, 1], context [..., H], guess [..., M] → x0 [..., M]; axes broadcast."""
        alpha, sigma = torch.cos(time * math.pi / 2), torch.sin(time * math.pi / 2)
        variance = self.spread.exp().square()
        total = alpha.square() * variance + sigma.square()
        off = noisy - alpha * guess  # what the noise and the unknown part left
        condition = F.silu(self.context(torch.cat([context, guess], dim=-1)) + self.time(_waves(time)))
        x = self.enter(off * total.rsqrt())
        for block in self.blocks:
            x = block(x, condition)
        deviation = sigma * variance.sqrt() * total.rsqrt()  # of x0, given the noisy point
        return guess + alpha * variance / total * off + deviation * self.leave(x)


def _waves(time: Tensor) -> Tensor:  # [..., 1] -> [..., 32]
    frequencies = torch.exp(torch.linspace(0, math.log(100), 16, device=time.device)) * math.pi / 2
    return torch.cat([torch.sin(time * frequencies), torch.cos(time * frequencies)], dim=-1)


# --- model -----------------------------------------------------------------------------------------------------------


class TMDN(nn.Module):
    """See the module. `latent` is M, the width of the noise that `sample` takes."""

    to_manifold: Tensor
    from_manifold: Tensor

    def __init__(self, config: Config, width: int, history: int) -> None:
        super().__init__()
        self.latent = min(config.manifold, width)
        self.weight = config.diffusion_weight
        self.context = Context(config, width, history)
        self.head = nn.Linear(config.width, width)
        self.denoiser = Denoiser(config, self.latent)
        self.register_buffer("to_manifold", torch.eye(width)[:, : self.latent].clone())  # [D, M]
        self.register_buffer("from_manifold", torch.eye(width)[: self.latent].clone())  # [M, D]
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    @torch.no_grad()
    def fit(self, histories: Tensor, changes: Tensor) -> None:
        """Measure the training split: the size of steps in histories [n, T, D], the main axes of changes [m, D].

        The manifold lies along those axes, each scaled to unit deviation.
        """
        self.context.steps.fit(histories)
        second = changes.double().T @ changes.double() / len(changes)
        variances, axes = torch.linalg.eigh(second)  # ascending
        axes, scale = axes.flip(1)[:, : self.latent], variances.flip(0)[: self.latent].clamp(min=1e-8).sqrt()
        self.to_manifold.copy_(axes / scale)
        self.from_manifold.copy_((axes * scale).T)

    def forward(self, history: Tensor) -> Tensor:  # [B, T, D] -> [B, T, D]
        """The head's change at every position: the deterministic prediction."""
        return self.head(self.context(history))

    def loss(self, history: Tensor, change: Tensor, positions: slice, generator: torch.Generator) -> dict[str, Tensor]:
        """Squared error of the head plus that of the denoiser at random times, over the given positions.

        history, change: [B, T, D]. The denoiser does not move the head: it takes its guess as it is.
        """
        context = self.context(history)[:, positions]
        guess = self.head(context)
        change = change[:, positions]
        head = (guess - change).square().mean()
        clean = change @ self.to_manifold
        shape, device = clean.shape, generator.device
        time = torch.rand((*shape[:-1], 1), generator=generator, device=device).to(clean.device)
        noise = torch.randn(shape, generator=generator, device=device).to(clean.device)
        noisy = torch.cos(time * math.pi / 2) * clean + torch.sin(time * math.pi / 2) * noise
        denoised = self.denoiser(noisy, time, context, (guess @ self.to_manifold).detach())
        diffusion = (denoised - clean).square().mean()
        return {"loss": head + self.weight * diffusion, "head": head.detach(), "diffusion": diffusion.detach()}

    def sample(self, history: Tensor, noise: Tensor, steps: int) -> Tensor:  # [B, T, D], [B, K, M] -> [B, K, D]
        """Draws of the change at the last position, by DDIM from the given standard normal noise."""
        context = self.context(history)[:, -1:]  # [B, 1, H]
        guess = self.head(context)
        anchor = guess @ self.to_manifold
        times = torch.linspace(1, 0, steps + 1, device=noise.device)
        x = noise
        for now, then in itertools.pairwise(times):
            clean = self.denoiser(x, now.view(1, 1, 1), context, anchor)
            alpha, sigma = torch.cos(now * math.pi / 2), torch.sin(now * math.pi / 2)
            left = (x - alpha * clean) / sigma
            x = torch.cos(then * math.pi / 2) * clean + torch.sin(then * math.pi / 2) * left
        return guess + (x - anchor) @ self.from_manifold


def build(config: Config, *, width: int, history: int, gap: int) -> nn.Module:
    """See `framecast.models.recurrent.build`; besides, `loss`, `fit` and `sample`, which the embedding task calls."""
    return TMDN(config, width, history)
