"""The report: one HTML page that opens offline and says what won, by how much, and whether that is significant.

Sections follow from what the files hold; none knows a task. `write` is the whole interface.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from framecast.analysis import figures, verdicts
from framecast.analysis.report import background
from framecast.analysis.report.background import axis, value_cell
from framecast.analysis.report.elements import Cell, Content, Html, details, document, drawing, join, table, tag
from framecast.analysis.summary import (
    ReportInputs,
    Summary,
    basis,
    by_how_much,
    in_unit,
    interval,
    number,
    p_value,
    seeds_text,
)
from framecast.analysis.verdicts import EQUALITIES, SIGNS, Verdict
from framecast.core.files import replacing
from framecast.metrics import METRICS

FEW_UNITS = 10
Section = tuple[str, str, Html]


def write(inputs: ReportInputs, path: Path) -> None:
    """Write the page to `path`. Absent optional parts leave their section out."""
    summary = Summary(inputs)
    sections: list[Section] = []
    for place, title, content in (
        ("won", "What won", _headlines(summary)),
        ("comparisons", "Comparisons", _comparisons(summary)),
        ("experiments", "All experiments", background.experiments(summary)),
        ("curves", "Learning curves", background.curves(summary)),
        ("data", "Data", background.data(inputs)),
        ("encoders", "Encoders", background.probes(inputs)),
        ("pictures", "Pictures", background.galleries(inputs)),
        ("reading", "How to read this page", background.method(summary)),
        ("provenance", "Provenance", background.provenance(summary)),
    ):
        if content:
            sections.append((place, title, content))
    body = join(_header(summary), (tag("section", tag("h2", title), part, id=place) for place, title, part in sections))
    page = document("framecast report", [(place, title) for place, title, _ in sections], body)
    with replacing(path) as temporary:
        temporary.write_text(page, encoding="utf-8")


def _header(summary: Summary) -> Html:
    data = sorted(set(summary.scores["data"].astype("str")))
    seeds = sorted(set(summary.scores["seed"]))
    facts = [
        (len(summary.comparisons), "comparisons"),
        (len(set(summary.scores["experiment"])), "experiments"),
        (len(seeds), "seeds" if len(seeds) != 1 else "seed"),
        (sum(entry["family"] for entry in summary.comparisons), "paired tests"),
        (f"{len(summary.singles):,}", "scores of samples"),
    ]
    boxes = (tag("div", tag("b", value), tag("span", name)) for value, name in facts)
    times = [str(run.record.get("time", "")) for run in summary.runs]
    latest = f"; latest run {max(times).replace('T', ' ').replace('+00:00', ' UTC')}" if any(times) else ""
    return join(
        tag("h1", "Which model predicts best, and is the difference significant?"),
        tag("p", f"Scored on {', '.join(data) or 'nothing yet'}{latest}.", class_="sub"),
        tag("p", summary.inputs.note, class_="note") if summary.inputs.note else None,
        tag("div", boxes, class_="facts"),
    )


# --- what won --------------------------------------------------------------------------------------------------------


def _headlines(summary: Summary) -> Html:
    if not summary.comparisons:
        return tag("p", "No comparison is active (config: run.comparisons), so nothing was tested.", class_="note")
    return join(_headline(summary, entry) for entry in summary.comparisons)


def _headline(summary: Summary, entry: Mapping[str, Any]) -> Html:
    """One card: the first metric in words for every treatment, the others as a matrix of verdicts."""
    metric = entry["metrics"][0]
    blocks = []
    for split in entry["splits"]:
        lines = [_line(summary, entry, name, split, metric) for name in _ranked(entry, split, metric)]
        heading = f"{METRICS[metric].title} on {split}" if len(entry["splits"]) > 1 else METRICS[metric].title
        blocks += [tag("h4", heading), tag("ul", lines, class_="verdicts"), _nothing(summary, entry, split, metric)]
    warned = background.cautions(summary, [entry["baseline"], *entry["treatments"]])
    top = _entry_title(summary, entry), _few(summary, entry), warned
    return tag("article", *top, blocks, _matrix(summary, entry), class_="card")


def _entry_title(summary: Summary, entry: Mapping[str, Any]) -> Html:
    results = entry["tests"] + entry["intervals"] + entry["equalities"]
    data = entry["levels"][0]["data"] if entry["levels"] else ""
    parts = [f"against {summary.title(entry['baseline'])}"]
    if results:
        counts = sorted({result["n"] for result in results})
        span = f"{counts[0]}" if len(counts) == 1 else f"{counts[0]}–{counts[-1]}"
        parts.append(f"n = {span} {summary.unit(data, counts[-1])}")
        parts.append(seeds_text(results))
    parts.append(_tests_text(entry))
    return join(tag("h3", entry["title"]), tag("p", " · ".join(parts), class_="sub"))


def _tests_text(entry: Mapping[str, Any]) -> str:
    if entry["family"] > 1:
        return f"{entry['family']} tests corrected together (Holm, α = {entry['alpha']:g})"
    return "1 test" if entry["family"] else "no tests"


def _few(summary: Summary, entry: Mapping[str, Any]) -> Html | None:
    counts = [test["n"] for test in entry["tests"]]
    if not counts or min(counts) >= FEW_UNITS:
        return None
    unit = summary.unit(entry["levels"][0]["data"], min(counts))
    return tag(
        "p",
        f"Only {min(counts)} {unit}: such a test finds large differences alone, and rests on the differences being "
        f"roughly normal. “Not significant” here does not mean equal.",
        class_="note",
    )


def _find(entry: Mapping[str, Any], treatment: str, split: str, metric: str) -> Mapping[str, Any]:
    """The test, interval, equality or refusal."""
    for result in entry["tests"] + entry["intervals"] + entry["equalities"] + entry["refusals"]:
        if (result["treatment"], result["split"], result["metric"]) == (treatment, split, metric):
            return result
    raise ValueError(f"comparison {entry['comparison']!r} says nothing on {treatment!r}, {split!r}, {metric!r}")


def _ranked(entry: Mapping[str, Any], split: str, metric: str) -> list[str]:
    """The treatments, best first; what was not tested at the end."""
    sign = 1 if METRICS[metric].better == "lower" else -1
    found = {name: _find(entry, name, split, metric) for name in entry["treatments"]}
    return sorted(found, key=lambda name: sign * found[name].get("treatment_value", sign * np.inf))


def _line(summary: Summary, entry: Mapping[str, Any], treatment: str, split: str, metric: str) -> Html:
    result = _find(entry, treatment, split, metric)
    baseline = summary.title(entry["baseline"])
    names = tag("b", summary.title(treatment)), " against ", tag("b", baseline), ": "
    if result["verdict"] == Verdict.REFUSED:
        return tag("li", _chip(result), tag("div", *names, f"{result['reason']}."))
    unit = f" {METRICS[metric].unit}" if METRICS[metric].unit else ""
    values = f"{number(result['treatment_value'])} against {number(result['baseline_value'])}{unit}"
    if result["kind"] == "equality":
        values = f"{number(result['baseline_value'])}{unit}"
    amount = tag("b", _amount(result, baseline))
    return tag("li", _chip(result), tag("div", *names, amount, f" ({values}).", tag("div", _evidence(summary, result))))


def _chip(result: Mapping[str, Any]) -> Html:
    verdict = Verdict(result["verdict"])
    return tag("span", f"{SIGNS[verdict]} {verdict}", class_=f"chip {verdicts.tone(verdict)}")


def _amount(result: Mapping[str, Any], baseline: str) -> str:
    """By how much the treatment differs from the baseline, or that it does not."""
    return verdicts.said(result["verdict"], baseline) if result["kind"] == "equality" else by_how_much(result)


def _evidence(summary: Summary, result: Mapping[str, Any]) -> Html:
    data = summary.level(result["baseline"], result["split"], result["metric"])
    unit = summary.unit(data["data"] if data else "", result["n"])
    if result["kind"] == "equality":
        return tag("span", f"n = {result['n']} {unit}; {EQUALITIES[Verdict(result['verdict'])]}.", class_="quiet")
    sure = f"n = {result['n']} {unit}, difference {number(result['difference'], 3)} "
    sure += f"[{number(result['low'], 3)}, {number(result['high'], 3)}]"
    if result["kind"] == "bootstrap":
        return tag("span", f"{sure}, bootstrap interval over units, no test.", class_="quiet")
    doubt = "" if result["wilcoxon_significant"] == result["significant"] else " Wilcoxon’s test disagrees:"
    if not result["significant"] and result["low"] * result["high"] > 0:
        doubt = " (The interval is for this difference alone, without the correction.)" + doubt
    seeds = ""
    if result["seeds_better"] is not None and result["treatment_seeds"] > 1:
        seeds = f" Better in {result['seeds_better']} of {result['treatment_seeds']} seeds."
    return tag(
        "span",
        f"{sure}, {p_value(result['p_holm'])} after Holm.{doubt} "
        f"Wilcoxon {p_value(result['wilcoxon_p_holm'])}, dz = {number(result['dz'], 2)}; "
        f"better in {result['units_better']} of {result['n']} {summary.unit(data['data'] if data else '')}.{seeds}",
        class_="quiet",
    )


def _nothing(summary: Summary, entry: Mapping[str, Any], split: str, metric: str) -> Html | None:
    """How the members stand against a baseline with nothing to train."""
    if entry["baseline"] in summary.trivial:
        return None
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
    return tag("p", tag("b", "Better than doing nothing? "), lines) if lines else None


def _proof(summary: Summary, experiment: str, reference: str, split: str, metric: str) -> str:
    """The test against the trivial baseline, where some comparison made it."""
    for entry in summary.comparisons:
        if entry["baseline"] == reference:
            for test in entry["tests"]:
                if (test["treatment"], test["split"], test["metric"]) == (experiment, split, metric):
                    return f" ({p_value(test['p_holm'])} after Holm in “{entry['title']}”)"
    return ""


def _matrix(summary: Summary, entry: Mapping[str, Any]) -> Html | None:
    """Treatments by splits and metrics: who is better at a glance."""
    pairs = [(split, metric) for split in entry["splits"] for metric in entry["metrics"]]
    if len(pairs) < 2:
        return None
    several = len(entry["splits"]) > 1
    rows = []
    for treatment in _ranked(entry, *pairs[0]):
        row: list[Cell] = [Cell(summary.title(treatment))]
        for split, metric in pairs:
            row.append(_matrix_cell(summary, _find(entry, treatment, split, metric)))
        rows.append(row)
    heads = [f"{METRICS[metric].title}" + (f" · {split}" if several else "") for split, metric in pairs]
    return join(
        tag("h4", f"All metrics, against {summary.title(entry['baseline'])}"),
        table(["experiment", *heads], rows),
        tag("p", f"{_legend()} (point at a cell for the numbers)", class_="quiet"),
    )


def _matrix_cell(summary: Summary, result: Mapping[str, Any]) -> Cell:
    verdict = Verdict(result["verdict"])
    said = verdicts.said(verdict, summary.title(result["baseline"]))
    if verdict == Verdict.REFUSED:
        shown, hint = said, result["reason"]
    else:
        shown, hint = _amount(result, summary.title(result["baseline"])), _plain(_evidence(summary, result))
    return Cell(f"{SIGNS[verdict]} {shown}", style=verdicts.tone(verdict), hint=f"{said}: {hint}")


def _legend() -> str:
    words: dict[str, list[str]] = {}
    for verdict, sign in SIGNS.items():
        words.setdefault(sign, []).append(verdict)
    return " · ".join(f"{sign} {' or '.join(meant)}" for sign, meant in words.items())


def _plain(markup: Html) -> str:
    return re.sub("<[^>]*>", "", markup)


# --- comparisons -----------------------------------------------------------------------------------------------------


def _comparisons(summary: Summary) -> Html:
    return join(_comparison(summary, entry) for entry in summary.comparisons)


def _comparison(summary: Summary, entry: Mapping[str, Any]) -> Html:
    warned = background.cautions(summary, [entry["baseline"], *entry["treatments"]])
    parts: list[Html | None] = [_entry_title(summary, entry), warned]
    for place, metric in enumerate(entry["metrics"]):
        drawn = join(_figures(summary, entry, split, metric) for split in entry["splits"])
        parts.append(drawn if place == 0 else details(f"Figures: {METRICS[metric].title}", drawn) if drawn else None)
    if entry["tests"]:
        parts += [tag("h4", "Tests"), _tests_table(summary, entry["tests"])]
    if entry["intervals"]:
        parts += [tag("h4", "Bootstrap intervals over units (no test)"), _intervals_table(summary, entry)]
    if entry["equalities"]:
        parts += [tag("h4", "Equal, so not tested"), _equalities_table(summary, entry)]
    if entry["refusals"]:
        rows = [
            [
                summary.title(one["treatment"]),
                one["split"],
                METRICS[one["metric"]].title,
                Cell(one["reason"], style="wrap"),
            ]
            for one in entry["refusals"]
        ]
        parts += [tag("h4", "Refused, and why"), table(["treatment", "split", "metric", "reason"], rows)]
    return join(parts)


def _figures(summary: Summary, entry: Mapping[str, Any], split: str, metric: str) -> Html | None:
    """Every member's value, and the differences to the baseline beside it."""
    levels = {one["experiment"]: one for one in entry["levels"] if (one["split"], one["metric"]) == (split, metric)}
    if not levels:
        return None
    sign = 1 if METRICS[metric].better == "lower" else -1
    order = sorted(levels, key=lambda name: sign * levels[name]["value"])
    drawn = [_values(summary, entry, [levels[name] for name in order])]
    results = [one for one in entry["tests"] + entry["intervals"] if (one["split"], one["metric"]) == (split, metric)]
    if results:
        results.sort(key=lambda one: order.index(one["treatment"]))
        drawn.append(_differences(summary, entry, results, levels[order[0]]["data"]))
    return tag("div", drawn, class_="pair")


def _values(summary: Summary, entry: Mapping[str, Any], levels: Sequence[Mapping[str, Any]]) -> Html:
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


def _differences(summary: Summary, entry: Mapping[str, Any], results: Sequence[Mapping[str, Any]], data: str) -> Html:
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


def _tests_table(summary: Summary, tests: Sequence[Mapping[str, Any]]) -> Html:
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
        Cell(_chip(test), test["verdict"]),
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


def _intervals_table(summary: Summary, entry: Mapping[str, Any]) -> Html:
    rows = []
    for one in entry["intervals"]:
        sides = [
            Cell(f"{number(one[side + '_value'])} [{number(ends[0])}, {number(ends[1])}]", one[side + "_value"])
            for side in ("treatment", "baseline")
            for ends in [one[side + "_interval"]]
        ]
        rows.append([
            summary.title(one["treatment"]), one["split"], METRICS[one["metric"]].title,
            Cell(_chip(one), one["verdict"]), one["n"], *sides,
            Cell(f"{number(one['difference'])} [{number(one['low'])}, {number(one['high'])}]", one["difference"]),
        ])  # fmt: skip
    baseline = summary.title(entry["baseline"])
    heads = ["treatment", "split", "metric", "verdict", "n", "treatment", baseline, "difference"]
    return table(heads, rows, numbers=range(4, 8))


def _equalities_table(summary: Summary, entry: Mapping[str, Any]) -> Html:
    rows = [
        [summary.title(one["treatment"]), one["split"], METRICS[one["metric"]].title,
         verdicts.said(one["verdict"], summary.title(one["baseline"])), one["n"], value_cell(one["treatment_value"]),
         EQUALITIES[Verdict(one["verdict"])]]
        for one in entry["equalities"]
    ]  # fmt: skip
    return table(["treatment", "split", "metric", "verdict", "n", "value", "what is equal"], rows, numbers=(4, 5))


def _p(value: float) -> Cell:
    return Cell("<0.0001" if value < 0.0001 else f"{value:.4f}", value)
