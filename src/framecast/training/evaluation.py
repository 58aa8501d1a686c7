"""The monitored quantities of a network on one split: averaged within each independent unit, then over units.

What is no average of samples (IoU over a whole set) a task works out itself: quantities of its `monitor` with a second
axis are added up over all samples and handed to its `summarise`.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import gather_object
from torch import Tensor, nn

from framecast.config.base import Budget
from framecast.core import contract
from framecast.core.seeding import derive, torch_generator
from framecast.training.batches import Batch, in_order, loader

# unit, quantity, value, weight: what each process finds and all share
Row = tuple[str, str, float, int]


class Evaluator:
    """Evaluates on one split; processes share the batches and all get the same answer."""

    def __init__(self, task: ModuleType, dataset: Any, budget: Budget, seed: int, workers: int) -> None:
        self.task, self.dataset, self.budget, self.seed, self.workers = task, dataset, budget, seed, workers
        self.name = budget.monitor.removeprefix("-")
        self.sign = -1.0 if budget.monitor.startswith("-") else 1.0

    def __call__(self, network: nn.Module, accelerator: Accelerator) -> dict[str, float]:
        """All quantities by name. The noise, where there is any, is the same at every evaluation.

        Raises:
            ValueError: the monitored quantity is not among them.
        """
        rows: list[Row] = []
        totals: dict[str, Tensor] = {}
        process, processes = accelerator.process_index, accelerator.num_processes
        indices = in_order(len(self.dataset), self.budget.batch, process, processes)
        network.eval()
        with torch.no_grad(), accelerator.autocast():
            for number, batch in enumerate(loader(self.dataset, indices, self.workers, accelerator.device)):
                torch.manual_seed(derive(self.seed, "monitor", number * processes + process))
                rows += self._rows(network, batch, totals)
        values = _average(gather_object(rows))
        shares = [share for share in gather_object([totals]) if share]  # a process may have had no batch
        if shares:
            values |= self.task.summarise(_summed(shares))
        if self.name not in values:
            there = ", ".join(sorted({*values, "loss"}))
            raise ValueError(f"budget.monitor is {self.budget.monitor!r}; the task's quantities are: {there}")
        return values

    def score(self, values: dict[str, float]) -> float:
        """The monitored value with its sign: lower is better."""
        return self.sign * values[self.name]

    def _rows(self, network: nn.Module, batch: Batch, totals: dict[str, Tensor]) -> list[Row]:
        """One row a sample and quantity; quantities with a second axis are added up over samples in `totals`."""
        units = batch["unit"]
        monitor = contract.hook(self.task, "monitor")
        quantities = monitor(network, batch, self._generator(batch)) if monitor else {}
        for name in [name for name, values in quantities.items() if values.ndim > 1]:
            total = quantities.pop(name).double().sum(0).cpu()
            totals[name] = totals.get(name, 0) + total
        rows = [
            (str(unit), name, value, 1)
            for name, values in quantities.items()
            for unit, value in zip(units, values.double().tolist(), strict=True)
        ]
        if self.name == "loss" and "loss" not in quantities:
            parts = self.task.loss(network, batch, self._generator(batch), 1.0)
            # A batch has one loss, so it counts as a unit as large as its samples.
            rows += [(str(batch["sample_id"][0]), name, float(value), len(units)) for name, value in parts.items()]
        return rows

    def _generator(self, batch: Batch) -> torch.Generator:
        device = next(value.device for value in batch.values() if isinstance(value, torch.Tensor))
        return torch_generator(self.seed, "monitor", device=str(device))


def _summed(parts: list[dict[str, Tensor]]) -> dict[str, Tensor]:
    return {name: torch.stack([part[name] for part in parts]).sum(0) for name in parts[0]}


def _average(rows: list[Row]) -> dict[str, float]:
    averages = {}
    for name in dict.fromkeys(row[1] for row in rows):
        own = [row for row in rows if row[1] == name]
        _, place = np.unique([row[0] for row in own], return_inverse=True)
        values, weights = np.array([row[2] for row in own]), np.array([row[3] for row in own], dtype=np.float64)
        mass = np.bincount(place, weights=weights)
        means = np.bincount(place, weights=weights * values) / mass
        averages[name] = float(np.average(means, weights=mass if (weights > 1).any() else None))
    return averages
