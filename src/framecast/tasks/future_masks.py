"""Future masks: the class masks of some frames → the masks of the frames after them.

The masks a clip is made of are given (they come with the data) or predicted: `source` names the experiment that has
segmented the frames, whose predictions then stand for the masks of `unlabeled` videos in training and, with `inputs:
predicted`, for what a model sees of evaluated ones. Truth is always a given mask. Scores are of the last frame alone.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from pydantic import Field, model_validator

from framecast.config.base import Closed, Fraction, Positive
from framecast.core.needs import Needs, SourceExperiment
from framecast.core.seeding import drawn
from framecast.pictures.masks import column, overlay, painted, row
from framecast.pictures.submission import write_last
from framecast.stores import Stores
from framecast.tasks import _masks
from framecast.tasks._clips import Clips, clips_of
from framecast.tasks._tensors import without_gradients

if TYPE_CHECKING:
    import pandas as pd
    import torch
    from torch import Tensor, nn

    from framecast.stores.predictions import Predictions
    from framecast.tasks._networks import FutureMasks

NonNegative = Annotated[float, Field(ge=0)]


class Source(Closed):
    """An experiment whose predicted masks are read."""

    experiment: str
    """The experiment, of task `segmentation` with `at: null`."""
    seed: int | None = None
    """Its seed; null means the same seed as this run."""


class Config(Closed):
    """Clips, where their masks come from, augmentation and the loss."""

    frames: str
    """Frame set that the masks belong to; pictures show its frames."""
    view: str
    """View of that frame set; masks are brought to its size by nearest neighbour."""
    classes: Annotated[int, Field(ge=2, le=255)] = 49
    """Classes with the background, which is 0."""
    given: Positive = 11
    """Masks a prediction may see."""
    ahead: Positive = 11
    """Masks predicted; the last one is scored."""
    stride: Positive = 1
    """Frames between the starts of neighbouring training clips. An evaluated video gives one clip, from its first frame
    on."""
    source: Source | None = None
    """Who segments frames into masks."""
    unlabeled: list[str] = Field(default=[])
    """Splits that are added to training with the masks that `source` predicts."""
    inputs: Literal["given", "predicted"] = "given"
    """Masks that a model sees of evaluated videos: those given with the data, or those that `source` predicts from the
    frames. Training videos with masks are seen as given."""
    flip: bool = True
    """Mirror half of the training clips."""
    colours: Annotated[int, Field(ge=0)] = 0
    """Classes come in runs of this many that differ in colour alone; each training clip's colours are exchanged at
    random, because motion does not depend on them. 0 leaves them."""
    last_weight: NonNegative = 1.0
    """Weight of the last frame in the cross-entropy; the others have 1."""
    overlap: NonNegative = 0.0
    """Weight of the soft IoU loss of the last frame."""
    step: Positive | None = None
    """Masks taken from one pass of the network, which are then fed back until `ahead` are there; null takes all from
    one pass."""
    truth_share: Fraction = 1.0
    """Scheduled sampling, where `step` feeds masks back: share of passes in training that are fed the truth at the end
    of training. It falls exponentially from 1."""

    @model_validator(mode="after")
    def _possible(self) -> Config:
        if self.source is None and (self.unlabeled or self.inputs == "predicted"):
            raise ValueError("`unlabeled` and `inputs: predicted` need a `source`: the experiment that predicts masks")
        if self.colours and (self.classes - 1) % self.colours:
            raise ValueError(
                f"classes is {self.classes}, and its {self.classes - 1} objects are no multiple of colours = "
                f"{self.colours}; set colours: 0 where classes do not come in runs that differ in colour alone"
            )
        return self


class Inference(Closed):
    """How masks are drawn from the network's scores."""

    seen_only: bool = True
    """Classes that are in none of the given masks are not predicted."""


def needs(config: dict[str, Any]) -> Needs:
    """One view of a frame set, masks, and the masks that `source` predicts."""
    given = Needs(frames=((config["frames"], config["view"]),), masks=True)
    if config["source"] is None:
        return given
    splits, predicted = tuple(config["unlabeled"]), config["inputs"] == "predicted"
    source = SourceExperiment(**config["source"], train=splits, select=predicted, evaluate=predicted)
    return dataclasses.replace(given, sources=(source,))


def labels(config: dict[str, Any]) -> str:
    """What the masks of `source` must be."""
    return _masks.labels(config["frames"], config["classes"], "every frame")


def samples(config: dict[str, Any]) -> str:
    """What a scored sample is, where another task may score the same."""
    return _masks.sample(config["frames"], config["view"], config["given"] + config["ahead"] - 1)


# --- data ------------------------------------------------------------------------------------------------------------


def dataset(config: dict[str, Any], stores: Stores, split: str) -> Clips:
    """All clips of a split; in training also those of the `unlabeled` splits. Errors as of `_clips.clips_of`."""
    return clips_of(config, stores, split)


def facts(config: dict[str, Any], dataset: Clips) -> dict[str, Any]:
    """What the network's shape depends on, how frames came to that size, and how much there is to learn from."""
    counts = {"clips": len(dataset), "videos": len(dataset.video_ids)}
    return {"size": list(dataset.size), "resize": dataset.frames.resize, **counts}


# --- network ---------------------------------------------------------------------------------------------------------


def build(config: dict[str, Any], facts: dict[str, Any], core: Callable[..., nn.Module]) -> FutureMasks:
    """The network for masks of the view's size."""
    from framecast.tasks._networks import FutureMasks

    height, width = facts["size"]
    ahead = config["step"] or config["ahead"]
    shape = {"classes": config["classes"], "given": config["given"], "ahead": ahead, "height": height, "width": width}
    return FutureMasks(core(**shape), config)


# --- training --------------------------------------------------------------------------------------------------------


def loss(module: FutureMasks, batch: dict[str, Any], generator: torch.Generator, progress: float) -> dict[str, Tensor]:
    """Cross-entropy over all frames, plus `overlap` times the soft IoU loss of the last frame."""
    import torch

    from framecast.ops.masks import soft_iou

    config = module.config
    clip = _augmented(torch.cat([batch["given"], batch["ahead"]], 1), config, generator)  # [B, T + T', H, W]
    errors, weights, start, history = [], [], config["given"], clip[:, : config["given"]]
    parts: dict[str, Tensor] = {}
    while start < clip.shape[1]:
        end = min(start + module.step, clip.shape[1])
        features = module.core.features(history)[:, : end - start]  # [B, step, S, H, W]
        weight = torch.ones(end - start, device=clip.device)
        if end == clip.shape[1]:
            weight[-1] = config["last_weight"]
        truth, starts = clip[:, start:end], module.core.start(history)[:, : end - start]  # [B, step, H, W] each
        errors.append(_cross_entropy(module.core, features, truth, starts, weight) * weight.sum())
        weights.append(weight.sum())
        if end == clip.shape[1] and config["overlap"]:
            parts["overlap"] = soft_iou(module.core.logits(features[:, -1], starts[:, -1]), truth[:, -1]).mean()
        if end < clip.shape[1]:
            history = _fed_back(module, history, features, starts, truth, generator, progress)
        start = end
    error = torch.stack(errors).sum() / torch.stack(weights).sum()
    return {"loss": error + config["overlap"] * parts.get("overlap", 0.0), "cross_entropy": error, **parts}


def _augmented(clip: Tensor, config: dict[str, Any], generator: torch.Generator) -> Tensor:
    """Clips [B, T, H, W], half of them mirrored, each in colours of its own."""
    import torch

    from framecast.ops.masks import recoloured

    if config["flip"]:
        mirrored = torch.rand(len(clip), generator=generator, device=clip.device) < 0.5
        clip = torch.where(mirrored[:, None, None, None], clip.flip(-1), clip)
    if config["colours"]:
        draws = torch.rand(len(clip), config["colours"], generator=generator, device=clip.device)
        clip = recoloured(clip, draws.argsort(1))
    return clip


def _cross_entropy(core: Any, features: Tensor, truth: Tensor, starts: Tensor, weight: Tensor) -> Tensor:
    """Mean over samples and frames, frames weighted; scores of B frames at a time, B samples, are in memory."""
    from framecast.ops.mask_loss import chunked_cross_entropy

    frames, wanted, beside = (whole.flatten(0, 1) for whole in (features, truth, starts))
    return chunked_cross_entropy(frames, wanted, core.logits, len(truth), (beside,), weight.repeat(len(truth)))


def _fed_back(
    module: FutureMasks,
    history: Tensor,
    features: Tensor,
    starts: Tensor,
    truth: Tensor,
    generator: torch.Generator,
    progress: float,
) -> Tensor:
    """The next pass's masks: the truth, or for some samples the network's own (scheduled sampling)."""
    import torch

    share = module.config["truth_share"] ** progress if module.config["truth_share"] else float(progress == 0)
    with torch.no_grad():
        pairs = zip(features.unbind(1), starts.unbind(1), strict=True)
        own = torch.stack([module.core.logits(*pair).argmax(1) for pair in pairs], 1)
    true = torch.rand(len(truth), generator=generator, device=truth.device) < share
    fed = torch.where(true[:, None, None, None], truth, own.byte())
    return torch.cat([history, fed], 1)[:, -history.shape[1] :]


@without_gradients
def monitor(module: FutureMasks, batch: dict[str, Any], generator: torch.Generator) -> dict[str, Tensor]:
    """iou of the last frame of the roll-out and its cross-entropy, one a sample; counts of pixels for `summarise`.

    IoU is of classes that were seen, as the default inference has it; the cross-entropy is of all.
    """
    from torch.nn.functional import cross_entropy

    from framecast.ops.masks import confusion_counts, iou_of, seen

    _masks.check_truth(batch, "ahead")
    classes = module.config["classes"]
    masks, scores = module.roll_out(batch["given"], seen(batch["given"], classes))
    shared, union = confusion_counts(masks[:, -1], batch["ahead"][:, -1], classes)
    error = cross_entropy(scores.float(), batch["ahead"][:, -1].long(), reduction="none").mean((1, 2))
    return {"cross_entropy": error, "iou": iou_of(shared, union), "shared": shared, "union": union}


def summarise(totals: dict[str, Tensor]) -> dict[str, float]:
    """iou_corpus: mean over classes of the IoU of all last frames counted together."""
    return _masks.corpus(totals)


# --- prediction ------------------------------------------------------------------------------------------------------


@without_gradients
def predict(
    module: FutureMasks, batch: dict[str, Any], generator: torch.Generator, inference: dict[str, Any]
) -> dict[str, Tensor]:
    """mask: the likeliest classes of the frames ahead, uint8 [B, T', H, W]."""
    from framecast.ops.masks import seen

    allowed = seen(batch["given"], module.config["classes"]) if inference["seen_only"] else None
    return {"mask": module.roll_out(batch["given"], allowed)[0]}


def score(config: dict[str, Any], predictions: Predictions, dataset: Clips) -> tuple[pd.DataFrame, dict[str, Any]]:
    """iou, iou_objects and the pixel counts of iou_corpus of the last frame.

    Raises:
        ValueError: the split has videos without masks.
    """
    if not dataset.whole:
        raise ValueError(_masks.UNSCORED)
    truth = _truth(dataset, predictions.sample_ids)
    found = predictions.arrays["mask"][:, -1]
    rows = _masks.rows(predictions.sample_ids, predictions.units, found, truth, config["classes"])
    return rows, {"clips": len(truth), "size": list(dataset.size)}


def _truth(dataset: Clips, sample_ids: Sequence[str]) -> np.ndarray:
    """Last true masks of samples, uint8 [B, H, W]."""
    return np.stack([dataset.future(index)[-1] for index in dataset.find(sample_ids)])


def preview(predictions: dict[str, Tensor], batch: dict[str, Any]) -> np.ndarray:
    """Up to eight columns: last mask given, the true last mask where there is one, the predicted one."""
    found = predictions["mask"].byte().numpy()[:, -1]
    classes = 49 if found.max(initial=0) < 49 else 256
    lines = [batch["given"][:, -1].numpy(), *([batch["ahead"][:, -1].numpy()] if "ahead" in batch else []), found]
    return column([row([painted(masks[place], classes) for place in range(min(8, len(found)))]) for masks in lines])


def gallery(
    config: dict[str, Any], dataset: Clips, predictions: dict[str, Predictions], count: int
) -> tuple[list[str], list[list[np.ndarray]]]:
    """Headings and rows of pictures: the last frame given, the last true mask over it, each experiment's last mask.

    predictions: heading → predictions of the same samples.
    """
    names = next(iter(predictions.values())).sample_ids
    chosen = drawn("gallery", names, count)
    truth = _truth(dataset, [names[place] for place in chosen])
    rows = []
    for place, true in zip(chosen, truth, strict=True):
        frame = dataset.last_given(names[place])
        found = [one.arrays["mask"][place] for one in predictions.values()]
        masks = [true, *map(_masks.last, found)]
        rows.append([frame, *(overlay(frame, mask, config["classes"]) for mask in masks)])
    return ["last frame given", "truth", *predictions], rows


# --- submission ------------------------------------------------------------------------------------------------------


def submit(config: dict[str, Any], predictions: Predictions, dataset: Clips, out: Path) -> None:
    """Write what is handed in (`pictures.submission.write_last`): the last mask of each video, in order of the sample
    ids.

    Masks have the videos' own size, or the view's where the videos have several.
    """
    order = sorted(range(len(predictions.sample_ids)), key=lambda place: predictions.sample_ids[place])
    names = [predictions.sample_ids[place] for place in order]
    size = dataset.native[0] if len(dataset.native) == 1 else dataset.size
    last = predictions.arrays["mask"][:, -1][np.array(order)]
    video_ids = [_masks.parsed(name)[0] for name in names]
    write_last(out, video_ids, last, size, config["classes"], lambda place: dataset.last_given(names[place]))
