"""Tracks: what belongs to one, which of them are active, and what the target of one makes."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from framecast.config import loading
from framecast.config.base import Config
from framecast.core.validation import ConfigError, parse
from framecast.workflow import plan
from framecast.workflow.inputs import Flow

DEFAULT = loading.default()
RESULTS = Path("results")


NO_RULES: list[SimpleNamespace] = []


def made(run: dict[str, Any]) -> dict[str, Any]:
    config = copy.deepcopy(DEFAULT)
    config["run"] |= run
    return plan.resolve(parse(Config, config))


@pytest.fixture(scope="module")
def flow() -> Flow:
    plan = made({})
    return Flow(plan, {name: {0: "digest", 1: "digest"} for name in plan["data"]}, RESULTS)


def test_the_default_has_four_tracks_and_every_active_entry_belongs_to_one() -> None:
    plan = made({})
    assert list(plan["tracks"]) == ["embedding", "masks", "progress", "frames"]
    for kind in ("experiments", "comparisons"):
        members = [name for track in plan["tracks"].values() for name in track[kind]]
        assert sorted(members) == sorted(plan[kind])


def test_the_targets_of_all_tracks_make_everything_but_workbook_and_page(flow: Flow) -> None:
    of_tracks = [path for track in flow.tracks(NO_RULES) for path in flow.track(track)]
    everything = [*flow.comparisons(), *flow.galleries(), *flow.scores(), *flow.all_caches(), *flow.probes(),
                  *flow.submissions(), *flow.pictures()]  # fmt: skip
    assert sorted(of_tracks) == sorted(everything)


def test_the_target_of_a_track_makes_what_belongs_to_it_alone(flow: Flow) -> None:
    paths = flow.track("masks")
    assert "results/comparisons/masks.json" in paths and "results/galleries/masks/test.png" in paths
    assert "results/runs/simvp_tuned/seed_0/submission/hidden" in paths
    assert "results/runs/unet/seed_0/scores/test.csv" in paths
    assert not [path for path in paths if "gap_1" in path or "ip2p" in path or "embeddings" in path]


def test_a_comparison_says_its_track_and_the_reports_read_their_members(flow: Flow) -> None:
    made = json.loads(flow.comparison(SimpleNamespace(comparison="masks")))
    assert made["track"] == {"name": "masks", "title": "Future masks", "primary": True}
    members = json.loads(flow.track_members())
    assert list(members) == flow.tracks(NO_RULES) and "masks" in members["masks"]["comparisons"]
    for track in members.values():
        records = [json.loads(flow.comparison(SimpleNamespace(comparison=name))) for name in track["comparisons"]]
        assert [one["track"]["primary"] for one in records] == [True] + [False] * (len(records) - 1)


def test_one_track_is_active_with_what_it_needs_of_others() -> None:
    plan = made({"tracks": ["frames"]})
    assert list(plan["comparisons"]) == ["pixels_5"]
    assert list(plan["tracks"]) == ["progress", "frames"], "estimates in prompts need PAC-Net"
    assert plan["tracks"]["progress"]["experiments"] == ["pac_net_elapsed", "pac_net_20"]
    assert plan["tracks"]["progress"]["comparisons"] == []


def test_a_track_takes_its_experiments_and_submissions_along() -> None:
    plan = made({"tracks": ["masks"]})
    assert {one["spec"]["data"] for one in plan["experiments"].values()} == {"objects"}
    assert plan["experiments"]["simvp_tuned"]["hidden"] == ["hidden"]


def test_tracks_of_which_run_lists_nothing_are_refused_with_the_remedy() -> None:
    with pytest.raises(ConfigError, match=r"run\.tracks: nothing that `run` lists .*\['frames'\].*run\.comparisons"):
        made({"tracks": ["frames"], "comparisons": ["gap_1"]})


def test_the_track_is_no_part_of_a_run() -> None:
    config = copy.deepcopy(DEFAULT)
    for task in config["tasks"].values():
        task.pop("track")
    without = plan.resolve(parse(Config, config))
    assert without["tracks"] == {}
    assert without["experiments"] == made({})["experiments"]


def test_a_track_named_like_a_rule_is_refused() -> None:
    flow = Flow(made({}), {}, Path("results"))
    with pytest.raises(SystemExit, match=r"tracks\.masks: a rule has this name; call the track something else"):
        flow.tracks([SimpleNamespace(name="masks")])
