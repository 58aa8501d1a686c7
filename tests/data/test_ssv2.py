"""Something-Something V2: templates in every form, the filter, caps, splits, files made, and what bad input says."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

from framecast import cli
from framecast.analysis import workbook
from framecast.analysis.report import background
from framecast.config import loading
from framecast.config.base import Config
from framecast.core.files import read_json
from framecast.core.validation import ConfigError, parse
from framecast.data import annotation_files
from framecast.data.annotations import ssv2, templates, world
from framecast.data.annotations.ssv2_files import check_labels, entries, read_list
from framecast.data.annotations.ssv2_selection import counts, select
from framecast.data.splits import assign
from framecast.workflow import catalogue, plan
from framecast.workflow.inputs import Flow
from framecast.world import generation

DEFAULT = loading.default()
SETS = {"train": "train", "select": "validation", "test": "validation"}
# The numbers of the tasks' templates, and how many clips of validation.json each has (published).
BRIEF = {
    "move_object": {45: 359, 43: 311, 35: 64, 44: 74, 41: 56, 86: 170, 87: 125, 93: 250, 94: 236},
    "drop_object": {8: 127, 9: 151, 10: 178, 11: 137, 12: 234, 134: 368, 135: 326},
    "cover_object": {6: 417, 109: 300, 112: 139, 108: 74, 110: 71},
    "back_and_forth": {24: 44, 50: 237, 153: 109},
}


def tasks(name: str = "brief") -> dict[str, list[int]]:
    return plan.task_list(parse(Config, DEFAULT), name, "here")


def entry(number: int, clip: str, words: str = "cup") -> dict[str, Any]:
    """A published entry of a template."""
    placeholders = [f"{words} {slot}" for slot in range(templates.slots(number))]
    text = templates.fill(number, placeholders)
    return {"id": clip, "label": text, "template": templates.TEMPLATES[number], "placeholders": placeholders}


def made(folder: Path, train: list[Any], validation: list[Any], **changes: Any) -> dict[str, Any]:
    """Write the json files; returns a source of the plan."""
    folder.mkdir(exist_ok=True)
    labels = {templates.bare(text): str(number) for number, text in enumerate(templates.TEMPLATES)}
    for name, value in {"labels": labels, "train": train, "validation": validation}.items():
        (folder / f"{name}.json").write_text(json.dumps(value))
    files = {name: str(folder / f"{name}.json") for name in ("labels", "train", "validation")}
    return {"kind": "ssv2", "path": str(folder), "suffix": ".webm", **files, "test": None, "tasks": tasks(), "caps": {},
            "seed": 0, **changes}  # fmt: skip


# --- templates -------------------------------------------------------------------------------------------------------


def test_there_are_174_and_they_are_those_that_were_published() -> None:
    assert len(templates.TEMPLATES) == len({templates.bare(text).lower() for text in templates.TEMPLATES}) == 174
    by_hand = {
        0: "Approaching something with your camera", 33: "Moving part of something",
        56: "Poking something so lightly that it doesn't or almost doesn't move",
        81: "Pretending to take something from somewhere", 102: "Putting number of something onto something",
        114: "Putting something similar to other things that are already on the table",
        120: "Putting something, something and something on the table", 135: "Something falling like a rock",
        159: "Tipping something with something in it over, so something in it falls out",
        160: "Touching (without moving) part of something", 173: "Wiping something off of something",
    }  # fmt: skip
    assert {number: templates.bare(templates.TEMPLATES[number]) for number in by_hand} == by_hand


@pytest.mark.parametrize("number", range(174))
def test_every_template_is_found_in_every_form_and_nothing_near_it(number: int) -> None:
    raw = templates.TEMPLATES[number]
    forms = [raw, raw.replace("[", "").replace("]", ""), raw.lower(), raw.upper(), f" {raw.replace(' ', '  ')}\n",
             raw.replace("[something]", "[Something]"), raw.replace("'", "’")]  # fmt: skip
    assert [templates.number_of(form) for form in forms] == [number] * len(forms)
    near = [raw + " quickly", raw.rsplit(" ", 1)[0], raw.replace("omething", "ome thing"), raw + ".",
            templates.fill(number, ["cup"] * templates.slots(number)), "Not " + raw]  # fmt: skip
    found = [templates.number_of(form) for form in near if form != raw]
    # One template may be another's beginning: that one is found, never this.
    assert number not in found
    assert all(other is None or raw.startswith(templates.TEMPLATES[other]) for other in found)


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("Moving something up", 45),
        ("moving [something] up", 45),
        ("Moving something upwards", None),
        ("moving cup up", None),
        ("Moving something from left to right", None),  # of the brief; only Pulling and Pushing have directions
        ("Pushing something from left to right", 93),
        ("Pulling something from left to right", 86),
        ("Something falling like a rock", 135),
        ("[something] falling like a rock", 135),
        ("something falling like a feather", None),
        ("Letting something roll up a slanted surface so it rolls back down", None),  # the comma is missing
        ("Letting something roll up a slanted surface, so it rolls back down", 24),
        ("Putting number of something onto something", 102),
        ("Touching without moving part of something", None),
        ("", None),
    ],
)
def test_near_misses_are_misses(text: str, number: int | None) -> None:
    assert templates.number_of(text) == number


@pytest.mark.parametrize(
    ("number", "placeholders", "text"),
    [
        (6, ["a Cup", "paper"], "covering a cup with paper"),
        (135, ["Pen"], "pen falling like a rock"),
        (33, ["lid", "box"], "moving lid of box"),
        (65, ["steel plate"], "pretending to be tearing steel plate"),
        (169, ["a cloth"], "twisting (wringing) a cloth wet until water comes out"),
    ],
)
def test_slots_are_filled_and_read_back(number: int, placeholders: list[str], text: str) -> None:
    assert templates.fill(number, placeholders) == text
    assert templates.unfill(number, text) == [one.lower() for one in placeholders]
    with pytest.raises(ValueError, match=r"slots, got 4 placeholders"):
        templates.fill(number, ["x"] * 4)


# --- the filter ------------------------------------------------------------------------------------------------------


def test_the_lists_of_the_config_are_those_of_the_field_notes() -> None:
    assert tasks() == {task: sorted(numbers) for task, numbers in BRIEF.items()}
    strict = tasks("strict")
    assert strict["cover_object"] == [6] and strict["drop_object"] == [8, 9, 10, 11, 12, 110, 134, 135]
    assert strict["move_object"] == tasks()["move_object"]


def published_counts(published: dict[int, int]) -> list[dict[str, Any]]:
    """As many entries of each template as the published validation.json has."""
    return [entry(number, f"{number}000{clip}") for number, count in published.items() for clip in range(count)]


def test_as_many_clips_a_task_as_in_the_published_validation_set(tmp_path: Path) -> None:
    others = {number: 3 for number in range(174) if not any(number in listed for listed in BRIEF.values())}
    published = {number: count for listed in BRIEF.values() for number, count in listed.items()}
    (tmp_path / "validation.json").write_text(json.dumps(published_counts(others | published)))
    said = counts(tmp_path / "validation.json", tasks(), None)[0].split("\n")
    assert said[1:] == [
        "    1645 move_object",
        "    1521 drop_object",
        "    1001 cover_object",
        "     390 back_and_forth",
    ]


def test_clips_that_are_missing_in_the_folder_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = made(tmp_path, [entry(number, f"{number}{clip:02d}") for number in (0, 45) for clip in range(15)], [])
    (tmp_path / "videos").mkdir()
    words = ["filter", source["train"], "--videos", str(tmp_path / "videos")]
    for clip in range(15):  # template 0 is of no task, so nothing of it is wanted
        (tmp_path / f"videos/45{clip:02d}.webm").write_bytes(b"x")
    assert cli.main(words) == 0
    assert "\n0 of these 15 clips are missing" in capsys.readouterr().out
    (tmp_path / "videos/4503.webm").write_bytes(b"")
    (tmp_path / "videos/4507.webm").unlink()
    assert cli.main(words) == 1
    said = capsys.readouterr().out
    assert "      15 move_object" in said
    assert f"2 of these 15 clips are missing, or empty files, in {tmp_path}/videos: 4503.webm, 4507.webm;" in said
    assert cli.main([*words, "--suffix", ".mp4"]) == 1
    assert "15 of these 15" in (said := capsys.readouterr().out)
    assert "4508.mp4, 4509.mp4, …; unpack all parts of the set, and check the suffix" in said
    assert cli.main([*words[:-1], str(tmp_path / "nowhere")]) == 1
    assert "nowhere': there is no such folder" in capsys.readouterr().err


def test_the_form_of_the_template_in_the_file_does_not_matter(tmp_path: Path) -> None:
    forms = [lambda text: text, templates.bare, str.lower, str.upper]
    train = [{**entry(135, f"{number}"), "template": form(templates.TEMPLATES[135])}
             for number, form in enumerate(forms)]  # fmt: skip
    clips, problems = select(made(tmp_path, train, []), {"train": "train"})
    assert [clip.task for clip in clips] == ["drop_object"] * 4 and not problems.found
    assert {clip.entry.text for clip in clips} == {"cup 0 falling like a rock"}


def many(tmp_path: Path, reverse: bool = False, **changes: Any) -> dict[str, Any]:
    train = [entry(number, f"{number}{clip:03d}") for number in (6, 45, 135, 153, 0) for clip in range(40)]
    validation = [entry(number, f"9{number}{clip:03d}") for number in (6, 45, 135, 153, 0) for clip in range(40)]
    step = -1 if reverse else 1
    return made(tmp_path, train[::step], validation[::step], **changes)


def placed(source: dict[str, Any]) -> dict[str, tuple[str, str | None]]:
    return {clip.video_id: (clip.split, clip.task) for clip in select(source, SETS)[0]}


def test_splits_share_the_validation_set_and_nothing_stands_in_two(tmp_path: Path) -> None:
    found = placed(many(tmp_path))
    splits = pd.Series([split for split, _ in found.values()]).value_counts()
    assert len(found) == 320 and splits["train"] == 160 and splits["select"] + splits["test"] == 160
    assert abs(splits["select"] - splits["test"]) < 40
    assert all((split == "train") == (not name.startswith("9")) for name, (split, _) in found.items())


def test_caps_are_by_task_and_split_and_stand_still_when_the_files_are_reordered(tmp_path: Path) -> None:
    caps = {"train": 12, "test": 7}
    found = placed(many(tmp_path, caps=caps))
    table = pd.DataFrame(found.values(), columns=["split", "task"]).value_counts()
    assert table["train"].tolist() == [12] * 4 and table["test"].tolist() == [7] * 4
    assert table["select"].sum() > 40
    assert placed(many(tmp_path, reverse=True, caps=caps)) == found
    more = placed(many(tmp_path, caps={"train": 13, "test": 8}))
    assert found.items() <= more.items()
    other = placed(many(tmp_path, caps=caps, seed=1))
    assert len(other) == len(found) and other.keys() != found.keys()


def test_a_new_entry_moves_no_other_from_split_to_split(tmp_path: Path) -> None:
    before = placed(many(tmp_path))
    source = many(tmp_path)
    with_more = [*json.loads((tmp_path / "validation.json").read_text()), entry(6, "77")]
    (tmp_path / "validation.json").write_text(json.dumps(with_more))
    assert before.items() < placed(source).items()


def test_without_a_task_list_all_clips_are_kept_and_those_of_test_json_have_no_text(tmp_path: Path) -> None:
    source = many(tmp_path, tasks=None, test=str(tmp_path / "test.json"))
    (tmp_path / "test.json").write_text(json.dumps([{"id": "5"}, {"id": 6}]))
    clips, _ = select(source, {**SETS, "hidden": "test"})
    assert len(clips) == 402 and {clip.task for clip in clips} == {None}
    table = ssv2.read(source, pd.DataFrame({"video_id": ["6.webm", "6000.webm"]}), [])
    assert table["template_id"].isna().tolist() == [True, False] and table["official"].tolist() == ["test", "train"]
    assert table["text"].isna().tolist() == [True, False]


# --- through the stages ----------------------------------------------------------------------------------------------


def config(tmp_path: Path, **changes: Any) -> dict[str, Any]:
    files = {name: str(tmp_path / f"{name}.json") for name in ("labels", "train", "validation")}
    source = {"kind": "ssv2", "path": str(tmp_path), **files, "tasks": "brief"}
    own = {"source": source, "buckets": 2, "splits": {"kind": "official"}, **changes}
    experiment = {"task": "next_1", "data": "own", "model": "copy_last", "budget": "none"}
    return {**DEFAULT, "data": {**DEFAULT["data"], "own": own}, "run": {"experiments": ["own"]},
            "experiments": {**DEFAULT["experiments"], "own": experiment}}  # fmt: skip


def resolved(tmp_path: Path, **changes: Any) -> dict[str, Any]:
    return plan.resolve(parse(Config, config(tmp_path, **changes)))["data"]["own"]


def test_the_catalogue_lists_wanted_clips_alone(tmp_path: Path) -> None:
    source = many(tmp_path)
    wanted = list(placed(source))
    for name in [*wanted[:-1], "0000.webm", "unknown.webm"]:  # the last is missing; 0000 has another template
        (tmp_path / name).write_bytes(b"x")
    data = resolved(tmp_path)
    digests = catalogue.update(data, tmp_path / "listing")
    shards = [catalogue.shard_file(tmp_path / "listing", shard, value) for shard, value in digests.items()]
    assert sorted(name for shard in shards for name in catalogue.videos(shard)) == wanted[:-1]
    assert catalogue.load(data, tmp_path / "listing") == digests
    assert ssv2.problems(data)["no_video"]["count"] == 1
    light = catalogue._limited(catalogue._parts(data), 9)
    assert len(light) == 9 and {placed(source)[name][0] for name, _, _ in light} == {"train", "select", "test"}
    for name in wanted:
        (tmp_path / name).unlink(missing_ok=True)
    with pytest.raises(FileNotFoundError, match=r"none of the 320 wanted clips is in it, the first is '135000\.webm'"):
        catalogue.update(data, tmp_path / "listing")


def index(ids: list[str]) -> pd.DataFrame:
    rows = len(ids)
    return pd.DataFrame({
        "video_id": ids, "path": ids, "digest": ids, "status": ["ok"] * rows, "frames": range(30, 30 + rows),
        "fps": [12.0] * rows, "duration": [3.0] * rows, "width": [96] * rows, "height": [64] * rows,
    })  # fmt: skip


def test_the_samples_table_and_the_files_that_are_written_from_it(tmp_path: Path) -> None:
    source = many(tmp_path)
    wanted = placed(source)
    files = {
        "train_filtered": {"split": "train"},
        "val_filtered": {"split": "test", "tasks": ["move_object", "drop_object", "cover_object"]},
        "val_filtered_backforth": {"split": "test", "tasks": ["back_and_forth"]},
    }
    data = resolved(tmp_path, annotation_files=files)
    index(list(wanted)).to_parquet(tmp_path / "index.parquet")
    assign(tmp_path / "index.parquet", [], data, tmp_path / "samples.parquet", tmp_path / "splits.json")
    samples = pd.read_parquet(tmp_path / "samples.parquet").set_index("video_id")
    assert {name: (row["split"], row["task"]) for name, row in samples.iterrows()} == wanted
    row = samples.loc["6003.webm"]
    assert row["text"] == "covering cup 0 with cup 1" and row["template"] == "Covering [something] with [something]"
    assert row["template_id"] == 6 and list(row["placeholders"]) == ["cup 0", "cup 1"] and row["unit"] == "6003.webm"
    report = read_json(tmp_path / "splits.json")
    assert report["annotations"]["no_video"]["count"] == len(wanted)
    out = tmp_path / "annotations"
    annotation_files.write(tmp_path / "samples.parquet", data["annotation_files"], out)
    written = {path.stem: read_json(path) for path in out.glob("*.json")}
    assert {name: len(value) for name, value in written.items()} == {
        "train_filtered": 160,
        "val_filtered": sum(split == "test" and task != "back_and_forth" for split, task in wanted.values()),
        "val_filtered_backforth": sum(split == "test" and task == "back_and_forth" for split, task in wanted.values()),
    }
    one = next(one for one in written["train_filtered"] if one["id"] == "6003")
    assert one == {
        **entry(6, "6003"), "task": "cover_object", "num_frames": int(samples.loc["6003.webm", "frames"]),
    }  # fmt: skip
    table = pd.read_csv(out / "counts.csv")
    assert table.loc[table["file"] == "train_filtered", "clips"].tolist() == [40] * 4
    read_back, problems = entries({"train": str(out / "train_filtered.json")}, None)
    assert len(read_back) == 160 and not problems.found


BY_TASK = {"test": {"basic": ["move_object", "drop_object"], "cyclic": ["back_and_forth"]}}


def test_a_split_divided_by_task_leaves_other_tasks_out_and_counts_them(tmp_path: Path) -> None:
    wanted = placed(many(tmp_path))
    files = {"train_filtered": {"split": "train"}, "val_filtered": {"split": "basic"},
             "val_filtered_backforth": {"split": "cyclic"}}  # fmt: skip
    data = resolved(tmp_path, by_task=BY_TASK, evaluate=["basic", "cyclic"], annotation_files=files)
    index(list(wanted)).to_parquet(tmp_path / "index.parquet")
    assign(tmp_path / "index.parquet", [], data, tmp_path / "samples.parquet", tmp_path / "splits.json")
    samples = pd.read_parquet(tmp_path / "samples.parquet").set_index("video_id")
    goes_to = {"move_object": "basic", "drop_object": "basic", "back_and_forth": "cyclic"}
    expected = {name: goes_to.get(str(task)) if split == "test" else split for name, (split, task) in wanted.items()}
    assert samples["split"].to_dict() == {name: split for name, split in expected.items() if split}
    counts = pd.Series(list(wanted.values())).value_counts()
    report = read_json(tmp_path / "splits.json")
    assert report["left_out"] == {"test": {"cover_object": counts["test", "cover_object"]}}
    assert report["videos"]["cyclic"] == counts["test", "back_and_forth"] and "test" not in report["videos"]
    assert dict(workbook._split_facts(tmp_path / "splits.json"))["left out of test: cover_object"] > 0
    assert "cover_object" in str(background._splits(tmp_path / "splits.json"))
    annotation_files.write(tmp_path / "samples.parquet", data["annotation_files"], tmp_path / "annotations")
    assert {one["task"] for one in read_json(tmp_path / "annotations/val_filtered_backforth.json")} == {
        "back_and_forth"
    }
    assert {one["task"] for one in read_json(tmp_path / "annotations/val_filtered.json")} == set(
        BY_TASK["test"]["basic"]
    )
    flow = Flow({"data": {"own": {**data, "annotation_files": {}}}}, {"own": {}}, Path("results"))
    wildcards = type("Wildcards", (), {"data": "own"})
    assert set(json.loads(flow.annotation_files(wildcards))) == {"train", "select", "basic", "cyclic"}
    assert '"by_task"' in flow.annotation(wildcards)


def test_light_mode_takes_as_many_clips_of_each_part_of_a_divided_split(tmp_path: Path) -> None:
    source = many(tmp_path)
    for name in placed(source):
        (tmp_path / name).write_bytes(b"x")
    data = resolved(tmp_path, by_task=BY_TASK, evaluate=["basic", "cyclic"])
    kept = [placed(source)[name] for name, _, _ in catalogue._limited(catalogue._parts(data), 10)]
    assert kept.count(("test", "back_and_forth")) == 2 and len(kept) == 10


def test_an_empty_part_of_a_divided_split_is_an_error(tmp_path: Path) -> None:
    wanted = placed(many(tmp_path))
    data = resolved(
        tmp_path, by_task={"test": {"basic": ["move_object"], "cyclic": ["cover_object"]}}, evaluate=["basic"]
    )
    names = [name for name, place in wanted.items() if place != ("test", "cover_object")]
    index(names).to_parquet(tmp_path / "index.parquet")
    with pytest.raises(ValueError, match=r"split 'cyclic' holds no video; .* change data.splits or data.by_task"):
        assign(tmp_path / "index.parquet", [], data, tmp_path / "samples.parquet", tmp_path / "splits.json")


def test_without_names_one_file_a_split_is_written_for_data_with_a_task_list(tmp_path: Path) -> None:
    many(tmp_path)
    flow = Flow({"data": {"own": resolved(tmp_path), "other": {"source": {}}}}, {"own": {}}, Path("results"))
    assert flow.annotations() == ["results/data/own/annotations"]
    wildcards = type("Wildcards", (), {"data": "own"})
    assert set(json.loads(flow.annotation_files(wildcards))) == {"train", "select", "test"}
    assert [Path(path).name for path in flow.split_lists(wildcards)] == ["labels.json", "train.json", "validation.json"]


def test_a_file_without_a_clip_is_refused(tmp_path: Path) -> None:
    samples = tmp_path / "samples.parquet"
    pd.DataFrame({"video_id": ["1.webm"], "split": ["test"], "task": ["move_object"], "text": ["x"], "template": ["x"],
                  "placeholders": [["x"]], "frames": [3]}).to_parquet(samples)  # fmt: skip
    with pytest.raises(ValueError, match=r"annotation_files.cover: split 'test' has no clip .* \{'move_object': 1\}"):
        annotation_files.write(samples, {"cover": {"split": "test", "tasks": ["cover_object"]}}, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_parsing_with_annotations_imports_neither_torch_nor_pandas(tmp_path: Path) -> None:
    many(tmp_path)
    (tmp_path / "6000.webm").write_bytes(b"x")
    (tmp_path / "config.json").write_text(json.dumps(config(tmp_path)))
    plan.make(config(tmp_path), tmp_path / "results/.framecast/plans")  # a new config is checked once, with torch
    code = ("import json, pathlib, sys; from framecast.workflow.inputs import prepare; "
            "prepare(json.load(open('config.json')), pathlib.Path('results'), True); "
            "print(sorted({'torch', 'pandas'} & set(sys.modules)))")  # fmt: skip
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "[]"


# --- the embedded world ----------------------------------------------------------------------------------------------

WORLD = {"kind": "world", "seed": 3, "videos": 26, "frames": [40, 41], "height": 32, "width": 48, "objects": [1, 2]}


def test_the_world_writes_the_published_form(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    overlay = {**DEFAULT, "data": {**DEFAULT["data"], "small": {"source": WORLD}}}
    (tmp_path / "c.yaml").write_text(yaml.safe_dump(overlay))
    words = ["world", "--layout", "ssv2", "--config", str(tmp_path / "c.yaml"), "--data", "small"]
    assert cli.main([*words, "--out", str(tmp_path / "set"), "--shares", "train=.5", "validation=.4", "test=.1"]) == 0
    folder = tmp_path / "set"
    check_labels(str(folder / "labels.json"))
    known = [one for name in ("train", "validation") for one in read_list(str(folder / f"{name}.json"))]
    hidden = read_list(str(folder / "test.json"))
    assert all(set(one) == {"id", "label", "template", "placeholders"} for one in known)
    assert all(set(one) == {"id"} for one in hidden)
    assert sorted(path.stem for path in (folder / "videos").iterdir()) == sorted(one["id"] for one in known + hidden)
    files = {name: str(folder / f"{name}.json") for name in ("labels", "train", "validation", "test")}
    source = {"kind": "ssv2", "path": str(folder / "videos"), "suffix": ".mp4", **files, "tasks": tasks(), "caps": {},
              "seed": 0}  # fmt: skip
    clips, problems = select(source, SETS)
    # Of one round of 26, Collide (2) and Roll (1) are in no list; test.json has no templates.
    assert len(clips) == sum(templates.number_of(one["template"]) not in (122, 132) for one in known)
    assert not problems.found
    assert cli.main(["filter", files["train"], "--labels", files["labels"]]) == 0
    assert f"{files['train']}: {sum(clip.split == 'train' for clip in clips)} clips" in capsys.readouterr().out


def test_a_world_can_be_filtered_by_task(tmp_path: Path) -> None:
    changed = json.loads(json.dumps(DEFAULT))
    changed["data"]["world"]["source"] = {**WORLD, "tasks": "strict"}
    source = plan.resolve(parse(Config, changed))["data"]["world"]["source"]
    ids = generation.video_ids(source)
    labels = {video_id.partition("/")[0] for video_id in ids}
    assert "Cover" in labels and not labels & {"PutOnto", "PutDown", "Roll", "Collide"}
    assert len(generation.video_ids({**source, "tasks": None})) == 26
    generation.generate(source, ids[:4], tmp_path / "bucket_0")
    read = partial(world.read, index=pd.DataFrame({"video_id": ids[:4]}), labels=[tmp_path / "bucket_0"])
    numbers = read({**source, "tasks": None})["template_id"].tolist()
    renamed = {**source, "tasks": {"all": numbers}}
    assert read(renamed)["task"].tolist() == ["all"] * 4 and "move_object" in read(source)["task"].tolist()


# --- bad input -------------------------------------------------------------------------------------------------------

GOOD = entry(45, "1")


@pytest.mark.parametrize(
    ("bad", "kind", "words"),
    [
        ({**GOOD, "template": "Moving [something] upp"}, "unknown_template",
         ["2: 'Moving [something] upp'", "did you mean 'Moving something up'?", "mend the entry"]),
        ({**GOOD, "template": "Etwas nach oben bewegen"}, "unknown_template", ["Etwas nach oben", "174"]),
        ({"label": None, "template": GOOD["template"]}, "missing_placeholders",
         ["2: [] for 'Moving [something] up'", "one placeholder for each [slot]"]),
        ({**GOOD, "placeholders": [], "label": "moving the cup quickly up there"}, "missing_placeholders", ["2: []"]),
        ({**GOOD, "label": "eine Tasse nach oben bewegen"}, "other_language",
         ["2: 'eine tasse nach oben bewegen'", "mend or remove the label"]),
        ({**GOOD, "label": "把杯子向上移动"}, "other_language", ["把杯子向上移动"]),
        ({"label": "x"}, "wrong_shape", ["has no template", '{"id": "78687"']),
        ({**GOOD, "placeholders": "cup"}, "wrong_shape", ["needs a text as label and a list of texts"]),
        ({**GOOD, "label": 3}, "wrong_shape", ["needs a text as label"]),
    ],
)  # fmt: skip
def test_a_bad_entry_is_counted_and_left_out(tmp_path: Path, bad: dict[str, Any], kind: str, words: list[str]) -> None:
    clips, problems = select(made(tmp_path, [GOOD, {**bad, "id": "2"}], []), {"train": "train"})
    assert [clip.video_id for clip in clips] == ["1.webm"]
    found = problems.report()
    assert list(found) == [kind] and found[kind]["count"] == 1 and found[kind]["outcome"] == "left out"
    for word in words:
        assert word in problems.text()


@pytest.mark.parametrize("bad", [None, 3, "78687", [], {}, {"id": ""}, {"id": "../1"}, {"id": True}, {"id": 1.5}])
def test_an_entry_without_an_id_is_counted_and_left_out(tmp_path: Path, bad: Any) -> None:
    clips, problems = select(made(tmp_path, [GOOD, bad], []), {"train": "train"})
    assert len(clips) == 1 and "entry 2:" in problems.report()["wrong_shape"]["first"][0]


def test_a_duplicate_is_kept_once_where_all_are_equal_and_else_left_out(tmp_path: Path) -> None:
    other = {**entry(6, "3"), "placeholders": ["a", "b"], "label": "covering a with b"}
    train = [GOOD, GOOD, entry(6, "3"), other, entry(6, "4"), entry(6, "5")]
    clips, problems = select(made(tmp_path, train, [entry(6, "4")]), SETS)
    assert [clip.video_id for clip in clips] == ["1.webm", "5.webm"]
    assert problems.report()["duplicate_id"]["count"] == 3 and "stands more than once" in problems.text()


def test_placeholders_that_are_missing_are_read_off_the_label(tmp_path: Path) -> None:
    bad = {"id": "2", "label": "Covering  a Cup with paper", "template": "covering something with something"}
    (clip,), problems = select(made(tmp_path, [bad], []), {"train": "train"})
    assert clip.entry.placeholders == ("a cup", "paper") and clip.entry.text == "covering a cup with paper"
    assert problems.report()["placeholders_from_label"]["outcome"] == "kept"


def test_a_label_that_is_missing_is_made_of_template_and_placeholders(tmp_path: Path) -> None:
    bad = {key: value for key, value in GOOD.items() if key != "label"}
    (clip,), problems = select(made(tmp_path, [bad], []), {"train": "train"})
    assert clip.entry.text == "moving cup 0 up" and not problems.found


def test_a_text_of_200_words_is_kept_and_counted(tmp_path: Path) -> None:
    (clip,), problems = select(made(tmp_path, [entry(45, "2", " ".join(["very"] * 200))], []), {"train": "train"})
    assert len(clip.entry.text.split()) == 203
    assert "1 long text (kept), such as 2: at least 205 tokens" in problems.text() and "cut after 77" in problems.text()


def test_reports_are_in_the_order_of_the_alphabet_and_name_three(tmp_path: Path) -> None:
    bad = [{**GOOD, "id": str(number), "template": "Juggling [something]"} for number in (9, 5, 7, 3, 8)]
    for train in (bad, bad[::-1]):
        _, problems = select(made(tmp_path, [GOOD, *train], []), {"train": "train"})
        found = problems.report()["unknown_template"]
        assert found["count"] == 5 and [text[:2] for text in found["first"]] == ["3:", "5:", "7:"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('[\n{"id": "1"},\n{"id": "2",, "label": ""}\n]', ["train.json, line 3, column 12: broken", '"id": "2",,']),
        ('[{"id": "1"}, ', ["line 1", "broken JSON", "download the file again"]),
        ("", ["line 1, column 1: broken JSON"]),
        ('{"Closing something": "5"}', ["holds a mapping, not a list of entries; is it labels.json?", "An entry is"]),
        ('"text"', ["holds a text, not a list"]),
        (b"[\"\xff\"]", ["is no UTF-8 (byte 2)", "save it as UTF-8"]),
    ],
)  # fmt: skip
def test_a_broken_file_is_an_error(tmp_path: Path, text: str | bytes, words: list[str]) -> None:
    source = made(tmp_path, [], [])
    (tmp_path / "train.json").write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ConfigError) as caught:
        select(source, SETS)
    for word in words:
        assert word in str(caught.value)


def test_a_byte_order_mark_is_no_matter(tmp_path: Path) -> None:
    source = made(tmp_path, [GOOD], [])
    (tmp_path / "train.json").write_bytes(b"\xef\xbb\xbf" + (tmp_path / "train.json").read_bytes())
    assert len(select(source, SETS)[0]) == 1


def test_a_missing_file_and_no_wanted_clip_are_errors(tmp_path: Path) -> None:
    source = made(tmp_path, [entry(0, "1"), {**GOOD, "id": "2", "template": "Juggling"}], [])
    with pytest.raises(
        ConfigError, match=r"no entry with a template of the tasks move_object, .*train\.json.*1 unknown"
    ):
        select(source, SETS)
    (tmp_path / "validation.json").unlink()
    with pytest.raises(ConfigError, match=r"validation.json': no such file or directory .*published json file"):
        select(source, SETS)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda labels: labels.pop("Closing something"), "has 173 names: take the published labels.json"),
        (lambda labels: labels.update({"Folding something": "6"}), "'Folding something' has the number '6'"),
        (lambda labels: labels.update({"Closing sth": "5"}), "'Closing sth' is none of the 174 templates; did you mea"),
    ],
)  # fmt: skip
def test_another_labels_json_is_refused(tmp_path: Path, change: Any, words: str) -> None:
    source = made(tmp_path, [GOOD], [])
    labels = read_json(source["labels"])
    change(labels)
    (tmp_path / "labels.json").write_text(json.dumps(labels))
    with pytest.raises(ConfigError, match=re.escape(words)):
        select(source, SETS)
    (tmp_path / "labels.json").write_text("[]")
    with pytest.raises(ConfigError, match="holds a list, not a mapping of names to numbers"):
        select(source, SETS)


def test_an_indexed_clip_without_an_entry_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"1 indexed clips have no usable entry, first '9\.webm'.*start it again"):
        ssv2.read(made(tmp_path, [GOOD], []), index(["1.webm", "9.webm"]), [])


@pytest.mark.parametrize(
    ("place", "value", "words"),
    [
        ("data.own.source.tasks", "briefly", ["own.source.tasks", "no task list 'briefly'", "did you mean 'brief'?"]),
        ("data.own.source.caps", {"val": 100}, ["source.caps names 'val'", "['train', 'select', 'test']"]),
        ("data.own.source.caps", {"train": 0}, ["data.own.source.caps.train", "greater than or equal to 1"]),
        ("data.own.source.train", " ", ["the path is empty; give the json file"]),
        ("data.own.source.labels", None, ["data.own.source.labels"]),
        ("data.own.splits", {"kind": "random"}, ["a source of kind 'ssv2' takes splits of kind 'official'"]),
        ("data.own.splits.sets", {"train": "train", "select": "validation", "test": "test"},
         ["splits.sets.test is 'test': give the path"]),
        ("data.own.annotation_files", {"val": {"split": "val"}}, ["annotation_files.val.split is 'val'", "'select'"]),
        ("data.own.annotation_files", {"val": {"split": "test", "tasks": ["move"]}},
         ["data.own.annotation_files.val.tasks: there is no task 'move'", "move_object"]),
        ("task_lists.brief.move_object", ["Moving something upp"],
         ["task_lists.brief.move_object: 'Moving something upp'", "did you mean 'Moving something up'?"]),
        ("task_lists.brief.move_object", ["Moving something up", "moving [something] up"],
         ["task_lists.brief: 'Moving [something] up' stands more than once"]),
        ("task_lists.brief.move_object", [], ["task_lists.brief.move_object", "at least 1 item"]),
        ("data.own.by_task", BY_TASK, ["there is no split 'test'", "'train', 'select', 'basic', 'cyclic'"]),
        ("data.own.by_task", {"val": {"basic": ["move_object"]}}, ["by_task divides 'val'", "'select', 'test'"]),
        ("data.own.by_task", {"train": {"a": ["move_object"]}}, ["by_task divides 'train'", "training or selection"]),
        ("data.own.by_task", {"select": {"a": ["move_object"]}}, ["by_task divides 'select'", "divide another split"]),
        ("data.own.by_task", {"test": {"test": ["move_object"], "cyclic": ["move_object"]}},
         ["by_task.test names the task 'move_object' twice"]),
        ("data.own.by_task", {"test": {"test": ["move_object"], "train": ["drop_object"]}},
         ["by_task makes a split 'train', and there is another"]),
        ("data.own.by_task", {"test": {"test": ["move_object"], "cyclic": ["backforth"]}},
         ["data.own.by_task.test.cyclic: there is no task 'backforth'", "back_and_forth"]),
        ("data.own.by_task", {"test": {}}, ["data.own.by_task.test", "at least 1 item"]),
        ("data.world.by_task", BY_TASK, ["by_task needs source.tasks"]),
        ("data.world.annotation_files", {"val": {"split": "test"}}, ["annotation_files needs source.tasks"]),
        ("data.world.splits", {"kind": "official"}, ["source.kind is 'world' and splits.kind 'official'"]),
    ],
)  # fmt: skip
def test_a_wrong_config_is_said(tmp_path: Path, place: str, value: Any, words: list[str]) -> None:
    changed = json.loads(json.dumps({**config(tmp_path), "run": {"experiments": ["own"]}}))
    *parents, last = place.split(".")
    spot = changed
    for key in parents:
        spot = spot[key]
    spot[last] = value
    with pytest.raises(ConfigError) as caught:
        plan.resolve(parse(Config, changed))
    for word in words:
        assert word in str(caught.value)


def test_test_json_cannot_be_filtered(tmp_path: Path) -> None:
    changed = config(tmp_path, splits={"kind": "official", "sets": {**SETS, "hidden": "test"}})
    changed["data"]["own"]["source"]["test"] = "test.json"
    with pytest.raises(ConfigError, match=r"test.json has no templates to find tasks by: set source.tasks to null"):
        parse(Config, changed)
