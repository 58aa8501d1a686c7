"""What can be read off embeddings linearly: where the objects of the embedded world are, and how fast they move.

A ridge regression learns on the training videos and is judged on the videos of every other split. The trivial answer
beside it, whose R² is 0, is the mean over the training videos. Position is read from one embedding; velocity from two
neighbouring ones, and from one and its changes over the lags that TMDN is given, which average out much of what is no
motion. Velocity from one is the control: a still picture does not show it, so what that scores is guessed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from framecast.core import provenance
from framecast.core.files import write_json
from framecast.core.seeding import rng
from framecast.stores.embeddings import Embeddings

TRAIN = "train"
STRENGTHS = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)
"""Ridge penalties per sample, on standardised inputs; cross-validation over training videos picks one."""
FOLDS = 4
LAGS = (1, 2, 4, 8, 16)
"""Frames back from which changes are seen where velocity is read from lags; those of TMDN by default."""
Array = np.ndarray


@dataclass(frozen=True)
class Track:
    """One video: its embeddings [T, D] and the image position [T, 2] (column, row; pixels) of what is probed for."""

    embeddings: Array
    positions: Array


def probe(embeddings: Sequence[Path], labels: Sequence[Path], samples: Path, out: Path) -> None:
    """Write a JSON with R² and mean absolute error of each probe, per split that is not `train`.

    Args:
        embeddings: One encoder's files, one a bucket.
        labels: The world's label folders; states.parquet has video_id, frame, object, role, column and row.
        samples: Table of samples: video_id, split, frames.

    Raises:
        ValueError: there is no world to compare with, no training video, or no held-out one; or an encoder that saw
            other frames than the world has.
    """
    store = Embeddings(embeddings)
    if not labels:
        raise ValueError("a probe needs the embedded world's states (labels); other data sets have no known positions")
    table = pd.read_parquet(samples, columns=["video_id", "split"])
    states = pd.concat([pd.read_parquet(folder / "states.parquet") for folder in labels], ignore_index=True)
    splits = {str(split): sorted(part["video_id"].tolist()) for split, part in table.groupby("split")}
    held_out = [split for split in splits if split != TRAIN]
    if not held_out or len(splits.get(TRAIN, ())) < FOLDS:
        counts = {split: len(videos) for split, videos in splits.items()}
        raise ValueError(f"{samples}: a probe needs {FOLDS} training videos and another split; there are {counts}")
    found: dict[str, Any] = {}
    _check_lengths(store, table["video_id"].tolist(), _paths(states))
    for target, positions in targets(states).items():
        tracks = {split: _tracks(store, videos, positions) for split, videos in splits.items()}
        for split in held_out:
            if len(tracks[TRAIN]) >= FOLDS and tracks[split]:
                found.setdefault(split, {})[target] = {
                    name: _judge(quantity, tracks[TRAIN], tracks[split]) for name, quantity in QUANTITIES.items()
                }
    counts = {split: len(videos) for split, videos in splits.items()}
    meaning = {"unit": "pixels of the video, velocities per frame", "order": "column, row", "videos": counts}
    facts = {"encoder": store.encoder, "identity": store.identity, "width": store.width}
    write_json(out, {**found, **meaning, **facts, "provenance": provenance.record()})


def targets(states: pd.DataFrame) -> dict[str, dict[str, Array]]:
    """What is probed for → video → positions [T, 2], pixels.

    `scene` is the mean of all objects; `actor` the one object of each video that acts, which a picture with several
    objects does not tell; `alone` the actor in videos without other objects, where it does.
    """
    actors = states[states["role"] == "actor"]
    alone = states.groupby("video_id")["object"].transform("nunique") == 1
    chosen = {"scene": states, "actor": actors, "alone": states[alone]}
    return {name: _paths(part) for name, part in chosen.items()}


def _paths(states: pd.DataFrame) -> dict[str, Array]:
    means = states.groupby(["video_id", "frame"], sort=True)[["column", "row"]].mean()
    return {str(video): part.to_numpy(np.float64) for video, part in means.groupby(level="video_id")}


def _check_lengths(store: Embeddings, videos: Sequence[str], positions: dict[str, Array]) -> None:
    for video in videos:
        have = len(positions.get(video, ()))
        if have != store.count(video):
            raise ValueError(
                f"video {video!r} has {store.count(video)} embeddings and {have} known positions: probe an encoder "
                "whose frame set keeps every frame (fps: null) of this very world"
            )


def _tracks(store: Embeddings, videos: Sequence[str], positions: dict[str, Array]) -> list[Track]:
    """The videos that this target has a position in."""
    return [
        Track(store.read(video, 0, store.count(video)).astype(np.float64), positions[video])
        for video in videos
        if video in positions
    ]


# --- what is regressed on what ---------------------------------------------------------------------------------------


def _position(track: Track) -> tuple[Array, Array]:
    return track.embeddings, track.positions


def _velocity(track: Track) -> tuple[Array, Array]:
    change = np.diff(track.embeddings, axis=0)
    return np.concatenate([track.embeddings[1:], change], axis=1), np.diff(track.positions, axis=0)


def _velocity_of_lags(track: Track) -> tuple[Array, Array]:
    """The embedding and its change over each lag, from the first frame where there are fewer."""
    places = np.arange(len(track.embeddings))
    changes = [track.embeddings - track.embeddings[(places - lag).clip(min=0)] for lag in LAGS]
    return np.concatenate([track.embeddings, *changes], axis=1)[1:], np.diff(track.positions, axis=0)


def _velocity_control(track: Track) -> tuple[Array, Array]:
    return track.embeddings[1:], np.diff(track.positions, axis=0)


QUANTITIES = {
    "position": _position,
    "velocity_from_two": _velocity,
    f"velocity_from_lags_{LAGS[0]}_to_{LAGS[-1]}": _velocity_of_lags,
    "velocity_from_one_control": _velocity_control,
}


def _judge(quantity: Any, train: list[Track], test: list[Track]) -> dict[str, Any]:
    """Fit on the training videos, judge on the others."""
    parts = [quantity(track) for track in train]
    inputs, truths = (np.concatenate(side) for side in zip(*(quantity(track) for track in test), strict=True))
    strength = _strength(parts)
    predicted = Ridge(*_joined(parts), strength).predict(inputs)
    mean = _joined(parts)[1].mean(axis=0)
    return {
        "r2": _listed(r2(predicted, truths, mean)),
        "error": _listed(np.abs(predicted - truths).mean(axis=0)),
        "error_of_the_mean": _listed(np.abs(mean - truths).mean(axis=0)),
        "videos": len(test),
        "frames": len(truths),
        "penalty": strength,
    }


def _strength(parts: list[tuple[Array, Array]]) -> float:
    """The penalty with the least squared error on training videos left out in turn."""
    fold = rng(0, "probe folds").permutation(len(parts)) % FOLDS
    errors = np.zeros(len(STRENGTHS))
    for left_out in range(FOLDS):
        kept = _joined([part for part, number in zip(parts, fold, strict=True) if number != left_out])
        inputs, truths = _joined([part for part, number in zip(parts, fold, strict=True) if number == left_out])
        ridge = Ridge(*kept, STRENGTHS[0])
        for place, strength in enumerate(STRENGTHS):
            errors[place] += ((ridge.refit(strength).predict(inputs) - truths) ** 2).sum()
    return STRENGTHS[int(errors.argmin())]


def _joined(parts: list[tuple[Array, Array]]) -> tuple[Array, Array]:
    return np.concatenate([inputs for inputs, _ in parts]), np.concatenate([truths for _, truths in parts])


class Ridge:
    """Linear regression with a squared penalty on the weights of standardised inputs.

    inputs [N, P], truths [N, Q]; strength: penalty per sample.
    """

    def __init__(self, inputs: Array, truths: Array, strength: float) -> None:
        self.centre, deviation = inputs.mean(axis=0), inputs.std(axis=0)
        self.scale = np.where(deviation > 1e-12 * max(deviation.max(), 1e-300), deviation, np.inf)
        self.mean = truths.mean(axis=0)
        x = (inputs - self.centre) / self.scale
        self.samples, self.products, self.shared = len(x), x.T @ x, x.T @ (truths - self.mean)
        self.refit(strength)

    def refit(self, strength: float) -> Ridge:
        """The same regression with another penalty, without another pass over the samples."""
        penalty = strength * self.samples * np.eye(len(self.products))
        self.weights = np.linalg.solve(self.products + penalty, self.shared)
        return self

    def predict(self, inputs: Array) -> Array:
        """[N, P] → [N, Q]."""
        return (inputs - self.centre) / self.scale @ self.weights + self.mean


def r2(predicted: Array, truths: Array, mean: Array) -> Array:
    """Share of the squared deviation from the training mean that the prediction explains, per column.

    1 is perfect, 0 is as good as always answering the mean, negative is worse. [N, Q] twice and [Q] → [Q].
    """
    return 1 - ((predicted - truths) ** 2).sum(axis=0) / ((truths - mean) ** 2).sum(axis=0)


def _listed(values: Array) -> list[float]:
    return [round(float(value), 4) for value in values]
