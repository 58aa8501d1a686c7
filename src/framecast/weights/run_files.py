"""The files of a finished run: its record, and its weights or those of the run that it takes them from."""

from __future__ import annotations

from pathlib import Path

from framecast.core.files import read_json

WEIGHTS = "model.safetensors"
RECORD = "run.json"


def weights_file(folder: Path) -> Path:
    """The weights of a run: its own, or those of the run that its record names (`weights_of`: experiment/seed_{seed}).

    Args:
        folder: results/runs/{experiment}/seed_{seed}.

    Raises:
        FileNotFoundError: the other run is not beside this one.
    """
    record = folder / RECORD
    other = read_json(record).get("weights_of") if record.is_file() else None
    if other is None:
        return folder / WEIGHTS
    path = folder.resolve().parents[1] / other / WEIGHTS
    if not path.is_file():
        raise FileNotFoundError(f"{folder} takes the weights of run {other}, and {path} is not there; put it there")
    return path
