"""CLIP's text encoder (Radford et al. 2021, arXiv 2103.00020) as Stable Diffusion reads it: one hidden state a token.

Texts are padded to the tokenizer's limit with the end token, and what is longer is cut; the hidden states are those
after the last norm. That is what diffusers' Stable Diffusion pipelines feed their UNet.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from framecast.core.files import canonical, digest, file_digest, read_json
from framecast.weights import hub

ARCHITECTURES = ("clip_text_model", "clip")
TOKENIZER = ("tokenizer.json", "vocab.json", "merges.txt", "tokenizer_config.json", "special_tokens_map.json")
"""Files that decide how a text is cut into tokens."""


class ClipText(nn.Module):
    """A frozen text encoder with its tokenizer.

    Attributes:
        length: L, tokens that each text is padded or cut to.
        width: D, numbers a token.
        identity: Digest of weights, config, tokenizer and revision.
    """

    def __init__(self, network: Any, tokenizer: Any, identity: str) -> None:
        super().__init__()
        self.network: Any = network
        self.tokenizer = tokenizer
        self.length, self.width, self.identity = int(tokenizer.model_max_length), network.config.hidden_size, identity
        self.eval()

    @torch.inference_mode()
    def encode(self, texts: list[str]) -> Tensor:
        """Hidden states after the last norm, float32 [B, L, D], on the network's device."""
        found = self.tokenizer(
            texts, padding="max_length", max_length=self.length, truncation=True, return_tensors="pt"
        )  # fmt: skip
        device = next(self.network.parameters()).device
        masked = getattr(self.network.config, "use_attention_mask", False)
        mask = found["attention_mask"].to(device) if masked else None
        return self.network(found["input_ids"].to(device), attention_mask=mask).last_hidden_state.float()

    def count(self, text: str) -> int:
        """Tokens of a text, start and end included, before any is cut."""
        return len(self.tokenizer(text, truncation=False, verbose=False)["input_ids"])


def load(weights: str, revision: str | None) -> ClipText:
    """Load a text encoder with its tokenizer.

    Args:
        weights: Hub name or folder of a CLIP model (`openai/clip-vit-base-patch32`), or of a diffusers pipeline
            (`timbrooks/instruct-pix2pix`), whose parts `text_encoder` and `tokenizer` are taken.
        revision: Commit of the hub model; None for a folder.

    Raises:
        WeightsError: weights or tokenizer are absent, pickled, incomplete, of another architecture, or do not belong
            together.
    """
    from transformers import CLIPTextModel

    path, words = hub.parts(weights, revision, "text_encoder", "tokenizer")
    config = hub.describe(path, ARCHITECTURES)
    network = hub.load(CLIPTextModel, path, beside=("vision_model.",))
    tokenizer = _tokenizer(words, network.config)
    config = {key: value for key, value in config.items() if not key.startswith("_") and key != "transformers_version"}
    files = [*hub.weight_files(path), *(words / name for name in TOKENIZER if (words / name).is_file())]
    parts = [part for file in files for part in (file.name, file_digest(file))]
    return ClipText(network, tokenizer, digest("clip_text", *parts, canonical(config), revision or "folder"))


def _tokenizer(path: Path, config: Any) -> Any:
    """The tokenizer of a folder, after checking that it suits the network with this config."""
    from framecast.weights.tokens import FolderTokens

    tokens = FolderTokens(path)
    tokenizer, positions = tokens.tokenizer, config.max_position_embeddings
    if tokens.size > config.vocab_size:
        raise hub.WeightsError(
            f"{path}: the tokenizer has {tokens.size} tokens, the text encoder knows {config.vocab_size}; take both "
            "from one and the same model and revision"
        )
    if tokenizer.model_max_length > positions:
        named = path / "tokenizer_config.json"
        said = read_json(named).get("model_max_length", "absent") if named.is_file() else "absent"
        raise hub.WeightsError(
            f"{path}: model_max_length in tokenizer_config.json is {said}, but the text encoder has {positions} "
            f"positions; write a number of at most {positions} (77 for CLIP)"
        )
    return tokenizer
