"""Numbers from ids: x [B, 6] → its sum and its maximum, [B, 2]."""

from __future__ import annotations

import os
import time

import numpy as np
import pandas as pd
import torch
from torch import nn

from framecast.config.base import Closed
from framecast.core.needs import Needs
from framecast.core.seeding import rng, torch_generator

WIDTH = 6


class Config(Closed):
    noise: float = 0.0
    """Standard deviation of the noise that the loss adds."""
    explode: int | None = None
    """Step share in percent from which the loss is infinite."""
    slow: float = 0.0
    """Seconds that a batch takes to load."""
    metric: str = "mse"
    """Name that the scores carry."""
    broken: str | None = None
    """What is wrong with the scores."""
    caution: str | None = None
    """What the scores know that nobody would."""


class Inference(Closed):
    spread: float = 0.0
    """Standard deviation of a sample's own noise."""


def needs(config):
    return Needs()


class Numbers:
    def __init__(self, config, table):
        self.config, self.table = config, table
        rows = [rng(0, "toy", name).normal(size=WIDTH) for name in table["video_id"]]
        self.x = torch.tensor(np.array(rows), dtype=torch.float32)
        self.y = torch.stack([self.x.sum(dim=1), self.x.amax(dim=1)], dim=1)

    def __len__(self):
        return len(self.table)

    def __getitems__(self, indices):
        time.sleep(self.config["slow"])
        rows = self.table.iloc[indices]
        batch = {"x": self.x[indices], "y": self.y[indices]}
        return {**batch, "sample_id": rows["video_id"].tolist(), "unit": rows["unit"].tolist()}

    def __getitem__(self, index):
        return self.__getitems__([index])


def dataset(config, stores, split):
    return Numbers({**Config().model_dump(), **config}, stores.split(split))


def facts(config, dataset):
    return {"width": WIDTH}


class Scaled(nn.Module):
    def __init__(self, core):
        super().__init__()
        self.core = core
        self.register_buffer("scale", torch.ones(WIDTH))

    def forward(self, x):
        return self.core(x / self.scale)


def build(config, facts, core):
    return Scaled(core(inputs=facts["width"], outputs=2))


def fit(module, dataset):
    module.scale.copy_(dataset.x.std(dim=0))


def loss(module, batch, generator, progress):
    config = {**Config().model_dump(), **CONFIG}
    if os.environ.get("TOY_MEMORY"):
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 1 bytes")
    noise = torch.randn(batch["y"].shape, generator=generator, device=generator.device)
    error = (module(batch["x"]) - batch["y"] - config["noise"] * noise).square().mean()
    exploded = config["explode"] is not None and module.training and progress * 100 >= config["explode"]
    return {"loss": error * (float("inf") if exploded else 1.0), "progress": torch.tensor(progress)}


# What `loss` cannot be given by the contract and the tests set.
CONFIG: dict = {"noise": 0.1}


def monitor(module, batch, generator):
    return {"error": (module(batch["x"]) - batch["y"]).square().mean(dim=1)}


def predict(module, batch, generator, inference):
    seed = generator.initial_seed()
    noise = torch.stack([torch.randn(2, generator=torch_generator(seed, name)) for name in batch["sample_id"]])
    return {"y": module(batch["x"]) + inference["spread"] * noise, "place": torch.arange(len(noise))}


def score(config, predictions, dataset):
    value = ((predictions.arrays["y"] - dataset.y.numpy()) ** 2).mean(axis=1)
    rows = pd.DataFrame({"sample_id": predictions.sample_ids, "unit": predictions.units, "value": value})
    rows["metric"] = config.get("metric", "mse")
    broken = config.get("broken")
    if broken == "nan":
        rows.loc[2, "value"] = np.nan
    if broken == "stranger":
        rows.loc[2, "sample_id"] = "nobody"
    if broken == "unit":
        rows.loc[2, "unit"] = "elsewhere"
    if broken == "twice":
        rows = pd.concat([rows, rows.iloc[:1]])
    told = {"caution": config["caution"]} if config.get("caution") else {}
    return rows, {"gallery": "abc", "data_range": 255, **told}


def pictures(config, predictions, dataset, folder):
    (folder / "output").mkdir()
    for name in predictions.sample_ids:
        (folder / "output" / f"{name}.txt").write_text(name)
    return [{"sample_id": name, "file": f"{name}.txt", "text": "a sum"} for name in predictions.sample_ids]


def preview(predictions, batch):
    if os.environ.get("TOY_PREVIEW") == "fails":
        raise ZeroDivisionError("no picture today")
    torch.manual_seed(int(time.time()))
    np.random.seed(1)
    torch.randn(int(time.time()) % 7 + 1)
    return np.full((4, 5, 3), 7, dtype=np.uint8)
