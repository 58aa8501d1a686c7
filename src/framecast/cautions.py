"""What tasks warn of beside their scores, such as knowledge of the future, and the mark that says so. Light: no pandas.

A task says it as the fact `caution` of a split's scores (`runs/{experiment}/seed_{seed}/scores/{split}.json`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from framecast.files import read_json

MARK = "†"
"""Stands behind the name of an experiment whose scores a task warns of."""


def read(facts: Iterable[Path]) -> dict[str, str]:
    """Experiment → its cautions, of all splits and seeds, each once."""
    found: dict[str, dict[str, None]] = {}
    for path in facts:
        record = read_json(path)
        if record.get("caution"):
            found.setdefault(record["provenance"]["spec"]["experiment"], {})[str(record["caution"])] = None
    return {name: " ".join(texts) for name, texts in found.items()}


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
