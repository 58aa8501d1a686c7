"""What the page's templates are given: tables, figures and pictures as plain data. No markup is made here.

Everything is text and is escaped by the templates, so nothing from data or config can become markup; the one exception
is `Drawing.svg`, which `framecast.analysis.figures` draws.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

IMAGE_TYPES = {
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".gif": "image/gif",
    ".webp": "image/webp",
}
FILTER_FROM = 12  # rows from which a table gets a filter

Content = str | int | float | None


@dataclass(frozen=True)
class Chip:
    """A verdict in its colour."""

    text: str
    tone: str


@dataclass(frozen=True)
class Cell:
    """A table cell: what is shown, what it sorts by, its class, what a pointer over it shows."""

    shown: Content
    key: float | str | None = None
    style: str | None = None
    hint: str | None = None
    small: str = ""
    """Behind it, in small print."""
    tag: str = ""
    """Behind it, in a frame."""
    chip: Chip | None = None
    """In its place."""


@dataclass(frozen=True)
class Table:
    """A table that sorts by a click on its header."""

    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    right: frozenset[int]
    """Columns that stand to the right."""

    @property
    def filtered(self) -> bool:
        return len(self.rows) >= FILTER_FROM


@dataclass(frozen=True)
class Drawing:
    """A figure drawn by `framecast.analysis.figures` in the page's own ink."""

    svg: str
    caption: str
    wide: bool = False


@dataclass(frozen=True)
class Picture:
    """An image file, in the page whole."""

    source: str
    caption: str


def table(columns: Sequence[str], rows: Sequence[Sequence[Cell | Content]], numbers: Iterable[int] = ()) -> Table:
    """A table of cells or plain values; `numbers` are the columns that stand to the right."""
    cells = [[cell if isinstance(cell, Cell) else Cell(cell) for cell in row] for row in rows]
    return Table(columns, cells, frozenset(numbers))


def drawing(svg: bytes, caption: str, wide: bool = False) -> Drawing:
    return Drawing(svg.decode("utf-8"), caption, wide)


def picture(path: Path, caption: str) -> Picture:
    """Raises ValueError for a file that browsers do not show."""
    kind = IMAGE_TYPES.get(path.suffix.lower())
    if kind is None:
        raise ValueError(f"picture {path}: a page shows {sorted(IMAGE_TYPES)}, not {path.suffix!r}")
    return Picture(f"data:{kind};base64,{base64.b64encode(path.read_bytes()).decode('ascii')}", caption)
