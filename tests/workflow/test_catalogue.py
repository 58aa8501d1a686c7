"""Shard listings: one file a shard, and a digest that changes with that shard alone."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from framecast.core.buckets import bucket_of
from framecast.workflow import catalogue


def plain(folder: Path, **changes: Any) -> dict[str, Any]:
    source = {"kind": "plain", "path": str(folder), "suffixes": [".mp4"]}
    return {"source": source, "buckets": 4, **changes}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for number in range(30):
        (tmp_path / "videos" / f"clip {number}.mp4").parent.mkdir(exist_ok=True)
        (tmp_path / "videos" / f"clip {number}.mp4").write_bytes(b"x")
    return tmp_path / "videos"


def test_every_video_is_in_its_shard(folder: Path, tmp_path: Path) -> None:
    digests = catalogue.update(plain(folder), tmp_path / "listing")
    found = {
        shard: catalogue.videos(catalogue.shard_file(tmp_path / "listing", shard, digests[shard])) for shard in digests
    }
    assert sorted(name for names in found.values() for name in names) == sorted(path.name for path in folder.iterdir())
    assert all(bucket_of(name, 4) == shard for shard, names in found.items() for name in names)
    assert catalogue.load(plain(folder), tmp_path / "listing") == digests


def test_one_new_video_changes_one_digest(folder: Path, tmp_path: Path) -> None:
    before = catalogue.update(plain(folder), tmp_path / "listing")
    (folder / "new.mp4").write_bytes(b"y")
    after = catalogue.update(plain(folder), tmp_path / "listing")
    assert [shard for shard in after if after[shard] != before.get(shard)] == [bucket_of("new.mp4", 4)]


def test_a_changed_video_changes_its_shard(folder: Path, tmp_path: Path) -> None:
    before = catalogue.update(plain(folder), tmp_path / "listing")
    os.utime(folder / "clip 3.mp4", ns=(1, 1))
    after = catalogue.update(plain(folder), tmp_path / "listing")
    assert [shard for shard in after if after[shard] != before[shard]] == [bucket_of("clip 3.mp4", 4)]


def test_an_empty_folder_says_what_was_looked_for(tmp_path: Path) -> None:
    (tmp_path / "videos").mkdir()
    with pytest.raises(FileNotFoundError, match=r"no file in it ends in one of \['.mp4'\]"):
        catalogue.update(plain(tmp_path / "videos"), tmp_path / "listing")


def test_light_mode_takes_the_same_few_whatever_the_order(folder: Path, tmp_path: Path) -> None:
    digests = catalogue.update(plain(folder, limit=5), tmp_path / "listing")
    names = [
        name
        for shard, value in digests.items()
        for name in catalogue.videos(catalogue.shard_file(tmp_path / "listing", shard, value))
    ]
    assert len(names) == 5


def test_the_listing_is_left_alone_when_nothing_changed(folder: Path, tmp_path: Path) -> None:
    catalogue.update(plain(folder), tmp_path / "listing")
    stamps = {path: path.stat().st_mtime_ns for path in (tmp_path / "listing").iterdir()}
    catalogue.update(plain(folder), tmp_path / "listing")
    assert stamps == {path: path.stat().st_mtime_ns for path in (tmp_path / "listing").iterdir()}
