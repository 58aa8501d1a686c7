"""Predicted frames as files: what was given, what was true, what was predicted, and the three beside each other."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from PIL import Image, ImageDraw

if TYPE_CHECKING:
    import pandas as pd

    from framecast.stores.predictions import Predictions

GAP, LABEL, WIDEST = 4, 16, 240
"""Pixels between cells and of a line of text; widest cell that small pictures are enlarged to, pixels."""
PAPER, INK = (255, 255, 255), (40, 40, 40)
TEXTS = ("text", "template", "task")
"""Columns of the samples table that are told of each sample."""


class Pairs(Protocol):
    """What `of_task` asks of a data set. A place begins with the number of its video, a row of `videos`."""

    videos: pd.DataFrame
    places: list[Any]

    def name(self, place: Any) -> str: ...  # its sample id

    def pictures(self, places: Sequence[Any]) -> tuple[np.ndarray, np.ndarray]: ...  # inputs and targets, uint8


def of_task(config: dict[str, Any], predictions: Predictions, dataset: Pairs, folder: Path) -> list[dict[str, Any]]:
    """Draw the array `frame` of predictions; the whole of a task's `pictures`.

    Args:
        config: The task's keys; where `input` is null, no frame was given and none is shown.
        folder: Exists and is empty.

    Returns:
        For each sample sample_id, file, text, template and task.
    """
    places = {dataset.name(place): place for place in dataset.places}
    chosen = [places[name] for name in predictions.sample_ids]
    inputs, targets = dataset.pictures(chosen)
    given = None if config["input"] is None else inputs
    files = write(folder, predictions.sample_ids, given, targets, predictions.arrays["frame"])
    videos = dataset.videos.iloc[[place[0] for place in chosen]]
    told = {name: videos[name].fillna("").astype(str).tolist() if name in videos else None for name in TEXTS}
    return [
        {"sample_id": name, "file": file, **{key: values[row] if values else "" for key, values in told.items()}}
        for row, (name, file) in enumerate(zip(predictions.sample_ids, files, strict=True))
    ]


def write(
    folder: Path, names: Sequence[str], inputs: np.ndarray | None, targets: np.ndarray, outputs: np.ndarray
) -> list[str]:
    """Write target/, output/ and comparison/ (Input | Truth | Output) with a PNG file for each sample into `folder`.

    Args:
        names: Sample ids, N.
        inputs, targets, outputs: uint8 [N, H, W, 3]; without inputs `comparison` shows the other two.

    Returns:
        Names of the files, the same in each folder (`file_name`).
    """
    files = [file_name(place, name) for place, name in enumerate(names)]
    columns = {"Truth": targets, "Output": outputs}
    columns = columns if inputs is None else {"Input": inputs, **columns}
    for part in ("target", "output", "comparison"):
        (folder / part).mkdir()
    for place, file in enumerate(files):
        Image.fromarray(targets[place]).save(folder / "target" / file)
        Image.fromarray(outputs[place]).save(folder / "output" / file)
        cells = [frames[place] for frames in columns.values()]
        sheet(list(columns), [cells]).save(folder / "comparison" / file)
    return files


def file_name(place: int, name: str) -> str:
    """`00003_78687.webm_20.png`: the sample's number, which makes the name unique, and what file systems and shells
    take of its id, at most 80 letters."""
    return f"{place:05d}_{re.sub('[^A-Za-z0-9.-]+', '_', name)[-80:]}.png"


def sheet(headings: list[str], rows: list[list[np.ndarray]]) -> Image.Image:
    """Cells uint8 [H, W, 3] in a grid under their headings; small ones are enlarged by whole factors."""
    height, width = rows[0][0].shape[:2]
    scale = max(1, WIDEST // width)
    across, down = scale * width + GAP, scale * height + GAP
    drawn = Image.new("RGB", (len(headings) * across + GAP, len(rows) * down + LABEL + 2 * GAP), PAPER)
    pen = ImageDraw.Draw(drawn)
    for column, heading in enumerate(headings):
        pen.text((GAP + column * across, GAP), _fitting(heading, across), fill=INK)
        for line, row in enumerate(rows):
            cell = Image.fromarray(row[column]).resize((scale * width, scale * height), Image.Resampling.NEAREST)
            drawn.paste(cell, (GAP + column * across, LABEL + GAP + line * down))
    return drawn


def _fitting(text: str, width: int) -> str:
    """Text that the built-in font (6 pixels a letter) can write in `width` pixels."""
    letters = max(4, width // 6 - 1)
    plain = text.encode("ascii", "replace").decode()
    return plain if len(plain) <= letters else plain[: letters - 2] + ".."
