"""The report: one HTML page that opens offline and says what won, by how much, and whether that is more than chance.

Sections follow from what the files hold; none knows a task. `write` is the whole interface.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from framecast import figures
from framecast.files import read_json, replacing
from framecast.metrics import METRICS
from framecast.page import Cell, Content, Html, details, document, drawing, join, picture, table, tag
from framecast.summary import (
    DataFiles,
    Group,
    ReportInputs,
    Run,
    Summary,
    by_how_much,
    flat,
    number,
    outcome,
    p_value,
    seeds_text,
)

WORDS = {"better": "better", "worse": "worse", "open": "no difference", "refused": "not tested"}
SIGNS = {"better": "▲", "worse": "▼", "open": "≈", "refused": "–"}
FEW_UNITS = 10
REJECTED_SHOWN = 300
Section = tuple[str, str, Html]


def write(inputs: ReportInputs, path: Path) -> None:
    """Write the page to `path`. Absent optional parts leave their section out."""
    summary = Summary(inputs)
    sections: list[Section] = []
    for place, title, content in (
        ("won", "What won", _headlines(summary)),
        ("comparisons", "Comparisons", _comparisons(summary)),
        ("experiments", "All experiments", _experiments(summary)),
        ("curves", "Learning curves", _curves(summary)),
        ("data", "Data", _data(inputs)),
        ("encoders", "Encoders", _probes(inputs)),
        ("pictures", "Pictures", _galleries(inputs)),
        ("reading", "How to read this page", _method(summary)),
        ("provenance", "Provenance", _provenance(summary)),
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
        (f"{len(summary.scores):,}", "scores"),
    ]
    boxes = (tag("div", tag("b", value), tag("span", name)) for value, name in facts)
    times = [str(run.record.get("time", "")) for run in summary.runs]
    latest = f"; latest run {max(times).replace('T', ' ').replace('+00:00', ' UTC')}" if any(times) else ""
    return join(
        tag("h1", "Which model predicts best, and is it more than chance?"),
        tag("p", f"Scored on {', '.join(data) or 'nothing yet'}{latest}.", class_="sub"),
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
    return tag(
        "article", _entry_title(summary, entry), _few(summary, entry), blocks, _matrix(summary, entry), class_="card"
    )


def _entry_title(summary: Summary, entry: Mapping[str, Any]) -> Html:
    results = entry["tests"] + entry["intervals"]
    data = entry["levels"][0]["data"] if entry["levels"] else ""
    parts = [f"against {summary.title(entry['baseline'])}"]
    if results:
        counts = sorted({result["n"] for result in results})
        span = f"{counts[0]}" if len(counts) == 1 else f"{counts[0]}–{counts[-1]}"
        parts.append(f"n = {span} {summary.unit(data, counts[-1])}")
        parts.append(seeds_text(results))
    tests = entry["family"]
    parts.append(f"{tests} tests corrected together (Holm, α = {entry['alpha']:g})" if tests != 1 else "1 test")
    return join(tag("h3", entry["title"]), tag("p", " · ".join(parts), class_="sub"))


def _few(summary: Summary, entry: Mapping[str, Any]) -> Html | None:
    counts = [test["n"] for test in entry["tests"]]
    if not counts or min(counts) >= FEW_UNITS:
        return None
    unit = summary.unit(entry["levels"][0]["data"], min(counts))
    return tag(
        "p",
        f"Only {min(counts)} {unit}: such a test finds large differences alone, and rests on the differences being "
        f"roughly normal. “No difference” here does not mean equal.",
        class_="note",
    )


def _find(entry: Mapping[str, Any], treatment: str, split: str, metric: str) -> tuple[str, Mapping[str, Any]]:
    """(better | worse | open | refused, the test, interval or refusal)."""
    for result in entry["tests"] + entry["intervals"] + entry["refusals"]:
        if (result["treatment"], result["split"], result["metric"]) == (treatment, split, metric):
            return ("refused" if "reason" in result else outcome(result)), result
    raise ValueError(f"comparison {entry['comparison']!r} says nothing on {treatment!r}, {split!r}, {metric!r}")


def _ranked(entry: Mapping[str, Any], split: str, metric: str) -> list[str]:
    """The treatments, best first; what was not tested at the end."""
    sign = 1 if METRICS[metric].better == "lower" else -1
    found = {name: _find(entry, name, split, metric)[1].get("treatment_value") for name in entry["treatments"]}
    return sorted(found, key=lambda name: np.inf if found[name] is None else sign * found[name])


def _line(summary: Summary, entry: Mapping[str, Any], treatment: str, split: str, metric: str) -> Html:
    verdict, result = _find(entry, treatment, split, metric)
    chip = tag("span", f"{SIGNS[verdict]} {WORDS[verdict]}", class_=f"chip {verdict}")
    names = tag("b", summary.title(treatment)), tag("b", summary.title(entry["baseline"]))
    if verdict == "refused":
        return tag("li", chip, tag("div", names[0], " against ", names[1], f": {result['reason']}."))
    verb = {"better": " beats ", "worse": " loses to ", "open": " cannot be told apart from "}[verdict]
    unit = f" {METRICS[metric].unit}" if METRICS[metric].unit else ""
    values = f"{number(result['treatment_value'])} against {number(result['baseline_value'])}{unit}"
    amount = by_how_much(result)
    return tag(
        "li",
        chip,
        tag("div", names[0], verb, names[1], ": ", tag("b", amount), f" ({values}). ", _evidence(summary, result)),
    )


def _evidence(summary: Summary, result: Mapping[str, Any]) -> Html:
    data = summary.level(result["baseline"], result["split"], result["metric"])
    unit = summary.unit(data["data"] if data else "", result["n"])
    sure = f"n = {result['n']} {unit}, difference {number(result['difference'], 3)} "
    sure += f"[{number(result['low'], 3)}, {number(result['high'], 3)}]"
    if result["kind"] == "bootstrap":
        return tag("span", f"{sure}, bootstrap interval of the difference of medians, not a test.", class_="quiet")
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
            verdict, result = _find(entry, treatment, split, metric)
            shown = WORDS[verdict] if verdict == "refused" else by_how_much(result)
            hint = (
                result["reason"] if verdict == "refused" else f"{WORDS[verdict]}: {_plain(_evidence(summary, result))}"
            )
            row.append(Cell(f"{SIGNS[verdict]} {shown}", style=verdict, hint=hint))
        rows.append(row)
    heads = [f"{METRICS[metric].title}" + (f" · {split}" if several else "") for split, metric in pairs]
    return join(
        tag("h4", f"All metrics, against {summary.title(entry['baseline'])}"),
        table(["experiment", *heads], rows),
        tag("p", "▲ better, ▼ worse (significant after Holm; medians: interval without zero), ≈ no difference shown, "
                 "– not tested (point at a cell for the numbers)", class_="quiet"),
    )  # fmt: skip


def _plain(markup: Html) -> str:
    return re.sub("<[^>]*>", "", markup)


# --- comparisons -----------------------------------------------------------------------------------------------------


def _comparisons(summary: Summary) -> Html:
    return join(_comparison(summary, entry) for entry in summary.comparisons)


def _comparison(summary: Summary, entry: Mapping[str, Any]) -> Html:
    parts: list[Html | None] = [_entry_title(summary, entry)]
    for place, metric in enumerate(entry["metrics"]):
        drawn = join(_figures(summary, entry, split, metric) for split in entry["splits"])
        parts.append(drawn if place == 0 else details(f"Figures: {METRICS[metric].title}", drawn) if drawn else None)
    if entry["tests"]:
        parts += [tag("h4", "Tests"), _tests_table(summary, entry["tests"])]
    if entry["intervals"]:
        parts += [tag("h4", "Bootstrap intervals over units (medians: no test)"), _intervals_table(summary, entry)]
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
        parts += [tag("h4", "Not tested, and why"), table(["treatment", "split", "metric", "reason"], rows)]
    return join(parts)


def _figures(summary: Summary, entry: Mapping[str, Any], split: str, metric: str) -> Html | None:
    members = [entry["baseline"], *entry["treatments"]]
    levels = {one["experiment"]: one for one in entry["levels"] if (one["split"], one["metric"]) == (split, metric)}
    if not levels:
        return None
    colour = summary.colours(members)
    sign = 1 if METRICS[metric].better == "lower" else -1
    order = sorted(levels, key=lambda name: sign * levels[name]["value"])
    rows = [
        figures.Mean(
            summary.title(name), one["value"], one["low"], one["high"], colour[name], list(one["seeds"].values())
        )
        for name in order
        for one in [levels[name]]
    ]
    interval = f"{1 - entry['alpha']:.0%} confidence interval over units"
    caption = (
        f"{split}: {METRICS[metric].reducer} with {interval}; ticks: seeds; dashed: {summary.title(entry['baseline'])}."
    )
    drawn = [drawing(figures.means(rows, _axis(metric), summary.title(entry["baseline"])), caption)]
    tests = [test for test in entry["tests"] if (test["split"], test["metric"]) == (split, metric)]
    tests.sort(key=lambda test: order.index(test["treatment"]))
    if tests:
        paired = [
            figures.Differences(
                summary.title(test["treatment"]), summary.unit_differences(test).to_numpy(), test["difference"],
                test["low"], test["high"], outcome(test),
            )
            for test in tests
        ]  # fmt: skip
        unit = summary.unit(levels[order[0]]["data"], 1)
        caption = (
            f"{split}: difference to {summary.title(entry['baseline'])}, a dot a {unit}; bar: mean with {interval}."
        )
        axis = f"{METRICS[metric].title}: difference{_in_unit(metric)}"
        drawn.append(drawing(figures.differences(paired, axis, METRICS[metric].better), caption))
    return tag("div", drawn, class_="pair")


def _axis(metric: str) -> str:
    return f"{METRICS[metric].title}{_in_unit(metric)} ({METRICS[metric].better} is better)"


def _in_unit(metric: str) -> str:
    return f", {METRICS[metric].unit}" if METRICS[metric].unit else ""


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
    verdict, change = outcome(test), test["relative_change"]
    return [
        summary.title(test["treatment"]),
        test["split"],
        METRICS[test["metric"]].title,
        Cell(tag("span", f"{SIGNS[verdict]} {WORDS[verdict]}", class_=f"chip {verdict}"), verdict),
        test["n"],
        _cell(test["treatment_value"]),
        _cell(test["baseline_value"]),
        _cell(test["difference"]),
        Cell(f"[{number(test['low'], 3)}, {number(test['high'], 3)}]", test["low"]),
        Cell("–" if change is None else f"{change:+.1%}".replace("-", "−"), change),
        _p(test["p_holm"]),
        _p(test["wilcoxon_p_holm"]),
        _cell(test["dz"], 3),
        _cell(test["skill"], 3),
        Cell(f"{number(test['t'], 3)} ({test['df']})", test["t"]),
        _p(test["p"]),
        Cell(f"{test['units_better']} of {test['n']}", test["units_better"]),
        seeds_text([test]),
    ]


def _intervals_table(summary: Summary, entry: Mapping[str, Any]) -> Html:
    rows = []
    for one in entry["intervals"]:
        verdict = outcome(one)
        sides = [
            Cell(f"{number(one[side + '_value'])} [{number(ends[0])}, {number(ends[1])}]", one[side + "_value"])
            for side in ("treatment", "baseline")
            for ends in [one[side + "_interval"]]
        ]
        zero = "excludes 0" if one["excludes_zero"] else "includes 0"
        chip = tag("span", f"{SIGNS[verdict]} {zero}", class_=f"chip {verdict}")
        rows.append([
            summary.title(one["treatment"]), one["split"], METRICS[one["metric"]].title, Cell(chip, verdict), one["n"], *sides,
            Cell(f"{number(one['difference'])} [{number(one['low'])}, {number(one['high'])}]", one["difference"]),
        ])  # fmt: skip
    baseline = summary.title(entry["baseline"])
    heads = ["treatment", "split", "metric", "interval", "n", "treatment median", f"{baseline} median", "difference"]
    return table(heads, rows, numbers=range(4, 8))


def _cell(value: float | None, digits: int = 4) -> Cell:
    return Cell(number(value, digits), "" if value is None else value)


def _p(value: float) -> Cell:
    return Cell("<0.0001" if value < 0.0001 else f"{value:.4f}", value)


# --- experiments -----------------------------------------------------------------------------------------------------


def _experiments(summary: Summary) -> Html:
    return join(_group(summary, group) for group in summary.groups)


def _group(summary: Summary, group: Group) -> Html:
    """Everything scored on the same samples, in one table, with the trivial baselines in it."""
    pairs = summary.splits_and_metrics(group)
    parts = [tag("h3", group.title), _counts(summary, group, pairs)]
    for split in dict.fromkeys(split for split, _ in pairs):
        metrics = [metric for one, metric in pairs if one == split]
        parts.append(_levels_table(summary, group, split, metrics))
        drawn = [_distribution(summary, group, split, metric) for metric in metrics if not METRICS[metric].oracle]
        parts.append(details(f"Distributions over single samples, {split}", tag("div", drawn, class_="pair")))
    return join(parts)


def _counts(summary: Summary, group: Group, pairs: Sequence[tuple[str, str]]) -> Html:
    texts = []
    for split in dict.fromkeys(split for split, _ in pairs):
        found = [one for key, one in summary.levels.items() if key[0] in group.experiments and key[1] == split]
        ns, samples = sorted({one["n"] for one in found}), sorted({one["samples"] for one in found})
        span = "–".join(str(n) for n in (ns if len(ns) < 2 else [ns[0], ns[-1]]))
        rows = "–".join(str(n) for n in (samples if len(samples) < 2 else [samples[0], samples[-1]]))
        texts.append(f"{split}: {rows} samples of {span} {summary.unit(group.data, ns[-1])}")
    return tag(
        "p", "; ".join(texts), ". Mean over units ± standard deviation between seeds; best in bold.", class_="sub"
    )


def _levels_table(summary: Summary, group: Group, split: str, metrics: Sequence[str]) -> Html:
    best = {metric: _best(summary, group, split, metric) for metric in metrics}
    heads = ["experiment", "seeds"]
    for metric in metrics:
        arrow = "↓" if METRICS[metric].better == "lower" else "↑"
        heads.append(f"{METRICS[metric].title}{_in_unit(metric)} {arrow}")
        if _has_skill(summary, group, split, metric):
            heads.append("skill")
    rows = []
    for name in group.experiments:
        present = [summary.level(name, split, metric) for metric in metrics]
        if not any(present):
            continue
        mark = tag("span", "nothing to train", class_="tag") if name in summary.trivial else None
        seeds = max(len(one["seeds"]) for one in present if one)
        row = [Cell(join(summary.title(name), mark), summary.title(name)), Cell(seeds)]
        for metric, one in zip(metrics, present, strict=True):
            row.append(_level_cell(one, name == best[metric]))
            if _has_skill(summary, group, split, metric):
                skill = summary.skill(name, split, metric)
                hint = f"1 − error / error of {summary.title(skill[1])}" if skill else None
                row.append(Cell(number(skill[0] if skill else None, 3), skill[0] if skill else "", hint=hint))
        rows.append(row)
    references = {skill[1] for name in group.experiments for metric in metrics
                  if (name, split, metric) in summary.levels and (skill := summary.skill(name, split, metric))}  # fmt: skip
    note = (
        f"Skill: 1 − error / error of {', '.join(summary.title(one) for one in sorted(references))}."
        if references
        else ""
    )
    return join(
        tag("h4", f"Split {split}"), table(heads, rows, numbers=range(1, len(heads))), tag("p", note, class_="quiet")
    )


def _level_cell(one: Mapping[str, Any] | None, best: bool) -> Cell:
    if one is None:
        return Cell("–", "")
    spread = tag("small", f" ± {number(one['sd_seeds'], 2)}") if one["sd_seeds"] is not None else None
    hint = f"n = {one['n']} units, sd over units {number(one['sd_units'], 3)}"
    if one["low"] is not None:
        hint += f", 95% interval [{number(one['low'])}, {number(one['high'])}]"
    return Cell(join(number(one["value"]), spread), one["value"], "best" if best else None, hint)


def _best(summary: Summary, group: Group, split: str, metric: str) -> str | None:
    sign = 1 if METRICS[metric].better == "lower" else -1
    there = [name for name in group.experiments if (name, split, metric) in summary.levels]
    return min(there, key=lambda name: sign * summary.levels[name, split, metric]["value"], default=None)


def _has_skill(summary: Summary, group: Group, split: str, metric: str) -> bool:
    return any(
        (name, split, metric) in summary.levels and summary.skill(name, split, metric) for name in group.experiments
    )


def _distribution(summary: Summary, group: Group, split: str, metric: str) -> Html:
    rows = summary.rows(split, metric)
    colour = summary.colours(group.experiments)
    found = {str(name): part["value"].to_numpy() for name, part in rows.groupby("experiment", observed=True)}
    drawn = [
        figures.Distribution(summary.title(name), found[name][np.isfinite(found[name])], colour[name])
        for name in group.experiments
        if name in found and np.isfinite(found[name]).any()
    ]
    caption = f"{METRICS[metric].title} of single samples, all seeds: quartiles, whiskers from 5 to 95 %."
    return drawing(figures.distributions(drawn, _axis(metric)), caption)


# --- learning curves -------------------------------------------------------------------------------------------------


def _curves(summary: Summary) -> Html:
    """What each run monitored on its select split, experiments of one task and data together."""
    found: dict[tuple[str, str, str], dict[str, list[Run]]] = {}
    titles = {name: group.title for group in summary.groups for name in group.experiments}
    for run in summary.runs:
        if (run.folder / "curve.csv").is_file() and run.spec.get("budget", {}).get("steps"):
            quantity = str(run.record.get("monitor", "loss")).removeprefix("-")
            place = titles.get(run.experiment, f"{run.spec['task'].get('name', '')} on {run.spec.get('data', '')}")
            split = str(run.spec.get("select", "select"))
            found.setdefault((place, split, quantity), {}).setdefault(run.experiment, []).append(run)
    return join(_curve_figure(summary, *key, members) for key, members in found.items())


def _curve_figure(
    summary: Summary, place: str, split: str, quantity: str, members: Mapping[str, list[Run]]
) -> Html | None:
    colour = summary.colours(list(members))
    rows, best = [], []
    for name, runs in members.items():
        read = {run.seed: figures.read_curve(run.folder / "curve.csv", split, quantity) for run in runs}
        rows.append(
            figures.Curve(summary.title(name), colour[name], {seed: one for seed, one in read.items() if len(one[0])})
        )
        best.append(f"{summary.title(name)} {', '.join(str(run.record.get('best_step', '–')) for run in runs)}")
    if not any(row.seeds for row in rows):
        return None
    caption = f"{quantity} on {split}: thin lines are seeds, thick ones their mean. Best steps: {'; '.join(best)}."
    return join(tag("h3", place), drawing(figures.curves(rows, f"{quantity} on {split}"), caption, wide=True))


# --- data, encoders, pictures ----------------------------------------------------------------------------------------


def _data(inputs: ReportInputs) -> Html:
    return join(_data_set(name, files) for name, files in inputs.data.items())


def _data_set(name: str, files: DataFiles) -> Html:
    parts: list[Html | None] = [tag("h3", name)]
    index = _index(files.index)
    rejected = _rejected(files.rejected)
    facts: list[tuple[str, str]] = []
    if index is not None:
        facts += [(f"{len(index):,}", "videos indexed"), (f"{int(index['frames'].sum()):,}", "decoded frames")]
        damaged = int((index["status"] != "ok").sum())
        facts.append((str(damaged), "of them damaged"))
    if rejected is not None:
        facts.append((f"{len(rejected):,}", "files rejected"))
    parts.append(tag("div", (tag("div", tag("b", value), tag("span", what)) for value, what in facts), class_="facts"))
    parts += [_splits(files.splits), _spans(index), _reasons(rejected)]
    return join(parts)


def _there(path: Path | None) -> bool:
    return path is not None and Path(path).is_file()


def _index(path: Path | None) -> pd.DataFrame | None:
    if path is None or not _there(path):
        return None
    return pd.read_parquet(path, columns=["status", "frames", "fps", "duration", "width", "height"])


def _rejected(path: Path | None) -> pd.DataFrame | None:
    if path is None or not _there(path):
        return None
    return pd.read_csv(path, usecols=["path", "reason"], dtype="str", keep_default_na=False)


def _splits(path: Path | None) -> Html | None:
    if path is None or not _there(path):
        return None
    record = read_json(path)
    columns = [key for key in ("videos", "units", "classes", "frames") if key in record]
    rows = [[split, *(record[key].get(split, 0) for key in columns)] for split in record["videos"]]
    leaks = {kind: found for kind, found in record.get("leakage", {}).items() if found}
    verdict = tag("p", tag("span", "✓ no leakage", class_="chip better"),
                  " No equal file and no recording group stands in two splits.")  # fmt: skip
    if leaks:
        counts = "; ".join(
            f"{len(found)} {kind.replace('_', ' ')} in more than one split" for kind, found in leaks.items()
        )
        examples = [[kind.replace("_", " "), one["value"], ", ".join(f"{video} ({split})" for video, split in one["videos"].items())]
                    for kind, found in leaks.items() for one in found]  # fmt: skip
        verdict = join(
            tag("p", f"Leakage: {counts}. Scores on these splits may flatter.", class_="note"),
            details("Which", table(["kind", "value", "videos"], examples[:REJECTED_SHOWN])),
        )
    return join(table(["split", *columns], rows, numbers=range(1, len(columns) + 1)), verdict)


def _spans(index: pd.DataFrame | None) -> Html | None:
    if index is None or not len(index):
        return None
    rows = []
    for column, unit in (("frames", ""), ("fps", " 1/s"), ("duration", " s"), ("width", " px"), ("height", " px")):
        values = pd.to_numeric(index[column], errors="coerce").dropna()
        if len(values):
            low, middle, high = values.min(), values.median(), values.max()
            rows.append(
                [column + unit.replace(" ", ", ") if unit else column, number(low), number(middle), number(high)]
            )
    return details(
        "Lengths, rates and sizes", table(["of the videos", "least", "median", "most"], rows, numbers=(1, 2, 3))
    )


def _reasons(rejected: pd.DataFrame | None) -> Html | None:
    if rejected is None or not len(rejected):
        return None
    rows = rejected[["path", "reason"]].head(REJECTED_SHOWN).to_numpy().tolist()
    more = (
        f" (the first {REJECTED_SHOWN} of {len(rejected):,}; all of them in rejected.csv)"
        if len(rejected) > REJECTED_SHOWN
        else ""
    )
    return details(f"Rejected files and why{more}", table(["file", "reason"], rows), open_=len(rejected) <= 8)


def _probes(inputs: ReportInputs) -> Html:
    """What can be read off the embeddings linearly, as the probe's file says."""
    parts = []
    for path in inputs.probes:
        if _there(path):
            rows = [
                [key, Cell(number(value) if isinstance(value, float) else str(value))]
                for key, value in _probe_facts(path)
            ]
            parts += [
                tag("h3", f"{path.stem} on {path.parents[1].name}"),
                table(["quantity", "value"], rows, numbers=(1,)),
            ]
    return join(parts)


def _probe_facts(path: Path) -> list[tuple[str, Any]]:
    return flat(
        {
            key: value
            for key, value in read_json(path).items()
            if key not in ("provenance", "versions", "machine", "git")
        }
    )


def _galleries(inputs: ReportInputs) -> Html:
    return join(picture(Path(one.path), one.caption) for one in inputs.galleries if _there(one.path))


# --- how it was made -------------------------------------------------------------------------------------------------


def _method(summary: Summary) -> Html | None:
    if not summary.comparisons:
        return None
    rules = summary.comparisons[0]["rules"]
    scored = {key[2] for key in summary.levels}
    lists = [(METRICS[name].title, METRICS[name].description) for name in METRICS if name in scored]
    return join(
        tag("p", "A difference is called better or worse only where the paired t-test stays significant after Holm’s "
                 "correction over all tests of its comparison. It says: on other videos of this kind, these trained networks "
                 "would again differ in this direction. Whether other seeds would, the spread between seeds hints at."),
        tag("dl", (join(tag("dt", key), tag("dd", text)) for key, text in rules.items())),
        tag("h4", "Metrics"),
        tag("dl", (join(tag("dt", key), tag("dd", text)) for key, text in lists)),
    )  # fmt: skip


def _provenance(summary: Summary) -> Html:
    rows = [_run_row(summary, run) for run in summary.runs]
    heads = [
        "experiment",
        "seed",
        "parameters",
        "steps",
        "best step",
        "learning rate",
        "device",
        "minutes",
        "commit",
        "identity",
    ]
    parts: list[Html | None] = [table(heads, rows, numbers=range(1, 8)) if rows else None]
    for title, key in (("Versions", "versions"), ("Machine", "machine"), ("Code", "git")):
        found = list(dict.fromkeys(_text(run.record.get(key)) for run in summary.runs if run.record.get(key)))
        parts += [tag("h4", title), *(tag("p", one, class_="quiet wrap") for one in found)] if found else []
    if any((run.record.get("git") or {}).get("changed") for run in summary.runs):
        parts.append(tag("p", "Some runs were made from a checkout with uncommitted changes.", class_="note"))
    if summary.inputs.config:
        parts.append(details("The whole config", tag("pre", summary.inputs.config)))
    return join(parts)


def _text(value: Any) -> str:
    return ", ".join(f"{key} {inner}" for key, inner in flat(value))


def _run_row(summary: Summary, run: Run) -> list[Cell | Content]:
    record = run.record
    commit = (record.get("git") or {}).get("commit", "")
    seconds, parameters = record.get("seconds"), record.get("parameters")
    return [
        summary.title(run.experiment),
        run.seed,
        Cell("–" if parameters is None else f"{parameters:,}", parameters),
        record.get("steps"),
        record.get("best_step"),
        _cell(record.get("learning_rate") if record.get("steps") else None),
        record.get("device"),
        Cell("–" if seconds is None else f"{seconds / 60:.1f}", seconds),
        Cell(commit[:10], hint=commit),
        Cell(str(record.get("identity", ""))[:12], hint=str(record.get("identity", ""))),
    ]
