"""Metrics per sample: their names, units and directions stand here once, beside the numpy functions that compute them.

Every function takes whole arrays, one row a sample, and returns float64 [B]. Scores, statistics, workbook and report
look a metric up in `METRICS` by the `family` of the name in the scores' `metric` column: for most metrics that is the
name itself; a corpus metric, which is no mean of samples, has one row a sample, part and class (`part_name`). No torch
here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

BLOCK = 4_000_000
"""Distances held in memory at a time by `ranks`, numbers of 8 bytes."""
PARTS = ("intersection", "union")
"""What the rows of a corpus metric count, pixels."""
SSIM_WINDOW = 11
"""Side of SSIM's window, pixels: scikit-image cuts the Gaussian at 3.5 standard deviations."""


@dataclass(frozen=True)
class Metric:
    """What a metric means, for tables and tests."""

    title: str
    unit: str
    """Physical unit; empty where the number has none."""
    better: Literal["lower", "higher"]
    reducer: Literal["mean", "median", "corpus"]
    """How the values of independent units become one number; `corpus`: `corpus_iou` of their counts."""
    description: str
    oracle: bool = False
    """True where the truth took part in making the prediction: the metric is shown and never tested."""
    gallery: bool = False
    """True where a value depends on the gallery it was ranked in: unequal galleries are not compared."""


METRICS: dict[str, Metric] = {
    "mse": Metric(
        "Squared error", "embedding unit²", "lower", "mean",
        "Squared difference to the true embedding, averaged over its dimensions; raw units of the encoder.",
    ),
    "cosine": Metric(
        "Cosine similarity", "", "higher", "mean",
        "Cosine of the angle between predicted and true embedding, from -1 to 1.",
    ),
    "rank_video": Metric(
        "Rank in the video", "rank", "lower", "median",
        "Place of the true frame among all frames of its own video, by Euclidean distance to the prediction; 1 is "
        "best, equal distances share their middle rank.",
        gallery=True,
    ),
    "rank_all": Metric(
        "Rank among all", "rank", "lower", "median",
        "Place of the true frame among the held-out frames of the whole split, by Euclidean distance to the "
        "prediction; 1 is best, equal distances share their middle rank.",
        gallery=True,
    ),
    "mse_best": Metric(
        "Squared error, best of K", "embedding unit²", "lower", "mean",
        "Squared error of that one of K samples which lies nearest to the truth. An oracle: shown, never tested.",
        oracle=True,
    ),
    "abs_error": Metric(
        "Absolute error", "percentage points", "lower", "mean",
        "Distance between predicted and true progress of the action, both in percent.",
    ),
    "recall_1": Metric(
        "Recall at 1", "", "higher", "mean",
        "Share of videos whose own text is nearest among the distinct texts of the split, by cosine; where k texts are "
        "equally near, each counts 1/k.",
        gallery=True,
    ),
    "psnr": Metric(
        "PSNR", "dB", "higher", "mean",
        "Peak signal-to-noise ratio of a picture, 10·log10(range² / squared error), the squared error averaged over "
        "pixels and channels; the range is 255 for 8-bit pictures. Infinite for equal pictures.",
    ),
    "ssim": Metric(
        "SSIM", "", "higher", "mean",
        "Structural similarity of two pictures, averaged over pixels and colour channels, from -1 to 1; Gaussian "
        "window of 11 pixels and standard deviation 1.5, the range is 255 for 8-bit pictures.",
    ),
    "iou": Metric(
        "IoU of a sample", "", "higher", "mean",
        "Intersection over union of true and predicted mask, averaged over the classes that occur in one of the two "
        "masks of the sample, background included; from 0 to 1.",
    ),
    "iou_objects": Metric(
        "IoU of a sample, objects", "", "higher", "mean",
        "The same without the background: averaged over the object classes that occur in one of the two masks; 1 where "
        "both hold no object.",
    ),
    "iou_corpus": Metric(
        "Corpus IoU", "", "higher", "corpus",
        "Intersection and union of each class are summed over all samples before they are divided, then averaged over "
        "the classes that occur anywhere, background included; large objects weigh more within their class.",
    ),
}  # fmt: skip


def part_name(metric: str, part: str, number: int) -> str:
    """Name of a row of a corpus metric: what was counted (one of `PARTS`), of which class."""
    return f"{metric}.{part}.{number}"


def family(name: str) -> str:
    """The key of `METRICS` that a name in the `metric` column belongs to."""
    return name.partition(".")[0]


def part(name: str) -> tuple[str, int]:
    """("union", 17) of "iou_corpus.union.17"; raises ValueError for a name that `part_name` does not make."""
    if found := re.fullmatch(rf"\w+\.({'|'.join(PARTS)})\.(0|[1-9][0-9]*)", name):
        return found[1], int(found[2])
    raise ValueError(f"{name!r} is no part of a corpus metric; one is {part_name(family(name), PARTS[0], 17)!r}")


def _rows(name: str, prediction: ArrayLike, truth: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Both arrays as float64 [B, everything else], or an error that says what does not fit."""
    a, b = np.asarray(prediction), np.asarray(truth)
    if a.shape != b.shape or a.ndim < 2:
        raise ValueError(f"{name}: prediction {a.shape} and truth {b.shape} must have one shape, [B, ...]")
    return a.reshape(len(a), -1).astype(np.float64), b.reshape(len(b), -1).astype(np.float64)


def mse(prediction: ArrayLike, truth: ArrayLike) -> NDArray[np.float64]:
    """Mean squared error over everything but the first axis; [B, ...] twice → [B], squared units of the input."""
    a, b = _rows("mse", prediction, truth)
    return ((a - b) ** 2).mean(axis=1)


def cosine(prediction: ArrayLike, truth: ArrayLike) -> NDArray[np.float64]:
    """Cosine similarity of rows; [B, D] twice → [B] in [-1, 1]. A zero vector has similarity 0 to everything."""
    a, b = _rows("cosine", prediction, truth)
    lengths = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    return np.clip((a * b).sum(axis=1) / np.where(lengths > 0, lengths, 1), -1, 1)


def abs_error(prediction: ArrayLike, truth: ArrayLike) -> NDArray[np.float64]:
    """Distance between two shares; [B] twice, 0 to 1 → [B], percentage points. Its mean is the MAE in percent."""
    a, b = np.asarray(prediction, np.float64), np.asarray(truth, np.float64)
    if a.shape != b.shape or a.ndim != 1:
        raise ValueError(f"abs_error: prediction {a.shape} and truth {b.shape} must have one shape, [B]")
    return 100 * np.abs(a - b)


def recall_1(similarity: ArrayLike, own: NDArray[np.integer]) -> NDArray[np.float64]:
    """Whether each query's own gallery entry is the most similar; [B, N] and places [B] → [B] in [0, 1].

    Where k entries share the first place (within 1e-6), the own one among them counts 1/k: what guessing among them
    would hit.
    """
    table = np.asarray(similarity, np.float64)
    if table.ndim != 2 or table.shape[0] != len(own) or not np.isfinite(table).all():
        raise ValueError(
            f"recall_1: similarity {table.shape} must be finite, with one row for each of {len(own)} places"
        )
    first = table >= table.max(axis=1, keepdims=True) - 1e-6
    return first[np.arange(len(own)), own] / first.sum(axis=1)


def psnr(prediction: ArrayLike, truth: ArrayLike, data_range: float) -> NDArray[np.float64]:
    """Peak signal-to-noise ratio of each picture; [B, ...] twice → [B], dB; `data_range` is largest minus smallest
    possible value (255 for uint8, 1 for [0, 1]). Infinite where the pictures are equal."""
    if not data_range > 0:
        raise ValueError(f"psnr: data_range is {data_range}; it must be above 0 (1 for [0, 1], 255 for uint8)")
    with np.errstate(divide="ignore"):
        return 10 * np.log10(data_range**2 / mse(prediction, truth))


def ssim(prediction: ArrayLike, truth: ArrayLike, data_range: float) -> NDArray[np.float64]:
    """Structural similarity of each picture; [B, H, W, C] twice → [B] in [-1, 1]; `data_range` as of `psnr`.

    The variant of the paper that introduced it (Wang et al. 2004, https://doi.org/10.1109/TIP.2003.819861): a Gaussian
    window with standard deviation 1.5 and 11 pixels a side, covariances divided by the window's weight; each colour
    channel by itself, their mean. Pixels whose window leaves the picture are left out, as scikit-image does it
    (torchmetrics mirrors the picture there and counts them).

    Raises ValueError for shapes that differ, pictures smaller than the window, and a range that is not above 0.
    """
    from skimage.metrics import structural_similarity

    a, b = np.asarray(prediction), np.asarray(truth)
    if a.shape != b.shape or a.ndim != 4 or min(a.shape[1:3]) < SSIM_WINDOW:
        raise ValueError(
            f"ssim: prediction {a.shape} and truth {b.shape} must have one shape, [B, H, W, C], of at least "
            f"{SSIM_WINDOW} pixels a side; take a larger view"
        )
    if not data_range > 0:
        raise ValueError(f"ssim: data_range is {data_range}; it must be above 0 (1 for [0, 1], 255 for uint8)")
    how = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
    pairs = zip(a, b, strict=True)
    return np.array([
        structural_similarity(x.astype(np.float64), y.astype(np.float64), channel_axis=-1, data_range=data_range, **how)
        for x, y in pairs
    ], np.float64)  # fmt: skip


def confusions(prediction: ArrayLike, truth: ArrayLike, classes: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Pixels of each class in both masks and in at least one; class numbers [B, ...] twice → [B, classes] twice.

    Raises ValueError for shapes that differ, numbers that are no integers, and numbers outside 0 .. classes - 1.
    """
    a, b = np.asarray(prediction), np.asarray(truth)
    if a.shape != b.shape or a.ndim < 2:
        raise ValueError(f"masks: prediction {a.shape} and truth {b.shape} must have one shape, [B, ...]")
    for name, mask in (("prediction", a), ("truth", b)):
        if mask.dtype.kind not in "ui" or (mask.size and not 0 <= mask.min() <= mask.max() < classes):
            held = f"{mask.dtype}, {mask.min()} to {mask.max()}" if mask.size else mask.dtype
            raise ValueError(f"masks: {name} ({held}) must hold class numbers from 0 to {classes - 1}, as integers")
    both = np.empty((len(a), classes), np.int64)
    either = np.empty_like(both)
    for place, (predicted, true) in enumerate(zip(a.reshape(len(a), -1), b.reshape(len(b), -1), strict=True)):
        pairs = true.astype(np.intp) * classes + predicted
        table = np.bincount(pairs, minlength=classes**2).reshape(classes, classes)  # [true, predicted]
        both[place] = table.diagonal()
        either[place] = table.sum(axis=0) + table.sum(axis=1) - both[place]
    return both, either


def iou(prediction: ArrayLike, truth: ArrayLike, classes: int) -> NDArray[np.float64]:
    """Mean intersection over union of the classes in either mask of a sample; masks [B, ...] twice → [B] in [0, 1].

    Class 0, the background, counts as any other. Classes in neither mask are left out, as torchmetrics does:
    https://lightning.ai/docs/torchmetrics/stable/classification/jaccard_index.html, task multiclass, average macro.
    """
    return mean_iou(*confusions(prediction, truth, classes))


def iou_objects(prediction: ArrayLike, truth: ArrayLike, classes: int) -> NDArray[np.float64]:
    """`iou` without class 0, the background; 1 where neither mask holds an object."""
    both, either = confusions(prediction, truth, classes)
    return mean_iou(both[:, 1:], either[:, 1:])


def corpus_iou(intersection: ArrayLike, union: ArrayLike) -> float:
    """Mean IoU of the classes that occur, counts summed over samples first; [N, K] twice → a number in [0, 1].

    Raises ValueError for counts in which no class occurs.
    """
    both, either = np.asarray(intersection).sum(axis=0), np.asarray(union).sum(axis=0)
    if not either.any():
        raise ValueError("corpus_iou: no class occurs in any sample, so there is nothing to average")
    return float(mean_iou(both, either))


def mean_iou(intersection: NDArray[Any], union: NDArray[Any]) -> NDArray[np.float64]:
    """Mean over classes of intersection / union, of the classes with a union; counts [..., K] twice → [...].

    1 where no class has a union.
    """
    occurs = union > 0
    ratios = np.divide(intersection, union, out=np.zeros(union.shape), where=occurs)
    count = occurs.sum(axis=-1)
    return np.where(count > 0, ratios.sum(axis=-1) / np.maximum(count, 1), 1)


def corpus_rows(
    metric: str, intersection: NDArray[np.int64], union: NDArray[np.int64]
) -> tuple[NDArray[np.intp], list[str], NDArray[np.float64]]:
    """The rows of a corpus metric for counts [B, K]: place of the sample, name and value (pixels) of each row.

    A class has its rows, one a part, in the samples where it occurs.
    """
    samples, numbers = np.nonzero(union)
    names = [part_name(metric, what, number) for what in PARTS for number in numbers.tolist()]
    values = np.concatenate([counts[samples, numbers] for counts in (intersection, union)])
    return np.tile(samples, len(PARTS)), names, values.astype(np.float64)


def ranks(
    queries: ArrayLike, truth: ArrayLike, gallery: ArrayLike, own: NDArray[np.integer] | None = None
) -> NDArray[np.float64]:
    """Rank of each query's true vector among a gallery, by Euclidean distance to the query.

    queries, truth: [B, D]. gallery: [N, D]. own: [B], the place of the truth in the gallery, or -1 where the gallery
    lacks it (then it is ranked as if it were added); None means that it lacks every one.
    Returns [B]: 1 + closer vectors + half of the equally distant ones, so that ties are neither won nor lost. Distances
    that differ by less than rounding (1e-12 of the squared lengths) are equal. Memory is bounded by `BLOCK`.
    """
    q, t = _rows("ranks", queries, truth)
    g = np.asarray(gallery, dtype=np.float64)
    if g.ndim != 2 or g.shape[1] != q.shape[1]:
        raise ValueError(f"ranks: gallery {g.shape} does not hold vectors of {q.shape[1]} numbers")
    places = np.full(len(q), -1) if own is None else np.asarray(own)
    centre = g.mean(axis=0)  # distances stay, and rounding shrinks with the lengths
    q, t, g = q - centre, t - centre, g - centre
    lengths = (g**2).sum(axis=1)
    result = np.empty(len(q))
    step = max(1, BLOCK // max(1, len(g)))
    for start in range(0, len(q), step):
        part = slice(start, start + step)
        squared = lengths - 2 * q[part] @ g.T  # [b, N], without the query's own length: it changes no order
        mine = (t[part] ** 2).sum(axis=1) - 2 * (q[part] * t[part]).sum(axis=1)  # [b]
        slack = 1e-12 * ((q[part] ** 2).sum(axis=1) + lengths.max(initial=0.0))
        closer = (squared < (mine - slack)[:, None]).sum(axis=1)
        equal = (squared <= (mine + slack)[:, None]).sum(axis=1) - closer - (places[part] >= 0)
        result[part] = 1 + closer + equal / 2
    return result
