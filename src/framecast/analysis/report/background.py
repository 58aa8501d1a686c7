"""What stands behind the page's verdicts: all experiments, learning curves, data, encoders, methods, provenance."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from framecast.analysis import figures
from framecast.analysis.report.elements import Cell, Content, Drawing, Picture, Table, drawing, picture, table
from framecast.analysis.run_records import Run
from framecast.analysis.summary import Breakdown, DataFiles, Group, ReportInputs, Summary, flat
from framecast.analysis.words import in_unit, number
from framecast.core.files import read_json
from framecast.metrics import METRICS

REJECTED_SHOWN = 300
View = dict[str, Any]
"""What a template reads."""


def axis(metric: str) -> str:
    return f"{METRICS[metric].title}{in_unit(metric)} ({METRICS[metric].better} is better)"


def value_cell(value: float | None, digits: int = 4) -> Cell:
    return Cell(number(value, digits), "" if value is None else value)


# --- experiments -----------------------------------------------------------------------------------------------------


def group(summary: Summary, group: Group) -> View:
    """Everything scored on the same samples, in one table, with the trivial baselines in it."""
    pairs = summary.splits_and_metrics(group)
    splits = {split: [metric for one, metric in pairs if one == split] for split, _ in pairs}
    return {
        "title": group.title,
        "counts": _counts(summary, group, pairs),
        "cautions": summary.warnings(group.experiments),
        "splits": [_split(summary, group, split, metrics) for split, metrics in splits.items()],
        "breakdowns": [_breakdown(summary, group, one) for one in summary.breakdowns_of(group)],
    }


def _split(summary: Summary, group: Group, split: str, metrics: Sequence[str]) -> View:
    own = [metric for metric in metrics if not METRICS[metric].oracle and METRICS[metric].reducer != "corpus"]
    return {
        "title": split,
        "table": _levels_table(summary, group, split, metrics),
        "skill": _skill_note(summary, group, split, metrics),
        "plots": [_distribution(summary, group, split, metric) for metric in own],
    }


def _counts(summary: Summary, group: Group, pairs: Sequence[tuple[str, str]]) -> str:
    texts = []
    for split in dict.fromkeys(split for split, _ in pairs):
        found = [one for key, one in summary.levels.items() if key[0] in group.experiments and key[1] == split]
        ns, samples = sorted({one["n"] for one in found}), sorted({one["samples"] for one in found})
        span = "–".join(str(n) for n in (ns if len(ns) < 2 else [ns[0], ns[-1]]))
        rows = "–".join(str(n) for n in (samples if len(samples) < 2 else [samples[0], samples[-1]]))
        texts.append(f"{split}: {rows} samples of {span} {summary.unit(group.data, ns[-1])}")
    return "; ".join(texts)


def _levels_table(summary: Summary, group: Group, split: str, metrics: Sequence[str]) -> Table:
    best = {metric: _best(summary, group, split, metric) for metric in metrics}
    heads = ["experiment", "seeds"]
    for metric in metrics:
        arrow = "↓" if METRICS[metric].better == "lower" else "↑"
        reducer = " (median)" if METRICS[metric].reducer == "median" else ""  # a corpus metric's title says it
        heads.append(f"{METRICS[metric].title}{reducer}{in_unit(metric)} {arrow}")
        if _has_skill(summary, group, split, metric):
            heads.append("skill")
    rows = []
    for name in group.experiments:
        present = [summary.level(name, split, metric) for metric in metrics]
        if not any(present):
            continue
        mark = "nothing to train" if name in summary.trivial else ""
        seeds = max(len(one["seeds"]) for one in present if one)
        row = [Cell(summary.title(name), summary.title(name), tag=mark), Cell(seeds)]
        for metric, one in zip(metrics, present, strict=True):
            row.append(_level_cell(one, name in best[metric]))
            if _has_skill(summary, group, split, metric):
                skill = summary.skill(name, split, metric)
                hint = f"1 − error / error of {summary.title(skill[1])}" if skill else None
                row.append(Cell(number(skill[0] if skill else None, 3), skill[0] if skill else "", hint=hint))
        rows.append(row)
    return table(heads, rows, numbers=range(1, len(heads)))


def _skill_note(summary: Summary, group: Group, split: str, metrics: Sequence[str]) -> str:
    """What skill is relative to; empty where no metric has any."""
    there = [(name, metric) for name in group.experiments for metric in metrics if summary.level(name, split, metric)]
    references = {skill[1] for name, metric in there if (skill := summary.skill(name, split, metric))}
    titles = ", ".join(summary.title(one) for one in sorted(references))
    return f"Skill: 1 − error / error of {titles}." if references else ""


def _level_cell(one: Mapping[str, Any] | None, best: bool) -> Cell:
    if one is None:
        return Cell("–", "")
    spread = f" ± {number(one['sd_seeds'], 2)}" if one["sd_seeds"] is not None else ""
    hint = f"n = {one['n']} units"
    if one["sd_units"] is not None:
        hint += f", sd over units {number(one['sd_units'], 3)}"
    if one["low"] is not None:
        kind = "bootstrap " if one["reducer"] == "corpus" else ""
        hint += f", 95% {kind}interval [{number(one['low'])}, {number(one['high'])}]"
    return Cell(number(one["value"]), one["value"], "best" if best else None, hint, small=spread)


def _breakdown(summary: Summary, group: Group, one: Breakdown) -> tuple[str, Table]:
    """Parts of the samples below each other, the experiments side by side; the best in bold."""
    names = one.experiments(group)
    best = min if METRICS[one.metric].better == "lower" else max
    rows: list[list[Cell | Content]] = []
    for part, values in sorted(one.values.items()):
        most = best(values.values())
        cells = [(values.get(name), "best" if values.get(name) == most else None) for name in names]
        shown = [Cell(number(value), "" if value is None else value, style) for value, style in cells]
        rows.append([part, one.units[part], *shown])
    heads = [one.column, "units", *map(summary.title, names)]
    title = f"{METRICS[one.metric].title}{in_unit(one.metric)} by {one.column}, {one.split}"
    return title, table(heads, rows, numbers=range(1, len(heads)))


def _best(summary: Summary, group: Group, split: str, metric: str) -> set[str]:
    """The experiments with the best value, several where it is equal."""
    there = {name: summary.levels[name, split, metric]["value"] for name in group.experiments
             if (name, split, metric) in summary.levels}  # fmt: skip
    best = (min if METRICS[metric].better == "lower" else max)(there.values(), default=None)
    return {name for name, value in there.items() if value == best}


def _has_skill(summary: Summary, group: Group, split: str, metric: str) -> bool:
    return any(
        (name, split, metric) in summary.levels and summary.skill(name, split, metric) for name in group.experiments
    )


def _distribution(summary: Summary, group: Group, split: str, metric: str) -> Drawing:
    rows = summary.rows(split, metric)
    colour = summary.colours(group.experiments)
    found = {str(name): part["value"].to_numpy() for name, part in rows.groupby("experiment", observed=True)}
    drawn = [
        figures.Distribution(summary.title(name), found[name][np.isfinite(found[name])], colour[name])
        for name in group.experiments
        if name in found and np.isfinite(found[name]).any()
    ]
    caption = f"{METRICS[metric].title} of single samples, all seeds: quartiles, whiskers from 5 to 95 %."
    return drawing(figures.distributions(drawn, axis(metric)), caption)


# --- learning curves -------------------------------------------------------------------------------------------------


def curves(summary: Summary, experiments: Collection[str]) -> list[tuple[str, Drawing]]:
    """What each run of these experiments monitored on its select split, experiments of one group together."""
    found: dict[tuple[str, str, str], dict[str, list[Run]]] = {}
    titles = {name: group.title for group in summary.groups for name in group.experiments}
    for run in summary.runs:
        trained = (run.folder / "curve.csv").is_file() and run.spec.get("budget", {}).get("steps")
        if trained and run.experiment in experiments:
            quantity = str(run.record.get("monitor", "loss")).removeprefix("-")
            place = titles.get(run.experiment, f"{run.spec['task'].get('name', '')} on {run.spec.get('data', '')}")
            split = str(run.spec.get("select", "select"))
            found.setdefault((place, split, quantity), {}).setdefault(run.experiment, []).append(run)
    drawn = [(key[0], _curve_figure(summary, *key[1:], members)) for key, members in found.items()]
    return [(place, figure) for place, figure in drawn if figure]


def _curve_figure(summary: Summary, split: str, quantity: str, members: Mapping[str, list[Run]]) -> Drawing | None:
    colour = summary.colours(list(members))
    rows, best = [], []
    for name, runs in members.items():
        read = {run.seed: figures.read_curve(run.folder / "curve.csv", split, quantity) for run in runs}
        rows.append(
            figures.Curve(summary.title(name), colour[name], {seed: one for seed, one in read.items() if len(one[0])})
        )
        best.append(f"{summary.title(name)}: {', '.join(str(run.record.get('best_step', '–')) for run in runs)}")
    if not any(row.seeds for row in rows):
        return None
    caption = f"{quantity} on {split}: thin lines are seeds, thick ones their mean. Best steps: {'; '.join(best)}."
    return drawing(figures.curves(rows, f"{quantity} on {split}"), caption, wide=True)


# --- data, encoders --------------------------------------------------------------------------------------------------


def data(inputs: ReportInputs) -> list[View]:
    return [_data_set(inputs, name, files) for name, files in inputs.data.items()]


def _data_set(inputs: ReportInputs, name: str, files: DataFiles) -> View:
    index = _index(files.index)
    rejected = _rejected(files.rejected)
    facts: list[tuple[str, str]] = []
    if index is not None:
        damaged = int((index["status"] == "damaged").sum())
        facts += [(f"{len(index):,}", "videos indexed"), (f"{damaged:,}", "of them damaged")]
        facts.append((f"{int(index['frames'].sum()):,}", "decoded frames"))
    if rejected is not None:
        facts.append((f"{len(rejected):,}", "files rejected"))
    splits = _splits(files.splits)
    return {"title": name, "facts": facts, "splits": splits, "spans": _spans(index), "rejected": _reasons(rejected)}


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


def _splits(path: Path | None) -> View | None:
    if path is None or not _there(path):
        return None
    record = read_json(path)
    columns = [key for key in ("videos", "units", "classes", "frames") if key in record]
    rows = [[split, *(record[key].get(split, 0) for key in columns)] for split in record["videos"]]
    return {
        "table": table(["split", *columns], rows, numbers=range(1, len(columns) + 1)),
        "left_out": _left_out(record.get("left_out", {})),
        "leaks": _leaks({kind: found for kind, found in record.get("leakage", {}).items() if found}),
        "annotations": _annotations(record.get("annotations", {})),
    }


def _leaks(leaks: Mapping[str, Sequence[Mapping[str, Any]]]) -> View | None:
    """What stands in more than one split; None where nothing does."""
    if not leaks:
        return None
    counts = "; ".join(f"{len(found)} {kind.replace('_', ' ')} in more than one split" for kind, found in leaks.items())
    examples = [
        [kind.replace("_", " "), one["value"], ", ".join(f"{name} ({split})" for name, split in one["videos"].items())]
        for kind, found in leaks.items()
        for one in found
    ]
    return {"counts": counts, "table": table(["kind", "value", "videos"], examples[:REJECTED_SHOWN])}


def _left_out(splits: dict[str, dict[str, int]]) -> str:
    """Videos whose task is in no part of a split that was divided by task."""
    return "; ".join(f"{count} of {split} ({task})" for split, tasks in splits.items() for task, count in tasks.items())


def _annotations(problems: dict[str, dict[str, Any]]) -> View | None:
    """What is wrong with the entries of the annotations, kind by kind."""
    if not problems:
        return None
    rows = [[kind.replace("_", " "), one["count"], one["outcome"], "; ".join(one["first"]), one["remedy"]]
            for kind, one in problems.items()]  # fmt: skip
    heads = ["what", "entries", "outcome", "the first", "remedy"]
    return {"count": sum(one["count"] for one in problems.values()), "table": table(heads, rows, numbers=[1])}


def _spans(index: pd.DataFrame | None) -> Table | None:
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
    return table(["of the videos", "least", "median", "most"], rows, numbers=(1, 2, 3))


def _reasons(rejected: pd.DataFrame | None) -> View | None:
    if rejected is None or not len(rejected):
        return None
    rows = rejected[["path", "reason"]].head(REJECTED_SHOWN).to_numpy().tolist()
    more = (
        f" (the first {REJECTED_SHOWN} of {len(rejected):,}; all of them in rejected.csv)"
        if len(rejected) > REJECTED_SHOWN
        else ""
    )
    return {"more": more, "table": table(["file", "reason"], rows), "few": len(rejected) <= 8}


def probes(inputs: ReportInputs) -> list[View]:
    """What can be read off the embeddings linearly, as the probes' files say."""
    found = [path for path in map(Path, inputs.probes) if _there(path)]
    return [{"title": f"{path.stem} on {path.parents[1].name}"} | _probe(read_json(path)) for path in found]


def _probe(record: dict[str, Any]) -> View:
    """Nested results of one form as a table, the path to each in front; single facts below."""
    nested = [leaf for leaf in leaves(record) if len(leaf[0]) > 1 and leaf[0][0] != "provenance"]
    depth = max((len(path) for path, _ in nested), default=0)
    chosen = [(path, values) for path, values in nested if len(path) == depth]
    heads = list(dict.fromkeys(key for _, values in chosen for key in values))
    rows: list[list[Cell | Content]] = [
        [*(word.replace("_", " ") for word in path), *(_measured(values.get(key)) for key in heads)]
        for path, values in chosen
    ]
    facts = {
        key: value
        for key, value in record.items()
        if key != "provenance" and key not in {path[0] for path, _ in chosen}
    }
    titles = ["" for _ in range(depth)] + [head.replace("_", " ") for head in heads]
    shown = table(titles, rows, numbers=range(depth, len(titles))) if rows else None
    return {"table": shown, "facts": [(key, str(value)) for key, value in flat(facts)]}


def leaves(value: Mapping[str, Any], path: tuple[str, ...] = ()) -> list[tuple[tuple[str, ...], dict[str, Any]]]:
    """The innermost objects of a nested JSON object, each with the path to it."""
    inner = {key: one for key, one in value.items() if isinstance(one, Mapping)}
    if not inner:
        return [(path, dict(value))]
    return [leaf for key, one in inner.items() for leaf in leaves(one, (*path, key))]


def _measured(value: Any) -> Cell:
    if isinstance(value, list):
        return Cell(", ".join(number(one, 3) for one in value), value[0] if value else None)
    if isinstance(value, int | float):
        return Cell(f"{value:,}" if isinstance(value, int) else number(value, 3), value)
    return Cell("–" if value is None else str(value))


def pictures(inputs: ReportInputs) -> list[Picture]:
    """Those of no comparison."""
    return [picture(Path(one.path), one.caption) for one in inputs.galleries if not one.comparison and _there(one.path)]


# --- how it was made -------------------------------------------------------------------------------------------------


def method(summary: Summary) -> View | None:
    if not summary.comparisons:
        return None
    scored = {key[2] for key in summary.levels}
    metrics = [(METRICS[name].title, METRICS[name].description) for name in METRICS if name in scored]
    return {"rules": list(summary.comparisons[0]["rules"].items()), "metrics": metrics}


def provenance(summary: Summary) -> View | None:
    if not summary.runs and not summary.inputs.config:
        return None
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
        "precision",
        "commit",
        "identity",
    ]
    facts: dict[str, list[str]] = {}
    for title, key in (("Versions", "versions"), ("Machine", "machine"), ("Code", "git")):
        found = list(dict.fromkeys(_text(run.record.get(key)) for run in summary.runs if run.record.get(key)))
        facts |= {title: found} if found else {}
    return {
        "table": table(heads, rows, numbers=range(1, 8)) if rows else None,
        "facts": list(facts.items()),
        "changed": any((run.record.get("git") or {}).get("changed") for run in summary.runs),
        "config": summary.inputs.config,
    }


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
        value_cell(record.get("learning_rate") if record.get("steps") else None),
        record.get("device"),
        Cell("–" if seconds is None else f"{seconds / 60:.1f}", seconds),
        record.get("precision"),
        Cell(commit[:10], hint=commit),
        Cell(str(record.get("identity", ""))[:12], hint=str(record.get("identity", ""))),
    ]
