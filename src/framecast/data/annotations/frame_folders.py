"""Folders of pictures: no classes and no recordings, so the video is the unit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from framecast.data.annotations import plain


def read(source: dict[str, Any], index: pd.DataFrame, labels: list[Path]) -> pd.DataFrame:
    """One row a video of the index: its video_id, and label, group, text, template, placeholders, all empty.

    source, labels: not used; the folders know nothing of their videos, and masks are no labels of a video.
    """
    return plain.read({"label": "none", "group": None}, index, labels)
