"""Predictions of a split without truth, written out to be handed in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from framecast.core import components, contract, lifeline
from framecast.core.files import replacing
from framecast.stores import Stores, predictions


def write(spec: dict[str, Any], source: Path, stores: Stores, split: str, out: Path) -> None:
    """Write the folder `out` with what the task's `submit` makes of the predictions of a split.

    Args:
        spec: experiment, seed, task, data, fingerprint.
        source: File of `prediction.inference.predict`.

    Raises:
        ValueError: the task writes no submissions.
    """
    lifeline.follow()
    task = components.load_task(spec["task"]["name"])
    submit = contract.hook(task, "submit")
    if submit is None:
        raise ValueError(
            f"{spec['experiment']}: the task {spec['task']['name']!r} writes no submissions; take the experiment off "
            "run.submissions"
        )
    dataset = task.dataset(spec["task"], stores, split)
    with replacing(out) as folder:
        folder.mkdir()
        submit(spec["task"], predictions.read(source), dataset, folder)
