"""The results of a folder as plain text, for the end of a run, or as Markdown, for the documents."""

from __future__ import annotations

import textwrap
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import Any

from framecast.analysis import answers, cautions, run_records, verdicts
from framecast.analysis.answers import Answer
from framecast.analysis.verdicts import SIGNS, Verdict
from framecast.analysis.words import number
from framecast.core.files import read_json

WIDTH = 100


def first_screen(results: Path) -> str:
    """Two lines a track, or a comparison of no track: what its primary comparison says of the best trained model.

    Raises:
        FileNotFoundError: the folder holds no comparison.
    """
    untrained = _untrained(results)
    records = _records(results, untrained)
    told = records[0]["cautions"]
    lines = answers.answers(answers.from_records(records), records, untrained)
    shown = [name for line in lines for name in line.named]
    warned = cautions.sentences(told, shown, lambda name: _marked(told, name))
    more = f"all tables: framecast show --all {results}"
    texts = ["\n".join(_answer(line, told) for line in lines), *(textwrap.fill(one, WIDTH) for one in warned)]
    return "\n\n".join([*texts, "\n".join([*_files(results), more])])


def _answer(answer: Answer, told: dict[str, str]) -> str:
    result, parts = answer.result, []
    if result is None:
        said = answers.without_result(answer)
    else:
        treatment, baseline = (_marked(told, result[side]) for side in ("treatment", "baseline"))
        verdict = Verdict(result["verdict"])
        said = f"{SIGNS[verdict]} {verdict}, {treatment} against {baseline}"
        parts.append(f"{answer.metric} on {answer.split}: {' '.join(answers.effect(result, baseline)).rstrip()}")
        parts += [f"n = {result['n']}"] if "n" in result else []
    if rule := answer.rule:
        parts.append(f"strongest simple rule: {_marked(told, rule['experiment'])} {number(rule['value'])}")
    elif answer.comparison:
        parts.append("no simple rule compared")
    texts = [_wrapped(f"{answer.title}: {said}", ""), *([_wrapped("; ".join(parts), "    ")] if parts else [])]
    return "\n".join(texts)


def _wrapped(text: str, indent: str) -> str:
    return textwrap.fill(text, WIDTH, initial_indent=indent, subsequent_indent=indent + "  ", break_on_hyphens=False)


def comparisons(results: Path) -> str:
    """One table a comparison and split: every experiment with its scores, and what the tests say. Experiments that a
    task warns of are marked, and below a comparison's tables stands why.

    Raises:
        FileNotFoundError: the folder holds no comparison.
    """
    records = _records(results, _untrained(results))
    blocks = [block for record in records for block in [*_blocks(record), *_warnings(record)]]
    return "\n\n".join([*blocks, *_files(results)])


def _files(results: Path) -> list[str]:
    """Where workbook and page are, in one line; none where neither is made."""
    files = {"workbook": results / "summary.xlsx", "page": results / "report.html"}
    there = [f"{what}: {path}" for what, path in files.items() if path.is_file()]
    return ["   ".join(there)] if there else []


def markdown(results: Path) -> str:
    """The same tables for a document, with where they come from, the runs' learning rates and the encoder's probes.

    Raises:
        FileNotFoundError: the folder holds no comparison.
    """
    records = _records(results, _untrained(results))
    parts = [_origin(records[0]["provenance"])]
    for record in records:
        for split in record["splits"]:
            parts += [_markdown_block(record, split, metric) for metric in record["metrics"]]
        parts += _warnings(record, "`")
    parts += [_tuning(results), *(_probe(path) for path in sorted(results.glob("data/*/probes/*.json")))]
    return "\n\n".join(part for part in parts if part)


def _untrained(results: Path) -> set[str]:
    """Experiments with nothing to train."""
    return {run.experiment for run in run_records.read(sorted(results.glob("runs/*/seed_*"))) if run.trivial}


def _records(results: Path, untrained: AbstractSet[str]) -> list[dict[str, Any]]:
    paths = sorted(results.joinpath("comparisons").glob("*.json"))
    if not paths:
        raise FileNotFoundError(f"{results}/comparisons holds no comparison: run the workflow first")
    told = cautions.read(sorted(results.glob("runs/*/seed_*/scores/*.json")), untrained)
    return [read_json(path) | {"cautions": told} for path in paths]


def _name(comparison: dict[str, Any], experiment: str, quote: str = "") -> str:
    return _marked(comparison["cautions"], experiment, quote)


def _marked(told: dict[str, str], experiment: str, quote: str = "") -> str:
    """The experiment's key, with the mark where a task warns of its scores."""
    mark = f" {cautions.MARK}" if experiment in told else ""
    return f"{quote}{experiment}{quote}{mark}"


def _warnings(comparison: dict[str, Any], quote: str = "") -> list[str]:
    names = [comparison["baseline"], *comparison["treatments"]]
    return cautions.sentences(comparison["cautions"], names, lambda name: _name(comparison, name, quote))


def _origin(record: dict[str, Any]) -> str:
    git, machine = record["git"] or {"commit": "unknown", "changed": False}, record["machine"]
    changed = " with uncommitted changes" if git["changed"] else ""
    versions = ", ".join(
        f"{name} {record['versions'][name]}" for name in ("python", "torch") if name in record["versions"]
    )
    return (
        f"Commit `{git['commit'][:12]}`{changed}; {machine['processor']}, {machine['cores']} cores, "
        f"{machine['memory_gib']} GiB, {machine['system']}; {versions}; {record['time']}."
    )


def _markdown_block(comparison: dict[str, Any], split: str, metric: str) -> str:
    tests, levels = _tests(comparison, split, metric), _of(comparison["levels"], split, metric)
    if not levels:
        return ""
    level = levels[0]
    heading = f"### {comparison['title']}: {level['title']} ({level['unit'] or 'no unit'}, {level['better']} is better)"
    lines = [
        heading,
        "",
        f"Split {split}, n = {level['n']} units, {level['samples']} samples; Holm over {comparison['family']} tests.",
        "",
    ]
    skill = f"skill over {comparison['baseline']}"
    columns = ["experiment", "value", "between seeds (sd)", skill, "difference [interval]", "p (Holm)"]
    columns += ["Wilcoxon p (Holm)", "verdict"]
    lines += [f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]
    return "\n".join([*lines, *(_markdown_row(one, comparison, tests.get(one["experiment"])) for one in levels)])


def _markdown_row(level: dict[str, Any], comparison: dict[str, Any], test: dict[str, Any] | None) -> str:
    cells = [_name(comparison, level["experiment"], "`"), _value(level), _number(level["sd_seeds"])]
    if level["experiment"] == comparison["baseline"]:
        return "| " + " | ".join([*cells, "", "", "", "", "baseline"]) + " |"
    if test is None:
        return "| " + " | ".join([*cells, "", "", "", "", Verdict.REFUSED]) + " |"
    difference = _number(test["difference"])
    if "low" in test:
        difference += f" [{_number(test['low'])}, {_number(test['high'])}]"
    p_values = [_number(test.get("p_holm")), _number(test.get("wilcoxon_p_holm"))]
    said = verdicts.said(test["verdict"], f"`{comparison['baseline']}`")
    return "| " + " | ".join([*cells, _number(test["skill"]), difference, *p_values, said]) + " |"


def _tuning(results: Path) -> str:
    rows = [(path.parent.name, read_json(path)) for path in sorted(results.glob("runs/*/tuned.json"))]
    if not rows:
        return ""
    lines = [
        "### Learning rates, searched on the select split",
        "",
        "| experiment | chosen | trials (rate: score) |",
        "|---|---|---|",
    ]
    for name, tuned in rows:
        trials = "; ".join(
            f"{one['learning_rate']:g}: {_number(one['score']) or 'diverged'}" for one in tuned["trials"]
        )
        lines.append(f"| `{name}` | {tuned['learning_rate']:g} | {trials} |")
    return "\n".join(lines)


def _probe(path: Path) -> str:
    """Rows of a probe on the test split: what is read out, of what, how well, beside saying the mean."""
    record = read_json(path).get("test", {})
    lines = [
        f"### Linear probe of encoder `{path.stem}` on data `{path.parents[1].name}`, test split (x, y)",
        "",
        "| of | quantity | R² | mean absolute error | that of saying the mean | frames |",
        "|---|---|---|---|---|---|",
    ]
    for target, quantities in record.items():
        for quantity, row in quantities.items():
            cells = [_pair(row[key]) for key in ("r2", "error", "error_of_the_mean")]
            lines.append(f"| {target} | {quantity.replace('_', ' ')} | {' | '.join(cells)} | {row['frames']} |")
    return "\n".join(lines) if record else ""


def _pair(values: list[float]) -> str:
    return ", ".join(f"{value:.3g}" for value in values)


def _of(rows: list[dict[str, Any]], split: str, metric: str) -> list[dict[str, Any]]:
    return [row for row in rows if row["split"] == split and row["metric"] == metric]


def _tests(comparison: dict[str, Any], split: str, metric: str) -> dict[str, dict[str, Any]]:
    rows = comparison["tests"] + comparison["intervals"] + comparison["equalities"]
    return {row["treatment"]: row for row in _of(rows, split, metric)}


def _blocks(comparison: dict[str, Any]) -> list[str]:
    return [_block(comparison, split, metric) for split in comparison["splits"] for metric in comparison["metrics"]]


def _block(comparison: dict[str, Any], split: str, metric: str) -> str:
    tests = _tests(comparison, split, metric)
    refused = {row["treatment"]: row["reason"] for row in _of(comparison["refusals"], split, metric)}
    levels = _of(comparison["levels"], split, metric)
    rows = [_row(level, comparison, tests, refused) for level in levels]
    if not rows:
        return f"{comparison['title']} · {split} · {metric}: no scores"
    better = f"{levels[0]['better']} is better, n = {levels[0]['n']} units"
    head = ("experiment", "value", "skill", "p (Holm)", "against " + _name(comparison, comparison["baseline"]))
    return f"{comparison['title']} · split {split} · {metric} ({better})\n" + _table([head, *rows])


def _row(
    level: dict[str, Any], comparison: dict[str, Any], tests: dict[str, Any], refused: dict[str, str]
) -> tuple[str, ...]:
    experiment, value = level["experiment"], _value(level)
    test, name = tests.get(experiment), _name(comparison, experiment)
    if experiment == comparison["baseline"]:
        return name, value, "", "", "baseline"
    if test is None:
        return name, value, "", "", f"{Verdict.REFUSED}: {refused.get(experiment, 'no scores')}"
    said = verdicts.said(test["verdict"], comparison["baseline"])
    return name, value, _number(test["skill"]), _number(test.get("p_holm")), said


def _value(level: dict[str, Any]) -> str:
    """The value; of a corpus metric, which has no test beside it, with its bootstrap interval."""
    value = _number(level["value"])
    if level["reducer"] != "corpus" or level["low"] is None:
        return value
    return f"{value} [{_number(level['low'])}, {_number(level['high'])}]"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"


def _table(rows: list[tuple[str, ...]]) -> str:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join(f"  {line}" for line in lines)
