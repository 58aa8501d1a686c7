"""The loop on a toy: what a run ends with depends on its spec alone, however it is cut, killed or spread."""

from __future__ import annotations

import itertools
import json
import math
import multiprocessing
import os
import random
import signal
import socket
import sys
import time
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch

from framecast.config.base import Budget
from framecast.core import locks
from framecast.core.devices import OutOfMemory
from framecast.core.needs import Needs
from framecast.core.validation import ConfigError
from framecast.training import identity, schedules
from framecast.training.batches import Shuffled, in_order
from framecast.training.checkpoints import Checkpoints, State
from framecast.training.learner import Diverged
from framecast.training.loop import train, tune
from framecast.weights import state_dict
from tests import toys

QUIET = {"device": "cpu", "tensorboard": False, "checkpoint_every": 5}


@pytest.fixture(autouse=True)
def toy(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The toy task's module, as the loop finds it."""
    toys.place(monkeypatch)
    from framecast.core import components

    module = components.load_task("toy")
    monkeypatch.setattr(module, "CONFIG", {"noise": 0.1})
    return module


def run(folder: Path, spec: dict[str, Any], settings: dict[str, Any] | None = None, **more: Any) -> dict[str, Path]:
    folder.mkdir(parents=True, exist_ok=True)
    out = toys.outputs(folder)
    stores = more.get("stores") or toys.stores(folder)
    work = more.get("work", folder / "work")
    train(spec, stores, more.get("tuned"), more.get("parent"), out, work, {**QUIET, **(settings or {})})
    return out


def record(out: dict[str, Path]) -> dict[str, Any]:
    return json.loads(out["run"].read_text())


def tensors(out: dict[str, Path]) -> dict[str, torch.Tensor]:
    return state_dict.load(out["model"])


# --- the same spec, the same bytes ---


FULL = toys.spec(
    budget__steps=40, budget__ema=0.9, budget__accumulate=2, budget__evaluate_every=7, budget__warmup=0.2,
    budget__factors={"core.body.": 0.5}, model__norm=True, task__slow=0.004,
)  # fmt: skip


def test_same_spec_gives_the_same_bytes_whatever_the_settings(tmp_path: Path) -> None:
    spec = toys.spec(budget__ema=0.9, model__norm=True)
    plain = run(tmp_path / "a", spec)
    watched = run(tmp_path / "b", spec, {"tensorboard": True, "checkpoint_every": 3, "workers": 1})
    for name in ("model", "curve"):
        assert plain[name].read_bytes() == watched[name].read_bytes()
    other = run(tmp_path / "c", {**spec, "seed": 4})
    assert plain["model"].read_bytes() != other["model"].read_bytes()


def _in_child(folder: str, spec: dict[str, Any], settings: dict[str, Any]) -> None:
    with open(os.path.join(folder, "log"), "a") as log:
        sys.stdout = sys.stderr = log
        stores = toys.Stores(Path(folder) / "samples.parquet")
        train(spec, stores, None, None, toys.outputs(Path(folder)), Path(folder) / "work", {**QUIET, **settings})


def _child(folder: Path, spec: dict[str, Any], settings: dict[str, Any]) -> Any:
    process = multiprocessing.get_context("fork").Process(target=_in_child, args=(str(folder), spec, settings))
    process.start()
    return process


def _kill_after_progress(process: Any, folder: Path, delay: float) -> bool:
    """SIGKILL a while after the next checkpoint; False where the process ended before."""
    before = set(folder.rglob("step_*"))
    while process.is_alive() and not set(folder.rglob("step_*")) - before:
        time.sleep(0.002)
    process.join(delay)
    if process.exitcode is not None:
        return False
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    return True


def test_killed_at_random_moments_it_ends_with_the_same_bytes(tmp_path: Path) -> None:
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    for folder in (whole, cut):
        folder.mkdir()
        toys.stores(folder)
    process = _child(whole, FULL, {"checkpoint_every": 1000})
    process.join()
    assert process.exitcode == 0
    draw = random.Random(5)
    for _ in range(4):
        process = _child(cut, FULL, {"checkpoint_every": 2})
        assert _kill_after_progress(process, cut, draw.uniform(0, 0.06))
        assert not (cut / "model.safetensors").exists()
    process = _child(cut, FULL, {"checkpoint_every": 2})
    process.join()
    assert process.exitcode == 0
    assert (cut / "log").read_text().count("going on from step") == 4
    for name in ("model.safetensors", "curve.csv"):
        assert (whole / name).read_bytes() == (cut / name).read_bytes(), name
    assert not list((cut / "work").rglob("step_*")), "checkpoints are dropped at success"


def test_interrupted_early_stopping_and_tracking_go_on(tmp_path: Path, toy: Any, monkeypatch: Any) -> None:
    spec = toys.spec(budget__steps=30, budget__evaluate_every=3, budget__patience=4, budget__learning_rate=0.05)
    whole = run(tmp_path / "a", spec, {"tensorboard": True})
    step = {"left": 11}
    original = toy.loss

    def dies(*args: Any) -> Any:
        step["left"] -= 1
        if step["left"] == 0:
            raise KeyboardInterrupt
        return original(*args)

    monkeypatch.setattr(toy, "loss", dies)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "b", spec, {"tensorboard": True, "checkpoint_every": 4})
    assert not (tmp_path / "b" / "model.safetensors").exists()
    cut = run(tmp_path / "b", spec, {"tensorboard": True, "checkpoint_every": 4})
    assert whole["model"].read_bytes() == cut["model"].read_bytes()
    assert whole["curve"].read_bytes() == cut["curve"].read_bytes()


# --- checkpoints ---


def _stop_after(monkeypatch: Any, toy: Any, batches: int) -> None:
    left, original = {"n": batches}, toy.loss

    def stops(*args: Any) -> Any:
        left["n"] -= 1
        if left["n"] < 0:
            raise KeyboardInterrupt
        return original(*args)

    monkeypatch.setattr(toy, "loss", stops)


def _interrupted(tmp_path: Path, toy: Any) -> tuple[dict[str, Any], Path]:
    """A run of 12 steps that stopped after 9, with checkpoints at 6 and 8."""
    spec = toys.spec()
    with pytest.MonkeyPatch.context() as patch:
        _stop_after(patch, toy, 9)
        with pytest.raises(KeyboardInterrupt):
            run(tmp_path, spec, {"checkpoint_every": 2})
    return spec, next((tmp_path / "work").glob("*"))


@pytest.mark.parametrize("broken", [["step_000000008"], ["step_000000006", "step_000000008"]])
def test_truncated_checkpoints_are_passed_over(tmp_path: Path, toy: Any, broken: list[str], capfd: Any) -> None:
    spec, folder = _interrupted(tmp_path / "cut", toy)
    assert [path.stem for path in sorted(folder.glob("step_*"))] == ["step_000000006", "step_000000008"]
    for name in broken:
        path = folder / f"{name}.safetensors"
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    capfd.readouterr()
    cut = run(tmp_path / "cut", spec)
    said = capfd.readouterr().out
    assert "cannot be read" in said
    assert ("going on from step 6" in said) == (len(broken) == 1)
    assert cut["model"].read_bytes() == run(tmp_path / "whole", spec)["model"].read_bytes()


def test_checkpoint_of_another_run_is_refused(tmp_path: Path, toy: Any) -> None:
    spec, folder = _interrupted(tmp_path, toy)
    other = Checkpoints(tmp_path / "other", {}, "f" * 64)
    other.save(State(9, {"x": torch.zeros(1)}, {}))
    (tmp_path / "other" / "step_000000009.safetensors").rename(folder / "step_000000009.safetensors")
    with pytest.raises(ValueError, match=r"checkpoint of another run.*remove it"):
        run(tmp_path, spec)
    with pytest.raises(ValueError, match="training state of another run"):
        Checkpoints(folder, {}, "e" * 64)


@pytest.mark.parametrize("change", [{"fingerprint": "g"}, {"budget__threads": 2}, {"task__noise": 0.2}, {"seed": 9}])
def test_what_changes_the_identity_starts_anew(tmp_path: Path, toy: Any, change: dict[str, Any], capfd: Any) -> None:
    _interrupted(tmp_path, toy)
    run(tmp_path, toys.spec(**change))
    assert "going on" not in capfd.readouterr().out


def test_changed_inputs_change_the_identity(tmp_path: Path) -> None:
    first = identity.inputs(toys.stores(tmp_path, train=24), Needs())
    second = identity.inputs(toys.stores(tmp_path, train=25), Needs())
    assert first != second
    assert identity.inputs(toys.stores(tmp_path, train=24), Needs()) == first


def test_big_inputs_are_sampled_and_a_change_is_seen(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(identity, "WHOLE", 100)
    path = tmp_path / "store" / "shard"
    path.parent.mkdir()
    path.write_bytes(bytes(300_000))
    before = identity.content(path.parent)
    assert identity.content(path.parent) == before
    path.write_bytes(bytes(300_000))
    os.utime(path, ns=(1, 1))
    assert identity.content(path.parent) != before


def test_full_disk_while_a_checkpoint_is_written_loses_nothing(tmp_path: Path, toy: Any, monkeypatch: Any) -> None:
    spec, folder = _interrupted(tmp_path, toy)
    before = {path.name: path.read_bytes() for path in folder.glob("step_*")}

    def full(tensors: Any, path: Path, metadata: Any) -> None:
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("framecast.training.checkpoints.save_file", full)
        with pytest.raises(OSError, match="No space left"):
            run(tmp_path, spec, {"checkpoint_every": 1})
    assert {path.name: path.read_bytes() for path in folder.glob("*.safetensors")} == before
    assert not list(folder.glob(".*part*"))
    run(tmp_path, spec)


# --- one writer ---


def test_second_writer_is_refused_by_pid(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(locks, "WAIT", 0.3)
    with (
        locks.hold(tmp_path / "lock", "toy seed 3"),
        pytest.raises(RuntimeError, match=f"toy seed 3 is being written by process {os.getpid()}"),
        locks.hold(tmp_path / "lock", "toy seed 3"),
    ):
        pass
    with locks.hold(tmp_path / "lock", "toy seed 3", wait=0):
        pass


def test_gpu_slots_are_shared_out(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(locks, "_slots", lambda: {f"cuda:{index}": tmp_path / str(index) for index in range(2)})
    monkeypatch.delenv("LOCAL_RANK", raising=False)
    with locks.gpu_slot("cuda") as first, locks.gpu_slot("cuda") as second:
        assert (first, second) == ("cuda:0", "cuda:1")
    with locks.gpu_slot("cuda") as again, locks.gpu_slot("cpu") as other:
        assert (again, other) == ("cuda:0", "cpu")


# --- the recipe ---


def test_accumulated_batches_equal_one_big_batch(tmp_path: Path, toy: Any) -> None:
    toy.CONFIG["noise"] = 0.0
    small = toys.spec(model__dropout=0.0, budget__batch=4, budget__accumulate=3)
    big = toys.spec(model__dropout=0.0, budget__batch=12)
    first, second = tensors(run(tmp_path / "a", small)), tensors(run(tmp_path / "b", big))
    for name in first:
        torch.testing.assert_close(first[name], second[name], rtol=1e-5, atol=1e-6)


def test_average_of_the_weights(tmp_path: Path, toy: Any, monkeypatch: Any) -> None:
    """EMA against the rule written out: w_avg ← d·w_avg + (1 − d)·w, d = min(ema, (2 + s) / (11 + s))."""
    from framecast.training.learner import Learner

    seen: list[torch.Tensor] = []
    original = Learner._update_average

    def spy(self: Any, decay: float) -> None:
        seen.append(self.network.core.head.bias.detach().clone())
        original(self, decay)

    monkeypatch.setattr(Learner, "_update_average", spy)
    spec = toys.spec(budget__ema=0.5, budget__evaluate_every=12)
    out = run(tmp_path, spec)
    from framecast.core import components
    from framecast.training import runs

    start = runs.build(spec, {"width": 6}).core.head.bias.detach()
    assert components.load_task("toy") is toy
    for step, value in enumerate(seen):
        decay = min(0.5, (2 + step) / (11 + step))
        start = decay * start + (1 - decay) * value
    torch.testing.assert_close(tensors(out)["core.head.bias"], start)


def test_rates_and_decay_by_prefix() -> None:
    module = torch.nn.ModuleDict({"a": torch.nn.Linear(2, 2), "ab": torch.nn.Linear(2, 2), "c": torch.nn.Linear(2, 2)})
    budget = Budget(steps=1, factors={"a": 0.5, "ab.": 0.2}, freeze=["ab.bias", "c."], weight_decay=0.3)
    groups = schedules.parameter_groups(module, budget)
    names = {id(parameter): name for name, parameter in module.named_parameters()}
    found = {names[id(p)]: (group["factor"], group["weight_decay"]) for group in groups for p in group["params"]}
    assert found == {"a.weight": (0.5, 0.3), "a.bias": (0.5, 0.0), "ab.weight": (0.2, 0.3)}
    assert not module["c"].weight.requires_grad
    told = r"'body\.' .* matches no parameter; the top-level prefixes are: a\., ab\., c\."
    with pytest.raises(ValueError, match=told):
        schedules.parameter_groups(module, Budget(steps=1, freeze=["body."]))
    with pytest.raises(ValueError, match="nothing to train"):
        schedules.parameter_groups(module, Budget(steps=1, freeze=["a", "c"]))


def test_frozen_parts_stay(tmp_path: Path) -> None:
    spec = toys.spec(model__norm=True, budget__freeze=["core.body."])
    start = tensors(run(tmp_path / "start", {**spec, "budget": {**spec["budget"], "steps": 0, "freeze": []}}))
    end = tensors(run(tmp_path / "end", spec))
    for name in start:
        assert torch.equal(start[name], end[name]) == (not name.startswith("core.head")), name


def test_warm_up_then_cosine() -> None:
    budget = Budget(steps=100, warmup=0.1)
    rates = [schedules.rate(budget, 2.0, step) for step in range(100)]
    assert rates[0] == pytest.approx(0.2)
    assert rates[9] == rates[10] == 2.0
    assert rates[55] == pytest.approx(1.0)
    assert 0 < rates[99] < 0.001
    assert all(a >= b for a, b in itertools.pairwise(rates[9:]))


def test_patience_and_the_best_checkpoint(tmp_path: Path, toy: Any, monkeypatch: Any) -> None:
    values = iter([9.0, 5.0, 4.0, 4.5, 4.0, 1.0])  # the first before training; a tie is no improvement
    kept: list[torch.Tensor] = []

    def scripted(module: Any, batch: Any, generator: Any) -> Any:
        value = next(values)
        kept.append(module.core.head.bias.detach().clone())
        return {"error": torch.full((len(batch["unit"]),), value)}

    monkeypatch.setattr(toy, "monitor", scripted)
    spec = toys.spec(budget__steps=100, budget__evaluate_every=2, budget__patience=2, budget__batch=8)
    out = run(tmp_path, spec)
    facts = record(out)
    assert (facts["score"], facts["best_step"], facts["steps"], facts["stopped_early"]) == (4.0, 4, 8, True)
    assert torch.equal(tensors(out)["core.head.bias"], kept[2])


def test_a_leading_minus_turns_the_monitor_round(tmp_path: Path) -> None:
    spec = toys.spec(budget__steps=8, budget__evaluate_every=1, budget__learning_rate=0.05)
    worst = record(run(tmp_path, {**spec, "budget": {**spec["budget"], "monitor": "-error"}}))
    curve = pd.read_csv(tmp_path / "curve.csv").query("split == 'select' and step > 0")
    assert -worst["score"] == curve["value"].max() > curve["value"].min()


def test_monitor_is_averaged_by_unit_then_over_units(tmp_path: Path, toy: Any, monkeypatch: Any) -> None:
    def by_place(module: Any, batch: Any, generator: Any) -> Any:
        return {"error": torch.tensor([float(name[1:]) for name in batch["sample_id"]])}

    monkeypatch.setattr(toy, "monitor", by_place)
    stores = toys.stores(tmp_path, train=8, select=4)
    table = pd.read_parquet(stores.samples)
    table.loc[8:11, "unit"] = ["p", "p", "p", "q"]  # v008 v009 v010 | v011
    table.to_parquet(stores.samples)
    out = run(tmp_path, toys.spec(budget__steps=1, budget__batch=3), stores=stores)
    assert record(out)["score"] == pytest.approx((9 + 11) / 2)


def test_loss_may_be_monitored_and_an_unknown_quantity_is_named(tmp_path: Path) -> None:
    out = run(tmp_path / "a", toys.spec(budget__monitor="loss"))
    curve = pd.read_csv(out["curve"])
    assert list(curve.columns) == ["step", "split", "quantity", "value", "learning_rate"]
    assert record(out)["score"] == curve.query("split == 'select' and quantity == 'loss' and step > 0")["value"].min()
    with pytest.raises(ValueError, match=r"budget\.monitor is 'eror'; the task's quantities are: error, loss"):
        run(tmp_path / "b", toys.spec(budget__monitor="eror"))


def test_mixed_precision(tmp_path: Path) -> None:
    full, half = run(tmp_path / "a", toys.spec()), run(tmp_path / "b", toys.spec(budget__precision="bf16"))
    assert full["model"].read_bytes() != half["model"].read_bytes()
    for name, tensor in tensors(full).items():
        assert tensors(half)[name].dtype == tensor.dtype == torch.float32
        torch.testing.assert_close(tensors(half)[name], tensor, rtol=0.1, atol=0.02)
    with pytest.raises(ValueError, match=r"'fp16', which needs a GPU.*'auto', 'float32' or 'bf16'"):
        run(tmp_path / "c", toys.spec(budget__precision="fp16"))


def test_the_loop_leaves_torch_as_it_was(tmp_path: Path) -> None:
    threads = torch.get_num_threads()
    run(tmp_path, toys.spec(budget__threads=threads + 1))
    assert torch.get_num_threads() == threads
    assert not torch.are_deterministic_algorithms_enabled()
    assert torch.utils.deterministic.fill_uninitialized_memory


# --- starting points ---


def test_zero_steps_write_the_weights_as_they_start(tmp_path: Path) -> None:
    out = run(tmp_path, toys.spec(model={"name": "toy_zero"}, budget__steps=0))
    assert tensors(out).keys() == {"scale"}
    assert out["curve"].read_text() == "step,split,quantity,value,learning_rate\n"
    facts = record(out)
    assert (facts["parameters"], facts["steps"], facts["facts"]) == (0, 0, {"width": 6})
    with pytest.raises(ValueError, match=r"nothing to train.*budget\.steps to 0"):
        run(tmp_path / "b", toys.spec(model={"name": "toy_zero"}))


def test_init_takes_every_parameter_or_says_which_not(tmp_path: Path) -> None:
    parent = run(tmp_path / "parent", toys.spec("parent"))
    init = {"experiment": "parent", "seed": None, "fresh": []}
    child = run(
        tmp_path / "child",
        toys.spec("child", init=init, budget__steps=0),
        parent=parent["model"],
    )
    assert child["model"].read_bytes() == parent["model"].read_bytes()
    renamed = toys.spec("child", init=init, budget__steps=0, model__head="tail")
    with pytest.raises(ValueError, match=r"missing there: core\.tail\.bias.*unknown here: core\.head\.bias.*fresh"):
        run(tmp_path / "b", renamed, parent=parent["model"])
    wide = toys.spec("child", init=init, budget__steps=0, model__hidden=9)
    with pytest.raises(ValueError, match=r"wrong shape: core\.body\.0\.bias \[8\] instead of \[9\]"):
        run(tmp_path / "c", wide, parent=parent["model"])
    fresh = {**init, "fresh": ["core.tail.", "core.head."]}
    with pytest.raises(ValueError, match=r"'core\.head\.' matches nothing"):
        run(tmp_path / "d", {**renamed, "init": fresh}, parent=parent["model"])
    other = {**init, "fresh": ["core.head."]}
    kept = run(
        tmp_path / "e",
        toys.spec("child", seed=8, init=other, budget__steps=0),
        parent=parent["model"],
    )
    for name, tensor in tensors(kept).items():
        assert torch.equal(tensor, tensors(parent)[name]) == (not name.startswith("core.head.")), name
    with pytest.raises(ValueError, match="init is None, and the parent's weights"):
        run(tmp_path / "f", toys.spec(), parent=parent["model"])


def test_tied_weights_are_stored_once(tmp_path: Path) -> None:
    one = torch.nn.Linear(3, 3, bias=False)
    tied = torch.nn.Sequential(one, one)
    state_dict.save(state_dict.snapshot(tied), tmp_path / "w.safetensors")
    found = state_dict.load(tmp_path / "w.safetensors")
    assert list(found) == ["0.weight"]
    other = torch.nn.Linear(3, 3, bias=False)
    state_dict.restore(torch.nn.Sequential(other, other), found, "w")
    assert torch.equal(other.weight, one.weight)
    (tmp_path / "w.safetensors").write_bytes(b"no")
    with pytest.raises(ValueError, match="not a whole safetensors file"):
        state_dict.load(tmp_path / "w.safetensors")


# --- what goes wrong ---


def test_divergence_is_told_with_step_and_remedy(tmp_path: Path, toy: Any) -> None:
    toy.CONFIG["explode"] = 50
    with pytest.raises(Diverged, match=r"loss is inf at step 6 of 12, learning rate .*lower budget\.learning_rate"):
        run(tmp_path, toys.spec())
    assert not (tmp_path / "model.safetensors").exists()
    saved = sorted(path.stem for path in (tmp_path / "work").rglob("step_*"))
    assert saved == ["step_000000005"], "the last good state is still there"


def test_divergence_between_looks_is_found_at_its_step(tmp_path: Path, toy: Any) -> None:
    toy.CONFIG["explode"] = 10
    with pytest.raises(Diverged, match="loss is inf at step 41 of 401"):
        run(tmp_path, toys.spec(budget__steps=401, budget__evaluate_every=50), {"checkpoint_every": 100})


def test_out_of_memory_names_the_keys(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setenv("TOY_MEMORY", "1")
    with pytest.raises(OutOfMemory, match=r"budget\.batch .* is 4"):
        run(tmp_path, toys.spec())


def test_a_failing_preview_costs_no_training(tmp_path: Path, monkeypatch: Any, capfd: Any) -> None:
    plain = run(tmp_path / "a", toys.spec())
    monkeypatch.setenv("TOY_PREVIEW", "fails")
    out = run(tmp_path / "b", toys.spec(), {"tensorboard": True})
    assert "no picture today" in capfd.readouterr().out
    assert out["model"].read_bytes() == plain["model"].read_bytes()


def test_previews_and_scalars_reach_tensorboard(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    run(tmp_path, toys.spec(), {"tensorboard": True})
    folder = next((tmp_path / "work").glob("*/tensorboard"))
    events = EventAccumulator(str(folder))
    events.Reload()
    assert {"loss/train", "gradient_norm/train", "error/select", "learning_rate"} <= set(events.Tags()["scalars"])
    assert [event.step for event in events.Images("preview")] == [0, 4, 8, 12]


def test_wandb_must_be_installed(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(ValueError, match="wandb is not installed"):
        run(tmp_path, toys.spec(), {"wandb": "project"})


def test_unknown_parts_list_those_there_are(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="did you mean 'toy_mlp'"):
        run(tmp_path, toys.spec(model={"name": "toy_mpl"}, budget__steps=0))


# --- tuning ---


def _tuned(folder: Path, spec: dict[str, Any]) -> dict[str, Any]:
    folder.mkdir(exist_ok=True)
    tune(spec, toys.stores(folder), None, folder / "tuned.json", folder / "work", QUIET)
    return json.loads((folder / "tuned.json").read_text())


def test_tuning_takes_the_best_and_training_uses_it(tmp_path: Path, toy: Any) -> None:
    sweep = {"learning_rate": [0.05, 1e-6], "steps": 12}
    found = _tuned(tmp_path, toys.spec(budget__sweep=sweep))
    assert found["learning_rate"] == 0.05
    assert [trial["learning_rate"] for trial in found["trials"]] == [1e-6, 0.05]
    assert found["trials"][1]["score"] < found["trials"][0]["score"]
    out = run(tmp_path / "run", toys.spec(budget__sweep=sweep), tuned=tmp_path / "tuned.json")
    assert record(out)["learning_rate"] == 0.05
    assert out["model"].read_bytes() == run(tmp_path / "b", toys.spec(budget__learning_rate=0.05))["model"].read_bytes()


def test_finished_trials_are_kept_and_divergence_is_infinity(tmp_path: Path, toy: Any, monkeypatch: Any) -> None:
    from framecast.training import loop

    calls: list[float] = []
    original = loop._optimise

    def counted(run: Any, peak: float, *rest: Any) -> Any:
        calls.append(peak)
        if peak == 0.3:
            raise Diverged("as planned")
        if peak == 0.2 and len(calls) == 2:
            raise KeyboardInterrupt
        return original(run, peak, *rest)

    monkeypatch.setattr(loop, "_optimise", counted)
    spec = toys.spec(budget__sweep={"learning_rate": [0.1, 0.2, 0.3], "steps": 3})
    with pytest.raises(KeyboardInterrupt):
        _tuned(tmp_path, spec)
    found = _tuned(tmp_path, spec)
    assert calls == [0.1, 0.2, 0.2, 0.3]
    assert found["trials"][2]["score"] is None
    with pytest.raises(Diverged, match="every trial diverged"):
        _tuned(tmp_path / "b", toys.spec(budget__sweep={"learning_rate": [0.3], "steps": 3}))


def test_of_equal_trials_the_smaller_rate_wins(tmp_path: Path, toy: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(toy, "monitor", lambda module, batch, generator: {"error": torch.ones(len(batch["unit"]))})
    spec = toys.spec(budget__sweep={"learning_rate": [0.2, 0.1, 0.3], "steps": 2})
    assert _tuned(tmp_path, spec)["learning_rate"] == 0.1


# --- order, processes ---


def test_batches_start_anywhere_without_replay() -> None:
    whole = list(Shuffled(10, 3, seed=1, start=0, stop=9))
    assert whole[4:] == list(Shuffled(10, 3, seed=1, start=4, stop=9))
    for epoch in range(3):
        seen = [index for batch in whole[3 * epoch : 3 * epoch + 3] for index in batch]
        assert len(set(seen)) == 9
    assert whole[:3] != whole[3:6]
    assert whole != list(Shuffled(10, 3, seed=2, start=0, stop=9))
    assert sorted(set(next(iter(Shuffled(2, 5, seed=1, start=0, stop=1))))) == [0, 1]


def test_processes_share_out_the_same_batches() -> None:
    one = list(Shuffled(20, 4, seed=1, start=0, stop=10))
    parts = [list(Shuffled(20, 2, 1, 0, 10, process, 2)) for process in range(2)]
    assert [a + b for a, b in zip(*parts, strict=True)] == one
    assert sorted(itertools.chain(*in_order(7, 2, 0, 2), *in_order(7, 2, 1, 2))) == list(range(7))


def _one_of_two(rank: int, port: int, folder: str, spec: dict[str, Any]) -> None:
    place = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": 2, "LOCAL_WORLD_SIZE": 2, "MASTER_PORT": port}
    os.environ.update({key: str(value) for key, value in place.items()}, MASTER_ADDR="127.0.0.1", OMP_NUM_THREADS="1")
    _in_child(folder, spec, {"tensorboard": True})


def test_two_processes_equal_one_with_their_batches_together(tmp_path: Path, toy: Any) -> None:
    toy.CONFIG["noise"] = 0.0
    spec = toys.spec(model__dropout=0.0, budget__accumulate=2)
    single = run(tmp_path / "one", spec)
    folder = tmp_path / "two"
    folder.mkdir()
    toys.stores(folder)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    halves = {**spec, "budget": {**spec["budget"], "batch": 2}}
    context = multiprocessing.get_context("fork")
    both = [context.Process(target=_one_of_two, args=(rank, port, str(folder), halves)) for rank in range(2)]
    for process in both:
        process.start()
    for process in both:
        process.join(60)
    assert [process.exitcode for process in both] == [0, 0], (folder / "log").read_text()
    for name, tensor in tensors(toys.outputs(folder)).items():
        torch.testing.assert_close(tensor, tensors(single)[name], rtol=1e-5, atol=1e-6)
    assert record(toys.outputs(folder))["processes"] == 2
    scores = [pd.read_csv(path / "curve.csv").query("split == 'select'") for path in (tmp_path / "one", folder)]
    assert math.isclose(scores[0]["value"].iloc[-1], scores[1]["value"].iloc[-1], rel_tol=1e-5)
