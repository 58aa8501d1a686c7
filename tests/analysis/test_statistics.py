"""Paired tests against scipy on hand-made cases, on null data, and on everything that must be refused."""

from __future__ import annotations

import json
import time

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from framecast import scores as score_files
from framecast.analysis import statistics
from framecast.analysis.paired_tests import holm
from framecast.analysis.verdicts import Verdict
from framecast.metrics import Metric, corpus_iou, corpus_rows
from framecast.scores import COLUMNS, Scores

METRICS = {
    "mse": Metric("MSE", "", "lower", "mean", ""),
    "psnr": Metric("PSNR", "dB", "higher", "mean", ""),
    "rank": Metric("rank", "", "lower", "median", "", gallery=True),
    "corpus": Metric("corpus IoU", "", "higher", "corpus", ""),
    "best": Metric("best of K", "", "lower", "mean", "", oracle=True),
}
ENTRY = {"title": None, "baseline": "a", "treatments": ["b"], "splits": ["test"], "metrics": ["mse"], "alpha": 0.05}


def tidy(values: dict[str, np.ndarray], metric: str = "mse", split: str = "test") -> pd.DataFrame:
    """experiment → [seeds, units, samples a unit] as scores."""
    parts = []
    for experiment, block in values.items():
        seed, unit, sample = np.indices(block.shape).reshape(3, -1)
        ids = [f"v{u}#{s}" for u, s in zip(unit, sample, strict=True)]
        units = [f"v{u}" for u in unit]
        parts.append(
            pd.DataFrame({"seed": seed, "sample_id": ids, "unit": units, "value": block.ravel()}).assign(
                experiment=experiment, data="d", split=split, metric=metric
            )
        )
    return pd.concat(parts, ignore_index=True)[COLUMNS]


def compare(scores: pd.DataFrame, facts=None, select: str = "select", **changes) -> dict:
    result = statistics.compare("c", ENTRY | changes, Scores.of(scores), facts or {}, select, METRICS)
    json.dumps(result, allow_nan=False)
    return result


def noise(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(10, 1, shape)


def refusal(scores: pd.DataFrame, **changes) -> str:
    result = compare(scores, **changes)
    assert not result["tests"] + result["intervals"] + result["equalities"] and len(result["refusals"]) == 1
    assert result["refusals"][0]["verdict"] == Verdict.REFUSED
    return result["refusals"][0]["reason"]


def test_numbers_are_those_of_scipy_on_unit_means():
    a, b = noise(3, 9, 4), noise(3, 9, 4, seed=1) - 0.5
    result = compare(tidy({"a": a, "b": b}))
    test = result["tests"][0]
    x, y = a.mean((0, 2)), b.mean((0, 2))
    expected = stats.ttest_rel(y, x)
    interval = expected.confidence_interval(0.95)
    assert (test["n"], test["df"], test["samples"]) == (9, 8, 36)
    assert test["t"] == pytest.approx(expected.statistic) and test["p"] == pytest.approx(expected.pvalue)
    assert (test["low"], test["high"]) == pytest.approx((interval.low, interval.high))
    rank = stats.wilcoxon(y, x)
    assert (test["wilcoxon"], test["wilcoxon_p"]) == pytest.approx((rank.statistic, rank.pvalue))
    assert test["dz"] == pytest.approx((y - x).mean() / (y - x).std(ddof=1))
    assert test["skill"] == pytest.approx(1 - y.mean() / x.mean())
    assert test["relative_change"] == pytest.approx(y.mean() / x.mean() - 1)
    assert test["p_holm"] == pytest.approx(test["p"]) and result["family"] == 1


def test_hand_computed_case():
    # Differences 1, 2, 3, 4, 5: mean 3, sd sqrt(2.5), t = 3 / sqrt(0.5).
    a = np.full((1, 5, 1), 10.0)
    test = compare(tidy({"a": a, "b": a + np.arange(1, 6)[None, :, None]}))["tests"][0]
    assert test["t"] == pytest.approx(3 / 0.5**0.5) and test["difference"] == pytest.approx(3)
    assert test["wilcoxon"] == 0 and test["wilcoxon_p"] == pytest.approx(2 / 2**5)
    assert (test["units_better"], test["units_worse"], test["ahead"]) == (0, 5, "baseline")
    assert (test["winner"], test["verdict"]) == ("a", Verdict.WORSE)
    assert not test["wilcoxon_significant"]  # 5 units cannot bring its p below 0.0625


def test_units_count_the_same_whatever_their_number_of_samples():
    scores = tidy({"a": np.ones((1, 4, 3)), "b": noise(1, 4, 3)})
    scores = scores[~((scores["unit"] == "v0") & (scores["sample_id"] != "v0#0"))]
    test = compare(scores)["tests"][0]
    part = scores[scores["experiment"] == "b"]
    assert test["treatment_value"] == pytest.approx(part.groupby("unit")["value"].mean().mean())
    assert test["treatment_value"] != pytest.approx(part["value"].mean())


def test_direction_of_metrics():
    a, b = noise(1, 12, 2), noise(1, 12, 2, seed=1) + 3
    lower, higher = tidy({"a": a, "b": b}), tidy({"a": a, "b": b}, "psnr")
    result = compare(pd.concat([lower, higher]), metrics=["mse", "psnr"])
    winners = {test["metric"]: test["winner"] for test in result["tests"]}
    skills = {test["metric"]: test["skill"] for test in result["tests"]}
    assert winners == {"mse": "a", "psnr": "b"} and skills["psnr"] is None and skills["mse"] < 0


def test_holm_by_hand_and_over_the_tests_made():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.8]) == [1, 1] and holm([]) == []
    values = {"a": noise(1, 10, 2), "b": noise(1, 10, 2, seed=1), "c": noise(1, 10, 2, seed=2)}
    scores = pd.concat([tidy(values), tidy({name: block + 1 for name, block in values.items()}, "best")])
    result = compare(scores, treatments=["b", "c"], metrics=["mse", "best"])
    assert result["family"] == len(result["tests"]) == 2 and len(result["refusals"]) == 2
    assert [test["p_holm"] for test in result["tests"]] == holm([test["p"] for test in result["tests"]])


def test_seeds_are_averaged_and_their_spread_is_shown():
    b = np.zeros((3, 5, 1)) + np.array([1.0, 2, 3])[:, None, None] + noise(1, 5, 1)
    result = compare(tidy({"a": noise(1, 5, 1, seed=3), "b": b}))
    level = next(level for level in result["levels"] if level["experiment"] == "b")
    assert level["sd_seeds"] == pytest.approx(1) and list(level["seeds"]) == ["0", "1", "2"]
    test = result["tests"][0]
    assert (test["baseline_seeds"], test["treatment_seeds"], test["seeds_better"]) == (1, 3, None)
    baseline = next(level for level in result["levels"] if level["experiment"] == "a")
    assert baseline["sd_seeds"] is None and baseline["n"] == 5


def test_three_wins_of_three_seeds():
    a = noise(3, 6, 2)
    assert compare(tidy({"a": a, "b": a - noise(3, 6, 2, seed=1)}))["tests"][0]["seeds_better"] == 3


def test_unequal_samples_are_refused_with_numbers_and_examples():
    scores = tidy({"a": noise(1, 6, 3), "b": noise(1, 6, 3, seed=1)})
    lacking = scores[~((scores["experiment"] == "b") & (scores["unit"] == "v2"))]
    reason = refusal(lacking)
    assert "b lacks 3 of the 18 samples of a" in reason and "'v2#0'" in reason
    both = lacking[~((lacking["experiment"] == "a") & (lacking["sample_id"] == "v1#1"))]
    assert "a lacks 1 of the 15 samples of b" in refusal(both)


@pytest.mark.parametrize("other", [[0, 1], [0, 1, 2, 3], [5, 6, 7]])
def test_unequal_sets_of_several_seeds_are_refused(other):
    scores = tidy({"a": noise(3, 6, 2), "b": noise(len(other), 6, 2, seed=1)})
    chosen = scores["experiment"] == "b"
    scores.loc[chosen, "seed"] = scores.loc[chosen, "seed"].map(dict(enumerate(other)))
    assert "unequal seeds" in refusal(scores)


def test_other_broken_pairings_are_refused():
    values = {"a": noise(2, 6, 2), "b": noise(2, 6, 2, seed=1)}
    scores = tidy(values)
    chosen = scores["experiment"] == "b"
    first = chosen & (scores["sample_id"] == "v0#0") & (scores["seed"] == 0)
    assert "no scores of mse" in refusal(scores[~chosen])
    assert "1 of the 24 values of b are not finite" in refusal(scores.assign(value=scores["value"].mask(first)))
    assert "more than once" in refusal(pd.concat([scores, scores[first]]))
    assert "11 with seed 0, 12 with seed 1" in refusal(scores[~first])
    assert "not the same data" in refusal(scores.assign(data=scores["data"].mask(chosen, "e")))
    moved = scores["unit"].mask(chosen & scores["sample_id"].eq("v0#0"), "v1")
    assert "other units" in refusal(scores.assign(unit=moved))
    assert "more than one unit" in refusal(scores.assign(unit=scores["unit"].mask(first, "v1")))


def test_too_few_units_and_no_variance_are_refused():
    assert "n = 1 " in refusal(tidy({"a": noise(1, 1, 9), "b": noise(1, 1, 9, seed=1)}))
    same = noise(2, 6, 2)
    whole = np.round(same)  # their sums are exact
    swapped = whole[:, :, ::-1]  # other scores of the samples, the same mean of each unit
    assert "identical on all 6 units" in refusal(tidy({"a": whole, "b": swapped}))
    assert "without variance" in refusal(tidy({"a": same, "b": same + 0.1}))


def test_every_test_has_the_verdict_of_its_difference_and_its_significance():
    a, small, large = noise(1, 12, 1), noise(1, 12, 1, seed=1) / 50, 3 + noise(1, 12, 1, seed=1) / 50
    sides = {"a": a, "b": a - large, "c": a + large, "d": a + small - small.mean() - 1e-3}
    sides["e"] = a + small - small.mean() + 1e-3
    result = compare(tidy(sides), treatments=["b", "c", "d", "e"])
    assert {test["treatment"]: test["verdict"] for test in result["tests"]} == {
        "b": Verdict.BETTER, "c": Verdict.WORSE, "d": Verdict.BETTER_OPEN, "e": Verdict.WORSE_OPEN,
    }  # fmt: skip
    ones = np.array([1.0, 0, 1, 0, 1, 1]).reshape(1, 6, 1)
    even = compare(tidy({"a": ones, "b": np.roll(ones, 1)}, "psnr"), metrics=["psnr"])["tests"][0]
    assert (even["difference"], even["ahead"], even["verdict"]) == (0, None, Verdict.EVEN)


DIGEST = statistics.PREDICTIONS


@pytest.mark.parametrize(
    ("digests", "verdict"),
    [
        ({"a": ["x"], "b": ["x", "x", "x"]}, Verdict.EQUAL),
        ({"a": ["x"], "b": ["x", "y", "x"]}, Verdict.SAME_SCORES),
        ({"a": ["x"], "b": ["z", "z", "z"]}, Verdict.SAME_SCORES),
        ({"a": [None], "b": [None, None, None]}, Verdict.SAME_SCORES),
        ({}, Verdict.SAME_SCORES),
    ],
)
def test_a_treatment_that_predicts_or_scores_the_same_is_said_to_and_not_tested(digests, verdict):
    a, c = noise(1, 6, 2) / 3, noise(1, 6, 2, seed=1)
    scores = tidy({"a": a, "b": np.repeat(a, 3, axis=0), "c": c})
    alone = compare(scores, treatments=["c"])
    facts = {name: {"test": [{DIGEST: one} for one in found]} for name, found in digests.items()}
    result = compare(scores, facts=facts, treatments=["b", "c"])
    one = result["equalities"][0]
    assert (one["verdict"], one["difference"], one["ahead"], one["n"]) == (verdict, 0, None, 6)
    assert (one["baseline_seeds"], one["treatment_seeds"]) == (1, 3)
    assert not result["refusals"] and result["tests"] == alone["tests"]  # the family is that of the tests made


def test_one_other_score_is_enough_for_a_test():
    a = noise(1, 6, 2)
    b = a.copy()
    b[0, 0, 0] += 0.1
    result = compare(tidy({"a": a, "b": b}))
    assert not result["equalities"] and result["tests"][0]["verdict"] == Verdict.WORSE_OPEN


def test_metrics_without_a_test_never_carry_a_verdict():
    """On null data and on data with a large effect alike: the interval is said, and nothing of better or worse."""
    rng, excluded = np.random.default_rng(0), 0
    for trial in range(40):
        shape = (1, 15, 4)
        ranks = tidy({name: rng.integers(1, 60, shape) + 30.0 * (trial % 2) * (name == "b") for name in "ab"}, "rank")
        skills = {"a": 0.5, "b": 0.8 if trial % 2 else 0.5}
        corpus = parts({name: counted(15, 1, 5, skill, int(rng.integers(2**31))) for name, skill in skills.items()}, 1)
        for metric, scores in (("rank", ranks), ("corpus", corpus)):
            result = compare(scores, metrics=[metric])
            one = result["intervals"][0]
            assert one["verdict"] == Verdict.INTERVAL and not {"winner", "significant"} & one.keys()
            assert result["family"] == 0 and not result["tests"]
            excluded += one["low"] > 0 or one["high"] < 0
    assert excluded >= 40  # what a verdict by the interval would have been made of


def test_oracle_is_shown_and_not_tested():
    result = compare(tidy({"a": noise(1, 6, 2), "b": noise(1, 6, 2, seed=1)}, "best"), metrics=["best"])
    assert "never tested" in result["refusals"][0]["reason"] and len(result["levels"]) == 2 and not result["tests"]


def test_unequal_galleries_are_refused():
    scores = tidy({"a": noise(1, 6, 2), "b": noise(1, 6, 2, seed=1)}, "rank")
    facts = {"a": {"test": [{"gallery": "x"}]}, "b": {"test": [{"gallery": "y"}]}}
    assert "unequal galleries: x for a, y for b" in refusal(scores, facts=facts, metrics=["rank"])
    facts["b"]["test"] = [{"gallery": {"rank": "x"}}]
    assert compare(scores, facts=facts, metrics=["rank"])["intervals"]
    del facts["b"]
    assert "none recorded" in refusal(scores, facts=facts, metrics=["rank"])


def test_wrong_entries_raise():
    scores = tidy({"a": noise(1, 6, 2), "b": noise(1, 6, 2, seed=1)})
    with pytest.raises(ValueError, match="served for early stopping"):
        compare(scores, select="test")
    with pytest.raises(ValueError, match="with itself"):
        compare(scores, treatments=["a"])
    with pytest.raises(ValueError, match="no metric 'mze'; there are"):
        compare(scores, metrics=["mze"])
    with pytest.raises(ValueError, match="twice under `splits`"):
        compare(scores, splits=["test", "test"])


def test_medians_get_an_interval_over_units_and_no_test():
    rng = np.random.default_rng(0)
    a = rng.integers(1, 60, (2, 30, 8)).astype(float)
    result = compare(tidy({"a": a, "b": np.maximum(a - rng.integers(8, 12, a.shape), 1)}, "rank"), metrics=["rank"])
    interval = result["intervals"][0]
    assert not result["tests"] and result["family"] == 0
    assert interval["baseline_value"] == np.median(a) and interval["low"] < interval["difference"] < interval["high"]
    assert interval["high"] < 0 and interval["ahead"] == "treatment" and interval["skill"] is None
    again = compare(tidy({"a": a, "b": np.maximum(a - 10, 1)}, "rank"), metrics=["rank"])["intervals"][0]
    assert again["baseline_interval"] == interval["baseline_interval"]


def test_resampled_medians_are_those_of_the_rows_written_out():
    rng = np.random.default_rng(1)
    values, units = rng.integers(0, 9, 31).astype(float), rng.integers(0, 5, 31)
    counts = rng.multinomial(5, np.full(5, 0.2), size=20)
    expected = [np.median(np.concatenate([np.repeat(values[units == u], c[u]) for u in range(5)])) for c in counts]
    assert statistics._resampled_medians(values, units, counts) == pytest.approx(np.array(expected))


def counted(samples: int, seeds: int, classes: int, skill: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """(intersection, union), each [seeds, samples, K]; the classes of a sample are the same with every seed of a call
    of one `samples` and `classes`."""
    rng, world = np.random.default_rng(seed), np.random.default_rng(samples)
    union = world.integers(1, 500, (samples, classes)) * (world.random((samples, classes)) < 0.3)
    union[:, 0] = 5000
    share = np.clip(rng.normal(skill, 0.15, (seeds, samples, classes)), 0, 1)
    return (share * union).astype(np.int64), np.broadcast_to(union, share.shape)


def parts(sides: dict[str, tuple[np.ndarray, np.ndarray]], samples_a_unit: int = 2) -> pd.DataFrame:
    """experiment → (intersection, union), each [seeds, samples, K], as scores."""
    blocks = []
    for experiment, counts in sides.items():
        for seed, (intersection, union) in enumerate(zip(*counts, strict=True)):
            sample, name, value = corpus_rows("corpus", intersection, union)
            ids, units = [f"s{s}" for s in sample], [f"v{s // samples_a_unit}" for s in sample]
            rows = {"seed": seed, "sample_id": ids, "unit": units, "metric": name, "value": value}
            blocks.append(pd.DataFrame(rows).assign(experiment=experiment, data="d", split="test"))
    return pd.concat(blocks, ignore_index=True)[COLUMNS]


def test_a_corpus_figure_is_that_of_all_counts_averaged_over_seeds_with_an_interval_and_no_test():
    sides = {"a": counted(60, 1, 7, 0.5, 0), "b": counted(60, 3, 7, 0.6, 1)}
    result = compare(parts(sides), metrics=["corpus"])
    interval, levels = result["intervals"][0], {one["experiment"]: one for one in result["levels"]}
    seeds = [corpus_iou(both, either) for both, either in zip(*sides["b"], strict=True)]
    assert not result["tests"] and not result["refusals"] and (interval["n"], interval["samples"]) == (30, 60)
    assert interval["treatment_value"] == pytest.approx(np.mean(seeds))
    assert list(levels["b"]["seeds"].values()) == pytest.approx(seeds)
    assert interval["difference"] == pytest.approx(levels["b"]["value"] - levels["a"]["value"])
    assert interval["low"] < interval["difference"] < interval["high"] and interval["low"] > 0
    assert (interval["ahead"], interval["skill"], interval["seeds_better"]) == ("treatment", None, None)
    assert [levels["a"]["low"], levels["a"]["high"]] == interval["baseline_interval"]  # one and the same draws
    assert levels["a"]["low"] < levels["a"]["value"] < levels["a"]["high"] and levels["a"]["sd_units"] is None


def test_resampled_corpus_figures_are_those_of_the_samples_written_out():
    both, either = counted(10, 2, 6, 0.5, 0)
    side = statistics.Corpus(Scores.of(parts({"a": (both, either)})))
    draws = np.random.default_rng(0).multinomial(5, np.full(5, 0.2), size=20)
    expected = []
    for draw in draws:
        chosen = np.repeat(np.arange(10), np.repeat(draw, 2))  # two samples a unit, v0 to v4
        expected.append(np.mean([corpus_iou(both[seed, chosen], either[seed, chosen]) for seed in range(2)]))
    assert side.resampled(draws) == pytest.approx(np.array(expected))


def test_a_comparison_of_means_and_corpus_figures_keeps_them_apart():
    scores = pd.concat([parts({"a": counted(20, 2, 5, 0.5, 0), "b": counted(20, 2, 5, 0.6, 1)}),
                        tidy({"a": noise(2, 10, 2), "b": noise(2, 10, 2, seed=1)}, "psnr")])  # fmt: skip
    result = compare(scores, metrics=["psnr", "corpus"])
    assert [one["metric"] for one in result["tests"] + result["intervals"]] == ["psnr", "corpus"]
    assert result["family"] == 1 and {one["metric"] for one in result["levels"]} == {"psnr", "corpus"}


def test_a_side_against_itself_differs_by_nothing():
    same = counted(20, 2, 5, 0.5, 0)
    result = compare(parts({"a": same, "b": same}), metrics=["corpus"])
    equal = result["equalities"][0]
    assert not result["intervals"] and (equal["difference"], equal["ahead"]) == (0, None)
    assert equal["verdict"] == Verdict.SAME_SCORES and equal["baseline_value"] == equal["treatment_value"]
    seed = Scores.of(parts({"a": same}))
    interval = statistics._interval(seed, seed, METRICS["corpus"], 0.05)
    assert (interval["low"], interval["high"], interval["verdict"], interval["ahead"]) == (0, 0, "interval only", None)


def test_broken_pairings_of_a_corpus_metric_are_refused():
    scores = parts({"a": counted(20, 2, 5, 0.5, 0), "b": counted(20, 2, 5, 0.6, 1)})
    side = scores["experiment"] == "b"
    sample, first = side & scores["sample_id"].eq("s0"), scores["seed"].eq(0)
    one = sample & first & scores["metric"].eq("corpus.union.0")
    assert "no scores of corpus" in refusal(scores[~side], metrics=["corpus"])
    assert "b lacks 1 of the 20 samples of a" in refusal(scores[~sample], metrics=["corpus"])
    assert "19 with seed 0, 20 with seed 1" in refusal(scores[~(sample & first)], metrics=["corpus"])
    assert "b scores 1 samples more than once" in refusal(pd.concat([scores, scores[one]]), metrics=["corpus"])
    assert "are not finite" in refusal(scores.assign(value=scores["value"].mask(one)), metrics=["corpus"])
    assert "other units" in refusal(scores.assign(unit=scores["unit"].mask(sample, "v1")), metrics=["corpus"])
    assert "more than one unit" in refusal(scores.assign(unit=scores["unit"].mask(one, "v1")), metrics=["corpus"])
    alone = parts({"a": counted(2, 1, 5, 0.5, 0), "b": counted(2, 1, 5, 0.6, 1)})
    result = compare(alone, metrics=["corpus"])
    assert "n = 1 " in result["refusals"][0]["reason"] and result["levels"][0]["low"] is None


def test_intervals_of_corpus_figures_cover_as_often_as_promised():
    rng = np.random.default_rng(0)
    truth, hits = 0.6, 0
    for _ in range(100):
        union = rng.integers(200, 400, (40, 3))
        both = rng.binomial(union, np.clip(rng.normal(truth, 0.1, (40, 3)), 0, 1))
        low, high = statistics.Corpus(Scores.of(parts({"a": (both[None], union[None])}, 1))).interval(0.05)
        hits += low <= truth <= high
    assert hits >= stats.binom.ppf(0.001, 100, 0.93)  # a percentile interval of 40 units is a little short


def test_a_thousand_videos_of_49_classes_take_seconds():
    scores = Scores.of(parts({"a": counted(1000, 3, 49, 0.5, 0), "b": counted(1000, 3, 49, 0.6, 1)}, 1))
    entry = ENTRY | {"metrics": ["corpus"]}
    start = time.monotonic()
    assert statistics.compare("c", entry, scores, {}, "select", METRICS)["intervals"][0]["n"] == 1000
    assert time.monotonic() - start < 10


def null_scores(tests: int, units: int, windows: int, seeds: int, effect: float, seed: int) -> pd.DataFrame:
    """Independent splits in which the windows of a video are alike, in level and in difference, as are the seeds."""
    rng = np.random.default_rng(seed)
    splits = np.array([f"s{index}" for index in range(tests)])
    shape = (tests, seeds, units, windows)
    video = rng.normal(10, 2, (tests, 1, units, 1))
    a = video + rng.normal(0, 0.5, shape)
    b = video + rng.normal(0, 1, (tests, 1, units, 1)) + rng.normal(0, 0.2, (tests, seeds, units, 1)) - effect
    b = b + rng.normal(0, 0.5, shape)
    split, run, unit, window = np.indices(shape).reshape(4, -1)
    names = pd.DataFrame(
        {
            "split": pd.Categorical.from_codes(split, splits),
            "seed": run,
            "sample_id": pd.Categorical.from_codes(unit * windows + window, [str(i) for i in range(units * windows)]),
            "unit": pd.Categorical.from_codes(unit, [str(i) for i in range(units)]),
        }
    ).assign(data="d", metric="mse")
    return pd.concat([names.assign(experiment="a", value=a.ravel()), names.assign(experiment="b", value=b.ravel())])


def p_values(scores: pd.DataFrame, key: str = "p") -> np.ndarray:
    return np.array([test[key] for test in compare(scores, splits=list(scores["split"].cat.categories))["tests"]])


def test_false_positives_are_as_rare_as_promised_and_planted_effects_are_found():
    tests, alpha = 200, 0.05
    null = null_scores(tests, units=12, windows=5, seeds=3, effect=0.0, seed=0)
    result = compare(null, splits=list(null["split"].cat.categories))["tests"]
    # 99.9 % bounds of a binomial count
    low, high = stats.binom.interval(0.999, tests, alpha)
    for key in ("p", "wilcoxon_p"):
        assert low <= sum(test[key] <= alpha for test in result) <= high
    # In families of five, any false positive at all is as rare after Holm.
    p = np.array([test["p"] for test in result]).reshape(-1, 5)
    wrong = sum(min(holm(family)) <= alpha for family in p)
    assert wrong <= stats.binom.ppf(0.999, len(p), alpha)
    # Taking windows and seeds as independent would cry wolf many times as often.
    sides = [part["value"].to_numpy().reshape(tests, -1) for _, part in null.groupby("experiment")]
    naive = stats.ttest_rel(*sides, axis=1).pvalue
    assert np.mean(naive <= alpha) > 0.4
    planted = null_scores(50, units=12, windows=5, seeds=3, effect=1.5, seed=1)
    assert np.mean(p_values(planted) <= alpha) > 0.95


def test_identical_input_gives_identical_json_and_files_round_trip(tmp_path):
    scores = tidy({"a": noise(2, 5, 2), "b": noise(2, 5, 2, seed=1)})
    scores["sample_id"] = scores["sample_id"].str.replace("v0#0", "007").str.replace("v1#0", "NA")
    for experiment, part in scores.groupby("experiment"):
        part.to_csv(tmp_path / f"{experiment}.csv", index=False)
    read = score_files.read([tmp_path / "a.csv", tmp_path / "b.csv"]).frame()
    assert {"007", "NA"} <= set(read["sample_id"]) and list(read.columns) == COLUMNS
    assert compare(read) == compare(scores)
    assert score_files.read([]).frame().empty
    (tmp_path / "bad.csv").write_text("experiment,value\na,1\n")
    with pytest.raises(ValueError, match="no column 'data'"):
        score_files.read([tmp_path / "bad.csv"])


def test_facts_are_read_by_experiment_and_split(tmp_path):
    for seed in (0, 1):
        record = {"gallery": "x", "provenance": {"spec": {"experiment": "a", "seed": seed}, "split": "test"}}
        (tmp_path / f"{seed}.json").write_text(json.dumps(record))
    facts = statistics.read_facts(sorted(tmp_path.glob("*.json")))
    assert facts == {"a": {"test": [{"gallery": "x"}, {"gallery": "x"}]}}
    (tmp_path / "0.json").write_text("{}")
    with pytest.raises(ValueError, match="which experiment"):
        statistics.read_facts([tmp_path / "0.json"])


def test_a_million_rows_take_seconds():
    rng = np.random.default_rng(0)
    shape = (3, 1000, 170)
    a = rng.normal(10, 1, shape)
    scores = Scores.of(tidy({"a": a, "b": a - rng.normal(0.1, 1, shape)}))
    start = time.monotonic()
    assert statistics.compare("c", ENTRY, scores, {}, "select", METRICS)["tests"][0]["n"] == 1000
    assert time.monotonic() - start < 10
