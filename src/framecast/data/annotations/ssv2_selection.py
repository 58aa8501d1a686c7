"""Which clips of Something-Something V2 are wanted: by task, split and cap, from the annotations alone."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from framecast.config.split_rules import sharing, split_of
from framecast.core.seeding import derive
from framecast.core.validation import ConfigError
from framecast.data.annotations.ssv2_files import SETS, Entry, Problems, check_labels, entries
from framecast.video.listing import list_named

NAMED = 10
"""Missing clips that are named."""


@dataclass(frozen=True)
class Clip:
    """A clip that is wanted. Without a task list the task is None."""

    video_id: str
    split: str
    task: str | None
    entry: Entry


def select(source: dict[str, Any], sets: dict[str, str]) -> tuple[list[Clip], Problems]:
    """The wanted clips, sorted by id, and what is wrong with entries that would have been.

    A cap keeps the first clips of a task and split by a hash of seed and id: the order of the files changes nothing,
    and a higher cap adds clips and drops none.

    Args:
        source: An `Ssv2Source` of the plan: `tasks` holds task → template numbers, or null.
        sets: Split → official set, as in `OfficialSplit`.

    Raises:
        ConfigError: a file cannot be used, or no entry is wanted.
    """
    found, problems = read(source)
    splits, tasks = sharing(sets), task_of(source["tasks"])
    clips = []
    for entry in found:
        if entry.official in splits:
            video_id = entry.id + source["suffix"]
            split = split_of(video_id, splits[entry.official])
            clips.append(Clip(video_id, split, tasks.get(entry.template), entry))
    if not clips:
        raise ConfigError(_nothing(source, problems))
    return sorted(_capped(clips, source["caps"], source["seed"]), key=lambda clip: clip.video_id), problems


def read(source: dict[str, Any]) -> tuple[list[Entry], Problems]:
    """The usable entries of all the source's files, with the templates of its tasks.

    Raises:
        ConfigError: a file cannot be used.
    """
    check_labels(source["labels"])
    files = {name: source[name] for name in SETS if source[name]}
    return entries(files, {number for number in task_of(source["tasks"]) if number is not None} or None)


def task_of(tasks: dict[str, list[int]] | None) -> dict[int | None, str]:
    """Template number to task; empty without a task list."""
    return {number: task for task, numbers in (tasks or {}).items() for number in numbers}


def counts(
    file: Path, tasks: dict[str, list[int]], labels: Path | None, videos: Path | None = None, suffix: str = ".webm"
) -> tuple[str, int]:
    """Clips a task in one json file, what is wrong with its entries and which clips are missing, for people; and how
    many are missing.

    Args:
        labels: labels.json, to be checked; or None.
        videos: Folder that should hold a file `{id}{suffix}` for each clip of these tasks; None is not looked at.

    Raises:
        ConfigError: the file, or labels.json where it is given, cannot be used.
        FileNotFoundError, NotADirectoryError: `videos` is no folder.
    """
    if labels is not None:
        check_labels(str(labels))
    found, problems = entries({"train": str(file)}, {number for numbers in tasks.values() for number in numbers})
    clips = Counter(task_of(tasks)[entry.template] for entry in found)
    lines = [f"{file}: {len(found)} clips", *(f"{clips[task]:>8} {task}" for task in tasks)]
    lines += [problems.text()] if problems.found else []
    if videos is None:
        return "\n".join(lines), 0
    missing = _missing(found, videos, suffix)
    said = f"{len(missing)} of these {len(found)} clips are missing, or empty files, in {videos}"
    if missing:
        named = ", ".join(missing[:NAMED]) + (", …" if len(missing) > NAMED else "")
        said += f": {named}; unpack all parts of the set, and check the suffix"
    return "\n".join([*lines, said]), len(missing)


def _missing(found: list[Entry], videos: Path, suffix: str) -> list[str]:
    """Names of the clips that have no file in the folder, or an empty one; sorted."""
    names = sorted(entry.id + suffix for entry in found)
    there = {name for name, size, _ in list_named({"path": str(videos)}, names) if size}
    return [name for name in names if name not in there]


def _capped(clips: list[Clip], caps: dict[str, int], seed: int) -> list[Clip]:
    kept: list[Clip] = []
    seen: Counter[tuple[str, str | None]] = Counter()
    for clip in sorted(clips, key=lambda clip: derive(seed, "cap", clip.video_id)) if caps else clips:
        place = (clip.split, clip.task)
        if seen[place] < caps.get(clip.split, len(clips)):
            seen[place] += 1
            kept.append(clip)
    return kept


def _nothing(source: dict[str, Any], problems: Problems) -> str:
    files = ", ".join(source[name] for name in SETS if source[name])
    tasks = f"with a template of the tasks {', '.join(source['tasks'])}" if source["tasks"] else "that is usable"
    why = f"; of the entries {problems.text()}" if problems.found else ""
    return f"no entry {tasks} in {files}{why}: check the files and the task list"
