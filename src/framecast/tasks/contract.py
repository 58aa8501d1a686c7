"""The contract of a task: every name that the rest of the package asks a module of this folder for.

A task is a module of functions. `core.contract` refuses one that lacks a part of `Required`, that has a public function
which is listed nowhere here (a misspelt hook would otherwise be left out without a word), or whose hooks take other
arguments. Helpers have names that begin with an underscore, or stand in modules whose names do.

Letters: B batch, D embedding, K classes, H and W sides of a picture. `config` is the task's own keys as JSON, with
defaults filled in. `module` is what `build` returned. `batch` is what the data set gives: tensors of B samples, with
the lists `sample_id` and `unit`. `dataset` is what `dataset` returned for a split. What is asked of a model's network
stands in `models.contract`.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from framecast.core.needs import Needs

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    import torch
    from torch import Tensor, nn

    from framecast.config.base import Closed
    from framecast.stores import Stores
    from framecast.stores.predictions import Predictions


class Required(Protocol):
    """What every task has."""

    Config: type[Closed]
    """Keys of an entry of `tasks`, closed, each with a docstring."""
    Inference: type[Closed]
    """Keys of an experiment's `inference`. They enter `predict` alone, so changing them never trains again."""

    @staticmethod
    def needs(config: dict[str, Any]) -> Needs:
        """What its runs read beside the samples table."""

    @staticmethod
    def dataset(config: dict[str, Any], stores: Stores, split: str) -> Any:
        """The samples of a split: `len()`, `[index]` and `__getitems__(indices)`, which gives a whole batch. Arrays are
        numpy's, turned into tensors that share their memory; no sample depends on its batch.

        Raises:
            ValueError: the split gives no sample; the text names the remedy.
        """

    @staticmethod
    def facts(config: dict[str, Any], dataset: Any) -> dict[str, Any]:
        """What `build` has to know of the training split, as JSON: stored in run.json, so that prediction does without
        the split. Counts of what there is to learn from stand there too."""

    @staticmethod
    def build(config: dict[str, Any], facts: dict[str, Any], core: Callable[..., nn.Module]) -> nn.Module:
        """The network: the task's own part around the model `core(**shape)`. Weights are drawn from torch's global
        generator, which the run has seeded."""

    @staticmethod
    def loss(module: Any, batch: dict[str, Any], generator: torch.Generator, progress: float) -> dict[str, Tensor]:
        """`loss`, which is minimised, and parts of it to be logged; scalars. `progress` is the share of the training
        that is done. All randomness but drop-out comes from `generator`."""

    @staticmethod
    def predict(
        module: Any, batch: dict[str, Any], generator: torch.Generator, inference: dict[str, Any]
    ) -> dict[str, Tensor]:
        """Name → predictions [B, …]. Noise of a sample comes from `generator.initial_seed()` and the sample's id, so
        that it does not depend on the batch."""

    @staticmethod
    def score(config: dict[str, Any], predictions: Predictions, dataset: Any) -> tuple[pd.DataFrame, dict[str, Any]]:
        """A row a sample and metric (sample_id, unit, metric, value), with metrics of `framecast.metrics.METRICS`; and
        facts of the scoring as JSON (`prediction.scoring` says which of them are read by all).

        Raises:
            ValueError: the predictions are of other samples.
        """


class Extra(Protocol):
    """What a task may have besides."""

    EXPORT: str
    """Module of `framecast.prediction.export` that writes a run's network in the hub's folder format. Without it the
    task's experiments cannot be named where a folder of the hub could be."""

    @staticmethod
    def samples(config: dict[str, Any]) -> str | None:
        """What a scored sample is: experiments with equal answers may be compared, whatever their tasks. None, as
        without the hook, means the entry of `tasks`."""

    @staticmethod
    def labels(config: dict[str, Any]) -> str | None:
        """What predictions are where another task reads them as labels; for a task whose needs name `sources`, what it
        reads of them. Both must say the same."""

    @staticmethod
    def fit(module: Any, dataset: Any) -> None:
        """Set what is computed from the training split instead of learned, before the first step."""

    @staticmethod
    def adopt(module: Any, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
        """Weights of another experiment (`init`), brought to this network's shapes."""

    @staticmethod
    def monitor(module: Any, batch: dict[str, Any], generator: torch.Generator) -> dict[str, Tensor]:
        """Name → value of each sample [B], by which checkpoints are chosen; what has more axes is added up over the
        samples for `summarise`. Without it, the loss is monitored."""

    @staticmethod
    def summarise(totals: dict[str, Tensor]) -> dict[str, float]:
        """Quantities of the whole split from the sums that `monitor` gave."""

    @staticmethod
    def preview(predictions: dict[str, Tensor], batch: dict[str, Any]) -> np.ndarray:
        """A picture of a few predictions for those who watch a training, uint8 [H, W, 3]."""

    @staticmethod
    def gallery(
        config: dict[str, Any], dataset: Any, predictions: dict[str, Predictions], count: int
    ) -> tuple[list[str], list[list[np.ndarray]]]:
        """Headings and rows of pictures of a comparison, `count` samples; heading → predictions of the same samples."""

    @staticmethod
    def submit(config: dict[str, Any], predictions: Predictions, dataset: Any, out: Path) -> None:
        """Write predictions of a split without truth into the folder `out`, as they are handed in."""

    @staticmethod
    def pictures(config: dict[str, Any], predictions: Predictions, dataset: Any, folder: Path) -> list[dict[str, Any]]:
        """Write every sample's prediction into `folder`; a row for each, with `sample_id` and what is to be told."""
