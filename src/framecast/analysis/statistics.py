"""Paired tests of experiments on the same independent units, from tidy scores alone.

Windows, triplets, captions and seeds of one video are not independent. So the rows are averaged within their `unit`
(over samples and seeds) before anything is tested, and n counts units. What the tests can show is therefore: would the
difference hold on other videos, for these trained runs? How much runs differ among themselves stands beside it as
between-seed standard deviation. Metrics that are not averages of samples (medians, corpus metrics) get an interval from
resampled units instead of a test, and no verdict.

One comparison of the config is one family for Holm's correction. What may not be tested is refused with the reason; a
treatment that predicts or scores the same as the baseline is said to, without a test. docs/statistics.md has the whole
account.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from framecast import scores
from framecast.analysis.paired_tests import holm, paired_t, signed_rank, t_margin
from framecast.analysis.verdicts import Verdict, of_test
from framecast.core import provenance
from framecast.core.files import read_json, write_json
from framecast.core.seeding import rng
from framecast.metrics import METRICS, PARTS, Metric, family, mean_iou, part
from framecast.scores import PREDICTIONS, Key, Scores, Texts, keys

RESAMPLES = 2000  # bootstrap draws: the 2.5 % point of an interval is then the 50th of the sorted draws
FLAT = 1e-12  # differences that vary less than this, relative to the scores, are rounding

RULES = {
    "unit": "rows are averaged within a unit, over samples and seeds, before any test; n counts units",
    "test": "two-sided paired t-test of the unit means; Wilcoxon's signed-rank test beside it",
    "interval": "confidence interval of the mean difference at 1 - alpha, not adjusted for the family",
    "holm": "Holm's correction over all tests that were made in this comparison, for each kind of test by itself",
    "significant": "the t-test's p after Holm is at most alpha",
    "verdict": "`better` and `worse` only where the t-test is significant; `interval only` where there is no test, "
    "whatever the interval: a bootstrap interval of few units does not keep its error rate",
    "equal": "every prediction of the two is the same, bit for bit; `same scores`: every score is, but not what was "
    "predicted, or that is not recorded; neither is tested",
    "effect": "Cohen's dz: mean difference over the standard deviation of the differences",
    "skill": "1 - treatment / baseline, for errors (lower is better) whose reducer is the mean",
    "seeds": "both sides need the same seeds, unless one side has a single one (trivial baselines)",
    "median": "metrics whose reducer is the median get a percentile bootstrap interval over units, and no test",
    "corpus": "corpus metrics sum the counts of all samples before they divide, for each seed, and average the seeds; "
    "they get a percentile bootstrap interval over units (the counts of each draw summed anew, the same draws for all "
    "seeds and both sides; a class that a draw lacks is left out of it), and no test",
}


Facts = Mapping[str, Mapping[str, Sequence[Mapping[str, Any]]]]
"""Experiment → split → what the task says beside the scores, one dict a seed."""


class Refused(Exception):
    """A test that may not be made; the text is the reason."""


def read_facts(paths: Sequence[str | Path]) -> Facts:
    """Read the JSON files beside the scores: experiment → split → the task's facts, one dict a seed.

    Raises ValueError for a file that does not say whose scores it is about.
    """
    facts: dict[str, dict[str, list[dict[str, Any]]]] = {}
    for path in paths:
        record = read_json(path)
        origin = record.pop("provenance", {})
        experiment, split = origin.get("spec", {}).get("experiment"), origin.get("split")
        if experiment is None or split is None:
            raise ValueError(f"{path} does not say which experiment and split it belongs to: score them again")
        facts.setdefault(experiment, {}).setdefault(split, []).append(record)
    return facts


def compare(
    name: str,
    comparison: Mapping[str, Any],
    table: Scores,
    facts: Facts,
    select: str,
    metrics: Mapping[str, Metric] = METRICS,
) -> dict[str, Any]:
    """Compare every treatment with the baseline on every split and metric.

    comparison: `framecast.config.base.Comparison` as a dict; may name its `track`. table: one row a sample and metric,
    or a sample and part of a corpus metric; may hold more than is compared. facts: experiment → split → facts of the
    task's `score`, one dict a seed (`read_facts`). select: the split that served for selection.
    Returns a dict for JSON: `levels` (each experiment by itself), `tests` (paired, Holm-corrected), `intervals`
    (bootstrap, for reducers that are not means), `equalities` (the same predictions or scores), `refusals` (with the
    reason); each entry of the last four has a `verdict` (`framecast.analysis.verdicts`).
    Raises ValueError for a comparison on `select`, with itself, or of a metric that does not exist.
    """
    _check(name, comparison, select, metrics)
    alpha = comparison["alpha"]
    members = [comparison["baseline"], *comparison["treatments"]]
    tables = _tables(table, members, comparison["splits"], comparison["metrics"])
    found: dict[str, list[dict[str, Any]]] = {"tests": [], "intervals": [], "equalities": [], "refusals": []}
    for split, metric, treatment in itertools.product(
        comparison["splits"], comparison["metrics"], comparison["treatments"]
    ):
        key = {"treatment": treatment, "baseline": members[0], "split": split, "metric": metric}
        try:
            sides = _pair(tables, facts, metrics[metric], **key)
            kind, result = _result(
                sides, _same_predictions(facts, treatment, members[0], split), metrics[metric], alpha
            )
        except Refused as reason:
            kind, result = "refusals", {"reason": str(reason), "verdict": Verdict.REFUSED}
        found[kind].append(key | result)
    _correct(found["tests"], alpha)
    levels = [
        {"experiment": key[0], "split": key[1], "metric": key[2], **level(tables[key], metrics[key[2]], alpha)}
        for key in itertools.product(members, comparison["splits"], comparison["metrics"])
        if key in tables and np.isfinite(tables[key].value).all()
    ]
    return {
        "comparison": name,
        "title": comparison.get("title") or name,
        "track": comparison.get("track"),
        "ceilings": list(comparison.get("ceilings", [])),
        **{key: comparison[key] for key in ("baseline", "treatments", "splits", "metrics", "alpha")},
        "select": select,
        "family": len(found["tests"]),
        "rules": RULES,
        **found,
        "levels": levels,
    }


def compare_files(
    name: str, comparison: Mapping[str, Any], tables: Sequence[Path], facts: Sequence[Path], out: Path
) -> None:
    """`compare` from files to a file, with its provenance; `comparison` carries its data's `select` beside the config's
    keys."""
    result = compare(name, comparison, scores.read(tables), read_facts(facts), comparison["select"])
    record = provenance.record(
        config=dict(comparison), inputs=provenance.digests(sorted(Path(path) for path in tables))
    )
    write_json(out, result | {"provenance": record})


def _check(name: str, comparison: Mapping[str, Any], select: str, metrics: Mapping[str, Metric]) -> None:
    if select in comparison["splits"]:
        raise ValueError(
            f"comparison {name!r} is on split {select!r}, which served for early stopping and tuning, so its scores "
            f"flatter; compare on another split"
        )
    if comparison["baseline"] in comparison["treatments"]:
        raise ValueError(
            f"comparison {name!r} compares {comparison['baseline']!r} with itself; take it off `treatments`"
        )
    for key in ("treatments", "splits", "metrics"):
        if len(set(comparison[key])) < len(comparison[key]):
            raise ValueError(f"comparison {name!r} lists something twice under `{key}`: {list(comparison[key])}")
    if unknown := [metric for metric in comparison["metrics"] if metric not in metrics]:
        raise ValueError(f"comparison {name!r}: there is no metric {unknown[0]!r}; there are {sorted(metrics)}")


def _tables(
    table: Scores, experiments: Sequence[str], splits: Sequence[str], metrics: Sequence[str]
) -> dict[Key, Scores]:
    """(experiment, split, metric) → its rows; the parts of a corpus metric are rows of that one metric."""
    wanted = table.experiment.among(experiments) & table.split.among(splits) & table.metric.named(family).among(metrics)
    return table[wanted].groups()


# --- pairing ---------------------------------------------------------------------------------------------------------


def _pair(
    tables: Mapping[Key, Scores],
    facts: Facts,
    metric_facts: Metric,
    treatment: str,
    baseline: str,
    split: str,
    metric: str,
) -> tuple[Scores, Scores]:
    """Rows of both sides, after everything that would break the pairing was looked for."""
    if metric_facts.oracle:
        raise Refused(f"{metric} picks the best of several samples by looking at the truth: shown, never tested")
    sides = {name: _whole(tables, name, split, metric) for name in (baseline, treatment)}
    data = {name: rows.data.first() for name, rows in sides.items()}
    if data[baseline] != data[treatment]:
        raise Refused(f"not the same data: {data[baseline]} for {baseline}, {data[treatment]} for {treatment}")
    _same_samples(sides, baseline, treatment)
    _same_seeds(sides, baseline, treatment)
    galleries = {name: _gallery(facts, name, split, metric, metric_facts) for name in (baseline, treatment)}
    if galleries[baseline] != galleries[treatment]:
        shown = [f"{', '.join(sorted(value)) or 'none recorded'} for {name}" for name, value in galleries.items()]
        raise Refused(f"{metric} was ranked in unequal galleries: {shown[0]}, {shown[1]}")
    if (n := _count(sides[baseline].unit.codes)) < 2:
        raise Refused(f"n = {n} independent unit: a test needs at least 2")
    return sides[baseline], sides[treatment]


def _whole(tables: Mapping[Key, Scores], experiment: str, split: str, metric: str) -> Scores:
    """Rows of one side: finite, each sample (each part of it) once a seed, every seed with the same samples."""
    rows = tables.get((experiment, split, metric))
    if rows is None:
        raise Refused(f"{experiment} has no scores of {metric} on split {split}")
    if unusable := int((~np.isfinite(rows.value)).sum()):
        raise Refused(f"{unusable} of the {len(rows)} values of {experiment} are not finite")
    seeds, seed = np.unique(rows.seed, return_inverse=True)
    if doubled := len(rows) - _count(seed, rows.sample_id.codes, rows.metric.codes):
        raise Refused(f"{experiment} scores {doubled} samples more than once with one seed")
    samples = _count(rows.sample_id.codes)
    counts = [_count(rows.sample_id.codes[rows.seed == one]) for one in seeds]
    if min(counts) < samples:
        raise Refused(
            f"the seeds of {experiment} were scored on unequal samples: "
            + ", ".join(f"{count} with seed {one}" for one, count in zip(seeds, counts, strict=True))
            + f", {samples} in all"
        )
    if _count(rows.sample_id.codes, rows.unit.codes) > samples:
        raise Refused(f"{experiment} has samples that belong to more than one unit")
    return rows


def _count(*columns: NDArray[np.int64]) -> int:
    """How many different rows the columns have."""
    ordered = np.sort(keys(*columns))
    return int((ordered[1:] != ordered[:-1]).sum()) + 1


def _same_samples(sides: Mapping[str, Scores], baseline: str, treatment: str) -> None:
    names = sides[baseline].sample_id.names
    units = {name: np.full(len(names), -1) for name in sides}
    for name, rows in sides.items():
        units[name][rows.sample_id.codes] = rows.unit.codes
    samples = {name: np.flatnonzero(found >= 0) for name, found in units.items()}
    if reasons := [
        f"{lacking} lacks {len(absent)} of the {len(samples[other])} samples of {other} "
        f"(for example {_some(absent, names)})"
        for lacking, other in ((treatment, baseline), (baseline, treatment))
        if len(absent := np.setdiff1d(samples[other], samples[lacking]))
    ]:
        raise Refused("unequal samples: " + "; ".join(reasons))
    differ = units[baseline] != units[treatment]
    if differ.any():
        raise Refused(
            f"{int(differ.sum())} samples belong to other units in {treatment} than in {baseline} "
            f"(for example {_some(np.flatnonzero(differ), names)})"
        )


def _some(codes: NDArray[np.int64], names: Sequence[str]) -> str:
    return ", ".join(repr(names[code]) for code in codes[:3])


def _same_seeds(sides: Mapping[str, Scores], baseline: str, treatment: str) -> None:
    seeds = {name: np.unique(rows.seed).tolist() for name, rows in sides.items()}
    if seeds[baseline] != seeds[treatment] and min(map(len, seeds.values())) > 1:
        raise Refused(
            f"unequal seeds: {seeds[baseline]} for {baseline}, {seeds[treatment]} for {treatment}; "
            f"run the same seeds, or a single one on one side"
        )


def _gallery(
    facts: Facts,
    experiment: str,
    split: str,
    metric: str,
    metric_facts: Metric,
) -> set[str]:
    """Digests of the galleries in which a ranking metric was computed; empty for the others."""
    if not metric_facts.gallery:
        return set()
    found = [record.get("gallery") for record in facts.get(experiment, {}).get(split, [])]
    named = [entry.get(metric) if isinstance(entry, Mapping) else entry for entry in found]
    return {str(entry) for entry in named if entry is not None}


# --- equality --------------------------------------------------------------------------------------------------------


def _same_predictions(facts: Facts, treatment: str, baseline: str, split: str) -> bool:
    """Whether both predicted the same with every seed, by the digests beside their scores."""
    sides = [
        {record.get(PREDICTIONS) for record in facts.get(name, {}).get(split, [])} for name in (treatment, baseline)
    ]
    return sides[0] == sides[1] and None not in sides[0] and bool(sides[0])


def _same_scores(rows: Sequence[Scores]) -> bool:
    """Whether both sides have the same score of every sample (and part of it) with every seed."""
    sides = []
    for side in rows:
        order = np.lexsort((side.metric.codes, side.sample_id.codes))
        columns = side.sample_id.codes, side.metric.codes, side.value
        seeds = [order[side.seed[order] == seed] for seed in np.unique(side.seed)]
        sides.append({tuple(column[chosen].tobytes() for column in columns) for chosen in seeds})
    return sides[0] == sides[1]


# --- numbers ---------------------------------------------------------------------------------------------------------


def level(rows: Scores, metric: Metric, alpha: float) -> dict[str, Any]:
    """One experiment by itself on one split and metric.

    Returns value (the metric's reducer), its interval at
    1 - alpha over units (of Student's t for means, bootstrap for corpus metrics, none for medians), sd over units
    (none for corpus metrics), counts, the value of each seed and the sd between them.
    """
    side = reduced(rows, metric)
    low, high = side.interval(alpha)
    seeds = {str(seed): one for seed, one in side.seeds.items()}
    return {
        "data": rows.data.first(),
        "title": metric.title,
        "unit": metric.unit,
        "better": metric.better,
        "reducer": metric.reducer,
        "oracle": bool(metric.oracle),
        "n": side.n,
        "samples": _count(rows.sample_id.codes),
        "value": side.value,
        "low": low,
        "high": high,
        "sd_units": side.spread,
        "seeds": seeds,
        "sd_seeds": float(np.std(list(seeds.values()), ddof=1)) if len(seeds) > 1 else None,
    }


class Means:
    """Scores of one experiment on one split and metric, reduced to the mean of its units: each counts the same.

    units [n]: mean of each unit over its samples and seeds, in the order of the units; spread: their standard
    deviation. value: the figure. seeds: the same for each seed alone.
    """

    def __init__(self, rows: Scores):
        self.values, numbers = rows.value, rows.seed
        self.codes = _places(rows.unit)
        self.units = _grouped(self.values, self.codes)
        self.n = len(self.units)
        self.spread = float(self.units.std(ddof=1)) if self.n > 1 else None
        self.value = self._reduce(self.values, self.codes)
        self.seeds = {
            int(seed): self._reduce(self.values[chosen], self.codes[chosen])
            for seed in np.unique(numbers)
            for chosen in [numbers == seed]
        }

    def _reduce(self, values: np.ndarray, codes: np.ndarray) -> float:
        return float(_grouped(values, codes).mean())

    def interval(self, alpha: float) -> tuple[float | None, float | None]:
        """Ends of the interval at 1 - alpha, by Student's t."""
        if self.spread is None:
            return None, None
        margin = t_margin(self.spread, self.n, alpha)
        return self.value - margin, self.value + margin


class Medians(Means):
    """The same, reduced to the median of all rows."""

    def _reduce(self, values: np.ndarray, codes: np.ndarray) -> float:
        return float(np.median(values))

    def interval(self, alpha: float) -> tuple[float | None, float | None]:
        return None, None

    def resampled(self, draws: np.ndarray) -> np.ndarray:
        """The figure in each draw of units; how often each unit is in it [draws, n] → [draws]."""
        return _resampled_medians(self.values, self.codes, draws)


class Corpus:
    """The same for a corpus metric: the figure of all counts together for each seed, then the mean of the seeds.

    counts [parts, seeds, n, K]: pixels of each unit; a class without a row has none.
    """

    spread: ClassVar[None] = None

    def __init__(self, rows: Scores):
        self.counts, seeds = _counts(rows)
        self.n = self.counts.shape[2]
        each = mean_iou(*self.counts.sum(axis=2))  # [seeds]
        self.value = float(each.mean())
        self.seeds = dict(zip(seeds, each.tolist(), strict=True))

    def interval(self, alpha: float) -> tuple[float | None, float | None]:
        """Ends of the percentile bootstrap interval over units."""
        return _percentiles(self.resampled(_draws(self.n)), alpha) if self.n > 1 else (None, None)

    def resampled(self, draws: np.ndarray) -> np.ndarray:
        """The figure in each draw of units; how often each unit is in it [draws, n] → [draws]."""
        return mean_iou(*(draws.astype(float) @ self.counts)).mean(axis=0)  # of [parts, seeds, draws, K]


def reduced(rows: Scores, metric: Metric) -> Means | Medians | Corpus:
    """The rows of one experiment, split and metric, by the metric's reducer."""
    return Means(rows) if metric.reducer == "mean" else _resampling(rows, metric)


def _resampling(rows: Scores, metric: Metric) -> Medians | Corpus:
    """The same for metrics that are not averages."""
    return Medians(rows) if metric.reducer == "median" else Corpus(rows)


def _counts(rows: Scores) -> tuple[np.ndarray, list[int]]:
    """The counts of a corpus metric summed within units, [parts, seeds, n, K], and the seeds."""
    codes, units = rows.metric.codes, _places(rows.unit)
    parts, classes = np.zeros((2, len(rows.metric.names)), int)
    for code in np.unique(codes):
        what, classes[code] = part(rows.metric.names[code])
        parts[code] = PARTS.index(what)
    seeds, runs = np.unique(rows.seed, return_inverse=True)
    shape = len(PARTS), len(seeds), units.max() + 1, classes.max() + 1
    places = np.ravel_multi_index((parts[codes], runs, units, classes[codes]), shape)
    sums = np.bincount(places, rows.value, minlength=int(np.prod(shape)))
    return sums.reshape(shape), [int(seed) for seed in seeds]


def _places(column: Texts) -> NDArray[np.int64]:
    """The place of each row's text among the sorted texts that occur, [R]."""
    occurs = np.bincount(column.codes) > 0
    return (np.cumsum(occurs) - 1)[column.codes]


def _draws(n: int) -> np.ndarray:
    """How often each of n units is in each bootstrap draw, [RESAMPLES, n]; the same wherever n units are resampled."""
    return rng(0, "bootstrap").multinomial(n, np.full(n, 1 / n), size=RESAMPLES)


def _percentiles(values: np.ndarray, alpha: float) -> tuple[float, float]:
    low, high = np.quantile(values, [alpha / 2, 1 - alpha / 2])
    return float(low), float(high)


def _grouped(values: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """Mean of the values of each code that occurs, in the order of the codes."""
    counts = np.bincount(codes)
    sums = np.bincount(codes, values)
    return sums[counts > 0] / counts[counts > 0]


def _result(
    rows: tuple[Scores, Scores], same_predictions: bool, metric: Metric, alpha: float
) -> tuple[str, dict[str, Any]]:
    """Which list of a comparison a pair belongs to, and its entry. rows: baseline, treatment."""
    if same_predictions or _same_scores(rows):
        return "equalities", _equality(rows, same_predictions, metric)
    if metric.reducer == "mean":
        return "tests", _test(*rows, metric, alpha)
    return "intervals", _interval(*rows, metric, alpha)


def _equality(rows: tuple[Scores, Scores], same_predictions: bool, metric: Metric) -> dict[str, Any]:
    """What is said where there is nothing to test."""
    return {
        "kind": "equality",
        **_common(rows[0], [reduced(one, metric) for one in rows], metric),
        "difference": 0.0,
        "relative_change": 0.0,
        "ahead": None,  # not what rounding of seed means leaves
        "verdict": Verdict.EQUAL if same_predictions else Verdict.SAME_SCORES,
    }


def _common(baseline: Scores, sides: Sequence[Means | Corpus], metric: Metric) -> dict[str, Any]:
    """What tests, intervals and equalities all say. sides: baseline, treatment."""
    values = {"baseline": sides[0].value, "treatment": sides[1].value}
    difference = values["treatment"] - values["baseline"]
    seeds = {"baseline": sides[0].seeds, "treatment": sides[1].seeds}
    sign = 1 if metric.better == "higher" else -1
    paired = seeds["baseline"].keys() == seeds["treatment"].keys()
    wins = sum(sign * (seeds["treatment"][seed] - seeds["baseline"][seed]) > 0 for seed in seeds["baseline"] if paired)
    error = metric.better == "lower" and metric.reducer == "mean" and values["baseline"] > 0
    return {
        "n": _count(baseline.unit.codes),
        "samples": _count(baseline.sample_id.codes),
        "baseline_value": values["baseline"],
        "treatment_value": values["treatment"],
        "difference": difference,
        "relative_change": difference / abs(values["baseline"]) if values["baseline"] else None,
        "skill": 1 - values["treatment"] / values["baseline"] if error else None,
        "ahead": "treatment" if sign * difference > 0 else "baseline" if difference else None,
        "baseline_seeds": len(seeds["baseline"]),
        "treatment_seeds": len(seeds["treatment"]),
        "seeds_better": int(wins) if paired else None,
    }


def _test(baseline: Scores, treatment: Scores, metric: Metric, alpha: float) -> dict[str, Any]:
    """Paired t and Wilcoxon on unit means; p after Holm is filled in when the whole family is known."""
    sides = Means(baseline), Means(treatment)
    left, right = (side.units for side in sides)
    differences = right - left  # [n]
    n, scale = len(differences), max(np.abs(left).max(), np.abs(right).max())
    if not differences.any():
        raise Refused(f"the two are identical on all {n} units")
    if np.ptp(differences) <= FLAT * scale:
        raise Refused(
            f"the difference is the same, {differences.mean():.6g}, on all {n} units: without variance there is no test"
        )
    mean, spread = float(differences.mean()), float(differences.std(ddof=1))
    t, p = paired_t(differences)
    margin = t_margin(spread, n, alpha)
    # Rounded first, so that differences that are equal on paper are ties for the ranks as well.
    rank_sum, rank_p = signed_rank(np.round(differences / scale, 12))
    sign = 1 if metric.better == "higher" else -1
    return {
        "kind": "paired t",
        **_common(baseline, sides, metric),
        "low": mean - margin,
        "high": mean + margin,
        "t": t,
        "df": n - 1,
        "p": p,
        "wilcoxon": rank_sum,
        "wilcoxon_p": rank_p,
        "dz": mean / spread,
        "units_better": int((sign * differences > 0).sum()),
        "units_worse": int((sign * differences < 0).sum()),
    }


def _interval(baseline: Scores, treatment: Scores, metric: Metric, alpha: float) -> dict[str, Any]:
    """Percentile bootstrap over units of the difference of a metric that is not an average; both sides see the same
    draws. No verdict follows from it."""
    sides = [_resampling(rows, metric) for rows in (baseline, treatment)]
    draws = _draws(sides[0].n)
    values = [side.resampled(draws) for side in sides]  # each [draws]
    low, high = _percentiles(values[1] - values[0], alpha)
    return {
        "kind": "bootstrap",
        **_common(baseline, sides, metric),
        "low": low,
        "high": high,
        "baseline_interval": list(_percentiles(values[0], alpha)),
        "treatment_interval": list(_percentiles(values[1], alpha)),
        "resamples": RESAMPLES,
        "verdict": Verdict.INTERVAL,
    }


def _resampled_medians(values: np.ndarray, units: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Median of the rows in each draw, a unit's rows taken together. values, units: [rows]; counts: [draws, n]."""
    order = np.argsort(values, kind="stable")
    values, units = values[order], units[order]
    medians = np.empty(len(counts))
    for draw, count in enumerate(counts):
        reached = np.cumsum(count[units])
        middle = np.searchsorted(reached, [(reached[-1] - 1) // 2, reached[-1] // 2], side="right")
        medians[draw] = values[middle].mean()
    return medians


def _correct(tests: list[dict[str, Any]], alpha: float) -> None:
    """Fill in what depends on the family: p after Holm, significance, the winner, the verdict."""
    adjusted = zip(
        tests, holm([test["p"] for test in tests]), holm([test["wilcoxon_p"] for test in tests]), strict=True
    )
    for test, p, rank_p in adjusted:
        test["p_holm"], test["wilcoxon_p_holm"] = p, rank_p
        test["significant"] = p <= alpha
        test["wilcoxon_significant"] = rank_p <= alpha
        test["winner"] = test[test["ahead"]] if p <= alpha and test["ahead"] else None
        test["verdict"] = of_test(test["ahead"], test["significant"])
