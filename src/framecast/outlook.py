"""What a run is about to make, and about how long that takes: printed before its first job.

How long is known of the embedded default alone, as CPU seconds that `benchmarks/demo.py --save` measured.
"""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

WIDTH = 100
PAGES = ("summary.xlsx", "report.html")


class Work(NamedTuple):
    """A job that will run."""

    rule: str
    wildcards: dict[str, str]
    output: list[str]


def text(plan: dict[str, Any], jobs: list[Work], cores: int, measured: dict[str, Any] | None) -> str:
    """Number of jobs and time, what each track trains and compares, and where workbook and page will be.

    Args:
        plan: Of the config (`framecast.plan`).
        jobs: All jobs that will run.
        cores: Cores that Snakemake may use.
        measured: `rules`, of each the number of `jobs` and their `cpu_seconds` in all, and the number of `cores` that
            they ran on; None where they do not hold for this config.
    """
    time = f", {duration(jobs, cores, measured)}" if measured else ""
    pages = [str(Path.cwd() / file) for job in jobs for file in job.output if Path(file).name in PAGES]
    tracks = [line for name in plan["tracks"] for line in _track(plan, name, jobs)]
    return "\n".join([f"{len(jobs)} jobs{time}", *tracks, *(f"  → {page}" for page in sorted(pages, reverse=True))])


def duration(jobs: list[Work], cores: int, measured: dict[str, Any]) -> str:
    """About how long the jobs take: each as long as the mean of its rule; one of an unknown rule as the mean of all.

    More cores than in the measured run help until they wait for the longest chain of jobs, which nothing here knows.
    """
    rules = measured["rules"]
    means = {rule: entry["cpu_seconds"] / entry["jobs"] for rule, entry in rules.items()}
    overall = sum(entry["cpu_seconds"] for entry in rules.values()) / sum(entry["jobs"] for entry in rules.values())
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
