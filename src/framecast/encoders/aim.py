"""AIMv2 (Fini et al. 2024, arXiv 2411.14402): vision networks trained by autoregression, without a class token."""

from __future__ import annotations

from torch import Tensor

from framecast.encoders._image import ImageEncoder
from framecast.weights import hub


class Aim(ImageEncoder):
    """Mean of the patch tokens, or the network's own attention pooling head where it has one (`pool: cls`)."""

    def pooled(self, pixels: Tensor) -> Tensor:
        output = self.network(pixel_values=pixels)
        return output.pooler_output if self.pool == "cls" else output.last_hidden_state.mean(1)

    def check_size(self, height: int, width: int) -> None:
        super().check_size(height, width)
        config = self.network.config
        if not config.is_native and (height, width) != (config.image_size, config.image_size):
            raise ValueError(
                f"the view is {height}x{width}, but this AIMv2 takes {config.image_size}x{config.image_size} only; "
                "use a view of that size, or the `native` weights, which take any multiple of the patch"
            )


def load(weights: str, revision: str | None, pool: str = "mean") -> Aim:
    """Load an AIMv2 vision network.

    Args:
        weights: Hub name (`apple/aimv2-large-patch14-224`) or a folder in the hub's format.
        revision: Commit of the hub model; None for a folder.
        pool: `mean`, or `cls` for the attention pooling head.

    Raises:
        WeightsError: the weights are absent, pickled, incomplete or of another architecture.
        ValueError: `pool: cls`, but the network has no head.
    """
    from transformers import Aimv2VisionModel

    path = hub.folder(weights, revision)
    hub.describe(path, ("aimv2_vision_model", "aimv2"))
    network = hub.load(Aimv2VisionModel, path)
    if pool == "cls" and not network.use_head:
        raise ValueError(
            f"{weights}: `pool` is 'cls', but this AIMv2 network has no class token and no head; set `pool: mean`"
        )
    return Aim(network, network.embeddings.patch_embed, network.config.hidden_size, path, revision, pool)
