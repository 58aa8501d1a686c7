"""PAC-Net, Progress-Aware Cross-modal network: frames of a video up to now, and its text → how far the action has got.

A ResNet turns each frame into features, a Transformer relates them over time, CLIP's text encoder reads the text, and
the frames look at the words by cross-attention. The answer is one number (Smooth L1), or the expectation over 101 bins
(cross-entropy). Architecture: the brief's README. ResNet: He et al. 2015, arXiv 1512.03385; text encoder: Radford et
al. 2021, arXiv 2103.00020.

Departures: the ResNet's last map is averaged over a coarse grid of cells, not over the whole frame, because place often
is progress (`grid: 1` is the published average); the head starts at the constant that fits the training targets. What
makes up for the pre-training that a small ResNet lacks, off by default: `motion` (differences of frames beside them),
`places` (spatial softmax, Levine et al. 2015, arXiv 1504.00702) and `every_frame` (every beginning of a clip is learnt
from, not the whole one alone; the Transformer over time is then causal).

Parameter prefixes seen by a budget: `core.frames.` (ResNet), `core.text.` (text encoder), `core.time.`,
`core.fusion.`, `core.head.`, `core.index.`.

Axes: B batch, T time, C channel, H, W, D width, L text.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import torch
import torch.nn.functional as F
from pydantic import Field, model_validator
from torch import Tensor, nn

from framecast.config.base import Closed, Positive, Pretrained
from framecast.weights import hub


class Config(Closed):
    """What is looked at, the encoders, and the network behind them."""

    inputs: Annotated[tuple[Literal["frames", "text", "index"], ...], Field(min_length=1)] = ("frames", "text")
    """What the network sees: `frames`, `text`, `index` (number of the clip's last frame). `[index]` and `[text]` alone
    are ablations: what they reach, the video did not have to tell."""
    frame_encoder: Pretrained | None = None
    """A ResNet in the hub's format (`microsoft/resnet-50`); null takes a small one with `channels`."""
    text_encoder: Pretrained | None = None
    """CLIP's text encoder in the hub's format, with the task's `tokenizer` from the same folder; null takes a small one
    with `text_width` and `text_layers`."""
    channels: Annotated[tuple[Positive, ...], Field(min_length=1)] = (16, 32, 64)
    """Of the small ResNet: channels of each stage; each after the first halves the sides, which come quartered."""
    text_width: Positive = 64
    """Of the small text encoder: width; a multiple of `heads`."""
    text_layers: Positive = 2
    """Of the small text encoder: layers."""
    grid: Positive = 4
    """Cells a side over which a frame's features are averaged; 1 averages over the whole frame."""
    width: Positive = 128
    """D, width of the network behind the encoders (published: 512); a multiple of `heads`."""
    heads: Positive = 4
    """Attention heads."""
    layers: Positive = 2
    """Transformer layers over time."""
    fusion_layers: Positive = 1
    """Layers in which frames look at words."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.1
    """Share of each layer's output set to zero in training."""
    head: Literal["regression", "bins"] = "regression"
    """One number with Smooth L1, or `bins` classes with cross-entropy, whose expectation is predicted."""
    bins: Annotated[int, Field(ge=2)] = 101
    """Classes of the head `bins`, evenly from 0 to 1."""
    beta: Annotated[float, Field(gt=0)] = 0.1
    """Error at which Smooth L1 turns from square to straight, as a share of 1 (torch's default of 1 is the square)."""
    motion: bool = False
    """The small ResNet sees, beside each frame, its difference to the clip's first frame and to the frame before."""
    places: bool = False
    """Beside the cells' means, where in the frame each channel is strongest (spatial softmax)."""
    every_frame: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Share of the loss that is that of the earlier frames of a clip, each from the frames up to it."""

    @model_validator(mode="after")
    def _fits(self) -> Config:
        if self.motion and self.frame_encoder is not None:
            raise ValueError(
                f"motion is for the small ResNet, because {self.frame_encoder.hub} takes frames alone: set motion: "
                "false, or frame_encoder: null"
            )
        for name, value in (("width", self.width), ("text_width", self.text_width)):
            if value % self.heads:
                raise ValueError(f"heads is {self.heads}, which does not divide {name} {value}")
        return self


# --- encoders --------------------------------------------------------------------------------------------------------


class FrameEncoder(nn.Module):
    """transformers' ResNet with its pixel preparation: frames [N, 3, H, W] in [0, 1] → features [N, channels · grid²].

    Attributes: width, numbers in a frame's features.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.network, (mean, deviation) = _resnet(config)
        self.config = config
        channels = self.network.config.hidden_sizes[-1]
        self.width = channels * (config.grid**2 + 2 * config.places)
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1) / 255)
        self.register_buffer("deviation", torch.tensor(deviation).view(1, 3, 1, 1) / 255)

    def forward(self, clips: Tensor) -> Tensor:
        pixels = (clips - self.mean) / self.deviation  # [B, T, 3, H, W]
        if self.config.motion:
            before = torch.cat([pixels[:, :1], pixels[:, :-1]], 1)
            pixels = torch.cat([pixels, pixels - pixels[:, :1], pixels - before], 2)
        features = self.network(pixel_values=pixels.flatten(0, 1)).last_hidden_state  # [B T, C, h, w]
        found = F.adaptive_avg_pool2d(features, self.config.grid).flatten(1)
        if self.config.places:
            found = torch.cat([found, _places(features)], 1)
        return found.unflatten(0, clips.shape[:2])


def _places(features: Tensor) -> Tensor:
    """Maps [N, C, h, w] → centre of each channel's softmax over the map, -1 to 1: rows, then columns [N, 2 C]."""
    rows, columns = (torch.linspace(-1, 1, side, device=features.device) for side in features.shape[-2:])
    weights = features.float().flatten(2).softmax(2).unflatten(2, features.shape[-2:])
    return torch.cat([weights.sum(3) @ rows, weights.sum(2) @ columns], 1)


def _resnet(config: Config) -> tuple[Any, tuple[list[float], list[float]]]:
    """The network, and mean and deviation of the pixels, 0 to 255, that it takes for granted."""
    from transformers import ResNetConfig, ResNetModel

    if config.frame_encoder is None:
        sizes = list(config.channels)
        small = ResNetConfig(
            num_channels=9 if config.motion else 3, embedding_size=sizes[0], hidden_sizes=sizes,
            depths=[1] * len(sizes), layer_type="basic",
        )  # fmt: skip
        return ResNetModel(small), ([127.5] * 3, [64.0] * 3)
    path = hub.folder(str(config.frame_encoder.hub), config.frame_encoder.revision)
    hub.describe(path, ("resnet",))
    return hub.load(ResNetModel, path).requires_grad_(True), hub.pixel_statistics(path)


class TextEncoder(nn.Module):
    """CLIP's text encoder: tokens [B, L] → features of each token, from itself and those before it [B, L, width].

    Attributes: width.
    """

    def __init__(self, config: Config, vocabulary: int, length: int) -> None:
        super().__init__()
        self.network: Any = _clip(config, vocabulary, length)
        self.width: int = self.network.config.hidden_size

    def forward(self, tokens: Tensor) -> Tensor:
        return self.network(input_ids=tokens).last_hidden_state


def _clip(config: Config, vocabulary: int, length: int) -> Any:
    from transformers import CLIPTextConfig, CLIPTextModel

    if config.text_encoder is None:
        width = config.text_width
        small = CLIPTextConfig(
            vocab_size=vocabulary, hidden_size=width, intermediate_size=4 * width, num_attention_heads=config.heads,
            num_hidden_layers=config.text_layers, max_position_embeddings=length, bos_token_id=0, eos_token_id=1,
            pad_token_id=1,
        )  # fmt: skip
        return CLIPTextModel(small)
    path = hub.folder(str(config.text_encoder.hub), config.text_encoder.revision)
    hub.describe(path, ("clip_text_model", "clip"))
    network = hub.load(CLIPTextModel, path, beside=("vision_model.",)).requires_grad_(True)
    known, positions = network.config.vocab_size, network.config.max_position_embeddings
    if known != vocabulary or positions < length:
        raise ValueError(
            f"models.pac_net.text_encoder: {path} knows {known} tokens and texts of up to {positions}; the task's "
            f"texts have {vocabulary} different tokens and up to {length}: give the task `tokenizer` the same hub "
            f"name and revision, and `text_limit` at most {positions}"
        )
    return network


# --- network ---------------------------------------------------------------------------------------------------------


class Time(nn.Module):
    """Features of frames [B, T, features] → [B, T, D], each in the light of the others."""

    def __init__(self, config: Config, features: int, frames: int) -> None:
        super().__init__()
        self.project = nn.Linear(features, config.width)
        self.position = nn.Parameter(0.02 * torch.randn(frames, config.width))
        layer = nn.TransformerEncoderLayer(
            config.width, config.heads, 4 * config.width, config.dropout, "gelu", batch_first=True, norm_first=True
        )
        self.layers = nn.TransformerEncoder(layer, config.layers, nn.LayerNorm(config.width), False)
        self.causal = bool(config.every_frame)

    def forward(self, features: Tensor) -> Tensor:
        mask = nn.Transformer.generate_square_subsequent_mask(len(self.position), device=features.device)
        return self.layers(self.project(features) + self.position, mask if self.causal else None)


class Look(nn.Module):
    """Cross-attention from frames [B, T, D] to words [B, L, D], and a perceptron; beside shortcuts."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        width = config.width
        self.norm_frames, self.norm_mlp = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention = nn.MultiheadAttention(width, config.heads, config.dropout, batch_first=True)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, x: Tensor, words: Tensor, absent: Tensor) -> Tensor:
        seen, _ = self.attention(self.norm_frames(x), words, words, key_padding_mask=absent, need_weights=False)
        x = x + self.dropout(seen)
        return x + self.dropout(self.mlp(self.norm_mlp(x)))


class Fusion(nn.Module):
    """Words [B, L, text width], `kept` [B, L] of them, are looked at by frames [B, T, D] → [B, T, D]."""

    def __init__(self, config: Config, text_width: int) -> None:
        super().__init__()
        self.project = nn.Linear(text_width, config.width)
        self.norm = nn.LayerNorm(config.width)
        self.layers = nn.ModuleList(Look(config) for _ in range(config.fusion_layers))

    def forward(self, x: Tensor, words: Tensor, kept: Tensor) -> Tensor:
        words = self.norm(self.project(words))
        for layer in self.layers:
            x = layer(x, words, ~kept)
        return x


class PacNet(nn.Module):
    """Frames [B, T, 3, H, W] in [0, 1], tokens [B, L] with kept [B, L], elapsed frames [B] → progress [B]."""

    def __init__(self, config: Config, frames: int, vocabulary: int, length: int, longest: int) -> None:
        super().__init__()
        self.config, self.longest = config, longest
        self.frames = self.text = self.index = None
        if "frames" in config.inputs:
            self.frames = FrameEncoder(config)
            self.time = Time(config, self.frames.width, frames)
        else:
            self.query = nn.Parameter(0.02 * torch.randn(1, config.width))
        if "index" in config.inputs:
            self.index = nn.Sequential(
                nn.Linear(1, config.width), nn.GELU(), nn.Linear(config.width, config.width)
            )  # fmt: skip
        if "text" in config.inputs:
            self.text = TextEncoder(config, vocabulary, length)
            self.fusion = Fusion(config, self.text.width)
        outputs = config.bins if config.head == "bins" else 1
        self.head = nn.Sequential(nn.LayerNorm(2 * config.width), nn.Linear(2 * config.width, outputs))
        nn.init.zeros_(self.answer.weight)
        self.register_buffer("values", torch.linspace(0, 1, config.bins), persistent=False)

    values: Tensor

    @property
    def answer(self) -> nn.Linear:
        """The last layer."""
        return self.head[-1]  # type: ignore[return-value]

    @torch.no_grad()
    def fit(self, targets: Tensor, elapsed: Tensor, lengths: Tensor) -> None:
        """Start at the mean of the training targets [n], or at the shares of the bins."""
        if self.config.head == "regression":
            self.answer.bias.fill_(targets.mean())
            return
        counts = torch.bincount(self.bin(targets), minlength=self.config.bins)
        self.answer.bias.copy_(((counts + 1) / (counts + 1).sum()).log())

    def bin(self, targets: Tensor) -> Tensor:
        """The nearest bin of progress [n]."""
        return (targets * (self.config.bins - 1)).round().long()

    def output(self, frames: Tensor, tokens: Tensor, kept: Tensor, elapsed: Tensor) -> Tensor:
        """What the head says at each frame (at one alone where no frames are seen), [B, T, 1] or [B, T, bins]."""
        x = self.query.expand(len(elapsed), 1, -1) if self.frames is None else self.time(self.frames(frames))
        if self.index is not None:
            x = x + self.index(elapsed[:, None] / self.longest)[:, None]
        if self.text is not None:
            x = self.fusion(x, self.text(tokens), kept)
        count = torch.arange(1, x.shape[1] + 1, device=x.device)[:, None]
        return self.head(torch.cat([x, x.float().cumsum(1) / count], dim=2)).float()

    def forward(self, frames: Tensor, tokens: Tensor, kept: Tensor, elapsed: Tensor) -> Tensor:
        return self.progress(self.output(frames, tokens, kept, elapsed)[:, -1])

    def progress(self, output: Tensor) -> Tensor:
        """The head's output [..., outputs] as progress [...]; a regression may leave 0 to 1."""
        return output[..., 0] if self.config.head == "regression" else output.softmax(-1) @ self.values

    def loss(self, frames: Tensor, tokens: Tensor, kept: Tensor, elapsed: Tensor, target: Tensor) -> dict[str, Tensor]:
        """Smooth L1 or cross-entropy for target [B, T], and beside it the mean absolute error of the last frame, in
        percentage points."""
        output = self.output(frames, tokens, kept, elapsed)
        target = target[:, -output.shape[1] :]
        losses = self._losses(output, target)
        error = 100 * (self.progress(output[:, -1].detach()) - target[:, -1]).abs().mean()
        share = self.config.every_frame if output.shape[1] > 1 else 0.0
        loss = losses[:, -1].mean() * (1 - share)
        return {"loss": loss + share * losses[:, :-1].mean() if share else loss, "abs_error": error}

    def _losses(self, output: Tensor, target: Tensor) -> Tensor:
        if self.config.head == "bins":
            return F.cross_entropy(output.movedim(-1, 1), self.bin(target), reduction="none")
        return F.smooth_l1_loss(output[..., 0], target, beta=self.config.beta, reduction="none")


def build(config: Config, frames: int, vocabulary: int, length: int, longest: int, templates: int) -> nn.Module:
    """The network for clips of `frames` frames.

    Args:
        vocabulary: Different tokens. length: most tokens of a text. longest: frames of the longest training video, by
            which elapsed frames are divided. templates: different templates of the training videos; not looked at.

    Raises:
        WeightsError: an encoder from the hub is absent, incomplete or of another architecture.
        ValueError: a text encoder that does not know the task's tokens.
    """
    return PacNet(config, frames, vocabulary, length, longest)
