"""What a comparison says of a treatment: the only words for it, in files, workbook, page and `framecast show`.

docs/statistics.md says what each means.
"""

from __future__ import annotations

import enum
from typing import Literal


class Verdict(enum.StrEnum):
    """What is said of a treatment against the baseline of its comparison, on one split and metric."""

    BETTER = "better"
    WORSE = "worse"
    BETTER_OPEN = "better, not significant"
    WORSE_OPEN = "worse, not significant"
    EVEN = "same mean, not significant"
    EQUAL = "equal"
    SAME_SCORES = "same scores"
    INTERVAL = "interval only"
    REFUSED = "refused"


Tone = Literal["better", "worse", "open"]

SIGNS: dict[Verdict, str] = {
    Verdict.BETTER: "▲",
    Verdict.WORSE: "▼",
    Verdict.BETTER_OPEN: "△",
    Verdict.WORSE_OPEN: "▽",
    Verdict.EVEN: "≈",
    Verdict.EQUAL: "=",
    Verdict.SAME_SCORES: "=",
    Verdict.INTERVAL: "↔",
    Verdict.REFUSED: "–",
}
"""A sign for each verdict, where a word is too long."""

EQUALITIES: dict[Verdict, str] = {
    Verdict.EQUAL: "every prediction is the same, bit for bit",
    Verdict.SAME_SCORES: "every score is the same; that the predictions are is not known",
}
"""What is the same where there is nothing to test."""


def of_test(ahead: str | None, significant: bool) -> Verdict:
    """The verdict of a test. ahead: the side with the better mean, `treatment` or `baseline`; None where none is."""
    if ahead is None:
        return Verdict.EVEN
    if ahead == "treatment":
        return Verdict.BETTER if significant else Verdict.BETTER_OPEN
    return Verdict.WORSE if significant else Verdict.WORSE_OPEN


def said(verdict: str, baseline: str) -> str:
    """The verdict in words; two of them name what the treatment is compared with. baseline: its name or title."""
    return {Verdict.EQUAL: f"equal to {baseline}", Verdict.SAME_SCORES: f"same scores as {baseline}"}.get(
        Verdict(verdict), str(verdict)
    )


def tone(verdict: str) -> Tone:
    """What decides the colour: only a significant test is `better` or `worse`."""
    if verdict == Verdict.BETTER:
        return "better"
    return "worse" if verdict == Verdict.WORSE else "open"
