"""SimVP's training step, ours against OpenSTL's (CPU, one thread by default).

    python benchmarks/simvp_step.py --openstl CHECKOUT [--pairs 40] [--threads 1] [--size small]

Both networks have the same size, start from the same weights and give the same output, which is checked first. A step,
on both sides the same: forward, mean squared error, backward, Adam, on one batch in memory. Steps alternate one by one,
so that whatever else the machine does meets both. The ratio of rates is the median over pairs, with a 95 % bootstrap
interval. Bar: at least OpenSTL's rate, within 3 %. Without a checkout (see benchmarks/openstl_checkout.py) nothing is
measured, and it says so.
"""

from __future__ import annotations

import argparse
import importlib
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import openstl_checkout
import torch
from torch import nn

from framecast.models.simvp import SimVP

# name: (T, C, H, W), batch, (hid_S, hid_T, N_S, N_T). OpenSTL's Moving MNIST has 64, 512, 4, 8 and batch 16.
SIZES = {
    "small": ((10, 1, 64, 64), 2, (16, 128, 4, 4)),
    "wide": ((10, 1, 64, 64), 2, (32, 256, 4, 4)),
    "masks": ((11, 16, 64, 96), 2, (16, 256, 4, 4)),
}


def stepper(network: nn.Module, batch: torch.Tensor, target: torch.Tensor) -> Callable[[], None]:
    optimizer = torch.optim.Adam(network.train().parameters(), lr=1e-3)
    criterion = nn.MSELoss()

    def step() -> None:
        optimizer.zero_grad()
        criterion(network(batch), target).backward()
        optimizer.step()

    return step


def seconds(step: Callable[[], None]) -> float:
    start = time.perf_counter()
    step()
    return time.perf_counter() - start


def compare(name: str, pairs: int) -> None:
    shape, batch, (hid_s, hid_t, n_s, n_t) = SIZES[name]
    model = importlib.import_module("openstl.models.simvp_model").SimVP_Model
    torch.manual_seed(0)
    theirs = model(shape, hid_S=hid_s, hid_T=hid_t, N_S=n_s, N_T=n_t, model_type="gSTA")
    ours = SimVP(shape, hid_s, hid_t, n_s, n_t)
    ours.load_state_dict(theirs.state_dict())
    frames, target = torch.rand(batch, *shape), torch.rand(batch, *shape)
    with torch.no_grad():
        torch.testing.assert_close(ours.eval()(frames), theirs.eval()(frames), rtol=0, atol=1e-5)
    sides = [stepper(network, frames, target) for network in (theirs, ours)]
    times = np.array([[seconds(step) for step in sides] for _ in range(pairs + 3)])[3:]  # the first ones warm up
    ratios = times[:, 0] / times[:, 1]
    draws = np.random.default_rng(0).choice(ratios, (2000, pairs))
    low, high = np.quantile(np.median(draws, axis=1), [0.025, 0.975])
    openstl, mine = 1e3 * np.median(times, axis=0)
    print(
        f"{name} {shape}, batch {batch}, {hid_s}/{hid_t}/{n_s}/{n_t}: OpenSTL {openstl:.1f} ms, ours {mine:.1f} ms a "
        f"step; our rate {np.median(ratios):.3f} of OpenSTL's (median of {pairs} pairs, 95 % interval {low:.3f} to "
        f"{high:.3f}); bar 1.00 within 0.03"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--openstl", type=Path, help="checkout of github.com/chengtan9907/OpenSTL")
    parser.add_argument("--pairs", type=int, default=40)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--size", nargs="+", choices=list(SIZES), default=["small"])
    options = parser.parse_args()
    if options.openstl is None or not openstl_checkout.there(options.openstl):
        sys.exit(f"SKIPPED, nothing measured: --openstl {options.openstl} is no checkout of OpenSTL")
    torch.set_num_threads(options.threads)
    openstl_checkout.provide(options.openstl)
    for name in options.size:
        compare(name, options.pairs)


if __name__ == "__main__":
    main()
