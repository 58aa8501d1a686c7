"""The index: every file in it or rejected with a true reason, whatever the file does to the decoder."""

from __future__ import annotations

import csv
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from framecast.core.files import file_digest
from framecast.data import index
from framecast.data.annotations import plain
from framecast.data.index import index_bucket, index_folder, merge
from framecast.video import codec
from framecast.video.listing import list_videos

GREY = [np.full((32, 48, 3), 90 + 5 * k, np.uint8) for k in range(6)]


def rows(root: Path, ids: list[str], tmp_path: Path, timeout: float = 60) -> dict[str, dict[str, Any]]:
    index_bucket(root, ids, tmp_path / "bucket_0.parquet", timeout)
    table = pd.read_parquet(tmp_path / "bucket_0.parquet")
    assert table["video_id"].tolist() == sorted(ids)
    return {row["video_id"]: row for row in table.to_dict("records")}


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("good") / "v.mp4"
    codec.encode(GREY, path, 12)
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "videos").mkdir()
    return tmp_path / "videos"


# --- files that are no use -------------------------------------------------------------------------------------------


def test_rubbish_is_rejected_with_true_reasons(folder: Path, tmp_path: Path, good: Path) -> None:
    shutil.copy(good, folder / "good.mp4")
    (folder / "zero.mp4").touch()
    (folder / "text.mp4").write_text("This is a letter and no video.\n" * 40)
    (folder / "blank.mp4").write_bytes(bytes(9000))
    (folder / "random.avi").write_bytes(np.random.default_rng(0).bytes(20_000))
    data = good.read_bytes()
    assert data.rfind(b"moov") > len(data) // 2
    (folder / "cut.mp4").write_bytes(data[: len(data) // 2])
    (folder / "list.mp4").write_text("#EXTM3U\n#EXTINF:1,\nhttp://127.0.0.1:9/a.ts\n#EXT-X-ENDLIST\n")
    (folder / "concat.mkv").write_text("ffconcat version 1.0\nfile 'good.mp4'\n")
    (folder / "folder.mp4").mkdir()
    os.mkfifo(folder / "pipe.mp4")
    (folder / "broken.mp4").symlink_to("nowhere.mp4")
    odd = Path(os.fsdecode(os.fsencode(folder) + b"/caf\xe9.mp4"))
    shutil.copy(good, odd)
    ids = [name for name, _, _ in list_videos({"path": str(folder), "suffixes": [".mp4", ".avi", ".mkv"]})]
    found = rows(folder, [*ids, "gone.mp4", "folder.mp4"], tmp_path)
    reasons = {name: row["reason"] for name, row in found.items() if row["status"] == "rejected"}
    assert set(found) - set(reasons) == {"good.mp4"}
    assert reasons["zero.mp4"] == "zero bytes"
    assert reasons["gone.mp4"] == "vanished between listing and indexing"
    assert reasons["pipe.mp4"] == "not a regular file (a pipe)"
    assert reasons["broken.mp4"] == "broken link to nowhere.mp4"
    assert reasons["caf\\xe9.mp4"] == "name is not valid UTF-8: rename the file"
    assert "permission denied" in reasons["folder.mp4"]
    assert reasons["cut.mp4"].startswith("truncated: ") and "moov atom not found" in reasons["cut.mp4"]
    assert reasons["random.avi"].startswith("cannot be opened: Invalid data")
    assert reasons["text.mp4"] == "no video: the file holds text, which begins with 'This is a letter and no video.'"
    assert reasons["list.mp4"].endswith("'#EXTM3U'") and reasons["concat.mkv"].endswith("'ffconcat version 1.0'")
    assert not reasons["blank.mp4"].startswith("truncated")
    assert all(row["frames"] == 0 for name, row in found.items() if name in reasons)


def test_permission_denied_is_said(folder: Path, tmp_path: Path, good: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copy(good, folder / "closed.mp4")
    from framecast.data import index_worker

    def refuse(path: str) -> str:
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr(index_worker, "file_digest", refuse)
    assert index_worker.read(str(folder / "closed.mp4")) == {"digest": None, "reason": "permission denied"}


def test_odd_names_and_equal_stems_are_rows_of_their_own(folder: Path, tmp_path: Path, good: Path) -> None:
    names = [
        "two words.mp4",
        'it\'s "q".mp4',
        "日本語.mp4",
        "-rf.mp4",
        "line\nbreak.mp4",
        "=1+1.mp4",
        "a.mp4",
        "sub/a.mp4",
    ]
    (folder / "sub").mkdir()
    for name in names:
        shutil.copy(good, folder / name)
    codec.encode(GREY[:3], folder / "a.avi", 12)
    found = rows(folder, [*names, "a.avi"], tmp_path)
    assert {row["status"] for row in found.values()} == {"ok"}
    assert (found["a.mp4"]["frames"], found["a.avi"]["frames"]) == (6, 3)
    assert found["line\nbreak.mp4"]["path"] == str(folder / "line\nbreak.mp4")
    row = found["sub/a.mp4"]
    assert row["digest"] == file_digest(good) and row["bytes"] == good.stat().st_size
    assert (row["width"], row["height"], row["fps"], row["fps_num"], row["fps_den"]) == (48, 32, 12, 12, 1)
    assert row["duration"] == pytest.approx(0.5) and row["rotation"] == 0 and row["sar"] == "1/1"


def test_a_damaged_file_is_indexed_with_the_complaint(folder: Path, tmp_path: Path) -> None:
    generator = np.random.default_rng(1)
    codec.encode((generator.integers(0, 255, (64, 64, 3), dtype=np.uint8) for _ in range(20)), folder / "v.mp4", 12)
    data = bytearray((folder / "v.mp4").read_bytes())
    data[len(data) // 2 : len(data) // 2 + 2000] = b"\xff" * 2000
    (folder / "v.mp4").write_bytes(data)
    row = rows(folder, ["v.mp4"], tmp_path)["v.mp4"]
    assert row["status"] == "damaged" and row["reason"] and 0 < row["frames"] <= 20


# --- decoders that die -----------------------------------------------------------------------------------------------

WORKER = """
import json, os, signal, sys, time
print('"ready"', flush=True)
for line in sys.stdin:
    path = json.loads(line)
    if "segfault" in path: os.kill(os.getpid(), signal.SIGSEGV)
    if "hang" in path: time.sleep(60)
    if "exit" in path: os._exit(3)
    if "half" in path: print('{"digest"', end="", flush=True); os.kill(os.getpid(), signal.SIGKILL)
    print(json.dumps({"digest": str(os.getpid()), "reason": "read"}), flush=True)
"""


def test_a_decoder_that_dies_or_hangs_costs_one_file(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(index, "WORKER", [sys.executable, "-c", WORKER])
    names = ["a.mp4", "b segfault.mp4", "c.mp4", "d hang.mp4", "e.mp4", "f exit.mp4", "g half.mp4", "h.mp4"]
    for name in names:
        (folder / name).write_text("x")
    start = time.monotonic()
    found = rows(folder, names, tmp_path, timeout=0.5)
    assert time.monotonic() - start < 10
    reasons = {name: row["reason"] for name, row in found.items()}
    assert reasons["b segfault.mp4"] == "decoder crashed (signal 11: SIGSEGV)"
    assert reasons["d hang.mp4"] == "decoding took longer than 0.5 s"
    assert reasons["f exit.mp4"] == "decoder ended with exit status 3"
    assert reasons["g half.mp4"].startswith("decoder crashed (signal 9: SIGKILL")
    assert [reasons[name] for name in ("a.mp4", "c.mp4", "e.mp4", "h.mp4")] == ["read"] * 4


def test_a_broken_installation_is_no_broken_file(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index, "WORKER", [sys.executable, "-c", "import nothing_of_this_name"])
    (folder / "a.mp4").write_text("x")
    with pytest.raises(RuntimeError, match=r"does not start \(decoder ended with exit status 1\)"):
        rows(folder, ["a.mp4"], tmp_path)


def test_one_worker_serves_a_bucket(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index, "WORKER", [sys.executable, "-c", WORKER])
    for name in ("a.mp4", "b.mp4"):
        (folder / name).write_text("x")
    assert len({row["digest"] for row in rows(folder, ["a.mp4", "b.mp4"], tmp_path).values()}) == 1


def test_the_worker_ends_with_its_parent(good: Path, tmp_path: Path) -> None:
    parent = f"""
import os
from framecast.data.index import _Decoder
decoder = _Decoder(60)
decoder.read({str(good)!r})
print(decoder.process.pid, flush=True)
os.kill(os.getpid(), 9)
"""
    run = subprocess.run([sys.executable, "-c", parent], capture_output=True, text=True)
    worker = int(run.stdout)
    for _ in range(50):
        status = Path(f"/proc/{worker}/status")
        if not status.exists() or "zombie" in status.read_text():
            return
        time.sleep(0.1)
    pytest.fail(f"worker {worker} outlived its parent")


# --- merge -----------------------------------------------------------------------------------------------------------


def test_merge_sorts_and_counts_add_up(folder: Path, tmp_path: Path, good: Path) -> None:
    for name in ("c.mp4", "a.mp4"):
        shutil.copy(good, folder / name)
    (folder / 'line\nbreak, "b".mp4').touch()
    index_bucket(folder, ["c.mp4", 'line\nbreak, "b".mp4'], tmp_path / "0.parquet", 60)
    index_bucket(folder, ["a.mp4"], tmp_path / "1.parquet", 60)
    index_bucket(folder, [], tmp_path / "2.parquet", 60)
    parts = [tmp_path / f"{k}.parquet" for k in range(3)]
    merge(parts, tmp_path / "index.parquet", tmp_path / "rejected.csv")
    table, rejected = pd.read_parquet(tmp_path / "index.parquet"), pd.read_csv(tmp_path / "rejected.csv")
    assert table["video_id"].tolist() == ["a.mp4", "c.mp4"] and table["frames"].dtype == np.int64
    assert rejected.columns.tolist()[:2] == ["path", "reason"]
    assert rejected["path"].tolist() == [str(folder / 'line\nbreak, "b".mp4')]
    before = (tmp_path / "index.parquet").read_bytes()
    index_bucket(folder, ["a.mp4"], tmp_path / "1.parquet", 60)
    merge(parts[::-1], tmp_path / "index.parquet", tmp_path / "rejected.csv")
    assert (tmp_path / "index.parquet").read_bytes() == before


def test_an_empty_folder_and_one_without_a_readable_video_are_errors(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no file with a video suffix in .*videos.*\.mp4.*Give the folder"):
        index_folder(folder, tmp_path / "out", 60)
    with pytest.raises(FileNotFoundError, match="no such folder"):
        index_folder(folder / "nowhere", tmp_path / "out", 60)
    (folder / "zero.mp4").touch()
    with pytest.raises(ValueError, match=r"none of 1 files gives a frame.*zero\.mp4: zero bytes"):
        index_folder(folder, tmp_path / "out", 60)
    assert len(pd.read_csv(tmp_path / "out" / "rejected.csv")) == 1
    assert len(pd.read_parquet(tmp_path / "out" / "index.parquet")) == 0


# --- annotations -----------------------------------------------------------------------------------------------------


def test_plain_annotations(tmp_path: Path) -> None:
    ids = ["Archery/v_Archery_g01_c01.avi", "Bowling/v_Bowling_g01_c02.avi"]
    source = {"kind": "plain", "path": ".", "label": "folder", "group": "_(g[0-9]+)_"}
    table = plain.read(source, pd.DataFrame({"video_id": ids}), [])
    assert table["label"].tolist() == ["Archery", "Bowling"]
    assert table["group"].tolist() == ["Archery/g01", "Bowling/g01"]
    assert table[["text", "template", "placeholders"]].isna().all(axis=None)
    bare = plain.read({**source, "label": "none", "group": None}, pd.DataFrame({"video_id": ["a.mp4", *ids]}), [])
    assert bare[["label", "group"]].isna().all(axis=None)
    with pytest.raises(ValueError, match=r"finds no recording in 1 of 2 video ids, such as 'a\.mp4'"):
        plain.read(source, pd.DataFrame({"video_id": ["a.mp4", ids[0]]}), [])


# --- real clips ------------------------------------------------------------------------------------------------------


def test_real_clips_are_all_accounted_for(clips: Path, tmp_path: Path) -> None:
    with open(clips / "manifest.tsv", newline="") as stream:
        manifest = {row["file"]: row for row in csv.DictReader(stream, delimiter="\t")}
    sentence = index_folder(clips, tmp_path, 120)
    table = pd.read_parquet(tmp_path / "index.parquet").set_index("video_id")
    rejected = pd.read_csv(tmp_path / "rejected.csv").set_index("video_id")
    assert "75 files: 71 in" in sentence and "(1 of them damaged), 4 in" in sentence
    assert sorted([*table.index, *rejected.index]) == sorted(manifest)
    for name, row in manifest.items():
        if row["ffprobe_decoded"] in ("0", "None"):
            assert rejected.loc[name, "reason"], name
            continue
        found = table.loc[name]
        assert found["frames"] == int(row["ffprobe_decoded"]), name
        assert found["digest"] == row["sha256"] and found["bytes"] == int(row["bytes"]), name
        assert (found["status"] == "damaged") == (row["decode_err_lines"] != "0"), name
        assert found["audio"] == row["audio"] if row["audio"] else pd.isna(found["audio"]), name
        assert f"{found['coded_width']}x{found['coded_height']}" == row["WxH"], name
        assert found["rotation"] == (0 if row["rot"] == "None" else -int(row["rot"]) % 360), name
    assert rejected.loc["exoplayer_sample_ac3.mp4", "reason"] == "no video stream (audio only: ac3)"
    assert rejected.loc["mp4parse_short-cenc.mp4", "reason"].startswith("encrypted (cenc)")
    assert rejected.loc["mp4parse_invalid_userdata.mp4", "reason"].startswith("truncated: ")
    assert "contradictionary STSC" in rejected.loc["mp4parse_chunk_out_of_range.mp4", "reason"]
