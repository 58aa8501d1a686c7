"""Texts → numbers of tokens: CLIP's tokenizer from a folder in the hub's format, or whole words of the training split.

A text becomes start, its tokens, end. What is longer than the limit loses tokens before its end, and is counted.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from framecast.weights import hub

START, END, UNKNOWN = 0, 1, 2
"""Numbers that `Words` gives to the start, the end and every word that it does not know."""
WORD = re.compile(r"\w+|[^\w\s]")


class Words:
    """A word a token, without case. Vocabulary: the words of some texts in alphabetical order; nothing is random.

    Attributes: vocabulary, words from number 3 on. size, numbers there are.
    """

    def __init__(self, vocabulary: Sequence[str]) -> None:
        self.vocabulary = list(vocabulary)
        self.size = UNKNOWN + 1 + len(self.vocabulary)
        self._numbers = {word: number for number, word in enumerate(self.vocabulary, UNKNOWN + 1)}

    def __call__(self, text: str) -> list[int]:
        """Start, one number a word or sign, end."""
        return [START, *(self._numbers.get(word, UNKNOWN) for word in WORD.findall(text.casefold())), END]


def words_of(texts: Iterable[str]) -> Words:
    """The tokenizer whose vocabulary is every word of these texts."""
    return Words(sorted({word for text in texts for word in WORD.findall(text.casefold())}))


class FolderTokens:
    """The tokenizer of a CLIP model. Attributes: size, numbers there are; tokenizer, transformers' `CLIPTokenizer`."""

    def __init__(self, path: Path) -> None:
        """
        Raises:
            WeightsError: the folder holds no tokenizer.
        """
        from transformers import CLIPTokenizer

        if not ((path / "tokenizer.json").is_file() or (path / "vocab.json").is_file()):
            raise hub.WeightsError(
                f"{path}: has no tokenizer.json, nor vocab.json and merges.txt; copy them from the model whose text "
                "encoder is used"
            )
        self.tokenizer: Any = CLIPTokenizer.from_pretrained(path, local_files_only=True)
        self.size = len(self.tokenizer)

    def __call__(self, text: str) -> list[int]:
        """Start, the text's tokens, end."""
        return list(self.tokenizer(text, truncation=False, verbose=False)["input_ids"])


@dataclass(frozen=True)
class Table:
    """Texts as numbers.

    Attributes: ids int64 [S, L], filled up with each text's last token. kept bool [S, L], false where filled up. long:
    texts that lost tokens to the limit.
    """

    ids: np.ndarray
    kept: np.ndarray
    long: list[str]


def table(tokenizer: Callable[[str], list[int]], texts: Sequence[str], limit: int) -> Table:
    """Tokenise texts; L is the length of the longest, at most `limit` (77 for CLIP), start and end included."""
    whole = [tokenizer(text) for text in texts]
    cut = [numbers if len(numbers) <= limit else [*numbers[: limit - 1], numbers[-1]] for numbers in whole]
    width = max(map(len, cut))
    return Table(
        np.array([numbers + numbers[-1:] * (width - len(numbers)) for numbers in cut], np.int64),
        np.array([[place < len(numbers) for place in range(width)] for numbers in cut]),
        [text for text, numbers in zip(texts, whole, strict=True) if len(numbers) > limit],
    )
