"""SimVP with the gSTA translator, and on it the prediction of future class masks from past ones.

Sources: SimVP, Gao et al. 2022 (arXiv 2206.05099); gSTA translator, Tan et al. 2022 (arXiv 2211.12509). `SimVP` has the
parameters of OpenSTL's `SimVP_Model` (github.com/chengtan9907/OpenSTL, model_type gSTA), name by name and shape by
shape, so that weights go both ways (`framecast.weights.openstl`); tests hold its output to OpenSTL's.

A frame-wise encoder halves the frames N_S / 2 times; the translator sees all frames at once, their channels stacked
(T · S), through convolutional attention with a large kernel; a frame-wise decoder doubles them again and adds the
encoder's first layer. The last step is a 1×1 convolution, which stands apart (`features`, `readout`): logits of 49
classes take far more memory than what they are read from, and a loss can read them out frame by frame
(`framecast.ops.mask_loss`).

Axes: B batch, T time, T' future frames, C channel, S = hid_S, H, W; h, w = H, W / 2^(N_S / 2); K classes.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from typing import Annotated, Literal

import torch
from pydantic import Field, field_validator
from torch import Tensor, nn

from framecast.config.base import Closed, Positive
from framecast.models import shift_mask
from framecast.models.shift_mask import ShiftMask
from framecast.ops.memory_format import fast_layout

COPY = 5.0
"""Logit that the residual's class starts with, over 0 of the others."""


class Config(Closed):
    """Sizes of the network; the defaults are OpenSTL's."""

    channels: Positive = 16
    """C, numbers that a class becomes before the network (an embedding)."""
    hid_s: Annotated[int, Field(ge=2, multiple_of=2)] = 16
    """S, channels of encoder and decoder; even."""
    hid_t: Positive = 256
    """Channels of the translator."""
    n_s: Annotated[int, Field(ge=2, multiple_of=2)] = 4
    """Layers of encoder and decoder each; even, every second one halves or doubles the frame's sides."""
    n_t: Annotated[int, Field(ge=2)] = 4
    """Blocks of the translator."""
    mlp_ratio: Annotated[float, Field(gt=1)] = 8.0
    """Width of a block's feed-forward layer, as a multiple of its channels."""
    drop: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Share of the feed-forward layers' outputs set to zero in training."""
    drop_path: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Share of samples for which the last block is skipped in training; earlier blocks go evenly from 0.01 to it."""
    kernel: Positive = 3
    """Side of the encoder's and decoder's convolutions; odd."""
    residual: Literal["none", "last", "moved"] = "moved"
    """What is added, times a learned scale, to every future frame's logits: nothing, the last given mask, or that mask
    with every object moved on at its own velocity (`framecast.models.shift_mask`). An untrained network predicts it."""

    @field_validator("kernel")
    @classmethod
    def _odd(cls, value: int) -> int:
        if value % 2 == 0:
            raise ValueError("kernel must be odd, so that a layer keeps the frame's sides")
        return value


# --- encoder and decoder ---------------------------------------------------------------------------------------------


def _conv_sc(channels_in: int, channels_out: int, kernel: int, *, down: bool = False, up: bool = False) -> nn.Module:
    """Convolution → group norm → SiLU; `down` halves the sides by stride, `up` doubles them by shuffling channels."""
    stride = 2 if down else 1
    wide = channels_out * 4 if up else channels_out
    conv = nn.Conv2d(channels_in, wide, kernel, stride, padding=(kernel - stride + 1) // 2)
    nn.init.trunc_normal_(conv.weight, std=0.02)
    _zero_bias(conv)
    shuffled = nn.Sequential(conv, nn.PixelShuffle(2)) if up else conv
    return _named(conv=_named(conv=shuffled, norm=nn.GroupNorm(2, channels_out), act=nn.SiLU()))


def _named(**parts: nn.Module) -> nn.Sequential:
    """Parts in a row, under names: OpenSTL's parameters are nested deeper than the network is."""
    return nn.Sequential(OrderedDict(parts))


class Encoder(nn.Module):
    """Frames [N, C, H, W] → latent [N, S, h, w] and the first layer's output [N, S, H, W]."""

    def __init__(self, channels: int, hid_S: int, N_S: int, kernel: int) -> None:
        super().__init__()
        layers = [
            _conv_sc(hid_S if index else channels, hid_S, kernel, down=index % 2 == 1)  # the second, fourth … halve
            for index in range(N_S)
        ]
        self.enc = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        first, *others = self.enc
        latent = skip = first(x)
        for layer in others:
            latent = layer(latent)
        return latent, skip


class Decoder(nn.Module):
    """Latent [N, S, h, w] and the encoder's first output [N, S, H, W] → features [N, S, H, W] → `readout`."""

    def __init__(self, hid_S: int, channels: int, N_S: int, kernel: int) -> None:
        super().__init__()
        layers = [
            _conv_sc(hid_S, hid_S, kernel, up=index % 2 == 0) for index in range(N_S)
        ]  # the first, third … double
        self.dec = nn.Sequential(*layers)
        self.readout = nn.Conv2d(hid_S, channels, 1)

    def forward(self, latent: Tensor, skip: Tensor) -> Tensor:
        *others, last = self.dec
        for layer in others:
            latent = layer(latent)
        return last(latent + skip)


# --- translator ------------------------------------------------------------------------------------------------------


class Gate(nn.Module):
    """Large-kernel attention: a 21×21 neighbourhood by a 5×5 and a dilated 7×7 depthwise convolution, as a gate."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv0 = nn.Conv2d(width, width, 5, padding=2, groups=width)
        self.conv_spatial = nn.Conv2d(width, width, 7, padding=9, groups=width, dilation=3)
        self.conv1 = nn.Conv2d(width, 2 * width, 1)

    def forward(self, x: Tensor) -> Tensor:
        value, gate = self.conv1(self.conv_spatial(self.conv0(x))).chunk(2, dim=1)
        return torch.sigmoid(gate) * value


class SpatialAttention(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.proj_1 = nn.Conv2d(width, width, 1)
        self.activation = nn.GELU()
        self.spatial_gating_unit = Gate(width)
        self.proj_2 = nn.Conv2d(width, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.proj_2(self.spatial_gating_unit(self.activation(self.proj_1(x))))


class MixMlp(nn.Module):
    def __init__(self, width: int, hidden: int, drop: float) -> None:
        super().__init__()
        self.fc1 = nn.Conv2d(width, hidden, 1)
        self.dwconv = _named(dwconv=nn.Conv2d(hidden, hidden, 3, padding=1, groups=hidden))
        self.act = nn.GELU()
        self.fc2 = nn.Conv2d(hidden, width, 1)
        self.drop = nn.Dropout(drop)

    def forward(self, x: Tensor) -> Tensor:
        return self.drop(self.fc2(self.drop(self.act(self.dwconv(self.fc1(x))))))


class DropPath(nn.Module):
    """In training, set whole samples to zero with a probability and scale the others (arXiv 1603.09382)."""

    def __init__(self, probability: float) -> None:
        super().__init__()
        self.keep = 1 - probability

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.keep == 1:
            return x
        return x * x.new_empty(len(x), 1, 1, 1).bernoulli_(self.keep).div_(self.keep)


class GASubBlock(nn.Module):
    """Gated spatiotemporal attention and a feed-forward layer, each normed, scaled per channel, beside a shortcut."""

    def __init__(self, width: int, mlp_ratio: float, drop: float, drop_path: float) -> None:
        super().__init__()
        self.norm1 = nn.BatchNorm2d(width)
        self.attn = SpatialAttention(width)
        self.norm2 = nn.BatchNorm2d(width)
        self.mlp = MixMlp(width, int(width * mlp_ratio), drop)
        self.drop_path = DropPath(drop_path)
        self.layer_scale_1 = nn.Parameter(torch.full((width,), 1e-2))
        self.layer_scale_2 = nn.Parameter(torch.full((width,), 1e-2))
        for part in self.modules():
            if isinstance(part, nn.Conv2d):
                fan_out = math.prod(part.kernel_size) * part.out_channels // part.groups
                nn.init.normal_(part.weight, 0, math.sqrt(2 / fan_out))
                _zero_bias(part)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.drop_path(self.layer_scale_1[:, None, None] * self.attn(self.norm1(x)))
        return x + self.drop_path(self.layer_scale_2[:, None, None] * self.mlp(self.norm2(x)))


class MetaBlock(nn.Module):
    """A block, and a 1×1 convolution to another number of channels where that is wanted."""

    def __init__(self, width_in: int, width_out: int, mlp_ratio: float, drop: float, drop_path: float) -> None:
        super().__init__()
        self.block = GASubBlock(width_in, mlp_ratio, drop, drop_path)
        self.reduction = nn.Conv2d(width_in, width_out, 1) if width_in != width_out else None

    def forward(self, x: Tensor) -> Tensor:
        x = self.block(x)
        return x if self.reduction is None else self.reduction(x)


class Translator(nn.Module):
    """All frames' latents at once, [B, T, S, h, w] → the same shape."""

    def __init__(self, stacked: int, hid_T: int, N_T: int, mlp_ratio: float, drop: float, drop_path: float) -> None:
        super().__init__()
        widths = [stacked, *[hid_T] * (N_T - 1), stacked]
        paths = [1e-2 + (drop_path - 1e-2) * i / (N_T - 1) for i in range(N_T - 1)] + [drop_path]
        self.enc = nn.Sequential(*(MetaBlock(widths[i], widths[i + 1], mlp_ratio, drop, paths[i]) for i in range(N_T)))

    def forward(self, latents: Tensor) -> Tensor:
        return self.enc(fast_layout(latents.flatten(1, 2))).unflatten(1, latents.shape[1:3])


def _zero_bias(conv: nn.Conv2d) -> None:
    assert conv.bias is not None
    nn.init.zeros_(conv.bias)


# --- models ----------------------------------------------------------------------------------------------------------


class SimVP(nn.Module):
    """Frames [B, T, C, H, W] → the following ones [B, T', C', H, W]; T' = T and C' = C unless given.

    Args:
        in_shape: T, C, H, W.
        hid_S, hid_T, N_S, N_T, mlp_ratio, drop, drop_path: see `Config`; the names are OpenSTL's.
        spatio_kernel_enc, spatio_kernel_dec: Sides of the encoder's and the decoder's convolutions.
        frames_out: T'. The first T' of T predicted frames are kept, as OpenSTL does for a shorter future.
        channels_out: C', where the readout has another number of channels than the frames.

    Raises:
        ValueError: sizes that do not divide, or more frames asked for than given.
    """

    def __init__(
        self, in_shape: tuple[int, int, int, int], hid_S: int, hid_T: int, N_S: int, N_T: int, mlp_ratio: float = 8.0,
        drop: float = 0.0, drop_path: float = 0.0, spatio_kernel_enc: int = 3, spatio_kernel_dec: int = 3,
        frames_out: int | None = None, channels_out: int | None = None,
    ) -> None:  # fmt: skip
        super().__init__()
        frames, channels, height, width = in_shape
        self.frames_out = frames_out or frames
        self.check_sizes(N_S, frames, self.frames_out, height, width)
        self.enc = Encoder(channels, hid_S, N_S, spatio_kernel_enc)
        self.hid = Translator(frames * hid_S, hid_T, N_T, mlp_ratio, drop, drop_path)
        self.dec = Decoder(hid_S, channels_out or channels, N_S, spatio_kernel_dec)

    @staticmethod
    def check_sizes(n_s: int, given: int, ahead: int, height: int, width: int) -> None:
        """Raises ValueError for frames that cannot be halved often enough, or more future frames than given ones."""
        step = 2 ** (n_s // 2)
        for name, value in (("height", height), ("width", width)):
            if value % step:
                raise ValueError(
                    f"models.simvp: {name} is {value}, which is no multiple of {step} = 2^(n_s / 2); take frames of "
                    f"{name} {value - value % step or step} or {value - value % step + step}, or a smaller n_s"
                )
        if not 1 <= ahead <= given:
            raise ValueError(
                f"models.simvp: {ahead} frames ahead from {given} given; SimVP predicts 1 to {given} at once: give "
                "more frames, or predict fewer and go on from what was predicted"
            )

    def features(self, frames: Tensor) -> Tensor:  # [B, T, C, H, W] -> [B, T', S, H, W]
        """What the 1×1 readout reads."""
        latent, skip = self.enc(fast_layout(frames.flatten(0, 1)))  # [B·T, S, h, w], [B·T, S, H, W]
        latent = self.hid(latent.unflatten(0, frames.shape[:2]))[:, : self.frames_out]
        skip = skip.unflatten(0, frames.shape[:2])[:, : self.frames_out]
        features = self.dec(fast_layout(latent.flatten(0, 1)), fast_layout(skip.flatten(0, 1)))
        return features.unflatten(0, latent.shape[:2])

    def readout(self, features: Tensor) -> Tensor:  # [N, S, H, W] -> [N, C', H, W]
        return self.dec.readout(features)

    def forward(self, frames: Tensor) -> Tensor:
        features = self.features(frames)
        return self.readout(features.flatten(0, 1)).unflatten(0, features.shape[:2])


class MaskPredictor(nn.Module):
    """Class masks uint8 [B, T, H, W] → logits of the following ones [B, T', K, H, W], through a SimVP.

    Args:
        simvp: Network with `features` and `readout` as `SimVP` has them, C = `channels`, C' = K = `classes`.
        ahead, residual: T', and see `Config`; with a residual the readout starts at zero.
    """

    def __init__(self, simvp: nn.Module, classes: int, channels: int, ahead: int, residual: str) -> None:
        super().__init__()
        self.classes, self.ahead = classes, ahead
        self.embedding = nn.Embedding(classes, channels)
        self.simvp = simvp
        self.mover = ShiftMask(shift_mask.Config().frames, classes, ahead) if residual == "moved" else None
        self.copy = nn.Parameter(torch.tensor(COPY)) if residual != "none" else None
        if self.copy is not None:
            for parameter in simvp.dec.readout.parameters():  # type: ignore[union-attr, operator]
                nn.init.zeros_(parameter)

    def features(self, masks: Tensor) -> Tensor:  # [B, T, H, W] -> [B, T', S, H, W]
        """What `logits` reads."""
        return self.simvp.features(self.embedding(masks.int()).movedim(-1, 2))  # type: ignore[operator]

    def start(self, masks: Tensor) -> Tensor:  # uint8 [B, T, H, W] -> uint8 [B, T', H, W]
        """The residual masks of the future frames."""
        if self.mover is not None:
            return self.mover.masks(masks).byte()
        return masks[:, -1:].expand(-1, self.ahead, -1, -1)

    def logits(self, features: Tensor, start: Tensor) -> Tensor:
        """Features [N, S, H, W] of some future frames, with their residual masks, uint8 [N, H, W] → logits
        [N, K, H, W]. A loss or a prediction can take them frame by frame."""
        own = self.simvp.readout(features)  # type: ignore[operator]
        if self.copy is None:
            return own
        labels = torch.arange(self.classes, dtype=start.dtype, device=start.device)[:, None, None]
        return own + self.copy * (start[:, None] == labels)

    def forward(self, masks: Tensor) -> Tensor:  # [B, T, H, W] -> [B, T', K, H, W]
        pairs = zip(self.features(masks).unbind(1), self.start(masks).unbind(1), strict=True)
        return torch.stack([self.logits(*pair) for pair in pairs], dim=1)


def build(config: Config, classes: int, given: int, ahead: int, height: int, width: int) -> nn.Module:
    """The network from class masks uint8 [B, given, H, W] below `classes` to logits [B, ahead, classes, H, W].

    Raises:
        ValueError: see `SimVP.check_sizes`.
    """
    simvp = SimVP(
        (given, config.channels, height, width), config.hid_s, config.hid_t, config.n_s, config.n_t, config.mlp_ratio,
        config.drop, config.drop_path, config.kernel, config.kernel, ahead, classes,
    )  # fmt: skip
    return MaskPredictor(simvp, classes, config.channels, ahead, config.residual)
