"""The arithmetic that networks compute in: what `auto` means on a device, and what a device lacks."""

from __future__ import annotations

import contextlib
from typing import Any, Literal, get_args

Precision = Literal["auto", "float32", "bf16", "fp16"]
"""What a config may say."""
HALF = {"bf16": "bfloat16", "fp16": "float16"}
"""Precision → torch's name of its half-precision format."""


def choose(name: str, device: str) -> str:
    """`float32`, `bf16` or `fp16` for a precision of the config on `cpu`, `cuda` or `mps`.

    `auto` is bf16 on a GPU that has it, else float32: most CPUs emulate bf16, at ten times the time of float32.
    """
    if name != "auto":
        return name
    return "bf16" if device == "cuda" and _has("bf16", device) else "float32"


def check(name: str, device: str, key: str = "budget.precision", remedy: str = "") -> None:
    """
    Args:
        key: Config key that the error names. remedy: What the error says after the precisions that are there.

    Raises:
        ValueError: a precision that the device lacks.
    """
    if _has(name, device):
        return
    here = "CPU" if device == "cpu" else f"GPU ({device})"
    lack = "which needs a GPU" if device == "cpu" else "which this GPU has no arithmetic for"
    *others, last = [repr(one) for one in get_args(Precision) if _has(one, device)]
    raise ValueError(f"{key} is {name!r}, {lack}; on this {here} take {', '.join(others)} or {last}{remedy}")


def mixed(name: str, device: str) -> contextlib.AbstractContextManager[Any]:
    """Automatic half precision of a block where the precision, `float32`, `bf16` or `fp16`, asks for it."""
    import torch

    return torch.autocast(device, getattr(torch, HALF[name])) if name in HALF else contextlib.nullcontext()


def _has(name: str, device: str) -> bool:
    import torch

    if device == "cpu":  # bf16 is emulated where the CPU lacks it; of fp16 torch has too few operations there
        return name != "fp16"
    if name != "bf16":
        return True
    if device == "mps":
        return bool(torch.backends.mps.is_macos_or_newer(14, 0))
    return torch.cuda.is_bf16_supported(including_emulation=False)
