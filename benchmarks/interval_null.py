"""How often a 95 % bootstrap interval leaves zero out where there is nothing to find.

    python benchmarks/interval_null.py [--cases 1000]

Both sides of a comparison are drawn from the same distribution: masks of units whose classes and sizes differ widely
(corpus IoU), and ranks of frames that are alike within a unit (median). An interval that kept its promise would leave
zero out in 5 % of the cases; this is why `framecast.analysis.statistics` gives such metrics an interval and no verdict.
Beside them stands the paired t-test of means on the same ranks, which has a verdict.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

import numpy as np

from framecast.analysis.statistics import compare
from framecast.metrics import METRICS, Metric, corpus_rows
from framecast.scores import COLUMNS, Scores

UNITS, CLASSES, OBJECTS, FRAMES, ALPHA = (15, 63), 49, 3, 6, 0.05
MEAN = Metric("rank, mean", "", "lower", "mean", "")
MEDIAN = Metric("rank, median", "", "lower", "median", "")
Rows = tuple[list[int], list[str], np.ndarray]
"""Unit, metric and value of each row."""


def masks(rng: np.random.Generator, units: int) -> Callable[[], Rows]:
    """Pixel counts of classes: `OBJECTS` of them in a unit on average, sizes over two orders of magnitude."""
    union = np.round(rng.lognormal(5, 1.2, (units, CLASSES))) * (rng.random((units, CLASSES)) < OBJECTS / CLASSES)
    union[:, 0] = 5000  # background
    level = rng.normal(0.5, 0.15, (units, 1))

    def side() -> Rows:
        share = np.clip(level + rng.normal(0, 0.15, union.shape), 0, 1)
        places, names, values = corpus_rows("iou_corpus", np.round(share * union), union)
        return places.tolist(), names, values

    return side


def ranks(rng: np.random.Generator, units: int, metric: str) -> Callable[[], Rows]:
    """Ranks of the frames of each unit, which share their level."""
    level = rng.lognormal(2, 0.7, (units, 1))

    def side() -> Rows:
        own = level * rng.lognormal(0, 0.3, (units, 1)) * rng.lognormal(0, 0.4, (units, FRAMES))
        return np.repeat(np.arange(units), FRAMES).tolist(), [metric] * own.size, np.ceil(own).ravel()

    return side


def result(draw: Callable[[], Rows], metric: str) -> dict:
    """The test or interval of two sides drawn alike."""
    columns: dict[str, list] = {name: [] for name in COLUMNS}
    for experiment in ("baseline", "treatment"):
        units, names, values = draw()
        samples = [f"{unit}#{place}" for place, unit in enumerate(units)] if metric != "iou_corpus" else units
        texts = {"experiment": experiment, "data": "null", "split": "test", "seed": 0}
        for name, one in texts.items():
            columns[name] += [one] * len(units)
        columns["sample_id"] += [str(one) for one in samples]
        columns["unit"] += [str(one) for one in units]
        columns["metric"] += names
        columns["value"] += values.tolist()
    entry = {"baseline": "baseline", "treatments": ["treatment"], "splits": ["test"], "metrics": [metric],
             "alpha": ALPHA}  # fmt: skip
    found = compare("null", entry, Scores.of(columns), {}, "select", METRICS | {"mean": MEAN, "median": MEDIAN})
    return (found["tests"] + found["intervals"])[0]


CASES: dict[str, Callable[[np.random.Generator, int], Callable[[], Rows]]] = {
    "iou_corpus": masks,
    "median": lambda rng, units: ranks(rng, units, "median"),
    "mean": lambda rng, units: ranks(rng, units, "mean"),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=1000, help="null comparisons of each kind")
    count = parser.parse_args().cases
    print(f"{count} null comparisons each; share whose 95 % interval of the difference leaves zero out")
    for metric, make in CASES.items():
        for units in UNITS:
            rng, wrong = np.random.default_rng(units), 0
            for _ in range(count):
                one = result(make(rng, units), metric)
                wrong += one["low"] > 0 or one["high"] < 0
            how = "bootstrap interval" if one["kind"] == "bootstrap" else "paired t"
            print(f"{metric:10}  n = {units:2}  {wrong / count:6.1%}  {how}")


if __name__ == "__main__":
    main()
