"""What the two mask tasks share: names of samples, which videos are labelled, scores."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from framecast.metrics import confusions, corpus_rows, mean_iou
from framecast.tasks._samples import tell

if TYPE_CHECKING:
    import pandas as pd
    from torch import Tensor

    from framecast.stores.frames import Frames
    from framecast.stores.masks import Masks

UNSCORED = "the split holds videos without masks, so there is nothing to score by; take it off the data's `evaluate`"


def sample(frames: str, view: str, number: int) -> str:
    """What a sample is, for tasks that score the same one: the mask of one frame of each video."""
    return f"mask of frame {number}, {frames}/{view}"


def labels(frames: str, classes: int, which: str) -> str:
    """What masks are, where one task's predictions are another's data."""
    return f"masks of {classes} classes, frame set {frames}, of {which}"


def last(mask: np.ndarray) -> np.ndarray:
    """The last mask of a prediction [H, W] or [T', H, W]."""
    return mask[-1] if mask.ndim == 3 else mask


def check_truth(batch: dict[str, Any], key: str) -> None:
    """
    Raises:
        ValueError: a batch of the split that serves for selection has no true masks.
    """
    if key not in batch:
        raise ValueError(
            f"the data's `select` split holds videos without masks (it gives {batch['sample_id'][0]!r}), so no "
            "checkpoint can be chosen by it; name a split whose videos all have masks"
        )


def name(video_id: str, frame: int) -> str:
    """`<video id>#<frame number>`."""
    return f"{video_id}#{frame}"


def parsed(sample_id: str) -> tuple[str, int]:
    """Video id and frame number of a sample's name."""
    video_id, _, frame = sample_id.rpartition("#")
    return video_id, int(frame)


def labelled_only(video_ids: list[str], units: list[str], masks: Masks, split: str) -> tuple[list[str], list[str]]:
    """The videos that have masks; the others are counted out loud.

    Raises:
        ValueError: none has.
    """
    kept = [(video_id, unit) for video_id, unit in zip(video_ids, units, strict=True) if video_id in masks]
    if not kept:
        raise ValueError(
            f"split {split!r}: none of its {len(video_ids)} videos has masks; train on a labelled split, or name the "
            "folders with masks under the source's `labelled`"
        )
    tell(split, len(video_ids) - len(kept), len(video_ids), "have no masks and are left out")
    return [video_id for video_id, _ in kept], [unit for _, unit in kept]


def check_resize(frames: Frames, frame_set: str) -> None:
    """Masks are brought to a view by squashing them, so a frame set that cuts or pads its frames is refused.

    Raises:
        ValueError: masks would lie elsewhere than what they show.
    """
    if frames.resize != "squash":
        raise ValueError(
            f"frame set {frame_set!r} has resize: {frames.resize}, and masks are squashed to its views, so they would "
            "not lie on its frames; set its resize: squash"
        )


def check_lengths(frames: Frames, masks: Masks, video_ids: Sequence[str], frame_set: str) -> None:
    """A frame's mask is found by its number, so a frame set that drops frames is refused.

    Raises:
        ValueError: a video has other numbers of frames and masks.
    """
    for video_id in video_ids:
        if video_id in masks and frames.count(video_id) != masks.count(video_id):
            raise ValueError(
                f"video {video_id!r} has {masks.count(video_id)} masks but {frames.count(video_id)} frames in "
                f"frame set {frame_set!r}; set its fps: null, so that every frame is kept"
            )


def rows(
    sample_ids: list[str], units: list[str], prediction: np.ndarray, truth: np.ndarray, classes: int
) -> pd.DataFrame:
    """Scores of masks uint8 [B, H, W]: iou, iou_objects, and the counts of iou_corpus for the classes that occur."""
    import pandas as pd

    samples = pd.DataFrame({"sample_id": sample_ids, "unit": units})
    shared, union = confusions(prediction, truth, classes)  # [B, K] each
    place, names, counts = corpus_rows("iou_corpus", shared, union)
    tables = [
        samples.assign(metric="iou", value=mean_iou(shared, union)),
        samples.assign(metric="iou_objects", value=mean_iou(shared[:, 1:], union[:, 1:])),
        samples.iloc[place].assign(metric=names, value=counts),
    ]
    return pd.concat(tables, ignore_index=True)


def corpus(totals: dict[str, Tensor]) -> dict[str, float]:
    """iou_corpus from the summed pixel counts `shared` and `union` [K]."""
    from framecast.ops.masks import iou_of

    return {"iou_corpus": float(iou_of(totals["shared"], totals["union"]))}


def check_classes(masks: Any, classes: int, what: str) -> None:
    """Raises ValueError for a class that the task does not have."""
    largest = int(masks.max()) if masks.size else 0
    if largest >= classes:
        raise ValueError(f"{what} holds class {largest}; the task's classes = {classes} allows 0 to {classes - 1}")
