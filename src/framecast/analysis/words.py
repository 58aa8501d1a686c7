"""How results are said: numbers, p values and differences as people read them. Light: no pandas."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from framecast.metrics import METRICS


def number(value: float | None, digits: int = 4) -> str:
    """A number as people read it: some significant digits, a true minus sign, a dash for none."""
    if value is None or not np.isfinite(value):
        return "–"
    return f"{value:.{digits}g}".replace("-", "−")


def percent(value: float) -> str:
    """A share as a percentage, without sign."""
    return f"{abs(value):.1%}" if abs(value) < 0.995 else f"{abs(value):.0%}"


def p_value(value: float) -> str:
    return "p < 0.0001" if value < 0.0001 else f"p = {value:.2g}" if value < 0.1 else f"p = {value:.2f}"


def by_how_much(result: Mapping[str, Any]) -> str:
    """`12.3% lower` for errors, `0.31 dB higher` for other metrics."""
    metric = METRICS[result["metric"]]
    direction = "lower" if result["difference"] < 0 else "higher"
    if metric.better == "lower" and metric.reducer == "mean" and result["relative_change"] is not None:
        return f"{percent(result['relative_change'])} {direction}"
    size = number(abs(result["difference"]), 3) + in_unit(result["metric"]).replace(",", "")
    return f"{size} {direction}" if result["difference"] else "same value"


def basis(metric: str) -> str:
    """What a figure is made of: `mean`, `median of all samples`, `all samples counted together`."""
    words = {"mean": "mean", "median": "median of all samples", "corpus": "all samples counted together"}
    return words[METRICS[metric].reducer]


def interval(metric: str, alpha: float) -> str:
    """The kind of a metric's intervals: `95% confidence interval over units`."""
    kind = "confidence" if METRICS[metric].reducer == "mean" else "bootstrap"
    return f"{1 - alpha:.0%} {kind} interval over units"


def in_unit(metric: str) -> str:
    """`, dB` behind a title; nothing where the title says what is counted."""
    kind = METRICS[metric]
    return f", {kind.unit}" if kind.unit and kind.unit.lower() not in kind.title.lower() else ""


def seeds_text(results: Sequence[Mapping[str, Any]]) -> str:
    """How many seeds stand on each side: `3 seeds`, `3 seeds against 1`, `1–3 seeds against 1`."""
    sides = [sorted({one[f"{side}_seeds"] for one in results}) for side in ("treatment", "baseline")]
    texts = [f"{side[0]}" if len(side) == 1 else f"{side[0]}–{side[-1]}" for side in sides]
    seeds = f"{texts[0]} seed" + ("" if texts[0] == "1" else "s")
    return seeds if texts[0] == texts[1] else f"{seeds} against {texts[1]}"
