"""From predictions to one row per sample and metric.

Predicting is apart from it (`framecast.prediction.inference`): a new metric never samples a diffusion model again, and
scoring needs no torch.
"""

from __future__ import annotations

import csv
import math
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from framecast.core import components, lifeline, provenance
from framecast.core.files import file_digest, replacing, write_json
from framecast.core.validation import known, shortened
from framecast.metrics import METRICS, family, part
from framecast.scores import COLUMNS, PREDICTIONS
from framecast.stores import Stores, predictions

if TYPE_CHECKING:
    import pandas as pd


def score(spec: dict[str, Any], source: Path, stores: Stores, split: str, out: Path, facts: Path) -> None:
    """Score the predictions of a split: a table with one row per sample and metric, sorted, and facts beside it.

    Args:
        spec: experiment, seed, task, data, fingerprint.
        source: File of `prediction.inference.predict`.
        out: CSV with the columns `COLUMNS`; values are written so that they read back exactly.
        facts: JSON with what the task says about the scoring, the digest of the predictions (`PREDICTIONS`) and
            provenance. Two of the task's keys are read by all: `gallery`, the digest of what was ranked in, and
            `caution`, a sentence that stands beside the experiment in workbook and page, where its predictions used
            what nobody would know (the future).

    Raises:
        ValueError: predictions of another run or split, a metric that `METRICS` does not know, a sample that was not
            predicted or stands twice, a value that is not finite.
    """
    lifeline.follow()
    found = predictions.read(source)
    for key, wanted in (*((key, spec[key]) for key in ("experiment", "seed", "task", "data")), ("split", split)):
        if found.attrs[key] != wanted:
            was = shortened(found.attrs[key])
            raise ValueError(f"{source} is another run's: {key} is {was}, wanted is {shortened(wanted)}; predict again")
    task = components.load_task(spec["task"]["name"])
    dataset = task.dataset(spec["task"], stores, split)
    table, extra = task.score(spec["task"], found, dataset)
    rows = _checked(table, found, source)
    common = (spec["experiment"], spec["data"], split, spec["seed"])
    record = provenance.record(
        spec=spec,
        split=split,
        predictions=file_digest(source),
        weights=found.attrs["weights"],
        samples=len(found.sample_ids),
        units=len(set(found.units)),
    )
    write_json(facts, {**extra, PREDICTIONS: found.digest(), "provenance": record})
    with replacing(out) as temporary, open(temporary, "w", encoding="utf-8", newline="") as stream:
        # A bare carriage return in a name ends a line for readers, and the writer quotes it only where all text is.
        returns = any("\r" in row[0] + row[1] for row in rows)
        writer = csv.writer(stream, lineterminator="\n", quoting=csv.QUOTE_NONNUMERIC if returns else csv.QUOTE_MINIMAL)
        writer.writerow(COLUMNS)
        writer.writerows((*common, *row[:3], repr(row[3])) for row in rows)


def _checked(table: pd.DataFrame, found: predictions.Predictions, source: Path) -> list[tuple[str, str, str, float]]:
    """The task's rows (sample_id, unit, metric, value), sorted; or an error that names the first bad one."""
    columns = ("sample_id", "unit", "metric", "value")
    rows = sorted(
        (str(name), str(unit), str(metric), float(value))
        for name, unit, metric, value in zip(*(table[column] for column in columns), strict=True)
    )
    units = dict(zip(found.sample_ids, found.units, strict=True))
    for metric in sorted({row[2] for row in rows}):
        _check_name(metric)
    for name, unit, metric, value in rows:
        if name not in units:
            raise ValueError(f"{source}: sample {name!r} is scored but was not predicted")
        if units[name] != unit:
            raise ValueError(f"{source}: sample {name!r} is of unit {units[name]!r}, but scored as of {unit!r}")
        if not math.isfinite(value):
            raise ValueError(
                f"{source}: {metric} of sample {name!r} is {value}; the predictions are broken or the metric is not "
                "defined there: look at the run's curve.csv, or let the task leave such samples out"
            )
    twice, count = Counter((row[0], row[2]) for row in rows).most_common(1)[0] if rows else (("", ""), 0)
    if count != 1:
        problem = f"{twice[1]} of sample {twice[0]!r} stands {count} times" if count else "the task's score has no rows"
        raise ValueError(f"{source}: {problem}")
    return rows


def _check_name(metric: str) -> None:
    """Refuse a name that is neither a metric nor a part of a corpus metric."""
    name = family(metric)
    known("metric", name, METRICS, "the task's score")
    if METRICS[name].reducer == "corpus":
        part(metric)
    elif metric != name:
        raise ValueError(
            f"the task's score has metric {metric!r}, but {name} has no parts: its rows are named {name!r}"
        )
