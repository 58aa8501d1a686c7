"""Videos cut at moments: which moments, which frames a clip up to one shows, and the videos' texts as tokens."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from framecast.core.seeding import rng
from framecast.stores.frames import Frames
from framecast.tasks._samples import Samples
from framecast.tasks._tensors import as_tensors
from framecast.weights import hub, tokens

if TYPE_CHECKING:
    import pandas as pd


class Texts:
    """The texts of a split as tokens, each distinct one tokenised once.

    Attributes: size, different tokens there are. vocabulary, the words that are tokens; None for a hub's tokenizer.
    table: see `framecast.weights.tokens.Table`. place [V], row of each video in it. other [V], row of another action's
    text (the own row where there is none).
    """

    def __init__(self, config: dict[str, Any], training: Sequence[str], videos: pd.DataFrame) -> None:
        """
        Args:
            training: Texts of the training split.
            videos: video_id, text and template of the split's videos.
        """
        own = config["tokenizer"]
        tokenizer = tokens.FolderTokens(hub.folder(own["hub"], own["revision"])) if own else tokens.words_of(training)
        self.size = tokenizer.size
        self.vocabulary = tokenizer.vocabulary if isinstance(tokenizer, tokens.Words) else None
        self.distinct, self.place = np.unique(videos["text"].to_numpy(object), return_inverse=True)
        self.table = tokens.table(tokenizer, self.distinct.tolist(), config["text_limit"])
        templates = dict(zip(videos["text"], videos["template"], strict=True))
        kinds = np.array([templates[text] for text in self.distinct], object)
        names = videos["video_id"].tolist()
        self.other = np.array([self._other(kinds, int(at), name) for at, name in zip(self.place, names, strict=True)])

    @staticmethod
    def _other(kinds: np.ndarray, place: int, video_id: str) -> int:
        """Drawn for the video by its id: the row of a text with another template, or else of any other text."""
        elsewhere = np.flatnonzero(kinds != kinds[place])
        if not len(elsewhere):
            elsewhere = np.delete(np.arange(len(kinds)), place)
        return int(rng(0, "other text", video_id).choice(elsewhere)) if len(elsewhere) else place

    def rows(self, places: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """tokens int64 [B, L] and kept bool [B, L] of rows [B]."""
        return self.table.ids[places], self.table.kept[places]


class Clips(Samples):
    """Videos of one split cut at moments.

    Attributes: videos, a table with video_id, unit, text and template (both empty where unknown). templates, those of
    the training split; template [V], the number of each video's, -1 where it is none of them. counts [V], frames.
    progress, of each video: float64 [counts], at each frame. places, (video number, frame number of the moment) of each
    sample; targets, the progress there.
    """

    def __init__(
        self,
        config: dict[str, Any],
        frames: Frames,
        videos: pd.DataFrame,
        texts: Texts,
        templates: Sequence[str],
        action: dict[str, np.ndarray] | None,
        training: bool,
    ) -> None:
        """
        Args:
            templates: Those of the training split, each once.
            action: Video id → progress of its action at each frame of the file; None where the target is `elapsed`.
        """
        self.config, self.frames, self.videos, self.texts = config, frames, videos, texts
        self.take_videos(videos)
        self.templates = list(templates)
        number = {name: place for place, name in enumerate(self.templates)}
        self.template = np.array([number.get(name, -1) for name in videos["template"]])
        self.counts = np.array([frames.count(video_id) for video_id in self.video_ids])
        self.places = [
            (video, moment)
            for video, count in enumerate(self.counts.tolist())
            for moment in moments(config, self.video_ids[video], count, training)
        ]
        self.progress = [self._progress(action, video) for video in range(len(self.video_ids))]
        self.targets = np.array([self.progress[video][moment] for video, moment in self.places])

    def _progress(self, action: dict[str, np.ndarray] | None, video: int) -> np.ndarray:
        if action is None:
            count = int(self.counts[video])
            return np.arange(count) / count
        name = self.video_ids[video]
        return action[name][self.frames.store(name).source(name)]

    def __getitems__(self, indices: Sequence[int]) -> dict[str, Any]:
        """frames uint8 [B, T, H, W, 3]; tokens, other_tokens int64 [B, L] with kept, other_kept bool [B, L]; elapsed
        float32 [B], the moment's frame number; template int64 [B], see `Clips`; target float32 [B, T], 0 to 1, at each
        frame, the last of which is asked for; sample_id, unit: lists of B."""
        places = [self.places[index] for index in indices]
        videos = np.array([video for video, _ in places])
        clips = [shown(self.config, end) for _, end in places]
        targets = np.stack([self.progress[video][clip] for video, clip in zip(videos, clips, strict=True)])
        own, own_kept = self.texts.rows(self.texts.place[videos])
        other, other_kept = self.texts.rows(self.texts.other[videos])
        return as_tensors({
            "frames": self.seen(indices),
            "tokens": own, "kept": own_kept, "other_tokens": other, "other_kept": other_kept,
            "elapsed": np.array([end for _, end in places], np.float32),
            "template": self.template[videos],
            "target": targets.astype(np.float32),
            **self.named(places),
        })  # fmt: skip

    def seen(self, indices: Sequence[int]) -> np.ndarray:
        """The frames of some clips, uint8 [B, T, H, W, 3]."""
        clips = [
            (self.video_ids[video], shown(self.config, end)) for video, end in (self.places[index] for index in indices)
        ]
        frames = self.frames.read_batch([(video_id, frame) for video_id, clip in clips for frame in clip])
        return frames.reshape(len(clips), -1, *frames.shape[1:])


def moments(config: dict[str, Any], video_id: str, count: int, training: bool) -> list[int]:
    """Frame numbers at which a video of `count` frames is cut: those of `at` that it has; or one in each part of
    `span`, in training drawn by the video's id, otherwise in the middle and none twice."""
    if config["at"] is not None:
        return possible(config, count)
    parts = config["crops"] if training else config["moments"]
    within = rng(0, "moments", video_id).random(parts) if training else np.full(parts, 0.5)
    low, high = config["span"]
    shares = low + (high - low) * (np.arange(parts) + within) / parts
    numbers = np.minimum((shares * count).round().astype(int), count - 1).tolist()
    return numbers if training else sorted(set(numbers))


def possible(config: dict[str, Any], count: int) -> list[int]:
    """Frame numbers at which `moments` may cut a video of `count` frames in training."""
    if config["at"] is not None:
        return sorted(number for number in config["at"] if number < count)
    low, high = (min(round(share * count), count - 1) for share in config["span"])
    return list(range(low, high + 1))


def shown(config: dict[str, Any], end: int) -> list[int]:
    """Numbers of the frames that a clip up to frame `end` shows; the first of them repeat where there are too few."""
    count = config["count"]
    if config["sampling"] == "even":
        return np.linspace(0, end, count).round().astype(int).tolist()
    return np.arange(end - count + 1, end + 1).clip(min=0).tolist()
