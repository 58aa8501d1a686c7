"""Imports run one way between the folders of the package: one table, tested over every import, lazy ones too."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parents[1] / "src"
FILES = sorted(SOURCE.joinpath("framecast").rglob("*.py"))
# Room → the rooms that it may import besides itself. A module at the top of the package is a room of its own.
ALLOWED: dict[str, set[str]] = {
    "core": set(),
    "metrics": set(),
    "scores": {"metrics"},
    "config": {"core"},
    "ops": {"core"},
    "video": {"core"},
    "stores": {"core"},
    "weights": {"core"},
    "pictures": {"core", "ops", "stores"},
    "data": {"core", "config", "video", "stores"},
    "world": {"core", "config", "video", "stores", "data"},
    "models": {"core", "config", "ops", "weights"},
    "encoders": {"core", "config", "stores", "weights"},
    "tasks": {"core", "config", "metrics", "ops", "stores", "weights", "pictures", "encoders"},
    "training": {"core", "config", "metrics", "stores", "weights"},
    "prediction": {
        "scores", "core", "config", "metrics", "ops", "stores", "weights", "pictures", "encoders", "training",
    },
    "apply": {
        "core", "config", "ops", "video", "stores", "weights", "pictures",
        "encoders", "tasks", "training", "prediction",
    },
    "analysis": {"scores", "core", "config", "metrics"},
    "workflow": {"core", "config", "metrics", "video", "stores", "weights", "data", "world", "analysis"},
    "hf": {"core", "stores", "encoders"},
}  # fmt: skip
TOP = "cli"
"""The command may import every room, and no room imports it."""


def room_of(module: str) -> str:
    """`framecast.core.files` → `core`; names of the package itself, such as its version, belong to no room."""
    return module.split(".")[1] if "." in module else ""


def rooms_imported(path: Path) -> dict[str, list[int]]:
    """Room → lines of a file that import from it, wherever they stand."""
    found: dict[str, list[int]] = {}
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        for name in _modules(node):
            if name.partition(".")[0] == "framecast":
                found.setdefault(room_of(name), []).append(node.lineno)
    return found


def _modules(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if not isinstance(node, ast.ImportFrom):
        return []
    assert node.level == 0, "imports name the whole path"
    if node.module != "framecast":
        return [node.module or ""]
    return [f"framecast.{alias.name}" if _is_room(alias.name) else "framecast" for alias in node.names]


def _is_room(name: str) -> bool:
    base = SOURCE / "framecast" / name
    return base.is_dir() or base.with_suffix(".py").is_file()


def own_room(path: Path) -> str:
    parts = path.relative_to(SOURCE / "framecast").with_suffix("").parts
    return "" if parts == ("__init__",) else parts[0]


def foreign_packages(path: Path) -> set[str]:
    return {name.partition(".")[0] for node in ast.walk(ast.parse(path.read_text())) for name in _modules(node)}


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_edges(path: Path) -> None:
    own = own_room(path)
    if own == TOP:
        return
    allowed = ALLOWED.get(own, set()) | {own, ""}
    wrong = {room: lines for room, lines in rooms_imported(path).items() if room not in allowed}
    assert not wrong, f"{own} may import {sorted(allowed - {own, ''})}; {path.name} imports (room: lines) {wrong}"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_the_library_does_not_know_snakemake(path: Path) -> None:
    assert "snakemake" not in foreign_packages(path)


def test_the_table_has_every_room_and_no_cycle() -> None:
    assert set(ALLOWED) | {TOP} == {own_room(path) for path in FILES} - {""}
    done: set[str] = set()
    while ready := {room for room, below in ALLOWED.items() if room not in done and below <= done}:
        done |= ready
    assert done == set(ALLOWED), f"these rooms import each other: {sorted(set(ALLOWED) - done)}"


def test_few_modules_at_the_top() -> None:
    assert len(list(SOURCE.joinpath("framecast").glob("*.py"))) <= 8
