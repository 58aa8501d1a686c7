"""Something-Something V2: what its json files say of the indexed clips."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from framecast.data.annotations import templates
from framecast.data.annotations.ssv2_selection import read as read_entries
from framecast.data.annotations.ssv2_selection import select, task_of


def read(source: dict[str, Any], index: pd.DataFrame, labels: list[Path]) -> pd.DataFrame:
    """One row a clip of the index, in its order: the columns of the embedded world, and `official`.

    source: an `Ssv2Source` of the plan. labels: not used. Columns: video_id, label (the template without brackets),
    group (empty), task, text (lower case), template (with slots), template_id, placeholders (list of str), official
    (the file: train, validation or test). Clips of test.json have neither label, text nor template.

    Raises:
        ValueError: a clip of the index has no usable entry.
    """
    found = {entry.id + source["suffix"]: entry for entry in read_entries(source)[0]}
    missing = [video_id for video_id in index["video_id"] if video_id not in found]
    if missing:
        raise ValueError(
            f"{len(missing)} indexed clips have no usable entry, first {missing[0]!r}: the annotations were changed "
            "while the workflow ran; start it again"
        )
    entries = [found[video_id] for video_id in index["video_id"]]
    full = [None if entry.template is None else templates.TEMPLATES[entry.template] for entry in entries]
    tasks = task_of(source["tasks"])
    columns = {
        "video_id": index["video_id"].tolist(), "label": [one and templates.bare(one) for one in full],
        "group": [None] * len(entries), "task": [tasks.get(entry.template) for entry in entries],
        "text": [entry.text or None for entry in entries], "template": full,
        "official": [entry.official for entry in entries],
    }  # fmt: skip
    return pd.DataFrame(columns, dtype="str").assign(
        template_id=pd.array([entry.template for entry in entries], dtype="Int64"),
        placeholders=pd.Series([list(entry.placeholders) for entry in entries], dtype=object),
    )


def problems(data: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """What is wrong with the annotations of a data entry, and which wanted clips have no file (`Problems.report`)."""
    source = data["source"]
    clips, found = select(source, data["splits"]["sets"])
    folder = Path(source["path"]).expanduser()
    for clip in clips:
        if not (folder / clip.video_id).exists():
            found.add("no_video", f"{clip.entry.id}: {folder / clip.video_id} is not there")
    return found.report()
