"""The only training loop: any task, any model, resumable at any moment.

What a run does at step s is a function of (weights and optimiser state, seed, s): batches, noise, dropout and learning
rate are derived from seed and step. So a run that was killed goes on from its last checkpoint and ends with the same
weights, on a CPU byte for byte. Its state lives in a work folder named by the run's identity; the declared outputs
appear at success only.
"""

from __future__ import annotations

import contextlib
import math
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from accelerate import Accelerator
from torch import nn

from framecast.core import lifeline, locks, progress, provenance
from framecast.core.devices import memory_advice
from framecast.core.files import read_json, write_json
from framecast.stores import Stores
from framecast.training import identity, runs, sessions
from framecast.training.batches import Shuffled, loader, to_device
from framecast.training.checkpoints import Checkpoints, State
from framecast.training.evaluation import Evaluator
from framecast.training.learner import Diverged, Learner
from framecast.training.runs import Course, Run
from framecast.training.tracking import Tracking, preview

POINTS = 200
"""Points that the training curve has at least, where there are as many steps; the loss is looked at as often."""
LOOK = 50
"""Most steps between two looks at the loss."""
SHOWN = 8
"""Samples in a preview."""


def train(
    spec: dict[str, Any],
    stores: Stores,
    tuned: Path | None,
    parent: Path | None,
    out: dict[str, Path],
    work: Path,
    settings: dict[str, Any],
) -> None:
    """Train one experiment with one seed; `steps: 0` writes the weights as they start.

    Args:
        spec: experiment, seed, task, model, budget, init, data, select, fingerprint: all that makes the weights.
        tuned: tuned.json of `tune`, whose learning rate replaces the budget's.
        parent: Weights that `init` starts from.
        out: Paths of `model`, `run` and `curve`.
        work: Folder of the experiment's training states; this run's own is named by its identity.
        settings: How the work is done (`framecast.config.base.Settings`).

    Raises:
        ValueError: weights that do not fit, prefixes that match nothing, a checkpoint of another run, unknown monitor.
        Diverged: the loss is no longer a number.
        OutOfMemory: names the keys to change.
        RuntimeError: another process trains this very run.
    """
    lifeline.follow()
    if not spec["budget"]["steps"]:
        runs.start(spec, stores, parent, out, settings)
        return
    start = time.monotonic()
    rate = float(read_json(tuned)["learning_rate"]) if tuned else None
    run = runs.open_run(spec, stores, parent, settings)
    with sessions.reproducible(run.budget.threads), sessions.accelerated(run.budget, run.settings) as accelerator:
        described = run.identity(rate, accelerator.num_processes)
        with _state(work, described, run.title, accelerator) as checkpoints:
            course, network = _optimise(run, rate or run.budget.learning_rate, checkpoints, accelerator)
            if accelerator.is_main_process:
                device = str(accelerator.device)
                runs.write(run, course, network, described, out, device=device, seconds=_since(start))
                checkpoints.clear()
            accelerator.wait_for_everyone()


def tune(
    spec: dict[str, Any], stores: Stores, parent: Path | None, out: Path, work: Path, settings: dict[str, Any]
) -> None:
    """Try each learning rate of `budget.sweep` for its number of steps; write tuned.json with the best on `select`.

    A trial that diverges scores null; of equal scores the smaller rate wins. Finished trials are kept in the work
    folder, and one that was killed goes on from its checkpoint.

    Args: as `train`; out: path of tuned.json, {"learning_rate", "trials": [{"learning_rate", "score", …}]}.

    Raises:
        Diverged: every trial did.
        As `train` besides.
    """
    lifeline.follow()
    run = runs.open_run(spec, stores, parent, settings)
    sweep = run.budget.sweep
    if sweep is None:
        raise ValueError(f"{spec['experiment']}: the budget has no `sweep`, so there is nothing to tune")
    short = run.budget.model_copy(update={"steps": sweep.steps, "patience": None, "sweep": None})
    trial = Run(spec, short, run.settings, run.task, run.dataset, run.facts, stores, parent)
    with sessions.reproducible(short.threads), sessions.accelerated(short, run.settings) as accelerator:
        trials = [_trial(trial, rate, work, accelerator) for rate in sorted(set(sweep.learning_rate))]
        finite = [one for one in trials if one["score"] is not None]
        if not finite:
            least = trials[0]["learning_rate"]
            raise Diverged(f"{spec['experiment']}: every trial diverged; give budget.sweep rates below {least:g}")
        best = min(finite, key=lambda one: one["score"])  # the first of equals, and rates rise
        if accelerator.is_main_process:
            record = provenance.record(spec=spec, monitor=short.monitor, device=str(accelerator.device))
            write_json(out, {"learning_rate": best["learning_rate"], "trials": trials, "provenance": record})


def _trial(run: Run, rate: float, work: Path, accelerator: Accelerator) -> dict[str, Any]:
    described = run.identity(rate, accelerator.num_processes, "tune")
    with _state(work, described, f"trial {rate:g} of {run.title}", accelerator) as checkpoints:
        record = checkpoints.folder / "trial.json"
        if record.is_file():
            return read_json(record)
        result: dict[str, Any] = {"learning_rate": rate, "score": None, "best_step": None}
        try:
            course, _ = _optimise(run, rate, checkpoints, accelerator)
            result |= {"score": course.score, "best_step": course.best_step}
        except Diverged as error:
            print(f"the trial with learning rate {rate:g} diverged: {error}", flush=True)
        if accelerator.is_main_process:
            write_json(record, result)
            checkpoints.clear()
        accelerator.wait_for_everyone()
    return result


@contextlib.contextmanager
def _state(work: Path, described: dict[str, Any], title: str, accelerator: Accelerator) -> Any:
    """The run's checkpoints; the main process holds the folder's lock for as long."""
    digest = identity.digest_of(described)
    folder = work / digest[:24]
    with locks.hold(folder / "lock", title) if accelerator.is_main_process else contextlib.nullcontext():
        accelerator.wait_for_everyone()
        yield Checkpoints(folder, described, digest)


def _optimise(run: Run, peak: float, checkpoints: Checkpoints, accelerator: Accelerator) -> tuple[Course, nn.Module]:
    """From the last checkpoint to the last step, or until patience is spent."""
    keys = {"budget.batch (and raise budget.accumulate by as much)": run.budget.batch,
            "budget.precision": run.budget.precision}  # fmt: skip
    with memory_advice(keys, str(accelerator.device)):
        state = checkpoints.latest()
        network = run.network() if state is None else runs.build(run.spec, run.facts)
        learner = Learner(run.task, network, run.budget, peak, run.seed, accelerator)
        course = Course() if state is None else _taken_up(state, learner, run)
        select = run.task.dataset(run.spec["task"], run.stores, run.spec["select"])
        evaluator = Evaluator(run.task, select, run.budget, run.seed, run.settings.workers)
        tracking = Tracking(checkpoints.folder, run.settings, run.title, course.done, accelerator.is_main_process)
        try:
            Loop(run, learner, evaluator, tracking, checkpoints, course).go()
        finally:
            tracking.close()
    return course, learner.network


@dataclass
class Loop:
    """The steps of one run, and what happens between them."""

    run: Run
    learner: Learner
    evaluator: Evaluator
    tracking: Tracking
    checkpoints: Checkpoints
    course: Course

    def go(self) -> None:
        budget, course = self.run.budget, self.course
        if course.done == 0:
            self._evaluate()  # what doing nothing scores; also finds a misspelt monitor before the first step
        batches = self._batches()
        look = max(1, min(LOOK, budget.steps // POINTS))
        for step in progress.track(range(course.done, budget.steps), self.run.title, unit="step"):
            self.learner.step(step, batches)
            course.done = step + 1
            last = course.done == budget.steps
            if course.done % look == 0 or last:
                self._log("train", self.learner.logged(course.done))
            if course.done % budget.evaluate_every == 0 or last:
                self._evaluate()
                if not last and budget.patience is not None and course.stale >= budget.patience:
                    course.stopped_early = True
                    return
            if course.done % self.run.settings.checkpoint_every == 0 and not last:
                self._save()

    def _batches(self) -> Any:
        budget, accelerator, run = self.run.budget, self.learner.accelerator, self.run
        start, stop = (step * budget.accumulate for step in (self.course.done, budget.steps))
        place = accelerator.process_index, accelerator.num_processes
        order = Shuffled(len(run.dataset), budget.batch, run.seed, start, stop, *place)
        return loader(run.dataset, order, run.settings.workers, accelerator.device)

    def _evaluate(self) -> None:
        budget, select, done = self.run.budget, self.run.spec["select"], self.course.done
        self.learner.check(done)
        values = self.evaluator(self.learner.evaluated, self.learner.accelerator)
        score = self.evaluator.score(values)
        if not math.isfinite(score):
            self.learner.diverged(f"{budget.monitor} on {select}", max(0, done - 1), score)
        if done:  # the untrained weights are shown, never chosen
            self.course.judge(score, self.learner.evaluated)
        self._log(select, values)
        listed = ", ".join(f"{name} {value:.6g}" for name, value in values.items())
        print(f"{self.run.title}: step {done} of {budget.steps}, {select}: {listed}", flush=True)
        if self.tracking.trackers:
            self._show()
        self.learner.training()

    def _show(self) -> None:
        dataset = self.evaluator.dataset
        first = list(range(min(SHOWN, len(dataset))))
        batch = to_device(dataset.__getitems__(first), self.learner.accelerator.device)
        picture = preview(self.run.task, self.learner.evaluated, batch, self.run.seed)
        if picture is not None:
            self.tracking.picture(picture, self.course.done)

    def _log(self, split: str, values: dict[str, float]) -> None:
        done = self.course.done
        rate = self.learner.rate(max(0, done - 1))
        self.course.curve += [(done, split, name, value, rate) for name, value in values.items()]
        named = {f"{name}/{split}": value for name, value in values.items()}
        self.tracking.scalars({**named, "learning_rate": rate}, done)

    def _save(self) -> None:
        """A checkpoint, by the main process; never of weights that are no numbers."""
        self.learner.check(self.course.done)
        if not self.learner.accelerator.is_main_process:
            return
        course = self.course
        tensors = self.learner.tensors() | {f"best.{name}": tensor for name, tensor in course.best.items()}
        values = {
            "best_step": course.best_step,
            "score": course.score if math.isfinite(course.score) else None,
            "stale": course.stale,
            "curve": course.curve,
            "scaler": self.learner.scaler(),
        }
        self.checkpoints.save(State(course.done, tensors, values))


def _taken_up(state: State, learner: Learner, run: Run) -> Course:
    print(f"{run.title}: going on from step {state.step} of {run.budget.steps}", flush=True)
    learner.take(state.tensors, state.values["scaler"])
    score = state.values["score"]
    return Course(
        best={name.removeprefix("best."): value for name, value in state.tensors.items() if name.startswith("best.")},
        best_step=state.values["best_step"],
        score=math.inf if score is None else score,
        stale=state.values["stale"],
        curve=[tuple(point) for point in state.values["curve"]],
        done=state.step,
    )


def _since(start: float) -> float:
    return round(time.monotonic() - start, 3)
