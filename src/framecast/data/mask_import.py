"""Masks of frame folders → the mask files that tasks read: mask.npy of one bucket's videos in one HDF5 file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from framecast.core.files import replacing
from framecast.core.progress import track
from framecast.stores.masks import MaskWriter
from framecast.video.codec import VideoError
from framecast.video.frame_folders import read_masks


def import_masks(index: Path, rules: dict[str, Any], out: Path) -> None:
    """Write the masks of a bucket's labelled videos; the others, and rejected ones, are not in the file.

    Args:
        index: The bucket's index, Parquet.
        rules: Of the source: labelled (first folders with masks), classes (values of a mask).
        out: File in the format of `framecast.stores.masks`, written whole or not at all.

    Raises:
        ValueError: the videos have several sizes, or masks are no longer those that were indexed.
    """
    table = pd.read_parquet(index, columns=["video_id", "path", "status", "frames", "coded_height", "coded_width"])
    labelled = [video_id.partition("/")[0] in rules["labelled"] for video_id in table["video_id"]]
    table = table[np.array(labelled, bool) & (table["status"] != "rejected")]
    with replacing(out) as temporary, MaskWriter(temporary, *_size(table)) as writer:
        for row in track(table.itertuples(), f"masks {index.stem}", len(table), "video"):
            writer.append(str(row.video_id), _masks(row, rules["classes"]))


def _size(table: pd.DataFrame) -> tuple[int, int]:
    """Height and width of all masks, pixels; 1×1 where there are none, because a file's chunks need a size."""
    sizes = table.drop_duplicates(["coded_height", "coded_width"])
    if len(sizes) > 1:
        named = [f"{row.video_id!r} {row.coded_height:.0f}x{row.coded_width:.0f}" for row in sizes.itertuples()]
        raise ValueError(
            f"labelled videos of several sizes, pixels: {', '.join(named[:5])}; the masks of a data set have one size: "
            "bring pictures and masks to one, or make two data sets of them"
        )
    return (int(sizes["coded_height"].iloc[0]), int(sizes["coded_width"].iloc[0])) if len(sizes) else (1, 1)


def _masks(row: Any, classes: int) -> np.ndarray:
    """uint8 [T, H, W]."""
    shape = (int(row.frames), int(row.coded_height), int(row.coded_width))
    try:
        return read_masks(Path(row.path), shape, classes)
    except VideoError as error:
        raise ValueError(
            f"video {row.video_id!r} changed since it was indexed: {row.path}: {error}; run again"
        ) from error
