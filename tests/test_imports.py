"""Imports run one way, and parsing stays cheap."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parents[1] / "src"
FILES = sorted(SOURCE.joinpath("framecast").rglob("*.py"))
WITHOUT_TORCH = [
    "statistics",
    "workbook",
    "figures",
    "report",
    "metrics",
    "scoring",
    "config",
    "plan",
    "workflow_inputs",
    "jobs",
    "index",
]


def modules_named(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names |= {f"{node.module}.{alias.name}" for alias in node.names} | {node.module or ""}
    return names


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_layers(path: Path) -> None:
    names = modules_named(path)
    assert not any(name.partition(".")[0] == "snakemake" for name in names), "the library does not know snakemake"
    room = path.parent.name
    forbidden = {
        "models": ["framecast.tasks", "framecast.stores", "framecast.training", "framecast.prediction"],
        "ops": ["framecast.tasks", "framecast.stores", "framecast.models", "framecast.training"],
        "tasks": [
            "framecast.training",
            "framecast.prediction",
            "framecast.scoring",
            "framecast.report",
            "framecast.workbook",
        ],
        "stores": ["framecast.tasks", "framecast.models", "framecast.training", "framecast.encoders"],
        "apply": ["framecast.training", "framecast.statistics", "framecast.report", "framecast.workbook"],
    }.get(room, [])
    if room != "apply" and path.name != "cli.py":
        forbidden.append("framecast.apply")
    for name in names:
        assert not any(name.startswith(other) for other in forbidden), f"{path.name} imports {name}"


def imports_of(module: str) -> set[str]:
    code = f"import sys, framecast.{module}; print(' '.join(sorted(name for name in sys.modules if '.' not in name)))"
    return set(subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split())


@pytest.mark.parametrize("module", WITHOUT_TORCH)
def test_no_torch(module: str) -> None:
    assert "torch" not in imports_of(module)


def test_checking_a_config_imports_no_library_of_networks_or_tests() -> None:
    """The first parse after an edit of config or code loads every task and model that the config names."""
    code = """
import sys, yaml
from framecast import plan
from framecast.config import Config
from framecast.validation import parse
plan.resolve(parse(Config, yaml.safe_load(open(sys.argv[1]))))
print(" ".join(sys.modules))
"""
    command = [sys.executable, "-c", code, str(SOURCE.parent / "config" / "config.yaml")]
    loaded = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    assert "framecast.tasks.latent_autoencoder" in loaded
    assert not {"diffusers", "transformers", "accelerate", "scipy"} & set(loaded)


def test_parsing_the_snakefile_imports_neither_torch_nor_pandas() -> None:
    assert not {"torch", "pandas", "scipy"} & imports_of("workflow_inputs")
