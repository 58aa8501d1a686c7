"""The report: one HTML page that opens offline. Its first screen answers, one line a track; a section a track follows.

Sections follow from what the files hold; none knows a task or a track by name. Here is what the page says, in
`templates/` how it stands there. `write` is the whole interface.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2

from framecast.analysis import answers
from framecast.analysis.answers import Answer, Track
from framecast.analysis.report import background, comparisons
from framecast.analysis.summary import Group, ReportInputs, Summary
from framecast.analysis.words import number
from framecast.core.files import replacing

HERE = Path(__file__).parent
View = dict[str, Any]
"""What a template reads."""


def write(inputs: ReportInputs, path: Path) -> None:
    """Write the page to `path`. Absent optional parts leave their section out."""
    summary = Summary(inputs)
    found = summary.answers()
    page = _environment().get_template("page.html").render(
        style=(HERE / "style.css").read_text(encoding="utf-8"),
        script=(HERE / "script.js").read_text(encoding="utf-8"),
        header=_header(summary),
        answers=[_answer(summary, one) for one in found],
        cautions=summary.warnings([name for one in found for name in one.named]),
        compared=bool(summary.comparisons),
        tracks=[_track(summary, name, track) for name, track in inputs.tracks.items()],
        rest=_rest(summary),
    )  # fmt: skip
    with replacing(path) as temporary:
        temporary.write_text(page, encoding="utf-8")


def _environment() -> jinja2.Environment:
    """Templates in which everything is escaped, and a name that does not exist is an error."""
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(HERE / "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        finalize=_printable,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )


def _printable(value: Any) -> Any:
    """Nothing for None; � for lone surrogates (bytes of file names that are no UTF-8) and control characters."""
    if value is None:
        return ""
    if type(value) is not str:  # numbers; markup, whose texts went through here before
        return value
    return "".join(c if (c >= " " or c in "\n\t") and not "\ud800" <= c <= "\udfff" else "�" for c in value)


def _header(summary: Summary) -> View:
    data = sorted(set(summary.scores["data"].astype("str")))
    seeds = sorted(set(summary.scores["seed"]))
    times = [str(run.record.get("time", "")) for run in summary.runs]
    return {
        "data": ", ".join(data) or "nothing yet",
        "latest": max(times, default="").replace("T", " ").replace("+00:00", " UTC"),
        "note": summary.inputs.note,
        "facts": [
            (len(summary.comparisons), "comparisons"),
            (len(set(summary.scores["experiment"])), "experiments"),
            (len(seeds), "seeds" if len(seeds) != 1 else "seed"),
            (sum(entry["family"] for entry in summary.comparisons), "paired tests"),
            (f"{len(summary.singles):,}", "scores of samples"),
        ],
    }


# --- the first screen ------------------------------------------------------------------------------------------------


def _answer(summary: Summary, answer: Answer) -> View:
    entry, result = answer.comparison, answer.result
    line: View = {"title": answer.title, "place": _place(summary, answer), "asked": "", "result": None, "rule": None}
    if entry is None:
        return line | {"missing": answers.without_result(answer)}
    line |= {"asked": entry["title"], "scale": answers.scale(answer), "missing": answers.without_result(answer)}
    if answer.rule:
        line["rule"] = (summary.title(answer.rule["experiment"]), number(answer.rule["value"]))
    if result:
        baseline, data = summary.title(entry["baseline"]), entry["levels"][0]["data"] if entry["levels"] else ""
        amount, interval = answers.effect(result, baseline)
        line["result"] = {
            "chip": comparisons.chip(result),
            "treatment": summary.title(result["treatment"]),
            "baseline": baseline,
            "amount": amount,
            "interval": interval,
            "n": f"{result['n']} {summary.unit(data, result['n'])}" if "n" in result else "–",
        }
    return line


def _place(summary: Summary, answer: Answer) -> str:
    """Where the page goes on about an answer."""
    if answer.track is not None:
        return _track_place(answer.track)
    return _comparison_place(summary, answer.comparison or {})


def _track_place(name: str) -> str:
    return f"track-{name}"


def _comparison_place(summary: Summary, entry: Mapping[str, Any]) -> str:
    return f"comparison-{summary.comparisons.index(entry) + 1}"


# --- sections --------------------------------------------------------------------------------------------------------


def _track(summary: Summary, name: str, track: Track) -> View:
    by_name = {entry["comparison"]: entry for entry in summary.comparisons}
    entries = [by_name[one] for one in track.comparisons if one in by_name]
    groups = [group for group in summary.groups if group.experiments[0] in track.experiments]
    section = _section(summary, entries, groups, track.experiments)
    return section | {"place": _track_place(name), "title": track.title}


def _section(
    summary: Summary, entries: Iterable[Mapping[str, Any]], groups: Sequence[Group], experiments: Sequence[str]
) -> View:
    return {
        "comparisons": [comparisons.view(summary, entry, _comparison_place(summary, entry)) for entry in entries],
        "groups": [background.group(summary, group) for group in groups],
        "curves": background.curves(summary, experiments),
    }


def _rest(summary: Summary) -> View | None:
    """What belongs to no track: comparisons and experiments of none, then data, encoders, methods and provenance."""
    inputs, tracks = summary.inputs, summary.inputs.tracks
    claimed = {name for track in tracks.values() for name in track.experiments}
    groups = [group for group in summary.groups if group.experiments[0] not in claimed]
    alone = list(dict.fromkeys(run.experiment for run in summary.runs if run.experiment not in claimed))
    parts = {
        "data": ("Data", background.data(inputs)),
        "pictures": ("Pictures of the data", background.pictures(inputs)),
        "encoders": ("Encoders", background.probes(inputs)),
        "reading": ("How to read this page", background.method(summary)),
        "provenance": ("Provenance", background.provenance(summary)),
    }
    there = {place: {"title": title, "content": content} for place, (title, content) in parts.items() if content}
    section = _section(summary, answers.untracked(tracks, summary.comparisons), groups, alone)
    if not there and not any(section.values()):
        return None
    return section | {"title": "Everything else" if tracks else "Everything", "parts": there}
