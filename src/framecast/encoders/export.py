"""A trained run → a folder in the hub's format. What is written depends on the run's task."""

from __future__ import annotations

import importlib
from pathlib import Path

from framecast import runs
from framecast.files import read_json, replacing

EXPORTS = {
    "autoencoder": "framecast.encoders.export_dino:write",
    "latent_autoencoder": "framecast.encoders.export_vae:write",
    "contrast": "framecast.encoders.export_clip:write",
    "pixels": "framecast.pipeline_export:write",
}
"""Task → `module:function` that writes the folder: `write(run, folder, parts)`; imported when it is needed."""


def export(run_folder: Path, out: Path, parts: dict[str, Path]) -> None:
    """Write the network of a run as a folder, whole or not at all; the function that writes it reads it back.

    Args:
        run_folder: model.safetensors and run.json of a run.
        parts: Encoder → folder of the frozen networks that the run's task goes with; empty for encoders.

    Raises:
        ValueError: the run is of a task whose networks are not exported, or of a model that has none.
    """
    spec = read_json(run_folder / runs.RECORD)["spec"]
    task = spec["task"]["name"]
    if task not in EXPORTS:
        raise ValueError(
            f"{run_folder}: experiment {spec['experiment']!r} has the task {task!r} and the model "
            f"{spec['model']['name']!r}, whose networks are not exported; an `experiment` that is exported must be of "
            f"one of the tasks {', '.join(sorted(EXPORTS))}"
        )
    module, _, function = EXPORTS[task].partition(":")
    with replacing(out) as folder:
        folder.mkdir()
        getattr(importlib.import_module(module), function)(run_folder, folder, parts)
