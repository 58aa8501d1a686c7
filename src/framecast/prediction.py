"""From a trained run to predictions, and from predictions to one row per sample and metric.

The two are apart: a new metric never samples a diffusion model again.
"""

from __future__ import annotations

import csv
import math
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from framecast import components, lifeline, progress, provenance, runs, sessions
from framecast.batches import in_order, loader
from framecast.config import Budget, Settings
from framecast.devices import memory_advice
from framecast.files import file_digest, read_json, replacing, write_json
from framecast.metrics import METRICS, family, part
from framecast.seeding import derive, torch_generator
from framecast.stores import Stores, predictions
from framecast.validation import known

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = ("experiment", "data", "split", "seed", "sample_id", "unit", "metric", "value")
SAME = ("experiment", "seed", "task", "model", "data")


def predict(spec: dict[str, Any], run: Path, stores: Stores, split: str, out: Path, settings: dict[str, Any]) -> None:
    """Predict every sample of a split, in order, with a trained run.

    The generator that the task gets is new for each batch and always has the same seed, (run's seed, "predict"): noise
    that a task derives from `generator.initial_seed()` and the sample's id does not depend on the batch.

    Args:
        spec: experiment, seed, task, model, data, inference, fingerprint.
        run: Folder with run.json and the weights, or beside the run whose weights it takes (`runs.weights_file`);
            batch, threads and precision are those of its budget.
        out: HDF5 file (`framecast.stores.predictions`).

    Raises:
        ValueError: the run is another experiment's, or its weights do not fit the model.
        OutOfMemory: names the keys to change.
    """
    lifeline.follow()
    record, network = load_run(run, spec)
    budget, known_settings = Budget.model_validate(record["spec"]["budget"]), Settings.model_validate(settings)
    task = components.load_task(spec["task"]["name"])
    dataset = task.dataset(spec["task"], stores, split)
    attrs = {
        **{key: spec[key] for key in (*SAME, "inference", "fingerprint")},
        "split": split,
        "weights": file_digest(runs.weights_file(run)),
        "identity": record["identity"],
        "provenance": provenance.record(),
    }
    seed = derive(int(spec["seed"]), "predict")
    with (
        sessions.evaluating(budget, known_settings) as device,
        memory_advice({"budget.batch": budget.batch, "budget.precision": budget.precision}, str(device)),
        predictions.writing(out, attrs) as writer,
    ):
        network.to(device).eval()
        batches = in_order(len(dataset), budget.batch)
        source = loader(dataset, batches, known_settings.workers, device)
        for number, batch in enumerate(progress.track(source, f"predict {split}", len(batches), "batch")):
            torch.manual_seed(derive(seed, number))
            generator = torch_generator(seed, device=device.type)
            found = task.predict(network, batch, generator, spec["inference"])
            arrays = {name: _array(value) for name, value in found.items()}
            writer.append(arrays, batch["sample_id"], [str(unit) for unit in batch["unit"]])


def load_run(run: Path, spec: dict[str, Any] | None = None) -> tuple[dict[str, Any], torch.nn.Module]:
    """The record and the network of a trained run, on the CPU, in evaluation mode.

    Args:
        spec: What the run must be of; null takes what it is.

    Raises:
        FileNotFoundError: the run whose weights it takes is not beside it.
        ValueError: the run is of another experiment, seed, task, model or data; or its weights do not fit.
    """
    record = read_json(run / runs.RECORD)
    trained = record["spec"]
    wanted = trained if spec is None else spec
    for key in SAME:
        if trained[key] != wanted[key]:
            raise ValueError(
                f"{run} holds another run: its {key} is {_short(trained[key])}, wanted is {_short(wanted[key])}; "
                "train it again, or give the folder of the right run"
            )
    network = runs.build(trained, record["facts"])
    runs.restore(network, run, components.load_task(trained["task"]["name"]))
    return record, network.eval()


def score(spec: dict[str, Any], source: Path, stores: Stores, split: str, out: Path, facts: Path) -> None:
    """Score the predictions of a split: a table with one row per sample and metric, sorted, and facts beside it.

    Args:
        spec: experiment, seed, task, data, fingerprint.
        source: File of `predict`.
        out: CSV with the columns `COLUMNS`; values are written so that they read back exactly.
        facts: JSON with what the task says about the scoring and provenance. Two of the task's keys are read by all:
            `gallery`, the digest of what was ranked in, and `caution`, a sentence that stands beside the experiment in
            workbook and page, where its predictions used what nobody would know (the future).

    Raises:
        ValueError: predictions of another run or split, a metric that `METRICS` does not know, a sample that was not
            predicted or stands twice, a value that is not finite.
    """
    lifeline.follow()
    found = predictions.read(source)
    for key, wanted in (*((key, spec[key]) for key in ("experiment", "seed", "task", "data")), ("split", split)):
        if found.attrs[key] != wanted:
            was = _short(found.attrs[key])
            raise ValueError(f"{source} is another run's: {key} is {was}, wanted is {_short(wanted)}; predict again")
    task = components.load_task(spec["task"]["name"])
    dataset = task.dataset(spec["task"], stores, split)
    with sessions.reproducible(1):
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
    write_json(facts, {**extra, "provenance": record})
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


def _array(value: torch.Tensor) -> Any:
    """As numpy; half precision of mixed arithmetic becomes float32."""
    return (value.float() if value.is_floating_point() else value).detach().cpu().numpy()


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 300 else text[:297] + "..."
