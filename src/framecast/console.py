"""The comparisons of a results folder as plain text, for the end of a run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from framecast.files import read_json


def comparisons(results: Path) -> str:
    """One table a comparison and split: every experiment with its scores, and what the tests say.

    Raises:
        FileNotFoundError: the folder holds no comparison.
    """
    paths = sorted(results.joinpath("comparisons").glob("*.json"))
    if not paths:
        raise FileNotFoundError(f"{results}/comparisons holds no comparison: run the workflow first")
    blocks = [block for path in paths for block in _blocks(read_json(path))]
    return "\n\n".join([*blocks, f"workbook: {results}/summary.xlsx   page: {results}/report.html"])


def _blocks(comparison: dict[str, Any]) -> list[str]:
    return [_block(comparison, split, metric) for split in comparison["splits"] for metric in comparison["metrics"]]


def _block(comparison: dict[str, Any], split: str, metric: str) -> str:
    here = lambda rows: [row for row in rows if row["split"] == split and row["metric"] == metric]  # noqa: E731
    tests = {row["treatment"]: row for row in here(comparison["tests"]) + here(comparison["intervals"])}
    refused = {row["treatment"]: row["reason"] for row in here(comparison["refusals"])}
    levels = here(comparison["levels"])
    rows = [_row(level, comparison, tests, refused) for level in levels]
    if not rows:
        return f"{comparison['title']} · {split} · {metric}: no scores"
    better = f"{levels[0]['better']} is better, n = {levels[0]['n']} units"
    head = ("experiment", "value", "skill", "p (Holm)", "against " + comparison["baseline"])
    return f"{comparison['title']} · split {split} · {metric} ({better})\n" + _table([head, *rows])


def _row(
    level: dict[str, Any], comparison: dict[str, Any], tests: dict[str, Any], refused: dict[str, str]
) -> tuple[str, ...]:
    name = level["experiment"]
    test = tests.get(name)
    if name == comparison["baseline"]:
        return name, _number(level["value"]), "", "", "baseline"
    if test is None:
        return name, _number(level["value"]), "", "", f"refused: {refused.get(name, 'no scores')}"
    return name, _number(level["value"]), _number(test["skill"]), _number(test.get("p_holm")), _verdict(test)


def _verdict(test: dict[str, Any]) -> str:
    word = {"treatment": "better", "baseline": "worse"}.get(test["ahead"] or "", "equal")
    sure = test.get("significant", test.get("excludes_zero"))
    return word if sure else f"{word}, but not more than chance"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"


def _table(rows: list[tuple[str, ...]]) -> str:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join(f"  {line}" for line in lines)
