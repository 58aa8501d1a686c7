"""Turn a mapping into a config model, and what is wrong with it into sentences."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError

M = TypeVar("M", bound=BaseModel)


class ConfigError(ValueError):
    """The config cannot be run; the text names every key, its value, what is allowed and the nearest name."""


def parse(model: type[M], mapping: Any, where: str = "") -> M:
    """Validate `mapping` as `model`.

    Args:
        where: Dotted place of the mapping in the config, put before each key in errors.

    Raises:
        ConfigError: one line for every wrong key.
    """
    try:
        return model.model_validate(mapping)
    except ValidationError as error:
        lines = [_sentence(model, problem, where) for problem in error.errors()]
        raise ConfigError("\n".join(lines)) from None


def known(kind: str, name: str, names: Iterable[str], where: str) -> None:
    """Refuse a reference to something that is not there.

    Raises:
        ConfigError: names the place, the reference, the nearest name and all there are.
    """
    names = sorted(names)
    if name not in names:
        raise ConfigError(f"{where}: there is no {kind} {name!r}{nearest(name, names)}; there are: {_list(names)}")


def nearest(name: str, names: Iterable[str]) -> str:
    """`; did you mean …?` or nothing."""
    matches = difflib.get_close_matches(name, list(names), n=1)
    return f"; did you mean {matches[0]!r}?" if matches else ""


def _sentence(model: type[BaseModel], problem: Any, where: str) -> str:
    place = [part for position, part in enumerate(problem["loc"]) if not _is_tag(problem["loc"], position)]
    key = ".".join([*([where] if where else []), *(str(part) for part in place)])
    if problem["type"] == "extra_forbidden":
        names = _fields_at(model, problem["loc"][:-1])
        return f"{key}: unknown key{nearest(str(problem['loc'][-1]), names)}; allowed here: {_list(sorted(names))}"
    if problem["type"] == "missing":
        return f"{key}: this key is required"
    message = problem["msg"].removeprefix("Value error, ")
    value = problem["input"]
    shown = "" if isinstance(value, dict) else f" (got {value!r})"
    return f"{key}: {message}{shown}"


def _is_tag(loc: tuple[Any, ...], position: int) -> bool:
    """Pydantic puts the tag of a discriminated union into the place; users have no such key."""
    union = position > 0 and loc[position - 1] in ("source", "splits")
    kinds = ("world", "plain", "frame_folders", "ssv2", "random", "subfolders", "lists", "official")
    return union and loc[position] in kinds


def _fields_at(model: type[BaseModel], loc: tuple[Any, ...]) -> list[str]:
    """Keys that are allowed at a place, found by walking the models along it."""
    candidates: list[type[BaseModel]] = [model]
    for part in loc:
        following: list[type[BaseModel]] = []
        for candidate in candidates:
            field = candidate.model_fields.get(str(part))
            following.extend(_models_in(field.annotation) if field else [])
        if following:
            candidates = following
        tagged = [candidate for candidate in candidates if part in _tags(candidate)]
        candidates = tagged or candidates
    return list(dict.fromkeys(name for candidate in candidates for name in candidate.model_fields))


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [found for part in get_args(annotation) for found in _models_in(part)]


def _tags(model: type[BaseModel]) -> tuple[Any, ...]:
    field = model.model_fields.get("kind")
    return get_args(field.annotation) if field else ()


def _list(names: Iterable[str]) -> str:
    return ", ".join(names) or "none"


def shortened(value: Any) -> str:
    """The value as text for an error, cut where it is long."""
    text = repr(value)
    return text if len(text) <= 300 else text[:297] + "..."
