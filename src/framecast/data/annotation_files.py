"""Annotations of what was selected, in the form of Something-Something V2 with the number of decoded frames."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from framecast.core.files import replacing, write_json

COLUMNS = ["video_id", "split", "task", "text", "template", "placeholders", "frames"]


def write(samples: Path, files: dict[str, dict[str, Any]], out: Path) -> None:
    """Write a folder with a json file for each of `files`, and counts.csv.

    A json file is a list of `{id, label, template, placeholders, task, num_frames}`, sorted by id; the id is the
    video's without the suffix. counts.csv has a row for each file and task: file, split, task, clips, frames (of all
    clips), shortest and longest (frames of a clip).

    Args:
        samples: The samples table.
        files: Name of a file to its split and tasks (null: all), as in the config's `annotation_files`.

    Raises:
        ValueError: a file would hold no clip.
    """
    table = pd.read_parquet(samples, columns=COLUMNS).sort_values("video_id")
    counts = []
    with replacing(out) as folder:
        folder.mkdir()
        for name, wanted in files.items():
            chosen = _chosen(table, name, wanted)
            write_json(folder / f"{name}.json", [_entry(row) for row in chosen.to_dict("records")])
            counts.append(_counts(chosen).assign(file=name, split=wanted["split"]))
        columns = ["file", "split", "task", "clips", "frames", "shortest", "longest"]
        pd.concat(counts)[columns].to_csv(folder / "counts.csv", index=False)


def _chosen(table: pd.DataFrame, name: str, wanted: dict[str, Any]) -> pd.DataFrame:
    rows = table["split"] == wanted["split"]
    if wanted["tasks"] is not None:
        rows &= table["task"].isin(wanted["tasks"])
    if not rows.any():
        there = table.loc[table["split"] == wanted["split"], "task"].value_counts().to_dict()
        raise ValueError(
            f"annotation_files.{name}: split {wanted['split']!r} has no clip of the tasks "
            f"{wanted['tasks'] or 'of its task list'}; clips a task: {there}. Change split or tasks, or add videos"
        )
    return table[rows]


def _entry(row: Mapping[Any, Any]) -> dict[str, Any]:
    return {
        "id": row["video_id"].rpartition(".")[0] or row["video_id"], "label": row["text"], "template": row["template"],
        "placeholders": list(row["placeholders"]), "task": row["task"], "num_frames": int(row["frames"]),
    }  # fmt: skip


def _counts(chosen: pd.DataFrame) -> pd.DataFrame:
    frames = chosen.groupby("task")["frames"]
    return frames.agg(clips="size", frames="sum", shortest="min", longest="max").reset_index()
