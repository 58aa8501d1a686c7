"""Predict and score on a toy: whole files, right runs only, tidy rows."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pytest
import torch

from framecast.prediction import inference as prediction
from framecast.prediction import scoring
from framecast.stores import predictions
from framecast.weights import state_dict
from tests import toys
from tests.training.test_loop import run

QUIET = {"device": "cpu"}
KEPT = ("experiment", "seed", "task", "model", "data", "fingerprint")


@pytest.fixture(autouse=True)
def toy(monkeypatch: pytest.MonkeyPatch) -> None:
    toys.place(monkeypatch)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: Any) -> Path:
    """A run folder, with its samples beside it."""
    folder = tmp_path_factory.mktemp("run")
    with pytest.MonkeyPatch.context() as patch:
        toys.place(patch)
        run(folder, toys.spec())
    return folder


def _spec(inference: dict[str, Any] | None = None, **changes: Any) -> dict[str, Any]:
    """A spec as the rules hand it to predict: without budget and init."""
    made = toys.spec(**changes)
    return {key: made[key] for key in KEPT} | {"inference": inference or {"spread": 0.0}}


def _predict(run: Path, out: Path, spec: dict[str, Any] | None = None, split: str = "test") -> predictions.Predictions:
    prediction.predict(spec or _spec(), run, toys.Stores(run / "samples.parquet"), split, out, QUIET)
    return predictions.read(out)


def test_predicts_a_split_in_order(trained: Path, tmp_path: Path) -> None:
    found = _predict(trained, tmp_path / "p.h5")
    assert found.sample_ids == [f"v{index:03d}" for index in range(31, 40)]
    assert found.units == ["uv03"] * 9
    assert found.arrays["y"].shape == (9, 2)
    assert found.arrays["place"].dtype == np.int64
    assert found.attrs["experiment"] == "toy"
    assert found.attrs["inference"] == {"spread": 0.0}
    assert found.attrs["provenance"]["versions"]["torch"] == torch.__version__
    from framecast.core import components

    task = components.load_task("toy")
    dataset = task.dataset({"name": "toy"}, toys.Stores(trained / "samples.parquet"), "test")
    _, network = prediction.load_run(trained)
    with torch.no_grad():
        assert np.allclose(found.arrays["y"], network(dataset.x).numpy(), atol=1e-6)


def test_noise_depends_on_the_sample_not_on_its_batch(trained: Path, tmp_path: Path) -> None:
    record = json.loads((trained / "run.json").read_text())
    noisy = _spec({"spread": 1.0})
    first = _predict(trained, tmp_path / "a.h5", noisy).arrays["y"]
    record["spec"]["budget"]["batch"] = 5
    other = tmp_path / "run"
    other.mkdir()
    (other / "run.json").write_text(json.dumps(record))
    for name in ("model.safetensors", "samples.parquet"):
        (other / name).write_bytes((trained / name).read_bytes())
    second = _predict(other, tmp_path / "b.h5", noisy).arrays["y"]
    assert np.allclose(first, second, atol=1e-6)
    calm = _predict(trained, tmp_path / "c.h5").arrays["y"]
    assert np.abs(first - calm).min() > 1e-6


def test_same_run_gives_the_same_bytes(trained: Path, tmp_path: Path) -> None:
    first, second = (_predict(trained, tmp_path / name).arrays["y"] for name in ("a.h5", "b.h5"))
    assert first.tobytes() == second.tobytes()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"experiment": "other"}, "its experiment is 'toy', wanted is 'other'"),
        ({"seed": 4}, "its seed is 3, wanted is 4"),
        ({"model__hidden": 9}, "its model is"),
    ],
)
def test_run_of_another_experiment_is_refused(trained: Path, tmp_path: Path, change: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        _predict(trained, tmp_path / "p.h5", _spec(**change))
    assert not list(tmp_path.iterdir())


def test_weights_with_wrong_shapes_are_refused(trained: Path, tmp_path: Path) -> None:
    for name in ("run.json", "samples.parquet"):
        (tmp_path / name).write_bytes((trained / name).read_bytes())
    found = state_dict.load(trained / "model.safetensors")
    found["core.head.weight"] = torch.zeros(2, 9)
    del found["scale"]
    state_dict.save(found, tmp_path / "model.safetensors")
    wrong = r"missing there: scale; wrong shape: core\.head\.weight \[2, 9\] instead of \[2, 8\]"
    with pytest.raises(ValueError, match=wrong):
        _predict(tmp_path, tmp_path / "p.h5")


def test_interrupted_prediction_leaves_nothing(trained: Path, tmp_path: Path, monkeypatch: Any) -> None:
    from framecast.core import components

    task = components.load_task("toy")
    calls: list[int] = []
    original = task.predict

    def dies(*args: Any) -> Any:
        calls.append(1)
        if len(calls) == 3:
            raise OSError(28, "No space left on device")
        return original(*args)

    monkeypatch.setattr(task, "predict", dies)
    with pytest.raises(OSError, match="No space left"):
        _predict(trained, tmp_path / "p.h5")
    assert not list(tmp_path.iterdir())


# --- the store ---


def test_store_round_trip(tmp_path: Path) -> None:
    arrays = {"mask": np.arange(24, dtype=np.uint8).reshape(2, 3, 4), "ratio": np.array([0.1, 0.2], dtype=np.float32)}
    names = ["vidéo 'a' \n1", "=b"]
    predictions.write(tmp_path / "p.h5", arrays, names, ["u", "ü"], {"long": "x" * 100_000})
    found = predictions.read(tmp_path / "p.h5")
    assert (found.sample_ids, found.units, found.attrs) == (names, ["u", "ü"], {"long": "x" * 100_000})
    for name, values in arrays.items():
        assert found.arrays[name].dtype == values.dtype
        assert np.array_equal(found.arrays[name], values)


def test_store_refuses_what_does_not_fit(tmp_path: Path) -> None:
    path, two = tmp_path / "p.h5", np.zeros((2, 3))
    for arrays, ids, message in [
        ({"y": two}, ["a"], r"shape \[2, 3\] for 1 samples"),
        ({"y": two}, ["a", "a"], "1 sample ids stand more than once: a"),
        ({}, [], "no sample"),
    ]:
        with pytest.raises(ValueError, match=message):
            predictions.write(path, arrays, ids, ids, {})
    with pytest.raises(ValueError, match=r"rows of \[4\], those before \[3\]"), predictions.writing(path, {}) as writer:
        writer.append({"y": two}, ["a", "b"], ["a", "b"])
        writer.append({"y": np.zeros((1, 4))}, ["c"], ["c"])
    with pytest.raises(ValueError, match=r"a batch predicts \['z'\]"), predictions.writing(path, {}) as writer:
        writer.append({"y": two}, ["a", "b"], ["a", "b"])
        writer.append({"z": two}, ["c", "d"], ["c", "d"])
    assert not list(tmp_path.iterdir())


def test_truncated_store_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "p.h5"
    predictions.write(path, {"y": np.zeros((2, 3))}, ["a", "b"], ["a", "b"], {})
    path.write_bytes(path.read_bytes()[:900])
    with pytest.raises(ValueError, match="not a whole predictions file"):
        predictions.read(path)
    with h5py.File(path, "w") as file:
        file["y"] = 1
    with pytest.raises(ValueError, match="not a whole predictions file"):
        predictions.read(path)


# --- scores ---


def _score(trained: Path, folder: Path, task: dict[str, Any] | None = None, **change: Any) -> pd.DataFrame:
    """Predict, then score with a task that may be changed in both."""
    spec = _spec(**change)
    source = folder / "p.h5"
    if not source.exists():
        found = _predict(trained, folder / "q.h5")
        attrs = {**found.attrs, "task": {**spec["task"], **(task or {})}}
        predictions.write(source, found.arrays, found.sample_ids, found.units, attrs)
    spec["task"] = {**spec["task"], **(task or {})}
    stores = toys.Stores(trained / "samples.parquet")
    scoring.score(spec, source, stores, "test", folder / "test.csv", folder / "test.json")
    return pd.read_csv(folder / "test.csv")


def test_the_digest_of_predictions_is_that_of_samples_and_arrays_alone() -> None:
    arrays = {"y": np.arange(6, dtype=np.float32).reshape(2, 3)}
    one = predictions.Predictions(arrays, ["a", "b"], ["u", "u"], {"experiment": "one"})
    for changes in ({"attrs": {"experiment": "two"}}, {"units": ["u", "v"]}, {"arrays": {"y": arrays["y"].copy()}}):
        assert dataclasses.replace(one, **changes).digest() == one.digest()
    others = [{"z": arrays["y"]}, {"y": arrays["y"].astype(float)}, {"y": arrays["y"].reshape(2, 3, 1)}]
    others.append({"y": np.nextafter(arrays["y"], 9)})
    for changes in ({"sample_ids": ["b", "a"]}, *({"arrays": other} for other in others)):
        assert dataclasses.replace(one, **changes).digest() != one.digest()


def test_scores_are_tidy_sorted_and_exact(trained: Path, tmp_path: Path) -> None:
    table = _score(trained, tmp_path)
    assert list(table.columns) == ["experiment", "data", "split", "seed", "sample_id", "unit", "metric", "value"]
    assert table["sample_id"].is_monotonic_increasing
    assert set(table["experiment"]) == {"toy"}
    assert set(table["seed"]) == {3}
    found = predictions.read(tmp_path / "p.h5")
    from framecast.core import components

    dataset = components.load_task("toy").dataset({"name": "toy"}, toys.Stores(trained / "samples.parquet"), "test")
    expected = ((found.arrays["y"] - dataset.y.numpy()) ** 2).mean(axis=1)
    assert [float(value) for value in table["value"]] == [float(value) for value in expected]
    facts = json.loads((tmp_path / "test.json").read_text())
    assert facts["gallery"] == "abc" and facts["predictions_digest"] == found.digest()
    assert (facts["provenance"]["samples"], facts["provenance"]["units"]) == (9, 1)
    before = (tmp_path / "test.csv").read_bytes()
    _score(trained, tmp_path)
    assert (tmp_path / "test.csv").read_bytes() == before


@pytest.mark.parametrize(
    ("task", "message"),
    [
        ({"broken": "nan"}, "mse of sample 'v033' is nan"),
        ({"broken": "stranger"}, "sample 'nobody' is scored but was not predicted"),
        ({"broken": "unit"}, "'v033' is of unit 'uv03', but scored as of 'elsewhere'"),
        ({"broken": "twice"}, "mse of sample 'v031' stands 2 times"),
        ({"metric": "mze"}, "no metric 'mze'; did you mean 'mse'"),
        ({"metric": "iou_corpus"}, "'iou_corpus' is no part of a corpus metric"),
        ({"metric": "mse.union.1"}, "mse has no parts"),
    ],
)
def test_bad_scores_are_refused(trained: Path, tmp_path: Path, task: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        _score(trained, tmp_path, task)
    assert not (tmp_path / "test.csv").exists()


def test_parts_of_a_corpus_metric_are_scored(trained: Path, tmp_path: Path) -> None:
    table = _score(trained, tmp_path, {"metric": "iou_corpus.union.17"})
    assert set(table["metric"]) == {"iou_corpus.union.17"}


def test_predictions_of_another_run_are_refused(trained: Path, tmp_path: Path) -> None:
    _score(trained, tmp_path)
    with pytest.raises(ValueError, match="another run's: seed is 3, wanted is 4"):
        _score(trained, tmp_path, seed=4)
    with pytest.raises(ValueError, match="another run's: split is 'test', wanted is 'select'"):
        scoring.score(_spec(), tmp_path / "p.h5", toys.Stores(trained / "samples.parquet"), "select",
                         tmp_path / "s.csv", tmp_path / "s.json")  # fmt: skip
