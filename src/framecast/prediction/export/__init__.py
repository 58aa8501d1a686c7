"""A trained run → a folder in the hub's format, which loads like any network from there.

A task names the module of this package that writes its networks (`EXPORT`): `write(run, folder, parts)` fills `folder`,
which is there and empty.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from pathlib import Path

from framecast.core.files import read_json, replacing
from framecast.weights.run_files import RECORD


def export(run_folder: Path, out: Path, parts: Mapping[str, Path] | None = None) -> None:
    """Write the network of a run; the folder is whole or absent.

    Args:
        run_folder: model.safetensors and run.json.
        parts: Encoder → folder of the weights that the run's task needs beside its own; most need none.

    Raises:
        ValueError: the run's task has nothing to export, or its model is none that can be.
    """
    from framecast.core import components, contract

    task = read_json(run_folder / RECORD)["spec"]["task"]["name"]
    module = contract.hook(components.load_task(task), "EXPORT")
    if module is None:
        having = [name for name in components.names("tasks") if hasattr(components.load_task(name), "EXPORT")]
        raise ValueError(
            f"{run_folder}: its task is {task!r}, which has no network to export; tasks that have: {having}"
        )
    with replacing(out) as folder:
        folder.mkdir()
        importlib.import_module(f"{__name__}.{module}").write(run_folder, folder, dict(parts or {}))
