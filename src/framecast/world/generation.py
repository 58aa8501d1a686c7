"""The embedded world's face: which videos there are, and how they come to be files.

A video depends on the world's seed, its id and the source's sizes alone: never on how many videos there are, nor on
which others are made beside it. `docs/world.md` describes the classes, the files and their trivial baselines.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from framecast.core.files import replacing
from framecast.core.own_files import OwnFolder, check_new_file
from framecast.world.actions import ACTIONS, ORDER

COMMAND = "world"
"""The sub-command whose folders `write_folder`, `write_frame_folders` and `write_ssv2` make."""
CLIPS = 2
"""Clips in one recording group: the same light, floor and stock of objects."""


def video_ids(source: dict[str, Any]) -> list[str]:
    """Ids of a world's videos, `Class/v_Class_g01_c01.mp4` as in UCF-101. More videos add ids at the end.

    Where the source has `tasks` (task → template numbers), videos of other templates are left out.
    """
    seen: Counter[str] = Counter()
    ids = []
    for number in range(source["videos"]):
        label = ORDER[number % len(ORDER)]
        group, clip = divmod(seen[label], CLIPS)
        seen[label] += 1
        ids.append(f"{label}/v_{label}_g{group + 1:02d}_c{clip + 1:02d}.mp4")
    if not source.get("tasks"):
        return ids
    wanted = {number for numbers in source["tasks"].values() for number in numbers}
    return [video_id for video_id in ids if ACTIONS[video_id.partition("/")[0]].template_id in wanted]


def generate(source: dict[str, Any], video_ids: list[str], out: Path) -> None:
    """Make some of a world's videos: `out` becomes a folder of their files and of what is true about them.

    Files: `<video_id>` (H.264), labels.parquet, states.parquet, masks.h5, world.json; see `framecast.world.files`. No
    video at all gives the same tables, empty. Raises ValueError for an id that no world has.
    """
    from framecast.world import files  # pandas and the codecs: parsing the workflow needs `video_ids` alone

    with replacing(out) as folder:
        folder.mkdir()
        files.write(source, video_ids, folder)


def write_frame_folders(
    source: dict[str, Any], shares: dict[str, float], out: Path, truth: Path | None = None
) -> dict[str, int]:
    """The world as folders of pictures, train, val, unlabeled and hidden; see `framecast.world.frame_layout`.

    Args:
        source: A world source of the config.
        shares: Folder to its share of the videos; recording groups stay together.
        out: Folder that is written, whole or not at all; absent, empty, or made by an earlier call.
        truth: Outside `out`: a new .npy file for the masks of the hidden videos' 22nd frames, uint8 [videos, H, W].

    Returns:
        Videos in each folder.

    Raises:
        ValueError: the shares cannot be met, `truth` lies in `out` or exists, or `out` holds other files.
    """
    import numpy as np

    from framecast.world import frame_layout

    own = OwnFolder(out, COMMAND)
    if truth is not None:
        if truth.resolve().is_relative_to(out.resolve()):
            raise ValueError(f"the truth of the hidden videos, {truth}, lies in {out}: give a file outside")
        check_new_file(truth, option="--truth")
    dealt = frame_layout.deal(video_ids(source), shares)
    with own.whole() as folder:
        last = frame_layout.write(source, dealt, folder)
        if truth is not None:
            with replacing(truth) as temporary, temporary.open("wb") as stream:
                np.save(stream, last)
    return {name: len(videos) for name, videos in dealt.items()}


def write_ssv2(source: dict[str, Any], shares: dict[str, float], out: Path) -> dict[str, int]:
    """The world in the form of Something-Something V2; see `framecast.world.ssv2_layout`.

    Args:
        source: A world source of the config.
        shares: train, validation, test to their shares of the videos; recording groups stay together.
        out: Folder that is written, whole or not at all; absent, empty, or made by an earlier call.

    Returns:
        Videos in each.

    Raises:
        ValueError: the shares cannot be met, or `out` holds other files.
    """
    from framecast.world import frame_layout, ssv2_layout

    own = OwnFolder(out, COMMAND)
    dealt = frame_layout.deal(video_ids(source), shares, ssv2_layout.SETS)
    with own.whole() as folder:
        ssv2_layout.write(source, dealt, folder)
    return {name: len(videos) for name, videos in dealt.items()}


def write_folder(source: dict[str, Any], out: Path) -> None:
    """The whole world as a plain folder for people: as `generate`, and labels.csv beside.

    Raises:
        ValueError: `out` holds files that no earlier call wrote.
    """
    from framecast.world import files

    with OwnFolder(out, COMMAND).whole() as folder:
        files.write(source, video_ids(source), folder)
        files.labels_as_csv(folder)
