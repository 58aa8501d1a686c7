"""Results as the workflow leaves them, made up: seven experiments, two gaps, three seeds, 24 videos; and masks.

Two tracks, `embedding` and `masks`; the first comparison of each is primary.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from framecast import metrics
from framecast.analysis import statistics
from framecast.analysis.answers import Track, from_records
from framecast.analysis.summary import DataFiles, Gallery, ReportInputs
from framecast.core.files import digest, read_json
from framecast.scores import COLUMNS, PREDICTIONS

MODELS = {  # squared error relative to copying
    "copy_last": 1.0, "mean": 1.9, "linear": 1.22, "lstm": 0.81, "gru": 0.78, "gru_1024": 0.72, "tmdn": 0.63,
}  # fmt: skip
TITLES = {
    "copy_last": "Copy last", "mean": "Mean of the history", "linear": "Linear extrapolation", "lstm": "LSTM",
    "gru": "GRU", "gru_1024": "GRU-1024", "tmdn": "TMDN",
}  # fmt: skip
TRIVIAL = ("copy_last", "mean", "linear")
MASKS = {"copy_mask": 0.3, "unet": 0.12, "simvp": 0.07}  # share of wrong pixels
MASK_TITLES = {"copy_mask": "Copy the last mask", "unet": "U-Net", "simvp": "SimVP"}
TWIN = {"twin": "Lazy SimVP"}  # a trained network that copies the last mask
TRACKS = {"embedding": "Next embedding", "masks": "Future masks"}
MASK_VIDEOS, MASK_SEEDS, CLASSES = 12, 2, 6
SELECT = "select"


def make(
    folder: Path, videos: int = 24, windows: int = 9, seeds: int = 3, gaps: tuple[int, ...] = (1, 5), twin: bool = False
) -> ReportInputs:
    """Write everything below `folder` and return what the workbook and the report read. twin: with `TWIN`."""
    scores, runs, titles = [], [], {}
    for gap in gaps:
        for model, factor in MODELS.items():
            experiment = f"{model}_gap{gap}"
            titles[experiment] = f"{TITLES[model]}, +{gap}"
            for seed in range(1 if model in TRIVIAL else seeds):
                run = folder / "runs" / experiment / f"seed_{seed}"
                task = {"name": "embedding", "gap": gap, "history": 30, "encoder": "tiny"}
                _run(run, experiment, model, task, seed, 0.0 if model in TRIVIAL else factor * 0.02 * gap**0.7)
                _scores(run / "scores", experiment, model, factor, gap, seed, videos, windows)
                runs.append(run)
                scores.append(run / "scores" / "test.csv")
    mask_runs = _masks(folder, [*MASKS, *(TWIN if twin else ())])
    mask_scores = [run / "scores" / "test.csv" for run in mask_runs]
    runs, scores, titles = runs + mask_runs, scores + mask_scores, titles | MASK_TITLES | TWIN
    comparisons = [
        *_comparisons(folder, scores, gaps),
        _mask_comparison(folder, mask_scores, list(TWIN) if twin else []),
    ]
    return ReportInputs(
        comparisons=comparisons,
        scores=scores,
        facts=[
            *_breakdown(folder, "gru_gap1", seeds, 0.2),
            *_breakdown(folder, "copy_last_gap1", 1, 0.1),
            *(path.with_suffix(".json") for path in mask_scores),
        ],
        runs=runs,
        data={"world": _data(folder / "data" / "world", videos)},
        probes=[_probe(folder / "data" / "world" / "probes" / "tiny.json")],
        galleries=[
            _picture(folder / "data" / "world" / "contact_sheets" / "square_96.png", "Frames of world: square_96"),
            _picture(folder / "galleries" / "masks" / "test.png", "Split test", "masks"),
        ],
        titles=titles,
        tracks=_tracks(comparisons, titles),
        units={"world": "video"},
        config=json.dumps({"run": {"comparisons": ["tmdn_against_gru"]}, "note": "<b>not bold</b>"}, indent=1),
    )


def _tracks(comparisons: list[Path], titles: dict[str, str]) -> dict[str, Track]:
    """As the plan has them: a track's experiments are those of its task, in comparisons or not."""
    found = from_records([read_json(path) for path in comparisons])
    masks = [name for name in titles if name in {*MASK_TITLES, *TWIN}]
    members = {"masks": masks, "embedding": [name for name in titles if name not in masks]}
    return {name: Track(one.title, members[name], one.comparisons) for name, one in found.items()}


def _track(name: str, primary: bool) -> dict[str, Any]:
    return {"name": name, "title": TRACKS[name], "primary": primary}


def _breakdown(folder: Path, experiment: str, seeds: int, error: float) -> list[Path]:
    """Facts of each seed: pushing is `error` plus a tenth of the seed off, lifting is known of one experiment alone."""
    paths = []
    for seed in range(seeds):
        parts = {"Pushing": {"mse": error + 0.1 * seed, "samples": 30, "units": 10}}
        if experiment == "copy_last_gap1":
            parts["Lifting"] = {"mse": 0.7, "samples": 6, "units": 2}
        record = {"spec": {"experiment": experiment}, "split": "test"}
        paths.append(folder / f"{experiment}_{seed}.json")
        paths[-1].write_text(json.dumps({"breakdown": {"template": parts}, "provenance": record}))
    return [*paths, _plain(folder / f"{experiment}_plain.json")]


def _plain(path: Path) -> Path:
    path.write_text(json.dumps({"clips": 3, "provenance": {"spec": {"experiment": "tmdn_gap1"}, "split": "test"}}))
    return path


def _run(folder: Path, experiment: str, model: str, task: dict[str, Any], seed: int, floor: float) -> None:
    """A run whose error on the select split goes down to `floor`; a floor of 0: nothing to train."""
    trained = floor > 0
    folder.mkdir(parents=True)
    rng = np.random.default_rng([seed, len(experiment), len(model)])
    steps = np.arange(0, 2001, 100)
    if trained:
        select = floor * (1 + 1.2 * np.exp(-steps / 350) + rng.normal(0, 0.02, len(steps)) + (steps / 9000) ** 2)
        rows = [(int(s), split, "mse", float(v * f), 1e-3) for split, f in ((SELECT, 1), ("train", 0.9))
                for s, v in zip(steps, select, strict=True)]  # fmt: skip
    else:
        rows = []
    columns = ["step", "split", "quantity", "value", "learning_rate"]
    pd.DataFrame(rows, columns=columns).to_csv(folder / "curve.csv", index=False)
    record = {
        "spec": {
            "experiment": experiment, "data": "world", "select": SELECT,
            "task": task, "model": {"name": model}, "budget": {"steps": 2000 if trained else 0}, "init": None,
        },
        "seed": seed, "identity": "8f3a" * 16, "parameters": 1_842_176 if trained else 0,
        "steps": 2000 if trained else 0,
        "best_step": 1700 if trained else 0, "learning_rate": 1e-3, "monitor": "mse", "device": "cpu", "seconds": 141.2,
        "git": {"commit": "3f6c1a9be2d04c5b8a77e1f0c2d9b6a4e5f80912", "changed": False},
        "versions": {"python": "3.11.9", "torch": "2.13.0", "numpy": "2.4.6"},
        "machine": {"system": "Linux 6.1", "processor": "Some CPU", "cores": 2, "memory_gib": 23.4},
        "time": "2026-11-20T12:00:00+00:00",
    }  # fmt: skip
    (folder / "run.json").write_text(json.dumps(record))


def _scores(
    folder: Path, experiment: str, model: str, factor: float, gap: int, seed: int, videos: int, windows: int
) -> None:
    difficulty = np.random.default_rng(gap).lognormal(-4, 0.5, (videos, 1)) * gap**0.7
    window = np.random.default_rng([gap, 1]).lognormal(0, 0.35, (videos, windows))
    own = np.random.default_rng([gap, len(experiment), seed])
    taste = np.random.default_rng([gap, len(experiment)]).lognormal(0, 0.12, (videos, 1))
    mse = factor * difficulty * window * taste * own.lognormal(0, 0.08, (videos, windows)) * (1 + 0.02 * seed)
    values = {
        "mse": mse,
        "cosine": 1 - mse * 2,
        "rank_video": np.maximum(1, np.round(mse * 150)),
        "rank_all": np.maximum(1, np.round(mse * 700)),
    }
    if model == "tmdn":
        values["mse_best"] = mse * 0.8
    parts = []
    for metric, block in values.items():
        video, place = np.indices(block.shape).reshape(2, -1)
        names = [f"move/clip_{index:03d}.mp4" for index in video]
        parts.append(pd.DataFrame({
            "experiment": experiment, "data": "world", "split": "test", "seed": seed,
            "sample_id": [f"{name}#{30 + at}" for name, at in zip(names, place, strict=True)],
            "unit": names, "metric": metric, "value": block.ravel(),
        }))  # fmt: skip
    folder.mkdir()
    pd.concat(parts)[COLUMNS].to_csv(folder / "test.csv", index=False)
    facts = {"gallery": f"g{gap}", "provenance": {"spec": {"experiment": experiment, "seed": seed}, "split": "test"}}
    (folder / "test.json").write_text(json.dumps(facts))


def _masks(folder: Path, models: list[str]) -> list[Path]:
    """Runs and scores of the task with masks: one sample a video."""
    world = np.random.default_rng(5)
    truth = _blocks(world.integers(0, CLASSES, (MASK_VIDEOS, 4, 6)), world.random((MASK_VIDEOS, 4, 6)) < 0.5)
    runs = []
    for model in models:
        same = "copy_mask" if model in TWIN else model  # whose predictions they are
        share = MASKS[same]
        for seed in range(1 if model == "copy_mask" else MASK_SEEDS):
            run = folder / "runs" / model / f"seed_{seed}"
            _run(run, model, model, {"name": "masks", "history": 11}, seed, 0.0 if model == "copy_mask" else share)
            rng = np.random.default_rng([len(same), 0 if model in TWIN else seed])
            wrong = rng.random(truth.shape) < share * rng.lognormal(0, 0.3, (MASK_VIDEOS, 1, 1))
            guess = np.where(wrong, rng.integers(0, CLASSES, truth.shape), truth)
            _mask_scores(run / "scores", model, seed, guess, truth)
            runs.append(run)
    return runs


def _blocks(classes: np.ndarray, background: np.ndarray) -> np.ndarray:
    """Masks of squares, 8 pixels a side; [B, rows, columns] twice → [B, H, W]."""
    return np.where(background, 0, classes).repeat(8, axis=1).repeat(8, axis=2)


def _mask_scores(folder: Path, experiment: str, seed: int, guess: np.ndarray, truth: np.ndarray) -> None:
    videos = np.array([f"move/clip_{index:03d}.mp4" for index in range(len(truth))])
    sample, names, values = metrics.corpus_rows("iou_corpus", *metrics.confusions(guess, truth, CLASSES))
    own = {"iou": metrics.iou(guess, truth, CLASSES), "iou_objects": metrics.iou_objects(guess, truth, CLASSES)}
    parts = [pd.DataFrame({"unit": videos, "metric": name, "value": value}) for name, value in own.items()]
    parts.append(pd.DataFrame({"unit": videos[sample], "metric": names, "value": values}))
    rows = pd.concat(parts).assign(experiment=experiment, data="world", split="test", seed=seed)
    folder.mkdir()
    rows.assign(sample_id=rows["unit"] + "#22")[COLUMNS].to_csv(folder / "test.csv", index=False)
    facts = {PREDICTIONS: digest(guess.tobytes()),
             "provenance": {"spec": {"experiment": experiment, "seed": seed}, "split": "test"}}  # fmt: skip
    (folder / "test.json").write_text(json.dumps(facts))


def _mask_comparison(folder: Path, scores: list[Path], others: list[str]) -> Path:
    entry = {
        "title": "SimVP’s masks", "baseline": "copy_mask", "treatments": ["unet", "simvp", *others], "splits": ["test"],
        "metrics": ["iou_corpus", "iou", "iou_objects"], "alpha": 0.05, "select": SELECT,
        "track": _track("masks", primary=True),
    }  # fmt: skip
    path = folder / "comparisons" / "masks.json"
    statistics.compare_files(path.stem, entry, scores, [one.with_suffix(".json") for one in scores], path)
    return path


def _comparisons(folder: Path, scores: list[Path], gaps: tuple[int, ...]) -> list[Path]:
    paths = []
    for gap in gaps:
        for name, title, baseline, treatments in (
            ("tmdn_against_gru", "TMDN against GRU-1024", "gru_1024", ["tmdn", "gru"]),
            (
                "beyond_copying",
                "Better than copying?",
                "copy_last",
                ["mean", "linear", "lstm", "gru", "gru_1024", "tmdn"],
            ),
        ):
            entry = {
                "title": f"{title} ({gap} ahead)", "baseline": f"{baseline}_gap{gap}",
                "treatments": [f"{one}_gap{gap}" for one in treatments], "splits": ["test"],
                "metrics": ["mse", "cosine", "rank_all", *(["mse_best"] if name.startswith("tmdn") else [])],
                "alpha": 0.05, "select": SELECT, "track": _track("embedding", primary=not paths),
            }  # fmt: skip
            paths.append(folder / "comparisons" / f"{name}_{gap}.json")
            facts = [path.with_suffix(".json") for path in scores]
            statistics.compare_files(paths[-1].stem, entry, scores, facts, paths[-1])
    return paths


def _data(folder: Path, videos: int) -> DataFiles:
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    count = videos * 7
    frames = rng.integers(44, 65, count)
    pd.DataFrame({
        "video_id": [f"move/clip_{index:03d}.mp4" for index in range(count)],
        "status": ["ok"] * (count - 1) + ["damaged"],
        "frames": frames, "fps": 12.0, "duration": frames / 12, "width": 96, "height": 64,
    }).to_parquet(folder / "index.parquet")  # fmt: skip
    pd.DataFrame({
        "path": ["broken/empty.mp4", "=cmd|'/c calc'!A1.mp4", "broken/<script>.avi"],
        "reason": ["the file is empty", "no video stream", "no frame could be decoded: Invalid data"],
    }).to_csv(folder / "rejected.csv", index=False)  # fmt: skip
    splits = {"train": count - 2 * videos, "select": videos, "test": videos}
    report = {
        "videos": splits, "frames": {split: 54 * n for split, n in splits.items()}, "units": splits,
        "classes": dict.fromkeys(splits, 6), "leakage": {"equal_files": [], "groups": []},
    }  # fmt: skip
    (folder / "splits.json").write_text(json.dumps(report))
    return DataFiles(folder / "index.parquet", folder / "rejected.csv", folder / "splits.json")


def _probe(path: Path) -> Path:
    path.parent.mkdir(parents=True)
    judged = {
        "r2": [0.93, 0.91],
        "error": [4.1, 3.9],
        "error_of_the_mean": [17.2, 12.0],
        "frames": 1296,
        "penalty": 10.0,
    }
    targets = {"actor": {"position": judged, "velocity_from_two": judged}, "scene": {"position": judged}}
    facts = {"unit": "pixels", "videos": {"train": 120, "test": 24}, "encoder": {"kind": "dino"}, "width": 64}
    path.write_text(json.dumps({"test": targets, **facts, "provenance": {"git": {"commit": "abc"}}}))
    return path


def _picture(path: Path, caption: str, comparison: str = "") -> Gallery:
    from PIL import Image

    path.parent.mkdir(parents=True)
    ramp = np.linspace(0, 255, 96 * 6, dtype=np.uint8)
    Image.fromarray(np.broadcast_to(ramp[None, :, None], (64, 96 * 6, 3)).copy()).save(path)
    return Gallery(path, caption, comparison)
