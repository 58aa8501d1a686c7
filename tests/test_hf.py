"""Pairs of frames as a Hugging Face data set: the frames of the store, the words of the video, nothing silent."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from framecast import hf
from framecast.stores.frames import FrameWriter

VIEW = [12, 16]
LENGTHS = {"Push/a #1.mp4": 6, "b.mp4": 4, "c.mp4": 5}


def frame(video: int, number: int) -> np.ndarray:
    return np.random.default_rng([video, number]).integers(0, 256, (*VIEW, 3), dtype=np.uint8)


@pytest.fixture
def asked(tmp_path: Path) -> dict[str, Any]:
    """Results with two buckets of frames, and the arguments that ask for them."""
    data = tmp_path / "results" / "data" / "own"
    rows = []
    for bucket, names in ((0, ["Push/a #1.mp4"]), (10, ["b.mp4", "c.mp4"])):
        folder = data / "frames" / "native" / f"bucket_{bucket}"
        folder.parent.mkdir(parents=True, exist_ok=True)
        with FrameWriter(folder, {"fps": None, "resize": "squash", "views": {"small": VIEW}}) as writer:
            for name in names:
                video = list(LENGTHS).index(name)
                writer.start(name)
                for number in range(LENGTHS[name]):
                    writer.append({"small": frame(video, number)}, number / 12, number)
                rows.append({"video_id": name, "split": "test", "unit": name, "frames": LENGTHS[name],
                             "text": f"pushing thing {video}", "template": None, "task": "move_object"})  # fmt: skip
            writer.finish({"made": "by a test"})
    pd.DataFrame([*rows, {**rows[0], "video_id": "z.mp4", "split": "train"}]).to_parquet(data / "samples.parquet")
    return {"results": tmp_path / "results", "data": "own", "frames": "native", "view": "small", "split": "test",
            "input": 1, "target": 4, "cache": tmp_path / "cache"}  # fmt: skip


def test_rows_hold_both_frames_and_the_instruction(asked: dict[str, Any], caplog: pytest.LogCaptureFixture) -> None:
    dataset = hf.pairs(**asked, progress=True)
    assert "1 of 3 videos lack frame 4 and are left out" in caplog.text
    assert dataset["video_id"] == ["Push/a #1.mp4", "c.mp4"] and dataset.split == "test"
    for row, video in zip(dataset, (0, 2), strict=True):
        assert np.array_equal(np.asarray(row["input"]), frame(video, 1))
        assert np.array_equal(np.asarray(row["target"]), frame(video, 4))
    first = dataset[0]
    assert (first["text"], first["template"], first["task"], first["percent"]) == (
        "pushing thing 0",
        "",
        "move_object",
        16,
    )
    assert first["prompt"] == (
        "Generate a future frame of this action: pushing thing 0. And 16% of the action has been completed."
    )
    plain = hf.pairs(**asked)
    assert plain[0]["prompt"] == "Generate a future frame of this action: pushing thing 0"
    assert any(asked["cache"].rglob("*.arrow"))


def test_a_second_call_reads_the_cache_and_other_texts_do_not(
    asked: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    hf.pairs(**asked)
    samples = asked["results"] / "data" / "own" / "samples.parquet"
    table = pd.read_parquet(samples)
    table.assign(text="pulling it").to_parquet(samples)
    assert set(hf.pairs(**asked)["text"]) == {"pulling it"}
    table.to_parquet(samples)
    monkeypatch.setattr(hf.Frames, "read", lambda *_: pytest.fail("the frames are read again"))
    assert hf.pairs(**asked)["text"] == ["pushing thing 0", "pushing thing 2"]


def test_clips_of_a_json_file(asked: dict[str, Any], tmp_path: Path) -> None:
    entries = [{"id": "c", "label": "covering cup", "template": "Covering [something]", "placeholders": ["cup"],
                "task": "cover_object", "num_frames": 10}, {"id": "Push/a #1"}]  # fmt: skip
    path = tmp_path / "val_filtered.json"
    path.write_text(json.dumps(entries))
    dataset = hf.pairs(**asked, annotations=path)
    assert dataset["video_id"] == ["c.mp4", "Push/a #1.mp4"] and dataset["percent"] == [10, 16]
    assert dataset[0]["template"] == "Covering [something]" and dataset[1]["text"] == ""
    path.write_text(json.dumps([*entries, {"id": "404"}]))
    with pytest.raises(ValueError, match="1 of 3 clips have no frames, first '404'; extract them"):
        hf.pairs(**asked, annotations=path)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"split": "tset"}, "split 'tset' has no video; splits with videos: .*'test', 'train'"),
        ({"view": "large"}, "no view 'large'.*small"),
        ({"frames": "big"}, r"holds no frames; frame sets of 'own' there: \['native'\]"),
        ({"data": "other"}, "holds no frames"),
        ({"target": 6}, "input is 1 and target 6, and the longest of 3 videos has 6 frames, numbers 0 to 5"),
        ({"input": -1}, "frame numbers are 0 or more"),
        ({"annotations": "nowhere.json"}, "nowhere.json is not there"),
    ],
)
def test_what_is_not_there_is_named(asked: dict[str, Any], change: dict[str, Any], words: str) -> None:
    with pytest.raises((ValueError, FileNotFoundError), match=words):
        hf.pairs(**{**asked, **change})
