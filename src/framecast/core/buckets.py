"""Which shard a video belongs to."""

from __future__ import annotations

import hashlib


def bucket_of(video_id: str, buckets: int) -> int:
    """Shard of a video, 0 … buckets − 1: SHA-256 of the id modulo their number. It depends on no other video."""
    return int.from_bytes(hashlib.sha256(video_id.encode("utf-8", "surrogateescape")).digest(), "big") % buckets
