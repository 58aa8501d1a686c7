"""What trains has a job that trains, what does not starts where it predicts; one job a run for all evaluated splits."""

from __future__ import annotations

import copy
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from framecast.config import loading
from framecast.config.base import Config
from framecast.core.files import file_digest, read_json
from framecast.core.validation import parse
from framecast.prediction import inference
from framecast.stores import predictions
from framecast.training import runs
from framecast.weights import run_files, state_dict
from framecast.workflow import plan, run_rules
from framecast.workflow.inputs import Flow
from tests import toys
from tests.training.test_loop import run

DEFAULT = loading.default()
QUIET = {"device": "cpu"}
PREDICTED = ("experiment", "seed", "task", "model", "data", "fingerprint")


def planned(**active: Any) -> dict[str, Any]:
    return plan.resolve(parse(Config, {**copy.deepcopy(DEFAULT), "run": active}))


@pytest.fixture(scope="module")
def default() -> dict[str, Any]:
    everything = sorted(set(DEFAULT["experiments"]))
    return planned(experiments=everything, comparisons=sorted(DEFAULT["comparisons"]), pictures=["ip2p_5"])


# --- the plan --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("experiment", "weights_from"),
    [
        ("tmdn_1", "train"),
        ("copy_last_1", "predict"),
        ("random_progress", "predict"),
        ("round_trip_5", "predict"),
        ("tmdn_head_1", "parent"),
        ("unet_last", "parent"),
        ("ip2p_5_estimate", "parent"),
    ],
)
def test_where_weights_come_from(default: dict[str, Any], experiment: str, weights_from: str) -> None:
    assert default["experiments"][experiment]["weights"] == weights_from


def test_what_others_read_keeps_a_job_of_its_own() -> None:
    alone, read = planned(experiments=["pac_net_20"]), planned(experiments=["ip2p_5_estimate"])
    assert alone["experiments"]["pac_net_20"]["weights"] == "parent"
    assert read["experiments"]["pac_net_20"]["weights"] == "train", "its estimates are written into prompts"


@pytest.mark.parametrize(
    ("change", "weights_from"),
    [
        ({"init": {"experiment": "tmdn_1", "fresh": ["core.head"]}}, "predict"),
        ({"init": {"experiment": "tmdn_5"}, "model": "tmdn"}, "parent"),
        ({"init": {"experiment": "gru_1"}}, "predict"),
        ({"init": {"file": "somewhere.safetensors"}}, "predict"),
        ({"budget": "predictor"}, "train"),
    ],
)
def test_only_a_difference_in_inference_takes_the_parents_file(change: dict[str, Any], weights_from: str) -> None:
    mapping = copy.deepcopy(DEFAULT)
    mapping["experiments"]["tmdn_head_1"] |= change
    made = plan.resolve(parse(Config, {**mapping, "run": {"experiments": ["tmdn_head_1"]}}))
    assert made["experiments"]["tmdn_head_1"]["weights"] == weights_from


def test_a_loss_is_no_part_of_what_never_trains(default: dict[str, Any]) -> None:
    code = default["experiments"]["copy_last_1"]["code"]
    assert code["start"] != code["train"]


# --- the rules -------------------------------------------------------------------------------------------------------


def test_one_rule_predicts_and_one_scores_all_evaluated_splits_of_a_run(default: dict[str, Any]) -> None:
    *rules, last = run_rules.predict(default)
    assert last is run_rules.ANY_SPLIT and len({rule.name for rule in rules}) == len(rules)
    for made in (rules, run_rules.score(default)):
        for name, experiment in default["experiments"].items():
            found = [rule.splits for rule in made if re.fullmatch(rule.names, name)]
            assert found == [experiment["evaluate"]], name


def test_the_select_split_is_predicted_apart() -> None:
    mapping = copy.deepcopy(DEFAULT)
    mapping["data"]["objects"]["evaluate"] = ["select", "test"]
    made = plan.resolve(parse(Config, {**mapping, "run": {"experiments": ["simvp"]}}))
    rule = next(rule for rule in run_rules.predict(made) if re.fullmatch(rule.names, "unet"))
    assert rule.splits == ["test"], "simvp learns from what unet predicts for `select`"
    assert run_rules.score(made)[0].splits == ["select", "test"]


def test_galleries_and_pictures(default: dict[str, Any]) -> None:
    pictures = run_rules.pictures(default)
    assert [(rule.name, rule.names, rule.splits) for rule in pictures] == [("pictures_actions", "ip2p_5", ["basic", "cyclic"])]  # fmt: skip  # noqa: E501
    galleries = run_rules.galleries(default)
    drawn = {
        name: rule.splits for rule in galleries for name in default["comparisons"] if re.fullmatch(rule.names, name)
    }
    assert drawn == {name: comparison["splits"] for name, comparison in default["comparisons"].items()}


def test_nothing_matches_an_empty_list() -> None:
    assert not re.fullmatch(run_rules.any_of([]), "") and not re.fullmatch(run_rules.any_of([]), "a")
    assert re.fullmatch(run_rules.any_of(["a.b", "c"]), "a.b") and not re.fullmatch(run_rules.any_of(["a.b"]), "axb")


def test_inputs_of_a_run(default: dict[str, Any], tmp_path: Path) -> None:
    flow = Flow(default, {name: {0: "a"} for name in default["data"]}, tmp_path)
    run_of = tmp_path / "runs"
    head = flow.run_inputs(SimpleNamespace(experiment="tmdn_head_1", seed="0"), "start")
    assert head["parent"][0] == str(run_of / "tmdn_1" / "seed_0" / "model.safetensors")
    asked = SimpleNamespace(experiment="tmdn_head_1", seed="0", split="select")
    assert flow.run_inputs(asked, "predict")["run"] == [head["parent"][0], str(run_of / "tmdn_head_1/seed_0/run.json")]
    moved = flow.run_inputs(SimpleNamespace(experiment="shift_mask", seed="0"), "start")["sources"]
    assert {Path(path).stem for path in moved} == {"unlabeled", "select", "test"}
    training = flow.run_inputs(SimpleNamespace(experiment="simvp", seed="0"), "train")
    assert {Path(path).stem for path in training["sources"]} == {"unlabeled", "select"} and training["tuned"] == []


# --- runs that start -------------------------------------------------------------------------------------------------


@pytest.fixture
def family(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """runs/toy/seed_3, trained, and runs/child/seed_3, which takes its weights."""
    toys.place(monkeypatch)
    parent, child = (tmp_path / "runs" / name / "seed_3" for name in ("toy", "child"))
    parent.mkdir(parents=True)
    run(parent, toys.spec())
    spec = toys.spec("child", budget__steps=0, init={"experiment": "toy", "file": None, "seed": None, "fresh": []})
    stores = toys.Stores(parent / "samples.parquet")
    runs.start(spec, stores, parent / run_files.WEIGHTS, {"run": child / run_files.RECORD}, QUIET)
    return tmp_path / "runs"


def predicted(folder: Path, stores: toys.Stores) -> predictions.Predictions:
    spec = {key: read_json(folder / run_files.RECORD)["spec"][key] for key in PREDICTED} | {
        "inference": {"spread": 0.0}
    }
    inference.predict(spec, folder, stores, "test", folder / "test.h5", QUIET)
    return predictions.read(folder / "test.h5")


def test_a_run_that_takes_its_parents_weights_predicts_as_its_parent(family: Path) -> None:
    parent, child = (family / name / "seed_3" for name in ("toy", "child"))
    stores = toys.Stores(parent / "samples.parquet")
    assert sorted(path.name for path in child.iterdir()) == [run_files.RECORD]
    record = read_json(child / run_files.RECORD)
    assert record["weights_of"] == "toy/seed_3" and record["parent"] == file_digest(parent / run_files.WEIGHTS)
    assert record["steps"] == record["trained_parameters"] == 0 < record["parameters"]
    own, theirs = predicted(child, stores), predicted(parent, stores)
    assert own.arrays["y"].tobytes() == theirs.arrays["y"].tobytes()
    assert own.attrs["weights"] == theirs.attrs["weights"] == file_digest(parent / run_files.WEIGHTS)


def test_a_run_without_its_parent_says_what_is_missing(family: Path) -> None:
    (family / "toy" / "seed_3" / run_files.WEIGHTS).unlink()
    with pytest.raises(FileNotFoundError, match=r"takes the weights of run toy/seed_3, and .* is not there"):
        inference.load_run(family / "child" / "seed_3")


def test_a_start_keeps_its_own_weights_where_they_are_asked_for(family: Path, tmp_path: Path) -> None:
    parent = family / "toy" / "seed_3"
    stores = toys.Stores(parent / "samples.parquet")
    out = {"run": tmp_path / run_files.RECORD, "model": tmp_path / run_files.WEIGHTS}
    runs.start(
        read_json(family / "child/seed_3" / run_files.RECORD)["spec"], stores, parent / run_files.WEIGHTS, out, QUIET
    )
    assert "weights_of" not in read_json(out["run"]) and run_files.weights_file(tmp_path) == out["model"]
    assert state_dict.load(out["model"]).keys() == state_dict.load(parent / run_files.WEIGHTS).keys()


def test_a_start_without_weights_needs_a_parent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    toys.place(monkeypatch)
    with pytest.raises(ValueError, match="takes its parent's weights, and `init` names none"):
        runs.start(toys.spec(budget__steps=0), toys.stores(tmp_path), None, {"run": tmp_path / run_files.RECORD}, QUIET)
