"""Odd names all the way through, folders without a readable video, and configs that end with one message."""

from __future__ import annotations

import copy
import datetime
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
import yaml

from framecast import cli
from framecast.config import loading
from framecast.config.base import Budget, Settings
from framecast.data.contact_sheet import draw
from framecast.data.extraction import extract
from framecast.data.index import index_bucket, merge
from framecast.data.splits import assign
from framecast.encoders import encoding
from framecast.prediction import inference, scoring
from framecast.scores import read as read_scores
from framecast.stores import Stores
from framecast.stores.embeddings import Embeddings
from framecast.stores.frames import FrameStore
from framecast.tasks import embedding as task
from framecast.training import loop
from framecast.video import codec
from framecast.workflow import catalogue, inputs
from tests.encoders.test_encoders import dinov2, save
from tests.encoders.test_encoding import ENCODER
from tests.test_workflow import Workflow

torch.set_num_threads(1)
FOLDER = 'it\'s "the"\nfolder, $HOME; {x} = 5'
NAMES = [
    "-rf.mp4", "two  words .mp4", "it's \"q\".mp4", "日本語 é.mp4", "line\nbreak.mp4", "car\rriage.mp4", "=1+1.mp4",
    "{seed}%s\\n.mp4", "a,b;c.mp4", "NA/NA.mp4", "same.mp4", "same.avi", "deep/same.mp4", "#5#.mp4",
]  # fmt: skip
SPLITS = {"kind": "random", "fractions": {"train": 0.4, "select": 0.2, "test": 0.4}, "seed": 0}
FRAME_SET = {"fps": None, "resize": "squash", "views": {"32": [32, 32]}}


def make_videos(folder: Path, names: list[str], frames: int = 5) -> None:
    """Videos of noise, each another one, so that one read in another's place shows."""
    for seed, name in enumerate(names):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        generator = np.random.default_rng(seed)
        codec.encode((generator.integers(0, 255, (32, 32, 3), dtype=np.uint8) for _ in range(frames)), path, 12)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("odd names") / FOLDER
    make_videos(made, NAMES)
    (made / "zero\n.mp4").touch()
    return made


# --- names -----------------------------------------------------------------------------------------------------------


def test_odd_names_go_through_everything(folder: Path, tmp_path: Path) -> None:
    """Listing → index → merge → splits → frames → picture → embeddings → run → predictions → scores, name by name."""
    source = {"kind": "plain", "path": str(folder), "suffixes": [".mp4", ".avi"], "label": "none", "group": None}
    data = {"source": source, "buckets": 2, "splits": SPLITS, "select": "select", "evaluate": ["test"], "unit": "video"}
    weights = str(save(dinov2(), tmp_path / "weights"))
    shards = catalogue.update(data, tmp_path / "listing")
    parts, frames, caches = [], [], []
    for shard, listed in shards.items():
        parts.append(tmp_path / f"index/bucket_{shard}.parquet")
        frames.append(tmp_path / f"frames/bucket_{shard}")
        caches.append(tmp_path / f"embeddings/bucket_{shard}.h5")
        index_bucket(folder, catalogue.videos(catalogue.shard_file(tmp_path / "listing", shard, listed)), parts[-1], 60)
        extract(parts[-1], FRAME_SET, frames[-1])
        encoding.encode(frames[-1], ENCODER, weights, caches[-1], "cpu")
    assert len(shards) == 2
    merge(parts, tmp_path / "index.parquet", tmp_path / "rejected.csv")
    rejected = pd.read_csv(tmp_path / "rejected.csv")
    assert rejected[["video_id", "reason"]].to_numpy().tolist() == [["zero\n.mp4", "zero bytes"]]

    assign(tmp_path / "index.parquet", [], data, tmp_path / "samples.parquet", tmp_path / "splits.json")
    samples = pd.read_parquet(tmp_path / "samples.parquet")
    assert sorted(samples["video_id"]) == sorted(NAMES)
    assert sorted(name for store in frames for name in FrameStore(store).video_ids) == sorted(NAMES)
    assert sorted(Embeddings(caches).video_ids) == sorted(NAMES)
    table, _ = Embeddings(caches).table(sorted(NAMES))
    assert len(np.unique(table.round(4), axis=0)) == 5 * len(NAMES), "every frame of every video is its own"
    draw(tmp_path / "samples.parquet", frames, tmp_path / "sheet.png")

    stores = Stores(tmp_path / "samples.parquet", embeddings={"tiny": caches})
    rows = scores(stores, tmp_path)
    test = sorted(samples.loc[samples["split"] == "test", "video_id"])
    assert len(test) >= 5 and sorted(set(rows["unit"])) == test
    assert sorted(set(rows["sample_id"])) == sorted(f"{name}#{target}" for name in test for target in (3, 4))


def scores(stores: Stores, out: Path) -> pd.DataFrame:
    """The score table of copy-last, written and read back."""
    spec = {
        "experiment": "copy", "seed": 0, "data": "own", "select": "select", "init": None, "fingerprint": "f",
        "task": {"name": "embedding", **task.Config(encoder="tiny", history=3, gap=1).model_dump(mode="json")},
        "model": {"name": "copy_last"}, "budget": Budget(steps=0).model_dump(mode="json"),
    }  # fmt: skip
    settings = Settings(device="cpu", tensorboard=False).model_dump(mode="json")
    run = out / "run"
    outputs = {"model": run / "model.safetensors", "run": run / "run.json", "curve": run / "curve.csv"}
    loop.train(spec, stores, None, None, outputs, out / "work", settings)
    spec["inference"] = task.Inference().model_dump(mode="json")
    inference.predict(spec, run, stores, "test", out / "p.h5", settings)
    scoring.score(spec, out / "p.h5", stores, "test", out / "test.csv", out / "test.json")
    return read_scores([out / "test.csv"]).frame()


# --- a full disk -----------------------------------------------------------------------------------------------------


WRITER = """
import resource, sys
import numpy as np
from pathlib import Path
from framecast.core.files import replacing
from framecast.stores import predictions
from framecast.stores.embeddings import EmbeddingWriter

kind, size, out = sys.argv[1], int(sys.argv[2]), Path(sys.argv[3])
if size >= 0:
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
try:
    if kind == "embeddings":
        with replacing(out) as temporary, EmbeddingWriter(temporary, ["a", "b"], [40, 60], 64, "float32") as writer:
            for _ in range(10):
                writer.append(np.ones((10, 64), np.float32))
            writer.finish("identity", {"kind": "dino"}, {})
    else:
        with predictions.writing(out, {}) as writer:
            for number in range(10):
                names = [f"{number}#{row}" for row in range(10)]
                writer.append({"y": np.ones((10, 64))}, names, names)
except OSError as error:
    print("refused:", " ".join(str(error).split()), flush=True)
    raise
print("written", flush=True)
"""


@pytest.mark.parametrize("kind", ["embeddings", "predictions"])
def test_full_disk_leaves_the_file_that_was_there(kind: str, tmp_path: Path) -> None:
    """The operating system refuses for real, in a process of its own: HDF5 may crash as it ends after that."""

    def write(size: int) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", WRITER, kind, str(size), str(tmp_path / "out.h5")]
        return subprocess.run(command, capture_output=True, text=True, timeout=60)

    assert write(-1).stdout == "written\n"
    before = (tmp_path / "out.h5").read_bytes()
    for size in (0, 2000, len(before) - 1000):
        done = write(size)
        assert done.returncode != 0 and "written" not in done.stdout, size
        assert "file too large" in (done.stdout + done.stderr).lower(), size
        assert [path.name for path in tmp_path.iterdir()] == ["out.h5"], size
        assert (tmp_path / "out.h5").read_bytes() == before, size


# --- configs ---------------------------------------------------------------------------------------------------------

DEFAULT = loading.default()


def own(source: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """A config whose only active experiment reads the given source."""
    config = copy.deepcopy(DEFAULT)
    config["data"]["own"] = {"source": {"kind": "plain", "label": "none", **source}, "splits": SPLITS}
    experiment = next(value for value in config["experiments"].values() if not value.get("init"))
    config["experiments"]["own"] = {**experiment, "data": "own"}
    config["run"] = {"experiments": ["own"]}
    return {**config, **changes}


@pytest.mark.parametrize(
    ("config", "words"),
    [
        (own({"path": "nowhere"}), "data source path 'nowhere': there is no such folder"),
        (own({"path": "file.mp4"}), "'file.mp4' is a file; give the folder that holds the videos"),
        (own({"path": "empty"}), r"data source 'empty': no file in it ends in one of"),
        (own({"path": ""}), "data.own.source.path: the path is empty"),
        (own({"path": "x" * 300}), "File name too long"),
        (own({"path": "empty", "group": "("}), "data.own.source.group: '(' is no regular expression"),
        (own({"path": "empty", "timeout": float("inf")}), "data.own.source.timeout: inf is no finite number"),
        (own({"path": "empty", "pth": 1}), "data.own.source.pth: unknown key; did you mean 'path'?"),
        (own({"path": "empty"}, light={"videos": float("nan")}), "light.videos: nan is no finite number"),
        (own({"path": datetime.date(2026, 1, 2)}), "data.own.source.path: '2026-01-02' is read as date"),
        (own({"path": "empty"}, tasks={5: {}, "a": {}}), "tasks.5: the key is read as int, not as text"),
        (own({"path": "empty"}, tasks=None), "tasks: "),
    ],
)
def test_a_config_that_cannot_be_run_is_one_message(
    config: dict[str, Any], words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("file.mp4").touch()
    Path("empty").mkdir()
    with pytest.raises(SystemExit) as caught:
        inputs.prepare(config, Path("results"), main=True)
    text = str(caught.value.code)
    assert text.startswith("framecast: the config cannot be run:\n") and words in text


def test_files_that_a_power_cut_emptied_are_made_again(folder: Path, tmp_path: Path) -> None:
    config = own({"path": str(folder)})
    first = inputs.prepare(config, tmp_path, main=True)
    emptied = [path for path in tmp_path.rglob("*.json") if path.write_text("") == 0]
    second = inputs.prepare(config, tmp_path, main=True)
    assert len(emptied) >= 4 and all(path.stat().st_size for path in emptied)
    assert (first.plan, first.shards) == (second.plan, second.shards)
    assert inputs.prepare(config, tmp_path, main=False).shards == first.shards


def test_the_home_folder_is_meant_by_a_tilde(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "videos").mkdir()
    (tmp_path / "videos" / "a.mp4").touch()
    flow = inputs.prepare(own({"path": "~/videos"}), tmp_path / "results", main=True)
    assert flow.video_folder(SimpleNamespace(data="own", bucket="0")) == str(tmp_path / "videos")


# --- commands --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["index", "nowhere", "--out", "out"], "data source path 'nowhere': there is no such folder"),
        (["index", "file", "--out", "out"], "'file' is a file; give the folder that holds the videos"),
        (["index", "empty", "--out", "out"], "no file with a video suffix in 'empty'"),
        (["index", "videos", "--out", "file"], "--out 'file': there is a file in its place; give a folder"),
        (["index", "videos", "--out", "file/out"], "--out 'file/out': there is a file in its place"),
        (["index", "videos", "--out", "closed"], "--out 'closed': this folder may not be written to"),
        (["index", "videos", "--out", "out"], "videos/a.mp4: zero bytes"),
        (["index", "~/videos", "--out", "out"], "videos/a.mp4: zero bytes"),
        (["config", "check", "broken.yaml"], "broken.yaml is no YAML"),
        (["config", "check", "list.yaml"], "list.yaml holds a list; a config is a mapping"),
        (["config", "check", "bytes.yaml"], "bytes.yaml is no YAML"),
        (["config", "check", "nowhere.yaml"], "nowhere.yaml"),
        (["show", "nowhere"], "holds no comparison: run the workflow first"),
        (["export", "nowhere", "--view", "x", "--out", "out"], "nowhere is no frame store"),
    ],
)
def test_commands_say_in_one_sentence_what_is_wrong(
    words: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("empty", "videos", "closed"):
        Path(name).mkdir()
    Path("file").touch()
    Path("videos/a.mp4").touch()
    Path("broken.yaml").write_text("a: [1\n")
    Path("list.yaml").write_text("- 1\n")
    Path("bytes.yaml").write_bytes(b"\xff\xfe\x00")
    access = os.access  # the tests may run as root, whom no permission stops
    monkeypatch.setattr(os, "access", lambda path, mode: str(path) != "closed" and access(path, mode))
    assert cli.main(words) == 1
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("framecast: ")]
    assert len(lines) == 1 and said in lines[0]


def test_the_index_command_takes_odd_names(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["index", str(folder), "--out", str(tmp_path / "-o\nut")]) == 0
    assert f"{len(NAMES) + 1} files: {len(NAMES)} in" in capsys.readouterr().out
    assert len(pd.read_csv(tmp_path / "-o\nut" / "rejected.csv")) == 1


# --- the workflow ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def workflow(tmp_path_factory: pytest.TempPathFactory, folder: Path) -> Iterator[Workflow]:
    flow = Workflow(tmp_path_factory.mktemp("user's folder"))
    (flow.folder / "overlay.yaml").write_text(yaml.safe_dump(
        {key: value for key, value in own({"path": str(folder)}).items() if key in ("data", "experiments", "run")}
    ))  # fmt: skip
    yield flow


def test_odd_names_go_through_snakemake(workflow: Workflow) -> None:
    workflow.snakemake("results/data/own/samples.parquet")
    samples = pd.read_parquet(workflow.folder / "results/data/own/samples.parquet")
    assert sorted(samples["video_id"]) == sorted(NAMES)
    assert "Nothing to be done" in workflow.snakemake("-n", "results/data/own/samples.parquet")


def test_without_a_readable_video_the_reasons_survive(workflow: Workflow, tmp_path: Path) -> None:
    for number in range(7):
        (tmp_path / f"clip {number}.mp4").write_text("no video")
    text = (workflow.folder / "overlay.yaml").read_text()
    config = yaml.safe_load(text)
    config["data"]["own"]["source"]["path"] = str(tmp_path)
    (workflow.folder / "overlay.yaml").write_text(yaml.safe_dump(config))
    try:
        said = workflow.snakemake("results/data/own/index.parquet", check=False)
    finally:
        (workflow.folder / "overlay.yaml").write_text(text)
    assert "none of 7 files gives a frame" in said
    assert not (workflow.folder / "results/data/own/index.parquet").exists()
    kept = pd.read_csv(workflow.folder / "results/logs/merge_index/own.rejected.csv")
    assert len(kept) == 7 and kept["reason"].str.contains("the file holds text").all()
    assert "Snakemake deletes as the job failed: results/logs/merge_index/own.rejected.csv" in said
