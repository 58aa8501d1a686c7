"""What a job loads before its own work begins: heavy packages only where the job uses them.

Nothing is timed: a heavy package that is loaded and does not stand in these tables is the regression. What scoring
loads while it runs is checked where tasks are scored (`startup.check_scores`).
"""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from framecast.core import components
from tests import startup

SCRIPTS = Path(__file__).resolve().parents[1] / "workflow" / "scripts"
TABLES = {"pandas", "pyarrow"}
SCORES = {"h5py", "pydantic"}
TRAINING = {"accelerate", "pydantic", "torch"}
LOADS: dict[str, set[str]] = {
    "compare": TABLES,
    "contact_sheet": TABLES,
    "embed": {*TABLES, "h5py"},
    "embed_prompts": {"h5py"},
    "export_encoder": set(),
    "export_run": set(),
    "extract": {*TABLES, "av"},
    "gallery": SCORES,
    "generate": set(),
    "import_masks": {*TABLES, "av", "h5py"},
    "index": {"pyarrow"},
    "merge_index": {"pyarrow"},
    "pictures": SCORES,
    "predict": {*SCORES, "torch"},
    "probe": {*TABLES, "h5py"},
    "report_page": TABLES,
    "score": SCORES,
    "split": TABLES,
    "submit": SCORES,
    "summarize": {*TABLES, "openpyxl"},
    "train": TRAINING,
    "tune": TRAINING,
    "write_annotations": TABLES,
}
"""Workflow script → heavy packages that its import lines may load."""


def import_lines(script: Path, inside: bool = True) -> str:
    """The import statements of a script, or those alone that stand outside of `with job(…)`."""
    tree = ast.parse(script.read_text())
    statements = ast.walk(tree) if inside else tree.body
    return "\n".join(ast.unparse(line) for line in statements if isinstance(line, ast.Import | ast.ImportFrom))


def test_every_script_is_in_the_table() -> None:
    assert set(LOADS) == {path.stem for path in SCRIPTS.glob("*.py")}


@pytest.mark.parametrize("script", LOADS)
def test_scripts_load_what_they_use(script: str) -> None:
    found = startup.heavy(import_lines(SCRIPTS / f"{script}.py"))
    assert found <= LOADS[script], f"{script} loads {sorted(found - LOADS[script])}; import them where they are used"


@pytest.mark.parametrize("script", LOADS)
def test_nothing_heavy_is_loaded_before_the_fork_server_takes_over(script: str) -> None:
    assert startup.heavy(import_lines(SCRIPTS / f"{script}.py", inside=False)) == set()


def test_tasks_are_imported_without_torch() -> None:
    names = components.names("tasks")
    found = startup.heavy("\n".join(f"import framecast.tasks.{name}" for name in names))
    assert found <= {*TABLES, *SCORES}, f"one of the tasks {names} loads {sorted(found)}"


def test_models_are_imported_with_torch_alone() -> None:
    names = components.names("models")
    found = startup.heavy("\n".join(f"import framecast.models.{name}" for name in names))
    assert found <= {"pydantic", "torch"}, f"one of the models {names} loads {sorted(found)}"
