"""The published layout all the way by config/objects48.yaml: a small world in its form, small networks, few steps."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from framecast.apply.label import label
from framecast.apply.predict import predict
from framecast.core.files import read_json
from framecast.metrics import family
from framecast.stores import predictions
from framecast.world import generation
from tests.test_workflow import Workflow

HEIGHT, WIDTH, GIVEN = 32, 48, 11
SOURCE = {"kind": "world", "seed": 3, "videos": 40, "frames": [40, 42], "height": HEIGHT, "width": WIDTH, "fps": 12,
          "objects": [1, 2]}  # fmt: skip
SHORT = {"threads": 1, "batch": 8, "learning_rate": 0.01, "ema": 0.5}
TINY = {
    "run": {"comparisons": ["masks_tuning"]},
    "data": {"objects": {"buckets": 2}},
    "frame_sets": {"pictures": {"views": {"160x240": [HEIGHT, WIDTH]}}},
    "models": {
        "unet": {"width": 8, "depth": 2},
        "simvp": {"channels": 4, "hid_s": 4, "hid_t": 8, "n_s": 2, "n_t": 2, "mlp_ratio": 2},
    },
    "budgets": {
        "segmenter": {**SHORT, "steps": 40, "evaluate_every": 20},
        "masks": {**SHORT, "steps": 4, "evaluate_every": 4},
        "masks_tuned": {**SHORT, "steps": 4, "evaluate_every": 4},
    },
    "comparisons": {"masks_tuning": {"treatments": ["simvp_tuned"]}},
}
TUNED = "results/runs/simvp_tuned/seed_0"
SUBMISSION = f"{TUNED}/submission/hidden"
BROKEN = "unlabeled/video_00025"


@pytest.fixture(scope="module")
def workflow(tmp_path_factory: pytest.TempPathFactory) -> Workflow:
    flow = Workflow(tmp_path_factory.mktemp("published"), TINY, ("config/objects48.yaml",))
    shares = {"train": 0.35, "val": 0.25, "unlabeled": 0.25, "hidden": 0.15}
    counts = generation.write_frame_folders(SOURCE, shares, flow.folder / "data/objects48")
    assert counts == {"train": 15, "val": 10, "unlabeled": 9, "hidden": 6}
    (flow.folder / "data/objects48" / BROKEN / "image_21.png").unlink()
    flow.snakemake(SUBMISSION, "results/comparisons/masks_tuning.json")
    return flow


def hidden(flow: Workflow) -> list[str]:
    return sorted(f"hidden/{path.name}" for path in (flow.folder / "data/objects48/hidden").iterdir())


def test_a_broken_video_is_named_and_the_rest_goes_on(workflow: Workflow) -> None:
    with open(workflow.folder / "results/data/objects/rejected.csv", encoding="utf-8", newline="") as stream:
        (row,) = csv.DictReader(stream)
    assert row["video_id"] == BROKEN and "21 frames instead of 22" in row["reason"]
    assert "image_21.png is missing" in row["reason"]
    videos = read_json(workflow.folder / "results/data/objects/splits.json")["videos"]
    assert videos.pop("select") + videos.pop("test") == 10
    assert videos == {"train": 15, "unlabeled": 8, "hidden": 6}


def test_the_last_masks_of_hidden_videos_are_handed_in_in_order(workflow: Workflow) -> None:
    masks = np.load(workflow.folder / SUBMISSION / "masks.npy")
    assert masks.shape == (6, HEIGHT, WIDTH) and masks.dtype == np.uint8 and masks.max() < 49
    with open(workflow.folder / SUBMISSION / "videos.csv", encoding="utf-8", newline="") as stream:
        assert list(csv.reader(stream)) == [
            ["row", "video_id"],
            *([str(n), name] for n, name in enumerate(hidden(workflow))),
        ]
    found = predictions.read(workflow.folder / TUNED / "predictions/hidden.h5")
    by_name = dict(zip(found.sample_ids, found.arrays["mask"][:, -1], strict=True))
    assert np.array_equal(masks, np.stack([by_name[f"{name}#21"] for name in hidden(workflow)]))
    assert len(list((workflow.folder / SUBMISSION / "pictures").glob("*.png"))) == 6


def test_scores_and_comparison(workflow: Workflow) -> None:
    scores = pd.read_csv(workflow.folder / TUNED / "scores/test.csv")
    assert set(map(family, scores["metric"])) == {"iou", "iou_objects", "iou_corpus"}
    assert scores["sample_id"].str.fullmatch(r"val/video_\d{5}#21").all()
    compared = read_json(workflow.folder / "results/comparisons/masks_tuning.json")
    # So few steps may leave the predictions as they were: then they are said to be equal.
    (corpus,) = [one for one in compared["intervals"] + compared["equalities"] if one["metric"] == "iou_corpus"]
    assert (corpus["treatment"], corpus["baseline"]) == ("simvp_tuned", "simvp")
    assert corpus["n"] == scores["unit"].nunique()


def test_label_and_predict_give_what_the_workflow_gave(workflow: Workflow, tmp_path: Path) -> None:
    runs, source = workflow.folder / "results/runs", workflow.folder / "data/objects48/hidden"
    outcomes = label(runs / "unet/seed_0", [source], tmp_path / "labels", "cpu")
    assert [f"hidden/{one.video_id}" for one in outcomes] == hidden(workflow)
    found = predictions.read(runs / "unet/seed_0/predictions/hidden.h5").arrays["mask"].reshape(6, GIVEN, HEIGHT, WIDTH)
    labels = np.stack([np.load(tmp_path / "labels" / one.video_id / "mask.npy") for one in outcomes])
    assert (labels == found).mean() > 0.999  # a batch of another size may round otherwise
    predict(workflow.folder / TUNED, [source], tmp_path / "future", runs / "unet/seed_0", device="cpu")
    masks = np.load(tmp_path / "future/masks.npy")
    assert (masks == np.load(workflow.folder / SUBMISSION / "masks.npy")).mean() > 0.999
