"""Peak memory of the 49-way cross-entropy of future masks: all scores at once against one frame at a time.

    python benchmarks/mask_loss_memory.py [--height 160] [--width 240] [--batch 4] [--frames 11] [--features 64]

Each side runs in a process of its own: features of a network as given, 1×1 readout, cross-entropy, backward to readout
and features. Its figure is the peak resident memory above that of the process with the features already there.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import time

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from framecast.ops.mask_loss import chunked_cross_entropy

SIDES = ("plain", "chunked")


def peak() -> float:
    """Highest resident memory of this process so far, MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def loss_of(side: str, features: Tensor, targets: Tensor, readout: nn.Module, frames_at_once: int) -> Tensor:
    if side == "plain":
        return F.cross_entropy(readout(features), targets.long())
    return chunked_cross_entropy(features, targets, readout, frames_at_once)


def measure(side: str, options: argparse.Namespace) -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    count = options.batch * options.frames
    readout = nn.Conv2d(options.features, options.classes, 1)
    small = torch.randn(1, options.features, 16, 16, requires_grad=True)
    F.cross_entropy(readout(small), torch.zeros(1, 16, 16, dtype=torch.long)).backward()  # libraries are loaded
    features = torch.randn(count, options.features, options.height, options.width).requires_grad_()
    targets = torch.randint(options.classes, (count, options.height, options.width), dtype=torch.uint8)
    before, start = peak(), time.perf_counter()
    loss = loss_of(side, features, targets, readout, options.chunk)
    loss.backward()
    taken = time.perf_counter() - start
    gradient = features.numel() * 4 / 2**20
    print(f"{side}: {peak() - before:.0f} MiB at the peak, of which {gradient:.0f} are the features' gradient; "
          f"{taken:.1f} s; loss {loss.item():.6f}")  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, value in (("height", 160), ("width", 240), ("batch", 4), ("frames", 11), ("features", 64)):
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--classes", type=int, default=49)
    parser.add_argument("--chunk", type=int, default=1, help="frames read out at once (default 1)")
    parser.add_argument("--side", choices=SIDES, help="measure one side in this process")
    options = parser.parse_args()
    if options.side:
        return measure(options.side, options)
    for side in SIDES:
        subprocess.run([sys.executable, *sys.argv, "--side", side], check=True)
    return None


if __name__ == "__main__":
    main()
