"""Listing: which files count, what their ids are, and that the order of a folder's entries decides nothing."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from framecast.core.buckets import bucket_of
from framecast.video.listing import list_videos

NAMES = [
    "plain.mp4",
    "two words.MP4",
    'it\'s "quoted".avi',
    "日本語 é.mkv",
    "-rf.mp4",
    "line\nbreak.mov",
    "a=b;$(x).webm",
]


def ids(folder: Path, suffixes: tuple[str, ...] = (".mp4", ".avi", ".mkv", ".mov", ".webm")) -> list[str]:
    return [name for name, _, _ in list_videos({"path": str(folder), "suffixes": list(suffixes)})]


def touch(path: Path, text: str = "x") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_every_odd_name_is_listed_with_its_size_and_time(tmp_path: Path) -> None:
    for name in NAMES:
        touch(tmp_path / "class a" / name, "four")
    entries = list_videos({"path": str(tmp_path), "suffixes": [".mp4", ".avi", ".mkv", ".mov", ".webm"]})
    assert entries == sorted((f"class a/{name}", 4, (tmp_path / "class a" / name).stat().st_mtime_ns) for name in NAMES)


def test_what_is_no_video_or_hidden_is_passed_over(tmp_path: Path) -> None:
    for name in ("a.mp4", "a.avi", "a.txt", "mp4", ".hidden.mp4", ".cache/b.mp4", "deep/er/c.mp4"):
        touch(tmp_path / name)
    assert ids(tmp_path) == ["a.avi", "a.mp4", "deep/er/c.mp4"]


def test_a_folder_with_a_videos_name_is_searched(tmp_path: Path) -> None:
    touch(tmp_path / "folder.mp4" / "inside.mp4")
    assert ids(tmp_path) == ["folder.mp4/inside.mp4"]


def test_links_are_followed_once_and_loops_end(tmp_path: Path) -> None:
    touch(tmp_path / "real" / "v.mp4")
    touch(tmp_path.parent / f"{tmp_path.name}_outside" / "w.mp4")
    (tmp_path / "real" / "loop").symlink_to(tmp_path)
    (tmp_path / "again").symlink_to(tmp_path / "real")
    (tmp_path / "out").symlink_to(tmp_path.parent / f"{tmp_path.name}_outside")
    (tmp_path / "link.mp4").symlink_to(tmp_path / "real" / "v.mp4")
    (tmp_path / "broken.mp4").symlink_to(tmp_path / "nowhere")
    assert ids(tmp_path) == ["broken.mp4", "link.mp4", "out/w.mp4", "real/v.mp4"]


def test_a_pipe_is_listed_so_that_the_index_can_refuse_it(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.mp4")
    assert list_videos({"path": str(tmp_path), "suffixes": [".mp4"]}) == [("pipe.mp4", 0, 0)]


def test_a_name_that_is_not_utf8_becomes_text(tmp_path: Path) -> None:
    touch(Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.mp4")))
    assert ids(tmp_path) == ["caf\\xe9.mp4"]
    ids(tmp_path)[0].encode("utf-8")


def test_a_folder_that_may_not_be_read_is_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    touch(tmp_path / "open" / "v.mp4")
    touch(tmp_path / "closed" / "v.mp4")
    scandir = os.scandir

    def refuse(path: str):  # the tests may run as root, whom no permission stops
        if str(path).endswith("closed"):
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    assert ids(tmp_path) == ["closed", "open/v.mp4"]


def test_a_missing_folder_and_a_file_are_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"nowhere.*no such folder"):
        ids(tmp_path / "nowhere")
    with pytest.raises(NotADirectoryError, match=r"v\.mp4.*give the folder"):
        ids(touch(tmp_path / "v.mp4"))


def test_buckets_depend_on_the_id_alone_and_are_about_even() -> None:
    assert bucket_of("a/v.mp4", 16) == bucket_of("a/v.mp4", 16) == 8
    counts = [0] * 16
    for number in range(3200):
        counts[bucket_of(f"v_{number}.avi", 16)] += 1
    assert min(counts) > 140 and max(counts) < 260
    assert bucket_of("caf\udce9.mp4", 4) in range(4)


def test_listing_imports_nothing_heavy() -> None:
    heavy = "{'torch', 'pandas', 'numpy', 'av'}"
    code = f"import sys, framecast.video.listing, framecast.core.buckets; print(sorted({heavy} & set(sys.modules)))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
