"""The first screen of page, workbook and `framecast show`: one answer a track. Light: no pandas.

A track answers with its primary comparison, the first one of it in `run.comparisons`; of that, the first split and the
first metric that can be tested. A comparison of no track answers for itself. Which experiments and comparisons a track
has is in the plan; comparison files say it of themselves (`track`), for who has the results alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import Any

from framecast.analysis import verdicts
from framecast.analysis.words import by_how_much, in_unit, number
from framecast.metrics import METRICS

Record = Mapping[str, Any]
"""A comparison's file."""


@dataclass(frozen=True)
class Track:
    """A line of research: what of the results belongs to it, in the config's order."""

    title: str
    experiments: Sequence[str] = field(default_factory=list)
    comparisons: Sequence[str] = field(default_factory=list)
    """Names; the first is primary."""


@dataclass(frozen=True)
class Answer:
    """A track's line on the first screen, or that of a comparison of no track."""

    title: str
    track: str | None
    comparison: Record | None = None
    """None where the track has none."""
    split: str = ""
    metric: str = ""
    result: Mapping[str, Any] | None = None
    """The test (or interval, equality, refusal) of the best trained treatment; None where no treatment was trained."""
    rule: Mapping[str, Any] | None = None
    """Level of the best experiment with nothing to train; None where the comparison has none with scores."""

    @property
    def named(self) -> list[str]:
        """The experiments that the line names."""
        sides = [self.result["treatment"], self.result["baseline"]] if self.result else []
        return [*sides, *([self.rule["experiment"]] if self.rule else [])]


def from_plan(tracks: Mapping[str, Mapping[str, Any]]) -> dict[str, Track]:
    """Tracks from `tracks` of the plan."""
    return {name: Track(one["title"], one["experiments"], one["comparisons"]) for name, one in tracks.items()}


def from_records(records: Sequence[Record]) -> dict[str, Track]:
    """Tracks from what comparison files say of themselves, by name; of the experiments, those in comparisons."""
    found: dict[str, list[Record]] = {}
    for record in records:
        if record.get("track"):
            found.setdefault(record["track"]["name"], []).append(record)
    tracks = {}
    for name in sorted(found):
        members = sorted(found[name], key=lambda one: not one["track"]["primary"])
        experiments = dict.fromkeys(one for record in members for one in (record["baseline"], *record["treatments"]))
        tracks[name] = Track(members[0]["track"]["title"], list(experiments), [one["comparison"] for one in members])
    return tracks


def untracked(tracks: Mapping[str, Track], records: Sequence[Record]) -> list[Record]:
    """The comparisons of no track."""
    claimed = {name for track in tracks.values() for name in track.comparisons}
    return [record for record in records if record["comparison"] not in claimed]


def answers(tracks: Mapping[str, Track], records: Sequence[Record], untrained: AbstractSet[str]) -> list[Answer]:
    """One answer a track, then one a comparison of no track.

    Args:
        untrained: Experiments with nothing to train.
    """
    by_name = {record["comparison"]: record for record in records}
    found = []
    for name, track in tracks.items():
        primary = next((by_name[one] for one in track.comparisons if one in by_name), None)
        found.append(_answer(track.title, name, primary, untrained) if primary else Answer(track.title, name))
    return found + [_answer(one["title"], None, one, untrained) for one in untracked(tracks, records)]


def _answer(title: str, track: str | None, record: Record, untrained: AbstractSet[str]) -> Answer:
    split, metric = record["splits"][0], primary_metric(record)
    levels = {one["experiment"]: one for one in record["levels"] if (one["split"], one["metric"]) == (split, metric)}
    members = [name for name in (record["baseline"], *record["treatments"]) if name not in record.get("ceilings", [])]
    rules = [levels[name] for name in members if name in untrained & levels.keys()]
    trained = [name for name in members[1:] if name not in untrained]
    ranked = sorted(trained, key=lambda name: _badness(levels.get(name), metric))
    result = next((found(record, name, split, metric) for name in ranked), None)
    rule = min(rules, key=lambda one: _badness(one, metric), default=None)
    return Answer(title, track, record, split, metric, result, rule)


def primary_metric(record: Record) -> str:
    """The first metric of a comparison that can be tested; without one, the first."""
    tested = (name for name in record["metrics"] if METRICS[name].reducer == "mean" and not METRICS[name].oracle)
    return next(tested, record["metrics"][0])


def _badness(level: Mapping[str, Any] | None, metric: str) -> float:
    """Less is better; what has no scores comes last."""
    sign = 1 if METRICS[metric].better == "lower" else -1
    return float("inf") if level is None else sign * level["value"]


def found(record: Record, treatment: str, split: str, metric: str) -> Mapping[str, Any]:
    """The test, interval, equality or refusal of a comparison.

    Raises ValueError where the file has none.
    """
    for result in record["tests"] + record["intervals"] + record["equalities"] + record["refusals"]:
        if (result["treatment"], result["split"], result["metric"]) == (treatment, split, metric):
            return result
    raise ValueError(f"comparison {record['comparison']!r} says nothing on {treatment!r}, {split!r}, {metric!r}")


# --- words -----------------------------------------------------------------------------------------------------------


def scale(answer: Answer) -> str:
    """What the line is measured by: `Squared error on test`."""
    return f"{METRICS[answer.metric].title}{in_unit(answer.metric)} on {answer.split}"


def effect(result: Mapping[str, Any], baseline: str) -> tuple[str, str]:
    """By how much the treatment differs, and the interval of the difference; or why there is no number, and nothing.

    `12.3% lower` and `−0.012 [−0.02, −0.004]`; `0.31 dB higher`, the difference itself, and `[0.1, 0.52]`.
    """
    if "reason" in result:
        return str(result["reason"]), ""
    if "low" not in result:
        return verdicts.said(result["verdict"], baseline), ""
    amount, ends = by_how_much(result), f"[{number(result['low'], 3)}, {number(result['high'], 3)}]"
    return amount, f"{number(result['difference'], 3)} {ends}" if "%" in amount else ends


def without_result(answer: Answer) -> str:
    """Why a line has no verdict."""
    return "no comparison is active" if answer.comparison is None else "no treatment is trained"
