"""CLIP (Radford et al. 2021, arXiv 2103.00020), small: pictures and texts into one space.

The network is transformers' `CLIPModel`, so that its parts load like any CLIP (`framecast.prediction.export.clip`).

Axes: N pictures, B texts, L tokens, P projection. Tokens: start is 0, end is 1, and texts are filled up with the end.
"""

from __future__ import annotations

import torch
from pydantic import model_validator
from torch import Tensor, nn

from framecast.config.base import Closed, Positive


class Config(Closed):
    """Sizes of both encoders."""

    width: Positive = 64
    """Width of the image encoder; a multiple of `heads`."""
    layers: Positive = 2
    """Layers of the image encoder."""
    patch: Positive = 8
    """Side of a patch, pixels; the view's sides are multiples of it."""
    text_width: Positive = 64
    """Width of the text encoder, and so of the states that an image generator looks at; a multiple of `heads`."""
    text_layers: Positive = 2
    """Layers of the text encoder."""
    heads: Positive = 4
    """Attention heads of both."""
    projection: Positive = 64
    """P, numbers in an embedding that pictures and texts share."""

    @model_validator(mode="after")
    def _divides(self) -> Config:
        for name, value in (("width", self.width), ("text_width", self.text_width)):
            if value % self.heads:
                raise ValueError(f"heads is {self.heads}, which does not divide {name} {value}")
        return self


class Clip(nn.Module):
    """Pictures [N, 3, H, W] in [0, 1] and tokens [B, L] → embeddings [N, P] and [B, P], not normalised."""

    mean: Tensor
    std: Tensor

    def __init__(self, config: Config, size: int, vocabulary: int, length: int) -> None:
        super().__init__()
        from transformers import CLIPConfig, CLIPModel

        if size % config.patch:
            raise ValueError(f"models.clip.patch is {config.patch}, which does not divide the view's side of {size}")
        text = {
            "vocab_size": vocabulary, "max_position_embeddings": length, "hidden_size": config.text_width,
            "intermediate_size": 4 * config.text_width, "num_hidden_layers": config.text_layers,
            "num_attention_heads": config.heads, "projection_dim": config.projection,
            "bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 1,
        }  # fmt: skip
        vision = {
            "image_size": size, "patch_size": config.patch, "hidden_size": config.width,
            "intermediate_size": 4 * config.width, "num_hidden_layers": config.layers,
            "num_attention_heads": config.heads, "projection_dim": config.projection,
        }  # fmt: skip
        self.network = CLIPModel(
            CLIPConfig(text_config=text, vision_config=vision, projection_dim=config.projection)
        )  # fmt: skip
        self.register_buffer("mean", torch.zeros(1, 3, 1, 1))
        self.register_buffer("std", torch.ones(1, 3, 1, 1))

    @property
    def scale(self) -> Tensor:
        """Logarithm of what cosines are multiplied by; it is learnt."""
        return self.network.logit_scale

    def images(self, frames: Tensor) -> Tensor:
        """Projected class tokens [N, P]."""
        return self.network.get_image_features(pixel_values=(frames - self.mean) / self.std).pooler_output

    def texts(self, tokens: Tensor) -> Tensor:
        """Projected end tokens [B, P]."""
        return self.network.get_text_features(input_ids=tokens).pooler_output

    def forward(self, frames: Tensor, tokens: Tensor) -> tuple[Tensor, Tensor]:
        return self.images(frames), self.texts(tokens)


def build(config: Config, size: int, vocabulary: int, length: int) -> nn.Module:
    """The network for square pictures of `size` pixels and texts of up to `length` of `vocabulary` different tokens.

    Raises:
        ValueError: the patches do not divide the pictures.
    """
    return Clip(config, size, vocabulary, length)
