"""Labels of the embedded world: what was written beside the videos."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

COLUMNS = ["video_id", "label", "group", "task", "text", "template", "template_id", "placeholders", "caption"]


def read(source: dict[str, Any], index: pd.DataFrame, labels: list[Path]) -> pd.DataFrame:
    """Labels of every indexed video, in the index's order.

    labels: the world's folders (or their labels.parquet), one a bucket. Columns: video_id, label (class), group
    (recording, named with its class), task (move_object, drop_object, cover_object, back_and_forth; else roll,
    collide), text (template filled, lower case), template (raw, with slots), template_id (Something-Something V2),
    placeholders (list of str), caption (a sentence).

    Where the source has a task list (task → template numbers), the task is the list's.

    Raises ValueError when a video of the index has no label.
    """
    files = [path / "labels.parquet" if path.is_dir() else path for path in map(Path, labels)]
    tables = [pd.read_parquet(file) for file in files]
    known = pd.concat(tables, ignore_index=True)[COLUMNS].set_index("video_id")
    missing = index.loc[~index["video_id"].isin(known.index), "video_id"]
    if len(missing):
        raise ValueError(
            f"{len(missing)} indexed videos have no row in the world's labels, first {missing.iloc[0]!r}: "
            "the index and the labels come from different worlds; make both again"
        )
    table = known.loc[index["video_id"]].reset_index()
    if source.get("tasks"):
        task_of = {number: task for task, numbers in source["tasks"].items() for number in numbers}
        table["task"] = table["template_id"].map(task_of)
    return table
