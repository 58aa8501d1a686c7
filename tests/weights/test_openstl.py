"""OpenSTL beside ours: its own network behind our adapter, and checkpoints both ways."""

from __future__ import annotations

import argparse
import contextlib
import importlib
import importlib.util
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from framecast import cli
from framecast.core.files import write_json
from framecast.models import openstl_simvp, simvp
from framecast.models.simvp import SimVP
from framecast.weights import openstl as openstl_weights
from framecast.weights import state_dict

torch.set_num_threads(1)


@pytest.fixture(scope="module")
def state() -> dict[str, Tensor]:
    return SimVP((3, 1, 16, 16), 8, 16, 2, 2).state_dict()


def same(first: dict[str, Tensor], second: dict[str, Tensor]) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


# --- adapter ---------------------------------------------------------------------------------------------------------

CONFIG = simvp.Config(channels=4, hid_s=8, hid_t=16, n_s=4, n_t=3, mlp_ratio=2, residual="none")
SHAPE = {"classes": 5, "given": 3, "ahead": 2, "height": 8, "width": 12}


@contextlib.contextmanager
def imported_anew() -> Iterator[None]:
    """What is imported of OpenSTL, or in its name, is forgotten before and after."""

    def forget() -> None:
        for name in [name for name in sys.modules if name.partition(".")[0] in ("openstl", "timm")]:
            del sys.modules[name]

    forget()
    try:
        yield
    finally:
        forget()


@pytest.fixture
def openstl() -> Iterator[None]:
    """OpenSTL's SimVP: installed, or from the checkout that FRAMECAST_OPENSTL names (see benchmarks/)."""
    checkout = os.environ.get("FRAMECAST_OPENSTL")
    with imported_anew():
        if checkout:
            path = Path(__file__).resolve().parents[2] / "benchmarks" / "openstl_checkout.py"
            spec = importlib.util.spec_from_file_location("openstl_checkout", path)
            assert spec and spec.loader
            helper = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(helper)
            assert helper.there(Path(checkout)), f"FRAMECAST_OPENSTL={checkout} is no checkout of OpenSTL"
            helper.provide(Path(checkout))
        try:
            importlib.import_module("openstl.models.simvp_model")
        except ImportError as error:
            pytest.skip(f"no OpenSTL ({error}): install it, or set FRAMECAST_OPENSTL to a checkout of it")
        yield


def test_the_adapter_is_our_network(openstl: None) -> None:
    torch.manual_seed(0)
    theirs, ours = openstl_simvp.build(CONFIG, **SHAPE), simvp.build(CONFIG, **SHAPE)
    for parameter in theirs.parameters():
        parameter.data.add_(0.1 * torch.randn_like(parameter))
    ours.load_state_dict(theirs.state_dict(), strict=True)
    masks = torch.randint(5, (2, 3, 8, 12), dtype=torch.uint8)
    logits = [network.eval()(masks) for network in (theirs, ours)]
    torch.testing.assert_close(logits[1], logits[0], rtol=0, atol=1e-5)
    assert logits[0].std() > 0.1
    for output in logits:
        output.square().mean().backward()
    for (name, first), second in zip(theirs.named_parameters(), ours.parameters(), strict=True):
        torch.testing.assert_close(second.grad, first.grad, rtol=1e-3, atol=1e-6, msg=name)


def test_ours_starts_as_theirs_does(openstl: None) -> None:
    torch.manual_seed(0)
    config = CONFIG.model_copy(update={"hid_s": 32, "hid_t": 64})
    theirs, ours = (module.build(config, **SHAPE).state_dict() for module in (openstl_simvp, simvp))
    assert list(theirs) == list(ours)
    for name, value in theirs.items():
        if value.numel() > 500:
            assert ours[name].std().item() == pytest.approx(value.std().item(), rel=0.15), name
        assert ours[name].any() == value.any(), name


def test_without_openstl_the_error_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openstl", None)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(
        ValueError, match=r"OpenSTL is not installed; install it with `pip install git\+https"
    ) as caught:
        openstl_simvp.build(CONFIG, **SHAPE)
    assert isinstance(caught.value, ImportError) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({"__init__.py": ""}, "another one"),
        ({"__init__.py": "", "models/__init__.py": "import no_timm"}, "importing it failed: No module named 'no_timm'"),
    ],
)
def test_another_or_a_broken_openstl_is_told_apart(
    files: dict[str, str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, text in files.items():
        path = tmp_path / "openstl" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    with imported_anew(), pytest.raises(openstl_simvp.BackendMissing, match=said):
        openstl_simvp.build(CONFIG, **SHAPE)


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
    state_dict.save({**mine, "core.embedding.weight": torch.zeros(5, 4)}, run / "model.safetensors")
    assert cli.main(["weights", "export", str(run), "--out", str(checkpoint), "--lightning"]) == 0
    assert cli.main(["weights", "import", str(checkpoint), "--out", str(back), "--prefix", "simvp."]) == 0
    assert same(state_dict.load(back), {f"simvp.{name}": value for name, value in state.items()})
    assert f"{len(state)} tensors in {back}" in capsys.readouterr().out


def test_a_run_that_takes_another_runs_weights_is_exported_with_these(state: dict[str, Tensor], tmp_path: Path) -> None:
    parent, child = tmp_path / "parent" / "seed_0", tmp_path / "child" / "seed_0"
    for folder in (parent, child):
        folder.mkdir(parents=True)
    state_dict.save({f"core.simvp.{name}": value for name, value in state.items()}, parent / "model.safetensors")
    write_json(child / "run.json", {"weights_of": "parent/seed_0"})
    openstl_weights.export_run(child, tmp_path / "out.ckpt", lightning=False)
    assert same(openstl_weights.load(tmp_path / "out.ckpt"), state)


def test_the_command_says_what_is_wrong(state: dict[str, Tensor], tmp_path: Path, capsys: Any) -> None:
    state_dict.save({"core.head.weight": torch.zeros(1)}, tmp_path / "model.safetensors")
    assert cli.main(["weights", "export", str(tmp_path), "--out", str(tmp_path / "x.ckpt")]) == 1
    assert cli.main(["weights", "export", str(tmp_path / "absent"), "--out", str(tmp_path / "x.ckpt")]) == 1
    openstl_weights.save(state, tmp_path / "a.ckpt", lightning=False)
    assert cli.main(["weights", "import", str(tmp_path / "a.ckpt"), "--out", str(tmp_path / "a.pt")]) == 1
    errors = capsys.readouterr().err.splitlines()
    assert [part in line for part, line in zip(("no SimVP", "results/runs/", "must end in"), errors, strict=True)] == (
        [True] * 3
    )
