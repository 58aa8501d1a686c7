"""Where a command may write: it replaces what a command of its kind made, and nothing else.

A folder that a command makes holds `MARKER`: JSON lines, first `{"made_by": "framecast label"}`, then the path of each
file that the command wrote there. A command writes into an absent or empty folder, or into one that it made and that
holds no other files; it writes a single file where nothing is. Everything else is refused before anything is written.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from framecast.core.files import UNFINISHED, replacing

MARKER = ".framecast_made.jsonl"


class OwnFolder:
    """A folder that a command writes and recognises later. Nothing is written before `claim`, `part` or `whole`."""

    def __init__(self, path: Path, command: str, inputs: Iterable[Path] = ()) -> None:
        """
        Args:
            path: Value of `--out`.
            command: Name of the sub-command, such as `label`.
            inputs: What the command reads: files, and folders that are read as one thing (a run, a frame store, the
                pictures of a video). A folder that is only searched is none: the output may be below it.

        Raises:
            ValueError: the command may not write there. PermissionError: the user may not.
        """
        self.path, self.command = Path(path), f"framecast {command}"
        _check_place(self.path, inputs, "--out", "folder")
        self.made_by, self.files = _recorded(self.path)
        self._refuse_others(self.path)

    def claim(self, names: Iterable[str]) -> None:
        """Record files, relative paths, as this command's before they are written; makes the folder."""
        self.path.mkdir(parents=True, exist_ok=True)
        new = [name for name in names if name not in self.files]
        _record(self.path, self.command, new)
        self.made_by = self.command
        self.files.update(new)

    @contextlib.contextmanager
    def part(self, name: str) -> Iterator[Path]:
        """Yield an empty folder to be filled; at success it becomes `name` in this folder, in place of an earlier one.

        Raises:
            ValueError: the earlier one holds files that the command did not write.
        """
        self.claim([])
        with replacing(self.path / name) as folder:
            folder.mkdir()
            yield folder
            self._refuse_others(self.path / name)
            self.claim(f"{name}/{file}" for file in _files(folder))

    @contextlib.contextmanager
    def whole(self) -> Iterator[Path]:
        """Yield an empty folder to be filled; at success it becomes this folder, in place of an earlier one.

        Raises:
            ValueError: files that the command did not write were added to the earlier one in the meantime.
        """
        with replacing(self.path) as folder:
            folder.mkdir()
            yield folder
            self._refuse_others(self.path)
            _record(folder, self.command, sorted(_files(folder)))

    def _refuse_others(self, below: Path) -> None:
        """Refuse a folder, or a folder in it, that holds what this command did not write."""
        if not os.path.isdir(below) or not os.listdir(below):
            return
        if self.made_by != self.command:
            origin = f"was made by `{self.made_by}`" if self.made_by else f"holds files but no {MARKER}"
            raise ValueError(
                f"--out {str(self.path)!r} {origin}, so `{self.command}` may not replace what is in it; give an empty "
                "or a new folder"
            )
        prefix = below.relative_to(self.path)
        for name in _files(below):
            path = (prefix / name).as_posix()
            if (path not in self.files and path != MARKER) or (below / name).is_symlink():
                raise ValueError(
                    f"--out {str(self.path)!r} holds {path!r}, which `{self.command}` did not write; move it "
                    "elsewhere, or give an empty or a new folder"
                )


def check_new_file(path: Path, inputs: Iterable[Path] = (), option: str = "--out") -> None:
    """Refuse to write a file where something is already, or into what the command reads.

    Args:
        inputs: As for `OwnFolder`.
        option: The option that names the file.

    Raises:
        ValueError: the command may not write there. PermissionError: the user may not.
    """
    _check_place(path, inputs, option, "file")
    if path.is_dir():
        raise ValueError(f"{option} {str(path)!r} is a folder, which no file replaces; give the name of a new file")
    if path.exists():
        raise ValueError(f"{option} {str(path)!r} exists already; move it away, or give the name of a new file")


def _check_place(path: Path, inputs: Iterable[Path], option: str, kind: str) -> None:
    """What holds for files and folders alike; writes nothing."""
    given = f"{option} {str(path)!r}"
    if path.is_symlink():
        raise ValueError(f"{given} is a link to {os.readlink(path)!r}; give a {kind}, not a link to one")
    target = path.resolve()
    if Path.cwd().is_relative_to(target):
        raise ValueError(f"{given} is the working folder or holds it; give a new {kind} in it or elsewhere")
    for one in inputs:
        source = Path(one).resolve()
        if source.is_relative_to(target):
            raise ValueError(f"{given} is or holds the source {str(one)!r}; write to another {kind}")
        if source.is_dir() and target.is_relative_to(source):
            raise ValueError(f"{given} lies in {str(one)!r}, which the command reads; give a {kind} elsewhere")
    _check_parents(path, given, kind)


def _check_parents(path: Path, given: str, kind: str) -> None:
    """Refuse what cannot be made or written, before the work for it, which may take hours, is done."""
    if kind == "folder" and path.exists() and not path.is_dir():
        raise ValueError(f"{given}: there is a file in its place; give a folder")
    folder = path if kind == "folder" else path.parent
    while not os.path.lexists(folder):
        folder = folder.parent
    if not folder.is_dir():
        raise ValueError(f"{given}: there is a file in its place, {str(folder)!r}; give a {kind} elsewhere")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise PermissionError(f"{given}: this folder may not be written to; give another one")


def _record(folder: Path, command: str, names: Iterable[str]) -> None:
    """Add files to a folder's marker. A line starts on a new one, whatever a killed process left of the last."""
    with open(folder / MARKER, "a", encoding="ascii") as stream:
        if not stream.tell():
            stream.write(json.dumps({"made_by": command}))
        stream.writelines(f"\n{json.dumps(name)}" for name in names)


def _recorded(folder: Path) -> tuple[str | None, set[str]]:
    """The command that made a folder, null where no marker says so, and the files that it wrote."""
    lines = list(_lines(folder / MARKER))
    if not lines or not isinstance(lines[0], dict):
        return None, set()
    return lines[0].get("made_by"), {line for line in lines[1:] if isinstance(line, str)}


def _lines(path: Path) -> Iterator[Any]:
    """The values of a file of JSON lines, as far as they can be read."""
    if path.is_symlink() or not path.is_file():
        return
    for line in path.read_text(encoding="ascii", errors="replace").splitlines():
        with contextlib.suppress(ValueError):
            yield json.loads(line)


def _files(folder: Path) -> Iterator[str]:
    """Relative paths of the files and links below a folder, but for what a killed process left unfinished."""
    for place, folders, files in os.walk(folder):
        links = [name for name in folders if os.path.islink(os.path.join(place, name))]
        folders[:] = [name for name in folders if name not in links and not UNFINISHED.match(name)]
        prefix = Path(place).relative_to(folder)
        yield from ((prefix / name).as_posix() for name in [*files, *links] if not UNFINISHED.match(name))
