"""What can be watched while a run trains: TensorBoard, Weights & Biases when asked, pictures of predictions.

Nothing here enters a result.
"""

from __future__ import annotations

import importlib.util
import traceback
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import torch
from pydantic import ValidationError
from torch import nn

from framecast.config.base import Settings
from framecast.core import contract
from framecast.core.seeding import derive, torch_generator
from framecast.training.batches import Batch

if TYPE_CHECKING:
    from accelerate.tracking import GeneralTracker


class Tracking:
    """The trackers of one run; those of accelerate underneath. Off on all but the main process."""

    def __init__(self, folder: Path, settings: Settings, title: str, start: int, main: bool) -> None:
        """
        Args:
            start: Step the run goes on from; what a killed run logged after it is hidden.

        Raises:
            ValueError: W&B is asked for and not installed.
        """
        self.trackers: list[GeneralTracker] = []
        if not main:
            return
        if settings.tensorboard:
            from accelerate.tracking import TensorBoardTracker

            self.trackers.append(TensorBoardTracker("tensorboard", folder, purge_step=start))
        if settings.wandb:
            if importlib.util.find_spec("wandb") is None:
                raise ValueError(
                    f"settings.wandb is {settings.wandb!r}, but wandb is not installed: `pip install wandb`, or null"
                )
            from accelerate.tracking import WandBTracker

            self.trackers.append(WandBTracker(settings.wandb, name=title, dir=str(folder)))
        for tracker in self.trackers:
            tracker.start()

    def scalars(self, values: dict[str, float], step: int) -> None:
        for tracker in self.trackers:
            tracker.log(values, step=step)

    def picture(self, pixels: Any, step: int) -> None:
        """pixels: uint8 [H, W, 3]."""
        for tracker in self.trackers:
            if tracker.name == "tensorboard":
                tracker.log_images({"preview": pixels[None]}, step=step, dataformats="NHWC")
            else:
                tracker.log_images({"preview": [pixels]}, step=step)

    def close(self) -> None:
        for tracker in self.trackers:
            tracker.finish()


def preview(task: ModuleType, network: nn.Module, batch: Batch, seed: int) -> Any:
    """The task's picture of its predictions on a batch, uint8 [H, W, 3], or None.

    A picture that fails is told in the log and costs no training; all randomness comes from a generator of its own, and
    the loop seeds the global one anew at each step.
    """
    drawn = contract.hook(task, "preview")
    if drawn is None:
        return None
    try:
        inference = task.Inference().model_dump(mode="json")
    except ValidationError:
        return None  # the task's inference has keys without defaults: there is nothing to show before predict
    device = next((value.device for value in batch.values() if isinstance(value, torch.Tensor)), torch.device("cpu"))
    torch.manual_seed(derive(seed, "preview"))
    try:
        with torch.no_grad():
            generator = torch_generator(seed, "preview", device=str(device))
            predictions = task.predict(network, batch, generator, inference)
            return drawn({name: value.float().cpu() for name, value in predictions.items()}, _on_cpu(batch))
    except Exception:  # whatever a drawing function raises: the run is worth more than its picture
        print(f"the preview failed and is left out:\n{traceback.format_exc()}", flush=True)
        return None


def _on_cpu(batch: Batch) -> Batch:
    return {key: value.cpu() if isinstance(value, torch.Tensor) else value for key, value in batch.items()}
