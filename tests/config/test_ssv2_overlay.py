"""config/ssv2.yaml on the default: valid, the brief's numbers, and the eight evaluations with their paired tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from framecast.config import loading
from framecast.config.base import Config
from framecast.core.validation import parse
from framecast.workflow import plan

ROOT = Path(__file__).resolve().parents[2]
MODELS = ("p2p_21", "p2p_21_progress", "p2p_25", "p2p_25_progress")


@pytest.fixture(scope="module")
def made() -> dict[str, Any]:
    return plan.resolve(parse(Config, loading.load([ROOT / "config" / "ssv2.yaml"])))


def test_four_models_are_evaluated_on_both_splits_and_drawn(made: dict[str, Any]) -> None:
    assert set(made["data"]) == {"ssv2"}
    for name in MODELS:
        experiment = made["experiments"][name]
        assert experiment["evaluate"] == ["basic", "cyclic"] and experiment["pictures"] and experiment["seeds"] == [42]
        assert experiment["spec"]["budget"]["steps"] == 40 * 7962 // 16
        assert experiment["spec"]["task"]["input"] == 20 and experiment["spec"]["init"] is None
        assert str(experiment["spec"]["task"]["target"]) in name
    prompts = {name: made["experiments"][name]["spec"]["task"]["prompts"] for name in MODELS}
    assert prompts == dict(zip(MODELS, ["ssv2_plain", "ssv2_index"] * 2, strict=True))
    pairs = {(one["baseline"], treatment) for one in made["comparisons"].values() for treatment in one["treatments"]}
    assert {("p2p_21", "p2p_21_progress"), ("p2p_25", "p2p_25_progress")} <= pairs
    assert all(one["splits"] == ["basic", "cyclic"] for one in made["comparisons"].values())


def test_variants_train_nothing_and_are_sampled_as_their_models_are(made: dict[str, Any]) -> None:
    model = made["experiments"]["p2p_21"]["spec"]["budget"]
    for name, experiment in made["experiments"].items():
        budget = experiment["spec"]["budget"]
        if experiment["spec"]["task"]["name"] == "pixels" and name not in MODELS:
            assert budget["steps"] == 0
            assert {key: budget[key] for key in ("batch", "precision")} == {
                key: model[key] for key in ("batch", "precision")
            }


def test_clips_and_files_are_the_briefs(made: dict[str, Any]) -> None:
    data = made["data"]["ssv2"]
    assert data["source"]["caps"] == {"train": 2000, "select": 20, "test": 100}
    tasks = [task for parts in data["by_task"]["test"].values() for task in parts]
    assert sorted(tasks) == sorted(data["source"]["tasks"])
    assert set(data["annotation_files"]) == {"train_filtered", "val_filtered", "val_filtered_backforth"}
    assert made["frame_sets"]["ssv2"]["views"] == {"96": [96, 96], "128": [128, 128], "224": [224, 224]}
