"""What `precision: auto` is on a device, and that a run keeps to what was chosen."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from framecast.config import loading
from framecast.config.base import Encoder
from framecast.core import precision
from framecast.core.validation import ConfigError, parse
from framecast.prediction import inference
from framecast.workflow import plan
from tests import toys
from tests.training.test_loop import QUIET, _interrupted, record, run

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def toy(monkeypatch: pytest.MonkeyPatch) -> Any:
    toys.place(monkeypatch)
    from framecast.core import components

    return components.load_task("toy")


def pretend_cuda(monkeypatch: pytest.MonkeyPatch, bf16: bool) -> None:
    """A GPU with or without bf16; without it torch would emulate it, which must not count."""
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: bf16 or including_emulation)


def pretend_choice(monkeypatch: pytest.MonkeyPatch, chosen: str) -> None:
    """Another machine, where `auto` is another precision."""
    monkeypatch.setattr(precision, "choose", lambda name, device: chosen if name == "auto" else name)


# --- the choice ---


@pytest.mark.parametrize(("bf16", "chosen"), [(True, "bf16"), (False, "float32")])
def test_auto_on_a_gpu_is_bf16_where_it_has_it(monkeypatch: pytest.MonkeyPatch, bf16: bool, chosen: str) -> None:
    pretend_cuda(monkeypatch, bf16)
    assert precision.choose("auto", "cuda") == chosen


def test_auto_is_float32_on_a_cpu_and_on_mps_beside_any_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend_cuda(monkeypatch, True)
    assert [precision.choose("auto", device) for device in ("cpu", "mps")] == ["float32", "float32"]


@pytest.mark.parametrize("name", ["float32", "bf16", "fp16"])
def test_a_name_means_itself(name: str) -> None:
    assert {precision.choose(name, device) for device in ("cpu", "cuda", "mps")} == {name}


def test_what_a_device_lacks_is_named_with_what_it_has(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match=r"encoders\.precision is 'fp16', which needs a GPU; on this CPU take 'auto', "
                       r"'float32' or 'bf16'$"):  # fmt: skip
        precision.check("fp16", "cpu", "encoders.precision")
    pretend_cuda(monkeypatch, False)
    with pytest.raises(ValueError, match=r"budget\.precision is 'bf16'.*on this GPU \(cuda\) take 'auto', 'float32' or "
                       r"'fp16'$"):  # fmt: skip
        precision.check("bf16", "cuda")
    pretend_cuda(monkeypatch, True)
    precision.check("bf16", "cuda")
    monkeypatch.setattr(torch.backends.mps, "is_macos_or_newer", lambda major, minor: False)
    with pytest.raises(ValueError, match=r"on this GPU \(mps\) take 'auto', 'float32' or 'fp16'"):
        precision.check("bf16", "mps")


@pytest.mark.parametrize("overlay", [None, "study", "ssv2", "objects48", "masks_ablation"])
def test_the_device_decides_in_every_shipped_config(overlay: str | None, tmp_path: Path) -> None:
    config = loading.load([ROOT / f"config/{overlay}.yaml"] if overlay else [])
    experiments = plan.make(config, tmp_path)["experiments"]
    assert {one["spec"]["budget"]["precision"] for one in experiments.values()} == {"auto"}


def test_a_precision_by_its_earlier_name_is_refused_with_the_new_one() -> None:
    with pytest.raises(ConfigError, match=r"encoders\.e\.precision: .*'auto', 'float32', 'bf16' or 'fp16'.*'bfloat16'"):
        parse(
            Encoder, {"kind": "dino", "hub": "a/b", "frames": "f", "view": "v", "precision": "bfloat16"}, "encoders.e"
        )


# --- a run keeps to it ---


def auto(**changes: Any) -> dict[str, Any]:
    return toys.spec(budget__precision="auto", **changes)


def test_the_choice_stands_in_the_record_and_the_spec_stays_as_configured(tmp_path: Path) -> None:
    out = record(run(tmp_path, auto()))
    assert (out["precision"], out["spec"]["budget"]["precision"]) == ("float32", "auto")


def test_auto_ends_as_the_precision_that_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bytes_of: Callable[[dict[str, Path]], bytes] = lambda out: out["model"].read_bytes()  # noqa: E731
    named = {name: run(tmp_path / name, toys.spec(budget__precision=name)) for name in ("float32", "bf16")}
    here = run(tmp_path / "here", auto())
    pretend_choice(monkeypatch, "bf16")
    elsewhere = run(tmp_path / "elsewhere", auto())
    assert bytes_of(here) == bytes_of(named["float32"]) != bytes_of(named["bf16"])
    assert bytes_of(elsewhere) == bytes_of(named["bf16"])
    assert record(here)["identity"] == record(named["float32"])["identity"]
    assert record(elsewhere)["identity"] == record(named["bf16"])["identity"] != record(here)["identity"]


def test_a_checkpoint_is_never_continued_in_another_precision(
    tmp_path: Path, toy: Any, monkeypatch: pytest.MonkeyPatch, capfd: Any
) -> None:
    spec, _ = _interrupted(tmp_path, toy)
    assert spec["budget"]["precision"] == "auto"
    with monkeypatch.context() as patch:
        pretend_choice(patch, "bf16")
        run(tmp_path, spec)
        assert "going on" not in capfd.readouterr().out
    run(tmp_path, spec)
    assert "going on from step 8" in capfd.readouterr().out


def variant(tmp_path: Path, parent: dict[str, Path], **changes: Any) -> dict[str, Path]:
    spec = toys.spec("variant", init={"experiment": "toy"}, budget__steps=0, **changes)
    return run(tmp_path / "variant", spec, parent=parent["model"])


def test_a_variant_of_inference_has_the_precision_of_the_run_that_it_varies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        pretend_choice(patch, "bf16")
        trained = run(tmp_path / "trained", auto())
    assert record(variant(tmp_path, trained))["precision"] == "bf16"
    assert record(variant(tmp_path, trained, budget__precision="float32"))["precision"] == "float32"
    trained["run"].unlink()  # weights of a file have no record
    assert record(variant(tmp_path, trained))["precision"] == "float32"


@pytest.fixture
def half_seen(toy: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[torch.dtype | None]]:
    """For each predicted batch the half-precision format in force."""
    seen: list[torch.dtype | None] = []
    original = toy.predict

    def watched(*args: Any) -> Any:
        seen.append(torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else None)
        return original(*args)

    monkeypatch.setattr(toy, "predict", watched)
    yield seen


def predict(folder: Path, out: Path) -> None:
    made = toys.spec()
    kept = {key: made[key] for key in ("experiment", "seed", "task", "model", "data", "fingerprint")}
    stores = toys.Stores(folder / "samples.parquet")
    inference.predict({**kept, "inference": {"spread": 0.0}}, folder, stores, "test", out, QUIET)


def test_predictions_are_made_in_the_precision_of_the_training(
    tmp_path: Path, half_seen: list[torch.dtype | None], monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        pretend_choice(patch, "bf16")
        run(tmp_path / "half", auto())
    run(tmp_path / "full", auto())
    predict(tmp_path / "half", tmp_path / "half.h5")
    assert set(half_seen) == {torch.bfloat16}
    half_seen.clear()
    predict(tmp_path / "full", tmp_path / "full.h5")
    assert set(half_seen) == {None}


def test_a_run_whose_precision_is_lacking_says_what_to_do(tmp_path: Path) -> None:
    out = run(tmp_path, auto())
    out["run"].write_text(json.dumps({**record(out), "precision": "fp16"}))
    with pytest.raises(ValueError, match=r"'fp16', which needs a GPU.*train the run again, or use a device.*settings"):
        predict(tmp_path, tmp_path / "p.h5")
    assert not (tmp_path / "p.h5").exists()
