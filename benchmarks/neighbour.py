"""A training step on two threads, alone and beside a busy process on one of the two cores, by how OpenMP threads wait.

    python benchmarks/neighbour.py [--repeats 5] [--seconds 4]

libgomp's threads spin at the end of every parallel loop until all are there. Where a neighbour holds one of the cores,
they spin while the thread that they wait for is not running. Each setting is measured in a process of its own, because
libgomp reads its environment once, when torch loads. Settings take turns, so that whatever else the machine does meets
all. A process's time a step is its mean, of which a run's length is made; the table has the median over the repeats,
and the least in brackets, which is the nearer to the truth where the machine was shared. CPU time counts the spinning.
The last column is a hash of the weights after ten steps: the setting must not change it. A CPU without AVX-512 is
emulated. framecast sets what is best over both columns when it is imported (`src/framecast/__init__.py`).
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import itertools
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

SETTINGS: dict[str, dict[str, str]] = {
    "libgomp's default": {},  # torch loads before framecast in `measure`
    "OMP_WAIT_POLICY=passive": {"OMP_WAIT_POLICY": "passive"},
    "GOMP_SPINCOUNT=100": {"GOMP_SPINCOUNT": "100"},
    "GOMP_SPINCOUNT=1000": {"GOMP_SPINCOUNT": "1000"},
    "GOMP_SPINCOUNT=10000": {"GOMP_SPINCOUNT": "10000"},
}
WEAK_CPU = {
    "ATEN_CPU_CAPABILITY": "avx2",
    "ONEDNN_MAX_CPU_ISA": "AVX2",
    "MKL_ENABLE_INSTRUCTIONS": "AVX2",
}
CORES = {0, 1}
HASHED = 10
"""Steps before the weights are hashed."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=4, help="length of one measurement (default 4)")
    parser.add_argument("--networks", nargs="+", choices=list(NETWORKS), default=list(NETWORKS))
    parser.add_argument("--measure", choices=list(NETWORKS), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        print(json.dumps(measure(options.measure, options.seconds)))
        return
    for name in options.networks:
        report(name, [one_round(name, options.seconds) for _ in range(options.repeats)])


def one_round(name: str, duration: float) -> dict[tuple[str, bool], dict[str, Any]]:
    """(setting, beside a neighbour) → what `measure` found, each in a new process."""
    found = {}
    for setting, variables in SETTINGS.items():
        for busy in (False, True):
            with neighbour() if busy else contextlib.nullcontext():
                found[setting, busy] = measured(name, duration, variables)
    return found


def measured(name: str, duration: float, variables: dict[str, str]) -> dict[str, Any]:
    chosen = {key: value for key, value in os.environ.items() if key not in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")}
    command = [sys.executable, __file__, "--measure", name, "--seconds", str(duration)]
    done = subprocess.run(command, env=chosen | WEAK_CPU | variables, check=True, capture_output=True, text=True)
    return json.loads(done.stdout)


@contextlib.contextmanager
def neighbour() -> Iterator[None]:
    """A process that never rests, on the second core."""
    busy = subprocess.Popen([sys.executable, "-c", "import os; os.sched_setaffinity(0, {1})\nwhile True: pass"])
    try:
        yield
    finally:
        busy.kill()
        busy.wait()


def measure(name: str, duration: float) -> dict[str, Any]:
    """Wall and CPU seconds a training step, and a hash of the weights after the first `HASHED` steps."""
    os.sched_setaffinity(0, CORES)
    import torch

    torch.set_num_threads(len(CORES))
    torch.manual_seed(0)
    network, step = NETWORKS[name]()
    for _ in range(HASHED):
        step()
    weights = hashlib.sha256(b"".join(tensor.numpy().tobytes() for tensor in network.state_dict().values()))
    count, start, cpu = 0, time.perf_counter(), time.process_time()
    while (passed := time.perf_counter() - start) < duration:
        step()
        count += 1
    cpu = time.process_time() - cpu
    return {"wall": passed / count, "cpu": cpu / count, "weights": weights.hexdigest()[:8]}


def small_convolutions() -> tuple[Any, Callable[[], None]]:
    """Six 3×3 convolutions with batch norm on 16 pictures of 32 × 48 pixels."""
    import torch
    from torch import nn

    layers: list[nn.Module] = [nn.Conv2d(3, 16, 3, padding=1)]
    for _ in range(5):
        layers += [nn.BatchNorm2d(16), nn.ReLU(), nn.Conv2d(16, 16, 3, padding=1)]
    network = nn.Sequential(*layers)
    pictures = torch.rand(16, 3, 32, 48)
    return network, training_step(network, lambda: network(pictures).square().mean())


def demo_unet() -> tuple[Any, Callable[[], None]]:
    """The demo's U-Net at its batch: 64 windows of 32 × 32 pixels, 49 classes."""
    import torch
    import torch.nn.functional as F

    from framecast.models import unet

    network = unet.build(unet.Config(width=16, depth=3), 3, 49, 32, 32)
    frames, classes = torch.rand(64, 3, 32, 32), torch.randint(49, (64, 32, 32))
    return network, training_step(network, lambda: F.cross_entropy(network(frames), classes))


def training_step(network: Any, loss: Callable[[], Any]) -> Callable[[], None]:
    import torch

    optimizer = torch.optim.AdamW(network.parameters(), fused=True)

    def step() -> None:
        optimizer.zero_grad()
        loss().backward()
        optimizer.step()

    return step


def report(name: str, rounds: list[dict[tuple[str, bool], dict[str, Any]]]) -> None:
    print(f"\n{name}: milliseconds a step, median (least) of {len(rounds)}\n")
    print(f"{'':26}{'alone':>18}{'CPU':>18}{'beside neighbour':>18}{'CPU':>18}  weights")
    for setting in SETTINGS:
        cells = []
        for busy, clock in itertools.product((False, True), ("wall", "cpu")):
            times = [1e3 * one[setting, busy][clock] for one in rounds]
            cells.append(f"{statistics.median(times):.1f} ({min(times):.1f})")
        weights = {one[setting, busy]["weights"] for one in rounds for busy in (False, True)}
        print(f"{setting:26}{''.join(f'{cell:>18}' for cell in cells)}  {' '.join(sorted(weights))}")


NETWORKS: dict[str, Callable[[], tuple[Any, Callable[[], None]]]] = {
    "small convolutional net": small_convolutions,
    "demo's U-Net": demo_unet,
}


if __name__ == "__main__":
    main()
