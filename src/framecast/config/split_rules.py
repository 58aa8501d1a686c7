"""What a `splits` entry of the config says without looking at any video, so that the Snakefile can ask it too."""

from __future__ import annotations

from typing import Any

from framecast.core.seeding import derive


def split_of(recording: str, splits: list[str]) -> str:
    """The split of a recording among those that share one official set evenly."""
    return splits[derive(0, "divide", recording) % len(splits)]


def sharing(table: dict[str, str]) -> dict[str, list[str]]:
    """From split → official set to set → the splits that share it."""
    splits: dict[str, list[str]] = {}
    for split, name in table.items():
        splits.setdefault(name, []).append(split)
    return splits


def drawn_splits(rule: dict[str, Any]) -> list[str]:
    """Names of the splits of a `splits` entry of the config, whatever its kind, before any is divided by task."""
    return list(next(rule[key] for key in ("fractions", "folders", "files", "sets") if key in rule))


def split_names(rule: dict[str, Any], by_task: dict[str, dict[str, list[str]]]) -> list[str]:
    """Names of the splits there are in the end: those of a `splits` entry, those in `by_task` divided."""
    return [name for split in drawn_splits(rule) for name in by_task.get(split, {split: []})]


def places_by_task(by_task: dict[str, dict[str, list[str]]]) -> dict[tuple[str, str], str]:
    """(split, task) → the split that videos of that task go to."""
    return {(split, task): name for split, parts in by_task.items() for name, tasks in parts.items() for task in tasks}
