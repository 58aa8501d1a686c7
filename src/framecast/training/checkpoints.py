"""Resumable states of a run: written whole, two kept, taken up only by the run that wrote them."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from framecast.core.files import read_json, remove, replacing, write_json

KEPT = 2


@dataclass(frozen=True)
class State:
    """All that decides how a run goes on: tensors by name, and plain values."""

    step: int
    tensors: dict[str, Tensor]
    values: dict[str, Any]


class Checkpoints:
    """The checkpoints of one run, in a folder of its own."""

    def __init__(self, folder: Path, identity: dict[str, Any], digest: str) -> None:
        """
        Raises:
            ValueError: the folder belongs to a run of another identity.
        """
        self.folder = folder
        self.digest = digest
        record = folder / "identity.json"
        if record.is_file() and read_json(record)["digest"] != digest:
            raise ValueError(
                f"{folder} holds the training state of another run (identity {read_json(record)['digest'][:16]}, this "
                f"run is {digest[:16]}); remove that folder, or give this run another work folder"
            )
        if not record.is_file():
            write_json(record, {"digest": digest, "identity": identity})

    def save(self, state: State) -> None:
        """Write a checkpoint, then drop all but the newest two."""
        facts = {"identity": self.digest, "step": state.step, "values": state.values}
        with replacing(self._path(state.step)) as temporary:
            save_file(state.tensors, temporary, metadata={"state": json.dumps(facts)})
            with open(temporary, "rb") as stream:
                os.fsync(stream.fileno())  # a rename that survives a power cut must not outlive the bytes
        for path in self._paths()[:-KEPT]:
            path.unlink()

    def latest(self) -> State | None:
        """The newest checkpoint that can be read; broken ones are named in the log and passed over.

        Raises:
            ValueError: a checkpoint of another run lies in the folder.
        """
        for path in reversed(self._paths()):
            try:
                return self._read(path)
            except (SafetensorError, OSError, KeyError, json.JSONDecodeError) as error:
                print(f"checkpoint {path} cannot be read ({error}); going back to the one before", flush=True)
        return None

    def clear(self) -> None:
        """Remove all checkpoints and what a killed writer left; the identity and the logs stay."""
        for path in [*self._paths(), *self.folder.glob(".*.part.step_*")]:
            remove(path)

    def _read(self, path: Path) -> State:
        with safe_open(path, framework="pt") as file:
            facts = json.loads((file.metadata() or {})["state"])
            if facts["identity"] != self.digest:
                raise ValueError(
                    f"{path} is a checkpoint of another run (identity {facts['identity'][:16]}, this run is "
                    f"{self.digest[:16]}); remove it"
                )
            # A copy: tensors that map the file would change under a run that removes it.
            tensors: Mapping[str, Tensor] = {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118
        return State(facts["step"], dict(tensors), facts["values"])

    def _path(self, step: int) -> Path:
        return self.folder / f"step_{step:09d}.safetensors"

    def _paths(self) -> list[Path]:
        return sorted(self.folder.glob("step_*.safetensors"))
