"""Contrast: which text belongs to a video. It makes an image and a text encoder out of videos with texts, as CLIP does.

Several frames of a video are embedded and averaged (one frame does not tell where something moves to), and lie near
their text and far from the other texts of the batch (Radford et al. 2021, arXiv 2103.00020; the mean: CLIP4Clip, arXiv
2104.08860). Texts of a set in the form of Something-Something repeat: equal texts in a batch are no negatives of each
other, the loss asks for any of them.

The tokenizer is made of the training split's texts, the wording of prompts and digits (`framecast.weights.bpe`) and
kept in the run's facts. Some training texts come in the wording of prompts, with or without a percent that is drawn for
the video, so that these words have been seen; the percent says nothing on the frames.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from pydantic import Field

from framecast.config.base import Closed, Fraction, Positive
from framecast.core.files import digest
from framecast.core.needs import Needs
from framecast.core.seeding import rng
from framecast.encoders.prompts import prompt
from framecast.metrics import recall_1
from framecast.ops.contrastive import symmetric
from framecast.stores import Stores
from framecast.stores.frames import Frames
from framecast.tasks._samples import Samples, tell
from framecast.tasks._tensors import as_tensors, pixels, without_gradients
from framecast.weights import bpe, tokens

if TYPE_CHECKING:
    import pandas as pd
    import torch
    from torch import Tensor, nn

    from framecast.stores.predictions import Predictions
    from framecast.tasks._networks import Contrast

FORMS = 3
"""How a training text is worded: as it is, as a prompt, as a prompt with a percent."""


EXPORT = "clip"
"""Module of `framecast.prediction.export` that writes a run's network in the hub's folder format."""


class Config(Closed):
    """Frames and texts."""

    frames: str
    """Frame set that is seen."""
    view: str
    """View of that frame set; square."""
    count: Positive = 4
    """Frames of a video, one from each of as many equal parts of it."""
    draws: Positive = 8
    """Draws of frames from each training video until all of them come up again."""
    vocabulary: Annotated[int, Field(ge=514)] = 1024
    """Most tokens of the tokenizer; 514 are bytes, start and end."""
    text_limit: Annotated[int, Field(ge=3)] = 77
    """Most tokens of a text, start and end included, also of what the text encoder is used for later; what is longer is
    cut and counted."""
    prompted: Fraction = 0.5
    """Share of the training texts that come in the wording of prompts, half of them with a percent."""


class Inference(Closed):
    """Nothing to choose."""


def needs(config: dict[str, Any]) -> Needs:
    """One view of a frame set."""
    return Needs(frames=((config["frames"], config["view"]),))


# --- data ------------------------------------------------------------------------------------------------------------


class Pairs(Samples):
    """Videos of one split with their texts.

    Attributes: counts [V], frames. places, (video number, draw) of each sample. distinct [S], texts; place [V], row of
    each video's in it. merges, the tokenizer's. table, tokens of each video's text in all `FORMS` (rows 3v to 3v + 2).
    """

    def __init__(
        self, config: dict[str, Any], frames: Frames, videos: pd.DataFrame, merges: list[str], training: bool
    ) -> None:
        self.config, self.frames, self.merges, self.training = config, frames, merges, training
        self.take_videos(videos)
        self.counts = [frames.count(video_id) for video_id in self.video_ids]
        self.distinct, self.place = np.unique(videos["text"].to_numpy(object), return_inverse=True)
        pieces = bpe.Pieces(merges, config["text_limit"])
        self.size = pieces.size
        worded = [
            form for name, text in zip(self.video_ids, videos["text"], strict=True) for form in _worded(name, text)
        ]
        self.table = tokens.table(pieces, worded, config["text_limit"])
        draws = range(config["draws"] if training else 1)
        self.places = [(video, draw) for video in range(len(self.video_ids)) for draw in draws]

    def name(self, place: tuple[int, int]) -> str:
        """`<video id>#<draw>` in training, else the video's id."""
        return super().name(place) if self.training else self.video_ids[place[0]]

    def __getitems__(self, indices: Sequence[int]) -> dict[str, Any]:
        """frames uint8 [B, T, H, W, 3]; tokens int64 [B, 3, L], the text in each of `FORMS`; text int64 [B], its number
        in `distinct`; sample_id, unit: lists of B."""
        drawn = [self.places[index] for index in indices]
        videos = np.array([video for video, _ in drawn])
        items = [(self.video_ids[video], frame) for video, draw in drawn for frame in self.shown(video, draw)]
        rows, frames = FORMS * videos[:, None] + np.arange(FORMS), self.frames.read_batch(items)
        return as_tensors({
            "frames": frames.reshape(len(drawn), -1, *frames.shape[1:]),
            "tokens": self.table.ids[rows],
            "text": self.place[videos].astype(np.int64),
            **self.named(drawn),
        })  # fmt: skip

    def shown(self, video: int, draw: int) -> list[int]:
        """Numbers of the frames that are seen: in training drawn in equal parts of the video, else their middles."""
        count = self.config["count"]
        within = rng(draw, "contrast", self.video_ids[video]).random(count) if self.training else np.full(count, 0.5)
        return ((np.arange(count) + within) / count * self.counts[video]).astype(int).tolist()


def _worded(video_id: str, text: str) -> list[str]:
    """The text in each of `FORMS`; the percent is drawn for the video."""
    percent = int(rng(0, "percent", video_id).integers(100))
    return [text, prompt(text), prompt(text, percent)]


def dataset(config: dict[str, Any], stores: Stores, split: str) -> Pairs:
    """All pairs of a split. Texts that are cut are counted out loud.

    Raises:
        ValueError: a video has no text, or the view is not square.
    """
    videos = stores.split(split)
    training = videos if split == "train" else stores.split("train")
    for name, part in {"train": training, split: videos}.items():
        _check_texts(part, name)
    frames = Frames(stores.frames[config["frames"]], config["view"])
    if frames.shape[0] != frames.shape[1]:
        raise ValueError(
            f"the view {config['view']!r} is {frames.shape[0]}x{frames.shape[1]}: CLIP's pictures are square"
        )
    words = [form for text in training["text"] for form in (text, prompt(text), prompt(text, 0))]
    merges = bpe.learn([*words, *(str(number) for number in range(101))], config["vocabulary"])
    pairs = Pairs(config, frames, videos, merges, split == "train")
    what = f"have a text, or a prompt of it, of more than {config['text_limit']} tokens, which is cut"
    tell(split, _long(pairs), len(videos), what)
    return pairs


def _check_texts(videos: pd.DataFrame, split: str) -> None:
    texts = videos["text"].fillna("").astype(str) if "text" in videos else videos["video_id"].map(lambda _: "")
    absent = videos.loc[texts.str.strip() == "", "video_id"]
    if len(absent):
        raise ValueError(
            f"split {split!r}: {len(absent)} of {len(videos)} videos have no text, first {absent.iloc[0]!r}; the task "
            "'contrast' learns from texts: annotate these videos or leave them out"
        )


def _long(dataset: Pairs) -> int:
    """Videos whose text, or prompt, is cut."""
    long = set(dataset.table.long)
    texts = dataset.distinct[dataset.place]
    return sum(not long.isdisjoint(_worded(name, text)) for name, text in zip(dataset.video_ids, texts, strict=True))


def facts(config: dict[str, Any], dataset: Pairs) -> dict[str, Any]:
    """What the network's shape depends on, how much there is to learn from, and the tokenizer's merges."""
    return {
        "size": dataset.frames.shape[0], "videos": len(dataset.video_ids), "texts": len(dataset.distinct),
        "videos_with_cut_text": _long(dataset), "tokens": dataset.size, "merges": dataset.merges,
    }  # fmt: skip


# --- network and training --------------------------------------------------------------------------------------------


def build(config: dict[str, Any], facts: dict[str, Any], core: Callable[..., nn.Module]) -> Contrast:
    """The network for the view's size and the tokenizer."""
    from framecast.tasks._networks import Contrast

    return Contrast(core(size=facts["size"], vocabulary=facts["tokens"], length=config["text_limit"]), config)


@without_gradients
def fit(module: Contrast, dataset: Pairs) -> None:
    """Mean and deviation of the channels, of up to 64 samples."""
    chosen = np.unique(np.linspace(0, len(dataset) - 1, 64).astype(int)).tolist()
    frames = pixels(dataset.__getitems__(chosen)["frames"]).flatten(0, 1)
    module.core.mean.copy_(frames.mean((0, 2, 3)).view(1, 3, 1, 1))
    module.core.std.copy_(frames.std((0, 2, 3)).clamp_min(1e-3).view(1, 3, 1, 1))


def loss(module: Contrast, batch: dict[str, Any], generator: torch.Generator, progress: float) -> dict[str, Tensor]:
    """The symmetric loss, with each text in a wording that is drawn."""
    import torch

    words, share = batch["tokens"], module.config["prompted"]
    draws = torch.rand(len(words), generator=generator, device=words.device)
    form = (draws < share).long() + (draws < share / 2).long()
    chosen = words[torch.arange(len(words), device=words.device), form]
    images, texts = module(batch["frames"], chosen)
    return {"loss": symmetric(images, texts, module.core.scale, _same(batch)).mean()}


def _same(batch: dict[str, Any]) -> Tensor:
    return batch["text"][:, None] == batch["text"][None]


@without_gradients
def monitor(module: Contrast, batch: dict[str, Any], generator: torch.Generator) -> dict[str, Tensor]:
    """contrast: the loss of each pair within its batch, texts as they are."""
    images, texts = module(batch["frames"], batch["tokens"][:, 0])
    return {"contrast": symmetric(images, texts, module.core.scale, _same(batch))}


# --- prediction ------------------------------------------------------------------------------------------------------


@without_gradients
def predict(
    module: Contrast, batch: dict[str, Any], generator: torch.Generator, inference: dict[str, Any]
) -> dict[str, Tensor]:
    """image and text [B, P]: embeddings of length 1 of the frames and of the own text."""
    images, texts = module(batch["frames"], batch["tokens"][:, 0])
    return {"image": images, "text": texts}


def score(config: dict[str, Any], predictions: Predictions, dataset: Pairs) -> tuple[pd.DataFrame, dict[str, Any]]:
    """recall_1 of each video: its text is to be found among the distinct texts of the split."""
    import pandas as pd

    own = dataset.place[dataset.find(predictions.sample_ids)]
    gallery = np.zeros((len(dataset.distinct), predictions.arrays["text"].shape[1]))
    gallery[own] = predictions.arrays["text"]
    found = recall_1(predictions.arrays["image"] @ gallery.T, own)
    columns = {"sample_id": predictions.sample_ids, "unit": predictions.units, "metric": "recall_1"}
    said = {"gallery": digest(*dataset.distinct), "gallery_texts": len(gallery), "chance": 1 / len(gallery)}
    return pd.DataFrame({**columns, "value": found}), said
