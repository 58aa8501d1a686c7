"""How OpenMP's threads wait: set before torch loads, left to whoever has set it, and without a trace in the weights."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

NAMES = ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")
SHOW = f"import os, sys, framecast; print({{n: os.environ.get(n) for n in {NAMES}}}, 'torch' in sys.modules)"
TRAIN = """
import framecast, hashlib, torch
from torch import nn

torch.set_num_threads(2)
torch.manual_seed(0)
network = nn.Sequential(nn.Conv2d(3, 16, 3), nn.BatchNorm2d(16), nn.ReLU(), nn.Conv2d(16, 8, 3))
optimizer = torch.optim.AdamW(network.parameters())
for _ in range(5):
    optimizer.zero_grad()
    network(torch.rand(8, 3, 32, 48)).square().mean().backward()
    optimizer.step()
print(hashlib.sha256(b"".join(tensor.numpy().tobytes() for tensor in network.state_dict().values())).hexdigest())
"""


def output(code: str, **variables: str) -> str:
    environment = {key: value for key, value in os.environ.items() if key not in NAMES} | variables
    return subprocess.run(
        [sys.executable, "-c", code], env=environment, check=True, capture_output=True, text=True
    ).stdout.strip()


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ({}, {"GOMP_SPINCOUNT": "1000", "OMP_WAIT_POLICY": None}),
        ({"GOMP_SPINCOUNT": "7"}, {"GOMP_SPINCOUNT": "7", "OMP_WAIT_POLICY": None}),
        # libgomp would take the spin count before the policy, so the policy of a user must stand alone.
        ({"OMP_WAIT_POLICY": "active"}, {"GOMP_SPINCOUNT": None, "OMP_WAIT_POLICY": "active"}),
    ],
)
def test_set_before_torch_loads_unless_the_user_has(given: dict[str, str], found: dict[str, str | None]) -> None:
    assert output(SHOW, **given) == f"{found} False"


def test_weights_do_not_depend_on_it() -> None:
    assert output(TRAIN) == output(TRAIN, OMP_WAIT_POLICY="active")
