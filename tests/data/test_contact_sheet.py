"""The contact sheet: videos as rows, frames in their order, any name, any shape."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from framecast.data.contact_sheet import FRAMES, GAP, LABEL, VIDEOS, draw
from framecast.stores.frames import FrameWriter


def stores(folder: Path, counts: dict[str, int], views: dict[str, list[int]]) -> list[Path]:
    """Two buckets; every frame is grey, ten times its number plus its video's."""
    paths = [folder / "bucket_0", folder / "bucket_1"]
    for number, path in enumerate(paths):
        with FrameWriter(path, {"fps": None, "resize": "squash", "views": views}) as writer:
            for place, (name, count) in enumerate(counts.items()):
                if place % 2 != number:
                    continue
                writer.start(name)
                for index in range(count):
                    writer.append({view: np.full((*size, 3), 10 * index + place, np.uint8)
                                   for view, size in views.items()}, index / 10, index)  # fmt: skip
            writer.finish({})
    return paths


def sheet(folder: Path, counts: dict[str, int], views: dict[str, list[int]], listed: list[str] | None = None):
    names = list(counts) if listed is None else listed
    pd.DataFrame({"video_id": names, "split": "train", "label": None}).to_parquet(folder / "samples.parquet")
    draw(folder / "samples.parquet", stores(folder, counts, views), folder / "sheet.png")
    with Image.open(folder / "sheet.png") as image:
        assert image.format == "PNG"
        return np.asarray(image)


def cells(picture: np.ndarray, rows: int, height: int, width: int) -> list[list[int]]:
    """The red value in the middle of every frame's place."""
    return [[int(picture[GAP + row * (height + LABEL + GAP) + LABEL + height // 2,
                         GAP + column * (width + GAP) + width // 2, 0]) for column in range(FRAMES)]
            for row in range(rows)]  # fmt: skip


def test_evenly_spaced_frames_in_order_of_the_names(tmp_path: Path) -> None:
    picture = sheet(tmp_path, {"b.mp4": 15, "a.mp4": 8}, {"small": [20, 30]})
    assert picture.shape == (2 * (20 + LABEL + GAP) + GAP, FRAMES * (30 + GAP) + GAP, 3)
    assert cells(picture, 2, 20, 30) == [[1, 11, 21, 31, 41, 51, 61, 71], [0, 20, 40, 60, 80, 100, 120, 140]]


def test_short_videos_leave_places_empty(tmp_path: Path) -> None:
    assert cells(sheet(tmp_path, {"a.mp4": 2}, {"small": [20, 30]}), 1, 20, 30) == [[0, 10, *[255] * (FRAMES - 2)]]


@pytest.mark.parametrize(
    ("views", "width"),
    [({"a": [96, 96], "b": [120, 160], "c": [224, 224]}, 160), ({"c": [224, 224], "d": [170, 180]}, 180)],
)
def test_the_widest_view_that_fits_else_the_smallest(tmp_path: Path, views: dict[str, list[int]], width: int) -> None:
    assert sheet(tmp_path, {"a.mp4": 1}, views).shape[1] == FRAMES * (width + GAP) + GAP


def test_odd_names_and_few_of_many(tmp_path: Path) -> None:
    counts = {f"日本語\n{{x}} {number}.mp4": 1 for number in range(VIDEOS + 4)}
    picture = sheet(tmp_path, counts, {"small": [16, 16]})
    assert picture.shape[0] == VIDEOS * (16 + LABEL + GAP) + GAP


def test_videos_outside_the_samples_are_not_shown_and_none_is_a_picture(tmp_path: Path) -> None:
    picture = sheet(tmp_path, {"a.mp4": 3}, {"small": [16, 16]}, listed=[])
    assert picture.shape == (LABEL, 320, 3) and picture.min() == 255
