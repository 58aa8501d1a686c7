"""Clips of class masks: which masks a model of future masks sees, and which are the truth."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from framecast.stores import Stores
from framecast.stores.frames import Frames
from framecast.stores.masks import Masks, PredictedMasks, resized
from framecast.tasks import _masks
from framecast.tasks._samples import Samples, tell
from framecast.tasks._tensors import as_tensors


class Clips(Samples):
    """Clips of masks of one split.

    Attributes: places, (video number, first frame) of each clip. whole: all clips have their future masks. native: the
    videos' own sizes, [height, width] each, without repetition.
    """

    places: list[tuple[int, int]]

    def __init__(
        self,
        config: dict[str, Any],
        frames: Frames,
        seen: list[Masks | PredictedMasks],
        truth: list[Masks | PredictedMasks],
        video_ids: list[str],
        units: list[str],
        stride: int | None,
        native: list[tuple[int, int]],
    ) -> None:
        """
        Args:
            seen, truth: For each video, where its given masks and its future masks are read; a truth that lacks the
                video makes clips without a future.
            stride: Frames between the starts of clips; null for one clip a video.
        """
        self.config, self.frames, self.seen, self.truth = config, frames, seen, truth
        self.video_ids, self.units, self.native = video_ids, units, native
        self.size = frames.shape[:2]
        self.whole = all(video_id in store for video_id, store in zip(video_ids, truth, strict=True))
        length = config["given"] + (config["ahead"] if self.whole else 0)
        counts = [store.count(video_id) for video_id, store in zip(video_ids, seen, strict=True)]
        self.places = [
            (video, first)
            for video, count in enumerate(counts)
            for first in (range(0, count - length + 1, stride) if stride else range(1 if count >= length else 0))
        ]
        self.short = [name for name, count in zip(video_ids, counts, strict=True) if count < length]

    def __getitems__(self, indices: Sequence[int]) -> dict[str, Any]:
        """given uint8 [B, T, H, W]; ahead uint8 [B, T', H, W] where there is a future; sample_id, unit: lists of B."""
        places = [self.places[index] for index in indices]
        config = self.config
        batch: dict[str, Any] = {
            "given": np.stack([self._read(self.seen, *place, config["given"]) for place in places]),
            **self.named(places),
        }
        if self.whole:
            batch["ahead"] = np.stack([self.future(index) for index in indices])
        return as_tensors(batch)

    def future(self, index: int) -> np.ndarray:
        """The true masks ahead of one clip, uint8 [T', H, W]."""
        video, first = self.places[index]
        return self._read(self.truth, video, first + self.config["given"], self.config["ahead"])

    def name(self, place: tuple[int, int]) -> str:
        """`<video id>#<number of the last frame predicted>`."""
        return _masks.name(self.video_ids[place[0]], place[1] + self.config["given"] + self.config["ahead"] - 1)

    def last_given(self, sample_id: str) -> np.ndarray:
        """The frame whose mask is the last one given, uint8 [H, W, 3]."""
        video_id, number = _masks.parsed(sample_id)
        return self.frames.read(video_id, [number - self.config["ahead"]])[0]

    def _read(self, stores: list[Masks | PredictedMasks], video: int, first: int, count: int) -> np.ndarray:
        masks = stores[video].read(self.video_ids[video], first, count)
        _masks.check_classes(masks, self.config["classes"], f"the mask of video {self.video_ids[video]!r}")
        return resized(masks, *self.size)


def clips_of(config: dict[str, Any], stores: Stores, split: str) -> Clips:
    """All clips of a split; in training also those of the `unlabeled` splits.

    Raises:
        ValueError: no video is long enough; training videos have no masks; a frame set that is not squashed.
    """
    frames, given = Frames(stores.frames[config["frames"]], config["view"]), Masks(stores.masks)
    table = stores.split(split)
    video_ids, units = table["video_id"].tolist(), table["unit"].astype(str).tolist()
    if split == "train":
        video_ids, units = _masks.labelled_only(video_ids, units, given, split)
    predicted = config["inputs"] == "predicted" and split != "train"
    if not predicted and not all(video_id in given for video_id in video_ids):
        raise ValueError(
            f"split {split!r} holds videos without masks, and inputs is 'given'; set inputs: predicted and name a "
            "source"
        )
    seen: list[Masks | PredictedMasks] = [_predicted(config, stores, split) if predicted else given] * len(video_ids)
    truth: list[Masks | PredictedMasks] = [given] * len(video_ids)
    if split == "train":
        for other in config["unlabeled"]:
            more = stores.split(other)
            labels = _predicted(config, stores, other)
            video_ids, units = video_ids + more["video_id"].tolist(), units + more["unit"].astype(str).tolist()
            seen, truth = ([*group, *[labels] * len(more)] for group in (seen, truth))
    _masks.check_resize(frames, config["frames"])
    _masks.check_lengths(frames, given, video_ids, config["frames"])
    native = sorted({(int(height), int(width)) for height, width in zip(table["height"], table["width"], strict=True)})
    stride = config["stride"] if split == "train" else None
    clips = Clips(config, frames, seen, truth, video_ids, units, stride, native)
    _check_length(clips, split)
    return clips


def _predicted(config: dict[str, Any], stores: Stores, split: str) -> PredictedMasks:
    return PredictedMasks(stores.predictions[config["source"]["experiment"]][split])


def _check_length(clips: Clips, split: str) -> None:
    config = clips.config
    if not len(clips):
        longest = max(store.count(name) for name, store in zip(clips.video_ids, clips.seen, strict=True))
        wanted = config["given"] + (config["ahead"] if clips.whole else 0)
        raise ValueError(
            f"split {split!r}: the task's given = {config['given']} and ahead = {config['ahead']} need {wanted} "
            f"frames, and the longest video has {longest}"
        )
    what = "are too short for a clip and give no sample"
    tell(split, len(clips.short), len(clips.video_ids), what, clips.short)
