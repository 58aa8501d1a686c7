"""Whole or absent: every output is written beside its place and renamed into it."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any


@contextlib.contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path for a file or a folder; at success it takes the place of `path`, else it is removed.

    The temporary name carries the process id and ends like `path`, so that writers that look at the suffix work.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{os.getpid()}.part.{path.name}")
    remove(temporary)
    try:
        yield temporary
        if path.is_dir():
            remove(path)
        os.replace(temporary, path)
    except BaseException:
        remove(temporary)
        raise


def remove(path: Path) -> None:
    """Remove a file or a folder, if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def write_json(path: str | Path, value: Any) -> None:
    """Write `value` as indented JSON, whole or not at all. NaN is refused: JSON has none."""
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8")


def write_changed(path: Path, value: Any) -> None:
    """Write `value` as JSON unless the file holds it already; one that cannot be read is written anew."""
    with contextlib.suppress(OSError, ValueError):
        if read_json(path) == value:
            return
    write_json(path, value)


def read_json(path: str | Path) -> Any:
    return json.loads(Path(path).read_text(encoding="utf-8"))


def canonical(value: Any) -> str:
    """JSON with sorted keys and no blanks: equal values give equal text."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def digest(*parts: str | bytes) -> str:
    """SHA-256 of the parts, each with its length before it, as 64 hexadecimal digits."""
    state = hashlib.sha256()
    for part in parts:
        data = part.encode("utf-8", "surrogateescape") if isinstance(part, str) else part
        state.update(len(data).to_bytes(8, "big") + data)
    return state.hexdigest()


def file_digest(path: str | Path) -> str:
    """SHA-256 of a file's bytes, or of a folder's relative names and bytes in sorted order."""
    path = Path(path)
    if path.is_dir():
        files = sorted(file for file in path.rglob("*") if file.is_file())
        return digest(*(part for file in files for part in (file.relative_to(path).as_posix(), file_digest(file))))
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
