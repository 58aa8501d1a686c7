"""A trained run → a folder in the hub's format, which loads like any network from there.

Imports no torch: the plan reads `EXPORTS`.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from pathlib import Path

from framecast.core.files import read_json, replacing

EXPORTS = {
    "autoencoder": "framecast.prediction.export.dino:write",
    "latent_autoencoder": "framecast.prediction.export.vae:write",
    "contrast": "framecast.prediction.export.clip:write",
    "pixels": "framecast.prediction.export.diffusers_pipeline:write",
}
"""Task of a run → what writes its network: `write(run, folder, parts)` fills `folder`, which is there and empty."""


def export(run_folder: Path, out: Path, parts: Mapping[str, Path] | None = None) -> None:
    """Write the network of a run; the folder is whole or absent.

    Args:
        run_folder: model.safetensors and run.json.
        parts: Encoder → folder of the weights that the run's task needs beside its own; most need none.

    Raises:
        ValueError: the run's task has nothing to export, or its model is none that can be.
    """
    from framecast.training import runs

    task = read_json(run_folder / runs.RECORD)["spec"]["task"]["name"]
    if task not in EXPORTS:
        raise ValueError(
            f"{run_folder}: its task is {task!r}, which has no network to export; tasks that have: {sorted(EXPORTS)}"
        )
    module, _, function = EXPORTS[task].partition(":")
    with replacing(out) as folder:
        folder.mkdir()
        getattr(importlib.import_module(module), function)(run_folder, folder, dict(parts or {}))
