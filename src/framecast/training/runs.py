"""A run before its first step and after its last: its parts, its identity, its network, its declared outputs."""

from __future__ import annotations

import csv
import math
import time
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from framecast.config.base import Budget, Settings
from framecast.core import components, contract, devices, precision, provenance
from framecast.core.files import read_json, replacing, write_json
from framecast.core.seeding import derive
from framecast.stores import Stores
from framecast.training import identity, sessions
from framecast.weights import state_dict
from framecast.weights.run_files import RECORD, weights_file

CURVE = ("step", "split", "quantity", "value", "learning_rate")

Point = tuple[int, str, str, float, float]


@dataclass
class Course:
    """How a run has gone so far."""

    best: dict[str, Tensor] = field(default_factory=dict)
    best_step: int = 0
    score: float = math.inf
    stale: int = 0
    curve: list[Point] = field(default_factory=list)
    done: int = 0
    stopped_early: bool = False

    def judge(self, score: float, network: nn.Module) -> None:
        """Keep the weights if their score is the best so far (lower is better)."""
        if score < self.score:
            self.best, self.best_step, self.score, self.stale = state_dict.snapshot(network), self.done, score, 0
        else:
            self.stale += 1


@dataclass(frozen=True)
class Run:
    """One experiment with one seed.

    Attributes: spec, the JSON that makes the weights; budget, its budget with the precision that the device chose;
    dataset, the task's training samples; facts, what the task says about them, and the model about a pretrained base;
    parent, the weights it starts from.
    """

    spec: dict[str, Any]
    budget: Budget
    settings: Settings
    task: ModuleType
    dataset: Any
    facts: dict[str, Any]
    stores: Stores
    parent: Path | None

    @property
    def seed(self) -> int:
        return int(self.spec["seed"])

    @property
    def title(self) -> str:
        return f"{self.spec['experiment']} seed {self.seed}"

    def identity(self, rate: float | None, processes: int, purpose: str = "train") -> dict[str, Any]:
        """What makes this run the same run, as JSON."""
        spec = {**self.spec, "budget": self.budget.model_dump(mode="json")}
        inputs = identity.inputs(self.stores, self.task.needs(self.spec["task"])) | identity.pretrained(self.spec)
        return identity.describe(spec, inputs, self.parent, rate, processes) | {"purpose": purpose}

    def network(self) -> nn.Module:
        """The network with its starting weights: drawn by the seed, fitted to the training data, or inherited.

        Raises:
            ValueError: the parent's weights do not fit.
        """
        network = build(self.spec, self.facts)
        fresh = (self.spec["init"] or {}).get("fresh", [])
        fit = contract.hook(self.task, "fit")
        if fit and (self.parent is None or fresh):
            torch.manual_seed(derive(self.seed, "fit"))
            fit(network, self.dataset)
        if self.parent is not None:
            state_dict.inherit(network, _adopted(self.task, network, self.parent), fresh, str(self.parent))
        return network


def open_run(spec: dict[str, Any], stores: Stores, parent: Path | None, settings: dict[str, Any]) -> Run:
    """Gather the parts of a run.

    Raises:
        ValueError: `init` without a parent's weights, or the other way round.
    """
    if (spec["init"] is None) != (parent is None):
        raise ValueError(f"{spec['experiment']}: init is {spec['init']}, and the parent's weights given are {parent}")
    task = components.load_task(spec["task"]["name"])
    dataset = task.dataset(spec["task"], stores, "train")
    known = Settings.model_validate(settings)
    budget = _settled(Budget.model_validate(spec["budget"]), parent, devices.choose(known.device))
    facts = {**task.facts(spec["task"], dataset), **components.facts(spec["model"])}
    return Run(spec, budget, known, task, dataset, facts, stores, parent)


def _settled(budget: Budget, parent: Path | None, device: str) -> Budget:
    """The budget with the precision that `auto` is on this device.

    A run that trains nothing has `auto` from the run whose weights it takes over: a variant of inference differs from
    it in inference alone, wherever its job runs.
    """
    record = parent.with_name(RECORD) if parent else None
    if budget.precision == "auto" and budget.steps == 0 and record and record.is_file():
        return budget.model_copy(update={"precision": trained_budget(read_json(record)).precision})
    return budget.model_copy(update={"precision": precision.choose(budget.precision, device)})


def trained_budget(record: dict[str, Any]) -> Budget:
    """The budget of a trained run, with the precision that it was trained in.

    Args:
        record: Its run.json.
    """
    budget = record["spec"]["budget"]
    return Budget.model_validate({**budget, "precision": record.get("precision", budget["precision"])})


def build(spec: dict[str, Any], facts: dict[str, Any]) -> nn.Module:
    """The task's network around the model, initialised by the seed alone.

    Args:
        facts: What the task's and the model's `facts` returned; stored in run.json.
    """
    torch.manual_seed(derive(int(spec["seed"]), "initialise"))
    task = components.load_task(spec["task"]["name"])
    return task.build(spec["task"], facts, components.core(spec["model"]))


def start(
    spec: dict[str, Any], stores: Stores, parent: Path | None, out: dict[str, Path], settings: dict[str, Any]
) -> None:
    """The run of an experiment with `steps: 0`: its record and, unless they are another run's, its starting weights.

    Args:
        spec: As `framecast.training.loop.train`.
        parent: Weights that `init` starts from.
        out: Paths of `run` and `model`; without `model` the run takes the parent's weights, and its record says so
            (`weights_of`, see `weights_file`).
        settings: How the work is done.

    Raises:
        ValueError: the parent's weights do not fit, or are given without `init`, or the other way round.
    """
    clock = time.monotonic()
    run = open_run(spec, stores, parent, settings)
    how: dict[str, Any] = {"device": "cpu"}
    if "model" not in out:
        if parent is None:
            raise ValueError(f"{run.title} takes its parent's weights, and `init` names none; give a path for `model`")
        how["weights_of"] = f"{parent.parents[1].name}/{parent.parent.name}"
    with sessions.reproducible(run.budget.threads):
        network = run.network() if "model" in out else build(spec, run.facts)
    course = Course(best=state_dict.snapshot(network))
    write(run, course, network, run.identity(None, 1), out, seconds=round(time.monotonic() - clock, 3), **how)


def restore(network: nn.Module, folder: Path, task: ModuleType) -> None:
    """Copy a run's weights into its network.

    Raises:
        FileNotFoundError: see `weights_file`. ValueError: they do not fit.
    """
    path = weights_file(folder)
    state_dict.restore(network, _adopted(task, network, path), str(path))


def _adopted(task: ModuleType, network: nn.Module, path: Path) -> dict[str, Tensor]:
    """Tensors of a file; those of another experiment are brought to the network's shapes where the task can."""
    tensors = state_dict.load(path)
    adopt = contract.hook(task, "adopt")
    return adopt(network, tensors) if adopt else tensors


def write(
    run: Run, course: Course, network: nn.Module, described: dict[str, Any], out: dict[str, Path], **how: Any
) -> None:
    """The declared outputs: curve.csv, run.json, and the weights last; each where `out` has a path for it.

    Args:
        described: The run's identity.
        how: Facts about this execution for run.json: device, seconds.
    """
    if "curve" in out:
        _write_curve(course.curve, out["curve"])
    parameters = list(network.parameters())
    trained = [parameter for parameter in parameters if parameter.requires_grad and run.budget.steps]
    record = provenance.record(
        spec=run.spec,
        identity=identity.digest_of(described),
        inputs=described["inputs"],
        parent=described["parent"],
        seed=run.seed,
        fingerprint=run.spec["fingerprint"],
        facts=run.facts,
        precision=described["precision"],
        learning_rate=described["learning_rate"] or run.budget.learning_rate,
        parameters=sum(parameter.numel() for parameter in parameters),
        trained_parameters=sum(parameter.numel() for parameter in trained),
        monitor=run.budget.monitor,
        score=course.score if math.isfinite(course.score) else None,
        best_step=course.best_step,
        steps=course.done,
        stopped_early=course.stopped_early,
        processes=described["processes"],
        **how,
    )
    write_json(out["run"], record)
    if "model" in out:
        state_dict.save(course.best, out["model"])


def _write_curve(curve: list[Point], out: Path) -> None:
    with replacing(out) as temporary, open(temporary, "w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(CURVE)
        writer.writerows((*point[:3], repr(point[3]), repr(point[4])) for point in curve)
