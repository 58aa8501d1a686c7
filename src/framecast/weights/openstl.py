"""Weights of OpenSTL's SimVP: read from its checkpoints and written for it, without running what a pickle holds.

OpenSTL (github.com/chengtan9907/OpenSTL) trains under Lightning, whose checkpoints hold the weights under `state_dict`
with the prefix `model.`, beside optimiser state and options; earlier versions left the prefix out. Our `SimVP` has the
same names and shapes (`framecast.models.simvp`), so nothing is converted but prefixes and containers.
"""

from __future__ import annotations

import argparse
import pathlib
import pickle
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.serialization import get_unsafe_globals_in_checkpoint, safe_globals

from framecast.core.files import read_json, replacing
from framecast.core.own_files import check_new_file
from framecast.weights import run_files, state_dict

LIGHTNING = "model."
"""Prefix of the network's parameters in a Lightning checkpoint of OpenSTL."""
IN_A_RUN = "core.simvp."
"""Prefix of SimVP's parameters in a run's weights."""
DTYPES = ("bool", "uint8", "int32", "int64", "float32", "float64")
HARMLESS: list[Any] = [
    argparse.Namespace, pathlib.PosixPath, np.ndarray, np.dtype, *(type(np.dtype(name)) for name in DTYPES),
    *((getattr(np._core.multiarray, name), f"numpy.{core}.multiarray.{name}")  # type: ignore[attr-defined]
      for core in ("core", "_core") for name in ("scalar", "_reconstruct")),
]  # fmt: skip
"""What a checkpoint's options may hold beside what torch allows by itself; making one of these has no effect."""


def load(path: Path) -> dict[str, Tensor]:
    """SimVP's parameters and buffers, name → tensor in main memory, from a checkpoint of OpenSTL.

    Args:
        path: A `.safetensors` file, or a file of `torch.save` with a state dict, plain or under `state_dict`, with or
            without Lightning's prefix.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is damaged, holds other objects than tensors and harmless options (named), or has no state dict.
    """
    content = state_dict.load(path) if path.suffix == ".safetensors" else _unpickled(path)
    state = content["state_dict"] if isinstance(content, Mapping) and "state_dict" in content else content
    if not isinstance(state, Mapping) or not state or not all(isinstance(value, Tensor) for value in state.values()):
        keys = f" with the keys {', '.join(map(str, list(state)[:8]))}" if isinstance(state, Mapping) else ""
        raise ValueError(
            f"{path}: holds a {type(state).__name__}{keys}, where names and tensors are wanted, or a mapping that has "
            "them under 'state_dict'"
        )
    wrapped = all(name.startswith(LIGHTNING) for name in state)
    cut = len(LIGHTNING) if wrapped else 0
    return {name[cut:]: value.detach().cpu().clone().contiguous() for name, value in state.items()}


def _unpickled(path: Path) -> Any:
    """
    Raises:
        ValueError: no checkpoint, or one with objects that might run code.
    """
    with open(path, "rb") as stream:  # a folder or a file that may not be read says so itself
        if not zipfile.is_zipfile(stream):
            raise ValueError(
                f"{path}: neither a .safetensors file nor a checkpoint of torch.save (since torch 1.6 a zip archive); "
                "the file is damaged or of another kind. Older ones: load and save them once with a current torch"
            )
    try:
        with safe_globals(HARMLESS):
            _refuse(path, get_unsafe_globals_in_checkpoint(path))
            return torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError) as error:
        first = str(error).strip().splitlines()[0]
        raise ValueError(f"{path}: cannot be read as a checkpoint of torch.save: {first}") from error


def _refuse(path: Path, found: list[str]) -> None:
    if found:
        raise ValueError(
            f"{path}: holds objects that are not read, as a pickle of them can run any code: "
            f"{', '.join(sorted(found))}. Where you trust the file and these packages are installed, keep the tensors "
            f"alone: python -c \"import torch; c = torch.load('{path.name}', weights_only=False, map_location='cpu'); "
            "torch.save(c.get('state_dict', c), 'weights.ckpt')\""
        )


def save(state: Mapping[str, Tensor], path: Path, lightning: bool) -> None:
    """Write SimVP's weights for OpenSTL: safetensors where `path` ends so, else by `torch.save`.

    Args:
        state: Parameters and buffers under OpenSTL's names.
        lightning: As a Lightning checkpoint, under `state_dict` with the prefix `model.`, as OpenSTL's test reads it;
            else a plain state dict. The keys beside it say that no training can go on from it.

    Raises:
        ValueError: safetensors as a Lightning checkpoint: it holds tensors alone.
    """
    if path.suffix == ".safetensors":
        if lightning:
            raise ValueError(f"{path}: a safetensors file is no Lightning checkpoint; end the name in .ckpt")
        return state_dict.save(state, path)
    tensors: dict[str, Any] = {(LIGHTNING if lightning else "") + name: value for name, value in state.items()}
    # Lightning asks for its version in order to bring old files up to date.
    around = {"pytorch-lightning_version": "2.0.0", "epoch": 0, "global_step": 0, "loops": {}}
    with replacing(path) as temporary:
        torch.save({**around, "state_dict": tensors} if lightning else tensors, temporary)
    return None


def import_file(checkpoint: Path, out: Path, prefix: str) -> int:
    """Write a checkpoint's weights as safetensors with a prefix before each name; returns their number.

    Raises:
        OSError, ValueError: see `load`; besides, `out` does not end in .safetensors, or exists.
    """
    check_new_file(out, [checkpoint])
    if out.suffix != ".safetensors":
        raise ValueError(f"--out {out}: the name of the file to write must end in .safetensors")
    state = {prefix + name: tensor for name, tensor in load(checkpoint).items()}
    state_dict.save(state, out)
    return len(state)


def export_run(folder: Path, out: Path, lightning: bool) -> int:
    """Write the SimVP of a run for OpenSTL; returns the number of tensors.

    Args:
        folder: results/runs/{experiment}/seed_{seed}.

    Raises:
        OSError: the folder has no weights.
        ValueError: the run's network holds no SimVP; `out` exists or lies in the run.
    """
    path = run_files.weights_file(folder)
    if not path.is_file():
        raise FileNotFoundError(f"{folder}: has no model.safetensors; give the folder of a run that is done, "
                                "results/runs/EXPERIMENT/seed_SEED")  # fmt: skip
    tensors = state_dict.load(path)
    state = {name.removeprefix(IN_A_RUN): value for name, value in tensors.items() if name.startswith(IN_A_RUN)}
    if not state:
        raise ValueError(f"{path}: no name starts with {IN_A_RUN!r}, so there is no SimVP in it; its model is "
                         f"{_model(folder)!r}")  # fmt: skip
    check_new_file(out, [folder])
    save(state, out, lightning)
    return len(state)


def _model(folder: Path) -> str:
    record = folder / "run.json"
    return str(read_json(record)["spec"]["model"]["name"]) if record.is_file() else "not known"
