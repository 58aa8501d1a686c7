"""Pairs of frames: which frame of a video is given, which one is predicted, and what the caches hold of both."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from framecast.core.seeding import derive
from framecast.stores import Stores
from framecast.stores.embeddings import Embeddings
from framecast.stores.frames import Frames
from framecast.stores.prompts import Prompts
from framecast.tasks._samples import Samples, tell
from framecast.tasks._tensors import as_tensors

if TYPE_CHECKING:
    import pandas as pd

HELD = 2**30
"""Bytes of a cache that are read into memory once; what is larger is read row by row."""
Pair = tuple[int, int | None, int]
"""Video number, number of the input frame (None: there is none), number of the target frame."""


class Rows:
    """Rows of a cache by their keys, in memory where all that are wanted fit into `HELD`."""

    def __init__(self, read: Callable[[list[Any]], np.ndarray], keys: Sequence[Any]) -> None:
        self.read = read
        unique = list(dict.fromkeys(keys))
        self.place = {key: place for place, key in enumerate(unique)}
        small = len(unique) * read(unique[:1]).nbytes <= HELD
        self.held = read(unique) if small else None

    def __call__(self, keys: list[Any]) -> np.ndarray:
        """float32 [B, …]."""
        if self.held is None:
            return self.read(keys)
        return self.held[[self.place[key] for key in keys]]


class Pairs(Samples):
    """Pairs of one split.

    Attributes: videos, a table with the split's videos that have the target frame. places, one `Pair` a sample.
    without_target, videos that lack it. prompts, the cache of texts. shape, [2C, h, w] of a frame's posterior: mean,
    then logarithm of the variance.
    """

    shared = ("empty", "autoencoder")

    def __init__(
        self, config: dict[str, Any], stores: Stores, videos: pd.DataFrame, places: list[Pair], training: bool
    ) -> None:
        self.config, self.videos, self.places, self.training = config, videos, places, training
        self.take_videos(videos)
        self.frames = Frames(stores.frames[config["frames"]], config["view"])
        self.prompts = Prompts(stores.prompts[config["prompts"]])
        self._networks = stores.networks  # a job that only draws pictures of predictions has none
        self.without_target = 0
        latents = Embeddings(stores.embeddings[config["encoder"]])
        self.encoder = latents.encoder
        self.shape = tuple(latents.encoder["shape"])
        _check_cache(config, latents, self)
        self._latents = Rows(
            lambda keys: latents.frames([name for name, _ in keys], [number for _, number in keys]),
            [(self.video_ids[video], number) for video, *pair in places for number in pair if number is not None],
        )
        self.variants = [
            name for name in ("own", "shuffled_text", "shuffled_progress")
            if name == "own" or (not training and self.prompts.has(*self._asked(places[0]), name))
        ]  # fmt: skip
        self.empty = self.prompts.read([self.prompts.empty])[0]
        self._texts = Rows(self.prompts.read, [self._row(place, name) for name in self.variants for place in places])

    @functools.cached_property
    def autoencoder(self) -> Path:
        """Folder of the network that decodes: an export of ours, or in the hub's cache.

        Raises:
            WeightsError: it is not there.
        """
        from framecast.weights import vae

        return vae.find(self._networks[self.config["encoder"]], self.encoder.get("revision"))

    def __getitems__(self, indices: Sequence[int]) -> dict[str, Any]:
        """target float32 [B, 2C, h, w], posterior of the target; source [B, C, h, w], mode of the input's (where there
        is one); text [B, L, D]; empty [L, D]; sample_id, unit: lists of B. Outside training also the other texts
        (shuffled_text, shuffled_progress), input_frame and target_frame uint8 [B, H, W, 3], and `autoencoder`, the
        folder of the network that decodes."""
        places = [self.places[index] for index in indices]
        batch: dict[str, Any] = {
            "target": self._posterior([(self.video_ids[video], target) for video, _, target in places]),
            "text": self._texts([self._row(place, "own") for place in places]),
            "empty": self.empty,
            **self.named(places),
        }
        if self.config["input"] is not None:
            keys = [(self.video_ids[video], given) for video, given, _ in places if given is not None]
            moments = self._posterior(keys)
            batch["source"] = moments[:, : self.shape[0] // 2]
        return as_tensors(batch if self.training else {**batch, **self._beside(places)})

    def _beside(self, places: list[Pair]) -> dict[str, Any]:
        """What prediction and pictures need besides."""
        texts = {name: self._texts([self._row(place, name) for place in places]) for name in self.variants[1:]}
        found = {
            **texts,
            "target_frame": self.pictures(places)[1],
            "autoencoder": str(self.autoencoder),
        }
        if self.config["input"] is not None:
            found["input_frame"] = self.pictures(places)[0]
        return found

    def pictures(self, places: Sequence[Pair]) -> tuple[np.ndarray, np.ndarray]:
        """Input frames (the targets where there is no input) and target frames, uint8 [B, H, W, 3] each."""
        given = [(self.video_ids[video], target if frame is None else frame) for video, frame, target in places]
        targets = [(self.video_ids[video], target) for video, _, target in places]
        return self.frames.read_batch(given), self.frames.read_batch(targets)

    def name(self, place: Pair) -> str:
        """`<video id>#<number of the input frame>`; of the target frame where there is no input."""
        video, given, target = place
        return f"{self.video_ids[video]}#{target if given is None else given}"

    def _posterior(self, keys: list[tuple[str, int]]) -> np.ndarray:
        return self._latents(keys).reshape(len(keys), *self.shape)

    def _asked(self, place: Pair) -> tuple[str, int]:
        """Whose prompt: the video, and the frame at which it is given. Text-to-image has one for all moments."""
        video, given, _ = place
        return self.video_ids[video], self.config["target"] if given is None else given

    def _row(self, place: Pair, variant: str) -> int:
        return self.prompts.row(*self._asked(place), variant)


def pairs_of(config: dict[str, Any], stores: Stores, split: str) -> Pairs:
    """All pairs of a split. Videos that lack the target frame are left out and counted out loud.

    Raises:
        ValueError: no video has the target frame, or a cache lacks a frame. KeyError: a prompt is not there.
    """
    videos = stores.split(split)
    frames = Frames(stores.frames[config["frames"]], config["view"])
    counts = np.array([frames.count(video_id) for video_id in videos["video_id"]])
    whole = counts > max(config["target"], config["input"] or 0)
    if not whole.any():
        raise ValueError(
            f"split {split!r}: the task's input is frame {config['input']} and its target frame {config['target']}, "
            f"and the longest of {len(videos)} videos has {counts.max()} frames, numbers 0 to {counts.max() - 1}; take "
            "smaller numbers, or a frame set of a higher fps"
        )
    lacking = videos["video_id"][~whole].tolist()
    tell(split, len(lacking), len(videos), f"lack frame {config['target']} and are left out", lacking)
    training = split == "train"
    kept, lengths = videos[whole].reset_index(drop=True), counts[whole]
    if config["most"] is not None and not training:
        chosen = drawn_evenly(kept, config["most"])
        kept, lengths = kept.iloc[chosen].reset_index(drop=True), lengths[chosen]
    places = [pair for video, count in enumerate(lengths.tolist()) for pair in _pairs(config, video, count, training)]
    pairs = Pairs(config, stores, kept, places, training)
    pairs.without_target = int((~whole).sum())
    return pairs


def _pairs(config: dict[str, Any], video: int, count: int, training: bool) -> list[Pair]:
    """The pairs of a video of `count` frames: the one that is asked for, in training also those of other moments."""
    given, target = config["input"], config["target"]
    if given is None:
        numbers = [target, *config["moments"]] if training else [target]
        return [(video, None, number) for number in dict.fromkeys(numbers) if number < count]
    starts = dict.fromkeys([given, *config["moments"]] if training else [given])
    return [(video, start, start + target - given) for start in starts if 0 <= start + target - given < count > start]


def drawn_evenly(videos: pd.DataFrame, most: int) -> np.ndarray:
    """Rows of up to `most` videos, as many of each task (column `task`, where there is one), drawn by the hash of the
    id: other videos in the table change little and the order nothing. In the table's order."""
    tasks = videos["task"].astype(str) if "task" in videos else ["" for _ in range(len(videos))]
    hashed = [derive(0, "most", name) for name in videos["video_id"]]
    rank, seen = {}, dict.fromkeys(tasks, 0)
    for place in np.argsort(hashed):
        own = list(tasks)[place]
        rank[int(place)] = seen[own]
        seen[own] += 1
    order = sorted(rank, key=lambda place: (rank[place], hashed[place]))
    return np.array(sorted(order[:most]))


def _check_cache(config: dict[str, Any], latents: Embeddings, pairs: Pairs) -> None:
    """Frames, view and numbers of the cache must be the task's."""
    encoder, where = latents.encoder, f"encoders.{config['encoder']}"
    for key in ("frames", "view"):
        if encoder[key] != config[key]:
            raise ValueError(
                f"{where}.{key} is {encoder[key]!r} and the task's {key} {config[key]!r}; pictures are compared at the "
                "size that the autoencoder works in, so give both the same"
            )
    for video, *pair in pairs.places:
        for number in pair:
            if number is not None and not latents.has(pairs.video_ids[video], number):
                raise ValueError(
                    f"{where} has no latents of frame {number} of video {pairs.video_ids[video]!r}; add {number} to "
                    f"{where}.at (now {encoder.get('at')})"
                )
