"""From a trained run to predictions. Scoring stands apart (`framecast.prediction.scoring`)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from framecast.config.base import Settings
from framecast.core import components, lifeline, progress, provenance
from framecast.core.devices import memory_advice
from framecast.core.files import file_digest, read_json
from framecast.core.seeding import derive, torch_generator
from framecast.core.validation import shortened
from framecast.stores import Stores, predictions
from framecast.training import runs, sessions
from framecast.training.batches import in_order, loader
from framecast.weights import run_files

SAME = ("experiment", "seed", "task", "model", "data")


def predict(spec: dict[str, Any], run: Path, stores: Stores, split: str, out: Path, settings: dict[str, Any]) -> None:
    """Predict every sample of a split, in order, with a trained run.

    The generator that the task gets is new for each batch and always has the same seed, (run's seed, "predict"): noise
    that a task derives from `generator.initial_seed()` and the sample's id does not depend on the batch.

    Args:
        spec: experiment, seed, task, model, data, inference, fingerprint.
        run: Folder with run.json and the weights, or beside the run whose weights it takes (`run_files.weights_file`);
            batch and threads are those of its budget, and precision is what it was trained in, also on another device.
        out: HDF5 file (`framecast.stores.predictions`).

    Raises:
        ValueError: the run is of another experiment, its weights do not fit the model, or the device lacks its
            precision.
        OutOfMemory: names the keys to change.
    """
    lifeline.follow()
    record, network = load_run(run, spec)
    budget, known_settings = runs.trained_budget(record), Settings.model_validate(settings)
    task = components.load_task(spec["task"]["name"])
    dataset = task.dataset(spec["task"], stores, split)
    attrs = {
        **{key: spec[key] for key in (*SAME, "inference", "fingerprint")},
        "split": split,
        "weights": file_digest(run_files.weights_file(run)),
        "identity": record["identity"],
        "provenance": provenance.record(),
    }
    seed = derive(int(spec["seed"]), "predict")
    with (
        sessions.evaluating(budget, known_settings) as device,
        memory_advice({"budget.batch": budget.batch, "budget.precision": budget.precision}, str(device)),
        predictions.writing(out, attrs) as writer,
    ):
        network.to(device).eval()
        batches = in_order(len(dataset), budget.batch)
        source = loader(dataset, batches, known_settings.workers, device)
        for number, batch in enumerate(progress.track(source, f"predict {split}", len(batches), "batch")):
            torch.manual_seed(derive(seed, number))
            generator = torch_generator(seed, device=device.type)
            found = task.predict(network, batch, generator, spec["inference"])
            arrays = {name: _array(value) for name, value in found.items()}
            writer.append(arrays, batch["sample_id"], [str(unit) for unit in batch["unit"]])


def load_run(run: Path, spec: dict[str, Any] | None = None) -> tuple[dict[str, Any], torch.nn.Module]:
    """The record and the network of a trained run, on the CPU, in evaluation mode.

    Args:
        spec: What the run must be of; null takes what it is.

    Raises:
        FileNotFoundError: the run whose weights it takes is not beside it.
        ValueError: the run is of another experiment, seed, task, model or data; or its weights do not fit.
    """
    record = read_json(run / run_files.RECORD)
    trained = record["spec"]
    wanted = trained if spec is None else spec
    for key in SAME:
        if trained[key] != wanted[key]:
            raise ValueError(
                f"{run} holds another run: its {key} is {shortened(trained[key])}, wanted is {shortened(wanted[key])}; "
                "train it again, or give the folder of the right run"
            )
    network = runs.build(trained, record["facts"])
    runs.restore(network, run, components.load_task(trained["task"]["name"]))
    return record, network.eval()


def _array(value: torch.Tensor) -> Any:
    """As numpy; half precision of mixed arithmetic becomes float32."""
    return (value.float() if value.is_floating_point() else value).detach().cpu().numpy()
