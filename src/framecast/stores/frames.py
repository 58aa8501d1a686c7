"""Frame stores: the frames of one bucket of videos, in every view of a frame set, packed into few large files.

A store is a folder:

    store.json                 format version, identity, frame set, counts, provenance
    frames.parquet             one row a video: video_id, offset (its first frame), frames (how many)
    timestamps.parquet         one row a frame: seconds, source (number of the frame in its video)
    views/                     a Zarr v3 group that any Zarr library opens
    views/{view}/zarr.json     one array a view: uint8 [N, H, W, 3], the frames of all videos one after another
    views/{view}/c/{k}/0/0/0   its shards

Shards are `sharding_indexed`, one frame a chunk, uncompressed. This module writes and reads them itself: appending
needs no memory where libraries hold a whole shard; reading costs one `preadv` a frame; and a reader survives `fork`, as
workers of a data loader need, where tensorstore aborts the process. docs/stores.md has the measurements.
"""

from __future__ import annotations

import functools
import hashlib
import os
import struct
from collections.abc import Callable, Iterable, Sequence
from io import FileIO
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import pandas as pd

from framecast.core.files import canonical, digest, read_json, write_json

FORMAT = 1
"""Version of the folder's layout; a reader refuses others."""
SHARD_BYTES = 256 * 2**20
"""Most bytes of frames in one shard: few files a bucket, and each small enough to copy again after an error."""
SHARD_FRAMES = 4096
"""Most frames in one shard. A shard ends with 16 bytes for each frame it has room for, so 64 KiB at most."""
OPEN_SHARDS = 128
"""Most shards one reader keeps open; a process may usually open 1024 files."""
IDENTITY_EVERY = 32
"""Every which frame's pixels enter a store's identity, beside all video ids and times and the frame set. What changes
pixels (files, decoder, code) changes them all along a video; hashing every frame would cost a tenth of extraction."""
ABSENT = np.iinfo(np.uint64).max
"""What a Zarr shard index holds where there is no chunk."""


# --- writing ---------------------------------------------------------------------------------------------------------


def shard_frames(height: int, width: int) -> int:
    """Frames that one shard of a view of this size (pixels) has room for."""
    return max(1, min(SHARD_FRAMES, SHARD_BYTES // (height * width * 3)))


def array_metadata(frames: int, height: int, width: int) -> dict[str, Any]:
    """The `zarr.json` of one view.

    Source: Zarr v3 core specification and its codec `sharding_indexed`, https://zarr-specs.readthedocs.io.
    """
    sharding = {
        "chunk_shape": [1, height, width, 3],
        "codecs": [{"name": "bytes"}],
        "index_codecs": [{"name": "bytes", "configuration": {"endian": "little"}}],
        "index_location": "end",
    }
    return {
        "zarr_format": 3,
        "node_type": "array",
        "shape": [frames, height, width, 3],
        "data_type": "uint8",
        "chunk_grid": {
            "name": "regular",
            "configuration": {"chunk_shape": [shard_frames(height, width), height, width, 3]},
        },
        "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
        "fill_value": 0,
        "codecs": [{"name": "sharding_indexed", "configuration": sharding}],
        "dimension_names": ["frame", "height", "width", "channel"],
        "attributes": {},
    }


def shard_path(view: str | Path, shard: int) -> str:
    return f"{view}/c/{shard}/0/0/0"


class ViewWriter:
    """Appends frames of one view to shards, and keeps none in memory."""

    def __init__(self, folder: Path, height: int, width: int) -> None:
        self.folder = folder
        self.shape = (height, width, 3)
        self.frames = 0
        self._capacity = shard_frames(height, width)
        self._shard: FileIO | None = None
        folder.mkdir(parents=True)

    def append(self, frame: np.ndarray) -> None:
        """Add one frame, uint8 [H, W, 3]."""
        if frame.dtype != np.uint8 or frame.shape != self.shape:
            raise ValueError(f"view {self.folder.name!r} holds uint8 {self.shape}, got {frame.dtype} {frame.shape}")
        if self._shard is None:
            path = shard_path(self.folder, self.frames // self._capacity)
            os.makedirs(os.path.dirname(path))
            self._shard = FileIO(path, "w")
        _write_all(self._shard, frame)
        self.frames += 1
        if self.frames % self._capacity == 0:
            self._end_shard(self._shard, self._capacity)

    def finish(self) -> None:
        """End the last shard and write the metadata."""
        if self._shard is not None:
            self._end_shard(self._shard, self.frames % self._capacity)
        write_json(self.folder / "zarr.json", array_metadata(self.frames, *self.shape[:2]))

    def close(self) -> None:
        """Close the open shard, finished or not."""
        if self._shard is not None:
            self._shard.close()
            self._shard = None

    def _end_shard(self, shard: FileIO, chunks: int) -> None:
        size = int(np.prod(self.shape))
        index = np.full((self._capacity, 2), ABSENT, dtype="<u8")  # offset and length of each chunk, bytes
        index[:chunks, 0] = np.arange(chunks) * size
        index[:chunks, 1] = size
        _write_all(shard, index)
        self.close()


def _write_all(file: FileIO, values: np.ndarray) -> None:
    """Write unbuffered, so that a full disk is met here and not while the file closes."""
    rest = np.ascontiguousarray(values).data.cast("B")
    while rest:
        rest = rest[file.write(rest) :]


class FrameWriter:
    """Writes one store: for each video `start`, its frames with `append`; at the end `finish`.

    A context manager that closes its files; `folder` should come from `framecast.core.files.replacing`.
    """

    def __init__(self, folder: Path, frame_set: dict[str, Any]) -> None:
        self.folder = folder
        self.frame_set = frame_set
        self._videos: list[str] = []
        self._offsets: list[int] = []
        self._seconds: list[float] = []
        self._source: list[int] = []
        self._identity = hashlib.sha256(canonical(frame_set).encode())
        (folder / "views").mkdir(parents=True)
        self._views = {name: ViewWriter(folder / "views" / name, *size) for name, size in frame_set["views"].items()}

    def __enter__(self) -> FrameWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for view in self._views.values():
            view.close()

    def start(self, video_id: str) -> None:
        """The frames that follow belong to this video."""
        self._videos.append(video_id)
        self._offsets.append(len(self._seconds))
        self._identity.update(digest(video_id).encode())

    def append(self, views: dict[str, np.ndarray], seconds: float, source: int) -> None:
        """Add one frame in all views (uint8 [H, W, 3] each), shown at `seconds`, frame number `source` of its video."""
        known = len(self._seconds) % IDENTITY_EVERY == 0
        for name, writer in self._views.items():
            writer.append(views[name])
            if known:
                self._identity.update(np.ascontiguousarray(views[name]).data)
        self._identity.update(struct.pack("<dq", seconds, source))
        self._seconds.append(seconds)
        self._source.append(source)

    def finish(self, provenance: dict[str, Any]) -> None:
        """Write tables and metadata; `provenance` (JSON) is what else the store should say about itself."""
        for view in self._views.values():
            view.finish()
        total = len(self._seconds)
        if len(set(self._videos)) != len(self._videos):
            raise ValueError(f"{self.folder}: a video was written twice")
        frames = np.diff([*self._offsets, total]).astype(np.int64)
        offsets = np.array(self._offsets, dtype=np.int64)
        videos = pd.DataFrame({"video_id": pd.Series(self._videos, dtype="str"), "offset": offsets, "frames": frames})
        videos.to_parquet(self.folder / "frames.parquet", index=False)
        times = {"seconds": np.array(self._seconds, dtype=np.float64), "source": np.array(self._source, dtype=np.int64)}
        pd.DataFrame(times).to_parquet(self.folder / "timestamps.parquet", index=False)
        write_json(self.folder / "views" / "zarr.json", {"zarr_format": 3, "node_type": "group", "attributes": {}})
        counts = {"videos": len(self._videos), "frames": total}
        head = {"format": FORMAT, "identity": self._identity.hexdigest(), "frame_set": self.frame_set, **counts}
        write_json(self.folder / "store.json", {**head, "provenance": provenance})


# --- reading ---------------------------------------------------------------------------------------------------------


class Shard:
    """One open shard file. Reads at an offset, so processes that share it by `fork` do not disturb each other."""

    def __init__(self, path: str, capacity: int, frame_bytes: int) -> None:
        self.path = path
        self._descriptor = -1
        self._descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        size, tail = os.fstat(self._descriptor).st_size, 16 * capacity
        index = np.frombuffer(os.pread(self._descriptor, tail, max(0, size - tail)), dtype=np.uint8)
        if len(index) != tail:
            raise ValueError(f"{path}: truncated shard ({size} bytes): delete the store and run again")
        table = index.view("<u8").reshape(capacity, 2)
        present = table[:, 0] != ABSENT
        if (table[present, 1] != frame_bytes).any() or (table[present].sum(axis=1) > size - tail).any():
            raise ValueError(
                f"{path}: damaged shard, its index points outside the file: delete the store and run again"
            )
        self._offsets = table[:, 0].copy()

    def read(self, chunk: int, out: np.ndarray) -> None:
        """Read one frame into `out`, uint8 [H, W, 3], contiguous."""
        offset = int(self._offsets[chunk])
        if offset == ABSENT or os.preadv(self._descriptor, [out.data], offset) != out.nbytes:
            raise ValueError(
                f"{self.path}: frame {chunk} is not there: the shard is damaged; delete the store and run again"
            )

    def read_run(self, chunk: int, out: np.ndarray) -> None:
        """Read the frames from `chunk` on into `out`, uint8 [T, H, W, 3], contiguous; at once where possible."""
        offsets = self._offsets[chunk : chunk + len(out)]
        together = len(offsets) == len(out) and (np.diff(offsets) == out[0].nbytes).all() and offsets[-1] != ABSENT
        if not together or os.preadv(self._descriptor, [out.data], int(offsets[0])) != out.nbytes:
            for row, frame in enumerate(out):
                self.read(chunk + row, frame)

    def __del__(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)


OpenShard = Callable[[str, int, int], Shard]


def shard_cache() -> OpenShard:
    """Open shards, the most recently used kept; one that is dropped closes when nobody reads it any more."""
    return functools.lru_cache(maxsize=OPEN_SHARDS)(Shard)


class ViewReader:
    """The frames of one view of one store."""

    def __init__(self, folder: Path, open_shard: OpenShard) -> None:
        if not (folder / "zarr.json").is_file():
            raise ValueError(f"{folder}: damaged frame store, zarr.json is missing: delete the store and run again")
        metadata = read_json(folder / "zarr.json")
        frames, height, width, channels = metadata["shape"]
        if metadata != array_metadata(frames, height, width):
            raise ValueError(
                f"{folder}/zarr.json: not laid out as this version writes it: delete the store and run again"
            )
        self.shape = (height, width, channels)
        self._folder = str(folder)
        self._open_shard = open_shard
        self._capacity = shard_frames(height, width)
        self._bytes = height * width * channels

    def read(self, position: int, out: np.ndarray) -> None:
        """Read the frame at `position` in the whole store into `out`, uint8 [H, W, 3], contiguous."""
        shard, chunk = divmod(position, self._capacity)
        self._open_shard(shard_path(self._folder, shard), self._capacity, self._bytes).read(chunk, out)

    def read_run(self, position: int, out: np.ndarray) -> None:
        """Read the frames from `position` on into `out`, uint8 [T, H, W, 3], contiguous."""
        done = 0
        while done < len(out):
            shard, chunk = divmod(position + done, self._capacity)
            part = out[done : done + self._capacity - chunk]
            self._open_shard(shard_path(self._folder, shard), self._capacity, self._bytes).read_run(chunk, part)
            done += len(part)


class FrameStore:
    """The frames of one bucket.

    Opens nothing before it is asked; may be pickled, and used on both sides of a `fork`.

    Errors: ValueError for a folder that is no store of this format or is damaged; LookupError (its subclasses KeyError
    and IndexError) for a video, view or frame that the store does not have.
    """

    def __init__(self, folder: str | Path, shards: OpenShard | None = None) -> None:
        self.folder = Path(folder)
        self._open_shard = shards or shard_cache()
        self._readers: dict[str, ViewReader] = {}

    def __reduce__(self) -> tuple[type[FrameStore], tuple[Path]]:
        return FrameStore, (self.folder,)

    @functools.cached_property
    def info(self) -> dict[str, Any]:
        """What `store.json` says: format, identity, frame_set, videos, frames, provenance."""
        path = self.folder / "store.json"
        if not path.is_file():
            raise ValueError(f"{self.folder} is no frame store: it has no store.json; extract the frames first")
        info = read_json(path)
        if info.get("format") != FORMAT:
            raise ValueError(
                f"{self.folder}: frame store of format {info.get('format')!r}, needs {FORMAT}: delete it and run again"
            )
        return info

    @functools.cached_property
    def _videos(self) -> dict[str, tuple[int, int]]:
        self.info  # noqa: B018 (refuses a folder that is no store)
        table = pd.read_parquet(self.folder / "frames.parquet")
        return dict(
            zip(table["video_id"], zip(table["offset"].tolist(), table["frames"].tolist(), strict=True), strict=True)
        )

    @functools.cached_property
    def _times(self) -> pd.DataFrame:
        return pd.read_parquet(self.folder / "timestamps.parquet")

    @property
    def video_ids(self) -> list[str]:
        """In the order they are stored."""
        return list(self._videos)

    @property
    def views(self) -> dict[str, tuple[int, int]]:
        """View to (height, width), pixels."""
        return {name: (size[0], size[1]) for name, size in self.info["frame_set"]["views"].items()}

    def count(self, video_id: str) -> int:
        """Frames of one video."""
        return self._video(video_id)[1]

    def seconds(self, video_id: str) -> np.ndarray:
        """When each frame of one video is shown, seconds from its start, float64 [T]."""
        return self._rows(video_id, "seconds")

    def source(self, video_id: str) -> np.ndarray:
        """Which frame of the video file each one is, from 0, int64 [T]."""
        return self._rows(video_id, "source")

    def read(self, view: str, video_id: str, start: int, stop: int) -> np.ndarray:
        """Frames `start` to `stop` (exclusive) of one video, uint8 [T, H, W, 3], RGB."""
        offset, frames = self._video(video_id)
        if not 0 <= start <= stop <= frames:
            raise IndexError(
                f"{self.folder}: video {video_id!r} has frames 0 to {frames - 1}, asked for [{start}, {stop})"
            )
        reader = self.view(view)
        out = np.empty((stop - start, *reader.shape), dtype=np.uint8)
        reader.read_run(offset + start, out)
        return out

    def position(self, video_id: str, index: int) -> int:
        """Where frame `index` of a video stands in the store's arrays."""
        offset, frames = self._video(video_id)
        if not 0 <= index < frames:
            raise IndexError(f"{self.folder}: video {video_id!r} has frames 0 to {frames - 1}, asked for {index}")
        return offset + index

    def view(self, name: str) -> ViewReader:
        """The reader of one view."""
        if name not in self._readers:
            if name not in self.views:
                raise KeyError(f"{self.folder}: no view {name!r}; its frame set has {sorted(self.views)}")
            self._readers[name] = ViewReader(self.folder / "views" / name, self._open_shard)
        return self._readers[name]

    def _video(self, video_id: str) -> tuple[int, int]:
        try:
            return self._videos[video_id]
        except KeyError:
            raise KeyError(f"{self.folder}: no video {video_id!r} among its {len(self._videos)}") from None

    def _rows(self, video_id: str, column: str) -> np.ndarray:
        offset, frames = self._video(video_id)
        return self._times[column].to_numpy()[offset : offset + frames].copy()


class Frames:
    """One view of a frame set over all buckets of a data set.

    Opens nothing before it is asked; may be pickled, and used on both sides of a `fork`. Errors as in FrameStore.
    """

    def __init__(self, folders: Sequence[str | Path], view: str) -> None:
        self.folders = [Path(folder) for folder in folders]
        self.view = view

    def __reduce__(self) -> tuple[type[Frames], tuple[list[Path], str]]:
        return Frames, (self.folders, self.view)

    @functools.cached_property
    def _stores(self) -> dict[str, FrameStore]:
        """Video to its store."""
        shards = shard_cache()
        found: dict[str, FrameStore] = {}
        for folder in self.folders:
            store = FrameStore(folder, shards)
            for video_id in store.video_ids:
                if video_id in found:
                    raise ValueError(f"video {video_id!r} stands in two stores: {found[video_id].folder} and {folder}")
                found[video_id] = store
        return found

    @functools.cached_property
    def shape(self) -> tuple[int, int, int]:
        """(H, W, 3) of every frame."""
        return FrameStore(self._first).view(self.view).shape

    @property
    def _first(self) -> Path:
        if not self.folders:
            raise ValueError("no frame store was given: name at least one bucket's folder")
        return self.folders[0]

    @functools.cached_property
    def resize(self) -> str:
        """The policy by which frames became views: `squash`, `crop` or `pad`."""
        return str(FrameStore(self._first).info["frame_set"]["resize"])

    @property
    def video_ids(self) -> list[str]:
        """Bucket by bucket, in the order they are stored."""
        return list(self._stores)

    def count(self, video_id: str) -> int:
        """Frames of one video."""
        return self.store(video_id).count(video_id)

    def seconds(self, video_id: str) -> np.ndarray:
        """When each frame of one video is shown, seconds from its start, float64 [T]."""
        return self.store(video_id).seconds(video_id)

    def read(self, video_id: str, indices: Iterable[int]) -> np.ndarray:
        """Frames of one video by number, in the order asked for, uint8 [T, H, W, 3], RGB."""
        return self.read_batch([(video_id, index) for index in indices])

    def read_batch(self, items: Sequence[tuple[str, int]]) -> np.ndarray:
        """Single frames of any videos, (video_id, index) each, uint8 [B, H, W, 3], RGB."""
        out = np.empty((len(items), *self.shape), dtype=np.uint8)
        for row, (video_id, index) in zip(out, items, strict=True):
            store = self.store(video_id)
            store.view(self.view).read(store.position(video_id, int(index)), row)
        return out

    def store(self, video_id: str) -> FrameStore:
        """The bucket's store that holds a video."""
        try:
            return self._stores[video_id]
        except KeyError:
            where = ", ".join(str(folder) for folder in self.folders[:3]) + (", …" if len(self.folders) > 3 else "")
            raise KeyError(
                f"no video {video_id!r} among {len(self._stores)} in {len(self.folders)} stores: {where}"
            ) from None
