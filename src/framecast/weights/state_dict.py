"""A network's weights: byte for byte the same file for the same numbers, loaded whole or refused by name."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from framecast.core.files import replacing

SHOWN = 8


def named(module: nn.Module) -> dict[str, Tensor]:
    """Name → parameter or persistent buffer, the module's own tensors; of tied ones the first name alone."""
    seen: set[int] = set()
    tensors = {}
    for name, tensor in module.state_dict(keep_vars=True).items():
        if id(tensor) not in seen:
            seen.add(id(tensor))
            tensors[name] = tensor
    return tensors


def snapshot(module: nn.Module) -> dict[str, Tensor]:
    """A copy of the weights in main memory."""
    return {name: tensor.detach().to("cpu", copy=True).contiguous() for name, tensor in named(module).items()}


def save(tensors: Mapping[str, Tensor], path: Path) -> None:
    """Write safetensors. One metadata key only: with more, their order in the file is random."""
    with replacing(path) as temporary:
        save_file(dict(tensors), temporary, metadata={"format": "pt"})


def load(path: Path) -> dict[str, Tensor]:
    """Read safetensors.

    Raises:
        ValueError: not a whole safetensors file.
    """
    try:
        return load_file(path)
    except SafetensorError as error:
        raise ValueError(f"{path}: not a whole safetensors file ({error}); make it again") from error


def restore(module: nn.Module, tensors: Mapping[str, Tensor], source: str) -> None:
    """Copy all tensors into the module.

    Raises:
        ValueError: names or shapes differ; the text lists them.
    """
    inherit(module, tensors, [], source)


def inherit(module: nn.Module, tensors: Mapping[str, Tensor], fresh: list[str], source: str) -> None:
    """Copy tensors into the module, all but those under a prefix in `fresh`, which may be absent and stay as they are.

    Raises:
        ValueError: other names or shapes differ, or a prefix matches nothing of the module; the text lists them.
    """
    own = named(module)
    for prefix in fresh:
        if not any(name.startswith(prefix) for name in own):
            raise ValueError(f"init.fresh: {prefix!r} matches nothing; the top-level prefixes are: {top_level(module)}")
    skip = tuple(fresh)
    ours = {name for name in own if not (skip and name.startswith(skip))}
    theirs = {name for name in tensors if not (skip and name.startswith(skip))}
    shared = ours & theirs
    wrong = [f"{name} {list(tensors[name].shape)} instead of {list(own[name].shape)}"
             for name in sorted(shared) if tensors[name].shape != own[name].shape]  # fmt: skip
    problems = [
        f"{title}: {_some(values)}"
        for title, values in (
            ("missing there", sorted(ours - theirs)),
            ("unknown here", sorted(theirs - ours)),
            ("wrong shape", wrong),
        )
        if values
    ]
    if problems:
        raise ValueError(
            f"{source} does not fit the model; {'; '.join(problems)}. "
            "Parts that are to start anew are listed under `init: fresh:` of the experiment."
        )
    with torch.no_grad():
        for name in sorted(shared):
            own[name].copy_(tensors[name])


def _some(values: list[str]) -> str:
    more = f" and {len(values) - SHOWN} more" if len(values) > SHOWN else ""
    return ", ".join(values[:SHOWN]) + more


def top_level(module: nn.Module) -> str:
    """The first parts of the parameters' names, for errors."""
    names = [name for name, _ in module.named_parameters()]
    return ", ".join(sorted({name.split(".")[0] + "." * ("." in name) for name in names}))
