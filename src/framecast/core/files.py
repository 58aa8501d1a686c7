"""Whole or absent: every output is written beside its place and renamed into it."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any


@contextlib.contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path for a file or a folder; at success it takes the place of `path`, else it is removed.

    The temporary name carries the process id and ends like `path`, so that writers that look at the suffix work. What
    is at `path` stays until the new one is whole, and is put back where the exchange fails.

    Raises:
        IsADirectoryError, NotADirectoryError: a file would replace a folder, or a folder a file.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{os.getpid()}.part.{path.name}")
    remove(temporary)
    try:
        yield temporary
        _exchange(temporary, path)
    except BaseException:
        remove(temporary)
        raise


def _exchange(temporary: Path, path: Path) -> None:
    """Put a new file or folder in the place of an earlier one of its kind, if there is one."""
    if path.exists() and temporary.exists() and path.is_dir() != temporary.is_dir():
        if path.is_dir():
            raise IsADirectoryError(f"{str(path)!r} is a folder, which no file replaces: move it away")
        raise NotADirectoryError(f"{str(path)!r} is a file, which no folder replaces: move it away")
    if path.is_dir():
        _exchange_folders(temporary, path)
    else:
        os.replace(temporary, path)


def _exchange_folders(temporary: Path, path: Path) -> None:
    """A folder with content cannot be renamed over: the earlier one is moved aside first, and removed last."""
    aside = Path(tempfile.mkdtemp(prefix=f".{os.getpid()}.old.", dir=path.parent))
    earlier = aside / path.name
    try:
        os.rename(path, earlier)
        os.rename(temporary, path)
    except BaseException:
        if os.path.lexists(earlier) and not os.path.lexists(path):
            os.rename(earlier, path)
        with contextlib.suppress(OSError):  # what could not be put back is kept there
            aside.rmdir()
        raise
    remove(aside)


UNFINISHED = re.compile(r"\.\d+\.(part|old)\.")
"""Start of the names that `replacing` gives to what it has not finished; a killed process leaves them."""


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
