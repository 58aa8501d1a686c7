"""One picture of a comparison: a row a sample; side by side what was given, what was true, what each experiment made.

The task draws the cells; this module knows none of them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from framecast.core import components, lifeline
from framecast.core.files import replacing
from framecast.pictures.frames import sheet
from framecast.stores import Stores, predictions

SAMPLES = 8
"""Samples a picture shows."""


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
        sheet(headings, rows).save(temporary, format="PNG")


def _ordered(found: predictions.Predictions, experiment: str) -> predictions.Predictions:
    order = np.argsort(np.array(found.sample_ids, dtype=object), kind="stable")
    arrays = {name: array[order] for name, array in found.arrays.items()}
    pick = [int(place) for place in order]
    names, units = ([values[place] for place in pick] for values in (found.sample_ids, found.units))
    return predictions.Predictions(arrays, names, units, found.attrs)
