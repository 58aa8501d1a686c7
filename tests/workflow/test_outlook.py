"""What a run says before its first job."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from framecast.workflow import outlook
from framecast.workflow.inputs import Flow
from framecast.workflow.outlook import Work

MEASURED: dict[str, Any] = {
    "cores": 2,
    "rules": {"train": {"jobs": 4, "cpu_seconds": 400.0}, "score": {"jobs": 6, "cpu_seconds": 6.0}},
}
PLAN: dict[str, Any] = {
    "tracks": {
        "masks": {"title": "Future masks", "experiments": ["copy", "simvp"], "comparisons": ["masks", "tuning"]},
        "frames": {"title": "A later frame", "experiments": ["vae"], "comparisons": []},
    },
    "titles": {"copy": "copy mask 11", "simvp": "SimVP, small", "vae": "VAE"},
    "experiments": {name: {"spec": {"budget": {"steps": steps}}} for name, steps in
                    {"copy": 0, "simvp": 50, "vae": 9}.items()},
}  # fmt: skip


def train(experiment: str, seed: int = 0) -> Work:
    return Work("train", {"experiment": experiment, "seed": str(seed)}, [f"results/runs/{experiment}/seed_{seed}"])


JOBS = [train("copy"), train("simvp"), train("simvp", 1), Work("compare", {"comparison": "masks"}, ["masks.json"]),
        Work("report_page", {}, ["results/report.html"])]  # fmt: skip


def test_the_lines_say_jobs_trainings_comparisons_and_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert outlook.text(PLAN, JOBS, 2, None).splitlines() == [
        "5 jobs",
        "  masks: Future masks",
        "    trains SimVP, small × 2",
        "    compares masks",
        f"  → {tmp_path}/results/report.html",
    ]


@pytest.mark.parametrize(
    ("rules", "cores", "words"),
    [
        (["train", "train", "score"], 2, "about 3 min of CPU time: about 2 min on 2 free cores"),
        (["train", "score"], 1, "about 2 min of CPU time: about 2 min on 1 free core"),
        (["score", "score"], 2, "about 2 s of CPU time: about 1 s on 2 free cores"),
        (["train"] * 6, 16, "about 10 min of CPU time: at most 5 min on 16 free cores"),
        (["new"], 1, "about 41 s of CPU time: about 41 s on 1 free core"),
    ],
    ids=["two cores", "one core", "seconds", "more cores than measured", "a rule that was not measured"],
)
def test_the_time_is_that_of_the_jobs_that_are_left(rules: list[str], cores: int, words: str) -> None:
    assert outlook.duration([Work(rule, {}, []) for rule in rules], cores, MEASURED) == words


def test_what_was_spent_outside_of_jobs_is_shared_out() -> None:
    rules = {**MEASURED["rules"], "Snakemake": {"jobs": 0, "cpu_seconds": 50.0}}
    jobs = [Work(rule, {}, []) for rule in ["train"] * 4 + ["score"] * 6]
    assert outlook.duration(jobs, 1, {"cores": 2, "rules": rules}).startswith("about 8 min of CPU time")  # 456 s
    assert outlook.duration(jobs[-1:], 1, {"cores": 2, "rules": rules}).startswith("about 6 s of CPU time")


def job(rule: str, output: list[str]) -> SimpleNamespace:
    return SimpleNamespace(rule=SimpleNamespace(name=rule), wildcards={}, output=output)


@pytest.mark.parametrize(
    ("overlays", "changes", "timed"),
    [([], {}, True), (["my.yaml"], {}, False), ([], {"light": {}}, False)],
    ids=["default", "overlay", "--config"],
)
def test_the_measured_time_is_of_the_default_alone(
    tmp_path: Path, overlays: list[str], changes: dict[str, Any], timed: bool
) -> None:
    (tmp_path / "demo.json").write_text(json.dumps(MEASURED))
    workflow = SimpleNamespace(
        dag=SimpleNamespace(needrun_jobs=lambda: [job("score", ["scores.csv"]), job("all", [])]),
        overwrite_configfiles=overlays, config_settings=SimpleNamespace(overwrite_config=changes),
        resource_settings=SimpleNamespace(cores=2),
    )  # fmt: skip
    text = Flow(PLAN, {}, Path("results")).outlook(workflow, tmp_path / "demo.json")
    assert text.startswith("1 job") and ("CPU time" in text) == timed
