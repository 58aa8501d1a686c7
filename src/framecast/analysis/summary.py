"""What the workbook and the report both show, read once from files: comparisons, runs, scores, data.

Nothing here knows a task: experiments are grouped by equal data and equal task (or, where their specs name it, equal
`samples`), because only those share samples, and the trivial baselines among them (networks with nothing to train) are
named from the runs' records.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from framecast import scores
from framecast.analysis import cautions, figures, run_records
from framecast.analysis.answers import Answer, Track, answers
from framecast.analysis.run_records import Run
from framecast.analysis.statistics import level
from framecast.core.files import canonical, read_json
from framecast.metrics import METRICS, family
from framecast.scores import Key, Scores

ALPHA = 0.05  # of the intervals in tables that belong to no comparison


@dataclasses.dataclass(frozen=True)
class DataFiles:
    """Tables of one data set; each may be absent."""

    index: Path | None = None
    rejected: Path | None = None
    splits: Path | None = None


@dataclasses.dataclass(frozen=True)
class Gallery:
    """A picture with what it shows."""

    path: Path
    caption: str
    comparison: str = ""
    """Name of the comparison whose experiments it shows; empty for one that shows data."""


@dataclasses.dataclass(frozen=True)
class ReportInputs:
    """Files that `workbook.write` and `analysis.report.page.write` read. Everything but the scores may be absent."""

    comparisons: Sequence[Path] = ()
    """results/comparisons/{comparison}.json, in the order of the config."""
    scores: Sequence[Path] = ()
    """results/runs/{experiment}/seed_{seed}/scores/{split}.csv."""
    facts: Sequence[Path] = ()
    """results/runs/{experiment}/seed_{seed}/scores/{split}.json: what a task says beside its scores."""
    runs: Sequence[Path] = ()
    """Folders results/runs/{experiment}/seed_{seed} with run.json and, where something trained, curve.csv."""
    data: Mapping[str, DataFiles] = dataclasses.field(default_factory=dict)
    """Name of the data set → its tables."""
    probes: Sequence[Path] = ()
    """results/data/{data}/probes/{encoder}.json."""
    galleries: Sequence[Gallery] = ()
    """Pictures for the report."""
    titles: Mapping[str, str] = dataclasses.field(default_factory=dict)
    """Experiment → name in tables and plots; the key where it has none."""
    tracks: Mapping[str, Track] = dataclasses.field(default_factory=dict)
    """Name of the track → what belongs to it."""
    note: str = ""
    """A sentence on top of the page: what the run is for."""
    units: Mapping[str, str] = dataclasses.field(default_factory=dict)
    """Name of the data set → what its independent unit is: `video` or `group`."""
    config: str = ""
    """The resolved config as text."""


@dataclasses.dataclass(frozen=True)
class Group:
    """Experiments on the same samples of one data set: those whose numbers may stand in one table."""

    title: str
    data: str
    experiments: list[str]


@dataclasses.dataclass(frozen=True)
class Breakdown:
    """A metric over parts of a split's samples, as the tasks' facts have it."""

    split: str
    column: str
    """What the parts are: `template`."""
    metric: str
    units: dict[str, int]
    """Part → independent units in it."""
    values: dict[str, dict[str, float]]
    """Part → experiment → mean over its seeds."""

    def experiments(self, group: Group) -> list[str]:
        """The group's experiments that it has values of."""
        return [name for name in group.experiments if any(name in values for values in self.values.values())]


class Summary:
    """Everything read and worked out from `ReportInputs`.

    scores: the rows of all score files, with the column `family`: the metric that a row belongs to. singles: those of
    them whose value is a sample's own score, without the counts that corpus metrics are made of. cautions: experiment →
    what is to be known of its scores (`framecast.analysis.cautions`).
    """

    def __init__(self, inputs: ReportInputs):
        self.inputs = inputs
        self.comparisons = [read_json(path) for path in inputs.comparisons]
        self.runs = run_records.read(inputs.runs)
        self.trivial = {run.experiment for run in self.runs if run.trivial}
        table = scores.read(inputs.scores)
        self.scores = _framed(table)
        self.singles = _singles(self.scores)
        self.levels = _levels(table)
        self.cautions = cautions.read(inputs.facts, self.trivial, lambda name: inputs.titles.get(name) or name)
        self.groups = _groups(self.scores, self.runs)
        self.breakdowns = _breakdowns([read_json(path) for path in inputs.facts])

    def title(self, experiment: str) -> str:
        """Its name for tables and plots, with a mark where there is a caution."""
        title = self.inputs.titles.get(experiment) or experiment
        return f"{title} {cautions.MARK}" if experiment in self.cautions else title

    def answers(self) -> list[Answer]:
        """The first screen."""
        return answers(self.inputs.tracks, self.comparisons, self.trivial)

    def warnings(self, experiments: Sequence[str]) -> list[str]:
        """What is to be known of the marked ones among some experiments, a text for each different caution."""
        return cautions.sentences(self.cautions, experiments, self.title)

    def unit(self, data: str, n: int = 2) -> str:
        """Name of the independent unit, for n of them."""
        word = {"video": "video", "group": "recording group"}.get(self.inputs.units.get(data, ""), "unit")
        return word if n == 1 else word + "s"

    def group_of(self, experiment: str) -> Group | None:
        return next((group for group in self.groups if experiment in group.experiments), None)

    def colours(self, experiments: Sequence[str]) -> dict[str, str]:
        """experiment → colour, the same wherever it is drawn."""
        group = self.group_of(experiments[0]) if experiments else None
        found = figures.colours(group.experiments if group else list(experiments), self.trivial)
        return {name: found.get(name, figures.TRIVIAL) for name in experiments}

    def level(self, experiment: str, split: str, metric: str) -> dict[str, Any] | None:
        return self.levels.get((experiment, split, metric))

    def reference(self, experiment: str, split: str, metric: str) -> str | None:
        """The trivial baseline that an experiment is measured by.

        The one that a comparison names as baseline; without one the best of those in the same group.
        """
        group = self.group_of(experiment)
        rivals = [one for one in (group.experiments if group else []) if one in self.trivial]
        rivals = [one for one in rivals if (one, split, metric) in self.levels]
        named = [entry["baseline"] for entry in self.comparisons if entry["baseline"] in rivals]
        if named or not rivals:
            return named[0] if named else None
        sign = 1 if METRICS[metric].better == "lower" else -1
        return min(rivals, key=lambda one: sign * self.levels[one, split, metric]["value"])

    def skill(self, experiment: str, split: str, metric: str) -> tuple[float, str] | None:
        """(1 - error / error of the reference, the reference), for errors that are averaged."""
        reference, kind = self.reference(experiment, split, metric), METRICS[metric]
        if reference is None or kind.better != "lower" or kind.reducer != "mean" or kind.oracle:
            return None
        base = self.levels[reference, split, metric]["value"]
        return (1 - self.levels[experiment, split, metric]["value"] / base, reference) if base > 0 else None

    def breakdowns_of(self, group: Group) -> list[Breakdown]:
        """What the experiments of a group score on parts of their samples."""
        found: dict[tuple[str, str, str], Breakdown] = {}
        for (experiment, *place, part), (value, units) in self.breakdowns.items():
            if experiment in group.experiments:
                split, column, metric = place
                one = found.setdefault((split, column, metric), Breakdown(split, column, metric, {}, {}))
                one.units[part] = units
                one.values.setdefault(part, {})[experiment] = value
        return list(found.values())

    def unit_differences(self, test: Mapping[str, Any]) -> pd.Series:
        """unit → treatment minus baseline, for a test of a comparison."""
        rows = self.rows(test["split"], test["metric"])
        means = rows.groupby(["experiment", "unit"], observed=True)["value"].mean()
        return means[test["treatment"]] - means[test["baseline"]]

    def rows(self, split: str, metric: str) -> pd.DataFrame:
        return self.scores[(self.scores["split"] == split) & (self.scores["family"] == metric)]

    def splits_and_metrics(self, group: Group) -> list[tuple[str, str]]:
        """What the experiments of a group were scored on, in the order of METRICS."""
        found = {key[1:] for key in self.levels if key[0] in group.experiments}
        order = list(METRICS)
        return sorted(found, key=lambda pair: (pair[0], order.index(pair[1])))


def _framed(table: Scores) -> pd.DataFrame:
    """The scores with the column `family`."""
    return table.frame().assign(family=table.metric.named(family).categorical())


def _singles(scores: pd.DataFrame) -> pd.DataFrame:
    names = [name for name in scores["metric"].cat.categories if family(name) == name]
    rows = scores[scores["metric"].isin(names)]
    return rows.assign(metric=rows["metric"].cat.remove_unused_categories())


def _levels(table: Scores) -> dict[Key, dict[str, Any]]:
    """(experiment, split, metric) → `statistics.level`, for metrics that exist and values that are finite."""
    return {
        key: level(rows, METRICS[key[2]], ALPHA)
        for key, rows in table.groups().items()
        if key[2] in METRICS and np.isfinite(rows.value).all()
    }


def _breakdowns(facts: Sequence[Mapping[str, Any]]) -> dict[tuple[str, str, str, str, str], tuple[float, int]]:
    """(experiment, split, column, metric, part) → mean over seeds and units, from facts with `breakdown`: column →
    part → {metric: value, …, `units`}."""
    found: dict[tuple[str, str, str, str, str], list[tuple[float, int]]] = {}
    for one in facts:
        record = one["provenance"]
        for column, parts in one.get("breakdown", {}).items():
            for part, values in parts.items():
                for metric in METRICS.keys() & values.keys():
                    key = record["spec"]["experiment"], record["split"], column, metric, part
                    found.setdefault(key, []).append((values[metric], values["units"]))
    return {key: (float(np.mean([value for value, _ in seeds])), seeds[0][1]) for key, seeds in found.items()}


def _groups(scores: pd.DataFrame, runs: Sequence[Run]) -> list[Group]:
    """Experiments by (data, samples), in the order in which the runs and then the scores name them.

    `samples` of an experiment's spec says which samples it is scored on; without it those are of the task alone.
    """
    pairs = scores[["experiment", "data"]].drop_duplicates()
    data = dict(zip(pairs["experiment"].astype("str"), pairs["data"].astype("str"), strict=True))
    specs = {run.experiment: run.spec for run in runs}
    found: dict[tuple[str, str], list[str]] = {}
    for experiment in [*(one for one in specs if one in data), *(one for one in data if one not in specs)]:
        spec = specs.get(experiment, {})
        samples = spec.get("samples") or canonical(spec.get("task", {}))
        found.setdefault((data[experiment], samples), []).append(experiment)
    first = [(key[0], specs.get(members[0], {}).get("task", {})) for key, members in found.items()]
    titles = _group_titles(first)
    return [Group(title, key[0], members) for title, (key, members) in zip(titles, found.items(), strict=True)]


def _group_titles(groups: list[tuple[str, dict[str, Any]]]) -> list[str]:
    """Task and data, with those task keys that are set and in which groups of the same task differ."""
    titles = []
    for data, task in groups:
        others = [other for _, other in groups if other.get("name") == task.get("name")]
        differing = [key for key in task if any(canonical(other.get(key)) != canonical(task[key]) for other in others)]
        keys = ", ".join(f"{key} {task[key]}" for key in differing if task[key] is not None)
        titles.append(f"{task.get('name', 'experiments')} on {data}" + (f" ({keys})" if keys else ""))
    return titles


def flat(value: Any, prefix: str = "") -> list[tuple[str, Any]]:
    """A nested JSON value as (dotted key, plain value) pairs, for tables."""
    if isinstance(value, Mapping) and value:
        return [pair for key, inner in value.items() for pair in flat(inner, f"{prefix}.{key}" if prefix else str(key))]
    if isinstance(value, list) and any(isinstance(item, Mapping | list) for item in value):
        return [pair for place, inner in enumerate(value) for pair in flat(inner, f"{prefix}[{place}]")]
    if isinstance(value, list | Mapping):
        return [(prefix, ", ".join(map(str, value)))]
    return [(prefix, value)]
