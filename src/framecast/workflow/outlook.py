"""What a run is about to make, and about how long that takes: printed before its first job.

The time is known for the embedded default alone: `benchmarks/demo.json` holds what `benchmarks/demo.py` measured,
`{"command": …, "cores": …, "rules": {rule: {"jobs": …, "cpu_seconds": …}}}`. What it spent outside of jobs (Snakemake
itself) stands as an entry with no jobs, and is shared out among all.
"""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

WIDTH = 100
SUMMARIES = ("summary.xlsx", "report.html")


class Work(NamedTuple):
    """A job that will run."""

    rule: str
    wildcards: dict[str, str]
    output: list[str]


def text(plan: dict[str, Any], jobs: list[Work], cores: int, measured: dict[str, Any] | None) -> str:
    """Number of jobs and time, what each track trains and compares, and where workbook and page will be.

    Args:
        plan: Of the config (`framecast.workflow.plan`).
        jobs: All jobs that will run.
        cores: Cores that Snakemake may use.
        measured: `rules`, of each the number of `jobs` and their `cpu_seconds` in all, and the number of `cores` that
            they ran on; None where they do not hold for this config.
    """
    time = f", {duration(jobs, cores, measured)}" if measured else ""
    summaries = [str(Path.cwd() / file) for job in jobs for file in job.output if Path(file).name in SUMMARIES]
    tracks = [line for name in plan["tracks"] for line in _track(plan, name, jobs)]
    count = f"{len(jobs)} job{'s' if len(jobs) > 1 else ''}"
    return "\n".join([count + time, *tracks, *(f"  → {path}" for path in sorted(summaries, reverse=True))])


def duration(jobs: list[Work], cores: int, measured: dict[str, Any]) -> str:
    """About how long the jobs take: each as long as the mean of its rule; one of an unknown rule as the mean of all.

    More cores than in the measured run help until they wait for the longest chain of jobs, which nothing here knows.
    """
    entries = measured["rules"].values()
    count = sum(entry["jobs"] for entry in entries)
    overall = sum(entry["cpu_seconds"] for entry in entries) / count
    shared = sum(entry["cpu_seconds"] for entry in entries if not entry["jobs"]) / count
    means = {rule: entry["cpu_seconds"] / entry["jobs"] + shared for rule, entry in measured["rules"].items()
             if entry["jobs"]}  # fmt: skip
    seconds = sum(means.get(job.rule, overall) for job in jobs)
    used = min(cores, measured["cores"])
    bound = "about" if cores == used else "at most"
    free = "1 free core" if cores == 1 else f"{cores} free cores"
    return f"about {_minutes(seconds)} of CPU time: {bound} {_minutes(seconds / used)} on {free}"


def _minutes(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"


def _track(plan: dict[str, Any], name: str, jobs: list[Work]) -> list[str]:
    """Lines on one track; none where none of its experiments trains and none of its comparisons is made."""
    track = plan["tracks"][name]
    trained = Counter(job.wildcards["experiment"] for job in jobs if job.rule == "train")
    made = {job.wildcards["comparison"] for job in jobs if job.rule == "compare"}
    networks = [
        plan["titles"][one] + (f" × {trained[one]}" if trained[one] > 1 else "")
        for one in track["experiments"]
        if trained[one] and plan["experiments"][one]["spec"]["budget"]["steps"]
    ]
    comparisons = [one for one in track["comparisons"] if one in made]
    parts = [*_list("trains", networks), *_list("compares", comparisons)]
    return [f"  {name}: {track['title']}", *parts] if parts else []


def _list(verb: str, names: Iterable[str]) -> list[str]:
    joined = " · ".join(names)  # titles have commas
    return textwrap.wrap(f"{verb} {joined}", WIDTH, initial_indent="    ", subsequent_indent="      ") if joined else []
