"""One comparison as the page shows it: verdicts in words, plots, all metrics at a glance, every test behind them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from framecast.analysis import answers, figures, verdicts
from framecast.analysis.report.background import axis, value_cell
from framecast.analysis.report.elements import Cell, Chip, Content, Drawing, Table, drawing, picture, table
from framecast.analysis.summary import Summary
from framecast.analysis.verdicts import EQUALITIES, SIGNS, Verdict
from framecast.analysis.words import basis, by_how_much, in_unit, interval, number, p_value, seeds_text
from framecast.metrics import METRICS

FEW_UNITS = 10
View = dict[str, Any]
"""What a template reads."""


def view(summary: Summary, entry: Mapping[str, Any], place: str) -> View:
    """Everything on one comparison. place: id of its part of the page."""
    first, *others = entry["metrics"]
    plots = {metric: [one for split in entry["splits"] for one in _figures(summary, entry, split, metric)]
             for metric in entry["metrics"]}  # fmt: skip
    return {
        "place": place,
        "title": entry["title"],
        "facts": _facts(summary, entry),
        "few": _few(summary, entry),
        "cautions": summary.warnings([entry["baseline"], *entry["treatments"]]),
        "pictures": [
            picture(Path(one.path), one.caption)
            for one in summary.inputs.galleries
            if one.comparison == entry["comparison"] and Path(one.path).is_file()
        ],
        "verdicts": [_verdicts(summary, entry, split, first) for split in entry["splits"]],
        "matrix": _matrix(summary, entry),
        "plots": plots[first],
        "more_plots": [(METRICS[metric].title, plots[metric]) for metric in others if plots[metric]],
        "tables": _tables(summary, entry),
    }


def _verdicts(summary: Summary, entry: Mapping[str, Any], split: str, metric: str) -> View:
    """The first metric in words, for every treatment."""
    return {
        "title": f"{METRICS[metric].title} on {split}" if len(entry["splits"]) > 1 else METRICS[metric].title,
        "lines": [_line(summary, entry, name, split, metric) for name in _ranked(entry, split, metric)],
        "nothing": _nothing(summary, entry, split, metric),
    }


def _tables(summary: Summary, entry: Mapping[str, Any]) -> list[tuple[str, Table]]:
    """Every test, interval, equality and refusal."""
    found = {
        f"Every test ({len(entry['tests'])})": entry["tests"] and _tests_table(summary, entry["tests"]),
        "Bootstrap intervals over units (no test)": entry["intervals"] and _intervals_table(summary, entry),
        "Equal, so not tested": entry["equalities"] and _equalities_table(summary, entry),
        "Refused, and why": entry["refusals"] and _refusals_table(summary, entry),
    }
    return [(title, one) for title, one in found.items() if one]


def _facts(summary: Summary, entry: Mapping[str, Any]) -> str:
    """Against what, on how many units, with how many seeds and tests."""
    results = entry["tests"] + entry["intervals"] + entry["equalities"]
    data = entry["levels"][0]["data"] if entry["levels"] else ""
    parts = [f"against {summary.title(entry['baseline'])}"]
    if results:
        counts = sorted({result["n"] for result in results})
        span = f"{counts[0]}" if len(counts) == 1 else f"{counts[0]}–{counts[-1]}"
        parts.append(f"n = {span} {summary.unit(data, counts[-1])}")
        parts.append(seeds_text(results))
    return " · ".join([*parts, _tests_text(entry)])


def _tests_text(entry: Mapping[str, Any]) -> str:
    if entry["family"] > 1:
        return f"{entry['family']} tests corrected together (Holm, α = {entry['alpha']:g})"
    return "1 test" if entry["family"] else "no tests"


def _few(summary: Summary, entry: Mapping[str, Any]) -> str | None:
    counts = [test["n"] for test in entry["tests"]]
    if not counts or min(counts) >= FEW_UNITS:
        return None
    unit = summary.unit(entry["levels"][0]["data"], min(counts))
    return (
        f"Only {min(counts)} {unit}: such a test finds large differences alone, and rests on the differences being "
        f"roughly normal. “Not significant” here does not mean equal."
    )


def _ranked(entry: Mapping[str, Any], split: str, metric: str) -> list[str]:
    """The treatments, best first; what was not tested at the end."""
    sign = 1 if METRICS[metric].better == "lower" else -1
    found = {name: answers.found(entry, name, split, metric) for name in entry["treatments"]}
    return sorted(found, key=lambda name: sign * found[name].get("treatment_value", sign * np.inf))


def _line(summary: Summary, entry: Mapping[str, Any], treatment: str, split: str, metric: str) -> View:
    result = answers.found(entry, treatment, split, metric)
    baseline = summary.title(entry["baseline"])
    line: View = {"chip": chip(result), "treatment": summary.title(treatment), "baseline": baseline, "reason": ""}
    if result["verdict"] == Verdict.REFUSED:
        return line | {"reason": result["reason"]}
    unit = f" {METRICS[metric].unit}" if METRICS[metric].unit else ""
    values = f"{number(result['treatment_value'])} against {number(result['baseline_value'])}{unit}"
    if result["kind"] == "equality":
        values = f"{number(result['baseline_value'])}{unit}"
    return line | {"amount": _amount(result, baseline), "numbers": values, "evidence": _evidence(summary, result)}


def chip(result: Mapping[str, Any]) -> Chip:
    verdict = Verdict(result["verdict"])
    return Chip(f"{SIGNS[verdict]} {verdict}", verdicts.tone(verdict))


def _amount(result: Mapping[str, Any], baseline: str) -> str:
    """By how much the treatment differs from the baseline, or that it does not."""
    return verdicts.said(result["verdict"], baseline) if result["kind"] == "equality" else by_how_much(result)


def _evidence(summary: Summary, result: Mapping[str, Any]) -> str:
    data = summary.level(result["baseline"], result["split"], result["metric"])
    unit = summary.unit(data["data"] if data else "", result["n"])
    if result["kind"] == "equality":
        return f"n = {result['n']} {unit}; {EQUALITIES[Verdict(result['verdict'])]}."
    sure = f"n = {result['n']} {unit}, difference {number(result['difference'], 3)} "
    sure += f"[{number(result['low'], 3)}, {number(result['high'], 3)}]"
    if result["kind"] == "bootstrap":
        return f"{sure}, bootstrap interval over units, no test."
    doubt = "" if result["wilcoxon_significant"] == result["significant"] else " Wilcoxon’s test disagrees:"
    if not result["significant"] and result["low"] * result["high"] > 0:
        doubt = " (The interval is for this difference alone, without the correction.)" + doubt
    seeds = ""
    if result["seeds_better"] is not None and result["treatment_seeds"] > 1:
        seeds = f" Better in {result['seeds_better']} of {result['treatment_seeds']} seeds."
    return (
        f"{sure}, {p_value(result['p_holm'])} after Holm.{doubt} "
        f"Wilcoxon {p_value(result['wilcoxon_p_holm'])}, dz = {number(result['dz'], 2)}; "
        f"better in {result['units_better']} of {result['n']} {summary.unit(data['data'] if data else '')}.{seeds}"
    )


def _nothing(summary: Summary, entry: Mapping[str, Any], split: str, metric: str) -> str:
    """How the members stand against a baseline with nothing to train."""
    if entry["baseline"] in summary.trivial:
        return ""
    lines: list[str] = []
    for experiment in [*entry["treatments"], entry["baseline"]]:
        skill, found = summary.skill(experiment, split, metric), summary.level(experiment, split, metric)
        reference = summary.reference(experiment, split, metric)
        if found is None or reference is None or reference == experiment:
            continue
        if not lines:
            base = summary.level(reference, split, metric)
            lines.append(
                f"{summary.title(reference)}, with nothing to train, scores {number(base['value'] if base else None)}. "
            )
        standing = f"skill {number(skill[0], 2)}" if skill else number(found["value"])
        lines.append(
            f"{summary.title(experiment)}: {standing}{_proof(summary, experiment, reference, split, metric)}. "
        )
    return "".join(lines).rstrip()


def _proof(summary: Summary, experiment: str, reference: str, split: str, metric: str) -> str:
    """The test against the trivial baseline, where some comparison made it."""
    for entry in summary.comparisons:
        if entry["baseline"] == reference:
            for test in entry["tests"]:
                if (test["treatment"], test["split"], test["metric"]) == (experiment, split, metric):
                    return f" ({p_value(test['p_holm'])} after Holm in “{entry['title']}”)"
    return ""


def _matrix(summary: Summary, entry: Mapping[str, Any]) -> View | None:
    """Treatments by splits and metrics: who is better at a glance."""
    pairs = [(split, metric) for split in entry["splits"] for metric in entry["metrics"]]
    if len(pairs) < 2:
        return None
    several = len(entry["splits"]) > 1
    rows = []
    for treatment in _ranked(entry, *pairs[0]):
        cells = [_matrix_cell(summary, answers.found(entry, treatment, split, metric)) for split, metric in pairs]
        rows.append([Cell(summary.title(treatment)), *cells])
    heads = [f"{METRICS[metric].title}" + (f" · {split}" if several else "") for split, metric in pairs]
    title = f"All metrics, against {summary.title(entry['baseline'])}"
    return {"title": title, "table": table(["experiment", *heads], rows), "legend": _legend()}


def _matrix_cell(summary: Summary, result: Mapping[str, Any]) -> Cell:
    verdict = Verdict(result["verdict"])
    said = verdicts.said(verdict, summary.title(result["baseline"]))
    if verdict == Verdict.REFUSED:
        shown, hint = said, result["reason"]
    else:
        shown, hint = _amount(result, summary.title(result["baseline"])), _evidence(summary, result)
    return Cell(f"{SIGNS[verdict]} {shown}", style=verdicts.tone(verdict), hint=f"{said}: {hint}")


def _legend() -> str:
    words: dict[str, list[str]] = {}
    for verdict, sign in SIGNS.items():
        words.setdefault(sign, []).append(verdict)
    return " · ".join(f"{sign} {' or '.join(meant)}" for sign, meant in words.items())


def _figures(summary: Summary, entry: Mapping[str, Any], split: str, metric: str) -> list[Drawing]:
    """Every member's value, and the differences to the baseline beside it."""
    levels = {one["experiment"]: one for one in entry["levels"] if (one["split"], one["metric"]) == (split, metric)}
    if not levels:
        return []
    sign = 1 if METRICS[metric].better == "lower" else -1
    order = sorted(levels, key=lambda name: sign * levels[name]["value"])
    drawn = [_values(summary, entry, [levels[name] for name in order])]
    results = [one for one in entry["tests"] + entry["intervals"] if (one["split"], one["metric"]) == (split, metric)]
    if results:
        results.sort(key=lambda one: order.index(one["treatment"]))
        drawn.append(_differences(summary, entry, results, levels[order[0]]["data"]))
    return drawn


def _values(summary: Summary, entry: Mapping[str, Any], levels: Sequence[Mapping[str, Any]]) -> Drawing:
    """Values with their intervals, in the order given."""
    split, metric, baseline = levels[0]["split"], levels[0]["metric"], summary.title(entry["baseline"])
    colour = summary.colours([entry["baseline"], *entry["treatments"]])
    rows = [
        figures.Mean(
            summary.title(one["experiment"]), one["value"], one["low"], one["high"], colour[one["experiment"]],
            list(one["seeds"].values()),
        )
        for one in levels
    ]  # fmt: skip
    bar = "" if all(row.low is None for row in rows) else f" with {interval(metric, entry['alpha'])}"
    caption = f"{split}: {basis(metric)}{bar}; ticks: seeds; dashed: {baseline}."
    return drawing(figures.means(rows, axis(metric), baseline), caption)


def _differences(
    summary: Summary, entry: Mapping[str, Any], results: Sequence[Mapping[str, Any]], data: str
) -> Drawing:
    """Differences to the baseline with their intervals; where the mean is tested, with the units it is the mean of."""
    split, metric = results[0]["split"], results[0]["metric"]
    mean = METRICS[metric].reducer == "mean"
    rows = [
        figures.Differences(
            summary.title(one["treatment"]), summary.unit_differences(one).to_numpy() if mean else np.empty(0),
            one["difference"], one["low"], one["high"], verdicts.tone(one["verdict"]),
        )
        for one in results
    ]  # fmt: skip
    shown = f", a dot a {summary.unit(data, 1)}; bar: mean" if mean else "; bar: the difference"
    caption = (
        f"{split}: difference to {summary.title(entry['baseline'])}{shown} with {interval(metric, entry['alpha'])}."
    )
    label = f"{METRICS[metric].title}: difference{in_unit(metric)}"
    return drawing(figures.differences(rows, label, METRICS[metric].better), caption)


def _tests_table(summary: Summary, tests: Sequence[Mapping[str, Any]]) -> Table:
    heads = [
        "treatment",
        "split",
        "metric",
        "verdict",
        "n",
        "treatment",
        "baseline",
        "difference",
        "interval",
        "change",
    ]
    heads += ["p (Holm)", "Wilcoxon p (Holm)", "dz", "skill", "t (df)", "p", "units better", "seeds"]
    return table(heads, [_test_row(summary, test) for test in tests], numbers=range(4, 17))


def _test_row(summary: Summary, test: Mapping[str, Any]) -> list[Cell | Content]:
    change = test["relative_change"]
    return [
        summary.title(test["treatment"]),
        test["split"],
        METRICS[test["metric"]].title,
        Cell(None, test["verdict"], chip=chip(test)),
        test["n"],
        value_cell(test["treatment_value"]),
        value_cell(test["baseline_value"]),
        value_cell(test["difference"]),
        Cell(f"[{number(test['low'], 3)}, {number(test['high'], 3)}]", test["low"]),
        Cell("–" if change is None else f"{change:+.1%}".replace("-", "−"), change),
        _p(test["p_holm"]),
        _p(test["wilcoxon_p_holm"]),
        value_cell(test["dz"], 3),
        value_cell(test["skill"], 3),
        Cell(f"{number(test['t'], 3)} ({test['df']})", test["t"]),
        _p(test["p"]),
        Cell(f"{test['units_better']} of {test['n']}", test["units_better"]),
        seeds_text([test]),
    ]


def _intervals_table(summary: Summary, entry: Mapping[str, Any]) -> Table:
    rows = []
    for one in entry["intervals"]:
        sides = [
            Cell(f"{number(one[side + '_value'])} [{number(ends[0])}, {number(ends[1])}]", one[side + "_value"])
            for side in ("treatment", "baseline")
            for ends in [one[side + "_interval"]]
        ]
        rows.append([
            summary.title(one["treatment"]), one["split"], METRICS[one["metric"]].title,
            Cell(None, one["verdict"], chip=chip(one)), one["n"], *sides,
            Cell(f"{number(one['difference'])} [{number(one['low'])}, {number(one['high'])}]", one["difference"]),
        ])  # fmt: skip
    baseline = summary.title(entry["baseline"])
    heads = ["treatment", "split", "metric", "verdict", "n", "treatment", baseline, "difference"]
    return table(heads, rows, numbers=range(4, 8))


def _equalities_table(summary: Summary, entry: Mapping[str, Any]) -> Table:
    rows = [
        [summary.title(one["treatment"]), one["split"], METRICS[one["metric"]].title,
         verdicts.said(one["verdict"], summary.title(one["baseline"])), one["n"], value_cell(one["treatment_value"]),
         EQUALITIES[Verdict(one["verdict"])]]
        for one in entry["equalities"]
    ]  # fmt: skip
    return table(["treatment", "split", "metric", "verdict", "n", "value", "what is equal"], rows, numbers=(4, 5))


def _refusals_table(summary: Summary, entry: Mapping[str, Any]) -> Table:
    rows = [
        [summary.title(one["treatment"]), one["split"], METRICS[one["metric"]].title, Cell(one["reason"], style="wrap")]
        for one in entry["refusals"]
    ]
    return table(["treatment", "split", "metric", "reason"], rows)


def _p(value: float) -> Cell:
    return Cell("<0.0001" if value < 0.0001 else f"{value:.4f}", value)
