"""A plain folder of videos: classes from folders, recording groups from a pattern on the id."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pandas as pd


def read(source: dict[str, Any], index: pd.DataFrame, labels: list[Path]) -> pd.DataFrame:
    """One row a video of the index: video_id, label, group, text, template, placeholders.

    source: a `PlainSource`. label: the first folder of the id (`folder`), or none; a video that lies in no folder has
    none. group: what the pattern's first group finds in the id, with the label before it, because classes number their
    recordings alike (UCF-101: `Archery/g01`). A folder knows no text, template or placeholders. labels: not used.

    Raises:
        ValueError: the pattern does not match every id.
    """
    ids = index["video_id"].tolist()
    classes = [_folder(video_id) if source["label"] == "folder" else None for video_id in ids]
    groups = _groups(source["group"], ids, classes)
    empty = [None] * len(ids)
    columns = {"video_id": ids, "label": classes, "group": groups, "text": empty, "template": empty}
    return pd.DataFrame(columns, dtype="str").assign(placeholders=pd.Series(empty, dtype=object))


def _folder(video_id: str) -> str | None:
    folder, slash, _ = video_id.partition("/")
    return folder if slash else None


def _groups(pattern: str | None, ids: list[str], classes: list[str | None]) -> list[str | None]:
    if pattern is None:
        return [None] * len(ids)
    found = [re.search(pattern, video_id) for video_id in ids]
    strays = [video_id for video_id, match in zip(ids, found, strict=True) if match is None or not match[1]]
    if strays:
        raise ValueError(
            f"data source group {pattern!r} finds no recording in {len(strays)} of {len(ids)} video ids, such as "
            f"{', '.join(map(repr, strays[:3]))}: mend the pattern, or set group: null"
        )
    return [
        match[1] if folder is None else f"{folder}/{match[1]}"
        for match, folder in zip(found, classes, strict=True)
        if match is not None
    ]
