"""The loop's training step against the bare model's step on batches in memory (CPU, one thread by default).

    python benchmarks/training_step.py [--repeats 7] [--steps 15] [--threads 1] [--models gru tmdn]

Both sides train the same network from the same weights with AdamW, on 384-wide embeddings, history 30, batch 32.
Bare: forward, loss, backward, optimiser step, on one batch that is always the same; no clipping, no logging. Loop: all
that `framecast.training.loop` does from one step to the next: loading and moving the batch, seeding, clipping, the
learning rate, progress, TensorBoard. Steps alternate one by one, so that whatever else the machine does meets both; a
repeat's ratio is that of the mean step times. Bar: rate ≥ 0.90 of the bare model's.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from framecast.config.base import Budget, Settings
from framecast.core import components
from framecast.core.seeding import torch_generator
from framecast.stores import Stores
from framecast.tasks.embedding import Windows
from framecast.training import sessions
from framecast.training.checkpoints import Checkpoints
from framecast.training.evaluation import Evaluator
from framecast.training.learner import Learner
from framecast.training.loop import Loop
from framecast.training.runs import Course, Run, build
from framecast.training.tracking import Tracking

WIDTH, HISTORY, GAP, FRAMES = 384, 30, 1, 60
MODELS = {"gru": {"name": "recurrent", "cell": "gru", "hidden": 1024}, "tmdn": {"name": "tmdn"}}
TASK = {"name": "embedding", "encoder": "none", "history": HISTORY, "gap": GAP, "stride": 10, "dense": True}


def windows(videos: int, stride: int) -> Windows:
    """Random embeddings of some videos."""
    table = torch.randn(videos * FRAMES, WIDTH, generator=torch_generator(0, "benchmark"))
    names = [f"v{index}" for index in range(videos)]
    return Windows(table, np.arange(videos + 1) * FRAMES, names, names, HISTORY + GAP, stride)


def bare_step(task: Any, network: nn.Module, batch: dict[str, Any]) -> Callable[[], None]:
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-4, fused=True)
    generator = torch_generator(0, "bare")
    network.train()

    def step() -> None:
        task.loss(network, batch, generator, 0.5)["loss"].backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    return step


class Alternating:
    """Stands in for the learner's step: a bare step before each of the loop's, both timed."""

    def __init__(self, step: Callable[..., None], bare: Callable[[], None]) -> None:
        self.step, self.bare = step, bare
        self.bare_times: list[float] = []
        self.loop_times: list[float] = []
        self.since = 0.0

    def __call__(self, *args: Any) -> None:
        begin = time.perf_counter()
        if self.since:
            self.loop_times.append(begin - self.since)
        self.bare()
        self.since = time.perf_counter()
        self.bare_times.append(self.since - begin)
        self.step(*args)


def repeat(model: dict[str, Any], steps: int, folder: Path, threads: int) -> tuple[float, float]:
    """Mean milliseconds of a bare step and of a step of the loop."""
    # 2000 steps planned, so that logging happens as often as in a real run; the first `steps` are run.
    budget = Budget(steps=2000, batch=32, learning_rate=1e-4, evaluate_every=10**6, monitor="mse", threads=threads)
    spec = {"experiment": "benchmark", "seed": 0, "task": TASK, "model": model, "init": None, "select": "select"}
    task, settings, train = components.load_task("embedding"), Settings(device="cpu"), windows(40, 1)
    facts = task.facts(TASK, train)
    run = Run(spec, budget, settings, task, train, facts, Stores(folder), None)
    with sessions.reproducible(threads), sessions.accelerated(budget, settings) as accelerator:
        networks = [build(spec, facts) for _ in range(2)]
        for network in networks:
            task.fit(network, train)
        learner = Learner(task, networks[0], budget, 1e-4, 0, accelerator)
        alternating = Alternating(learner.step, bare_step(task, networks[1], train.__getitems__(list(range(32)))))
        tracking = Tracking(folder, settings, "benchmark", 0, True)
        evaluator = Evaluator(task, windows(1, 100), budget, 0, 0)
        loop = Loop(run, learner, evaluator, tracking, Checkpoints(folder, {}, "0" * 64), Course())

        def limited(*args: Any) -> None:
            if len(alternating.loop_times) == steps:
                raise StopIteration
            alternating(*args)

        learner.step = limited  # type: ignore[method-assign]
        with contextlib.suppress(StopIteration), contextlib.redirect_stdout(io.StringIO()):
            loop.go()
        tracking.close()
    return 1e3 * statistics.mean(alternating.bare_times[1:]), 1e3 * statistics.mean(alternating.loop_times[1:])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--steps", type=int, default=15)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--models", nargs="+", choices=sorted(MODELS), default=sorted(MODELS))
    options = parser.parse_args()
    for name in options.models:
        times = []
        for _ in range(options.repeats):
            with tempfile.TemporaryDirectory() as folder:
                times.append(repeat(MODELS[name], options.steps, Path(folder), options.threads))
        ratios = sorted(bare / loop for bare, loop in times)
        bare, loop = (statistics.median(side) for side in zip(*times, strict=True))
        print(
            f"{name}: bare {bare:.1f} ms, loop {loop:.1f} ms a step; rate of the loop {statistics.median(ratios):.3f} "
            f"of the bare model's (median of {len(ratios)}, {ratios[0]:.3f} to {ratios[-1]:.3f}); bar 0.90"
        )


if __name__ == "__main__":
    main()
