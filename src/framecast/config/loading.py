"""The default config, which is several files, and overlays: read with the line of each key, checked and merged.

`config/config.yaml` says what is active and how large; `config/tracks/*.yaml` hold the rest, one file a track. No key
stands in two of them. An overlay (`snakemake --configfile`) may change any: mappings merge deeply, all else replaces.

This module imports neither torch nor pandas: the Snakefile reads it in every job.
"""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from framecast.core.validation import ConfigError

FOLDER = Path(__file__).resolve().parents[3] / "config"
FIRST = ("embedding", "masks", "progress", "frames", "shared")
"""Order of the tracks in targets, workbook and page; files with other names follow by name."""
SIZED = ("data", "budgets")
"""Tables whose entries may stand in config.yaml (their sizes) and in a track's file (all else): key by key in one."""
SHOWN = 5
"""Entries that stand twice are named up to this many."""

Place = tuple[str, ...]
# libyaml parses the default in a hundredth of a second, PyYAML's own parser in a tenth; every job reads it.
Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True)
class Source:
    """One file: its values, and the line (from 1) of each key and list item."""

    path: Path
    values: dict[str, Any]
    lines: dict[Place, int]

    def at(self, place: Place) -> str:
        """`config/tracks/masks.yaml:41`."""
        return f"{_shown(self.path)}:{self.lines[place]}"


def files() -> list[Path]:
    """The files of the default config, in the order in which they merge."""
    tracks = {path.stem: path for path in sorted(FOLDER.glob("tracks/*.yaml"))}
    names = [name for name in FIRST if name in tracks] + [name for name in tracks if name not in FIRST]
    return [FOLDER / "config.yaml", *(tracks[name] for name in names)]


def default() -> dict[str, Any]:
    """The default config, merged from its files.

    Raises:
        ConfigError: a file is no mapping in YAML, or a key stands twice, in one file or in two.
    """
    sources = [read(path) for path in files()]
    _check_apart(sources)
    return _all(sources)


def load(overlays: Iterable[Path] = ()) -> dict[str, Any]:
    """The default config with overlays on top, merged as Snakemake's `--configfile` does.

    Raises:
        ConfigError: as in `default`.
    """
    own = {path.resolve() for path in files()}
    return merge(default(), _all([read(path) for path in overlays if path.resolve() not in own]))


def check(overlays: Iterable[Path]) -> None:
    """Refuse overlays with a key that stands twice, which Snakemake does not see.

    Raises:
        ConfigError: names the file and both lines.
    """
    for path in overlays:
        read(path)


def merge(below: Any, above: Any) -> Any:
    """`above` on `below` as Snakemake merges them: mappings deeply, everything else is replaced. Shares nothing that
    can be changed with `above`."""
    if not isinstance(above, dict):
        return copy.deepcopy(above)
    if not above:
        return below
    base = below if isinstance(below, dict) else {}
    return {**base, **{key: merge(base.get(key, {}), value) for key, value in above.items()}}


def _all(sources: Iterable[Source]) -> dict[str, Any]:
    merged: dict[str, Any] = {}
    for source in sources:
        merged = merge(merged, source.values)
    return merged


# --- one file ---------------------------------------------------------------------------------------------------------


def read(path: Path) -> Source:
    """Read a config file.

    Raises:
        ConfigError: it is no YAML, holds no mapping, or has a key twice in one mapping (YAML would take the last).
    """
    try:
        loader = Loader(path.read_text(encoding="utf-8"))
        root = loader.get_single_node()
        twice = [] if root is None else list(_twice(root, ()))
        values = {} if root is None else loader.construct_document(root)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{_shown(path)} is no YAML: {error}") from None
    if not isinstance(values, dict):
        raise ConfigError(f"{_shown(path)} holds a {type(values).__name__}; a config is a mapping of keys to values")
    if twice:
        raise ConfigError("\n".join(
            f"{_shown(path)}:{second}: {'.'.join(place)}: this key stands in line {first} already; keep one of them"
            for place, first, second in twice
        ))  # fmt: skip
    # Constructing has put what `<<` merges before a mapping's own keys, so that its lines are those of the anchor.
    return Source(path, values, {} if root is None else dict(_lines(root, ())))


def _children(node: Any) -> Iterator[tuple[str, Any, Any]]:
    """Key (or position in a list), the node that has its line, and the value's node."""
    if isinstance(node, yaml.MappingNode):
        yield from ((str(key.value), key, value) for key, value in node.value)
    elif isinstance(node, yaml.SequenceNode):
        yield from ((str(number), value, value) for number, value in enumerate(node.value))


def _lines(node: Any, place: Place) -> Iterator[tuple[Place, int]]:
    for key, marked, value in _children(node):
        yield (*place, key), marked.start_mark.line + 1
        yield from _lines(value, (*place, key))


def _twice(node: Any, place: Place) -> Iterator[tuple[Place, int, int]]:
    """(place, first line, second line) of the keys that stand twice in one mapping."""
    seen: dict[str, int] = {}
    for key, marked, value in _children(node):
        line = marked.start_mark.line + 1
        if key in seen and key != "<<":
            yield (*place, key), seen[key], line
        seen.setdefault(key, line)
        yield from _twice(value, (*place, key))


# --- several files ----------------------------------------------------------------------------------------------------


def _check_apart(sources: Sequence[Source]) -> None:
    """Refuse a key that stands in two files of the default: which of them counts would depend on their order."""
    found: dict[Place, Source] = {}
    wrong = []
    for source in sources:
        for place in _claims(source.values):
            other = found.setdefault(place, source)
            if other is not source:
                wrong.append(f"{source.at(place)}: {'.'.join(place)}: stands in {other.at(place)} as well")
    if wrong:
        more = [f"… and {len(wrong) - SHOWN} more"] if len(wrong) > SHOWN else []
        remedy = (
            "a key of the default config stands in one file: keep one of them, and put changes of your own into an "
            "overlay (snakemake --configfile my.yaml)"
        )
        raise ConfigError("\n".join([*wrong[:SHOWN], *more, remedy]))


def _claims(values: dict[str, Any]) -> Iterator[Place]:
    """The places that a file has for itself: whole entries of a table; of `SIZED` tables each key."""
    for table, entries in values.items():
        if isinstance(entries, dict) and table in SIZED:
            yield from _leaves(entries, (str(table),))
        elif isinstance(entries, dict):
            yield from ((str(table), str(name)) for name in entries)
        else:
            yield (str(table),)


def _leaves(value: Any, place: Place) -> Iterator[Place]:
    if isinstance(value, dict) and value:
        for key, item in value.items():
            yield from _leaves(item, (*place, str(key)))
    else:
        yield place


# --- errors -----------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def placed(config: dict[str, Any], overlays: Iterable[Path] = ()) -> Iterator[None]:
    """Put file and line before each line of a ConfigError that starts with a place in the config.

    Args:
        config: The merged config, which may hold what no file does (`snakemake --config`): that gets no line.
        overlays: Files on top of the default, in their order.
    """
    try:
        yield
    except ConfigError as error:
        sources = [read(path) for path in [*files(), *overlays]]
        raise ConfigError("\n".join(_placed(line, config, sources) for line in str(error).splitlines())) from None


def _placed(line: str, config: dict[str, Any], sources: list[Source]) -> str:
    place = tuple(line.partition(": ")[0].split("."))
    for source in reversed(sources):
        if place in source.lines and _agree(_value(source.values, place), _value(config, place)):
            return f"{source.at(place)}: {line}"
    if _value(config, place) is not _ABSENT:
        return line
    # A key that is not there: the place of the entry that lacks it.
    for length in range(len(place) - 1, 1, -1):
        for source in reversed(sources):
            if place[:length] in source.lines:
                return f"{source.at(place[:length])}: {line}"
    return line


_ABSENT = object()


def _value(values: Any, place: Place) -> Any:
    for part in place:
        if isinstance(values, list):
            values = {str(number): item for number, item in enumerate(values)}
        if not isinstance(values, dict):
            return _ABSENT
        values = {str(key): item for key, item in values.items()}.get(part, _ABSENT)
    return values


def _agree(own: Any, merged: Any) -> bool:
    """Whether a merged value can be a file's own: a mapping gains keys, all else stays as it is."""
    return (isinstance(own, dict) and isinstance(merged, dict)) or own == merged


def _shown(path: Path) -> str:
    """The path below the working folder or the repository where it lies there."""
    for folder in (Path.cwd(), FOLDER.parent):
        if path.is_absolute() and path.is_relative_to(folder):
            return str(path.relative_to(folder))
    return str(path)
