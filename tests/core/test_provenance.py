"""What an artefact says of itself, also where git is not installed."""

from __future__ import annotations

import datetime
import hashlib
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from framecast.core import provenance


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    """Answers are kept for a process; tests change what they say."""
    provenance.git_state.cache_clear()
    yield
    provenance.git_state.cache_clear()


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository of one commit, with the module in its place."""
    root = tmp_path / "it's a checkout"
    (root / "src/framecast/core").mkdir(parents=True)
    (root / "file").write_text("one")
    for name in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"):
        monkeypatch.delenv(name, raising=False)
    for words in (["init", "-q"], ["add", "file"], ["-c", "user.name=n", "-c", "user.email=e", "commit", "-qm", "one"]):
        subprocess.run(["git", "-C", root, *words], check=True)
    monkeypatch.setattr(provenance, "__file__", str(root / "src/framecast/core/provenance.py"))
    return root


def test_a_record_is_plain_json_and_keeps_the_facts() -> None:
    made = provenance.record(inputs=["a"], seed=3)
    assert json.loads(json.dumps(made)) == made
    assert (made["inputs"], made["seed"]) == (["a"], 3)
    assert {"framecast", "git", "versions", "machine", "time"} <= set(made)
    assert {"python", "numpy", "torch"} <= set(made["versions"])
    assert made["machine"]["cores"] >= 1 and made["machine"]["processor"]
    age = datetime.datetime.now(datetime.UTC) - datetime.datetime.fromisoformat(made["time"])
    assert 0 <= age.total_seconds() < 60


def test_commit_and_changes(checkout: Path) -> None:
    commit = subprocess.run(["git", "-C", checkout, "rev-parse", "HEAD"], capture_output=True, text=True).stdout.strip()
    (checkout / "untracked").write_text("x")
    assert provenance.git_state() == {"commit": commit, "changed": False}
    (checkout / "file").write_text("two")
    assert provenance.git_state() == {"commit": commit, "changed": False}, "one answer a process"
    provenance.git_state.cache_clear()
    assert provenance.git_state() == {"commit": commit, "changed": True}


def test_without_git_there_is_no_commit_and_no_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert provenance.git_state() is None
    assert provenance.record()["git"] is None


def test_outside_a_checkout(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(provenance, "__file__", str(tmp_path / "lib/site/core/provenance.py"))
    assert provenance.git_state() is None


def test_digests_of_inputs(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("x")
    assert provenance.digests([tmp_path / "a"]) == {str(tmp_path / "a"): hashlib.sha256(b"x").hexdigest()}
