"""Predicted frames as files: names, cells, and results.json beside them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from framecast.config.base import Config
from framecast.core.files import read_json
from framecast.core.validation import parse
from framecast.pictures import frames as frame_pictures
from framecast.prediction import inference, scoring
from framecast.prediction import pictures as run_pictures
from framecast.stores import predictions
from framecast.stores.predictions import Predictions
from framecast.workflow import plan
from framecast.workflow.inputs import Flow
from tests import toys
from tests.training.test_loop import run

RNG = np.random.default_rng(0)
NAMES = ["move/clip 1.mp4#20", "Überraschung/…/#1.webm#20", "a" * 300 + ".webm#20", "../../etc/passwd#20"]


def frames(count: int = 4, height: int = 8, width: int = 12) -> np.ndarray:
    return RNG.integers(0, 256, (count, height, width, 3), dtype=np.uint8)


class Pairs:
    """Videos of one split, a pair of frames each, in another order than the predictions."""

    def __init__(self) -> None:
        self.videos = pd.DataFrame({"video_id": [name.removesuffix("#20") for name in NAMES[::-1]]})
        self.videos["text"] = [f"moving thing {number}" for number in range(4)]
        self.videos["task"] = ["move_object", None, "drop_object", "move_object"]
        self.places = [(number, 20, 21) for number in range(4)]
        self.frames = frames(8)

    def name(self, place: Any) -> str:
        return self.videos["video_id"][place[0]] + f"#{place[1]}"

    def pictures(self, places: Any) -> tuple[np.ndarray, np.ndarray]:
        numbers = [place[0] for place in places]
        return self.frames[numbers], self.frames[4:][numbers]


def read(path: Path) -> np.ndarray:
    with Image.open(path) as picture:
        return np.asarray(picture)


def test_three_folders_with_one_name_a_sample_and_nothing_outside(tmp_path: Path) -> None:
    folder = tmp_path / "one" / "two" / "pictures"
    folder.mkdir(parents=True)
    inputs, targets, outputs = frames(), frames(), frames()
    files = frame_pictures.write(folder, NAMES, inputs, targets, outputs)
    assert files[:2] == ["00000_move_clip_1.mp4_20.png", "00001__berraschung_1.webm_20.png"]
    assert all(len(name) < 100 and "/" not in name for name in files)
    written = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.png")}
    parts = ("target", "output", "comparison")
    assert written == {f"one/two/pictures/{part}/{file}" for part in parts for file in files}
    for place, file in enumerate(files):
        assert np.array_equal(read(folder / "target" / file), targets[place])
        assert np.array_equal(read(folder / "output" / file), outputs[place])
    shown = read(folder / "comparison" / files[1])
    gap, label, scale = frame_pictures.GAP, frame_pictures.LABEL, frame_pictures.WIDEST // 12
    for column, whole in enumerate((inputs, targets, outputs)):
        left, top = gap + column * (12 * scale + gap), label + gap
        cell = shown[top : top + 8 * scale, left : left + 12 * scale]
        assert np.array_equal(cell, whole[1].repeat(scale, 0).repeat(scale, 1))


def test_large_frames_keep_their_size_and_without_inputs_two_are_shown(tmp_path: Path) -> None:
    large = frames(1, 250, 260)
    (file,) = frame_pictures.write(tmp_path, ["x#21"], None, large, large)
    assert read(tmp_path / "comparison" / file).shape[1] == 2 * (260 + frame_pictures.GAP) + frame_pictures.GAP


@pytest.mark.parametrize("given", [20, None])
def test_samples_of_a_task_are_told_with_their_texts(tmp_path: Path, given: int | None) -> None:
    dataset, outputs = Pairs(), frames()
    found = Predictions({"frame": outputs}, NAMES, NAMES, {})
    rows = frame_pictures.of_task({"input": given}, found, dataset, tmp_path)
    assert [row["sample_id"] for row in rows] == NAMES
    assert [row["text"] for row in rows] == [f"moving thing {number}" for number in (3, 2, 1, 0)]
    assert [row["task"] for row in rows] == ["move_object", "drop_object", "", "move_object"]
    assert {row["template"] for row in rows} == {""}
    assert np.array_equal(read(tmp_path / "target" / rows[0]["file"]), dataset.frames[4 + 3])
    cells = 3 if given else 2
    width = frame_pictures.WIDEST // 12 * 12 + frame_pictures.GAP
    assert read(tmp_path / "comparison" / rows[0]["file"]).shape[1] == cells * width + frame_pictures.GAP


@pytest.fixture
def scored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """A trained, predicted and scored run of the toy task, whose scores carry a caution."""
    toys.place(monkeypatch)
    spec = toys.spec(task__caution="knows the sum")
    run(tmp_path, spec)
    kept = {key: spec[key] for key in ("experiment", "seed", "task", "model", "data", "fingerprint")}
    stores = toys.Stores(tmp_path / "samples.parquet")
    files = [tmp_path / name for name in ("test.h5", "test.csv", "test.json")]
    predict = {**kept, "inference": {"spread": 0.0}}
    inference.predict(predict, tmp_path, stores, "test", files[0], {"device": "cpu"})
    scoring.score(kept, files[0], stores, "test", *files[1:])
    return {"spec": kept, "files": files, "stores": stores}


def test_results_json_holds_every_sample_with_its_scores(scored: dict[str, Any], tmp_path: Path) -> None:
    out = tmp_path / "pictures" / "test"
    run_pictures.draw(scored["spec"], *scored["files"], scored["stores"], "test", out)
    record = read_json(out / "results.json")
    assert {key: record[key] for key in ("experiment", "split", "seed", "data_range", "caution")} == {
        "experiment": "toy", "split": "test", "seed": 3, "data_range": 255, "caution": "knows the sum",
    }  # fmt: skip
    names = predictions.read(scored["files"][0]).sample_ids
    values = pd.read_csv(scored["files"][1]).set_index("sample_id")["value"]
    assert [(row["sample_id"], row["mse"], row["text"]) for row in record["samples"]] == [
        (name, values[name], "a sum") for name in names
    ]
    assert record["mean"] == {"mse": pytest.approx(values.mean())}
    assert record["std"] == {"mse": pytest.approx(values.std(ddof=1))}
    assert {path.stem for path in (out / "output").iterdir()} == set(names)


def test_a_task_without_pictures_is_refused(scored: dict[str, Any], tmp_path: Path) -> None:
    from framecast.core import components

    toy = components.load_task("toy")
    with pytest.MonkeyPatch.context() as patch:
        patch.delattr(toy, "pictures")
        with pytest.raises(ValueError, match=r"toy: the task 'toy' draws no pictures; .* run\.pictures"):
            run_pictures.draw(scored["spec"], *scored["files"], scored["stores"], "test", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_pictures_of_asked_experiments_are_built_for_each_seed_and_evaluated_split(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    toys.place(monkeypatch)
    monkeypatch.setattr(plan, "_stage_code", lambda *_: "f00")  # toys do not lie below src
    part = {"task": "toy", "data": "own", "model": "mlp", "budget": "none"}
    config = {
        "run": {"experiments": ["other", "asked"], "pictures": ["asked", "idle"]},
        "data": {"own": {"source": {"kind": "world"}, "evaluate": ["test", "select"]}},
        "tasks": {"toy": {"name": "toy"}}, "models": {"mlp": {"name": "toy_mlp"}}, "budgets": {"none": {"steps": 0}},
        "experiments": {"asked": {**part, "seeds": [0, 4]}, "other": part, "idle": part},
    }  # fmt: skip
    flow = Flow(plan.resolve(parse(Config, config)), {"own": {}}, Path("results"))
    assert flow.pictures() == [
        f"results/runs/asked/seed_{seed}/pictures/{split}" for seed in (0, 4) for split in ("test", "select")
    ]
    spec = flow.spec(type("Wildcards", (), {"experiment": "asked", "seed": "4"}), "pictures")
    assert '"seed":4' in spec and '"inference"' not in spec and '"fingerprint":"f00"' in spec
