"""The arithmetic that a run happens in: device, precision, threads; set for its length and put back after it."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

import torch

from framecast.config.base import Budget, Settings
from framecast.core import devices, locks, precision

if TYPE_CHECKING:
    from accelerate import Accelerator

MIXED = {"float32": "no", "bf16": "bf16", "fp16": "fp16"}  # our names → accelerate's
ELSEWHERE = " and train the run again, or use a device that has it (settings.device)"
"""Remedy where a trained run's precision is lacking."""


@contextlib.contextmanager
def reproducible(threads: int) -> Iterator[None]:
    """Fixed number of CPU threads and deterministic kernels: the same bytes every time."""
    before = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    filling = torch.utils.deterministic.fill_uninitialized_memory  # type: ignore[attr-defined]
    torch.set_num_threads(threads)
    if not torch.cuda.is_available():  # on CUDA bytes are not promised, and some kernels have no deterministic form
        torch.use_deterministic_algorithms(True)
        torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    try:
        yield
    finally:
        torch.set_num_threads(before[0])
        torch.use_deterministic_algorithms(before[1])
        torch.utils.deterministic.fill_uninitialized_memory = filling  # type: ignore[attr-defined]


@contextlib.contextmanager
def accelerated(budget: Budget, settings: Settings) -> Iterator[Accelerator]:
    """An accelerator on the chosen device, with a GPU of its own where several jobs share a machine.

    Raises:
        ValueError: a precision that the device lacks.
    """
    from accelerate import Accelerator
    from accelerate.state import AcceleratorState

    device = devices.choose(settings.device)
    chosen = precision.choose(budget.precision, device)
    precision.check(chosen, device)
    with locks.gpu_slot(device) as slot, _environment("ACCELERATE_TORCH_DEVICE", slot if ":" in slot else None):
        accelerator = Accelerator(cpu=device == "cpu", mixed_precision=MIXED[chosen])
        torch.set_num_threads(budget.threads)  # for several processes accelerate sets a number of its own
        try:
            yield accelerator
        finally:
            # Its state is global: without this, a later run in this process would get this one's precision.
            if accelerator.num_processes == 1:
                AcceleratorState._reset_state(reset_partial_state=True)


@contextlib.contextmanager
def _environment(name: str, value: str | None) -> Iterator[None]:
    before = os.environ.get(name)
    if value is not None:
        os.environ[name] = value
    try:
        yield
    finally:
        if value is not None:
            os.environ.pop(name)
            if before is not None:
                os.environ[name] = before


@contextlib.contextmanager
def evaluating(budget: Budget, settings: Settings) -> Iterator[torch.device]:
    """The same arithmetic for a pass without gradients in one process; yields the device.

    Args:
        budget: Of a trained run (`runs.trained_budget`): its precision holds on every device, so that predictions do
            not depend on where they are made more than by rounding.

    Raises:
        ValueError: a precision that the device lacks.
    """
    device = devices.choose(settings.device)
    precision.check(budget.precision, device, remedy=ELSEWHERE)
    with (
        locks.gpu_slot(device) as slot,
        reproducible(budget.threads),
        torch.no_grad(),
        precision.mixed(budget.precision, device),
    ):
        yield torch.device(slot)
