"""Generated files are what their generators say; every key is described; overlays are valid on top of the default."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from pydantic import BaseModel

from framecast.config import docs, loading
from framecast.config.base import Config
from framecast.core import components
from framecast.core.validation import parse
from framecast.workflow import plan

ROOT = Path(__file__).resolve().parents[2]
OVERLAYS = sorted(path for path in ROOT.glob("config/*.yaml") if path.name != "config.yaml")
FILES = [*loading.files(), *OVERLAYS]
SCHEMA = json.loads(docs.schema())


@pytest.mark.parametrize(
    ("file", "generate"),
    [
        ("config/schema.json", docs.schema),
        ("docs/config.md", docs.reference),
    ],
)
def test_generated_files_are_up_to_date(file: str, generate: object) -> None:
    assert (ROOT / file).read_text() == generate(), f"run `framecast config …` to write {file} anew"


@pytest.mark.parametrize("file", FILES, ids=lambda path: path.stem)
def test_every_file_fits_the_schema_that_its_first_line_names(file: Path) -> None:
    named = file.read_text().splitlines()[0].removeprefix("# yaml-language-server: $schema=")
    assert (file.parent / named).resolve() == ROOT / "config" / "schema.json"
    jsonschema.Draft202012Validator(SCHEMA).validate(yaml.safe_load(file.read_text()))


@pytest.mark.parametrize(
    ("part", "place"),
    [
        ({"tasks": {"next_1": {"name": "embedding", "histry": 3}}}, ["tasks", "next_1"]),
        ({"models": {"gru": {"name": "recurrent", "hidden": "wide"}}}, ["models", "gru", "hidden"]),
        ({"models": {"gru": {"name": "recurent"}}}, ["models", "gru", "name"]),
        ({"experiments": {"gru_1": {"budgt": "none"}}}, ["experiments", "gru_1"]),
        ({"data": {"world": {"source": {"kind": "world", "vidoes": 3}}}}, ["data", "world", "source"]),
    ],
)
def test_the_schema_refuses_typos(part: dict[str, Any], place: list[str]) -> None:
    errors = list(jsonschema.Draft202012Validator(SCHEMA).iter_errors(part))
    assert [list(error.absolute_path) for error in errors] == [place]


def test_the_schema_describes_the_keys_of_tasks_and_models() -> None:
    choices = {choice["if"]["properties"]["name"]["const"]: choice["then"] for part in ("Task", "Part")
               for choice in SCHEMA["$defs"][part]["allOf"]}  # fmt: skip
    assert set(choices) == {name for kind in docs.PARTS for name in components.names(kind)}
    assert choices["embedding"]["properties"]["history"]["description"].startswith("Embeddings a prediction may see")


@pytest.mark.parametrize("source", ["default", *OVERLAYS], ids=lambda source: getattr(source, "stem", source))
def test_annotating_keeps_every_value(source: Any) -> None:
    values = loading.default() if source == "default" else loading.read(source).values
    assert yaml.safe_load(docs.annotate(yaml.safe_dump(values, sort_keys=False))) == values


def test_annotating_describes_the_keys_of_a_module_that_only_the_default_names() -> None:
    text = docs.annotate("tasks: {next_1: {history: 20}}\n")
    assert "# Embeddings a prediction may see, frames.\n    history: 20\n" in text


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
    assert plan.resolve(parse(Config, loading.load([overlay])))["experiments"]
