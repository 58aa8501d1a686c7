"""One vocabulary: the words of the enum stand in the document, and no others are used for the same thing."""

from __future__ import annotations

import re
from pathlib import Path

from framecast.analysis import verdicts
from framecast.analysis.verdicts import SIGNS, Verdict

ROOT = Path(__file__).resolve().parents[2]
SYNONYMS = (
    "more than chance", "beyond chance", "told apart from", "no different from", "no difference shown", "excludes_zero",
)  # fmt: skip


def test_the_document_explains_every_verdict_with_its_sign() -> None:
    rows = re.findall(r"^\| `([^`]+)`.*? \| (.) \| ", (ROOT / "docs/statistics.md").read_text(), flags=re.MULTILINE)
    assert dict(rows) == {str(verdict): sign for verdict, sign in SIGNS.items()} and len(SIGNS) == len(Verdict)


def test_no_other_words_stand_for_a_verdict() -> None:
    places = [ROOT / "README.md"]
    for folder, pattern in (("src", "*.py"), ("docs", "*.md"), ("workflow", "*.rst"), ("config", "*.yaml")):
        places += (ROOT / folder).rglob(pattern)
    assert len(places) > 150
    found = [(path.name, word) for path in places for word in SYNONYMS if word in path.read_text(encoding="utf-8")]
    assert not found


def test_two_verdicts_name_the_baseline_and_two_have_a_colour() -> None:
    said = {verdict: verdicts.said(verdict, "X") for verdict in Verdict}
    assert said.pop(Verdict.EQUAL) == "equal to X" and said.pop(Verdict.SAME_SCORES) == "same scores as X"
    assert all(verdict == text for verdict, text in said.items())
    coloured = {verdict for verdict in Verdict if verdicts.tone(verdict) != "open"}
    assert coloured == {Verdict.BETTER, Verdict.WORSE}
