"""Whole or absent; equal values, equal text; randomness by name."""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from framecast.core.files import canonical, digest, file_digest, read_json, remove, replacing, write_changed, write_json
from framecast.core.seeding import derive, rng, torch_generator

# --- replacing -------------------------------------------------------------------------------------------------------


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt(), SystemExit(1)])
@pytest.mark.parametrize("kind", ["file", "folder"])
@pytest.mark.parametrize("before", ["nothing", "file", "folder"])
def test_an_error_leaves_what_was_there(tmp_path: Path, error: BaseException, kind: str, before: str) -> None:
    path = tmp_path / "out.h5"
    if before == "file":
        path.write_text("old")
    if before == "folder":
        (path / "old").mkdir(parents=True)
    state = file_digest(path) if before != "nothing" else None
    with pytest.raises(type(error)), replacing(path) as temporary:
        if kind == "folder":
            temporary.mkdir()
            temporary /= "part"
        temporary.write_text("half")
        raise error
    assert names(tmp_path) == ([] if before == "nothing" else ["out.h5"])
    assert state is None or file_digest(path) == state


def write(path: Path, kind: str, text: str) -> None:
    """A file, or a folder with one file named as its text."""
    if kind == "folder":
        path.mkdir(parents=True)
        path /= text
    path.write_text(text)


@pytest.mark.parametrize("before", ["nothing", "same"])
@pytest.mark.parametrize("kind", ["file", "folder"])
def test_files_and_folders_take_their_place(tmp_path: Path, kind: str, before: str) -> None:
    path = tmp_path / "new" / "it's\nout.h5"
    if before == "same":
        path.parent.mkdir()
        write(path, kind, "old")
    with replacing(path) as temporary:
        assert temporary.parent == path.parent and temporary.suffix == ".h5" and str(os.getpid()) in temporary.name
        write(temporary, kind, "new")
        assert before == "nothing" or path.exists(), "what was there stays until the new one is whole"
    assert names(path.parent) == [path.name]
    assert names(path) == ["new"] if kind == "folder" else path.read_text() == "new"


@pytest.mark.parametrize(("before", "kind"), [("file", "folder"), ("folder", "file")])
def test_a_file_never_replaces_a_folder_nor_a_folder_a_file(tmp_path: Path, before: str, kind: str) -> None:
    write(tmp_path / "out", before, "old")
    state = file_digest(tmp_path / "out")
    said = f"out' is a {before}, which no {kind} replaces: move it away"
    with pytest.raises(OSError, match=said), replacing(tmp_path / "out") as temporary:
        write(temporary, kind, "new")
    assert file_digest(tmp_path / "out") == state and names(tmp_path) == ["out"]


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("call", [1, 2])
def test_an_interrupted_exchange_leaves_the_old_or_the_new(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException, when: str, call: int
) -> None:
    write(tmp_path / "out", "folder", "old")
    rename, calls = os.rename, []

    def failing(source: Path, target: Path) -> None:
        calls.append(source)
        if len(calls) == call and when == "before":
            raise error
        rename(source, target)
        if len(calls) == call:
            raise error

    monkeypatch.setattr(os, "rename", failing)
    with pytest.raises(type(error)), replacing(tmp_path / "out") as temporary:
        write(temporary, "folder", "new")
    assert names(tmp_path / "out") == (["new"] if (call, when) == (2, "after") else ["old"])


def test_what_is_replaced_is_removed_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "out", "folder", "old")
    removing = shutil.rmtree

    def checked(path: Path) -> None:
        assert names(tmp_path / "out") == ["new"]
        removing(path)

    monkeypatch.setattr(shutil, "rmtree", checked)
    with replacing(tmp_path / "out") as temporary:
        write(temporary, "folder", "new")
    assert names(tmp_path) == ["out"]


def test_a_link_is_replaced_and_what_it_leads_to_spared(tmp_path: Path) -> None:
    write(tmp_path / "kept", "folder", "old")
    (tmp_path / "out").symlink_to(tmp_path / "kept")
    with replacing(tmp_path / "out") as temporary:
        write(temporary, "folder", "new")
    assert not (tmp_path / "out").is_symlink() and names(tmp_path / "out") == ["new"]
    assert names(tmp_path / "kept") == ["old"] and names(tmp_path) == ["kept", "out"]


def test_what_a_killed_writer_left_is_in_nobodys_way(tmp_path: Path) -> None:
    (tmp_path / f".{os.getpid()}.part.out" / "deep").mkdir(parents=True)
    with replacing(tmp_path / "out") as temporary:
        temporary.write_text("whole")
    assert names(tmp_path) == ["out"]


def test_a_writer_that_writes_nothing_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), replacing(tmp_path / "out"):
        pass
    assert names(tmp_path) == []


def test_removing_a_link_spares_what_it_leads_to(tmp_path: Path) -> None:
    (tmp_path / "kept").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "kept")
    remove(tmp_path / "link")
    remove(tmp_path / "absent")
    assert names(tmp_path) == ["kept"]


# --- JSON and digests ------------------------------------------------------------------------------------------------


def test_json_round_trip_and_refusals(tmp_path: Path) -> None:
    value = {"é": [1, 2.5, None, True], "a\n": {"b": "\ud83d".encode("utf-8", "replace").decode()}}
    write_json(tmp_path / "v.json", value)
    assert read_json(tmp_path / "v.json") == value and "é" in (tmp_path / "v.json").read_text()
    for wrong in (float("nan"), float("inf"), {1, 2}):
        with pytest.raises((ValueError, TypeError)):
            write_json(tmp_path / "v.json", wrong)
    assert read_json(tmp_path / "v.json") == value and names(tmp_path) == ["v.json"]


def test_unchanged_values_leave_the_file_alone(tmp_path: Path) -> None:
    path = tmp_path / "v.json"
    write_changed(path, {"a": 1})
    os.utime(path, ns=(1, 1))
    write_changed(path, {"a": 1})
    assert path.stat().st_mtime_ns == 1
    for broken in ("", "{", '{"a": 2}'):
        path.write_text(broken)
        write_changed(path, {"a": 1})
        assert read_json(path) == {"a": 1}


def test_canonical_text_knows_no_order() -> None:
    one, other = {"b": 1, "a": {"d": [1, 2], "c": "é"}}, {"a": {"c": "é", "d": [1, 2]}, "b": 1}
    assert canonical(one) == canonical(other) == '{"a":{"c":"é","d":[1,2]},"b":1}'
    assert canonical({"d": [1, 2]}) != canonical({"d": [2, 1]})
    with pytest.raises(ValueError):
        canonical(float("nan"))


def test_digests_know_where_a_part_ends() -> None:
    assert digest("ab", "c") != digest("a", "bc") != digest("abc")
    assert digest("é") == digest("é".encode()) and digest("") != digest()
    assert len(digest(os.fsdecode(b"caf\xe9"))) == 64


def test_digest_of_files_and_folders(tmp_path: Path) -> None:
    for folder, order in (("one", "ab"), ("two", "ba")):
        for name in order:
            (tmp_path / folder / name).mkdir(parents=True)
            (tmp_path / folder / name / "x").write_text(name)
    assert file_digest(tmp_path / "one/a/x") == hashlib.sha256(b"a").hexdigest()
    assert file_digest(tmp_path / "one") == file_digest(tmp_path / "two")
    (tmp_path / "two/a/x").rename(tmp_path / "two/a/y")
    assert file_digest(tmp_path / "one") != file_digest(tmp_path / "two")


# --- randomness ------------------------------------------------------------------------------------------------------


def test_seeds_depend_on_the_purpose_and_on_nothing_else() -> None:
    purposes = [(seed, purpose, sample) for seed in (0, 1) for purpose in ("noise", "split") for sample in ("a", "b")]
    forward = {purpose: derive(*purpose) for purpose in purposes}
    np.random.seed(3)
    backward = {purpose: derive(*purpose) for purpose in reversed(purposes)}
    assert forward == backward and len(set(forward.values())) == len(purposes)
    assert all(0 <= value < 2**63 for value in forward.values())
    assert derive(0, "ab", "c") != derive(0, "a", "bc") and derive(0, "split") != derive(0, "split", "")
    assert derive(0, "split", "a.mp4") == 7700932015400545974, "another derivation would change every published number"


def test_generators_repeat_whatever_ran_between() -> None:
    first, drawn = rng(0, "x").random(4), torch.rand(4, generator=torch_generator(0, "x"))
    np.random.default_rng(1).random(9)
    torch.manual_seed(5)
    torch.rand(9)
    np.testing.assert_array_equal(rng(0, "x").random(4), first)
    assert torch.equal(torch.rand(4, generator=torch_generator(0, "x")), drawn)
    assert not np.array_equal(rng(0, "y").random(4), first)
    state = torch.get_rng_state()
    torch_generator(0, "x")
    assert torch.equal(torch.get_rng_state(), state), "torch's own generator is left alone"
