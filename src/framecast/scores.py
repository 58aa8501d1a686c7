"""Tidy scores in memory: one row a sample and metric, read from CSV files. Light: numpy alone.

Texts are kept as places in a sorted list of distinct texts, so that grouping and pairing are arithmetic on integers.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from framecast.metrics import family

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = ["experiment", "data", "split", "seed", "sample_id", "unit", "metric", "value"]
PREDICTIONS = "predictions_digest"
"""The fact beside the scores that names what was predicted: equal digests mean equal predictions."""
Key = tuple[str, str, str]
"""Experiment, split, metric."""


@dataclass(frozen=True)
class Texts:
    """A column of texts. names: the distinct ones, sorted; codes [R]: the place of each row's text in `names`."""

    codes: NDArray[np.int64]
    names: list[str]

    @classmethod
    def of(cls, texts: Iterable[str]) -> Texts:
        column = list(texts)
        names = sorted(set(column))
        places = {name: place for place, name in enumerate(names)}
        return cls(np.fromiter(map(places.__getitem__, column), np.int64, len(column)), names)

    @classmethod
    def joined(cls, parts: Sequence[Texts]) -> Texts:
        """The columns one below the other."""
        names = sorted({name for part in parts for name in part.names})
        places = {name: place for place, name in enumerate(names)}
        moved = [np.array([places[name] for name in part.names], np.int64)[part.codes] for part in parts]
        return cls(np.concatenate([np.empty(0, np.int64), *moved]), names)

    def __getitem__(self, rows: NDArray[Any]) -> Texts:
        """Some rows, by a mask or by their places."""
        return Texts(self.codes[rows], self.names)

    def named(self, rename: Callable[[str], str]) -> Texts:
        """The same rows with every text renamed; several may get one name."""
        renamed = Texts.of(map(rename, self.names))
        return Texts(renamed.codes[self.codes], renamed.names)

    def among(self, names: Iterable[str]) -> NDArray[np.bool_]:
        """[R], whether a row's text is one of `names`."""
        wanted = set(names)
        return np.array([name in wanted for name in self.names], bool)[self.codes]

    def texts(self) -> list[str]:
        """The text of each row."""
        return [self.names[code] for code in self.codes.tolist()]

    def first(self) -> str:
        """The text of the first row."""
        return self.names[self.codes[0]]

    def categorical(self) -> pd.Categorical:
        """As a pandas column."""
        import pandas as pd

        return pd.Categorical.from_codes(self.codes, pd.Index(self.names, dtype="str"))


@dataclass(frozen=True)
class Scores:
    """The columns of score files, R rows each; the fields are `COLUMNS`."""

    experiment: Texts
    data: Texts
    split: Texts
    seed: NDArray[np.int64]
    sample_id: Texts
    unit: Texts
    metric: Texts
    value: NDArray[np.float64]

    @classmethod
    def of(cls, columns: Mapping[str, Iterable[Any]]) -> Scores:
        """From the columns of a table; texts stay text, whatever they look like, and an empty value is NaN."""
        return cls(*(_column(name, columns[name]) for name in COLUMNS))

    def __len__(self) -> int:
        return len(self.value)

    def __getitem__(self, rows: NDArray[Any]) -> Scores:
        """Some rows, by a mask or by their places."""
        return Scores(*(getattr(self, name)[rows] for name in COLUMNS))

    def groups(self) -> dict[Key, Scores]:
        """The rows of each experiment, split and metric, in the order in which these first occur; the parts of a corpus
        metric are rows of that one metric."""
        metric = self.metric.named(family)
        _, first, groups = np.unique(
            keys(self.experiment.codes, self.split.codes, metric.codes), return_index=True, return_inverse=True
        )
        order = np.argsort(groups, kind="stable")
        rows = np.split(order, np.searchsorted(groups[order], np.arange(1, len(first))))
        names = list(zip(*(column[first].texts() for column in (self.experiment, self.split, metric)), strict=True))
        return {names[group]: self[rows[group]] for group in np.argsort(first)}

    def frame(self) -> pd.DataFrame:
        """As a pandas table; texts are categories."""
        import pandas as pd

        columns = {name: getattr(self, name) for name in COLUMNS}
        return pd.DataFrame(
            {name: column.categorical() if isinstance(column, Texts) else column for name, column in columns.items()}
        )


def read(paths: Sequence[str | Path]) -> Scores:
    """The rows of score files, one file below the other.

    Raises:
        ValueError: a file lacks one of `COLUMNS`.
    """
    files = [_read(Path(path)) for path in paths]
    columns = {name: [getattr(file, name) for file in files] for name in COLUMNS}
    return Scores(**{name: _joined(name, parts) for name, parts in columns.items()})


def keys(*columns: NDArray[np.int64]) -> NDArray[np.int64]:
    """One number for each combination of non-negative numbers in a row; [R] each → [R]."""
    found = np.zeros(len(columns[0]), np.int64)
    for column in columns:
        found = found * (column.max(initial=0) + 1) + column
    return found


def _read(path: Path) -> Scores:
    with open(path, encoding="utf-8", newline="") as stream:
        rows = csv.reader(stream)
        header = next(rows, [])
        if absent := [column for column in COLUMNS if column not in header]:
            raise ValueError(f"{path} has no column {absent[0]!r}: a score file has {COLUMNS}; it has {header}")
        columns = dict(zip(header, zip(*rows, strict=True), strict=False))
    return Scores.of({name: columns.get(name, ()) for name in COLUMNS})


def _column(name: str, values: Iterable[Any]) -> Any:
    if name == "seed":
        return np.array([int(value) for value in values], np.int64)
    if name == "value":
        return np.array([float(value) if value != "" else np.nan for value in values], np.float64)
    return Texts.of(values)


def _joined(name: str, parts: Sequence[Any]) -> Any:
    if name in ("seed", "value"):
        return np.concatenate([_column(name, ()), *parts])
    return Texts.joined(parts)
