"""Pairs of frames with their instructions as a Hugging Face data set, from a results folder or from json files.

from framecast.hf import pairs

dataset = pairs("results", data="actions", frames="actions", view="32x48", split="train", input=20, target=25)
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from PIL import Image

from framecast.core.files import canonical, digest, file_digest, read_json
from framecast.core.validation import known
from framecast.encoders.prompts import prompt
from framecast.stores import Stores
from framecast.stores.frames import Frames, FrameStore

if TYPE_CHECKING:
    from datasets import Dataset

log = logging.getLogger(__name__)
COLUMNS = ["video_id", "text", "template", "task", "frames"]


def pairs(
    results: str | Path,
    *,
    data: str,
    frames: str,
    view: str,
    split: str,
    input: int,
    target: int,
    progress: bool = False,
    annotations: str | Path | None = None,
    cache: str | Path | None = None,
) -> Dataset:
    """One row for each video that has both frames; the others are counted in a warning.

    Columns: video_id, text, prompt, template, task, percent (of the video's frames gone by at the input; of a file with
    an end that is known, so no model may have it for new videos), input and target (`datasets.Image`, lossless, decoded
    where they are looked at). Made once: a second call with equal arguments and stores reads the cache.

    Args:
        results: The workflow's results folder.
        data, frames, view: Keys of the config's `data` and `frame_sets`, and a view of that frame set.
        split: A split of the samples table; with `annotations`, what the data set's split is called.
        input, target: Frame numbers, from 0.
        progress: Say the percent in `prompt`.
        annotations: Instead of the samples table's split, a json file in the form of Something-Something V2 with
            `num_frames` (`results/data/{data}/annotations/{file}.json`).
        cache: Folder of the cache; None takes that of `datasets` (HF_DATASETS_CACHE, HF_HOME).

    Raises:
        FileNotFoundError: the workflow has not made the samples table, the frames or the json file.
        ValueError: an unknown split or view, frames that no video has, or clips of the json file without frames.
    """
    from datasets import Dataset, Features, NamedSplit, Value
    from datasets import Image as ImageFeature

    folders = _folders(Path(results), data, frames)
    known("view", view, FrameStore(folders[0]).views, f"frame set {frames}")
    read = Frames(folders, view)
    videos = _samples(Path(results), data, split) if annotations is None else _listed(Path(annotations), read)
    kept = _with_both(videos, read, input, target)
    text = dict.fromkeys(("video_id", "text", "prompt", "template", "task"), Value("string"))
    features = Features({**text, "percent": Value("int32"), "input": ImageFeature(), "target": ImageFeature()})
    said = [canonical(row) for row in kept.to_dict("records")]
    stores = [file_digest(folder / name) for folder in folders for name in ("store.json", "frames.parquet")]
    asked = canonical([str(results), data, frames, view, split, input, target, progress])
    return Dataset.from_generator(
        _rows,
        features=features,
        cache_dir=None if cache is None else str(cache),
        gen_kwargs={"rows": kept.to_dict("records"), "read": read, "numbers": (input, target), "progress": progress},
        split=NamedSplit(split),
        fingerprint=digest(asked, *said, *stores)[:16],
    )


def _rows(
    rows: list[dict[str, Any]], read: Frames, numbers: tuple[int, int], progress: bool
) -> Iterator[dict[str, Any]]:
    for row in rows:
        percent = int(numbers[0] / row["frames"] * 100)
        given, true = (Image.fromarray(frame) for frame in read.read(row["video_id"], numbers))
        told = {name: row[name] for name in ("video_id", "text", "template", "task")}
        words = prompt(row["text"], percent if progress else None)
        yield {**told, "prompt": words, "percent": percent, "input": given, "target": true}


def _folders(results: Path, data: str, frames: str) -> list[Path]:
    folder = results / "data" / data / "frames" / frames
    found = sorted(folder.glob("bucket_*"), key=lambda path: int(path.name.removeprefix("bucket_")))
    if not found:
        there = sorted(path.name for path in (results / "data" / data / "frames").glob("*"))
        raise FileNotFoundError(
            f"{folder} holds no frames; frame sets of {data!r} there: {there}. Run the workflow (`make demo`), or give "
            "its results folder, a `data` and a `frames` that it has made"
        )
    return found


def _samples(results: Path, data: str, split: str) -> pd.DataFrame:
    path = results / "data" / data / "samples.parquet"
    if not path.is_file():
        raise FileNotFoundError(f"{path} is not there; run the workflow first")
    videos = Stores(path).split(split)
    return _filled(videos)


def _listed(path: Path, read: Frames) -> pd.DataFrame:
    """The clips of a json file; their ids are the videos' without the suffix."""
    if not path.is_file():
        raise FileNotFoundError(f"{path} is not there; the workflow writes results/data/DATA/annotations/*.json")
    names = {name.rpartition(".")[0] or name: name for name in read.video_ids}
    entries = read_json(path)
    absent = [str(one["id"]) for one in entries if str(one["id"]) not in names]
    if absent:
        raise ValueError(
            f"{path}: {len(absent)} of {len(entries)} clips have no frames, first {absent[0]!r}; extract them, or give "
            "the annotations of this data set"
        )
    said = {"text": "label", "template": "template", "task": "task"}
    rows = [{"video_id": names[str(one["id"])], "frames": one.get("num_frames", read.count(names[str(one["id"])])),
             **{name: one.get(key) for name, key in said.items()}} for one in entries]  # fmt: skip
    return _filled(pd.DataFrame(rows))


def _filled(videos: pd.DataFrame) -> pd.DataFrame:
    """The columns that are told; texts that are absent are empty."""
    texts = {name: videos[name].fillna("").astype(str) if name in videos else "" for name in COLUMNS[1:4]}
    return videos.assign(**texts)[COLUMNS]


def _with_both(videos: pd.DataFrame, read: Frames, input: int, target: int) -> pd.DataFrame:
    if min(input, target) < 0:
        raise ValueError(f"input is {input} and target {target}; frame numbers are 0 or more")
    counts = np.array([read.count(name) for name in videos["video_id"]])
    whole = counts > max(input, target)
    if not whole.any():
        raise ValueError(
            f"input is {input} and target {target}, and the longest of {len(videos)} videos has {counts.max()} frames, "
            f"numbers 0 to {counts.max() - 1}; take smaller numbers"
        )
    if not whole.all():
        log.warning("%d of %d videos lack frame %d and are left out", (~whole).sum(), len(videos), max(input, target))
    return videos[whole].reset_index(drop=True)
