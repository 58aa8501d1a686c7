"""Texts in the form of Something-Something V2, and captions for retrieval."""

from __future__ import annotations

import re

SLOT = re.compile(r"\[something\]", re.IGNORECASE)


def fill(template: str, placeholders: list[str]) -> str:
    """A raw template with its slots filled in order, in lower case as in Something-Something V2.

    Raises ValueError when the numbers of slots and placeholders differ.
    """
    slots = len(SLOT.findall(template))
    if slots != len(placeholders):
        raise ValueError(f"{template!r} has {slots} slots, got {len(placeholders)} placeholders: {placeholders}")
    rest = iter(placeholders)
    return SLOT.sub(lambda _: next(rest), template).lower()


def caption(main: str, asides: list[str], floor: str) -> str:
    """One sentence: what happens, what else is there, on which floor."""
    parts = [main, *(f"while {aside}" if k == 0 else aside for k, aside in enumerate(asides))]
    sentence = " and ".join([", ".join(parts[:-1]), parts[-1]]) if len(parts) > 2 else " ".join(parts)
    return f"{sentence[0].upper()}{sentence[1:]}, on {'an' if floor[0] in 'aeiou' else 'a'} {floor} floor."
