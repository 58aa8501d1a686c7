"""Tasks and models by name: the module path is the registry.

`framecast.tasks.<name>` and `framecast.models.<name>` are imported when a config names them, never before. This module
itself imports no torch, so that the Snakefile can ask which names there are.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from types import ModuleType
from typing import TYPE_CHECKING, Any, Literal

from framecast.core import contract
from framecast.core.validation import known, parse

if TYPE_CHECKING:
    from torch import nn

Kind = Literal["tasks", "models", "encoders"]


def names(kind: Kind) -> list[str]:
    """The modules of `framecast.<kind>` but the contract, sorted, without importing them."""
    package = importlib.import_module(f"framecast.{kind}")
    found = {module.name for module in pkgutil.iter_modules(package.__path__) if not module.name.startswith("_")}
    return sorted(found - {"contract"})


def load(kind: Kind, name: str) -> ModuleType:
    """Import `framecast.<kind>.<name>`.

    Raises:
        ConfigError: there is no such module, and the text lists those there are; or a task or model does not keep to
            its contract. An error inside the module passes through.
    """
    known("module", name, names(kind), f"framecast.{kind}")
    module = importlib.import_module(f"framecast.{kind}.{name}")
    if kind in contract.FOLDERS:
        contract.check(module)
    return module


def load_task(name: str) -> ModuleType:
    """The task module `framecast.tasks.<name>`."""
    return load("tasks", name)


def load_model(name: str) -> ModuleType:
    """The model module `framecast.models.<name>`."""
    return load("models", name)


def facts(model: dict[str, Any]) -> dict[str, Any]:
    """What a model's own `facts` finds in the files it starts from, for its `build`; {} where it has none."""
    module = load_model(model["name"])
    found = contract.hook(module, "facts")
    return found(_keys(module, model)) if found else {}


def core(model: dict[str, Any]) -> Callable[..., nn.Module]:
    """The function that a task's `build` calls with shapes: `framecast.models.<name>.build` with its config bound.

    Raises:
        ConfigError: unknown model, or keys that its `Config` refuses.
    """
    module = load_model(model["name"])
    config = _keys(module, model)

    def build(**shape: Any) -> nn.Module:
        return module.build(config, **shape)

    return build


def _keys(module: ModuleType, model: dict[str, Any]) -> Any:
    """A model's own keys as its `Config`."""
    keys = {key: value for key, value in model.items() if key != "name"}
    return parse(module.Config, keys, f"models.{model['name']}")
