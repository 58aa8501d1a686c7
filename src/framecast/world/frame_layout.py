"""The world in the layout of the published set of 48 objects: folders of pictures, some with masks.

    train/video_00000/image_0.png … image_21.png, mask.npy      val/ …: the same
    unlabeled/ …: 22 pictures, no masks                          hidden/ …: 11 pictures, no masks

Pictures are the rendered frames themselves, and mask.npy is uint8 [22, H, W], 0 background, 1–48 class.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from framecast.core.progress import track
from framecast.data.png_export import COMPRESSION
from framecast.video.listing import MASKS
from framecast.world.clips import paint, simulate

FRAMES = {"train": 22, "val": 22, "unlabeled": 22, "hidden": 11}
"""Pictures of a video in each folder, in the order in which the videos are numbered."""
LABELLED = ("train", "val")
WHOLE = 22
"""Frames of a published video; the masks of the last one are what is asked of the hidden videos."""


def deal(
    video_ids: list[str], shares: dict[str, float], folders: tuple[str, ...] = tuple(FRAMES)
) -> dict[str, list[str]]:
    """Which videos of a world go to which folder, in order of the ids given: no draw, and no group in two folders.

    A recording group goes to the folder that is furthest behind its share, counted over the group's class and over all
    together, so that both the classes and the whole come close to the shares.

    Raises:
        ValueError: the shares are not those of the layout's `folders`, do not add up to 1, or leave a folder empty.
    """
    _check_shares(shares, folders)
    groups: dict[tuple[str, str], list[str]] = {}
    for video_id in video_ids:
        groups.setdefault((video_id.partition("/")[0], video_id.rpartition("_c")[0]), []).append(video_id)
    everything: Counter[str] = Counter()
    of_class: dict[str, Counter[str]] = {}
    folder_of: dict[str, str] = {}
    for (label, _), members in groups.items():
        counts = (everything, of_class.setdefault(label, Counter()))
        folder = max(shares, key=lambda name: sum(_behind(name, shares[name], one, len(members)) for one in counts))
        for count in counts:
            count[folder] += len(members)
        folder_of |= dict.fromkeys(members, folder)
    dealt = {name: [one for one in video_ids if folder_of[one] == name] for name in folders}
    if empty := [name for name in folders if shares.get(name) and not dealt[name]]:
        raise ValueError(
            f"{len(video_ids)} videos in {len(groups)} recording groups leave no video for {', '.join(empty)}: "
            "make more videos (data.<name>.source.videos), or give that folder a larger share"
        )
    return dealt


def write(source: dict[str, Any], dealt: dict[str, list[str]], folder: Path) -> np.ndarray:
    """Write the dealt videos into an empty folder, numbered over train, val, unlabeled, hidden.

    Returns the masks of the 22nd frame of the hidden videos, in order of their numbers, uint8 [videos, H, W].
    """
    truth = []
    videos = [(name, video_id) for name in FRAMES for video_id in dealt[name]]
    for number, (name, video_id) in enumerate(track(videos, "world", len(videos), "video")):
        picture = paint(source, simulate(source, video_id), WHOLE)
        target = folder / name / f"video_{number:05d}"
        target.mkdir(parents=True)
        for index, frame in enumerate(picture.frames[: FRAMES[name]]):
            Image.fromarray(frame).save(target / f"image_{index}.png", compress_level=COMPRESSION)
        if name in LABELLED:
            np.save(target / MASKS, picture.masks)
        if name == "hidden":
            truth.append(picture.masks[-1])
    return np.array(truth, np.uint8).reshape(-1, source["height"], source["width"])


def _behind(name: str, share: float, counts: Counter[str], more: int) -> float:
    """Videos that a folder lacks for its share, once `more` are dealt."""
    return share * (counts.total() + more) - counts[name]


def _check_shares(shares: dict[str, float], folders: tuple[str, ...]) -> None:
    if unknown := [name for name in shares if name not in folders]:
        raise ValueError(f"shares name {unknown[0]!r}; the layout has the folders {', '.join(folders)}")
    if wrong := [name for name, share in shares.items() if not 0 <= share <= 1]:
        raise ValueError(f"the share of {wrong[0]} is {shares[wrong[0]]:g}; a share is 0 to 1")
    if abs(sum(shares.values()) - 1) > 1e-6:
        raise ValueError(f"the shares add up to {sum(shares.values()):g}, not 1")
