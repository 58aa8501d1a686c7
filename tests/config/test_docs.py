"""Generated files are what their generators say; every key is described; overlays are valid on top of the default."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from pydantic import BaseModel

from framecast import cli
from framecast.config import docs
from framecast.config.base import Config
from framecast.core import components
from framecast.core.validation import parse
from framecast.workflow import plan

ROOT = Path(__file__).resolve().parents[2]
OVERLAYS = sorted(path for path in ROOT.glob("config/*.yaml") if path.name != "config.yaml")


@pytest.mark.parametrize(
    ("file", "generate"),
    [
        ("config/schema.json", docs.schema),
        ("docs/config.md", docs.reference),
        ("config/config.yaml", lambda: docs.annotate((ROOT / "config/config.yaml").read_text())),
    ],
)
def test_generated_files_are_up_to_date(file: str, generate: object) -> None:
    assert (ROOT / file).read_text() == generate(), f"run `framecast config …` to write {file} anew"


def test_annotating_keeps_every_value() -> None:
    text = (ROOT / "config/config.yaml").read_text()
    assert yaml.safe_load(docs.annotate(text)) == yaml.safe_load(text)


def described() -> list[tuple[str, type[BaseModel]]]:
    parts = [
        (f"{kind}.{name}.{model}", getattr(components.load(kind, name), model))
        for kind, models in (("tasks", ("Config", "Inference")), ("models", ("Config",)))
        for name in components.names(kind)
        for model in models
    ]
    return [(model.__name__, model) for model in docs.ORDER] + parts


@pytest.mark.parametrize(("name", "model"), described(), ids=lambda value: value if isinstance(value, str) else "")
def test_every_key_is_described(name: str, model: type[BaseModel]) -> None:
    missing = [key for key, field in model.model_fields.items() if not (field.description or "").strip()]
    assert not missing and (model.__doc__ or "").strip(), f"{name}: {missing}"


@pytest.mark.parametrize("overlay", OVERLAYS, ids=lambda path: path.stem)
def test_overlays_are_valid_on_the_default(overlay: Path) -> None:
    merged = cli._merged([ROOT / "config/config.yaml", overlay])
    assert plan.resolve(parse(Config, merged))["experiments"]
