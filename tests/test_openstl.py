"""OpenSTL beside ours: checkpoints both ways."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from framecast import cli, openstl_weights, weights
from framecast.models.simvp import SimVP

torch.set_num_threads(1)


@pytest.fixture(scope="module")
def state() -> dict[str, Tensor]:
    return SimVP((3, 1, 16, 16), 8, 16, 2, 2).state_dict()


def same(first: dict[str, Tensor], second: dict[str, Tensor]) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


# --- checkpoints -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "lightning"), [("a.ckpt", False), ("a.ckpt", True), ("a.safetensors", False)])
def test_what_is_saved_is_loaded(state: dict[str, Tensor], name: str, lightning: bool, tmp_path: Path) -> None:
    openstl_weights.save(state, tmp_path / name, lightning)
    loaded = openstl_weights.load(tmp_path / name)
    assert same(loaded, state)
    SimVP((3, 1, 16, 16), 8, 16, 2, 2).load_state_dict(loaded, strict=True)


def test_lightning_form(state: dict[str, Tensor], tmp_path: Path) -> None:
    openstl_weights.save(state, tmp_path / "a.ckpt", lightning=True)
    content = torch.load(tmp_path / "a.ckpt", weights_only=True)
    assert set(content["state_dict"]) == {f"model.{name}" for name in state}
    assert {"pytorch-lightning_version", "epoch", "global_step"} <= set(content)
    with pytest.raises(ValueError, match="no Lightning checkpoint"):
        openstl_weights.save(state, tmp_path / "a.safetensors", lightning=True)


def test_options_of_a_real_checkpoint_are_harmless(state: dict[str, Tensor], tmp_path: Path) -> None:
    options = {"args": argparse.Namespace(lr=1e-3), "mean": np.float32(0.5), "std": np.ones(3), "path": Path("data")}
    optimizer = [{"state": {0: {"step": torch.tensor(3.0)}}, "param_groups": [{"lr": 1e-3, "betas": (0.9, 0.999)}]}]
    content = {"state_dict": {f"model.{name}": value for name, value in state.items()}}
    torch.save({**content, "hyper_parameters": options, "optimizer_states": optimizer}, tmp_path / "best.ckpt")
    assert same(openstl_weights.load(tmp_path / "best.ckpt"), state)


def test_before_lightning_there_was_no_prefix(state: dict[str, Tensor], tmp_path: Path) -> None:
    torch.save({"epoch": 3, "state_dict": state, "optimizer": {}}, tmp_path / "latest.pth")
    assert same(openstl_weights.load(tmp_path / "latest.pth"), state)


class Harmful:
    """Makes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("zipped", [True, False])
def test_a_pickle_that_runs_code_is_refused(state: dict[str, Tensor], zipped: bool, tmp_path: Path) -> None:
    content = {"state_dict": state, "hyper_parameters": {"x": Harmful(tmp_path / "ran")}}
    torch.save(content, tmp_path / "bad.ckpt", _use_new_zipfile_serialization=zipped)
    with pytest.raises(ValueError, match=r"posix.mkdir.*keep the tensors alone" if zipped else "neither"):
        openstl_weights.load(tmp_path / "bad.ckpt")
    assert not (tmp_path / "ran").exists()


def test_harm_inside_what_is_allowed_is_refused(tmp_path: Path) -> None:
    hidden = np.array([Harmful(tmp_path / "ran")], dtype=object)
    torch.save({"state_dict": {}, "options": argparse.Namespace(x=hidden)}, tmp_path / "bad.ckpt")
    with pytest.raises(ValueError, match=r"posix\.mkdir"):
        openstl_weights.load(tmp_path / "bad.ckpt")
    assert not (tmp_path / "ran").exists()


def test_other_files_are_refused_by_name(state: dict[str, Tensor], tmp_path: Path) -> None:
    text, cut, other = tmp_path / "text.ckpt", tmp_path / "cut.ckpt", tmp_path / "other.ckpt"
    text.write_text("no checkpoint")
    torch.save(state, cut)
    cut.write_bytes(cut.read_bytes()[:4000])
    torch.save({"epoch": 1, "options": {}}, other)
    for path, said in ((text, "neither a .safetensors"), (cut, "damaged"), (other, "with the keys epoch, options")):
        with pytest.raises(ValueError, match=said):
            openstl_weights.load(path)
    with pytest.raises(FileNotFoundError):
        openstl_weights.load(tmp_path / "absent.ckpt")


def test_weights_go_round_by_the_command(state: dict[str, Tensor], tmp_path: Path, capsys: Any) -> None:
    run, checkpoint, back = tmp_path / "seed_0", tmp_path / "out.ckpt", tmp_path / "in" / "back.safetensors"
    run.mkdir()
    mine = {f"core.simvp.{name}": value for name, value in state.items()}
    weights.save({**mine, "core.embedding.weight": torch.zeros(5, 4)}, run / "model.safetensors")
    assert cli.main(["weights", "export", str(run), "--out", str(checkpoint), "--lightning"]) == 0
    assert cli.main(["weights", "import", str(checkpoint), "--out", str(back), "--prefix", "simvp."]) == 0
    assert same(weights.load(back), {f"simvp.{name}": value for name, value in state.items()})
    assert f"{len(state)} tensors in {back}" in capsys.readouterr().out


def test_the_command_says_what_is_wrong(state: dict[str, Tensor], tmp_path: Path, capsys: Any) -> None:
    weights.save({"core.head.weight": torch.zeros(1)}, tmp_path / "model.safetensors")
    assert cli.main(["weights", "export", str(tmp_path), "--out", str(tmp_path / "x.ckpt")]) == 1
    assert cli.main(["weights", "export", str(tmp_path / "absent"), "--out", str(tmp_path / "x.ckpt")]) == 1
    openstl_weights.save(state, tmp_path / "a.ckpt", lightning=False)
    assert cli.main(["weights", "import", str(tmp_path / "a.ckpt"), "--out", str(tmp_path / "a.pt")]) == 1
    errors = capsys.readouterr().err.splitlines()
    assert [part in line for part, line in zip(("no SimVP", "results/runs/", "must end in"), errors, strict=True)] == (
        [True] * 3
    )
