"""Parsing stays cheap: what needs no torch imports none."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parents[1] / "src"
WITHOUT_TORCH = [
    "analysis.statistics",
    "analysis.workbook",
    "analysis.figures",
    "analysis.report.page",
    "metrics",
    "prediction.scoring",
    "config.base",
    "config.loading",
    "workflow.plan",
    "workflow.inputs",
    "workflow.jobs",
    "data.index",
]


def imports_of(module: str) -> set[str]:
    code = f"import sys, framecast.{module}; print(' '.join(sorted(name for name in sys.modules if '.' not in name)))"
    return set(subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split())


@pytest.mark.parametrize("module", WITHOUT_TORCH)
def test_no_torch(module: str) -> None:
    assert "torch" not in imports_of(module)


def test_checking_a_config_imports_no_library_of_networks_or_tests() -> None:
    """The first parse after an edit of config or code loads every task and model that the config names."""
    code = """
import sys
from framecast.config import loading
from framecast.workflow import plan
from framecast.config.base import Config
from framecast.core.validation import parse
plan.resolve(parse(Config, loading.default()))
print(" ".join(sys.modules))
"""
    loaded = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split()
    assert "framecast.tasks.latent_autoencoder" in loaded
    assert not {"diffusers", "transformers", "accelerate", "scipy"} & set(loaded)


def test_parsing_the_snakefile_imports_neither_torch_nor_pandas() -> None:
    assert not {"torch", "pandas", "scipy"} & imports_of("workflow.inputs")
