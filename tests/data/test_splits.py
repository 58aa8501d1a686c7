"""Splits: stratified, groups kept together, nothing left to chance or silence."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from framecast.core.files import read_json
from framecast.data.annotations import plain
from framecast.data.splits import assign

RANDOM = {"kind": "random", "fractions": {"train": 0.6, "select": 0.2, "test": 0.2}, "seed": 0}


def index(ids: list[str], digests: list[str] | None = None) -> pd.DataFrame:
    rows = len(ids)
    return pd.DataFrame({
        "video_id": ids, "path": ids, "digest": digests or [f"d{number}" for number in range(rows)],
        "status": ["ok"] * rows, "frames": [40] * rows, "fps": [12.0] * rows, "duration": [3.0] * rows,
        "width": [96] * rows, "height": [64] * rows,
    })  # fmt: skip


def data(**changes: Any) -> dict[str, Any]:
    source = {"kind": "plain", "path": ".", "label": "folder", "group": r"_(g[0-9]+)_"}
    return {
        "source": source,
        "buckets": 4,
        "splits": RANDOM,
        "select": "select",
        "evaluate": ["test"],
        "unit": "video",
        **changes,
    }


def assigned(tmp_path: Path, table: pd.DataFrame, rule: dict[str, Any]) -> tuple[pd.DataFrame, dict[str, Any]]:
    table.to_parquet(tmp_path / "index.parquet")
    assign(tmp_path / "index.parquet", [], rule, tmp_path / "samples.parquet", tmp_path / "splits.json")
    return pd.read_parquet(tmp_path / "samples.parquet"), read_json(tmp_path / "splits.json")


IDS = [
    f"{label}/v_{label}_g{group:02d}_c{clip:02d}.avi"
    for label in ("Run", "Sit")
    for group in range(10)
    for clip in range(3)
]


def test_groups_stay_together_and_classes_are_spread(tmp_path: Path) -> None:
    samples, report = assigned(tmp_path, index(IDS), data())
    assert len(samples) == len(IDS)
    assert samples.groupby(["label", "group"])["split"].nunique().eq(1).all()
    assert samples.groupby("label")["split"].value_counts().unstack().loc[:, "train"].tolist() == [18, 18]
    assert report["videos"] == {"select": 12, "test": 12, "train": 36}
    assert report["leakage"] == {"equal_files": [], "groups": []}


def test_order_of_the_index_does_not_matter(tmp_path: Path) -> None:
    one, _ = assigned(tmp_path, index(IDS), data())
    other, _ = assigned(tmp_path, index(IDS[::-1]), data())
    assert one.set_index("video_id")["split"].to_dict() == other.set_index("video_id")["split"].to_dict()


def test_unit_is_the_group_when_asked(tmp_path: Path) -> None:
    samples, report = assigned(tmp_path, index(IDS), data(unit="group"))
    assert samples["unit"].nunique() == 20
    assert report["units"]["train"] == 12


def test_many_classes_of_one_video_fill_every_split(tmp_path: Path) -> None:
    rule = data(source={"kind": "plain", "path": ".", "label": "folder", "group": None})
    samples, _ = assigned(tmp_path, index([f"class{number}/clip.mp4" for number in range(20)]), rule)
    assert samples["split"].value_counts().to_dict() == {"train": 12, "select": 4, "test": 4}


def test_equal_files_in_two_splits_are_reported(tmp_path: Path) -> None:
    rule = data(source={"kind": "plain", "path": ".", "label": "none", "group": None},
                splits={"kind": "subfolders", "folders": {"train": "a", "select": "b", "test": "c"}})  # fmt: skip
    _, report = assigned(tmp_path, index(["a/1.mp4", "b/1.mp4", "c/1.mp4", "a/2.mp4"], ["x", "y", "x", "z"]), rule)
    assert report["leakage"]["equal_files"] == [{"value": "x", "videos": {"a/1.mp4": "train", "c/1.mp4": "test"}}]


def test_lists(tmp_path: Path) -> None:
    for name, lines in {"train": "a.mp4 1\nb.mp4 1\n", "select": "c with blanks.mp4 3", "test": "d.mp4\n"}.items():
        (tmp_path / f"{name}.txt").write_text(lines)
    files = {name: str(tmp_path / f"{name}.txt") for name in ("train", "select", "test")}
    source = {"kind": "plain", "path": ".", "label": "none", "group": None}
    rule = data(source=source, splits={"kind": "lists", "files": files})
    samples, _ = assigned(tmp_path, index(["a.mp4", "b.mp4", "c with blanks.mp4", "d.mp4", "e.mp4"]), rule)
    assert samples["split"].tolist() == ["train", "train", "select", "test"]
    (tmp_path / "test.txt").write_text("a.mp4\n")
    with pytest.raises(ValueError, match=r"'a\.mp4' stands in 'test' and in 'train'"):
        assigned(tmp_path, index(["a.mp4", "b.mp4", "c with blanks.mp4"]), rule)


@pytest.mark.parametrize("kind", ["subfolders", "lists"])
def test_splits_that_name_one_set_share_it_recording_by_recording(tmp_path: Path, kind: str) -> None:
    groups = 30
    ids = [f"{folder}/v_{folder}_g{group:02d}_c{clip}.avi" for folder in ("train", "val") for group in range(groups)
           for clip in (1, 2)]  # fmt: skip
    names = {"train": "train", "select": "val", "test": "val"}
    if kind == "lists":
        for folder in ("train", "val"):
            (tmp_path / f"{folder}.txt").write_text("\n".join(one for one in ids if one.startswith(folder)))
        names = {split: str(tmp_path / f"{folder}.txt") for split, folder in names.items()}
    rule = data(splits={"kind": kind, {"lists": "files"}.get(kind, "folders"): names})
    samples, _ = assigned(tmp_path, index(ids), rule)
    counts = samples["split"].value_counts().to_dict()
    assert counts["train"] == 2 * groups and abs(counts["select"] - counts["test"]) < groups
    assert samples.groupby("group")["split"].nunique().max() == 1
    again, _ = assigned(tmp_path, index([one for one in ids if "g04" not in one][::-1]), rule)
    assert again["split"].tolist() == samples.set_index("video_id")["split"].loc[again["video_id"]].tolist()


def test_a_drawn_split_is_divided_by_task_and_the_others_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The embedded world's tasks come with its labels; here they follow from the class."""
    labelled = {"Run": "back_and_forth", "Sit": "move_object"}
    read = plain.read

    def with_tasks(source: dict[str, Any], table: pd.DataFrame, labels: list[Path]) -> pd.DataFrame:
        found = read(source, table, labels)
        return found.assign(task=found["label"].map(labelled))

    whole, _ = assigned(tmp_path, index(IDS), data())
    monkeypatch.setattr(plain, "read", with_tasks)
    parts = {"basic": ["move_object"], "cyclic": ["back_and_forth"]}
    divided, report = assigned(tmp_path, index(IDS), data(by_task={"test": parts}))
    pairs = set(zip(whole["split"], divided["split"], whole["label"], strict=True))
    assert {pair for pair in pairs if pair[0] == "test"} == {("test", "basic", "Sit"), ("test", "cyclic", "Run")}
    assert all(old == new for old, new, _ in pairs if old != "test")
    assert report["left_out"] == {"test": {}}


def test_an_empty_split_is_an_error(tmp_path: Path) -> None:
    rule = data(source={"kind": "plain", "path": ".", "label": "none", "group": None})
    with pytest.raises(ValueError, match="holds no video"):
        assigned(tmp_path, index(["a.mp4"]), rule)
