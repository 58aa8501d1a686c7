"""From index and annotations to samples: which split and which independent unit each video belongs to.

A recording group never crosses a split, and what could leak all the same (equal files, one recording in two splits) is
written to a report that the workbook and the page show.
"""

from __future__ import annotations

import importlib
from collections import Counter
from pathlib import Path
from typing import Any

import pandas as pd

from framecast.config.split_rules import places_by_task, sharing, split_names, split_of
from framecast.core.buckets import bucket_of
from framecast.core.files import replacing, write_json
from framecast.core.seeding import derive

INDEX_COLUMNS = ["video_id", "path", "digest", "status", "frames", "fps", "duration", "width", "height"]


def assign(index: Path, labels: list[Path], data: dict[str, Any], samples: Path, report: Path) -> None:
    """Write the samples table (Parquet, one row a video) and the split report (JSON).

    Args:
        index: The merged index.
        labels: Label folders of the embedded world, one a bucket; empty for other sources.
        data: A data entry of the plan.

    Raises:
        ValueError: a split that is needed holds no video, or a list names videos that are not there.
    """
    table = pd.read_parquet(index, columns=INDEX_COLUMNS)
    reader = importlib.import_module(f"framecast.data.annotations.{data['source']['kind']}")
    table = table.merge(reader.read(data["source"], table, labels), on="video_id", how="left", validate="one_to_one")
    table["bucket"] = [bucket_of(name, data["buckets"]) for name in table["video_id"]]
    table["group"] = table["group"].where(table["group"].notna(), table["video_id"])
    table["unit"] = table["group"] if data["unit"] == "group" else table["video_id"]
    table["split"] = _splits(table, data["splits"])
    left_out = _divide_by_task(table, data.get("by_task", {}))
    table = table[table["split"].notna()].sort_values("video_id", ignore_index=True)
    _check_filled(table, data)
    with replacing(samples) as temporary:
        table.to_parquet(temporary, index=False)
    found = {"annotations": reader.problems(data)} if hasattr(reader, "problems") else {}
    write_json(report, _report(table) | left_out | found)


def _splits(table: pd.DataFrame, rule: dict[str, Any]) -> pd.Series:
    if rule["kind"] == "random":
        return _random(table, rule["fractions"], rule["seed"])
    if rule["kind"] == "subfolders":
        return _official(table, table["video_id"].str.partition("/")[0], rule["folders"])
    if rule["kind"] == "official":
        return _official(table, table["official"], rule["sets"])
    return _listed(table, rule["files"])


def _divide_by_task(table: pd.DataFrame, by_task: dict[str, dict[str, list[str]]]) -> dict[str, Any]:
    """Put the videos of divided splits into the new ones; returns how many have a task that goes nowhere, for the
    report: split → task → videos."""
    if not by_task:
        return {}
    places, counts = places_by_task(by_task), Counter[tuple[str, str]]()
    divided = table["split"].isin(list(by_task))
    new: list[str | None] = []
    for split, task in zip(table.loc[divided, "split"], table.loc[divided, "task"], strict=True):
        new.append(places.get((split, task)))
        if new[-1] is None:
            counts[split, str(task)] += 1
    table.loc[divided, "split"] = pd.Series(new, table.index[divided], dtype=object)
    left = {split: {task: count for (one, task), count in sorted(counts.items()) if one == split} for split in by_task}
    return {"left_out": left}


def _official(table: pd.DataFrame, sets: pd.Series, rule: dict[str, str]) -> pd.Series:
    """The split of each video's official set; splits that name one set share it, recording by recording."""
    found = pd.Series([None] * len(table), table.index, dtype=object)
    for name, splits in sharing(rule).items():
        rows = sets == name
        found[rows] = _divided(table.loc[rows, "group"], splits)
    return found


def _divided(groups: pd.Series, splits: list[str]) -> pd.Series:
    """The split of each group by its own hash, so that no other video's coming or going changes it."""
    names = groups.astype(str)
    return names.map({name: split_of(name, splits) for name in set(names)})


def _random(table: pd.DataFrame, fractions: dict[str, float], seed: int) -> pd.Series:
    """Deal each class's groups, in order of a hash, to the split that is furthest behind its share.

    Classes smaller than the number of splits share one running count, so that many classes of one video each still fill
    every split.
    """
    assigned: dict[tuple[str, str], str] = {}
    running = dict.fromkeys(fractions, 0)
    labels = table["label"].fillna("").astype(str)
    keys = list(zip(labels, table["group"].astype(str), strict=True))
    sizes = Counter(keys)
    for label in sorted(set(labels)):
        groups = [key for key in sizes if key[0] == label]
        counts = running if len(groups) < len(fractions) else dict.fromkeys(fractions, 0)
        for key in sorted(groups, key=lambda key: derive(seed, "split", *key)):
            total = sum(counts.values()) + sizes[key]
            assigned[key] = max(fractions, key=lambda name: fractions[name] * total - counts[name])
            counts[assigned[key]] += sizes[key]
    return pd.Series([assigned[key] for key in keys], table.index)


def _listed(table: pd.DataFrame, files: dict[str, str]) -> pd.Series:
    found = pd.Series([None] * len(table), table.index, dtype=object)
    known = set(table["video_id"])
    for path, splits in sharing(files).items():
        split = splits[0]
        text = Path(path).read_text(encoding="utf-8")
        names = [_listed_id(line, known) for line in text.splitlines() if line.strip()]
        if len(known.intersection(names)) == 0:
            raise ValueError(f"data.splits.files.{split}: none of the {len(names)} ids in {path} is an indexed video")
        chosen = table["video_id"].isin(names)
        twice = table.loc[chosen & found.notna(), "video_id"]
        if len(twice):
            raise ValueError(
                f"data.splits.files: {twice.iloc[0]!r} stands in {split!r} and in {found[twice.index[0]]!r}"
            )
        found[chosen] = _divided(table.loc[chosen, "group"], splits)
    return found


def _listed_id(line: str, known: set[str]) -> str:
    """The id on a line: all of it where that is a video (names may hold blanks), else what stands before a number."""
    whole = line.strip()
    return whole if whole in known else whole.rsplit(maxsplit=1)[0]


def _check_filled(table: pd.DataFrame, data: dict[str, Any]) -> None:
    counts = table["split"].value_counts()
    for split in split_names(data["splits"], data.get("by_task", {})):
        if counts.get(split, 0) == 0:
            raise ValueError(
                f"split {split!r} holds no video; videos a split: {counts.to_dict()}. "
                "Add videos, change data.splits or data.by_task, or put fewer videos into one group"
            )


def _report(table: pd.DataFrame) -> dict[str, Any]:
    """Counts, and everything that stands in two splits."""
    return {
        "videos": {str(split): int(count) for split, count in table["split"].value_counts().sort_index().items()},
        "frames": {str(split): int(count) for split, count in table.groupby("split")["frames"].sum().items()},
        "units": {str(split): int(count) for split, count in table.groupby("split")["unit"].nunique().items()},
        "classes": {str(split): int(count) for split, count in table.groupby("split")["label"].nunique().items()},
        "leakage": {"equal_files": _crossing(table, "digest"), "groups": _crossing(table, "group")},
    }


def _crossing(table: pd.DataFrame, column: str) -> list[dict[str, Any]]:
    """Values of a column that occur in more than one split, with the videos that carry them."""
    crossing = table.groupby(column)["split"].nunique()
    shared = table[table[column].isin(crossing.index[crossing > 1])]
    return [
        {"value": str(value), "videos": dict(zip(rows["video_id"], rows["split"], strict=True))}
        for value, rows in shared.groupby(column)
    ]
