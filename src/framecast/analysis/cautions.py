"""What is to be known beside an experiment's scores, and the mark that says so. Light: no pandas.

Tasks warn, for example of knowledge of the future, by the fact `caution` of a split's scores
(`runs/{experiment}/seed_{seed}/scores/{split}.json`); that an experiment predicts the same as another one shows in the
digests that stand there.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from framecast.core.files import read_json
from framecast.scores import PREDICTIONS

MARK = "†"
"""Stands behind the name of an experiment that has a caution."""


def read(facts: Iterable[Path], untrained: Collection[str] = (), title: Callable[[str], str] = str) -> dict[str, str]:
    """Experiment → its cautions, of all splits and seeds, each once.

    Args:
        untrained: Experiments with nothing to train: it is no news of them that a trained one predicts the same.
        title: Name of an experiment in the text.
    """
    records = [read_json(path) for path in facts]
    found: dict[str, dict[str, None]] = {}
    for record in records:
        if record.get("caution"):
            found.setdefault(record["provenance"]["spec"]["experiment"], {})[str(record["caution"])] = None
    for experiment, others in _equal(records, untrained).items():
        for other, splits in others.items():
            text = f"its predictions on {' and '.join(splits)} equal those of {title(other)}, bit for bit."
            found.setdefault(experiment, {})[text] = None
    return {name: " ".join(texts) for name, texts in found.items()}


def _equal(records: Sequence[Mapping[str, Any]], untrained: Collection[str]) -> dict[str, dict[str, list[str]]]:
    """Experiment → others that predict the same with every seed → the splits on which they do."""
    digests: dict[str, dict[str, set[str | None]]] = {}
    for record in records:
        origin = record["provenance"]
        there = digests.setdefault(origin.get("split", ""), {})
        there.setdefault(origin["spec"]["experiment"], set()).add(record.get(PREDICTIONS))
    found: dict[str, dict[str, list[str]]] = {}
    for split, experiments in digests.items():
        for one, other in itertools.permutations(experiments, 2):
            same = experiments[one] == experiments[other] and None not in experiments[one]
            if same and not (one in untrained and other not in untrained):
                found.setdefault(one, {}).setdefault(other, []).append(split)
    return found


def sentences(cautions: Mapping[str, str], experiments: Iterable[str], title: Callable[[str], str]) -> list[str]:
    """What is to be known of the marked ones among some experiments, a text for each different caution.

    Args:
        cautions: As `read` finds them. title: Name of an experiment, with the mark.
    """
    marked: dict[str, list[str]] = {}
    for name in dict.fromkeys(experiments):
        if name in cautions:
            marked.setdefault(cautions[name], []).append(title(name))
    return [f"{', '.join(titles)}: {caution}" for caution, titles in marked.items()]
