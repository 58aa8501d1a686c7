"""Wrong configs stop at once, with the key, the value, what is allowed and the nearest name."""

from __future__ import annotations

import copy
import shutil
from pathlib import Path
from typing import Any

import pytest

from framecast.config import loading
from framecast.config.base import Config
from framecast.core.validation import ConfigError, parse
from framecast.workflow import plan

DEFAULT = loading.default()
DEFAULT["run"]["comparisons"].append("gap_1")  # the demo leaves it to the study


def changed(path: str, value: Any) -> dict[str, Any]:
    config = copy.deepcopy(DEFAULT)
    *parents, last = path.split(".")
    place = config
    for key in parents:
        place = place[key]
    place[last] = value
    return config


def error(config: dict[str, Any]) -> str:
    with pytest.raises(ConfigError) as caught:
        plan.resolve(parse(Config, config))
    return str(caught.value)


def test_the_default_is_valid() -> None:
    made = plan.resolve(parse(Config, DEFAULT))
    assert "tmdn_1" in made["experiments"]
    assert ["world", "tiny"] in [list(pair) for pair in made["caches"]]


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        ("budget", {}, ["budget: unknown key", "'budgets'"]),
        ("data.world.bucket", 3, ["data.world.bucket: unknown key", "'buckets'", "splits"]),
        ("data.world.source.video", 3, ["data.world.source.video: unknown key", "'videos'", "fps"]),
        ("data.world.buckets", "many", ["data.world.buckets", "'many'", "integer"]),
        ("data.world.source.kind", "wrold", ["data.world.source", "wrold", "'plain'"]),
        ("data.world.source.frames", [10, 20], ["data.world.source", "[10, 20]", "40"]),
        ("data.world.splits.fractions", {"train": 0.5}, ["0.5, not 1"]),
        ("data.world.select", "validation", ["no split 'validation'", "select"]),
        ("tasks.next_1.histroy", 30, ["tasks.next_1.histroy: unknown key", "'history'"]),
        ("tasks.next_1.name", "embeding", ["tasks.next_1.name", "'embeding'", "'embedding'"]),
        ("models.gru.cell", "gruu", ["models.gru.cell", "gruu", "lstm"]),
        ("models.gru.name", "recurent", ["models.gru.name", "'recurrent'"]),
        ("experiments.tmdn_1.model", "tdmn", ["experiments.tmdn_1.model", "'tdmn'", "'tmdn'"]),
        ("experiments.tmdn_1.inference", {"smaples": 3}, ["experiments.tmdn_1.inference.smaples", "'samples'"]),
        ("experiments.tmdn_1.seeds", [], ["experiments.tmdn_1.seeds"]),
        ("encoders.tiny.view", "65", ["encoders.tiny.view", "'65'", "64"]),
        ("encoders.tiny.kind", "dyno", ["encoders.tiny.kind", "'dino'"]),
        ("encoders.tiny.hub", "x/y", ["encoders.tiny", "either"]),
        ("run.comparisons", ["gap_2"], ["run.comparisons", "'gap_2'", "gap_1, gap_5"]),
        ("comparisons.gap_1.splits", ["select"], ["comparisons.gap_1.splits", "served for selection", "test"]),
        ("comparisons.gap_1.treatments", ["gru_5"], ["comparisons.gap_1", "no samples in common"]),
        ("comparisons.gap_1.treatments", ["copy_last_1"], ["is the baseline itself"]),
        ("comparisons.masks.treatments", ["unet"], ["comparisons.masks", "no samples in common", "task segment,"]),
        ("tasks.future.source.experiment", "u-net", ["tasks.future.source.experiment", "'u-net'", "'unet'"]),
        ("tasks.future.source.seed", 3, ["tasks.future.source.seed", "'unet' has no seed 3", "[0]"]),
        ("tasks.future.unlabeled", ["unlabelled"], ["tasks.future.unlabeled", "'unlabelled'", "'unlabeled'"]),
        ("experiments.unet.data", "world", ["tasks.future", "'unet' is on data 'world'", "same videos"]),
        ("tasks.future.unlabeled", ["test"], ["tasks.future.unlabeled", "'test'", "may not be learned", "'unlabeled'"]),
        ("tasks.future.unlabeled", ["hidden"], ["tasks.future.unlabeled", "'hidden'", "may not be learned"]),
        ("tasks.future.unlabeled", ["unlabeled", "unlabeled"], ["tasks.future.unlabeled", "twice"]),
        ("tasks.future.source", None, ["tasks.future", "need a `source`"]),
        ("tasks.future.source.experiment", "unet_last", ["tasks.future.source", "frame 21 alone", "every frame"]),
        ("tasks.future.classes", 21, ["tasks.future", "no multiple of colours = 8", "colours: 0"]),
        ("tasks.segment.classes", 61, ["tasks.future.source", "61 classes", "needed are masks of 49 classes"]),
        ("run.submissions", ["unet"], ["run.submissions", "'segment' of 'unet' writes no submissions"]),
        ("data.objects.hidden", ["secret"], ["data.objects", "no split 'secret'", "hidden"]),
        ("data.objects.hidden", [], ["run.submissions", "data.objects", "hidden"]),
        ("run.pictures", ["simvp_2"], ["run.pictures", "'simvp_2'", "simvp_tuned"]),
        ("run.pictures", ["tmdn_1"], ["run.pictures", "task 'next_1' of 'tmdn_1' draws no pictures", "pixels"]),
        ("run.submissions", ["simvp_2"], ["run.submissions", "'simvp_2'", "simvp_tuned"]),
        ("run.tracks", ["mask"], ["run.tracks", "no track 'mask'", "did you mean 'masks'", "embedding, frames"]),
        ("run.tracks", [], ["run.tracks", "at least 1"]),
        ("tasks.future.track", "mask", ["tasks.future.track", "no track 'mask'", "did you mean 'masks'"]),
        ("models.gru.track", "masks", ["models.gru.track: unknown key"]),
    ],
)
def test_what_is_wrong_is_said(path: str, value: Any, words: list[str]) -> None:
    text = error(changed(path, value))
    for word in words:
        assert word in text, text


def test_every_wrong_key_is_listed_at_once() -> None:
    config = changed("data.world.bucket", 3)
    config["experiments"]["tmdn_1"]["seed"] = 3
    text = error(config)
    assert "data.world.bucket" in text and "experiments.tmdn_1.seed" in text


def test_circles_are_refused() -> None:
    config = changed("experiments.tmdn_1.init", {"experiment": "gru_1"})
    config["experiments"]["gru_1"]["init"] = {"experiment": "tmdn_1"}
    assert "in a circle: " in error(config)


def test_an_init_seed_that_is_not_there() -> None:
    config = changed("experiments.tmdn_1.init", {"experiment": "gru_1", "seed": 77})
    assert "experiment 'gru_1' has no seed 77" in error(config)


def test_parents_come_along() -> None:
    config = changed("run", {"experiments": ["gru_1"], "comparisons": []})
    made = plan.resolve(parse(Config, config))
    assert list(made["experiments"]) == ["tiny_encoder", "gru_1"]


def test_sources_come_along_and_tasks_that_score_the_same_samples_may_be_compared() -> None:
    config = changed("run", {"comparisons": ["masks"]})
    made = plan.resolve(parse(Config, config))
    names = list(made["experiments"])
    assert names.index("unet") < names.index("simvp") < names.index("simvp_tuned")
    specs = {name: made["experiments"][name]["spec"] for name in names}
    assert specs["simvp"]["samples"] == specs["unet_last"]["samples"] and "samples" not in specs["unet"]
    assert made["experiments"]["simvp_tuned"]["hidden"] == []


def test_inference_changes_nothing_of_training() -> None:
    one = plan.resolve(parse(Config, DEFAULT))["experiments"]["tmdn_1"]
    other = plan.resolve(parse(Config, changed("experiments.tmdn_1.inference", {"mode": "sample"})))["experiments"][
        "tmdn_1"
    ]
    assert one["spec"] == other["spec"] and one["inference"] != other["inference"]


def test_the_unit_is_the_recording_where_recordings_are_known() -> None:
    for source, unit in (({"group": "_(g[0-9]+)_"}, "group"), ({}, "video")):
        config = changed("data.own", {"source": {"kind": "plain", "path": "videos", **source}})
        config["experiments"]["own"] = {"task": "next_1", "data": "own", "model": "copy_last", "budget": "none"}
        config["run"] = {"experiments": ["own"]}
        assert plan.resolve(parse(Config, config))["data"]["own"]["unit"] == unit


def test_light_mode_caps_videos_and_steps() -> None:
    made = plan.resolve(parse(Config, changed("light", {"videos": 8, "steps": 3})))
    assert made["data"]["world"]["source"]["videos"] == 8
    assert max(one["spec"]["budget"]["steps"] for one in made["experiments"].values()) == 3


def test_the_plan_is_cached_by_config_and_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = plan.make(DEFAULT, tmp_path)
    monkeypatch.setattr(plan, "resolve", lambda config: pytest.fail("resolved again"))
    assert plan.make(copy.deepcopy(DEFAULT), tmp_path) == first
    monkeypatch.setattr(plan, "source_digest", lambda: "other code")
    with pytest.raises(BaseException, match="resolved again"):
        plan.make(DEFAULT, tmp_path)


def test_an_edited_template_makes_the_page_again_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(plan.SOURCE / "framecast/analysis/report", tmp_path / "framecast/analysis/report")
    before, source = {stage: plan._code(stage) for stage in ("report", "summarize")}, plan.source_digest()
    monkeypatch.setattr(plan, "SOURCE", tmp_path)
    assert {stage: plan._code(stage) for stage in before} == before and plan.source_digest() != source
    source = plan.source_digest()
    with (tmp_path / "framecast/analysis/report/templates/page.html").open("a") as file:
        file.write("<!-- more -->")
    assert plan._code("report") != before["report"] and plan._code("summarize") == before["summarize"]
    assert plan.source_digest() != source


def test_plans_are_plain_json_and_the_same_fresh_or_read_back(tmp_path: Path) -> None:
    """Snakemake compares parameters with those of the last run: a tuple that comes back as a list would re-run."""
    from framecast.core.files import canonical

    assert canonical(plan.make(DEFAULT, tmp_path)) == canonical(plan.make(DEFAULT, tmp_path))
