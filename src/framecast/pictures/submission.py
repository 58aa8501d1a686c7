"""Predicted masks as files to be handed in."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from framecast.core.seeding import drawn
from framecast.pictures.masks import overlay, painted, row
from framecast.stores.masks import resized

PICTURES = 32
"""Videos of a submission that are drawn."""


def write_last(
    out: Path,
    video_ids: list[str],
    masks: np.ndarray,
    size: tuple[int, int],
    classes: int,
    last_given: Callable[[int], np.ndarray],
) -> None:
    """Write masks.npy, videos.csv and pictures/ into the folder `out`.

    masks.npy: `masks`, uint8 [videos, h, w], brought to `size` = (H, W). videos.csv: row, video_id. pictures: for up to
    `PICTURES` videos the last frame given, the prediction, and the prediction over the frame, in fixed colours.

    Args:
        last_given: From a video's place to its last frame given, uint8 [h, w, 3].
    """
    np.save(out / "masks.npy", resized(masks, *size))
    with open(out / "videos.csv", "w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n", quoting=csv.QUOTE_NONNUMERIC)
        writer.writerow(["row", "video_id"])
        writer.writerows(enumerate(video_ids))
    (out / "pictures").mkdir(exist_ok=True)
    for place in drawn("gallery", video_ids, PICTURES):
        frame, mask = last_given(place), masks[place]
        cells = [frame, painted(mask, classes), overlay(frame, mask, classes)]
        Image.fromarray(row(cells)).save(out / "pictures" / f"{place:05d}.png")
