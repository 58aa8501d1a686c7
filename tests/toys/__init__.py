"""A small task and model on which the loop is tested; `place()` puts them where names are looked up."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd

import framecast.models
import framecast.tasks
from framecast.config.base import Budget
from framecast.stores import Stores

HERE = Path(__file__).resolve().parent


def place(monkeypatch: Any = None) -> None:
    """Let `framecast.tasks.toy` and `framecast.models.toy_mlp` resolve; undone by monkeypatch where given."""
    for package, name in ((framecast.tasks, "tasks"), (framecast.models, "models")):
        path = [*package.__path__, str(HERE / name)]
        if monkeypatch is not None:
            monkeypatch.setattr(package, "__path__", path)
        else:
            package.__path__ = path


def stores(folder: Path, train: int = 24, select: int = 7, test: int = 9) -> Stores:
    """A samples table; the toy task makes its numbers from the ids."""
    splits = ["train"] * train + ["select"] * select + ["test"] * test
    table = pd.DataFrame({"video_id": [f"v{index:03d}" for index in range(len(splits))], "split": splits})
    table["unit"] = ["u" + name[:3] for name in table["video_id"]]
    path = folder / "samples.parquet"
    table.to_parquet(path)
    return Stores(path)


def spec(experiment: str = "toy", seed: int = 3, **changes: Any) -> dict[str, Any]:
    """A spec; `task__key`, `model__key` and `budget__key` set inner keys."""
    budget = Budget(steps=12, batch=4, evaluate_every=4, clip=1.0, ema=0.0, monitor="error").model_dump(mode="json")
    made: dict[str, Any] = {
        "experiment": experiment,
        "seed": seed,
        "task": {"name": "toy", "noise": 0.1},
        "model": {"name": "toy_mlp", "hidden": 8, "dropout": 0.2},
        "budget": budget,
        "init": None,
        "data": "toys",
        "select": "select",
        "fingerprint": "f00",
    }
    for key, value in changes.items():
        table, _, inner = key.partition("__")
        if inner:
            made[table] = {**made[table], inner: value}
        else:
            made[key] = value
    return json.loads(json.dumps(made))


def outputs(folder: Path) -> dict[str, Path]:
    return {"model": folder / "model.safetensors", "run": folder / "run.json", "curve": folder / "curve.csv"}
