"""Figures as SVG for pages or PNG for files, drawn without a display; they know labels and numbers, no tasks.

Text and lines are drawn in one ink colour that becomes `currentColor` in SVG, so that a page's light or dark theme
decides it. Colours of experiments are those of Okabe and Ito, which differ with any kind of colour vision.
"""

from __future__ import annotations

import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from framecast.analysis.verdicts import Tone
from framecast.core.seeding import rng

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK = "#1b1f24"
QUIET = "#8a9099"
PALETTE = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
TRIVIAL = QUIET
TONES: dict[Tone, str] = {"better": "#1a8f4c", "worse": "#d1383d", "open": QUIET}
WIDTH = 5.6  # inches of 72 points; two figures stand side by side on a page
WIDE = 7.6
POINTS = 400  # dots drawn of a distribution; more hide each other
CURVE_COLUMNS = ["step", "split", "quantity", "value"]

STYLE: dict[Any, Any] = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 9,
    "text.color": INK,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.formatter.limits": (-4, 5),
    "axes.formatter.useoffset": False,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "grid.color": QUIET,
    "grid.alpha": 0.25,
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "svg.fonttype": "none",
    "svg.hashsalt": "framecast",
    "path.simplify": True,
}


@dataclass(frozen=True)
class Mean:
    """One experiment's value with its interval, and the value of each of its seeds."""

    label: str
    value: float
    low: float | None
    high: float | None
    colour: str
    seeds: Sequence[float] = ()


@dataclass(frozen=True)
class Differences:
    """Treatment minus baseline: one value a unit (none where there is no such), the figure itself and its interval."""

    label: str
    values: np.ndarray
    mean: float
    low: float
    high: float
    tone: Tone


@dataclass(frozen=True)
class Distribution:
    """Values of one experiment, one a sample."""

    label: str
    values: np.ndarray
    colour: str


@dataclass(frozen=True)
class Curve:
    """One quantity over the steps of training, for each seed."""

    label: str
    colour: str
    seeds: Mapping[int, tuple[np.ndarray, np.ndarray]] = field(default_factory=dict)


def colours(experiments: Sequence[str], trivial: Sequence[str] | set[str] = ()) -> dict[str, str]:
    """experiment → colour: grey for trivial baselines, the palette in order for the others."""
    trained = [name for name in experiments if name not in trivial]
    return {name: TRIVIAL if name in trivial else PALETTE[trained.index(name) % len(PALETTE)] for name in experiments}


def means(rows: Sequence[Mean], axis: str, baseline: str | None = None, kind: str = "svg") -> bytes:
    """Values with interval bars, best at the top as given; a dashed line marks the row labelled `baseline`."""
    with _styled():
        figure, axes = _rows_figure(len(rows))
        for place, row in enumerate(rows):
            if row.low is not None and row.high is not None:
                axes.plot([row.low, row.high], [place, place], color=row.colour, linewidth=2.2, solid_capstyle="butt")
            axes.plot(row.seeds, [place] * len(row.seeds), "|", color=row.colour, markersize=9, alpha=0.8)
            axes.plot(row.value, place, "o", color=row.colour, markersize=6)
            if row.label == baseline:
                axes.axvline(row.value, color=INK, linewidth=0.9, linestyle=(0, (4, 3)), zorder=0)
        _label_rows(axes, [row.label for row in rows], axis)
        return _render(figure, kind)


def differences(rows: Sequence[Differences], axis: str, better: str, kind: str = "svg") -> bytes:
    """Paired differences: a dot a unit, the figure with its interval, and which side of zero is the better one."""
    with _styled():
        figure, axes = _rows_figure(len(rows), extra=0.25)
        draws = rng(0, "figure", "jitter")
        for place, row in enumerate(rows):
            shown = _some(row.values, draws)
            height = place + draws.uniform(-0.22, 0.22, len(shown))
            axes.plot(shown, height, "o", color=QUIET, markersize=3.4, alpha=0.55, markeredgewidth=0)
            colour = TONES[row.tone]
            axes.plot([row.low, row.high], [place, place], color=colour, linewidth=3, solid_capstyle="butt")
            axes.plot(row.mean, place, "D", color=colour, markersize=6)
        axes.axvline(0, color=INK, linewidth=0.9)
        _label_rows(axes, [row.label for row in rows], axis)
        sides: tuple[Tone, Tone] = ("better", "worse") if better == "lower" else ("worse", "better")
        axes.text(0, 1.02, f"← {sides[0]}", transform=axes.transAxes, color=TONES[sides[0]], fontsize=8.5)
        axes.text(1, 1.02, f"{sides[1]} →", transform=axes.transAxes, color=TONES[sides[1]], fontsize=8.5, ha="right")
        return _render(figure, kind)


def distributions(rows: Sequence[Distribution], axis: str, kind: str = "svg") -> bytes:
    """Values of single samples: a box from quartile to quartile, whiskers from 5 to 95 %, some samples as dots."""
    with _styled():
        figure, axes = _rows_figure(len(rows))
        draws = rng(0, "figure", "jitter")
        for place, row in enumerate(rows):
            shown = _some(row.values, draws)
            height = place + draws.uniform(-0.3, 0.3, len(shown))
            axes.plot(shown, height, "o", color=row.colour, markersize=2.2, alpha=0.35, markeredgewidth=0)
            low, first, middle, third, high = np.quantile(row.values, [0.05, 0.25, 0.5, 0.75, 0.95])
            axes.plot([low, high], [place, place], color=row.colour, linewidth=1.2)
            axes.barh(
                place, third - first, 0.5, left=first, facecolor=(1, 1, 1, 0), edgecolor=row.colour, linewidth=1.4
            )
            axes.plot([middle, middle], [place - 0.25, place + 0.25], color=row.colour, linewidth=2.4)
        if rows and _wide(np.concatenate([row.values for row in rows])):
            axes.set_xscale("log")
        _label_rows(axes, [row.label for row in rows], axis)
        return _render(figure, kind)


def curves(rows: Sequence[Curve], axis: str, kind: str = "svg") -> bytes:
    """Learning curves: each seed a thin line, the mean over the steps that all seeds have a thick one."""
    with _styled():
        figure = _figure(WIDE, 3.2)
        axes = figure.subplots()
        drawn = []
        for row in rows:
            for steps, values in row.seeds.values():
                axes.plot(steps, values, color=row.colour, linewidth=0.7, alpha=0.45)
                drawn.append(np.asarray(values))
            steps, mean = _mean_curve(row)
            axes.plot(steps, mean, color=row.colour, linewidth=2, label=_plain(row.label), marker="o", markersize=2.5)
        if drawn and _wide(np.concatenate(drawn)):
            axes.set_yscale("log")
        axes.set_xlabel("training step")
        axes.set_ylabel(_plain(axis, 50))
        axes.grid(True)
        if rows:
            figure.legend(loc="outside right upper")
        return _render(figure, kind)


def read_curve(path: str | Path, split: str, quantity: str) -> tuple[np.ndarray, np.ndarray]:
    """(steps, values) of one quantity of a curve.csv; empty where it was not logged."""
    table = pd.read_csv(path, usecols=CURVE_COLUMNS)
    rows = table[(table["split"] == split) & (table["quantity"] == quantity)].sort_values("step")
    return rows["step"].to_numpy(), rows["value"].to_numpy(float)


def _styled() -> Any:
    """The style of all figures, for a `with` block. Only what draws loads matplotlib: the workbook does without it."""
    import matplotlib

    return matplotlib.rc_context(STYLE)


def _figure(width: float, height: float) -> Figure:
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def _rows_figure(rows: int, extra: float = 0.0) -> tuple[Figure, Axes]:
    figure = _figure(WIDTH, 0.75 + extra + 0.36 * rows)
    return figure, figure.subplots()


def _label_rows(axes: Axes, labels: Sequence[str], axis: str) -> None:
    axes.set_yticks(range(len(labels)), [_plain(label) for label in labels])
    axes.set_ylim(len(labels) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.set_xlabel(_plain(axis, 80))
    axes.grid(True, axis="x")


def _plain(text: str, longest: int = 32) -> str:
    """Text that matplotlib does not read as mathematics, short enough for a margin."""
    text = text.encode("utf-8", "replace").decode("utf-8")  # a file name's bytes that are no text
    short = text if len(text) <= longest else text[: longest - 1] + "…"
    return short.replace("$", r"\$")


def _some(values: np.ndarray, draws: np.random.Generator) -> np.ndarray:
    return values if len(values) <= POINTS else draws.choice(values, POINTS, replace=False)


def _wide(values: np.ndarray) -> bool:
    """Whether all values are positive and span so much that a logarithmic axis reads better."""
    low, high = np.quantile(values, [0.02, 0.98])
    return bool(values.min() > 0 and high > 30 * low)


def _mean_curve(row: Curve) -> tuple[np.ndarray, np.ndarray]:
    """Mean over seeds at the steps that all of them have (early stopping ends them at different ones)."""
    if not row.seeds:
        return np.empty(0), np.empty(0)
    parts = [pd.Series(values, index=steps).groupby(level=0).last() for steps, values in row.seeds.values()]
    together = pd.concat(parts, axis=1, join="inner").mean(axis=1)
    return together.index.to_numpy(), together.to_numpy()


def _render(figure: Figure, kind: str) -> bytes:
    buffer = io.BytesIO()
    if kind == "png":
        figure.savefig(buffer, format="png", dpi=160, facecolor="white", metadata={"Software": None})
        return buffer.getvalue()
    if kind != "svg":
        raise ValueError(f"figures are drawn as 'svg' or 'png', not {kind!r}")
    figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    return _inline(buffer.getvalue().decode("utf-8")).encode("utf-8")


def _inline(svg: str) -> str:
    """What may stand inside a page: no prologue, no fixed size, no repeated ids, ink in the page's colour."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", svg, count=1)
    svg = re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", svg, count=1)
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r"<style.*?</style>", "", svg, flags=re.DOTALL)
    svg = svg.replace("<svg", '<svg stroke-linejoin="round"', 1)
    svg = re.sub(r' id="[a-zA-Z.]+[a-zA-Z0-9]*_\d+"', "", svg)
    svg = svg.replace("'DejaVu Sans', sans-serif", "system-ui, sans-serif")
    return svg.replace(INK, "currentColor")
