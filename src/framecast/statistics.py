"""Paired tests of experiments on the same independent units, from tidy scores alone.

Windows, triplets, captions and seeds of one video are not independent. So the rows are averaged within their `unit`
(over samples and seeds) before anything is tested, and n counts units. What the tests can show is therefore: would the
difference hold on other videos, for these trained runs? How much runs differ among themselves stands beside it as
between-seed standard deviation. Figures that are no means of samples (medians, corpus figures) get an interval from
resampled units instead of a test.

One comparison of the config is one family for Holm's correction. What may not be tested is refused with the reason.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from scipy import stats

from framecast import provenance
from framecast.files import read_json, write_json
from framecast.metrics import METRICS, PARTS, Metric, family, mean_iou, part
from framecast.seeding import rng

COLUMNS = ["experiment", "data", "split", "seed", "sample_id", "unit", "metric", "value"]
RESAMPLES = 2000  # bootstrap draws: the 2.5 % point of an interval is then the 50th of the sorted draws
FLAT = 1e-12  # differences that vary less than this, relative to the scores, are rounding

RULES = {
    "unit": "rows are averaged within a unit, over samples and seeds, before any test; n counts units",
    "test": "two-sided paired t-test of the unit means; Wilcoxon's signed-rank test beside it",
    "interval": "confidence interval of the mean difference at 1 - alpha, not adjusted for the family",
    "holm": "Holm's correction over all tests that were made in this comparison, for each kind of test by itself",
    "significant": "the t-test's p after Holm is at most alpha",
    "effect": "Cohen's dz: mean difference over the standard deviation of the differences",
    "skill": "1 - treatment / baseline, for errors (lower is better) whose reducer is the mean",
    "seeds": "both sides need the same seeds, unless one side has a single one (trivial baselines)",
    "median": "metrics whose reducer is the median get a percentile bootstrap interval over units, and no test",
    "corpus": "corpus metrics sum the counts of all samples before they divide, for each seed, and average the seeds; "
    "they get a percentile bootstrap interval over units (the counts of each draw summed anew, the same draws for all "
    "seeds and both sides; a class that a draw lacks is left out of it), and no test",
}


class Refused(Exception):
    """A test that may not be made; the text is the reason."""


def read_scores(paths: Sequence[str | Path], columns: Sequence[str] = COLUMNS) -> pd.DataFrame:
    """Read score files into one tidy table with the columns asked for; ids stay text, whatever they look like.

    Raises ValueError for a file that lacks one of the columns.
    """
    kinds = dict.fromkeys(COLUMNS, "str") | {"seed": "int64", "value": "float64"}
    parts = []
    for path in paths:
        header = pd.read_csv(path, nrows=0).columns
        if absent := [column for column in columns if column not in header]:
            raise ValueError(f"{path} has no column {absent[0]!r}: a score file has {COLUMNS}; it has {list(header)}")
        parts.append(
            pd.read_csv(
                path,
                usecols=list(columns),
                dtype=kinds,
                keep_default_na=False,
                na_values={"value": ["", "nan", "NaN"]},
            )[list(columns)]
        )
    if not parts:
        return pd.DataFrame({column: pd.Series(dtype=kinds[column]) for column in columns})
    return pd.concat(parts, ignore_index=True)


def read_facts(paths: Sequence[str | Path]) -> dict[str, dict[str, list[dict[str, Any]]]]:
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
    scores: pd.DataFrame,
    facts: Mapping[str, Mapping[str, Sequence[Mapping[str, Any]]]],
    select: str,
    metrics: Mapping[str, Metric] = METRICS,
) -> dict[str, Any]:
    """Compare every treatment with the baseline on every split and metric.

    comparison: `framecast.config.Comparison` as a dict. scores: COLUMNS, one row a sample and metric, or a sample and
    part of a corpus metric; may hold more than is compared. facts: experiment → split → facts of the task's `score`,
    one dict a seed (`read_facts`). select: the split that served for selection.
    Returns a dict for JSON: `levels` (each experiment by itself), `tests` (paired, Holm-corrected), `intervals`
    (bootstrap, for reducers that are not means), `refusals` (with the reason).
    Raises ValueError for a comparison on `select`, with itself, or of a metric that does not exist.
    """
    _check(name, comparison, select, metrics)
    alpha = comparison["alpha"]
    members = [comparison["baseline"], *comparison["treatments"]]
    tables = _tables(scores, members, comparison["splits"], comparison["metrics"])
    tests, intervals, refusals = [], [], []
    for split, metric, treatment in itertools.product(
        comparison["splits"], comparison["metrics"], comparison["treatments"]
    ):
        key = {"treatment": treatment, "baseline": members[0], "split": split, "metric": metric}
        try:
            baseline_rows, treatment_rows = _pair(tables, facts, metrics[metric], **key)
            if metrics[metric].reducer == "mean":
                tests.append(key | _test(baseline_rows, treatment_rows, metrics[metric], alpha))
            else:
                intervals.append(key | _interval(baseline_rows, treatment_rows, metrics[metric], alpha))
        except Refused as reason:
            refusals.append(key | {"reason": str(reason)})
    _correct(tests, alpha)
    levels = [
        {"experiment": key[0], "split": key[1], "metric": key[2], **level(tables[key], metrics[key[2]], alpha)}
        for key in itertools.product(members, comparison["splits"], comparison["metrics"])
        if key in tables and np.isfinite(tables[key]["value"]).all()
    ]
    return {
        "comparison": name,
        "title": comparison.get("title") or name,
        **{key: comparison[key] for key in ("baseline", "treatments", "splits", "metrics", "alpha")},
        "select": select,
        "family": len(tests),
        "rules": RULES,
        "tests": tests,
        "intervals": intervals,
        "refusals": refusals,
        "levels": levels,
    }


def compare_files(
    name: str, comparison: Mapping[str, Any], scores: Sequence[Path], facts: Sequence[Path], out: Path
) -> None:
    """`compare` from files to a file, with its provenance; `comparison` carries its data's `select` beside the config's
    keys."""
    result = compare(name, comparison, read_scores(scores), read_facts(facts), comparison["select"])
    record = provenance.record(
        config=dict(comparison), inputs=provenance.digests(sorted(Path(path) for path in scores))
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
    scores: pd.DataFrame, experiments: Sequence[str], splits: Sequence[str], metrics: Sequence[str]
) -> dict[tuple[str, str, str], pd.DataFrame]:
    """(experiment, split, metric) → its rows; the parts of a corpus metric are rows of that one metric."""
    names = families(scores["metric"])
    wanted = scores["experiment"].isin(list(experiments)) & scores["split"].isin(list(splits)) & names.isin(metrics)
    groups = scores[wanted].groupby(["experiment", "split", names[wanted]], observed=True, sort=False)
    return {(str(key[0]), str(key[1]), str(key[2])): rows for key, rows in groups}


def families(names: pd.Series) -> pd.Series:
    """The metric that each name in the `metric` column belongs to (`metrics.family`)."""
    return names.map({name: family(name) for name in names.unique()})


# --- pairing ---------------------------------------------------------------------------------------------------------


def _pair(
    tables: Mapping[tuple[str, str, str], pd.DataFrame],
    facts: Mapping[str, Mapping[str, Sequence[Mapping[str, Any]]]],
    metric_facts: Metric,
    treatment: str,
    baseline: str,
    split: str,
    metric: str,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Rows of both sides, after everything that would break the pairing was looked for."""
    if metric_facts.oracle:
        raise Refused(f"{metric} picks the best of several samples by looking at the truth: shown, never tested")
    sides = {name: _whole(tables, name, split, metric) for name in (baseline, treatment)}
    data = {name: str(rows["data"].iloc[0]) for name, rows in sides.items()}
    if data[baseline] != data[treatment]:
        raise Refused(f"not the same data: {data[baseline]} for {baseline}, {data[treatment]} for {treatment}")
    _same_samples(sides, baseline, treatment)
    _same_seeds(sides, baseline, treatment)
    galleries = {name: _gallery(facts, name, split, metric, metric_facts) for name in (baseline, treatment)}
    if galleries[baseline] != galleries[treatment]:
        shown = [f"{', '.join(sorted(value)) or 'none recorded'} for {name}" for name, value in galleries.items()]
        raise Refused(f"{metric} was ranked in unequal galleries: {shown[0]}, {shown[1]}")
    if (n := sides[baseline]["unit"].nunique()) < 2:
        raise Refused(f"n = {n} independent unit: a test needs at least 2")
    return sides[baseline], sides[treatment]


def _whole(
    tables: Mapping[tuple[str, str, str], pd.DataFrame], experiment: str, split: str, metric: str
) -> pd.DataFrame:
    """Rows of one side: finite, each sample (each part of it) once a seed, every seed with the same samples."""
    rows = tables.get((experiment, split, metric))
    if rows is None:
        raise Refused(f"{experiment} has no scores of {metric} on split {split}")
    if unusable := int((~np.isfinite(rows["value"])).sum()):
        raise Refused(f"{unusable} of the {len(rows)} values of {experiment} are not finite")
    if doubled := int(rows.duplicated(["seed", "sample_id", "metric"]).sum()):
        raise Refused(f"{experiment} scores {doubled} samples more than once with one seed")
    samples = rows["sample_id"].nunique()
    counts = rows.groupby("seed")["sample_id"].nunique()
    if (counts < samples).any():
        raise Refused(
            f"the seeds of {experiment} were scored on unequal samples: "
            + ", ".join(f"{count} with seed {seed}" for seed, count in counts.items())
            + f", {samples} in all"
        )
    if len(rows[["sample_id", "unit"]].drop_duplicates()) > samples:
        raise Refused(f"{experiment} has samples that belong to more than one unit")
    return rows


def _same_samples(sides: Mapping[str, pd.DataFrame], baseline: str, treatment: str) -> None:
    units = {
        name: rows.drop_duplicates("sample_id").set_index("sample_id")["unit"].astype("str").sort_index()
        for name, rows in sides.items()
    }
    index = {name: pd.Index(series.index.astype("str")) for name, series in units.items()}
    if reasons := [
        f"{lacking} lacks {len(absent)} of the {len(index[other])} samples of {other} (for example {_some(absent)})"
        for lacking, other in ((treatment, baseline), (baseline, treatment))
        if len(absent := index[other].difference(index[lacking]))
    ]:
        raise Refused("unequal samples: " + "; ".join(reasons))
    differ = units[baseline].to_numpy() != units[treatment].to_numpy()
    if differ.any():
        raise Refused(
            f"{int(differ.sum())} samples belong to other units in {treatment} than in {baseline} "
            f"(for example {_some(index[baseline][differ])})"
        )


def _some(names: pd.Index) -> str:
    return ", ".join(repr(str(name)) for name in names[:3])


def _same_seeds(sides: Mapping[str, pd.DataFrame], baseline: str, treatment: str) -> None:
    seeds = {name: sorted({int(seed) for seed in rows["seed"]}) for name, rows in sides.items()}
    if seeds[baseline] != seeds[treatment] and min(map(len, seeds.values())) > 1:
        raise Refused(
            f"unequal seeds: {seeds[baseline]} for {baseline}, {seeds[treatment]} for {treatment}; "
            f"run the same seeds, or a single one on one side"
        )


def _gallery(
    facts: Mapping[str, Mapping[str, Sequence[Mapping[str, Any]]]],
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


# --- numbers ---------------------------------------------------------------------------------------------------------


def level(rows: pd.DataFrame, metric: Metric, alpha: float) -> dict[str, Any]:
    """One experiment by itself on one split and metric.

    rows: columns data, seed, sample_id, unit, metric, value. Returns value (the metric's reducer), its interval at
    1 - alpha over units (of Student's t for means, bootstrap for corpus metrics, none for medians), sd over units
    (none for corpus metrics), counts, the value of each seed and the sd between them.
    """
    side = reduced(rows, metric)
    low, high = side.interval(alpha)
    seeds = {str(seed): one for seed, one in side.seeds.items()}
    return {
        "data": str(rows["data"].iloc[0]),
        "title": metric.title,
        "unit": metric.unit,
        "better": metric.better,
        "reducer": metric.reducer,
        "oracle": bool(metric.oracle),
        "n": side.n,
        "samples": int(rows["sample_id"].nunique()),
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

    def __init__(self, rows: pd.DataFrame):
        self.values, numbers = rows["value"].to_numpy(float), rows["seed"].to_numpy()
        self.codes, _ = pd.factorize(rows["unit"], sort=True)
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
        margin = _margin(self.spread, self.n, alpha)
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

    def __init__(self, rows: pd.DataFrame):
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


def reduced(rows: pd.DataFrame, metric: Metric) -> Means | Medians | Corpus:
    """The rows of one experiment, split and metric, by the metric's reducer."""
    return Means(rows) if metric.reducer == "mean" else _resampling(rows, metric)


def _resampling(rows: pd.DataFrame, metric: Metric) -> Medians | Corpus:
    """The same for figures that are no means."""
    return Medians(rows) if metric.reducer == "median" else Corpus(rows)


def _counts(rows: pd.DataFrame) -> tuple[np.ndarray, list[int]]:
    """The counts of a corpus metric summed within units, [parts, seeds, n, K], and the seeds."""
    codes, names = pd.factorize(rows["metric"])
    parts, classes = np.array([(PARTS.index(what), number) for what, number in map(part, names)]).T
    seeds, runs = np.unique(rows["seed"].to_numpy(), return_inverse=True)
    units, _ = pd.factorize(rows["unit"], sort=True)
    shape = len(PARTS), len(seeds), units.max() + 1, classes.max() + 1
    places = np.ravel_multi_index((parts[codes], runs, units, classes[codes]), shape)
    sums = np.bincount(places, rows["value"].to_numpy(float), minlength=int(np.prod(shape)))
    return sums.reshape(shape), [int(seed) for seed in seeds]


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


def _margin(spread: float, n: int, alpha: float) -> float:
    return float(stats.t.ppf(1 - alpha / 2, n - 1) * spread / np.sqrt(n))


def _common(baseline: pd.DataFrame, sides: Sequence[Means | Corpus], metric: Metric) -> dict[str, Any]:
    """What tests and intervals both say. sides: baseline, treatment."""
    values = {"baseline": sides[0].value, "treatment": sides[1].value}
    difference = values["treatment"] - values["baseline"]
    seeds = {"baseline": sides[0].seeds, "treatment": sides[1].seeds}
    sign = 1 if metric.better == "higher" else -1
    paired = seeds["baseline"].keys() == seeds["treatment"].keys()
    wins = sum(sign * (seeds["treatment"][seed] - seeds["baseline"][seed]) > 0 for seed in seeds["baseline"] if paired)
    error = metric.better == "lower" and metric.reducer == "mean" and values["baseline"] > 0
    return {
        "n": int(baseline["unit"].nunique()),
        "samples": int(baseline["sample_id"].nunique()),
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


def _test(baseline: pd.DataFrame, treatment: pd.DataFrame, metric: Metric, alpha: float) -> dict[str, Any]:
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
    t = mean / (spread / np.sqrt(n))
    margin = _margin(spread, n, alpha)
    # Rounded first, so that differences that are equal on paper are ties for the ranks as well.
    rank = stats.wilcoxon(np.round(differences / scale, 12))
    sign = 1 if metric.better == "higher" else -1
    return {
        "kind": "paired t",
        **_common(baseline, sides, metric),
        "low": mean - margin,
        "high": mean + margin,
        "t": float(t),
        "df": n - 1,
        "p": float(2 * stats.t.sf(abs(t), n - 1)),
        "wilcoxon": float(rank.statistic),
        "wilcoxon_p": float(rank.pvalue),
        "dz": mean / spread,
        "units_better": int((sign * differences > 0).sum()),
        "units_worse": int((sign * differences < 0).sum()),
    }


def _interval(baseline: pd.DataFrame, treatment: pd.DataFrame, metric: Metric, alpha: float) -> dict[str, Any]:
    """Percentile bootstrap over units of the difference of figures that are no means; both sides see the same draws."""
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
        "excludes_zero": low > 0 or high < 0,
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


def holm(p: Sequence[float]) -> list[float]:
    """P-values after Holm's step-down correction over the family given, in the order given (Holm 1979)."""
    order = np.argsort(p, kind="stable")
    steps = np.asarray(p, float)[order] * np.arange(len(p), 0, -1)
    adjusted = np.empty(len(p))
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1)
    return [float(value) for value in adjusted]


def _correct(tests: list[dict[str, Any]], alpha: float) -> None:
    """Fill in what depends on the family: p after Holm, significance, the winner."""
    adjusted = zip(
        tests, holm([test["p"] for test in tests]), holm([test["wilcoxon_p"] for test in tests]), strict=True
    )
    for test, p, rank_p in adjusted:
        test["p_holm"], test["wilcoxon_p_holm"] = p, rank_p
        test["significant"] = p <= alpha
        test["wilcoxon_significant"] = rank_p <= alpha
        test["winner"] = test[test["ahead"]] if p <= alpha and test["ahead"] else None
        test["verdict"] = _verdict(test)


def _verdict(test: Mapping[str, Any]) -> str:
    if test["winner"] is None:
        return f"no significant difference between {test['treatment']} and {test['baseline']}"
    loser = test["baseline"] if test["winner"] == test["treatment"] else test["treatment"]
    doubt = "" if test["wilcoxon_significant"] else " (Wilcoxon's test does not confirm it)"
    return f"{test['winner']} is better than {loser}{doubt}"
