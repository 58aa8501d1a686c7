"""Which videos there are, shard by shard.

The main Snakemake process lists the files once and writes one small file a shard; jobs read theirs and list nothing.
A shard's digest is a parameter of its index job, so a video that is added, removed or changed re-runs its shard alone.
The digest is in the file's name as well: a dry run with another config beside a running one changes nothing for it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from framecast.config.split_rules import places_by_task
from framecast.core.buckets import bucket_of
from framecast.core.files import canonical, digest, read_json, write_changed
from framecast.core.seeding import derive
from framecast.video.listing import list_frame_folders, list_named, list_videos

Entry = tuple[str, int, int]


def update(data: dict[str, Any], folder: Path) -> dict[int, str]:
    """List the videos of a data set and write its shard listings; returns shard → digest, for shards with videos.

    Args:
        data: A data entry of the plan.
        folder: Where the listings of this data set are kept.
    """
    shards: dict[int, list[Entry]] = {}
    for entry in _limited(_parts(data), data.get("limit")):
        shards.setdefault(bucket_of(entry[0], data["buckets"]), []).append(entry)
    digests = {shard: digest(canonical(entries)) for shard, entries in sorted(shards.items())}
    for shard, entries in shards.items():
        write_changed(shard_file(folder, shard, digests[shard]), [list(entry) for entry in entries])
    write_changed(_summary(data, folder), {str(shard): value for shard, value in digests.items()})
    return digests


def load(data: dict[str, Any], folder: Path) -> dict[int, str]:
    """What `update` returned last for this data entry: shard → digest."""
    return {int(shard): value for shard, value in read_json(_summary(data, folder)).items()}


def shard_file(folder: Path, shard: int, digest: str) -> Path:
    """Where the listing of a shard is kept."""
    return folder / f"bucket_{shard}.{digest[:16]}.json"


def _summary(data: dict[str, Any], folder: Path) -> Path:
    listed = canonical({key: data.get(key) for key in ("source", "buckets", "splits", "by_task", "limit")})
    return folder / f"buckets.{digest(listed)[:16]}.json"


def videos(listing: str | Path) -> list[str]:
    """Video ids of one shard listing."""
    return [entry[0] for entry in read_json(listing)]


def _parts(data: dict[str, Any]) -> dict[str, list[Entry]]:
    """The videos, in parts of which light mode takes equally many: the first folders of pictures, or official splits,
    are of very unequal sizes, and none may come out empty."""
    source = data["source"]
    if source["kind"] == "world":
        return {"": _made(source)}
    if source["kind"] == "ssv2":
        return _annotated(source, data["splits"], data["by_task"])
    if source["kind"] == "frame_folders":
        return _frame_folders(source)
    entries = list_videos(source)
    if not entries:
        raise FileNotFoundError(
            f"data source {source['path']!r}: no file in it ends in one of {source['suffixes']}; check `path`, or add "
            "the ending to `suffixes`"
        )
    return {"": entries}


def _made(source: dict[str, Any]) -> list[Entry]:
    """The embedded world's videos, of which a task list keeps some."""
    from framecast.world.generation import video_ids

    return [(name, 0, 0) for name in video_ids(source)]


def _annotated(
    source: dict[str, Any], splits: dict[str, Any], by_task: dict[str, dict[str, list[str]]]
) -> dict[str, list[Entry]]:
    """The files of the wanted clips, split by split; nothing else of the folder is looked at."""
    from framecast.data.annotations.ssv2_selection import select

    clips, _ = select(source, splits["sets"])
    places = places_by_task(by_task)
    split_of = {clip.video_id: places.get((clip.split, clip.task or ""), clip.split) for clip in clips}
    parts: dict[str, list[Entry]] = {}
    for entry in list_named(source, list(split_of)):
        parts.setdefault(split_of[entry[0]], []).append(entry)
    if not parts:
        raise FileNotFoundError(
            f"data source {source['path']!r}: none of the {len(clips)} wanted clips is in it, the first is "
            f"{clips[0].video_id!r}; check `path` and `suffix`"
        )
    return parts


def _frame_folders(source: dict[str, Any]) -> dict[str, list[Entry]]:
    parts: dict[str, list[Entry]] = {}
    for entry in list_frame_folders(source):
        parts.setdefault(entry[0].partition("/")[0], []).append(entry)
    if not parts:
        raise FileNotFoundError(
            f"data source {source['path']!r}: no folder below it holds image_*.png; check `path`: a video is a folder "
            f"such as {next(iter(source['frames']))}/video_00000 in it"
        )
    return parts


def _limited(parts: dict[str, list[Entry]], limit: int | None) -> list[Entry]:
    """Light mode: the first videos by hash of the id, so that a few are a fair sample, as many of each part."""
    entries = [entry for part in parts.values() for entry in part]
    if limit is None or len(entries) <= limit:
        return entries
    each = max(1, limit // len(parts))
    return sorted(
        entry
        for part in parts.values()
        for entry in sorted(part, key=lambda entry: derive(0, "light", entry[0]))[:each]
    )
