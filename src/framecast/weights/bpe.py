"""A tokenizer in CLIP's format, learnt from a few texts: byte-level BPE, lower case, `</w>` at the end of a word.

Sennrich et al. 2016, arXiv 1508.07909; the format is that of Radford et al. 2021, arXiv 2103.00020. Every byte is a
token, also at a word's end, so no text has unknown parts. The texts alone decide the merges: no order, no chance.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from framecast.core.files import write_json

START, END, WORD_END = "<|startoftext|>", "<|endoftext|>", "</w>"
START_ID, END_ID = 0, 1
"""Their numbers; the text is padded with the end."""
BYTES = 256


def learn(texts: Iterable[str], size: int) -> list[str]:
    """The merges of a vocabulary of at most `size` tokens, most frequent first, each as its two parts with a blank.

    Raises:
        ValueError: `size` has no room for the bytes, once inside and once at the end of a word, and for start and end.
    """
    from tokenizers import trainers

    base = vocabulary([])
    if size < len(base):
        raise ValueError(
            f"a vocabulary of {size} tokens has no room for bytes, start and end; give {len(base)} or more"
        )
    backend = tokenizer([], 77).backend_tokenizer
    # All base tokens have their numbers before any text is seen: ties between pairs are decided by these.
    trainer = trainers.BpeTrainer(
        vocab_size=size, special_tokens=base, end_of_word_suffix=WORD_END, show_progress=False
    )  # fmt: skip
    backend.train_from_iterator(sorted(set(texts)), trainer)
    return [" ".join(pair) for pair in json.loads(backend.to_str())["model"]["merges"]]


def vocabulary(merges: Sequence[str]) -> list[str]:
    """Tokens in the order of their numbers: start, end, bytes, bytes at the end of a word, what the merges make."""
    from tokenizers.pre_tokenizers import ByteLevel

    letters = sorted(ByteLevel.alphabet())
    made = (merge.replace(" ", "") for merge in merges)
    return list(dict.fromkeys([START, END, *letters, *(letter + WORD_END for letter in letters), *made]))


def tokenizer(merges: Sequence[str], length: int) -> Any:
    """transformers' `CLIPTokenizer` for texts of up to `length` tokens."""
    from transformers import CLIPTokenizer

    numbers = {token: number for number, token in enumerate(vocabulary(merges))}
    pairs: Any = [tuple(merge.split(" ")) for merge in merges]
    return CLIPTokenizer(vocab=numbers, merges=pairs, model_max_length=length)


class Pieces:
    """Text → numbers of its tokens, start and end included. Attributes: size, numbers there are."""

    def __init__(self, merges: Sequence[str], length: int) -> None:
        self.tokenizer = tokenizer(merges, length)
        self.size = len(self.tokenizer)

    def __call__(self, text: str) -> list[int]:
        return list(self.tokenizer(text, truncation=False, verbose=False)["input_ids"])


def save(merges: Sequence[str], length: int, folder: Path) -> None:
    """Write vocab.json, merges.txt, tokenizer.json and tokenizer_config.json, which `CLIPTokenizer` reads."""
    tokenizer(merges, length).save_pretrained(folder)
    write_json(folder / "vocab.json", {token: number for number, token in enumerate(vocabulary(merges))})
    (folder / "merges.txt").write_text("\n".join(["#version: 0.2", *merges, ""]), encoding="utf-8")
