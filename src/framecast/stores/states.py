"""What a made world knows of its frames beside their pixels: `states.parquet`, one row a video, frame and object."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd


def progress(folders: Sequence[Path]) -> dict[str, np.ndarray]:
    """Video id → share of its action that is done at each frame of the file, float64 [T] from 0 to 1.

    folders: of a world, one a bucket, each with a `states.parquet` (`framecast.world.files.states`).

    Raises:
        ValueError: there is no folder: the source says nothing of its frames.
    """
    if not folders:
        raise ValueError(
            "the data's source says nothing of the progress of an action: set the task's target: elapsed, which needs "
            "no labels, or use the embedded world (source kind: world)"
        )
    columns = ["video_id", "frame", "progress"]
    table = pd.concat([pd.read_parquet(folder / "states.parquet", columns=columns) for folder in folders])
    table = table.drop_duplicates(["video_id", "frame"]).sort_values(["video_id", "frame"])
    return {str(name): rows["progress"].to_numpy(np.float64) for name, rows in table.groupby("video_id")}
