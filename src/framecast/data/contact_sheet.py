"""A picture of what was extracted: some videos, a row each, with evenly spaced frames. The first look at any data
set."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image, ImageDraw

from framecast.core.files import replacing
from framecast.core.seeding import derive
from framecast.stores.frames import FrameStore

VIDEOS, FRAMES, GAP, LABEL = 12, 8, 3, 14
PAPER, INK = (255, 255, 255), (40, 40, 40)


def draw(samples: Path, stores: list[Path], out: Path) -> None:
    """Draw up to twelve videos, drawn by hash of the id, in the store's widest view below 160 pixels (or its smallest).

    Args:
        samples: The samples table.
        stores: Bucket folders of one frame set.
        out: PNG file.
    """
    table = pd.read_parquet(samples, columns=["video_id", "split", "label"])
    chosen = sorted(table["video_id"], key=lambda name: derive(0, "contact sheet", name))[:VIDEOS]
    titles = {row.video_id: f"{row.video_id}   ({row.split})" for row in table.itertuples()}
    opened = [FrameStore(folder) for folder in stores]
    rows = [(titles[name], _frames(store, name)) for store in opened for name in store.video_ids if name in chosen]
    with replacing(out) as temporary:
        _sheet(sorted(rows, key=lambda row: row[0])).save(temporary, format="PNG")


def _frames(store: FrameStore, video_id: str) -> list[np.ndarray]:
    view = _view(store)
    numbers = np.unique(np.linspace(0, store.count(video_id) - 1, FRAMES).round().astype(int))
    return [store.read(view, video_id, int(number), int(number) + 1)[0] for number in numbers]


def _view(store: FrameStore) -> str:
    sizes = store.views
    fitting = [name for name in sizes if sizes[name][1] <= 160]
    return max(fitting, key=lambda name: sizes[name][1]) if fitting else min(sizes, key=lambda name: sizes[name][1])


def _sheet(rows: list[tuple[str, list[np.ndarray]]]) -> Image.Image:
    if not rows:
        return Image.new("RGB", (320, LABEL), PAPER)
    height = max(frame.shape[0] for _, frames in rows for frame in frames)
    width = max(frame.shape[1] for _, frames in rows for frame in frames)
    step = height + LABEL + GAP
    sheet = Image.new("RGB", (FRAMES * (width + GAP) + GAP, len(rows) * step + GAP), PAPER)
    pen = ImageDraw.Draw(sheet)
    for number, (title, frames) in enumerate(rows):
        top = number * step + GAP
        pen.text((GAP, top), title.encode("ascii", "backslashreplace").decode(), fill=INK)
        for column, frame in enumerate(frames):
            sheet.paste(Image.fromarray(frame), (GAP + column * (width + GAP), top + LABEL))
    return sheet
