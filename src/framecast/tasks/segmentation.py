"""Segmentation: one frame → the class of every pixel.

Masks come with the data (`stores.masks`). Videos without masks are predicted all the same: their masks are the labels
that other experiments name as `source`. Background is class 0 and counts as a class in `iou` and `iou_corpus`, as
torchmetrics' Jaccard index does; `iou_objects` leaves it out.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from pydantic import Field

from framecast.config.base import Closed, Positive
from framecast.core.needs import Needs
from framecast.core.seeding import drawn
from framecast.pictures.masks import column, overlay, painted, row
from framecast.stores import Stores
from framecast.stores.frames import Frames
from framecast.stores.masks import Masks, resized
from framecast.tasks import _masks
from framecast.tasks._samples import Samples
from framecast.tasks._tensors import as_tensors, pixels, without_gradients

if TYPE_CHECKING:
    import pandas as pd
    import torch
    from torch import Tensor, nn

    from framecast.stores.predictions import Predictions
    from framecast.tasks._networks import Segmenter


class Config(Closed):
    """Frames, classes and the loss."""

    frames: str
    """Frame set that is segmented."""
    view: str
    """View of that frame set; masks are brought to its size by nearest neighbour."""
    classes: Annotated[int, Field(ge=2, le=255)] = 49
    """Classes with the background, which is 0."""
    at: Annotated[int, Field(ge=0)] | None = None
    """Number of the one frame of each video that is predicted and scored, from 0; null takes all frames."""
    crop: tuple[Positive, Positive] | None = None
    """Train on windows of this [height, width], pixels, drawn around objects: they show more objects for the same work.
    Null trains on whole frames."""
    flip: bool = True
    """Mirror half of the training samples."""
    brightness: Annotated[float, Field(ge=0, lt=1)] = 0.1
    """Training frames are made up to this much brighter or darker, all channels alike."""
    overlap: Annotated[float, Field(ge=0)] = 0.0
    """Weight of the soft IoU loss beside the cross-entropy."""


class Inference(Closed):
    """Nothing to choose."""


def needs(config: dict[str, Any]) -> Needs:
    """One view of a frame set, and masks."""
    return Needs(frames=((config["frames"], config["view"]),), masks=True)


def samples(config: dict[str, Any]) -> str | None:
    """What a scored sample is, where another task may score the same."""
    return None if config["at"] is None else _masks.sample(config["frames"], config["view"], config["at"])


def labels(config: dict[str, Any]) -> str:
    """What predictions are, for tasks that read them as labels."""
    frames = "every frame" if config["at"] is None else f"frame {config['at']} alone"
    return _masks.labels(config["frames"], config["classes"], frames)


# --- data ------------------------------------------------------------------------------------------------------------


class LabelledFrames(Samples):
    """Single frames of one split with their masks; without masks where the videos have none.

    Attributes: places, (video number, frame number) of each sample.
    """

    def __init__(
        self, frames: Frames, masks: Masks, video_ids: list[str], units: list[str], at: int | None, classes: int
    ) -> None:
        self.frames, self.masks, self.video_ids, self.units, self.classes = frames, masks, video_ids, units, classes
        self.size = frames.shape[:2]
        self.labelled = all(video_id in masks for video_id in video_ids)
        counts = [frames.count(video_id) for video_id in video_ids]
        wanted = [range(count) if at is None else range(at, min(at + 1, count)) for count in counts]
        self.places = [(video, frame) for video, numbers in enumerate(wanted) for frame in numbers]

    def __getitems__(self, indices: Sequence[int]) -> dict[str, Any]:
        """frame uint8 [B, H, W, 3]; mask uint8 [B, H, W] where there are masks; sample_id, unit: lists of B."""
        places = [self.places[index] for index in indices]
        items = [(self.video_ids[video], frame) for video, frame in places]
        batch: dict[str, Any] = {
            "frame": self.frames.read_batch(items),
            **self.named(places),
        }
        if self.labelled:
            batch["mask"] = np.stack([self.mask(*item) for item in items])
        return as_tensors(batch)

    def mask(self, video_id: str, frame: int) -> np.ndarray:
        """The true mask of one frame at the view's size; uint8 [H, W]. Raises ValueError for an unknown class."""
        mask = self.masks.read(video_id, frame, 1)
        _masks.check_classes(mask, self.classes, f"the mask of video {video_id!r}, frame {frame},")
        return resized(mask, *self.size)[0]


def dataset(config: dict[str, Any], stores: Stores, split: str) -> LabelledFrames:
    """All frames of a split, or the frame `at` of each of its videos.

    Raises:
        ValueError: training videos without masks, or masks of another number of frames; no video reaches frame `at`; a
            frame set that is not squashed.
    """
    table = stores.split(split)
    video_ids, units = table["video_id"].tolist(), table["unit"].astype(str).tolist()
    masks, training = Masks(stores.masks), split == "train"
    if training:
        video_ids, units = _masks.labelled_only(video_ids, units, masks, split)
    frames = Frames(stores.frames[config["frames"]], config["view"])
    _masks.check_resize(frames, config["frames"])
    _masks.check_lengths(frames, masks, video_ids, config["frames"])
    at = None if training else config["at"]
    found = LabelledFrames(frames, masks, video_ids, units, at, config["classes"])
    if config["crop"] is not None and any(small > big for small, big in zip(config["crop"], found.size, strict=True)):
        raise ValueError(
            f"the task's crop {config['crop']} does not fit into view {config['view']!r} of {list(found.size)}"
        )
    if not len(found):
        longest = max(frames.count(video_id) for video_id in video_ids)
        raise ValueError(f"split {split!r}: the task's at = {config['at']}, but the longest video has {longest} frames")
    return found


def facts(config: dict[str, Any], dataset: LabelledFrames) -> dict[str, Any]:
    """What the network's shape depends on, how frames came to that size, and how much there is to learn from."""
    counts = {"frames": len(dataset), "videos": len(dataset.video_ids)}
    return {"size": list(dataset.size), "resize": dataset.frames.resize, **counts}


# --- network and training --------------------------------------------------------------------------------------------


def build(config: dict[str, Any], facts: dict[str, Any], core: Callable[..., nn.Module]) -> Segmenter:
    """The network for frames of the view's size."""
    from framecast.tasks._networks import Segmenter

    height, width = facts["size"]
    return Segmenter(core(channels=3, classes=config["classes"], height=height, width=width), config)


def loss(module: Segmenter, batch: dict[str, Any], generator: torch.Generator, progress: float) -> dict[str, Tensor]:
    """Cross-entropy of every pixel, plus `overlap` times the soft IoU loss."""
    import torch

    from framecast.ops.masks import soft_iou

    config, frames, masks = module.config, pixels(batch["frame"]), batch["mask"]
    if config["crop"] is not None:
        frames, masks = _cropped(frames, masks, config["crop"], generator)
    draws = torch.rand(2, len(frames), generator=generator, device=frames.device)
    if config["flip"]:
        mirrored = draws[0] < 0.5
        frames = torch.where(mirrored[:, None, None, None], frames.flip(-1), frames)
        masks = torch.where(mirrored[:, None, None], masks.flip(-1), masks)
    gain = 1 + config["brightness"] * (2 * draws[1] - 1)
    logits = module.core((frames * gain[:, None, None, None]).clamp(max=1))
    parts = {"cross_entropy": torch.nn.functional.cross_entropy(logits.float(), masks.long())}
    if config["overlap"]:
        parts["overlap"] = soft_iou(logits, masks).mean()
    return {"loss": parts["cross_entropy"] + config["overlap"] * parts.get("overlap", 0.0), **parts}


def _cropped(frames: Tensor, masks: Tensor, size: Sequence[int], generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """A window [h, w] of each sample that holds a pixel of an object, drawn evenly among them (now and then any pixel).

    Frames [B, C, H, W] → [B, C, h, w], masks [B, H, W] → [B, h, w].
    """
    from framecast.ops.windows import windows

    return windows(frames, masks, (masks > 0).float() + 1e-4, size, generator)


@without_gradients
def monitor(module: Segmenter, batch: dict[str, Any], generator: torch.Generator) -> dict[str, Tensor]:
    """cross_entropy and iou, one a sample; counts of pixels [B, K] for `summarise`."""
    from torch.nn.functional import cross_entropy

    from framecast.ops.masks import confusion_counts, iou_of

    _masks.check_truth(batch, "mask")
    logits = module(batch["frame"]).float()
    shared, union = confusion_counts(logits.argmax(1), batch["mask"], module.config["classes"])
    error = cross_entropy(logits, batch["mask"].long(), reduction="none").mean((1, 2))
    return {"cross_entropy": error, "iou": iou_of(shared, union), "shared": shared, "union": union}


def summarise(totals: dict[str, Tensor]) -> dict[str, float]:
    """iou_corpus: mean over classes of the IoU of all pixels counted together."""
    return _masks.corpus(totals)


# --- prediction ------------------------------------------------------------------------------------------------------


@without_gradients
def predict(
    module: Segmenter, batch: dict[str, Any], generator: torch.Generator, inference: dict[str, Any]
) -> dict[str, Tensor]:
    """mask: the likeliest class of each pixel, uint8 [B, H, W]."""
    return {"mask": module(batch["frame"]).argmax(1).byte()}


def score(
    config: dict[str, Any], predictions: Predictions, dataset: LabelledFrames
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """iou, iou_objects and the pixel counts of iou_corpus of every frame.

    Raises:
        ValueError: the split has videos without masks.
    """
    if not dataset.labelled:
        raise ValueError(_masks.UNSCORED)
    items = [_masks.parsed(name) for name in predictions.sample_ids]
    truth = np.stack([dataset.mask(*item) for item in items])
    rows = _masks.rows(predictions.sample_ids, predictions.units, predictions.arrays["mask"], truth, config["classes"])
    return rows, {"frames": len(truth), "size": list(dataset.size)}


def preview(predictions: dict[str, Tensor], batch: dict[str, Any]) -> np.ndarray:
    """Up to eight columns: frame, true mask where there is one, predicted mask; uint8 [H, W, 3]."""
    frames, masks = batch["frame"].numpy(), predictions["mask"].byte().numpy()
    classes = 49 if masks.max(initial=0) < 49 else 256
    shown = range(min(8, len(frames)))
    rows = [row([frames[place] for place in shown])]
    if "mask" in batch:
        rows.append(row([painted(batch["mask"][place].numpy(), classes) for place in shown]))
    rows.append(row([painted(masks[place], classes) for place in shown]))
    return column(rows)


def gallery(
    config: dict[str, Any], dataset: LabelledFrames, predictions: dict[str, Predictions], count: int
) -> tuple[list[str], list[list[np.ndarray]]]:
    """Headings and rows of pictures for `count` samples: the frame, its true mask over it, each experiment's.

    predictions: heading → predictions of the same samples.
    """
    headings = ["frame", "truth", *predictions]
    first = next(iter(predictions.values()))
    chosen = drawn("gallery", first.sample_ids, count)
    rows = []
    for place in chosen:
        video_id, number = _masks.parsed(first.sample_ids[place])
        frame = dataset.frames.read(video_id, [number])[0]
        found = (_masks.last(one.arrays["mask"][place]) for one in predictions.values())
        masks = [dataset.mask(video_id, number), *found]
        rows.append([frame, *(overlay(frame, mask, config["classes"]) for mask in masks)])
    return headings, rows
