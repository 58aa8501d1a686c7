"""Progress: some frames of a video up to a moment, and its text → how far the action has got by then, 0 to 100 %.

A sample is a video cut at a moment (dynamic temporal cropping): in training at moments drawn evenly between two shares
of the video, a new one each time it comes up; in other splits at a few fixed ones. The target is the share of the video
gone by, which needs no labels, or the share of the action, where the source knows it. The moment's frame number is
given beside the frames, for baselines and ablations: nothing after the moment is known to any model, the video's
length neither. Left and right matter, so nothing is mirrored. The template of the text is given as its number among
those of the training split, for baselines that look at no word.

Texts are tokenised once, when the data set is made. A text encoder from the hub comes with its own tokenizer; for a
small one made here, the tokens are the words of the training split, kept in the run's facts
(`framecast.weights.tokens`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from pydantic import Field, model_validator

from framecast.config.base import Closed, Fraction, Positive, Pretrained
from framecast.core import contract
from framecast.core.needs import Needs
from framecast.core.seeding import drawn, torch_generator
from framecast.metrics import abs_error
from framecast.pictures.masks import column, row
from framecast.stores import Stores, states
from framecast.stores.frames import Frames
from framecast.tasks._progress_clips import Clips, Texts, possible
from framecast.tasks._samples import tell
from framecast.tasks._tensors import pixels, without_gradients

if TYPE_CHECKING:
    import pandas as pd
    import torch
    from torch import Tensor, nn

    from framecast.stores.predictions import Predictions
    from framecast.tasks._networks import Progress


class Config(Closed):
    """Clips, targets and texts."""

    frames: str
    """Frame set that is seen."""
    view: str
    """View of that frame set."""
    count: Annotated[int, Field(ge=2)] = 20
    """Frames of a clip."""
    sampling: Literal["even", "last"] = "even"
    """`even`: spread evenly from the video's first frame to the moment, as published; then the frames' spacing tells a
    little of the time gone by. `last`: the last `count` frames."""
    span: tuple[Fraction, Fraction] = (0.1, 0.9)
    """Shares of a video between which its moments lie."""
    target: Literal["elapsed", "action"] = "elapsed"
    """`elapsed`: the moment's frame number over the video's number of frames. `action`: what the source knows of its
    action's progress (the embedded world alone)."""
    crops: Positive = 32
    """Moments of each training video until all of them come up again, drawn evenly in as many parts of `span`."""
    moments: Positive = 5
    """Moments of each evaluated video, the middles of as many parts of `span`."""
    at: Annotated[list[Annotated[int, Field(ge=0)]], Field(min_length=1)] | None = None
    """Numbers of the frames (of the frame set, from 0) at which every video of every split is cut, instead of moments
    in `span`: for estimates that another experiment reads. Videos that end before are left out and counted."""
    tokenizer: Pretrained | None = None
    """Tokenizer in the hub's format, from the same folder as the model's text encoder; null makes a token of each word
    of the training split's texts."""
    text_limit: Annotated[int, Field(ge=3)] = 77
    """Most tokens of a text, start and end included; what is longer is cut and counted. CLIP's is 77."""
    brightness: Annotated[float, Field(ge=0, lt=1)] = 0.1
    """Training clips are made up to this much brighter or darker."""
    shift: Annotated[int, Field(ge=0)] = 0
    """Training clips are moved by up to this many pixels up or down and to a side; their edge is repeated."""

    @model_validator(mode="after")
    def _rises(self) -> Config:
        if not self.span[0] < self.span[1]:
            raise ValueError(f"span is {list(self.span)}: the first share must be below the second")
        if self.at is not None and len(set(self.at)) < len(self.at):
            raise ValueError(f"at is {self.at}: name each frame once")
        return self


class Inference(Closed):
    """What is put in the place of frames or text, to see what the answer rests on."""

    input: Literal["video", "noise", "shuffled_text"] = "video"
    """`video`: the clip and its own text. `noise`: pixels drawn evenly, with the text. `shuffled_text`: the clip with
    the text of another action."""


def needs(config: dict[str, Any]) -> Needs:
    """One view of a frame set; states of the frames where the target is the action's progress."""
    return Needs(frames=((config["frames"], config["view"]),), labels=config["target"] == "action")


def samples(config: dict[str, Any]) -> str:
    """What a scored sample is: the same for tasks that show other clips or texts at the same moments."""
    low, high = config["span"]
    where = f"{config['moments']} moments from {low:g} to {high:g}"
    if config["at"] is not None:
        where = f"frames {', '.join(map(str, sorted(config['at'])))}"
    return f"progress ({config['target']}) at {where}, {config['frames']}"


# --- data ------------------------------------------------------------------------------------------------------------


def dataset(config: dict[str, Any], stores: Stores, split: str) -> Clips:
    """All clips of a split. Videos that are too short or have no text, and texts that are cut, are counted out loud.

    Raises:
        ValueError: the target is `action`, and the source knows nothing of a video's; no video is long enough for `at`.
        WeightsError: the tokenizer is absent.
    """
    videos = _with_texts(stores.split(split))
    training = videos if split == "train" else _with_texts(stores.split("train"))
    texts = Texts(config, training["text"].tolist(), videos)
    templates = sorted(set(training["template"]) - {""})
    frames = Frames(stores.frames[config["frames"]], config["view"])
    clips = Clips(config, frames, videos, texts, templates, _action(config, stores, videos), split == "train")
    if not len(clips):
        raise ValueError(f"split {split}: no video has a frame {min(config['at'])}, the longest has "
                         f"{clips.counts.max()} frames: give the task's `at` smaller numbers")  # fmt: skip
    said = {"end before a frame of `at`, which is left out": _short(clips),
            "have no text": int((videos["text"] == "").sum()),
            f"have a text of more than {config['text_limit']} tokens, which is cut": _long(clips)}  # fmt: skip
    for what, number in said.items():
        tell(split, number, len(videos), what)
    return clips


def _with_texts(videos: pd.DataFrame) -> pd.DataFrame:
    """The table with text and template, empty where unknown."""
    known = {name: videos[name].fillna("").astype(str) if name in videos else "" for name in ("text", "template")}
    return videos.assign(**known)


def _action(config: dict[str, Any], stores: Stores, videos: pd.DataFrame) -> dict[str, np.ndarray] | None:
    if config["target"] == "elapsed":
        return None
    known = states.progress(stores.labels)
    absent = [name for name in videos["video_id"] if name not in known]
    if absent:
        raise ValueError(f"the progress of {len(absent)} of {len(videos)} videos is not known, first {absent[0]!r}: "
                         "labels and videos come from different worlds; make both again")  # fmt: skip
    return known


def _short(dataset: Clips) -> int:
    """Videos that end before a frame of `at`."""
    return int((dataset.counts <= max(dataset.config["at"] or [-1])).sum())


def _long(dataset: Clips) -> int:
    """Videos whose text is cut."""
    return int(dataset.videos["text"].isin(dataset.texts.table.long).sum())


def facts(config: dict[str, Any], dataset: Clips) -> dict[str, Any]:
    """What the network's shape depends on, how much there is to learn from, and the words that are tokens."""
    return {
        **_counts(dataset), "size": list(dataset.frames.shape[:2]), "resize": dataset.frames.resize,
        "longest": int(dataset.counts.max()), "tokens": dataset.texts.size, "vocabulary": dataset.texts.vocabulary,
        "templates": dataset.templates,
    }  # fmt: skip


def _counts(dataset: Clips) -> dict[str, Any]:
    texts = dataset.videos["text"]
    return {
        "clips": len(dataset), "videos": len({video for video, _ in dataset.places}),
        "texts": int(texts[texts != ""].nunique()), "videos_too_short": _short(dataset),
        "videos_without_text": int((texts == "").sum()), "videos_with_cut_text": _long(dataset),
        "videos_of_other_templates": int((dataset.template < 0).sum()),
    }  # fmt: skip


# --- network and training --------------------------------------------------------------------------------------------


def build(config: dict[str, Any], facts: dict[str, Any], core: Callable[..., nn.Module]) -> Progress:
    """The network for the split's tokens and lengths."""
    from framecast.tasks._networks import Progress

    sizes = {"vocabulary": facts["tokens"], "length": config["text_limit"], "longest": facts["longest"]}
    return Progress(core(frames=config["count"], templates=len(facts["templates"]), **sizes), config)


def fit(module: Progress, dataset: Clips) -> None:
    """A model with a `fit` of its own gets all training targets [n], their frame numbers [n] and the videos' lengths
    [V]. One with `fit_every_frame` gets the same of all frames at which videos may be cut, not only of those drawn, and
    the numbers of their templates [n]."""
    import torch

    lengths = torch.from_numpy(dataset.counts)
    if model_fit := contract.hook(module.core, "fit"):
        elapsed = torch.tensor([end for _, end in dataset.places])
        model_fit(torch.from_numpy(dataset.targets).float(), elapsed, lengths)
    if fit_every_frame := contract.hook(module.core, "fit_every_frame"):
        ends = [torch.tensor(possible(module.config, count), dtype=torch.long) for count in dataset.counts.tolist()]
        targets = [torch.from_numpy(known)[own] for known, own in zip(dataset.progress, ends, strict=True)]
        template = torch.from_numpy(dataset.template).repeat_interleave(torch.tensor([len(own) for own in ends]))
        fit_every_frame(torch.cat(targets).float(), torch.cat(ends), lengths, template)


def loss(module: Progress, batch: dict[str, Any], generator: torch.Generator, progress: float) -> dict[str, Tensor]:
    """The model's own loss, of the targets at all frames [B, T], or else the squared error at the last."""
    import torch

    frames, target = pixels(batch["frames"]), batch["target"]
    draws = torch.rand(len(frames), 1, 1, 1, 1, generator=generator, device=frames.device)
    frames = (frames * (1 + module.config["brightness"] * (2 * draws - 1))).clamp(max=1)
    if module.config["shift"]:
        frames = _moved(frames, module.config["shift"], generator)
    seen = frames, batch["tokens"], batch["kept"], batch["elapsed"]
    if model_loss := contract.hook(module.core, "loss"):
        return model_loss(*seen, target)
    return {"loss": (module.core(*seen) - target[:, -1]).square().mean()}


def _moved(frames: Tensor, most: int, generator: torch.Generator) -> Tensor:
    """Clips [B, T, 3, H, W], each moved by its own whole number of pixels, the same for all its frames."""
    import torch

    steps = torch.randint(-most, most + 1, (2, len(frames)), generator=generator, device=frames.device)
    rows, columns = (
        (torch.arange(side, device=frames.device) - step[:, None]).clamp(0, side - 1)  # [B, side]
        for side, step in zip(frames.shape[-2:], steps, strict=True)
    )
    clip = torch.arange(len(frames), device=frames.device)[:, None, None]
    picked = frames[clip, :, :, rows[:, :, None], columns[:, None, :]]  # [B, H, W, T, 3]
    return picked.movedim((1, 2), (3, 4))


@without_gradients
def monitor(module: Progress, batch: dict[str, Any], generator: torch.Generator) -> dict[str, Tensor]:
    """abs_error, percentage points, one a sample."""
    found = module(batch["frames"], batch["tokens"], batch["kept"], batch["elapsed"])
    return {"abs_error": 100 * (found - batch["target"][:, -1]).abs()}


# --- prediction ------------------------------------------------------------------------------------------------------


@without_gradients
def predict(
    module: Progress, batch: dict[str, Any], generator: torch.Generator, inference: dict[str, Any]
) -> dict[str, Tensor]:
    """progress [B], 0 to 1. What is drawn for a sample depends on the run's seed and the sample's id alone. A model
    with a `from_frame_number` of its own is told the frame number and the template alone.

    Raises:
        ValueError: texts are to be shuffled, and there is only one.
    """
    import torch

    if from_frame_number := contract.hook(module.core, "from_frame_number"):
        return {"progress": from_frame_number(batch["elapsed"], batch["template"])}
    frames, words, kept = batch["frames"], batch["tokens"], batch["kept"]
    draws = [torch_generator(generator.initial_seed(), "predict", name) for name in batch["sample_id"]]
    if sample := contract.hook(module.core, "sample"):
        return {"progress": sample(torch.stack([torch.rand((), generator=draw) for draw in draws]))}
    if inference["input"] == "noise":
        noise = [torch.randint(256, frames.shape[1:], generator=draw, dtype=torch.uint8) for draw in draws]
        frames = torch.stack(noise).to(frames.device)
    if inference["input"] == "shuffled_text":
        if torch.equal(batch["other_tokens"], words):
            raise ValueError("inference.input is 'shuffled_text', but the split has one text only; use input: video")
        words, kept = batch["other_tokens"], batch["other_kept"]
    return {"progress": module(frames, words, kept, batch["elapsed"])}


def score(config: dict[str, Any], predictions: Predictions, dataset: Clips) -> tuple[pd.DataFrame, dict[str, Any]]:
    """abs_error of every sample; `breakdown` has its mean for each template (averaged within units first)."""
    import pandas as pd

    chosen = dataset.find(predictions.sample_ids)
    error = abs_error(predictions.arrays["progress"].astype(np.float64), dataset.targets[chosen])
    rows = pd.DataFrame(
        {"sample_id": predictions.sample_ids, "unit": predictions.units, "metric": "abs_error", "value": error}
    )
    videos = [dataset.places[index][0] for index in chosen]
    known = dataset.videos["template"].where(dataset.videos["template"] != "", "no template").to_numpy()
    return rows, {"breakdown": {"template": _by_template(rows.assign(template=known[videos]))}, **_counts(dataset)}


def _by_template(rows: pd.DataFrame) -> dict[str, dict[str, Any]]:
    """Template → abs_error (percentage points), samples and units behind it."""
    found = {}
    for template, part in rows.groupby("template"):
        means = part.groupby("unit")["value"].mean()
        found[str(template)] = {"abs_error": float(means.mean()), "samples": len(part), "units": len(means)}
    return found


def preview(predictions: dict[str, Tensor], batch: dict[str, Any]) -> np.ndarray:
    """Up to eight columns: the clip's first and last frame, below them a green bar as long as the true progress and a
    red one as long as the predicted; uint8 [H, W, 3]."""
    frames, found = batch["frames"].cpu().numpy(), predictions["progress"].float().cpu().numpy()
    truth, places = batch["target"][:, -1].cpu().numpy(), range(min(8, len(found)))
    ends = [_barred(frames[place, -1], truth[place], found[place]) for place in places]
    return column([row([frames[place, 0] for place in places]), row(ends)])


def gallery(
    config: dict[str, Any], dataset: Clips, predictions: dict[str, Predictions], count: int
) -> tuple[list[str], list[list[np.ndarray]]]:
    """Headings and rows of pictures: a clip's first frame, and for each experiment its last one, below which a green
    bar is as long as the true progress and a red one as long as the predicted.

    predictions: heading → predictions of the same samples.
    """
    names = next(iter(predictions.values())).sample_ids
    chosen, rows = drawn("gallery", names, count), []
    for at, index in zip(chosen, dataset.find([names[at] for at in chosen]), strict=True):
        clip, truth = dataset.seen([index])[0], dataset.targets[index]
        found = [float(one.arrays["progress"][at]) for one in predictions.values()]
        rows.append([_barred(clip[0], truth, None), *(_barred(clip[-1], truth, share) for share in found)])
    return ["first frame, truth", *predictions], rows


def _barred(frame: np.ndarray, truth: float, found: float | None) -> np.ndarray:
    """A frame [H, W, 3] over a bar for the true progress and, where there is one, the predicted; [H + 8, W, 3]."""
    below = np.full((4, frame.shape[1], 3), 255, np.uint8) if found is None else _bar(found, frame, (210, 50, 50))
    return np.concatenate([frame, _bar(truth, frame, (40, 160, 60)), below])


def _bar(share: float, frame: np.ndarray, colour: tuple[int, int, int]) -> np.ndarray:
    """uint8 [4, width of the frame, 3]: the first `share` of it coloured, the rest grey."""
    picture = np.full((4, frame.shape[1], 3), 220, np.uint8)
    picture[:, : round(float(share) * frame.shape[1])] = colour
    return picture
