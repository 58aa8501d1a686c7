"""A run's predictions of one split as pictures, with its scores sample by sample in `results.json`."""

from __future__ import annotations

import csv
import statistics
from pathlib import Path
from typing import Any

from framecast.core import components, contract, lifeline
from framecast.core.files import read_json, replacing, write_json
from framecast.stores import Stores, predictions

TOLD = ("data_range", "caution")
"""Facts of the scoring that are told in results.json, where the task says them."""


def draw(spec: dict[str, Any], source: Path, scores: Path, facts: Path, stores: Stores, split: str, out: Path) -> None:
    """Write the folder `out` with what the task's `pictures` draws, and results.json.

    results.json: experiment, split, seed; what the task says of the scoring (`TOLD`); `samples`, a row for each with
    what the task tells of it and its scores; `mean` and `std` over the samples, metric by metric. `std` divides by
    n - 1 and is null for one sample.

    Args:
        spec: experiment, seed, task, data, fingerprint.
        source: File of `prediction.inference.predict`.
        scores, facts: Files of `scoring.score` of the same predictions.

    Raises:
        ValueError: the task draws no pictures.
    """
    lifeline.follow()
    task = components.load_task(spec["task"]["name"])
    pictures = contract.hook(task, "pictures")
    if pictures is None:
        raise ValueError(
            f"{spec['experiment']}: the task {spec['task']['name']!r} draws no pictures; take the experiment off "
            "run.pictures"
        )
    dataset = task.dataset(spec["task"], stores, split)
    values, said = _by_sample(scores), read_json(facts)
    with replacing(out) as folder:
        folder.mkdir()
        told = pictures(spec["task"], predictions.read(source), dataset, folder)
        record = {
            "experiment": spec["experiment"], "split": split, "seed": spec["seed"],
            **{key: said[key] for key in TOLD if key in said},
            "samples": [row | values[row["sample_id"]] for row in told], **_summary(values),
        }  # fmt: skip
        write_json(folder / "results.json", record)


def _by_sample(scores: Path) -> dict[str, dict[str, float]]:
    """Sample id → metric → value."""
    found: dict[str, dict[str, float]] = {}
    with open(scores, encoding="utf-8", newline="") as stream:
        for row in csv.DictReader(stream):
            found.setdefault(row["sample_id"], {})[row["metric"]] = float(row["value"])
    return found


def _summary(values: dict[str, dict[str, float]]) -> dict[str, dict[str, float | None]]:
    columns = {name: [one[name] for one in values.values() if name in one]
               for name in sorted({name for one in values.values() for name in one})}  # fmt: skip
    return {
        "mean": {name: statistics.fmean(column) for name, column in columns.items()},
        "std": {name: statistics.stdev(column) if len(column) > 1 else None for name, column in columns.items()},
    }
