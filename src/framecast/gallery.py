"""One picture of a comparison: a row a sample; side by side what was given, what was true, what each experiment made.

The task draws the cells; this module knows none of them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from framecast import components, lifeline
from framecast.files import replacing
from framecast.stores import Stores, predictions

SAMPLES, GAP, LABEL, WIDEST = 8, 4, 16, 240
"""Samples a picture shows; pixels between cells and of a line of text; widest cell, pixels."""
PAPER, INK = (255, 255, 255), (40, 40, 40)


def draw(gallery: dict[str, Any], sources: list[Path], stores: Stores, split: str, out: Path) -> None:
    """Write a PNG.

    Args:
        gallery: task (of the first member), members (experiment, title, seed).
        sources: Predictions of the members, in their order; the samples of all must be the first one's.

    Raises:
        ValueError: the experiments predicted other samples.
    """
    lifeline.follow()
    task = components.load_task(gallery["task"]["name"])
    found = {
        member["title"]: _ordered(predictions.read(path), member["experiment"])
        for member, path in zip(gallery["members"], sources, strict=True)
    }
    names = [one.sample_ids for one in found.values()]
    if any(other != names[0] for other in names):
        raise ValueError("the compared experiments predicted unequal samples; predict them again")
    headings, rows = task.gallery(gallery["task"], task.dataset(gallery["task"], stores, split), found, SAMPLES)
    with replacing(out) as temporary:
        _sheet(headings, rows).save(temporary, format="PNG")


def _ordered(found: predictions.Predictions, experiment: str) -> predictions.Predictions:
    order = np.argsort(np.array(found.sample_ids, dtype=object), kind="stable")
    arrays = {name: array[order] for name, array in found.arrays.items()}
    pick = [int(place) for place in order]
    names, units = ([values[place] for place in pick] for values in (found.sample_ids, found.units))
    return predictions.Predictions(arrays, names, units, found.attrs)


def _sheet(headings: list[str], rows: list[list[np.ndarray]]) -> Image.Image:
    """Cells uint8 [H, W, 3] in a grid under their headings; small ones are enlarged by whole factors."""
    height, width = rows[0][0].shape[:2]
    scale = max(1, WIDEST // width)
    across, down = scale * width + GAP, scale * height + GAP
    sheet = Image.new("RGB", (len(headings) * across + GAP, len(rows) * down + LABEL + 2 * GAP), PAPER)
    pen = ImageDraw.Draw(sheet)
    for column, heading in enumerate(headings):
        pen.text((GAP + column * across, GAP), _fitting(heading, across), fill=INK)
        for line, row in enumerate(rows):
            cell = Image.fromarray(row[column]).resize((scale * width, scale * height), Image.Resampling.NEAREST)
            sheet.paste(cell, (GAP + column * across, LABEL + GAP + line * down))
    return sheet


def _fitting(text: str, width: int) -> str:
    """Text that the built-in font (6 pixels a letter) can write in `width` pixels."""
    letters = max(4, width // 6 - 1)
    plain = text.encode("ascii", "replace").decode()
    return plain if len(plain) <= letters else plain[: letters - 2] + ".."
