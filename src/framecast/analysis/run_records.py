"""Finished runs, by their records. Light: no pandas, no torch."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from framecast.core.files import read_json


@dataclass(frozen=True)
class Run:
    """One run: its record and the folder it came from."""

    experiment: str
    seed: int
    folder: Path
    record: dict[str, Any]

    @property
    def spec(self) -> dict[str, Any]:
        """The resolved experiment; empty where the record has none."""
        return self.record.get("spec") or {}

    @property
    def trivial(self) -> bool:
        """True for a baseline: nothing was trained and nothing trained elsewhere was taken over."""
        if self.record.get("parameters") == 0:
            return True
        return self.spec.get("budget", {}).get("steps") == 0 and not self.spec.get("init")


def read(folders: Iterable[Path]) -> list[Run]:
    """The runs of those folders results/runs/{experiment}/seed_{seed} that hold a run.json."""
    return [_read(Path(folder)) for folder in folders if (Path(folder) / "run.json").is_file()]


def _read(folder: Path) -> Run:
    record = read_json(folder / "run.json")
    experiment = (record.get("spec") or {}).get("experiment", folder.parent.name)
    return Run(experiment, int(record.get("seed", folder.name.removeprefix("seed_"))), folder, record)
