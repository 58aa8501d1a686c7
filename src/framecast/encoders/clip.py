"""CLIP's image encoder (Radford et al. 2021, arXiv 2103.00020): the projected class token, not normalised.

It lies in the space that CLIP shares with its texts: the cosine with a text's projected embedding says how well the
text fits the picture.
"""

from __future__ import annotations

from torch import Tensor

from framecast.encoders._image import ImageEncoder
from framecast.weights import hub


class Clip(ImageEncoder):
    """The class token after the last norm, projected."""

    def pooled(self, pixels: Tensor) -> Tensor:
        return self.network(pixel_values=pixels).image_embeds

    def check_size(self, height: int, width: int) -> None:
        super().check_size(height, width)
        side = self.network.config.image_size
        if (height, width) != (side, side):
            raise ValueError(
                f"the view is {height}x{width}, but this CLIP takes {side}x{side} only; add a view of {[side, side]} "
                "to the frame set and name it in the encoder's `view`"
            )


def load(weights: str, revision: str | None, pool: str = "cls") -> Clip:
    """Load a CLIP image encoder with its projection.

    Args:
        weights: Hub name (`openai/clip-vit-base-patch32`) or a folder in the hub's format.
        revision: Commit of the hub model; None for a folder.
        pool: `cls`; CLIP's projection belongs to the class token.

    Raises:
        WeightsError: the weights are absent, pickled, incomplete or of another architecture.
        ValueError: another `pool`.
    """
    from transformers import CLIPVisionModelWithProjection

    if pool != "cls":
        raise ValueError(f"{weights}: `pool` is {pool!r}, but CLIP's projection reads the class token; set `pool: cls`")
    path = hub.folder(weights, revision)
    hub.describe(path, ("clip_vision_model", "clip"))
    network = hub.load(CLIPVisionModelWithProjection, path)
    first = network.vision_model.embeddings.patch_embedding
    return Clip(network, first, network.config.projection_dim, path, revision, pool)
