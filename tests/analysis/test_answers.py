"""What the first screen answers: the primary comparison, its best trained model, the strongest simple rule."""

from __future__ import annotations

from typing import Any

import pytest

from framecast.analysis import answers
from framecast.analysis.answers import Track
from framecast.analysis.verdicts import Verdict


def record(
    name: str, values: dict[str, float | None], metrics: tuple[str, ...] = ("mse",), track: Any = None
) -> dict[str, Any]:
    """A comparison's file: experiment → its mean; the first is the baseline, None has no scores and is refused."""
    baseline, *treatments = values
    cells = [(split, metric) for split in ("test", "other") for metric in metrics]
    keys = [{"treatment": one, "baseline": baseline, "split": split, "metric": metric} for one in treatments
            for split, metric in cells]  # fmt: skip
    refused = [
        key | {"verdict": Verdict.REFUSED, "reason": "no scores"} for key in keys if values[key["treatment"]] is None
    ]
    tests = [
        key | {"kind": "test", "verdict": Verdict.BETTER, "n": 9, "low": -0.5, "high": -0.1, "difference": -0.3,
               "relative_change": -0.25}
        for key in keys
        if values[key["treatment"]] is not None
    ]  # fmt: skip
    levels = [{"experiment": one, "split": split, "metric": metric, "value": value} for one, value in values.items()
              if value is not None for split, metric in cells]  # fmt: skip
    return {
        "comparison": name, "title": name.title(), "track": track, "baseline": baseline,
        "treatments": treatments, "splits": ["test", "other"], "metrics": list(metrics), "tests": tests,
        "intervals": [], "equalities": [], "refusals": refused, "levels": levels,
    }  # fmt: skip


RULES = {"copy", "mean"}
VALUES = {"copy": 0.8, "mean": 0.6, "small": 0.5, "large": 0.3}


def test_the_best_trained_treatment_and_the_best_rule_of_the_first_comparison() -> None:
    first, second = record("b", VALUES), record("a", {"mean": 0.1, "tiny": 0.01})
    tracks = {"t": Track("Title", ["copy"], ["b", "a"]), "none": Track("Empty")}
    found, empty = answers.answers(tracks, [second, first], RULES)
    assert found.comparison is first and (found.split, found.metric) == ("test", "mse")
    assert found.result and found.result["treatment"] == "large" and found.result["split"] == "test"
    assert found.rule and found.rule["experiment"] == "mean"
    assert empty == answers.Answer("Empty", "none") and answers.without_result(empty) == "no comparison is active"


def test_a_ceiling_is_neither_the_best_model_nor_the_strongest_rule() -> None:
    values = VALUES | {"sees it": 0.1, "is told": 0.2}
    compared = record("b", values) | {"ceilings": ["sees it", "is told"]}
    (found,) = answers.answers({"t": Track("Title", ["copy"], ["b"])}, [compared], RULES | {"is told"})
    assert found.result and found.result["treatment"] == "large"
    assert found.rule and found.rule["experiment"] == "mean"


def test_higher_is_better_where_the_metric_says_so() -> None:
    (found,) = answers.answers({}, [record("a", VALUES, ("iou",))], RULES)
    assert found.track is None and found.title == "A"
    assert found.result and found.rule and (found.result["treatment"], found.rule["experiment"]) == ("small", "copy")


@pytest.mark.parametrize(
    ("metrics", "chosen"),
    [(("iou_corpus", "iou"), "iou"), (("mse_best", "mse"), "mse"), (("rank_all", "iou_corpus"), "rank_all")],
)
def test_the_metric_is_the_first_that_can_be_tested(metrics: tuple[str, ...], chosen: str) -> None:
    assert answers.primary_metric(record("a", VALUES, metrics)) == chosen


def test_what_has_no_scores_comes_last_and_is_refused_with_its_reason() -> None:
    (found,) = answers.answers({}, [record("a", {"copy": 0.8, "lost": None})], RULES)
    assert found.result and answers.effect(found.result, "copy") == ("no scores", "")
    (found,) = answers.answers({}, [record("a", {"copy": 0.8, "lost": None, "large": 0.3})], RULES)
    assert found.result and found.result["treatment"] == "large"


def test_a_comparison_of_rules_alone_has_no_verdict_and_one_without_any_no_rule() -> None:
    (rules,) = answers.answers({}, [record("a", {"copy": 0.8, "mean": 0.6})], RULES)
    assert rules.result is None and rules.rule and answers.without_result(rules) == "no treatment is trained"
    (trained,) = answers.answers({}, [record("a", {"small": 0.5, "large": 0.3})], RULES)
    assert trained.rule is None and trained.result


def test_files_say_which_track_they_belong_to() -> None:
    records = [
        record("a", VALUES, track={"name": "t", "title": "Title", "primary": False}),
        record("b", {"copy": 0.8, "other": 0.2}, track={"name": "t", "title": "Title", "primary": True}),
        record("c", VALUES),
    ]
    tracks = answers.from_records(records)
    assert tracks == {"t": Track("Title", ["copy", "other", "mean", "small", "large"], ["b", "a"])}
    assert [one["comparison"] for one in answers.untracked(tracks, records)] == ["c"]
    assert [one.comparison and one.comparison["comparison"] for one in answers.answers(tracks, records, RULES)] == [
        "b",
        "c",
    ]


def test_effects_are_said_with_the_interval_of_the_difference() -> None:
    test = {"metric": "mse", "verdict": Verdict.BETTER, "difference": -0.3, "low": -0.5, "high": -0.1}
    assert answers.effect(test | {"relative_change": -0.25}, "copy") == ("25.0% lower", "−0.3 [−0.5, −0.1]")
    gain = {"metric": "psnr", "verdict": Verdict.INTERVAL, "difference": 0.31, "low": 0.1, "high": 0.52}
    assert answers.effect(gain, "copy") == ("0.31 dB higher", "[0.1, 0.52]")
    assert answers.effect({"verdict": Verdict.EQUAL}, "copy") == ("equal to copy", "")
