"""Next-embedding prediction: a history of frame embeddings → the embedding some frames later.

What is compared must differ in the model alone, so the task owns the rest: per-dimension normalisation, the target (the
change from the last embedding, in units of its root mean square in training), the positions that a training window
teaches and the metrics. Models see normalised histories and return that change at every position; models without
parameters work in raw units. Everything is split by video, never by window.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from pydantic import Field

from framecast.config.base import Closed, Positive
from framecast.core import contract
from framecast.core.files import digest
from framecast.core.needs import Needs
from framecast.core.seeding import torch_generator
from framecast.metrics import cosine, mse, ranks
from framecast.stores import Stores
from framecast.tasks._samples import Samples, tell
from framecast.tasks._tensors import as_tensors, without_gradients

if TYPE_CHECKING:
    import pandas as pd
    import torch
    from torch import Tensor, nn

    from framecast.stores.predictions import Predictions
    from framecast.tasks._networks import NextEmbedding


class Config(Closed):
    """History, gap and what all compared models share."""

    encoder: str
    """Encoder whose cached embeddings are read."""
    history: Annotated[int, Field(ge=2)] = 30
    """Embeddings a prediction may see, frames."""
    gap: Positive = 1
    """Frames from the last embedding seen to the one predicted; 1 is the next."""
    stride: Positive = 1
    """Frames between the starts of neighbouring windows in splits other than `train`, where it is 1."""
    dense: bool = True
    """Train on the prediction at every position of the history, each from what came before it, for all models alike;
    false trains on the last position only."""
    gallery: Positive = 20000
    """Most frames of a split that `rank_all` ranks among; a larger split is thinned evenly (the truth always takes
    part)."""


class Inference(Closed):
    """How a prediction is drawn."""

    mode: Literal["deterministic", "sample", "mean", "best"] = "deterministic"
    """`deterministic`: the model's own best guess, no noise. `sample`: one draw. `mean`: the mean of the draws, with
    the best of them beside it. `best`: only that draw which is nearest to the truth, an oracle that is shown and never
    tested."""
    samples: Positive = 32
    """Draws K for `mean` and `best`."""
    steps: Positive = 10
    """Denoising steps of a draw (DDIM)."""
    antithetic: bool = True
    """Draws come in pairs with opposite noise: each is as good a sample as before, and their mean settles sooner."""


# --- data ------------------------------------------------------------------------------------------------------------


class Windows(Samples):
    """All windows of `history + gap` embeddings of one split, cut from one array in memory.

    Attributes: table [N, D] float32, all embeddings of the split. video_ids, units and offsets: video v has the rows
    offsets[v]:offsets[v + 1]. starts [n]: first row of each window. owners [n]: its video. short: videos without a
    window.
    """

    def __init__(
        self, table: np.ndarray, offsets: np.ndarray, video_ids: list[str], units: list[str], length: int, stride: int
    ) -> None:
        self.table, self.offsets, self.video_ids, self.units, self.length = table, offsets, video_ids, units, length
        counts = np.maximum(0, (np.diff(offsets) - length) // stride + 1)
        self.owners = np.repeat(np.arange(len(counts)), counts)
        within = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
        self.starts = offsets[self.owners] + within * stride
        self.short = [video for video, count in zip(video_ids, counts, strict=True) if count == 0]
        self._steps = np.arange(length)

    def __len__(self) -> int:
        return len(self.starts)

    def __getitems__(self, indices: Sequence[int]) -> dict[str, Any]:
        """window [B, history + gap, D] in raw units; sample_id, unit: lists of B."""
        chosen = np.asarray(indices)
        owners, targets = self.owners[chosen], self.targets(indices)
        return as_tensors({
            "window": self.table[self.starts[chosen, None] + self._steps],
            "sample_id": [f"{self.video_ids[v]}#{target}" for v, target in zip(owners, targets, strict=True)],
            "unit": [self.units[v] for v in owners],
        })  # fmt: skip

    def targets(self, indices: Sequence[int]) -> np.ndarray:
        """Frame number of each window's target in its video."""
        chosen = np.asarray(indices)
        return self.starts[chosen] + self.length - 1 - self.offsets[self.owners[chosen]]

    def sample_ids(self) -> list[str]:
        """`<video id>#<frame number of the target>` of every window."""
        targets = self.targets(range(len(self)))
        return [f"{self.video_ids[v]}#{target}" for v, target in zip(self.owners, targets, strict=True)]


def needs(config: dict[str, Any]) -> Needs:
    """One cache of embeddings."""
    return Needs(embeddings=(config["encoder"],))


def dataset(config: dict[str, Any], stores: Stores, split: str) -> Windows:
    """All windows of a split. Videos that are too short for one are counted out loud.

    Raises:
        ValueError: no video is long enough; the text names the longest one and the remedy.
    """
    from framecast.stores.embeddings import Embeddings

    samples = stores.split(split)
    video_ids = samples["video_id"].tolist()
    table, offsets = Embeddings(stores.embeddings[config["encoder"]]).table(video_ids)
    length = config["history"] + config["gap"]
    stride = 1 if split == "train" else config["stride"]
    offsets = np.asarray(offsets, dtype=np.int64)
    windows = Windows(table, offsets, video_ids, samples["unit"].astype(str).tolist(), length, stride)
    if not len(windows):
        counts = np.diff(offsets)
        longest = int(counts.argmax())
        raise ValueError(
            f"split {split!r}: history {config['history']} + gap {config['gap']} needs {length} frames, and the "
            f"longest video, {video_ids[longest]!r}, has {counts[longest]}; lower the task's history or "
            f"gap to fit, keep more frames (fps of the frame set), or use longer videos"
        )
    what = f"are shorter than history {config['history']} + gap {config['gap']} frames and give no sample"
    tell(split, len(windows.short), len(video_ids), what, windows.short)
    return windows


# --- network ---------------------------------------------------------------------------------------------------------


def facts(config: dict[str, Any], dataset: Windows) -> dict[str, Any]:
    """What the network's shape depends on, and how much there is to learn from."""
    return {
        "width": int(dataset.table.shape[1]),
        "windows": len(dataset),
        "videos": len(dataset.video_ids) - len(dataset.short),
        "short_videos": len(dataset.short),
    }


def build(config: dict[str, Any], facts: dict[str, Any], core: Callable[..., nn.Module]) -> NextEmbedding:
    """The network for embeddings of `facts["width"]` dimensions."""
    from framecast.tasks._networks import NextEmbedding

    width, history, gap = facts["width"], config["history"], config["gap"]
    return NextEmbedding(core(width=width, history=history, gap=gap), width, history, gap, config["dense"])


def fit(module: NextEmbedding, dataset: Windows) -> None:
    """Statistics of the training split: mean and deviation of each dimension, root mean square of the change over the
    gap.

    A model with a `fit` of its own gets up to 512 histories [n, T, D] as it will see them and all changes [m, D] in
    target units.
    """
    import torch

    counts = np.diff(dataset.offsets)
    long = np.repeat(counts >= dataset.length, counts)
    rows = torch.from_numpy(dataset.table[long]).double()
    module.mean.copy_(rows.mean(dim=0))
    deviation = rows.std(dim=0, correction=0)
    module.deviation.copy_(torch.where(deviation > 1e-6 * deviation.max(), deviation, torch.ones_like(deviation)))
    pairs = [
        start + np.arange(max(0, count - module.gap)) for start, count in zip(dataset.offsets, counts, strict=False)
    ]
    first = np.concatenate(pairs)
    changes = torch.from_numpy(dataset.table[first + module.gap] - dataset.table[first])
    size = changes.double().square().mean().sqrt()
    module.change.copy_(size if size > 0 else torch.ones_like(size))
    if model_fit := contract.hook(module.core, "fit"):
        chosen = np.unique(np.linspace(0, len(dataset) - 1, 512).astype(np.int64))
        histories = dataset.__getitems__(chosen.tolist())["window"][:, : module.history]
        model_fit(module.inputs(histories), changes / module.change)


# --- training --------------------------------------------------------------------------------------------------------


def loss(
    module: NextEmbedding, batch: dict[str, Any], generator: torch.Generator, progress: float
) -> dict[str, Tensor]:
    """Squared error of the change in target units, at every position or at the last; a model's own loss where it has
    one."""
    history = batch["window"][:, : module.history]
    ahead = batch["window"][:, module.gap :]  # [B, T, D], the truth for every position
    change = (ahead - history) / module.change
    positions = slice(None) if module.dense else slice(-1, None)
    if model_loss := contract.hook(module.core, "loss"):
        return model_loss(module.inputs(history), change, positions, generator)
    predicted = module.core(module.inputs(history))
    return {"loss": (predicted - change)[:, positions].square().mean()}


@without_gradients
def monitor(module: NextEmbedding, batch: dict[str, Any], generator: torch.Generator) -> dict[str, Tensor]:
    """mse: squared error of the deterministic prediction in raw units, one a sample."""
    window = batch["window"]
    return {"mse": (module(window[:, : module.history]) - window[:, -1]).square().mean(dim=1)}


# --- prediction ------------------------------------------------------------------------------------------------------


@without_gradients
def predict(
    module: NextEmbedding, batch: dict[str, Any], generator: torch.Generator, inference: dict[str, Any]
) -> dict[str, Tensor]:
    """prediction [B, D] in raw units; `mean` adds best [B, D], `best` gives that alone.

    The noise of a sample depends on the run's seed and the sample's id, never on its batch.

    Raises:
        ValueError: samples are asked of a model that draws none.
    """
    import torch

    history, truth = batch["window"][:, : module.history], batch["window"][:, -1]
    mode = inference["mode"]
    if mode == "deterministic":
        return {"prediction": module(history)}
    sample = contract.hook(module.core, "sample")
    if sample is None:
        raise ValueError(f"inference.mode is {mode!r}, but this model draws no samples; use mode: deterministic")
    count = 1 if mode == "sample" else inference["samples"]
    noise = _noise(batch["sample_id"], count, module.core.latent, generator.initial_seed(), inference["antithetic"])
    changes = sample(module.inputs(history), noise.to(history.device), inference["steps"])  # [B, K, D]
    draws = module.outputs(changes, history[:, None, -1])
    if mode == "sample":
        return {"prediction": draws[:, 0]}
    nearest = (draws - truth[:, None]).square().mean(dim=2).argmin(dim=1)
    best = draws[torch.arange(len(draws), device=draws.device), nearest]
    return {"best": best} if mode == "best" else {"prediction": draws.mean(dim=1), "best": best}


def _noise(sample_ids: list[str], count: int, width: int, seed: int, antithetic: bool) -> Tensor:  # [B, count, width]
    import torch

    drawn = (count + 1) // 2 if antithetic else count
    rows = [torch.randn(drawn, width, generator=torch_generator(seed, "predict", name)) for name in sample_ids]
    noise = torch.stack(rows)
    return torch.cat([noise, -noise], dim=1)[:, :count] if antithetic else noise


# --- scores ----------------------------------------------------------------------------------------------------------


def score(config: dict[str, Any], predictions: Predictions, dataset: Windows) -> tuple[pd.DataFrame, dict[str, Any]]:
    """One row a sample and metric, and the facts that say what was ranked against what.

    Raises:
        ValueError: the predictions are not of this split's samples.
    """
    import pandas as pd

    places = np.array(dataset.find_all(predictions.sample_ids))
    table = dataset.table
    rows = dataset.starts[places] + dataset.length - 1
    truth = table[rows]
    values: dict[str, np.ndarray] = {}
    gallery = _thinned(len(table), config["gallery"])
    if "prediction" in predictions.arrays:
        predicted = predictions.arrays["prediction"]
        place_in_gallery = np.full(len(table), -1)
        place_in_gallery[gallery] = np.arange(len(gallery))
        values["mse"] = mse(predicted, truth)
        values["cosine"] = cosine(predicted, truth)
        values["rank_video"] = _rank_video(predicted, rows, dataset.owners[places], dataset)
        values["rank_all"] = ranks(predicted, truth, table[gallery], place_in_gallery[rows])
    if "best" in predictions.arrays:
        values["mse_best"] = mse(predictions.arrays["best"], truth)
    samples = {"sample_id": predictions.sample_ids, "unit": predictions.units}
    parts = [pd.DataFrame({**samples, "metric": name, "value": value}) for name, value in values.items()]
    return pd.concat(parts, ignore_index=True), {
        "gallery": digest(np.ascontiguousarray(table[gallery]).tobytes()),
        "gallery_frames": len(gallery),
        "windows": len(dataset),
        "short_videos": len(dataset.short),
    }


def _thinned(count: int, most: int) -> np.ndarray:
    return np.arange(count) if count <= most else np.linspace(0, count - 1, most).astype(np.int64)


def _rank_video(predicted: np.ndarray, rows: np.ndarray, owners: np.ndarray, dataset: Windows) -> np.ndarray:
    table, result = dataset.table, np.empty(len(rows))
    for video in np.unique(owners):
        mine = np.flatnonzero(owners == video)
        first, end = dataset.offsets[video], dataset.offsets[video + 1]
        result[mine] = ranks(predicted[mine], table[rows[mine]], table[first:end], rows[mine] - first)
    return result


# --- pictures --------------------------------------------------------------------------------------------------------


def preview(predictions: dict[str, Tensor], batch: dict[str, Any]) -> np.ndarray | None:
    """Up to four samples on the two main axes of their own window: the path so far, the truth, the prediction; uint8
    [H, W, 3]."""
    import torch
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    guess = predictions.get("prediction", predictions.get("best"))
    if guess is None:
        return None
    shown = min(4, len(guess))
    figure = Figure(figsize=(3 * shown, 3), dpi=80, layout="constrained")
    canvas = FigureCanvasAgg(figure)
    for place in range(shown):
        window, point = batch["window"][place].double().cpu(), guess[place].double().cpu()
        centre = window.mean(dim=0)
        axes = torch.linalg.svd(window - centre, full_matrices=False).Vh[:2].T  # [D, 2]
        path, dot = ((window - centre) @ axes).numpy(), ((point - centre) @ axes).numpy()
        plot = figure.add_subplot(1, shown, place + 1)
        plot.plot(*path.T, color="0.7", marker=".", markersize=3, linewidth=1)
        plot.plot(*path[-1], "o", color="tab:green", label="true")
        plot.plot(*dot, "x", color="tab:red", label="predicted")
        plot.set_title(str(batch["sample_id"][place])[-24:], fontsize=7)
        plot.tick_params(labelsize=6)
        plot.legend(fontsize=6)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()
