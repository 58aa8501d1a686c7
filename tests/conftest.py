"""What several test files share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

import framecast  # noqa: F401  before any test loads torch: it says how OpenMP's threads wait

ROOT = Path(__file__).resolve().parents[1]
os.environ.setdefault("HF_HUB_OFFLINE", "1")


@pytest.fixture(scope="session")
def clips() -> Path:
    """Real videos with a manifest; not part of the repository."""
    folder = Path(os.environ.get("FRAMECAST_CLIPS", ROOT.parent / "shared" / "clips"))
    if not (folder / "manifest.tsv").is_file():
        pytest.skip(f"no real clips: {folder} has no manifest.tsv (set FRAMECAST_CLIPS)")
    return folder


@pytest.fixture(scope="session")
def reference() -> Path:
    """Inputs, weights and outputs of published code; not part of the repository."""
    folder = Path(os.environ.get("FRAMECAST_REFERENCE", ROOT.parent / "shared" / "reference"))
    if not (folder / "simvp_small.npz").is_file():
        pytest.skip(f"no reference numbers: {folder} has no simvp_small.npz (set FRAMECAST_REFERENCE)")
    return folder
