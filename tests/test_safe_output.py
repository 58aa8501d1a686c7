"""No sub-command replaces or removes what it did not make: refused by name, before anything is written."""

from __future__ import annotations

import argparse
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from framecast import cli
from framecast.apply import label
from framecast.config import docs
from framecast.core import own_files
from framecast.core.files import file_digest
from framecast.core.own_files import MARKER, OwnFolder
from framecast.stores.frames import FrameWriter
from framecast.video import codec
from framecast.weights import state_dict
from tests.made_runs import copy_of, frame_folder, pictures, unet_of

SMALL_WORLD = """\
run: {}
data: {small: {source: {kind: world, videos: 4, height: 32, width: 48, frames: [40, 41]}, evaluate: [test]}}
"""


@dataclass(frozen=True)
class Case:
    """An option that names an output, with everything else that the sub-command needs; paths as in `inputs`."""

    words: str
    option: str = "--out"
    suffix: str = ""
    """Of the file that is written; empty where it is a folder."""
    read: str = ""
    """A folder that the sub-command reads as one thing, below which no output may be; empty where there is none."""


WORLD = "world --config {inputs}/small.yaml --data small"
CASES = {
    "index": Case("index {inputs}/videos"),
    "world": Case(WORLD),
    "world frame_folders": Case(f"{WORLD} --layout frame_folders --shares train=.5 hidden=.5"),
    "world ssv2": Case(f"{WORLD} --layout ssv2 --shares train=.5 validation=.5"),
    "world truth": Case(
        f"{WORLD} --layout frame_folders --shares train=.5 hidden=.5 --out fresh", "--truth", suffix=".npy"
    ),
    "export": Case("export {inputs}/store --view small", read="store"),
    "label": Case("label {inputs}/unet {inputs}/videos {inputs}/frames --device cpu", read="unet"),
    "predict": Case("predict {inputs}/copy {inputs}/frames --device cpu", read="frames"),
    "weights import": Case("weights import {inputs}/simvp/model.safetensors", suffix=".safetensors"),
    "weights export": Case("weights export {inputs}/simvp", suffix=".ckpt", read="simvp"),
    "edit": Case(
        "edit --pipeline {inputs}/unet --video {inputs}/frames --text moving --device cpu", suffix=".png", read="frames"
    ),
}
WRITES = {
    "index": {"out"}, "world": {"out", "truth"}, "export": {"out"}, "label": {"out"}, "predict": {"out"},
    "edit": {"out"}, "weights import": {"out"}, "weights export": {"out"}, "config annotate": {"file"},
}  # fmt: skip
"""Sub-command to the options that name what it writes; those of `config annotate`: below."""
READS = {
    "index": {"folder"}, "world": {"config"}, "filter": {"files", "labels", "config", "videos"}, "export": {"frames"},
    "show": {"results"}, "label": {"run", "sources"}, "predict": {"run", "sources", "labeler"},
    "edit": {"run", "image", "video", "estimate"}, "weights import": {"checkpoint"}, "weights export": {"run"},
    "config check": {"files"},
}  # fmt: skip
NO_PATHS = {"config schema", "config reference"}


# --- every sub-command has a case ------------------------------------------------------------------------------------


def leaves(parser: argparse.ArgumentParser, name: str = "") -> Iterator[tuple[str, argparse.ArgumentParser]]:
    """The sub-commands that can be run, by name."""
    groups = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    if not groups:
        yield name, parser
    for group in groups:
        for word, below in group.choices.items():
            yield from leaves(below, f"{name} {word}".strip())


def test_every_path_of_every_command_is_known_here() -> None:
    found = {
        name: {action.dest for action in parser._actions if action.type is Path}
        for name, parser in leaves(cli._parser())
    }
    known = {name: WRITES.get(name, set()) | READS.get(name, set()) for name in WRITES.keys() | READS.keys() | NO_PATHS}
    assert found == known, "list the new path in WRITES or READS; what writes needs an entry in CASES"
    cased = {
        (case.words.partition(" -")[0].partition(" {")[0], case.option.removeprefix("--")) for case in CASES.values()
    }
    assert cased == {(name, option) for name in WRITES for option in WRITES[name]} - {("config annotate", "file")}


# --- what is refused -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the sub-commands of `CASES` read."""
    folder = tmp_path_factory.mktemp("inputs")
    (folder / "small.yaml").write_text(SMALL_WORLD)
    (folder / "videos").mkdir()
    codec.encode(pictures(3, (32, 48)), folder / "videos" / "a.mp4", 10)
    frame_folder(folder / "frames", pictures(4), np.ones((4, 16, 24), np.uint8))
    unet_of(folder / "unet")
    copy_of(folder / "copy")
    (folder / "simvp").mkdir()
    state_dict.save({"core.simvp.enc.weight": torch.zeros(2)}, folder / "simvp" / "model.safetensors")
    views = {"small": np.ones((2, 16, 24, 3), np.uint8)}
    with FrameWriter(folder / "store", {"fps": None, "resize": "squash", "views": {"small": [16, 24]}}) as writer:
        writer.start("a.mp4")
        for number in range(2):
            writer.append({view: frames[number] for view, frames in views.items()}, float(number), number)
        writer.finish({})
    return folder


def tree(folder: Path) -> dict[str, str]:
    """Everything below a folder: where links lead, digests of files, and the folders."""
    found = {}
    for path in folder.rglob("*"):
        if path.is_symlink():
            found[str(path)] = f"link to {os.readlink(path)}"
        else:
            found[str(path)] = "folder" if path.is_dir() else file_digest(path)
    return found


@pytest.fixture
def ground(tmp_path: Path, inputs: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """root/work, the working folder, among a user's files."""
    work = tmp_path / "root" / "work"
    mine = work / "mine"
    for name in (
        "labels.csv", "outcomes.csv", "index.parquet", "rejected.csv", "world.json", "masks.npy", "train/a.png",
        "frames_16x24/a.mp4/00000.png", "a.mp4/mask.npy", "notes.txt",
    ):  # fmt: skip
        (mine / name).parent.mkdir(parents=True, exist_ok=True)
        (mine / name).write_text(f"my own {name}")
    (tmp_path / "root" / "above.txt").write_text("mine too")
    for name in ("file", "later.npy", "later.png", "later.ckpt", "later.safetensors"):
        (work / name).write_text("my own file")
    for name in ("empty", "mine.npy", "mine.png", "mine.ckpt", "mine.safetensors"):
        (work / name).mkdir()
    for link, target in (("to_mine", "mine"), ("to_empty", "empty"), ("to_file", "file"), ("to_nothing", "nowhere")):
        (work / link).symlink_to(target)
        for suffix in (".npy", ".png", ".ckpt", ".safetensors"):
            (work / (link + suffix)).symlink_to(target)
    (work / "others").mkdir()
    (work / "others" / MARKER).write_text('{"made_by": "framecast other"}\n"a.txt"')
    (work / "others" / "a.txt").write_text("of another command")
    monkeypatch.chdir(work)
    return tmp_path


PLACES: dict[str, Callable[[Case, Path, Path], str]] = {
    "a folder of other files": lambda case, root, inputs: "mine" + case.suffix,
    "a folder of other files, absolute": lambda case, root, inputs: str(root / "work" / "mine"),
    "a file": lambda case, root, inputs: "later" + case.suffix if case.suffix else "file",
    "below a file": lambda case, root, inputs: "file/below" + case.suffix,
    "the working folder": lambda case, root, inputs: ".",
    "the working folder, absolute": lambda case, root, inputs: str(root / "work"),
    "the folder above": lambda case, root, inputs: "..",
    "the folder above, by a detour": lambda case, root, inputs: "mine/../..",
    "a folder that holds the working folder": lambda case, root, inputs: str(root),
    "the root": lambda case, root, inputs: "/",
    "a link to a folder of other files": lambda case, root, inputs: "to_mine" + case.suffix,
    "a link to an empty folder": lambda case, root, inputs: "to_empty" + case.suffix,
    "a link to a file": lambda case, root, inputs: "to_file" + case.suffix,
    "a link to nothing": lambda case, root, inputs: "to_nothing" + case.suffix,
    "what another command made": lambda case, root, inputs: "others",
    "a folder that holds the input": lambda case, root, inputs: str(inputs),
    "below an input": lambda case, root, inputs: str(inputs / case.read / "new") + case.suffix,
    "an input": lambda case, root, inputs: str(inputs / case.read),
}
OF_AN_INPUT = ("below an input", "an input")
"""Places that only a sub-command has which reads a folder as one thing."""


@pytest.mark.parametrize(
    ("name", "place"),
    [(name, place) for name, case in CASES.items() for place in PLACES if case.read or place not in OF_AN_INPUT],
)
def test_foreign_files_are_refused_by_name_and_stay(
    name: str, place: str, ground: Path, inputs: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    case = CASES[name]
    given = PLACES[place](case, ground / "root", inputs)
    before, everything = tree(ground) | tree(inputs), os.listdir("/")
    forbid_changes(monkeypatch)
    assert cli.main([*case.words.format(inputs=inputs).split(), case.option, given]) == 1
    monkeypatch.undo()
    said = capsys.readouterr().err
    assert f"framecast: {case.option} {given!r}" in said and any(word in said for word in ("give", "write to")), said
    assert tree(ground) | tree(inputs) == before and os.listdir("/") == everything


def forbid_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    """No folder is made, moved or removed, even where a check is missing: the places include the root."""

    def changed(*words: Any, **keys: Any) -> None:
        raise AssertionError(f"the file system is changed: {words}")

    for name in ("mkdir", "rename", "replace", "rmdir", "remove", "unlink", "symlink"):
        monkeypatch.setattr(os, name, changed)
    monkeypatch.setattr(shutil, "rmtree", changed)


def test_below_a_searched_folder_an_output_may_be_new(ground: Path, inputs: Path) -> None:
    """What is searched for videos passes over the output; what is there already stays."""
    videos = ground / "root" / "work" / "videos"
    shutil.copytree(inputs / "videos", videos)
    before = tree(videos)
    for word, run in (("index", []), ("label", [str(inputs / "unet")])):
        for _ in range(2):
            assert cli.main([word, *run, str(videos), "--out", str(videos / word)]) == 0
    assert before.items() <= tree(videos).items()


def test_a_frame_folder_that_a_search_finds_is_no_place_for_an_output(ground: Path, inputs: Path, capsys: Any) -> None:
    before = tree(inputs)
    out = str(inputs / "frames" / "masks")
    assert cli.main(["label", str(inputs / "unet"), str(inputs), "--out", out, "--device", "cpu"]) == 1
    assert "which the command reads; give a folder elsewhere" in capsys.readouterr().err and tree(inputs) == before


# --- what is replaced ------------------------------------------------------------------------------------------------

FOLDERS = [name for name, case in CASES.items() if not case.suffix]
FILES = [name for name, case in CASES.items() if case.suffix and name != "edit"]  # test_pixels.py runs `edit`


def run(name: str, inputs: Path, out: str) -> int:
    case = CASES[name]
    return cli.main([*case.words.format(inputs=inputs).split(), case.option, out])


@pytest.mark.parametrize("name", FOLDERS)
def test_a_command_replaces_what_it_made_and_no_more(name: str, ground: Path, inputs: Path, capsys: Any) -> None:
    out = Path("new") / "deep"
    assert run(name, inputs, str(out)) == 0 and (out / MARKER).is_file()
    first = {path: kind for path, kind in tree(out).items() if not path.endswith(MARKER)}
    assert run(name, inputs, str(out)) == 0
    assert {path: kind for path, kind in tree(out).items() if not path.endswith(MARKER)} == first
    assert os.listdir("new") == ["deep"], "nothing unfinished is left"
    below = [path for path in out.rglob("*") if path.is_dir()]
    for folder in (out, *below[:1]):
        added = folder / "notes.txt"
        added.write_text("my own notes")
        before = tree(ground)
        assert run(name, inputs, str(out)) == 1
        assert f"holds '{added.relative_to(out)}', which `framecast" in (said := capsys.readouterr().err), said
        assert "move it elsewhere" in said and tree(ground) == before
        added.unlink()


@pytest.mark.parametrize("name", FOLDERS)
def test_an_empty_folder_is_filled(name: str, ground: Path, inputs: Path) -> None:
    assert run(name, inputs, "empty") == 0 and len(os.listdir("empty")) > 1


@pytest.mark.parametrize("name", FILES)
def test_a_file_is_written_once(name: str, ground: Path, inputs: Path, capsys: Any) -> None:
    out = f"new/made{CASES[name].suffix}"
    assert run(name, inputs, out) == 0
    before = tree(ground)
    assert run(name, inputs, out) == 1 and tree(ground) == before
    assert f"{out!r} exists already; move it away" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["world", "predict", "label", "export"])
def test_a_failed_replacement_leaves_the_earlier_result(
    name: str, ground: Path, inputs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk is full at the first, second, … exchange of files or folders until the command gets through."""
    assert run(name, inputs, "out") == 0
    before = tree(Path("out"))
    for allowed in range(20):
        with monkeypatch.context() as patch:
            left = count_down(patch, allowed)
            status = run(name, inputs, "out")
        assert set(before) <= set(tree(Path("out")))
        kept = {path: kind for path, kind in tree(Path("out")).items() if path in before and path != "out/labels.csv"}
        assert kept.items() <= before.items(), "an earlier file is whole, or the new one, which is the same"
        assert (status == 0) == (left[0] >= 0)
        if status == 0:
            break
    assert status == 0 and allowed >= 2


def count_down(patch: pytest.MonkeyPatch, allowed: int) -> list[int]:
    """Let some renames pass and fail the one after them; the list holds how many are left."""
    left = [allowed]

    def limited(do: Callable[..., None]) -> Callable[..., None]:
        def one(*words: Any) -> None:
            left[0] -= 1
            if left[0] == -1:
                raise OSError(28, "No space left on device")
            do(*words)

        return one

    for name in ("rename", "replace"):
        patch.setattr(os, name, limited(getattr(os, name)))
    return left


# --- label's table ---------------------------------------------------------------------------------------------------


def test_a_hand_made_table_is_not_labels_own(ground: Path, inputs: Path, capsys: Any) -> None:
    hand = Path("hand")
    (hand / "a.mp4").mkdir(parents=True)
    (hand / "a.mp4" / "mask.npy").write_text("drawn by hand")
    (hand / "labels.csv").write_text("video_id,frames,status,reason\n")
    before = tree(hand)
    assert run("label", inputs, "hand") == 1 and tree(hand) == before
    assert "--out 'hand' holds files but no .framecast_made.jsonl, so `framecast label` may" in capsys.readouterr().err


def test_an_interrupted_call_loses_no_line_of_an_earlier_one(
    ground: Path, inputs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run("label", inputs, "out") == 0
    lines = Path("out/labels.csv").read_text()
    one = label._labelled

    def interrupted(clip: Any, *others: Any) -> Any:
        if clip.video_id == "frames":
            raise KeyboardInterrupt
        return one(clip, *others)

    monkeypatch.setattr(label, "_labelled", interrupted)
    assert run("label", inputs, "out") == 130
    assert Path("out/labels.csv").read_text() == lines + '"a.mp4",3,"ok",""\n'
    monkeypatch.undo()
    os.chdir(ground / "root" / "work")
    assert run("label", inputs, "out") == 0 and Path("out/labels.csv").read_text() == lines


# --- the marker ------------------------------------------------------------------------------------------------------


def test_files_that_came_during_the_work_are_kept(tmp_path: Path) -> None:
    out = tmp_path / "out"
    with OwnFolder(out, "world").whole() as folder:
        (folder / "a").write_text("old")
    for write in (OwnFolder(out, "world").whole, lambda: OwnFolder(out, "world").part("")):
        with pytest.raises(ValueError, match=r"holds 'late\.txt', which"), write() as folder:
            (folder / "a").write_text("new")
            (out / "late.txt").write_text("mine")
        assert (out / "late.txt").read_text() == "mine" and (out / "a").read_text() == "old"
        (out / "late.txt").unlink()


def test_what_a_killed_process_left_is_in_nobodys_way(tmp_path: Path) -> None:
    own = OwnFolder(tmp_path / "out", "label")
    with own.part("deep/one") as folder:
        (folder / "a").write_text("1")
    (tmp_path / "out/deep/.123.part.two").mkdir()
    (tmp_path / "out/deep/.123.part.two/b").write_text("half")
    with open(tmp_path / "out" / MARKER, "a") as stream:
        stream.write('\n"deep/tw')  # cut off
    with OwnFolder(tmp_path / "out", "label").part("deep/two") as folder:
        (folder / "odd \udce9\n").write_text("2")
    assert OwnFolder(tmp_path / "out", "label").files >= {"deep/one/a", "deep/two/odd \udce9\n"}


@pytest.mark.parametrize("text", ["", "no json", "[]", '{"other": 1}', '"a.txt"'])
def test_a_marker_that_names_no_command_is_none(tmp_path: Path, text: str) -> None:
    (tmp_path / MARKER).write_text(text)
    (tmp_path / "a.txt").write_text("mine")
    with pytest.raises(ValueError, match="holds files but no"):
        OwnFolder(tmp_path, "label")


def test_links_in_an_own_folder_are_not_followed(tmp_path: Path) -> None:
    (tmp_path / "kept").mkdir()
    with OwnFolder(tmp_path / "out", "world").whole() as folder:
        (folder / "a").write_text("1")
    (tmp_path / "out" / "link").symlink_to(tmp_path / "kept")
    with pytest.raises(ValueError, match="holds 'link', which"):
        OwnFolder(tmp_path / "out", "world")


def test_the_user_must_be_allowed_to_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != tmp_path)
    for check in (lambda: OwnFolder(tmp_path / "a/b", "world"), lambda: own_files.check_new_file(tmp_path / "a/b.npy")):
        with pytest.raises(PermissionError, match=r"--out '.*a/b.*this folder may not be written to; give another"):
            check()


# --- config annotate -------------------------------------------------------------------------------------------------


def test_annotating_spares_what_it_did_not_write(tmp_path: Path, capsys: Any) -> None:
    (tmp_path / "mine.yaml").write_text(f"{SMALL_WORLD}# my own words\n")
    (tmp_path / "text.md").write_text("no config")
    before = tree(tmp_path)
    for name, said in (("mine.yaml", "has comments of its own"), ("text.md", "text.md"), (".", "directory")):
        assert cli.main(["config", "annotate", str(tmp_path / name)]) == 1
        assert said in capsys.readouterr().err
    assert tree(tmp_path) == before


def test_annotating_a_link_writes_the_file_it_leads_to(tmp_path: Path) -> None:
    (tmp_path / "real.yaml").write_text(SMALL_WORLD)
    (tmp_path / "link.yaml").symlink_to("real.yaml")
    assert cli.main(["config", "annotate", str(tmp_path / "link.yaml")]) == 0
    assert (tmp_path / "link.yaml").is_symlink()
    assert (tmp_path / "real.yaml").read_text().startswith(docs.HEAD[0])
