"""Fingerprints follow names: what a function reaches counts, what stands beside it does not."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from framecast.workflow import fingerprint

FILES = {
    "__init__.py": "",
    "alpha.py": '''
"""Module text."""
from framecast import beta
from framecast.beta import scale as stretch, TABLE
from framecast.package.inner import deep

FACTOR = 3

def entry(x):
    """Text."""
    return stretch(x) * FACTOR + beta.offset(x) + deep(x)

def lonely(x):
    return x

class Thing:
    """Text."""
    size: int = 1
    """Text of a field."""
    def grow(self):
        return TABLE["a"]
''',
    "beta.py": """
TABLE = {"a": 1}
UNUSED = 5

def scale(x):
    return _inner(x)

def _inner(x):
    return x * 2

def offset(x):
    from framecast.gamma import late
    return late(x)
""",
    "gamma.py": "def late(x):\n    return x\n",
    "package/__init__.py": "from framecast.package.inner import deep\n",
    "package/inner.py": "def deep(x):\n    return x\n",
}


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    root = tmp_path / "framecast"
    for name, text in FILES.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    monkeypatch.setattr(fingerprint, "SOURCE", tmp_path)
    fingerprint.forget()
    yield root
    fingerprint.forget()


def edited(source: Path, file: str, old: str, new: str, entry: str = "framecast.alpha:entry") -> bool:
    """Whether an edit changes the fingerprint of an entry."""
    before = fingerprint.fingerprint([entry])
    text = (source / file).read_text()
    assert old in text
    (source / file).write_text(text.replace(old, new))
    fingerprint.forget()
    return fingerprint.fingerprint([entry]) != before


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("alpha.py", "* FACTOR +", "* FACTOR -"),
        ("alpha.py", "FACTOR = 3", "FACTOR = 4"),
        ("beta.py", "x * 2", "x * 3"),
        ("gamma.py", "return x", "return -x"),
        ("package/inner.py", "return x", "return -x"),
    ],
)
def test_what_is_reached_counts(source: Path, file: str, old: str, new: str) -> None:
    assert edited(source, file, old, new)


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("alpha.py", '"""Text."""', '"""Other."""'),
        ("alpha.py", "Module text", "Other text"),
        ("alpha.py", "def lonely(x):\n    return x", "def lonely(x):\n    return -x"),
        ("beta.py", "UNUSED = 5", "UNUSED = 6"),
        ("beta.py", 'TABLE = {"a": 1}', 'TABLE = {"a": 2}'),
        ("beta.py", "def scale(x):", "# a comment\n\n\ndef scale(x):"),
    ],
)
def test_what_is_not_reached_does_not(source: Path, file: str, old: str, new: str) -> None:
    assert not edited(source, file, old, new)


def test_class_bodies_count_and_their_docstrings_do_not(source: Path) -> None:
    assert not edited(source, "alpha.py", "Text of a field.", "Other text.", "framecast.alpha:Thing")
    assert edited(source, "alpha.py", "size: int = 1", "size: int = 2", "framecast.alpha:Thing")
    assert edited(source, "beta.py", '{"a": 1}', '{"a": 2}', "framecast.alpha:Thing")


def test_a_whole_module(source: Path) -> None:
    assert edited(source, "beta.py", "UNUSED = 5", "UNUSED = 6", "framecast.beta:*")


def test_unknown_entries_are_refused(source: Path) -> None:
    with pytest.raises(ValueError, match=r"no module 'framecast\.nothing'"):
        fingerprint.fingerprint(["framecast.nothing:entry"])
    with pytest.raises(ValueError, match=r"defines .*entry"):
        fingerprint.fingerprint(["framecast.alpha:nothing"])
