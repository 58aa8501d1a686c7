"""Which rules predict, score and draw: one job a run for all the splits that its data evaluates.

Outputs of a rule are fixed text, and which splits are evaluated is config: so the rule files make these rules in a
loop, one a data set.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

MADE: dict[str, tuple[str, str, dict[str, str]]] = {
    "train": ("", "predict", {}),
    "predict": ("_untrained", "start", {"run": "run.json", "model": "model.safetensors"}),
    "parent": ("_inherited", "start", {"run": "run.json"}),
}
"""Where an experiment's weights come from (`plan`) → end of the name of the rule that predicts, its stage, and the
run's files that it makes besides."""


@dataclass(frozen=True)
class RunRule:
    """A rule for some runs, or comparisons, and all their splits."""

    name: str
    names: str
    """Its experiments, or comparisons, as a regular expression."""
    splits: list[str]
    stage: str = ""
    files: dict[str, str] = field(default_factory=dict)
    """Name of an output → file in the run's folder."""

    @property
    def log(self) -> str:
        return self.splits[0] if self.splits == ["{split}"] else "evaluated"


ANY_SPLIT = RunRule("predict", r"[\w-]+", ["{split}"], "predict")
"""For splits that other runs learn from, that are handed in, or that someone asks for."""


def trained(plan: dict[str, Any]) -> str:
    """Experiments whose weights the rule `train` makes, as a regular expression."""
    return any_of(name for name, one in plan["experiments"].items() if one["weights"] == "train")


def predict(plan: dict[str, Any]) -> list[RunRule]:
    """Rules for evaluated splits, by data set and by where the weights come from, and `ANY_SPLIT`, which yields to
    them."""
    groups: dict[tuple[str, str], list[str]] = {}
    for name, one in plan["experiments"].items():
        groups.setdefault((one["spec"]["data"], one["weights"]), []).append(name)
    rules = [_predictor(plan, *key, names) for key, names in sorted(groups.items())]
    return [*(rule for rule in rules if rule.splits or rule.files), ANY_SPLIT]


def _predictor(plan: dict[str, Any], data: str, weights: str, names: list[str]) -> RunRule:
    # Other runs may learn from predictions of these two: a new evaluated split must not make them again.
    apart = ("train", plan["data"][data]["select"])
    splits = [split for split in plan["data"][data]["evaluate"] if split not in apart]
    end, stage, files = MADE[weights]
    return RunRule(f"predict_{data}{end}", any_of(names), splits, stage, files)


def score(plan: dict[str, Any]) -> list[RunRule]:
    """Rules that score the evaluated splits, one a data set."""
    return _each_data("score", plan, plan["experiments"])


def pictures(plan: dict[str, Any]) -> list[RunRule]:
    """Rules that draw the evaluated splits, one a data set that has such runs."""
    return _each_data("pictures", plan, [name for name, one in plan["experiments"].items() if one["pictures"]])


def galleries(plan: dict[str, Any]) -> list[RunRule]:
    """Rules that draw comparisons, one for those on the same splits."""
    groups: dict[tuple[str, ...], list[str]] = {}
    for name, comparison in plan["comparisons"].items():
        groups.setdefault(tuple(comparison["splits"]), []).append(name)
    return [
        RunRule(f"gallery_{'+'.join(splits)}", any_of(names), list(splits)) for splits, names in sorted(groups.items())
    ]


def _each_data(rule: str, plan: dict[str, Any], experiments: Iterable[str]) -> list[RunRule]:
    groups: dict[str, list[str]] = {}
    for name in experiments:
        groups.setdefault(plan["experiments"][name]["spec"]["data"], []).append(name)
    splits = {data: plan["data"][data]["evaluate"] for data in sorted(groups)}
    return [RunRule(f"{rule}_{data}", any_of(groups[data]), listed) for data, listed in splits.items() if listed]


def any_of(names: Iterable[str]) -> str:
    """A regular expression that matches these names; without any, nothing."""
    return "|".join(re.escape(name) for name in sorted(names)) or "(?!)"
