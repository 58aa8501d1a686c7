"""The Excel workbook: what was compared, on how many units, what won; then every number behind it.

Numbers are numbers, text is text whatever it begins with, and equal inputs give equal bytes. `write` is the whole
interface.
"""

from __future__ import annotations

import io
import itertools
import math
import re
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
from openpyxl import Workbook
from openpyxl.cell import WriteOnlyCell
from openpyxl.chart import BarChart, LineChart, Reference
from openpyxl.chart.data_source import NumDataSource, NumRef
from openpyxl.chart.error_bar import ErrorBars
from openpyxl.chart.layout import Layout, ManualLayout
from openpyxl.chart.series import DataPoint
from openpyxl.chart.shapes import GraphicalProperties
from openpyxl.chart.text import RichText, Text
from openpyxl.chart.title import Title
from openpyxl.drawing.line import LineProperties
from openpyxl.drawing.text import CharacterProperties, Paragraph, ParagraphProperties, RegularTextRun
from openpyxl.formatting.rule import CellIsRule, FormulaRule
from openpyxl.styles import Alignment, Font, PatternFill
from openpyxl.utils import get_column_letter
from openpyxl.worksheet.properties import PageSetupProperties

from framecast.analysis import answers, cautions, verdicts
from framecast.analysis.answers import Answer
from framecast.analysis.summary import Group, ReportInputs, Summary, flat
from framecast.analysis.verdicts import EQUALITIES, Verdict
from framecast.analysis.words import by_how_much, in_unit, seeds_text
from framecast.core.files import read_json, replacing
from framecast.metrics import METRICS

SHEET_ROWS = 1_048_576  # Excel's own limit
SHEET_NAME = 31  # characters, the same
FORBIDDEN = re.compile(r"[\[\]:*?/\\]")  # in a sheet's name
SAMPLE_ROWS = 100_000  # more make a file that opens in minutes; the rest stands in the score files
LONGEST = 32_767  # characters Excel keeps in a cell
EPOCH = (1980, 1, 1, 0, 0, 0)
UNPRINTABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")

FACE = "Calibri"
HEAD = (Font(name=FACE, bold=True, color="FFFFFF"), PatternFill("solid", start_color="33475B"))
NOTE = Font(name=FACE, italic=True, color="5B6470")
BOLD = Font(name=FACE, bold=True)
GREEN, RED, GREY = (
    {"font": Font(color=ink), "fill": PatternFill("solid", start_color=paper, end_color=paper)}
    for ink, paper in (("0B6B34", "D9F2E1"), ("A31F25", "FBDCDC"), ("5B6470", "ECEFF2"))
)
FORMATS = {"integer": "#,##0", "percent": "+0.0%;-0.0%;0.0%", "p": '[<0.0001]"<0.0001";0.0000', "share": "0.000"}


@dataclass(frozen=True)
class Column:
    """A column: its head, and how its values are shown (`text`, `number` or a key of FORMATS)."""

    title: str
    kind: str = "text"


@dataclass
class Sheet:
    """A sheet: a note on top, a head, rows; `verdict` is the place of the column whose word colours the row."""

    title: str
    note: str
    columns: Sequence[Column]
    rows: Sequence[Sequence[Any]]
    verdict: int | None = None
    signed: Sequence[int] = field(default_factory=list)
    """Columns whose sign is coloured: above zero green, below red."""


def write(inputs: ReportInputs, path: Path) -> None:
    """Write the workbook to `path`. Absent optional parts leave their sheet out."""
    summary = Summary(inputs)
    book = Workbook(write_only=True)
    _fill(book, _overview(summary))
    _fill(book, _verdicts(summary))
    _charts(book, summary)
    for sheet in _sheets(summary):
        _fill(book, sheet)
    buffer = io.BytesIO()
    book.save(buffer)
    with replacing(path) as temporary:
        temporary.write_bytes(_same_bytes(buffer.getvalue()))


# --- sheets ----------------------------------------------------------------------------------------------------------


def _sheets(summary: Summary) -> Iterator[Sheet]:
    yield _levels(summary)
    yield _tests(summary)
    for sheet in (_intervals(summary), _equalities(summary), _refusals(summary)):
        if sheet.rows:
            yield sheet
    yield _per_experiment(summary)
    yield from _breakdowns(summary)
    yield from _per_unit(summary)
    yield _per_sample(summary)
    if summary.inputs.data:
        yield from _data(summary.inputs)
    if summary.inputs.probes:
        yield _encoders(summary.inputs)
    yield from _provenance(summary)


def _overview(summary: Summary) -> Sheet:
    """One row a track, as on the first screen of the page."""
    kinds = {"track": "text", "comparison": "text", "split": "text", "metric": "text", "best trained model": "text",
             "against": "text", "verdict": "text", "effect": "text", "difference": "number", "low": "number",
             "high": "number", "n (units)": "integer", "strongest simple rule": "text", "its value": "number",
             "remark": "text"}  # fmt: skip
    note = (
        "What won: of each track its first comparison in the config, on its first split and the first metric that can "
        "be tested; a comparison of no track has a row of its own. A simple rule has nothing to train. Sheets: "
        "Verdicts, Charts, Summary, Tests, then all numbers down to samples, data and provenance."
    )
    rows = [_overview_row(summary, one) for one in summary.answers()]
    return Sheet("Overview", note, [Column(*item) for item in kinds.items()], rows, verdict=6)


def _overview_row(summary: Summary, answer: Answer) -> list[Any]:
    start = [answer.title if answer.track is not None else None]
    if answer.comparison is None:
        return [*start, *[None] * 13, answers.without_result(answer)]
    entry, one, rule = answer.comparison, answer.result, answer.rule
    start += [entry["title"], answer.split, _titled(answer.metric)]
    simple = [summary.title(rule["experiment"]), rule["value"]] if rule else [None, None]
    if one is None:
        return [*start, *[None] * 8, *simple, answers.without_result(answer)]
    amount = by_how_much(one) if "low" in one else None
    numbers = [one.get(key) for key in ("difference", "low", "high", "n")]
    return [*start, *_names(summary, one), _said(summary, one), amount, *numbers, *simple, _remark(summary, one)]


def _verdicts(summary: Summary) -> Sheet:
    """One row a treatment, split and metric."""
    kinds = {"comparison": "text", "treatment": "text", "against": "text", "split": "text", "metric": "text",
             "verdict": "text", "by how much": "text", "n (units)": "integer", "p (Holm)": "p",
             "Wilcoxon p (Holm)": "p", "seeds": "text", "remark": "text"}  # fmt: skip
    rows = []
    for entry in summary.comparisons:
        for one in entry["tests"] + entry["intervals"] + entry["equalities"] + entry["refusals"]:
            start = [entry["title"], *_names(summary, one), one["split"], METRICS[one["metric"]].title]
            amount = by_how_much(one) if "low" in one else None
            seeds = None if one["verdict"] == Verdict.REFUSED else seeds_text([one])
            rows.append([*start, _said(summary, one), amount, one.get("n"), one.get("p_holm"),
                         one.get("wilcoxon_p_holm"), seeds, _remark(summary, one)])  # fmt: skip
    note = (
        "All comparisons: better or worse without more words means that the paired t-test on unit means stays "
        "significant after Holm’s correction over its comparison; interval only: there is no test."
    )
    return Sheet("Verdicts", note, [Column(*item) for item in kinds.items()], rows, verdict=5)


def _names(summary: Summary, one: Mapping[str, Any]) -> list[str]:
    return [summary.title(one["treatment"]), summary.title(one["baseline"])]


def _said(summary: Summary, one: Mapping[str, Any]) -> str:
    return verdicts.said(one["verdict"], summary.title(one["baseline"]))


def _remark(summary: Summary, one: Mapping[str, Any]) -> str | None:
    return "; ".join([*_remarks(one), *summary.warnings([one["treatment"], one["baseline"]])]) or None


def _remarks(one: Mapping[str, Any]) -> list[str]:
    """What a verdict does not say: of a test, an interval, an equality or a refusal."""
    if one["verdict"] == Verdict.REFUSED:
        return [one["reason"]]
    if one["kind"] == "equality":
        return [EQUALITIES[Verdict(one["verdict"])]]
    if one["kind"] == "bootstrap":
        return ["bootstrap interval over units, no test"]
    return ["Wilcoxon’s test disagrees"] if one["significant"] != one["wilcoxon_significant"] else []


def _levels(summary: Summary) -> Sheet:
    columns = [
        Column(name) for name in ("experiment", "key", "task and data", "split", "metric", "unit", "better", "reducer")
    ]
    columns += [Column("value", "number"), Column("95% low", "number"), Column("95% high", "number"),
                Column("sd over units", "number"), Column("sd between seeds", "number"), Column("n (units)", "integer"),
                Column("samples", "integer"), Column("seeds", "integer"), Column("skill", "share"),
                Column("skill over"),
                Column("nothing to train"), Column("caution")]  # fmt: skip
    rows = []
    for group in summary.groups:
        for split, metric in summary.splits_and_metrics(group):
            for name in group.experiments:
                one, kind = summary.level(name, split, metric), METRICS[metric]
                if one is None:
                    continue
                skill = summary.skill(name, split, metric)
                rows.append([
                    summary.title(name), name, group.title, split, kind.title, kind.unit, kind.better, kind.reducer,
                    one["value"], one["low"], one["high"], one["sd_units"], one["sd_seeds"], one["n"], one["samples"],
                    len(one["seeds"]), skill[0] if skill else None, summary.title(skill[1]) if skill else None,
                    "yes" if name in summary.trivial else "no", summary.cautions.get(name),
                ])  # fmt: skip
    note = (
        "Rows are averaged within a unit (over samples and seeds), then reduced over units; medians over all rows; "
        "corpus figures from the counts of all samples together, with a bootstrap interval over units. "
        "Skill = 1 - error / error of the trivial baseline named beside it; above zero is better than it. "
        f"{cautions.MARK} behind a name, here and on all sheets: see the column caution."
    )
    return Sheet("Summary", note, columns, rows, signed=[16])


def _tests(summary: Summary) -> Sheet:
    columns = [
        Column(name) for name in ("comparison", "treatment", "baseline", "split", "metric", "unit", "better", "verdict")
    ]
    columns += [Column("n (units)", "integer"), Column("samples", "integer")]
    columns += [Column(name, "number") for name in ("treatment value", "baseline value", "difference", "low", "high")]
    columns += [Column("alpha", "share"), Column("change", "percent"), Column("skill", "share"), Column("t", "share"),
                Column("df", "integer"), Column("p", "p"), Column("p (Holm)", "p"), Column("Wilcoxon W", "number"),
                Column("Wilcoxon p", "p"), Column("Wilcoxon p (Holm)", "p"), Column("Cohen’s dz", "share"),
                Column("units better", "integer"), Column("units worse", "integer"), Column("family", "integer"),
                Column("seeds")]  # fmt: skip
    rows = [
        [entry["title"], *_names(summary, one), one["split"],
         METRICS[one["metric"]].title, METRICS[one["metric"]].unit, METRICS[one["metric"]].better,
         _said(summary, one), one["n"], one["samples"], one["treatment_value"], one["baseline_value"],
         one["difference"], one["low"], one["high"], entry["alpha"], one["relative_change"], one["skill"], one["t"],
         one["df"], one["p"], one["p_holm"], one["wilcoxon"], one["wilcoxon_p"],
         one["wilcoxon_p_holm"], one["dz"], one["units_better"], one["units_worse"], entry["family"], seeds_text([one])]
        for entry in summary.comparisons
        for one in entry["tests"]
    ]  # fmt: skip
    note = (
        "Two-sided paired t-tests of unit means, treatment minus baseline; low and high: confidence interval of the "
        "mean difference at 1 - alpha, not adjusted for the family."
    )
    return Sheet("Tests", note, columns, rows, verdict=7)


def _intervals(summary: Summary) -> Sheet:
    columns = [Column(name) for name in ("comparison", "treatment", "baseline", "split", "metric", "verdict")]
    columns += [Column("n (units)", "integer")]
    columns += [Column(name, "number") for name in ("treatment value", "baseline value", "difference", "low", "high")]
    rows = [
        [entry["title"], *_names(summary, one), one["split"],
         METRICS[one["metric"]].title + in_unit(one["metric"]), _said(summary, one), one["n"],
         one["treatment_value"], one["baseline_value"], one["difference"], one["low"], one["high"]]
        for entry in summary.comparisons
        for one in entry["intervals"]
    ]  # fmt: skip
    note = "Medians and corpus metrics: percentile bootstrap over units, no test, no correction, and so no verdict."
    return Sheet("Intervals", note, columns, rows, verdict=5)


def _equalities(summary: Summary) -> Sheet:
    columns = [Column(name) for name in ("comparison", "treatment", "baseline", "split", "metric", "verdict")]
    columns += [Column("n (units)", "integer"), Column("value", "number"), Column("what is equal")]
    rows = [
        [entry["title"], *_names(summary, one), one["split"], METRICS[one["metric"]].title + in_unit(one["metric"]),
         _said(summary, one), one["n"], one["treatment_value"], EQUALITIES[Verdict(one["verdict"])]]
        for entry in summary.comparisons
        for one in entry["equalities"]
    ]  # fmt: skip
    return Sheet("Equal", "Treatments that differ in nothing from the baseline: not tested.", columns, rows, verdict=5)


def _refusals(summary: Summary) -> Sheet:
    columns = [Column(name) for name in ("comparison", "treatment", "baseline", "split", "metric", "reason")]
    rows = [
        [entry["title"], *_names(summary, one), one["split"], METRICS[one["metric"]].title, one["reason"]]
        for entry in summary.comparisons
        for one in entry["refusals"]
    ]  # fmt: skip
    return Sheet("Refused", "Tests that were asked for and not made, with the reason.", columns, rows)


def _per_experiment(summary: Summary) -> Sheet:
    """One row an experiment, split and seed; one column a metric."""
    metrics = [metric for metric in METRICS if any(key[2] == metric for key in summary.levels)]
    runs = {(run.experiment, str(run.seed)): run.record for run in summary.runs}
    columns = [Column("experiment"), Column("split"), Column("seed", "integer")]
    columns += [Column(f"{METRICS[metric].title}{in_unit(metric)}", "number") for metric in metrics]
    columns += [Column("parameters", "integer"), Column("steps", "integer"), Column("best step", "integer"),
                Column("learning rate", "number"), Column("training time, s", "number"), Column("device"),
                Column("precision")]  # fmt: skip
    rows = []
    for name in [name for group in summary.groups for name in group.experiments]:
        for split in dict.fromkeys(key[1] for key in summary.levels if key[0] == name):
            found = {metric: summary.level(name, split, metric) for metric in metrics}
            for seed in dict.fromkeys(seed for one in found.values() if one for seed in one["seeds"]):
                run = runs.get((name, seed), {})
                values = [one["seeds"].get(seed) if one else None for one in found.values()]
                keys = ("parameters", "steps", "best_step", "learning_rate", "seconds", "device", "precision")
                facts = [run.get(key) for key in keys]
                rows.append([summary.title(name), split, int(seed), *values, *facts])
    return Sheet(
        "Per experiment", "One row a run and split: each metric reduced over that seed’s units.", columns, rows
    )


def _breakdowns(summary: Summary) -> Iterator[Sheet]:
    """Parts of the samples below each other, one column an experiment."""
    found = [(group, one) for group in summary.groups for one in summary.breakdowns_of(group)]
    for group, one in found:
        names = one.experiments(group)
        columns = [Column(one.column), Column("n (units)", "integer")]
        columns += [Column(summary.title(name), "number") for name in names]
        parts = sorted(one.values.items())
        rows = [[part, one.units[part], *(values.get(name) for name in names)] for part, values in parts]
        note = f"{group.title}, split {one.split}: {_titled(one.metric)}, mean over units, then over seeds."
        yield Sheet(f"By {one.column}, {_group_name(summary, group)}", note, columns, rows)


def _per_unit(summary: Summary) -> Iterator[Sheet]:
    """Unit means beside each other, one column an experiment: what the paired tests are made of."""
    for group in summary.groups:
        scores = summary.singles[summary.singles["experiment"].isin(group.experiments)]
        if scores.empty:
            continue
        wide = scores.groupby(["split", "metric", "unit", "experiment"], observed=True)["value"].mean().unstack()
        names = [name for name in group.experiments if name in wide.columns]
        rows = [
            [key[0], METRICS[key[1]].title if key[1] in METRICS else key[1], key[2], *values]
            for key, values in zip(wide.index, wide[names].to_numpy().tolist(), strict=True)
        ]
        columns = [Column("split"), Column("metric"), Column("unit")]
        columns += [Column(summary.title(name), "number") for name in names]
        asked = "; ".join(f"{entry['comparison']}: {entry['title']}" for entry in _compared(summary, group))
        note = f"{group.title}: means of each unit over its samples and seeds. These pairs are what is tested. {asked}"
        yield Sheet(f"Units of {_group_name(summary, group)}", note.strip(), columns, rows)


def _compared(summary: Summary, group: Group) -> list[Mapping[str, Any]]:
    """The comparisons of a group's experiments."""
    return [entry for entry in summary.comparisons if entry["baseline"] in group.experiments]


def _group_name(summary: Summary, group: Group) -> str:
    """The first comparison of a group; where there is none, what the group is titled."""
    return next((str(entry["comparison"]) for entry in _compared(summary, group)), group.title)


def _per_sample(summary: Summary) -> Sheet:
    """One row a sample, one column a metric, as far as a sheet goes."""
    keys = ["experiment", "split", "seed", "sample_id", "unit"]
    metrics = [str(metric) for metric in summary.singles["metric"].cat.categories]
    # Whole experiments could be cut in the middle of a sample's metrics; so whole samples are counted and kept.
    samples = summary.singles[keys].drop_duplicates()
    kept = samples.head(SAMPLE_ROWS)
    scores = summary.singles if len(kept) == len(samples) else summary.singles.merge(kept, on=keys)
    wide = scores.pivot_table("value", keys, "metric", observed=True, sort=False).reindex(columns=metrics)
    rows = [
        [summary.title(str(key[0])), *key[1:], *values]
        for key, values in zip(wide.index, wide.to_numpy().tolist(), strict=True)
    ]
    columns = [Column("experiment"), Column("split"), Column("seed", "integer"), Column("sample"), Column("unit")]
    columns += [Column(_titled(metric), "number") for metric in metrics]
    note = "One row a sample and seed; samples of one unit are not independent."
    if len(samples) > len(kept):
        note = (
            f"The first {len(kept):,} of {len(samples):,} samples. All of them: "
            "results/runs/{experiment}/seed_{seed}/scores/{split}.csv"
        )
    return Sheet("Per sample", note, columns, rows)


def _titled(metric: str) -> str:
    return f"{METRICS[metric].title}{in_unit(metric)}" if metric in METRICS else metric


def _data(inputs: ReportInputs) -> Iterator[Sheet]:
    facts: list[list[Any]] = []
    rejected: list[list[Any]] = []
    for name, files in inputs.data.items():
        if files.index and Path(files.index).is_file():
            index = pd.read_parquet(files.index, columns=["status", "frames"])
            facts += [[name, "videos indexed", len(index)], [name, "decoded frames", int(index["frames"].sum())]]
            facts += [
                [name, f"videos {status}", int(count)] for status, count in index["status"].value_counts().items()
            ]
        if files.rejected and Path(files.rejected).is_file():
            table = pd.read_csv(files.rejected, usecols=["path", "reason"], dtype="str", keep_default_na=False)
            facts.append([name, "files rejected", len(table)])
            rejected += [[name, *row] for row in table[["path", "reason"]].to_numpy().tolist()]
        if files.splits and Path(files.splits).is_file():
            facts += [[name, key, value] for key, value in flat(_split_facts(Path(files.splits)))]
    columns = [Column("data"), Column("what"), Column("value", "integer")]
    yield Sheet("Data", "Videos, splits and what stands in more than one split (leakage).", columns, facts)
    if rejected:
        columns = [Column("data"), Column("file"), Column("reason")]
        yield Sheet("Rejected", "Files that are no usable videos, with the reason.", columns, rejected)


def _split_facts(path: Path) -> dict[str, Any]:
    record = read_json(path)
    leaks = {
        f"in more than one split: {kind}".replace("_", " "): len(found)
        for kind, found in record.pop("leakage", {}).items()
    }
    problems = {
        f"annotations {one['outcome']}: {kind}".replace("_", " "): one["count"]
        for kind, one in record.pop("annotations", {}).items()
    }
    left_out = {
        f"left out of {split}: {task}": count
        for split, tasks in record.pop("left_out", {}).items()
        for task, count in tasks.items()
    }
    counted = {f"{what} in {split}": count for what, counts in record.items() for split, count in counts.items()}
    return {**counted, **left_out, **leaks, **problems}


def _encoders(inputs: ReportInputs) -> Sheet:
    rows = [
        [Path(path).parents[1].name, Path(path).stem, key, value]
        for path in inputs.probes
        if Path(path).is_file()
        for key, value in flat({key: one for key, one in read_json(path).items() if key != "provenance"})
    ]
    columns = [Column("data"), Column("encoder"), Column("what"), Column("value")]
    return Sheet("Encoders", "Linear probes: what can be read off the embeddings.", columns, rows)


def _provenance(summary: Summary) -> Iterator[Sheet]:
    rows = [
        [summary.title(run.experiment), run.seed, key, value] for run in summary.runs for key, value in flat(run.record)
    ]
    columns = [Column("experiment"), Column("seed", "integer"), Column("what"), Column("value")]
    yield Sheet(
        "Provenance", "Each run’s record: config, inputs, code, versions, machine.", columns, rows[: SHEET_ROWS - 3]
    )
    if summary.inputs.config:
        lines = [[line] for line in summary.inputs.config.splitlines()]
        yield Sheet("Config", "The resolved config.", [Column("line")], lines[: SHEET_ROWS - 3])


# --- charts ----------------------------------------------------------------------------------------------------------


def _charts(book: Workbook, summary: Summary) -> None:
    """Bars with intervals and a line at the baseline, one chart a comparison, split and metric with such intervals."""
    wanted = [
        (entry, split, metric)
        for entry in summary.comparisons
        for split in entry["splits"]
        for metric in entry["metrics"]
        if METRICS[metric].reducer != "median" and not METRICS[metric].oracle
    ]
    if not wanted:
        return
    sheet = book.create_sheet("Charts")
    _landscape(sheet)
    for letter, width in zip("ABCDE", (30, 14, 14, 14, 14), strict=True):
        sheet.column_dimensions[letter].width = width
    row = 1
    for entry, split, metric in wanted:
        found = {one["experiment"]: one for one in entry["levels"] if (one["split"], one["metric"]) == (split, metric)}
        if entry["baseline"] in found:
            row = _chart(sheet, row, summary, entry, f"{_titled(metric)} on {split}", METRICS[metric].better, found)


def _chart(
    sheet: Any, row: int, summary: Summary, entry: Mapping[str, Any], axis: str, better: str, found: Mapping[str, Any]
) -> int:
    """Write a chart's numbers from `row` on and the chart beside them; returns the first row after both."""
    title = f"{entry['title']}: {axis}"
    order = sorted(found, key=lambda name: found[name]["value"], reverse=better == "higher")
    base = found[entry["baseline"]]["value"]
    sheet.append([_cell(sheet, title, "text", font=BOLD)])
    heads = ("experiment", "value", "interval below", "interval above", summary.title(entry["baseline"]))
    sheet.append([_cell(sheet, head, "text", head=True) for head in heads])
    for name in order:
        one = found[name]
        below, above = (None, None) if one["low"] is None else (one["value"] - one["low"], one["high"] - one["value"])
        cells = [_cell(sheet, value, "number") for value in (one["value"], below, above, base)]
        sheet.append([_cell(sheet, summary.title(name), "text"), *cells])
    first, last = row + 2, row + 1 + len(order)
    lowest = min(found[name]["value"] for name in order)
    bars = _bars(sheet, first, last, title, f"{better} is better", lowest)
    for place, name in enumerate(order):
        if name in summary.trivial:
            bars.series[0].dPt.append(_grey(place))
    line = LineChart()
    line.add_data(Reference(sheet, min_col=5, min_row=first - 1, max_row=last), titles_from_data=True)
    line.series[0].graphicalProperties.line.solidFill = "1B1F24"
    line.series[0].graphicalProperties.line.dashStyle = "dash"
    line.series[0].marker.symbol = "none"
    bars += line
    sheet.add_chart(bars, f"G{row}")
    height = max(len(order) + 3, 19)
    for _ in range(height - len(order) - 2):
        sheet.append([])
    return row + height


def _bars(sheet: Any, first: int, last: int, title: str, axis: str, lowest: float) -> BarChart:
    chart = BarChart()
    chart.type, chart.gapWidth, chart.width, chart.height = "col", 60, 21, 8.8
    chart.title, chart.y_axis.title, chart.legend.position = _label(title, 1200), _label(axis, 900), "b"
    chart.y_axis.scaling.min = 0 if lowest >= 0 else None  # a bar that does not start at zero misleads
    chart.x_axis.delete = chart.y_axis.delete = False  # openpyxl hides axes unless told not to
    chart.y_axis.number_format = "General"
    chart.y_axis.majorGridlines.spPr = GraphicalProperties(ln=LineProperties(solidFill="D8DEE4"))
    chart.layout = Layout(ManualLayout(layoutTarget="inner", x=0.1, y=0.14, w=0.87, h=0.58, xMode="edge", yMode="edge"))
    chart.add_data(Reference(sheet, min_col=2, min_row=first - 1, max_row=last), titles_from_data=True)
    chart.set_categories(Reference(sheet, min_col=1, min_row=first, max_row=last))
    chart.series[0].graphicalProperties.solidFill = "0072B2"
    below, above = (
        NumDataSource(numRef=NumRef(f=f"'{sheet.title}'!${letter}${first}:${letter}${last}")) for letter in "CD"
    )
    chart.series[0].errBars = ErrorBars(errDir="y", errBarType="both", errValType="cust", plus=above, minus=below)
    return chart


def _label(text: str, size: int) -> Title:
    """A chart's text in a size of hundredths of a point, beside the plot and not upon it."""
    font = CharacterProperties(sz=size, b=False, solidFill="1B1F24")
    run = Paragraph(pPr=ParagraphProperties(defRPr=font), r=[RegularTextRun(rPr=font, t=text)])
    return Title(tx=Text(rich=RichText(p=[run])), overlay=False)


def _grey(place: int) -> DataPoint:
    point = DataPoint(idx=place)
    point.graphicalProperties.solidFill = "8A9099"
    return point


# --- cells -----------------------------------------------------------------------------------------------------------


def _sheet_name(book: Workbook, title: str) -> str:
    """The title as Excel allows it, and as no other sheet is called: names differ in more than upper and lower case."""
    title = FORBIDDEN.sub(" ", UNPRINTABLE.sub("\ufffd", title)).strip("' ") or "Sheet"
    taken = {name.lower() for name in book.sheetnames}
    names = itertools.chain([_cut(title, "")], (_cut(title, f" ({place})") for place in itertools.count(2)))
    return next(name for name in names if name.lower() not in taken)


def _cut(title: str, end: str) -> str:
    """The title with `end`, in as many characters as a sheet's name has."""
    room = SHEET_NAME - len(end)
    return (title if len(title) <= room else f"{title[: room - 1]}…") + end


def _fill(book: Workbook, content: Sheet) -> None:
    """Stream one sheet: note, head, rows; frozen below the head, filtered, coloured."""
    rows = content.rows[: SHEET_ROWS - 2]
    sheet = book.create_sheet(_sheet_name(book, content.title))
    sheet.freeze_panes = "B3"
    _landscape(sheet)
    for place, column in enumerate(content.columns):
        sheet.column_dimensions[get_column_letter(place + 1)].width = _width(column, [row[place] for row in rows[:500]])
    sheet.append([_cell(sheet, content.note, "text", font=NOTE)])
    sheet.row_dimensions[2].height = 32  # two lines
    sheet.append([_cell(sheet, column.title, column.kind, head=True) for column in content.columns])
    for row in rows:
        sheet.append([_cell(sheet, value, column.kind) for value, column in zip(row, content.columns, strict=True)])
    last = get_column_letter(len(content.columns))
    sheet.auto_filter.ref = f"A2:{last}{len(rows) + 2}"
    _colour(sheet, content, len(rows) + 2, last)


def _landscape(sheet: Any) -> None:
    """Print on pages as wide as the sheet."""
    sheet.sheet_properties.pageSetUpPr = PageSetupProperties(fitToPage=True)
    sheet.page_setup.orientation, sheet.page_setup.fitToWidth, sheet.page_setup.fitToHeight = "landscape", 1, 0


def _colour(sheet: Any, content: Sheet, bottom: int, last: str) -> None:
    if bottom < 3:
        return
    if content.verdict is not None:
        letter = get_column_letter(content.verdict + 1)
        area = f"{letter}3:{last}{bottom}"
        cell, better, worse = f"${letter}3", Verdict.BETTER, Verdict.WORSE
        rules = [(f'{cell}="{better}"', GREEN), (f'{cell}="{worse}"', RED)]
        rules.append((f'AND({cell}<>"{better}",{cell}<>"{worse}")', GREY))
        for formula, style in rules:
            sheet.conditional_formatting.add(area, FormulaRule(formula=[formula], **style))
    for place in content.signed:
        letter = get_column_letter(place + 1)
        for operator, style in (("greaterThan", GREEN), ("lessThan", RED)):
            rule = CellIsRule(operator=operator, formula=["0"], **style)
            sheet.conditional_formatting.add(f"{letter}3:{letter}{bottom}", rule)


def _cell(sheet: Any, value: Any, kind: str, head: bool = False, font: Font | None = None) -> WriteOnlyCell | None:
    """A cell of its kind; what is not a finite number where a number belongs is written as text or left empty."""
    if value is None or value == "" or (isinstance(value, float) and math.isnan(value)):
        return None
    if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
        cell = WriteOnlyCell(sheet, value)
        cell.number_format = FORMATS.get(kind) or (_digits(value) if isinstance(value, float) else "0")
    else:
        cell = _text(sheet, str(value))
    if head:
        cell.font, cell.fill = HEAD
        cell.alignment = Alignment(wrap_text=True, vertical="top", horizontal="left" if kind == "text" else "right")
    elif font is not None:
        cell.font = font
    return cell


def _text(sheet: Any, text: str) -> WriteOnlyCell:
    """Text that stays text: never a formula, no character that XML forbids, no longer than a cell holds."""
    text = UNPRINTABLE.sub("\ufffd", text)
    cell = WriteOnlyCell(sheet, text if len(text) <= LONGEST else text[: LONGEST - 1] + "…")
    cell.data_type = "s"
    if text[:1] in ("=", "+", "-", "@"):
        cell.quotePrefix = True  # so that it stays text when somebody edits the cell
    return cell


def _digits(value: float) -> str:
    """A number format that shows about four significant digits."""
    size = abs(value)
    if size and not 1e-5 <= size < 1e7:
        return "0.00E+00"
    places = 3 if not size else min(8, max(0, 3 - math.floor(math.log10(size))))
    return "0" if value.is_integer() and size < 1e7 else f"0.{'0' * places}" if places else "#,##0"


def _width(column: Column, values: Sequence[Any]) -> float:
    """Wide enough for the head in two lines and for most values, within reason."""
    longest = (
        max((len(str(value)) for value in values if value is not None), default=0) if column.kind == "text" else 10
    )
    words = max(len(word) for word in column.title.split(" "))
    return min(60.0, max(longest + 2, words + 4, len(column.title) / 2 + 4, 9))


def _same_bytes(content: bytes) -> bytes:
    """The archive without times, so that equal content gives equal files."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as source, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as target:
        for name in source.namelist():
            data = source.read(name)
            if name == "docProps/core.xml":
                data = re.sub(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", b"2000-01-01T00:00:00Z", data)
            target.writestr(zipfile.ZipInfo(name, EPOCH), data, zipfile.ZIP_DEFLATED)
    return out.getvalue()
