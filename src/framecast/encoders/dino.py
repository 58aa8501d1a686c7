"""DINOv2 (Oquab et al. 2023, arXiv 2304.07193) of any width: small 384, base 768, large 1024, giant 1536, our own."""

from __future__ import annotations

from torch import Tensor

from framecast.encoders._image import ImageEncoder
from framecast.weights import hub


class Dino(ImageEncoder):
    """Class token after the last norm, or the mean of the patch tokens; positions are interpolated to the view."""

    def pooled(self, pixels: Tensor) -> Tensor:
        tokens = self.network(pixel_values=pixels).last_hidden_state  # [B, 1 + N, D]
        return tokens[:, 0] if self.pool == "cls" else tokens[:, 1:].mean(1)


def load(weights: str, revision: str | None, pool: str = "cls") -> Dino:
    """Load a DINOv2 network.

    Args:
        weights: Hub name (`facebook/dinov2-small`) or a folder in the hub's format.
        revision: Commit of the hub model; None for a folder.
        pool: `cls` or `mean`.

    Raises:
        WeightsError: the weights are absent, pickled, incomplete or of another architecture.
        ValueError: the network was trained to be read by another `pool`.
    """
    from transformers import Dinov2Model

    path = hub.folder(weights, revision)
    config = hub.describe(path, ("dinov2",))
    if config.get(hub.POOL, pool) != pool:
        raise ValueError(
            f"{weights}: this network was trained to be read by {config[hub.POOL]!r} tokens, and `pool` is {pool!r}; "
            f"set the encoder's `pool: {config[hub.POOL]}`"
        )
    network = hub.load(Dinov2Model, path)
    return Dino(
        network, network.embeddings.patch_embeddings.projection, network.config.hidden_size, path, revision, pool
    )
