"""Task and model modules are held to the contract of their folder, and asked for their optional parts.

`framecast.tasks.contract` and `framecast.models.contract` list what a module may have: the class `Required`, the class
`Extra` for what it may leave out and, for models, `NETWORKS` for the methods that tasks ask of a network. Any other
public function is a mistake or a helper, and a helper's name begins with an underscore or stands in a module whose name
does. Like the modules themselves, contracts are found by path, so no folder imports another for them.
"""

from __future__ import annotations

import functools
import importlib
import inspect
from types import ModuleType
from typing import Any

from framecast.core.validation import ConfigError, nearest

FOLDERS = ("tasks", "models")
"""Folders of the package that have a contract."""


@functools.cache  # once a module, as it was imported
def check(module: ModuleType) -> None:
    """Refuse a task or model that lacks a required part, or has a public function that is none of the contract's.

    Raises:
        ConfigError: names the file, the function, the nearest hook and the remedy.
    """
    kind, where = _kind(module), _file(module)
    required, hooks = _parts(kind, "Required"), _hooks(kind)
    functions = {name: value for name, value in vars(module).items() if not name.startswith("_") and _called(value)}
    own = {name for name, value in functions.items() if value.__module__ == module.__name__}
    for name in sorted(own - set(hooks)):
        raise ConfigError(
            f"{where}: {name!r} is no hook of a {kind.removesuffix('s')}{nearest(name, hooks)}; a helper's name begins "
            f"with an underscore, or it stands in a module whose name does; hooks are: {', '.join(sorted(hooks))}"
        )
    for name in sorted(set(required) - set(vars(module))):
        near = nearest(name, [other for other in vars(module) if other not in hooks])
        raise ConfigError(f"{where}: {name!r} is missing, which every {kind.removesuffix('s')} has{near}")
    for name in sorted(set(functions) & set(hooks)):
        _check_own(functions[name], hooks[name], name, module)


def hook(part: Any, name: str) -> Any:
    """An optional part of a task or model module, or an optional method of a model's network; None where it has none.

    Raises:
        LookupError: the contract lists no such name: the caller is wrong.
    """
    kind = _kind(part) if isinstance(part, ModuleType) else "networks"
    listed = _hooks(kind)
    if name not in listed:
        raise LookupError(f"{name!r} is in no contract of {kind}{nearest(name, listed)}; add it there")
    return getattr(part, name, None)


def _check_own(function: Any, listed: Any, name: str, module: ModuleType) -> None:
    """A hook is defined in its module, where fingerprints of code look for it, and takes what the contract says."""
    if function.__module__ != module.__name__:
        raise ConfigError(
            f"{_file(module)}: the hook {name!r} is imported from {function.__module__}; define it in this file, or "
            "its code would be in no fingerprint"
        )
    wanted, found = (list(inspect.signature(one).parameters) for one in (listed, function))
    if _kind(module) == "tasks" and found != wanted:
        raise ConfigError(f"{_file(module)}: {name}({', '.join(found)}) should be {name}({', '.join(wanted)})")


def _called(value: Any) -> bool:
    return callable(value) and not isinstance(value, type) and hasattr(value, "__module__")


def _kind(module: ModuleType) -> str:
    return module.__name__.split(".")[-2]


def _file(module: ModuleType) -> str:
    return "/".join(module.__name__.split(".")[1:]) + ".py"


@functools.cache
def _hooks(kind: str) -> dict[str, Any]:
    """Name → signature, or None for a value, of all that a task, a model or a network may have."""
    if kind == "networks":
        classes = importlib.import_module("framecast.models.contract").NETWORKS
        return {name: value for one in classes for name, value in _listed(one).items()}
    return _parts(kind, "Required") | _parts(kind, "Extra")


def _parts(kind: str, which: str) -> dict[str, Any]:
    return _listed(getattr(importlib.import_module(f"framecast.{kind}.contract"), which))


def _listed(protocol: Any) -> dict[str, Any]:
    """Methods and annotated values of a class of a contract, as its body has them."""
    methods = {name: value.__func__ for name, value in vars(protocol).items() if isinstance(value, staticmethod)}
    return dict.fromkeys(inspect.get_annotations(protocol)) | methods
