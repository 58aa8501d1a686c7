"""The workflow as a user runs it: a small world and a small folder of videos, in a copy of the repository.

One run serves all tests; what an edit would re-run is read from `snakemake -n`, the edit taken back after it.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]
SNAKEMAKE = [sys.executable, "-m", "snakemake"]
OVERLAY = {
    "run": {"experiments": ["gru_own", "gru_again"], "comparisons": ["small"]},
    "light": {"videos": 40, "steps": 4},
    "data": {
        "world": {
            "source": {"videos": 40, "frames": [40, 42], "height": 32, "width": 48},
            "buckets": 2,
            "splits": {"fractions": {"train": 0.4, "select": 0.2, "test": 0.2, "spare": 0.2}},
        },
        "own": {
            "source": {"kind": "plain", "path": "videos with blanks", "label": "none"},
            "buckets": 3,
            "splits": {"kind": "random", "fractions": {"train": 0.4, "select": 0.3, "test": 0.3}},
        },
    },
    "tasks": {"short": {"name": "embedding", "track": "embedding", "encoder": "tiny", "history": 8, "gap": 1}},
    "models": {"gru_small": {"name": "recurrent", "cell": "gru", "hidden": 8}},
    "budgets": {"swept": {"steps": 4, "sweep": {"learning_rate": [0.001, 0.003], "steps": 2}}},
    "experiments": {
        "gru_short": {"task": "short", "data": "world", "model": "gru_small", "budget": "swept", "seeds": [0, 1]},
        "copy_short": {"task": "short", "data": "world", "model": "copy_last", "budget": "none"},
        "gru_again": {
            "task": "short", "data": "world", "model": "gru_small", "budget": "none",
            "init": {"experiment": "gru_short"},
        },
        "gru_own": {"task": "short", "data": "own", "model": "gru_small", "budget": "none"},
    },
    "comparisons": {"small": {"baseline": "copy_short", "treatments": ["gru_short"], "metrics": ["mse", "rank_all"]}},
}  # fmt: skip


class Workflow:
    """A copy of the repository with its results."""

    def __init__(self, folder: Path, overlay: dict = OVERLAY, below: tuple[str, ...] = ()) -> None:
        """below: Overlays of the repository that this one is merged on."""
        self.folder = folder
        self.first_run = ""
        self.configfiles = [*below, "overlay.yaml"]
        for name in ("Snakefile", "workflow", "config", "profiles", "envs", "src"):
            source = ROOT / name
            (shutil.copytree if source.is_dir() else shutil.copy)(source, folder / name)
        (folder / "overlay.yaml").write_text(yaml.safe_dump(overlay))

    def snakemake(self, *options: str, check: bool = True) -> str:
        """Run it; returns what it printed."""
        environment = {**os.environ, "PYTHONPATH": str(self.folder / "src"), "PYTHONWARNINGS": "default"}
        command = [*SNAKEMAKE, "--cores", "2", *options, "--configfile", *self.configfiles]
        done = subprocess.run(command, cwd=self.folder, env=environment, capture_output=True, text=True, timeout=900)
        text = done.stdout + done.stderr
        assert not check or done.returncode == 0, text[-6000:]
        return text

    def pending(self, *options: str) -> dict[str, int]:
        """Rule → number of jobs that a run would start now; the rules of a loop together.

        `start`: the jobs that predict and make the run as well, because nothing trains.
        """
        text = self.snakemake("-n", *options)
        table = re.search(r"^job +count\n-+ +-+\n(.*?)^total", text, re.S | re.M)
        if table is None:
            assert "Nothing to be done" in text, text[-3000:]
            return {}
        counts: dict[str, int] = {}
        for name, count in re.findall(r"^([\w+-]+) +(\d+)$", table[1], re.M):
            loop = re.match(r"(predict|score|gallery|pictures)_", name)
            rule = "start" if name.endswith(("_untrained", "_inherited")) else loop[1] if loop else name
            counts[rule] = counts.get(rule, 0) + int(count)
        counts.pop("all", None)
        return counts

    @contextlib.contextmanager
    def edited(self, file: str, old: str, new: str) -> Iterator[None]:
        """A file with one passage replaced."""
        path = self.folder / file
        text, stat = path.read_text(), path.stat()
        assert text.count(old) >= 1, f"{old!r} is not in {file}"
        path.write_text(text.replace(old, new, 1))
        try:
            yield
        finally:
            path.write_text(text)
            os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))

    @contextlib.contextmanager
    def configured(self, path: str, value: object) -> Iterator[None]:
        """The overlay with one key set."""
        overlay = json.loads(json.dumps(OVERLAY))
        *parents, last = path.split(".")
        place = overlay
        for key in parents:
            place = place.setdefault(key, {})
        place[last] = value
        before = (self.folder / "overlay.yaml").read_text()
        (self.folder / "overlay.yaml").write_text(yaml.safe_dump(overlay))
        try:
            yield
        finally:
            (self.folder / "overlay.yaml").write_text(before)


@pytest.fixture(scope="module")
def workflow(tmp_path_factory: pytest.TempPathFactory) -> Workflow:
    from framecast.world import generation

    flow = Workflow(tmp_path_factory.mktemp("user's folder"))
    source = {
        "kind": "world",
        "seed": 5,
        "videos": 10,
        "frames": [40, 40],
        "height": 32,
        "width": 48,
        "fps": 12,
        "objects": [1, 2],
    }
    generation.write_folder(source, flow.folder / "made")
    videos = flow.folder / "videos with blanks"
    videos.mkdir()
    for number, path in enumerate(sorted((flow.folder / "made").rglob("*.mp4"))):
        shutil.move(path, videos / f"clip {number} é.mp4")
    (videos / "rubbish.mp4").write_bytes(b"no video")
    flow.first_run = flow.snakemake()
    return flow


ANALYSIS = {"compare": 1, "summarize": 1, "report_page": 1}
RESCORED = {"score": 3, **ANALYSIS}


def only(pending: dict[str, int], *rules: str) -> bool:
    return set(pending) <= set(rules)


def test_everything_is_there_and_a_second_run_does_nothing(workflow: Workflow) -> None:
    results = workflow.folder / "results"
    for name in (
        "summary.xlsx",
        "report.html",
        "comparisons/small.json",
        "data/own/rejected.csv",
        "data/world/probes/tiny.json",
    ):
        assert (results / name).stat().st_size > 0, name
    scores = pd.read_csv(results / "runs/gru_short/seed_1/scores/test.csv")
    assert list(scores) == ["experiment", "data", "split", "seed", "sample_id", "unit", "metric", "value"]
    assert workflow.pending() == {}


def test_a_run_says_first_what_it_makes_and_where(workflow: Workflow) -> None:
    said, _, jobs = workflow.first_run.partition("Execute ")
    assert "embedding: Next embedding" in said and "trains tiny encoder · gru_short × 2" in said, said
    assert f"→ {workflow.folder.resolve() / 'results/report.html'}" in said
    assert jobs


def test_a_track_is_a_target_without_workbook_and_page(workflow: Workflow) -> None:
    assert workflow.pending("embedding", "--forcerun", "compare") == {"compare": 1, "embedding": 1}
    assert workflow.pending("masks", "--forcerun", "compare") == {}


def test_a_target_that_is_not_there_names_the_nearest(workflow: Workflow) -> None:
    text = workflow.snakemake("-n", "embeding", check=False)
    assert "there is no target 'embeding'; did you mean 'embedding'?" in text and "Traceback" not in text


def test_what_cannot_be_read_is_in_the_rejected_table(workflow: Workflow) -> None:
    rejected = pd.read_csv(workflow.folder / "results/data/own/rejected.csv")
    assert rejected["path"].str.endswith("rubbish.mp4").tolist() == [True]
    assert len(pd.read_parquet(workflow.folder / "results/data/own/index.parquet")) == 10


@pytest.mark.parametrize(
    ("file", "old", "new", "rules"),
    [
        ("src/framecast/tasks/embedding.py", '"""Next-embedding prediction', '"""Another text', set()),
        ("src/framecast/tasks/embedding.py", "def preview(", "def _preview_renamed(", set()),
        ("src/framecast/tasks/embedding.py", "def score(", "def _nothing():\n    return 1\n\n\ndef score(", set()),
        ("src/framecast/core/progress.py", "FAILED after", "failed after", set()),
        (
            "src/framecast/analysis/statistics.py",
            "RESAMPLES = 2000",
            "RESAMPLES = 1999",
            {"compare", "summarize", "report_page"},
        ),
    ],
)
def test_edits_that_change_no_result_rerun_nothing_behind_them(
    workflow: Workflow, file: str, old: str, new: str, rules: set[str]
) -> None:
    with workflow.edited(file, old, new):
        assert set(workflow.pending()) == rules


def body_edit(name: str) -> tuple[str, str]:
    """Make a function do something more, right at its start."""
    source = (ROOT / "src/framecast/tasks/embedding.py").read_text()
    signature = re.search(rf"^def {name}\(.*?\) -> .*?:\n", source, re.S | re.M)
    assert signature
    docstring = re.match(r'    """.*?"""\n', source[signature.end() :], re.S)
    head = signature[0] + (docstring[0] if docstring else "")
    return head, head + "    print('edited')\n"


BEHIND_PREDICT = {"predict", "score", "compare", "summarize", "report_page"}
BEHIND_TRAIN = {"train", *BEHIND_PREDICT}


@pytest.mark.parametrize(
    ("name", "rules"),
    [
        ("loss", BEHIND_TRAIN | {"tune", "start"}),
        ("predict", BEHIND_PREDICT | {"start"}),
        ("score", BEHIND_PREDICT - {"predict"}),
    ],
)
def test_an_edited_task_function_reruns_its_stage_and_what_is_behind(
    workflow: Workflow, name: str, rules: set[str]
) -> None:
    with workflow.edited("src/framecast/tasks/embedding.py", *body_edit(name)):
        pending = workflow.pending()
    assert set(pending) == rules
    assert pending.get("train", 2) == 2, "the tiny encoder is another task and stays"
    starts = {"loss": 1, "predict": 3, "score": 0}
    assert pending.get("start", 0) == starts[name], "gru_again alone stands behind a training"


def test_an_edited_model_reruns_its_own_runs(workflow: Workflow) -> None:
    path = "src/framecast/models/recurrent.py"
    source = (ROOT / path).read_text()
    head = re.search(r"^def build\(.*?\) -> .*?:\n(?:    \"\"\".*?\"\"\"\n)?", source, re.S | re.M)[0]
    with workflow.edited(path, head, head + "    print('edited')\n"):
        pending = workflow.pending()
    assert set(pending) == BEHIND_TRAIN | {"tune", "start"}
    assert (pending["train"], pending["start"]) == (2, 2), (
        "gru_short with two seeds, gru_again, gru_own, not copy_short"
    )


def test_inference_predicts_again_and_never_retrains(workflow: Workflow) -> None:
    with workflow.configured("experiments.gru_short.inference", {"steps": 7}):
        assert workflow.pending() == {"predict": 2, "score": 2, **ANALYSIS}


def test_a_run_without_training_is_whole_and_takes_its_parents_weights(workflow: Workflow) -> None:
    runs = workflow.folder / "results" / "runs"
    assert sorted(path.name for path in (runs / "gru_again" / "seed_0").iterdir()) == [
        "predictions",
        "run.json",
        "scores",
    ]
    own, theirs = (pd.read_csv(runs / name / "seed_0" / "scores" / "test.csv") for name in ("gru_again", "gru_short"))
    assert own["value"].tolist() == theirs["value"].tolist()
    assert {"model.safetensors", "run.json"} < {path.name for path in (runs / "copy_short" / "seed_0").iterdir()}


def test_a_new_evaluated_split_trains_nothing(workflow: Workflow) -> None:
    with workflow.configured("data.world.evaluate", ["test", "spare"]):
        pending = workflow.pending()
    assert (pending["predict"], pending["start"], pending["score"]) == (3, 2, 5)
    assert not {"train", "tune", "embed", "export_encoder"} & set(pending)


def test_a_comparison_key_compares_again(workflow: Workflow) -> None:
    with workflow.configured("comparisons.small.alpha", 0.01):
        assert workflow.pending() == ANALYSIS


def test_settings_rerun_nothing(workflow: Workflow) -> None:
    with workflow.configured("settings", {"checkpoint_every": 3, "tensorboard": False}):
        assert workflow.pending() == {}


def test_one_new_video_touches_its_shard_alone(workflow: Workflow) -> None:
    videos = workflow.folder / "videos with blanks"
    new = videos / "one more.mp4"
    shutil.copy(next(videos.glob("clip*")), new)
    try:
        pending = workflow.pending()
    finally:
        new.unlink()
    assert {rule: pending[rule] for rule in ("index", "extract", "embed", "merge_index", "split")} == {
        "index": 1, "extract": 1, "embed": 1, "merge_index": 1, "split": 1}  # fmt: skip
    assert "generate" not in pending and pending["start"] == 1, "the world stays, and gru_own starts anew"
    assert "train" not in pending, "what was trained on the world stays"


def test_a_vanished_video_touches_its_shard_alone(workflow: Workflow) -> None:
    video = next((workflow.folder / "videos with blanks").glob("clip*"))
    kept = video.rename(workflow.folder / "kept.mp4")
    try:
        pending = workflow.pending()
    finally:
        kept.rename(video)
    assert pending["index"] == 1 and pending["embed"] == 1


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        ("tasks.short.histroy", 3, "tasks.short.histroy: unknown key; did you mean 'history'?"),
        ("data.own.source.path", "nowhere", "nowhere"),
    ],
)
def test_a_wrong_config_is_one_message_and_no_traceback(
    workflow: Workflow, path: str, value: object, words: str
) -> None:
    with workflow.configured(path, value):
        text = workflow.snakemake("-n", check=False)
    assert words in text and "Traceback" not in text


def test_a_history_longer_than_every_video_names_the_remedy(workflow: Workflow) -> None:
    with workflow.configured("tasks.short.history", 500):
        text = workflow.snakemake("results/runs/copy_short/seed_0/model.safetensors", check=False)
    assert "history 500" in text and "lower the task's history" in text


def test_snakemakes_own_report_and_graphs(workflow: Workflow) -> None:
    workflow.snakemake("--report", "snakemake-report.html")
    assert (workflow.folder / "snakemake-report.html").stat().st_size > 100_000
    for option in ("--dag", "--rulegraph", "--filegraph"):
        assert "digraph" in workflow.snakemake(option)


def test_lint(workflow: Workflow) -> None:
    assert "Congratulations" in workflow.snakemake("--lint")
