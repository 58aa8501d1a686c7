"""A trained run, opened for a task and ready to be asked."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from framecast.config.base import Budget, Settings
from framecast.core.files import read_json
from framecast.prediction.inference import load_run
from framecast.training import runs, sessions
from framecast.weights.run_files import RECORD

EXAMPLES = {
    "segmentation": "results/runs/unet/seed_0",
    "future_masks": "results/runs/simvp_tuned/seed_0",
    "progress": "results/runs/pac_net/seed_0",
}


@dataclass(frozen=True)
class Trained:
    """A run's network with what it was made for."""

    folder: Path
    task: dict[str, Any]
    """The task's keys."""
    size: tuple[int, int]
    """Height and width of the frames it takes, pixels."""
    resize: str
    """How frames came to that size."""
    budget: Budget
    network: Any

    @property
    def classes(self) -> int:
        """Classes with the background."""
        return int(self.task["classes"])


def trained(folder: Path, task: str) -> Trained:
    """Open results/runs/{experiment}/seed_{seed} of a task.

    Raises:
        FileNotFoundError: no such run. ValueError: it is of another task, older than the resize policy's record, or
            its weights do not fit its model.
    """
    if not (folder / RECORD).is_file():
        raise FileNotFoundError(
            f"{str(folder)!r} has no {RECORD}; give the folder of a run that is done, such as {EXAMPLES[task]}"
        )
    spec = read_json(folder / RECORD)["spec"]
    if spec["task"]["name"] != task:
        raise ValueError(
            f"{folder} is a run of task {spec['task']['name']!r} (experiment {spec['experiment']!r}); needed is one of "
            f"task {task!r}, such as {EXAMPLES[task]}"
        )
    record, network = load_run(folder)
    facts = record["facts"]
    if "resize" not in facts:
        raise ValueError(f"{folder}/{RECORD} does not say how frames were resized: it is of an earlier version; "
                         "train it again")  # fmt: skip
    budget = runs.trained_budget(record)
    return Trained(folder, spec["task"], tuple(facts["size"]), facts["resize"], budget, network)


@contextlib.contextmanager
def running(run: Trained, device: str, *others: Trained) -> Iterator[torch.device]:
    """The run's arithmetic on a device, with its network there, and those of other runs in the same arithmetic.

    device: `auto`, `cpu`, `cuda` or `mps`.
    """
    settings = Settings.model_validate({"device": device})
    with sessions.evaluating(run.budget, settings) as place:
        for one in (run, *others):
            one.network.to(place)
        yield place
