"""Videos → frame store: every view of a frame set from one decode of each video of a bucket, be it a file or a folder
of pictures.

The index has decoded each of these files to its end, in a child process under a time limit, with the decoder that is
used here. Extraction therefore decodes in its own process: it checks that a video is still the one that was indexed, by
its SHA-256, and that it yields the number of frames that the index counted, no more and no fewer. A file that changed
or vanished since stops the job with what to do; nothing is replaced silently.
"""

from __future__ import annotations

import contextlib
import errno
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import av
import pandas as pd

from framecast import __version__
from framecast.core import progress
from framecast.core.files import file_digest, replacing
from framecast.stores.frames import FrameWriter
from framecast.video import codec, frame_folders

FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
"""Errors of a disk, a quota or a file size limit that is exhausted."""


class Video(NamedTuple):
    """What extraction needs of one row of the index."""

    video_id: str
    path: str
    digest: str
    frames: int
    fps: float

    @property
    def is_folder(self) -> bool:
        """Whether the video is a folder of pictures."""
        return Path(self.path).is_dir()

    def digest_now(self) -> str:
        """SHA-256 as in the index. Raises FileNotFoundError where there is nothing any more."""
        return frame_folders.digest(Path(self.path)) if self.is_folder else file_digest(self.path)

    def decode(self, frame_set: dict[str, Any]) -> Iterator[codec.Frame]:
        """The frames in all views of a frame set, in order."""
        sizes = {name: (height, width) for name, (height, width) in frame_set["views"].items()}
        if self.is_folder:
            return frame_folders.decode(Path(self.path), self.fps, sizes, frame_set["resize"], frame_set["fps"])
        return codec.decode(self.path, sizes, frame_set["resize"], frame_set["fps"])


class ChangedVideo(ValueError):
    """A video file is not the one that was indexed."""


def extract(index: Path, frame_set: dict[str, Any], out: Path) -> None:
    """Extract the frames of one bucket's videos.

    Args:
        index: The bucket's index, Parquet: video_id, path, status (`rejected` is passed over), frames, fps, digest.
        frame_set: An entry of the config's `frame_sets`: fps, resize, views ({name: [height, width]}, pixels).
        out: Folder of the frame store (`framecast.stores.frames`) that is written, whole or not at all. A bucket
            without usable videos gives a store without videos.

    Raises:
        ChangedVideo: a file vanished, or differs from what was indexed.
        OSError: the disk is full, or a file cannot be read.
    """
    videos = usable(index)
    with _full_disk(out, videos, frame_set), replacing(out) as folder, FrameWriter(folder, frame_set) as writer:
        for item in progress.track(videos, f"extract {index.stem}", len(videos), "video"):
            _check_unchanged(item)
            writer.start(item.video_id)
            _write_frames(item, frame_set, writer)
        # No time, machine or commit here: the same videos give the same store, byte for byte.
        writer.finish({"framecast": __version__, "decoder": decoder_versions()})


def usable(index: Path) -> list[Video]:
    """The videos of a bucket that are not rejected, in the order of the index."""
    table = pd.read_parquet(index)
    table = table[table["status"] != "rejected"]
    return [Video(*row) for row in zip(*(table[column].tolist() for column in Video._fields), strict=True)]


def decoder_versions() -> dict[str, str]:
    """Versions of PyAV and of the FFmpeg libraries in it: what decodes and scales decides the pixels."""
    libraries = {name: ".".join(map(str, version)) for name, version in sorted(av.library_versions.items())}
    return {"av": av.__version__, **libraries}


def _check_unchanged(item: Video) -> None:
    try:
        found = item.digest_now()
    except FileNotFoundError:
        raise ChangedVideo(f"video {item.video_id!r} vanished since it was indexed: {item.path}; run again") from None
    if found != item.digest:
        raise ChangedVideo(f"video {item.video_id!r} changed since it was indexed: {item.path}; run again")


def _write_frames(item: Video, frame_set: dict[str, Any], writer: FrameWriter) -> None:
    decoded = 0
    try:
        for frame in item.decode(frame_set):
            if frame.index >= item.frames:
                raise _miscount(item, f"more than {item.frames}")
            writer.append(frame.views, frame.seconds, frame.index)
            decoded += 1
    except (codec.VideoError, av.FFmpegError) as error:
        raise _miscount(item, f"{decoded}, and then fails ({error})") from error
    if decoded == 0 or (frame_set["fps"] is None and decoded != item.frames):
        raise _miscount(item, str(decoded))


def _miscount(item: Video, decoded: str) -> ChangedVideo:
    return ChangedVideo(
        f"video {item.video_id!r} decodes to {decoded}, but to {item.frames} frames when it was indexed: {item.path}; "
        "was that another version of PyAV? Delete its bucket's index and run again"
    )


@contextlib.contextmanager
def _full_disk(out: Path, videos: list[Video], frame_set: dict[str, Any]) -> Iterator[None]:
    """Say what was needed when the disk is full. What was written is removed by then."""
    try:
        yield
    except OSError as error:
        if error.errno not in FULL:
            raise
        frame_bytes = sum(3 * height * width for height, width in frame_set["views"].values())
        need = math.ceil(frame_bytes * sum(item.frames for item in videos) / 2**20)
        what = f"no space left for the frame store {out}, which takes up to {need} MiB: free some, then run again"
        raise OSError(error.errno, what) from error
