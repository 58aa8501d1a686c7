"""Videos' texts → instructions to an image generator, with or without the share of the action that is done.

Prompts are made for given frames, variants with another text or another percent beside them, and each distinct one is
encoded once. What the percent says: `index`, the frame's number over the length of the whole video, which nobody knows
at frame 20: knowledge of the future; `estimate`, what a progress network says of the frames up to there. Its estimates
for training videos are in-sample, because it was trained on those; the file says so.
"""

from __future__ import annotations

import importlib
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from framecast.core import devices, precision, progress, provenance
from framecast.core.seeding import rng
from framecast.stores import predictions
from framecast.stores import prompts as store

if TYPE_CHECKING:
    import pandas as pd

log = logging.getLogger(__name__)
WORDING = "Generate a future frame of this action: {text}"
PROGRESS = ". And {percent}% of the action has been completed."
SHARE = "progress"
"""Array of the progress predictions, 0 to 1."""


def prompt(text: str, percent: int | None = None) -> str:
    """The instruction for a text, with the sentence on progress where a percent is given."""
    return WORDING.format(text=text) + ("" if percent is None else PROGRESS.format(percent=percent))


@dataclass(frozen=True)
class Table:
    """Distinct prompts in alphabetical order, the empty one among them, and which serves which video and frame.

    Attributes: places, variant → (video id, frame) → place in `texts`. short, videos without any prompt, because they
    end before the first given frame.
    """

    texts: list[str]
    places: dict[str, dict[tuple[str, int], int]]
    short: int


def table(samples: pd.DataFrame, config: Mapping[str, Any], estimates: Mapping[tuple[str, int], float]) -> Table:
    """The prompts of some splits with their variants.

    Args:
        samples: video_id, split, frames (of the file), text, template of the videos.
        config: An entry of `prompts`.
        estimates: (video id, frame) → progress 0 to 1, where the config says `estimate`; else empty.

    Raises:
        ValueError: a video has no text, or no estimate; or no video reaches any of the given frames.
    """
    _check_texts(samples, config["text"])
    percents = _percents(samples, config, estimates)
    if not percents:
        raise ValueError(f"no video has a frame {config['at']}: the longest has {samples['frames'].max()} frames; give "
                         "smaller numbers in `prompts.at`")  # fmt: skip
    texts = dict(zip(samples["video_id"], samples[config["text"]], strict=True))
    wanted: dict[str, dict[tuple[str, int], str]] = {
        "own": {place: prompt(texts[place[0]], percent) for place, percent in percents.items()}
    }
    wanted["shuffled_text"], wanted["shuffled_progress"] = {}, {}
    for split in sorted(set(samples["split"]) - {"train"}):
        part = samples[samples["split"] == split]
        own = {place: percents[place] for place in percents if place[0] in set(part["video_id"])}
        others = other_texts(part, config["text"])
        wanted["shuffled_text"] |= {
            place: prompt(others[place[0]], percent) for place, percent in own.items() if place[0] in others
        }
        if config["progress"] != "none":
            wanted["shuffled_progress"] |= {
                place: prompt(texts[place[0]], percent) for place, percent in _other_percents(own).items()
            }
    distinct = sorted({"", *(text for found in wanted.values() for text in found.values())})
    row = {text: number for number, text in enumerate(distinct)}
    places = {name: {place: row[text] for place, text in found.items()} for name, found in wanted.items() if found}
    return Table(distinct, places, samples["video_id"].nunique() - len({video_id for video_id, _ in percents}))


def _check_texts(samples: pd.DataFrame, column: str) -> None:
    texts = samples[column].fillna("").astype(str) if column in samples else samples["video_id"].map(lambda _: "")
    absent = samples.loc[texts.str.strip() == "", "video_id"]
    if len(absent):
        raise ValueError(
            f"{len(absent)} of {len(samples)} videos have no {column}, first {absent.iloc[0]!r}: prompts are made of "
            "it; annotate these videos, or leave them out of the splits that train, select and are evaluated"
        )


def _percents(
    samples: pd.DataFrame, config: Mapping[str, Any], estimates: Mapping[tuple[str, int], float]
) -> dict[tuple[str, int], int | None]:
    """(video id, frame) → percent, rounded down; None without the sentence. Frames after a video's end are left out."""
    rows = zip(samples["video_id"], samples["frames"], strict=True)
    places = [(name, frame, int(count)) for name, count in rows for frame in config["at"] if frame < count]
    if config["progress"] == "none":
        return {(name, frame): None for name, frame, _ in places}
    if config["progress"] == "index":
        return {(name, frame): int(frame / count * 100) for name, frame, count in places}
    missing = [(name, frame) for name, frame, _ in places if (name, frame) not in estimates]
    if missing:
        raise ValueError(
            f"{len(missing)} of {len(places)} estimates of progress are missing, first of video {missing[0][0]!r} at "
            f"frame {missing[0][1]}: the source's task must predict at the frames `prompts.at` = {config['at']} "
            "of every video"
        )
    return {(name, frame): int(estimates[name, frame] * 100) for name, frame, _ in places}


def other_texts(samples: pd.DataFrame, column: str) -> dict[str, str]:
    """Video id → text of another action in the same table: drawn by the video's id among the texts of other templates,
    or, where there is one template only, among the other texts. Videos for which there is none are left out."""
    templates = dict(zip(samples[column], samples["template"].fillna("").astype(str), strict=True))
    texts = sorted(templates)
    kinds = np.array([templates[text] for text in texts], object)
    found = {}
    for name, text in zip(samples["video_id"], samples[column], strict=True):
        elsewhere = np.flatnonzero(kinds != templates[text])
        if not len(elsewhere):
            elsewhere = np.array([place for place, other in enumerate(texts) if other != text], int)
        if len(elsewhere):
            found[str(name)] = texts[int(rng(0, "other text", name).choice(elsewhere))]
    return found


def _other_percents(own: Mapping[tuple[str, int], int | None]) -> dict[tuple[str, int], int | None]:
    """Percent of another video at the same frame, drawn by the video's id among those that differ where any does."""
    found = {}
    for (name, frame), percent in own.items():
        at = sorted((other, value) for (other, number), value in own.items() if number == frame and other != name)
        others = [value for _, value in at if value != percent] or [value for _, value in at] or [percent]
        found[name, frame] = others[int(rng(0, "other progress", name, frame).integers(len(others)))]
    return found


def embed(
    samples: Path, config: dict[str, Any], encoder: dict[str, Any], weights: str, sources: Sequence[Path], out: Path,
    device: str,
) -> None:  # fmt: skip
    """Write the prompt file of one data set (`framecast.stores.prompts`).

    Args:
        samples: Table of samples.
        config: An entry of `prompts`, with `splits`: the splits that get prompts.
        encoder: The entry of `encoders` that it names.
        weights: Hub name, or a folder in the hub's format.
        sources: Predictions of `config["source"]`, one file a split.
        device: `auto`, `cpu`, `cuda` or `mps`.

    Raises:
        WeightsError: the encoder's weights or tokenizer cannot be used.
        ValueError: as `table`; predictions that hold no progress; a precision that the device lacks.
        OutOfMemory: names the keys to change.
    """
    import pandas as pd

    device = devices.choose(device)
    encoder = {**encoder, "precision": precision.choose(encoder["precision"], device)}
    precision.check(encoder["precision"], device, "encoders.precision")
    rows = pd.read_parquet(samples)
    rows = rows[rows["split"].isin(config["splits"])].sort_values("video_id", ignore_index=True)
    made = table(rows, config, estimates(sources))
    network = importlib.import_module(f"framecast.encoders.{encoder['kind']}").load(weights, encoder["revision"])
    long = [text for text in made.texts if network.count(text) > network.length]
    _say(made, rows, long, network.length)
    keys = {f"encoders.{key}": encoder[key] for key in ("batch", "precision")}
    with devices.memory_advice(keys, device):
        store.write(
            out, made.texts, _encoded(network.to(device), made.texts, encoder, device), made.places,
            encoder={key: encoder[key] for key in ("kind", "hub", "revision", "experiment", "seed", "precision")},
            prompts=config, network=network.identity, cut=len(long), in_sample=config["progress"] == "estimate",
            dtype=encoder["store"], provenance=provenance.record(weights=weights, network=network.identity),
        )  # fmt: skip


def estimates(sources: Sequence[Path]) -> dict[tuple[str, int], float]:
    """(video id, frame) → progress of all predictions, 0 to 1.

    Raises:
        ValueError: predictions of another task, named by the file.
    """
    found: dict[tuple[str, int], float] = {}
    for path in sources:
        read = predictions.read(path)
        if SHARE not in read.arrays:
            raise ValueError(f"{path}: predicts {sorted(read.arrays)}, not {SHARE!r}; name an experiment of the task "
                             "'progress' as `source`")  # fmt: skip
        for name, share in zip(read.sample_ids, read.arrays[SHARE].tolist(), strict=True):
            video_id, _, frame = name.rpartition("#")
            found[video_id, int(frame)] = min(1.0, max(0.0, float(share)))
    return found


def _say(made: Table, rows: pd.DataFrame, long: list[str], limit: int) -> None:
    cut = {made.texts.index(text) for text in long}
    videos = {name for (name, _), row in made.places["own"].items() if row in cut}
    if long:
        log.warning("%d of %d prompts are longer than %d tokens and are cut, the own ones of %d videos among them; "
                    "what is lost is their end", len(long), len(made.texts), limit, len(videos))  # fmt: skip
    if made.short:
        log.warning("%d of %d videos end before any given frame and have no prompt", made.short, len(rows))


def _encoded(network: Any, texts: list[str], encoder: dict[str, Any], device: str) -> Iterator[np.ndarray]:
    """Hidden states [B, L, D] of the prompts, batch after batch."""
    size = encoder["batch"]
    starts = range(0, len(texts), size)
    for start in progress.track(starts, "embed prompts", len(starts), "batch"):
        with precision.mixed(encoder["precision"], device):
            states = network.encode(texts[start : start + size])
        yield states.float().cpu().numpy()
