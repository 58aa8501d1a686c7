"""Environment files, installed packages and scripts must not drift apart."""

from __future__ import annotations

import ast
import importlib.metadata
import re
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

from framecast.models import openstl_simvp
from framecast.workflow.inputs import ENVS as ENVS_OF_MODELS

ROOT = Path(__file__).resolve().parents[1]
ENVS = sorted(ROOT.glob("envs/*.yaml"))
MODULES = {
    "PIL": "pillow", "ffmpeg": "ffmpeg-python", "imageio_ffmpeg": "imageio-ffmpeg", "skimage": "scikit-image",
    "yaml": "pyyaml",
}  # fmt: skip
# Packages that come with a pinned one of the same file.
BROUGHT = {"pillow": {"matplotlib", "scikit-image", "imageio-ffmpeg"}, "huggingface-hub": {"transformers"}}


def pins(path: Path) -> dict[str, str]:
    """The pip pins of an environment file, without what comes from a repository."""
    return dict(line.split("==") for line in pip_lines(path) if " @ " not in line)


def pip_lines(path: Path) -> list[str]:
    entries = yaml.safe_load(path.read_text())["dependencies"]
    return next(entry["pip"] for entry in entries if isinstance(entry, dict))


@pytest.mark.parametrize("path", ENVS, ids=lambda path: path.stem)
def test_pins_are_those_of_the_project_and_of_what_is_installed(path: Path) -> None:
    project = dict(
        line.split("==") for line in tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    )
    for name, version in pins(path).items():
        assert project[name] == version, f"{path.name} pins {name} {version}, pyproject.toml {project[name]}"
        assert importlib.metadata.version(name).split("+")[0] == version


def rules() -> list[tuple[str, str]]:
    """(script, environment) of every rule; where the environment depends on the model, one for each."""
    text = "\n".join(path.read_text() for path in sorted(ROOT.glob("workflow/rules/*.smk")))
    found = []
    for block in re.split(r"^ *rule\b", text, flags=re.M)[1:]:
        env, script = re.search(r'envs/(\w+)\.yaml"', block), re.search(r'scripts/(\w+\.py)"', block)
        by_model = "FLOW.env(w)" in block
        assert (env or by_model) and script, f"rule{block[:60]} … names no env or no script"
        found += [(script[1], name) for name in (("torch", *ENVS_OF_MODELS.values()) if by_model else (env[1],))]
    return found


def imported(module_path: Path, seen: set[Path]) -> set[str]:
    """Foreign packages that a file imports at its top, through the package's own modules."""
    if module_path in seen:
        return set()
    seen.add(module_path)
    found: set[str] = set()
    for node in top_level(ast.parse(module_path.read_text())):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module or ""]
        if isinstance(node, ast.ImportFrom):
            names = (
                [f"{node.module}.{alias.name}" for alias in node.names]
                if node.module.startswith("framecast")
                else names
            )
        for name in names:
            if name.startswith("framecast"):
                for own in own_files(name):
                    found |= imported(own, seen)
            else:
                found.add(name.partition(".")[0])
    return found


def top_level(tree: ast.Module) -> list[ast.Import | ast.ImportFrom]:
    """Imports outside functions and outside `if TYPE_CHECKING`."""
    return [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]


def own_files(name: str) -> list[Path]:
    """The module and the packages above it, as far as files go."""
    parts = name.split(".")
    bases = [ROOT / "src" / Path(*parts[:length]) for length in range(1, len(parts) + 1)]
    return [path for base in bases for path in (base.with_suffix(".py"), base / "__init__.py") if path.is_file()]


@pytest.mark.parametrize(("script", "env"), rules(), ids=lambda value: value)
def test_a_script_imports_only_what_its_environment_provides(script: str, env: str) -> None:
    provided = set(pins(ROOT / "envs" / f"{env}.yaml"))
    for module in imported(ROOT / "workflow" / "scripts" / script, set()):
        package = MODULES.get(module, module.replace("_", "-")).lower()
        in_env = package in provided or BROUGHT.get(package, set()) & provided
        assert module in sys.stdlib_module_names or in_env, (
            f"{script} imports {module}, envs/{env}.yaml has no {package}"
        )


def test_every_environment_serves_a_rule() -> None:
    assert {path.stem for path in ENVS} == {env for _, env in rules()}


def test_openstl_is_torch_and_one_commit_of_openstl() -> None:
    torch, openstl = (pip_lines(ROOT / "envs" / f"{name}.yaml") for name in ("torch", "openstl"))
    assert openstl[:-1] == torch
    assert openstl[-1] == f"OpenSTL @ {openstl_simvp.INSTALL.removeprefix('pip install ')}"
