"""Tasks and models by name: the module path is the registry.

`framecast.tasks.<name>` and `framecast.models.<name>` are imported when a config names them, never before. This module
itself imports no torch, so that the Snakefile can ask which names there are.
"""

from __future__ import annotations

import difflib
import importlib
import pkgutil
from collections.abc import Callable
from types import ModuleType
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ValidationError

if TYPE_CHECKING:
    from torch import nn

Kind = Literal["tasks", "models", "encoders", "annotations"]


def names(kind: Kind) -> list[str]:
    """The modules of `framecast.<kind>`, sorted, without importing them."""
    package = importlib.import_module(f"framecast.{kind}")
    return sorted(module.name for module in pkgutil.iter_modules(package.__path__) if not module.name.startswith("_"))


def load(kind: Kind, name: str) -> ModuleType:
    """Import `framecast.<kind>.<name>`.

    Raises `ValueError` when there is no such module; an error inside the module itself passes through.
    """
    available = names(kind)
    if name not in available:
        close = difflib.get_close_matches(name, available, n=1)
        hint = f"; did you mean {close[0]!r}?" if close else ""
        raise ValueError(f"there is no {kind.removesuffix('s')} {name!r}{hint} The {kind} are: {', '.join(available)}")
    return importlib.import_module(f"framecast.{kind}.{name}")


def load_task(name: str) -> ModuleType:
    """The task module `framecast.tasks.<name>`."""
    return load("tasks", name)


def load_model(name: str) -> ModuleType:
    """The model module `framecast.models.<name>`."""
    return load("models", name)


def check(model: type[BaseModel], values: dict[str, Any], where: str) -> BaseModel:
    """Validate a part's own keys (`name` aside) with its module's `Config` or `Inference`.

    Raises `ValueError` that names `where`, the key, the value got and what was expected.
    """
    own = {key: value for key, value in values.items() if key != "name" or "name" in model.model_fields}
    try:
        return model.model_validate(own)
    except ValidationError as error:
        lines = [_line(model, where, problem) for problem in error.errors()]
        raise ValueError("\n".join(lines)) from None


def _line(model: type[BaseModel], where: str, problem: Any) -> str:
    place = ".".join([where, *(str(part) for part in problem["loc"])])
    if problem["type"] == "extra_forbidden":
        known = sorted(model.model_fields)
        close = difflib.get_close_matches(str(problem["loc"][-1]), known, n=1)
        hint = f"; did you mean {close[0]!r}?" if close else ""
        return f"{place}: unknown key{hint} The keys are: {', '.join(known) or 'none'}"
    return f"{place}: {problem['msg']} (got {problem['input']!r})"


def complete(part: dict[str, Any], kind: Kind) -> dict[str, Any]:
    """A task's or model's dict with every default of its module's `Config` filled in, `name` kept."""
    config = check(load(kind, part["name"]).Config, part, f"{kind}: {part['name']}")
    return {"name": part["name"], **config.model_dump(mode="json")}


def core(model: dict[str, Any]) -> Callable[..., nn.Module]:
    """The function that a task's `build` calls with shapes: `framecast.models.<name>.build` with its config bound."""
    module = load_model(model["name"])
    config = check(module.Config, model, f"models: {model['name']}")
    return lambda **shape: module.build(config, **shape)

