"""Which videos there are, shard by shard.

The main Snakemake process lists the files once and writes one small file a shard; jobs read theirs and list nothing.
A shard's digest is a parameter of its index job, so a video that is added, removed or changed re-runs its shard alone.
The digest is in the file's name as well: a dry run with another config beside a running one changes nothing for it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from framecast.buckets import bucket_of
from framecast.files import canonical, digest, read_json, write_changed
from framecast.seeding import derive

Entry = tuple[str, int, int]


def update(data: dict[str, Any], folder: Path) -> dict[int, str]:
    """List the videos of a data set and write its shard listings; returns shard → digest, for shards with videos.

    Args:
        data: A data entry of the plan.
        folder: Where the listings of this data set are kept.
    """
    shards: dict[int, list[Entry]] = {}
    for entry in _limited(_entries(data["source"]), data):
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
    listed = canonical({key: data.get(key) for key in ("source", "buckets", "limit")})
    return folder / f"buckets.{digest(listed)[:16]}.json"


def videos(listing: str | Path) -> list[str]:
    """Video ids of one shard listing."""
    return [entry[0] for entry in read_json(listing)]


def _entries(source: dict[str, Any]) -> list[Entry]:
    if source["kind"] == "world":
        from framecast.shapes import video_ids

        return [(name, 0, 0) for name in video_ids(source)]
    from framecast.listing import list_frame_folders, list_videos

    if source["kind"] == "frame_folders":
        entries = list_frame_folders(source)
        wanted = "no folder below it holds image_*.png"
        remedy = f"check `path`: a video is a folder such as {next(iter(source['frames']))}/video_00000 in it"
    else:
        entries = list_videos(source)
        wanted = f"no file in it ends in one of {source['suffixes']}"
        remedy = "check `path`, or add the ending to `suffixes`"
    if not entries:
        raise FileNotFoundError(f"data source {source['path']!r}: {wanted}; {remedy}")
    return entries


def _limited(entries: list[Entry], data: dict[str, Any]) -> list[Entry]:
    """Light mode: the first `limit` videos by hash of the id, so that a few are a fair sample of all classes.

    Frame folders have splits of very unequal sizes: as many are taken of each first folder, so that none is empty.
    """
    limit = data.get("limit")
    if limit is None or len(entries) <= limit:
        return entries
    parts: dict[str, list[Entry]] = {}
    for entry in sorted(entries, key=lambda entry: derive(0, "light", entry[0])):
        first = entry[0].partition("/")[0] if data["source"]["kind"] == "frame_folders" else ""
        parts.setdefault(first, []).append(entry)
    each = max(1, limit // len(parts))
    return sorted(entry for part in parts.values() for entry in part[:each])
