"""Ready batches in an order that depends on (seed, position) alone, so that training starts anywhere without replay."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset

from framecast.core.seeding import derive, rng

Batch = dict[str, Any]


@dataclass(frozen=True)
class Shuffled:
    """Indices of the batches `start`…`stop` − 1 of one process.

    An epoch is a permutation by (seed, epoch), cut into batches of size × processes; the rest that fills no batch is
    left out, another rest each epoch. A set smaller than one batch is repeated within it.
    """

    samples: int
    size: int
    seed: int
    start: int
    stop: int
    process: int = 0
    processes: int = 1

    def __iter__(self) -> Iterator[list[int]]:
        whole = self.size * self.processes
        per_epoch = max(1, self.samples // whole)
        epoch, order = -1, None
        for position in range(self.start, self.stop):
            if position // per_epoch != epoch or order is None:
                epoch = position // per_epoch
                order = rng(self.seed, "order", epoch).permutation(self.samples)
            first = (position % per_epoch) * whole + self.process * self.size
            yield [int(order[index % self.samples]) for index in range(first, first + self.size)]

    def __len__(self) -> int:
        return self.stop - self.start


def in_order(samples: int, size: int, process: int = 0, processes: int = 1) -> list[list[int]]:
    """Indices of all batches of a pass in order; processes take turns."""
    batches = [list(range(first, min(first + size, samples))) for first in range(0, samples, size)]
    return batches[process::processes]


def loader(dataset: Dataset, indices: Iterable[list[int]], workers: int, device: torch.device) -> Iterator[Batch]:
    """Batches from `dataset.__getitems__`, on `device`; loaded by `workers` processes beside this one."""
    generator = torch.Generator().manual_seed(derive(0, "workers"))  # else DataLoader draws from the global generator
    batches: Any = DataLoader(
        dataset,
        batch_sampler=indices,  # type: ignore[arg-type]
        collate_fn=_ready,
        num_workers=workers,
        pin_memory=device.type == "cuda",
        generator=generator,
    )
    for batch in batches:
        yield to_device(batch, device)


def to_device(batch: Batch, device: torch.device) -> Batch:
    return {
        key: value.to(device, non_blocking=True) if isinstance(value, torch.Tensor) else value
        for key, value in batch.items()
    }


def _ready(batch: Any) -> Batch:
    """What a task's dataset returns is a batch already."""
    return batch
