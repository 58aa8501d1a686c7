"""The files of a folder of videos, listed once by the main process.

A video's id is its path below the folder, with `/` between folders and with its suffix, so that `a.mp4` and `a.avi`
are two videos. Where videos are folders of pictures, it is that folder's path. Names that are not valid UTF-8 enter
tables with their bytes written as `\\xe9`; the index rejects such files and says why.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

from framecast.core.files import digest

Entry = tuple[str, int, int]
MASKS = "mask.npy"
"""The class masks in a folder of pictures."""


def list_videos(source: dict[str, Any]) -> list[Entry]:
    """Everything in `source["path"]`, at any depth, whose name ends in one of `source["suffixes"]`, without case.

    Returns (video_id, bytes, mtime_ns), sorted by id. Hidden files and folders (names with a leading dot) are passed
    over: they are the droppings of copy programs and file managers. Linked folders are followed, each folder once. What
    has a video's suffix and is no file (a pipe, a broken link), and a folder that may not be read, is listed with 0
    bytes, so that the index can say what is wrong with it; folders are searched, whatever their name.

    Raises:
        FileNotFoundError, NotADirectoryError: the path is not a folder.
    """
    suffixes = tuple(suffix.lower() for suffix in source["suffixes"])

    def videos(prefix: str, files: list[os.DirEntry[str]]) -> list[Entry]:
        return [_entry(prefix, file) for file in files if file.name.lower().endswith(suffixes)]

    return sorted(_Search(videos).run(_root(source)))


def list_frame_folders(source: dict[str, Any]) -> list[Entry]:
    """Every folder below `source["path"]`, at any depth, that holds a file named `image_*.png`.

    Returns (video_id, bytes, number), sorted by id. The id is the folder's path, the bytes are those of its pictures
    and masks, and the number is a hash that changes with the name, size or time of any of them. Hidden, linked and
    unreadable folders: as in `list_videos`.

    Raises:
        FileNotFoundError, NotADirectoryError: the path is not a folder.
    """
    return sorted(_Search(_folder_entry).run(_root(source)))


def list_named(source: dict[str, Any], names: list[str]) -> list[Entry]:
    """Which of some files in `source["path"]` are there: (video_id, bytes, mtime_ns), in the order of the names.

    The folder itself is not listed. What is there and is no file, or may not be looked at, has 0 bytes, as in
    `list_videos`.

    Raises:
        FileNotFoundError, NotADirectoryError: the path is not a folder.
    """
    root = _root(source)
    return [entry for name in names if (entry := _named(root, name))]


def _named(root: str, name: str) -> Entry | None:
    path = os.path.join(root, name)
    try:
        status = os.stat(path)
    except OSError:
        return (name, 0, 0) if os.path.lexists(path) else None
    return (name, status.st_size, status.st_mtime_ns) if stat.S_ISREG(status.st_mode) else (name, 0, 0)


def is_picture(name: str) -> bool:
    """Whether a file's name makes its folder a video."""
    return name.startswith("image_") and name.endswith(".png")


def _root(source: dict[str, Any]) -> str:
    root = Path(source["path"]).expanduser()
    if not root.exists():
        raise FileNotFoundError(
            f"data source path {str(root)!r}: there is no such folder (working folder: {os.getcwd()})"
        )
    if not root.is_dir():
        raise NotADirectoryError(f"data source path {str(root)!r} is a file; give the folder that holds the videos")
    return str(root)


class _Search:
    """One walk. Real folders come before linked ones, so that the order of a folder's entries decides nothing.

    videos: from the prefix of a folder's ids and its files to the videos among them.
    """

    def __init__(self, videos: Callable[[str, list[os.DirEntry[str]]], list[Entry]]) -> None:
        self.videos = videos
        self.found: list[Entry] = []
        self.seen: set[tuple[int, int]] = set()
        self.linked: list[tuple[str, str]] = []

    def run(self, root: str) -> list[Entry]:
        waiting = [(root, "")]
        while waiting:
            while waiting:
                waiting.extend(self._folder(*waiting.pop()))
            self.linked.sort(reverse=True)
            if self.linked:
                waiting.append(self.linked.pop())
        return self.found

    def _folder(self, folder: str, prefix: str) -> list[tuple[str, str]]:
        """List one folder; returns its real subfolders with the prefix of their ids."""
        status = os.stat(folder)
        if (status.st_dev, status.st_ino) in self.seen:
            return []
        self.seen.add((status.st_dev, status.st_ino))
        below: list[tuple[str, str]] = []
        files: list[os.DirEntry[str]] = []
        try:
            with os.scandir(folder) as entries:
                for entry in entries:
                    if entry.name.startswith("."):
                        continue
                    if entry.is_dir():
                        place = (entry.path, f"{prefix}{entry.name}/")
                        (self.linked if entry.is_symlink() else below).append(place)
                    else:
                        files.append(entry)
        except PermissionError:
            self.found.append((printable(prefix.rstrip("/")) or ".", 0, 0))
        self.found.extend(self.videos(prefix, files))
        return below


def _entry(prefix: str, entry: os.DirEntry[str]) -> Entry:
    name = printable(prefix + entry.name)
    try:
        if not entry.is_file():
            return name, 0, 0
        status = entry.stat()
    except OSError:  # it vanished, or its link leads nowhere: the index says so
        return name, 0, 0
    return name, status.st_size, status.st_mtime_ns


def _folder_entry(prefix: str, files: list[os.DirEntry[str]]) -> list[Entry]:
    """The video that a folder of pictures is, if it is one; the searched folder itself has no id and is none."""
    if not prefix or not any(is_picture(file.name) for file in files):
        return []
    members = sorted(_entry("", file) for file in files if is_picture(file.name) or file.name == MASKS)
    state = digest(*(str(value) for member in members for value in member))
    # 60 bits: every reader of JSON holds them in one integer
    return [(printable(prefix[:-1]), sum(size for _, size, _ in members), int(state[:15], 16))]


def printable(name: str) -> str:
    """A file name as valid text: bytes that are not UTF-8 become `\\xNN`."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")
