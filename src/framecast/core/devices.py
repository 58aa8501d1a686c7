"""Where networks run, and what to say when they do not fit there."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

DEVICES = ("auto", "cpu", "cuda", "mps")


class OutOfMemory(RuntimeError):
    """A network did not fit into memory; the message names the config keys to change and what they were."""


def choose(device: str) -> str:
    """The device to run on: `auto` takes CUDA, then MPS, then CPU; a named device must be there.

    Returns `cpu`, `cuda` or `mps`. Raises ValueError for an unknown name or a device that this machine lacks.
    """
    import torch

    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if device == "auto":
        return next(name for name, present in there.items() if present)
    if device not in there:
        raise ValueError(f"settings.device is {device!r}: it must be one of {', '.join(DEVICES)}")
    if not there[device]:
        present = ", ".join(name for name, present in there.items() if present)
        raise ValueError(
            f"settings.device is {device!r}, but torch {torch.__version__} finds no such device (it finds {present}); "
            "set settings.device to `auto`, or install a torch build for that device"
        )
    return device


@contextlib.contextmanager
def memory_advice(keys: Mapping[str, Any], device: str) -> Iterator[None]:
    """Turn an out-of-memory error of the block into OutOfMemory, which says what to change.

    keys: config key (as the user writes it) → its present value, most effective first.
    """
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not _is_memory(error):
            raise
        now = "; ".join(f"{key} is {value!r}" for key, value in keys.items())
        first = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise OutOfMemory(
            f"out of memory on {device}: {first}\nLower or change these config keys, the first one first: {now}. "
            "Or run on a device with more memory (settings.device)."
        ) from error


def _is_memory(error: BaseException) -> bool:
    """CUDA raises its own class; MPS and the CPU allocator raise RuntimeError with these words."""
    if isinstance(error, MemoryError):
        return True
    import torch

    words = ("out of memory", "can't allocate memory", "not enough memory", "cannot allocate memory")
    return isinstance(error, torch.OutOfMemoryError) or any(word in str(error).lower() for word in words)
