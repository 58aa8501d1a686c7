"""The trivial baselines of the embedded world, from its files: `python -m framecast.world.baselines --seed 0 1 2`.

Indices are 0-based. Copying a mask takes index 10 for index 21 (the 11th for the 22nd). Frames are decoded from the
videos and compared as PSNR with peak 255.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd

from framecast.config.base import WorldSource
from framecast.video import codec
from framecast.world import generation

GIVEN, WANTED = 10, 21  # masks
SHOWN, AHEAD = 20, 5  # frames: index 20 → 25
CLASSES = 49  # with background


def confusion(truth: np.ndarray, guess: np.ndarray) -> np.ndarray:
    """Pixels [49 true, 49 guessed] of two uint8 masks of one shape."""
    pairs = truth.astype(np.int64).ravel() * CLASSES + guess.ravel()
    return np.bincount(pairs, minlength=CLASSES**2).reshape(CLASSES, CLASSES)


def jaccard(pixels: np.ndarray) -> float:
    """Mean IoU over the classes, background among them, that are in the truth or in the guess; as torchmetrics'
    JaccardIndex(task="multiclass", num_classes=49, average="macro"), which leaves out classes that are in neither."""
    same, either = np.diag(pixels), pixels.sum(0) + pixels.sum(1) - np.diag(pixels)
    return float((same[either > 0] / either[either > 0]).mean())


def psnr(truth: np.ndarray, guess: np.ndarray) -> float:
    """PSNR in dB of uint8 or float images from 0 to 255; infinite where they are equal."""
    error = float(((truth.astype(np.float64) - guess) ** 2).mean())
    return float("inf") if error == 0 else float(10 * np.log10(255**2 / error))


def mask_rows(folder: Path) -> tuple[np.ndarray, pd.DataFrame]:
    """Confusion of copying mask 11 to 22 summed over a world's videos, and the IoU of each video."""
    total, rows = np.zeros((CLASSES, CLASSES), np.int64), []
    with h5py.File(folder / "masks.h5") as file:
        for video_id, offset in zip(file["video_id"].asstr()[:], file["offset"][:], strict=True):
            pixels = confusion(file["masks"][offset + WANTED], file["masks"][offset + GIVEN])
            total += pixels
            rows.append({"video_id": video_id, "label": video_id.split("/")[0], "iou": jaccard(pixels)})
    return total, pd.DataFrame(rows)


def frame_rows(folder: Path, video_id: str) -> dict[str, Any]:
    """PSNR of copy-last and of blending for one video.

    copy: frame t for frame t + 5. blend: the mean of t and t + 10 for t + 5, that is, of neighbours 5 frames away on
    either side. blend_next: of the two adjacent frames. Each is the mean over t = 0, 5, 10, …; `copy_20_25` is the
    one pair 20 → 25.
    """
    images = np.stack([frame.views["full"] for frame in codec.frames(folder / video_id)]).astype(np.float32)
    starts = range(0, len(images) - 2 * AHEAD, AHEAD)

    def mean(values: list[float]) -> float:
        return float(np.mean([value for value in values if np.isfinite(value)]))  # equal frames have no PSNR

    return {
        "video_id": video_id,
        "copy": mean([psnr(images[t + AHEAD], images[t]) for t in starts]),
        "copy_20_25": psnr(images[SHOWN + AHEAD], images[SHOWN]),
        "blend": mean([psnr(images[t + AHEAD], (images[t] + images[t + 2 * AHEAD]) / 2) for t in starts]),
        "blend_next": mean([psnr(images[t + 1], (images[t] + images[t + 2]) / 2) for t in starts]),
    }


def measure(folder: Path) -> tuple[dict[str, float], pd.DataFrame]:
    """All baselines of a world in a folder (of `world.generation.write_folder`): the figures of the whole, and per
    class."""
    pixels, rows = mask_rows(folder)
    if rows.empty:
        raise ValueError(f"{folder} holds no video: nothing to measure")
    frames = pd.DataFrame([frame_rows(folder, video_id) for video_id in rows["video_id"]])
    rows = rows.merge(frames, on="video_id")
    means = rows.drop(columns=["video_id", "label"]).mean()
    figures = {"copy_mask_iou_corpus": jaccard(pixels), **{f"{name}_mean": float(means[name]) for name in means.index}}
    return figures, rows.groupby("label").mean(numeric_only=True)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m framecast.world.baselines", description=__doc__.split("\n")[0])
    fields = WorldSource.model_fields
    parser.add_argument("--seed", type=int, nargs="+", default=[fields["seed"].default], help="world seeds")
    parser.add_argument("--videos", type=int, default=fields["videos"].default, help="videos of each world")
    parser.add_argument("--size", type=int, nargs=2, default=[fields["height"].default, fields["width"].default],
                        metavar=("HEIGHT", "WIDTH"), help="size of the videos, pixels")  # fmt: skip
    parser.add_argument("--classes", action="store_true", help="also print a table by class")
    options = parser.parse_args(arguments)
    for seed in options.seed:
        height, width = options.size
        source = WorldSource(kind="world", seed=seed, videos=options.videos, height=height, width=width)
        with tempfile.TemporaryDirectory() as folder:
            generation.write_folder(source.model_dump(mode="json"), Path(folder) / "world")
            figures, by_class = measure(Path(folder) / "world")
        print(json.dumps({"seed": seed, **{name: round(value, 3) for name, value in figures.items()}}))
        if options.classes:
            print(by_class.round(2).to_string())
    return 0


if __name__ == "__main__":
    sys.exit(main())
