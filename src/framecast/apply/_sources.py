"""Video files and frame folders that a user names: found, opened, decoded; and a table that says how each went."""

from __future__ import annotations

import csv
import functools
import os
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import astuple, dataclass, fields
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any, TextIO

import av
import numpy as np

from framecast.config.base import PlainSource
from framecast.core.files import replacing
from framecast.video import codec, frame_folders
from framecast.video.codec import Probe, VideoError
from framecast.video.listing import is_picture, list_frame_folders, list_videos

FOLDER_FPS = 12.0
"""Frames/s of what is drawn of a frame folder: pictures say nothing of time."""

Views = dict[str, np.ndarray]


@dataclass(frozen=True)
class Outcome:
    """How one video went; `reason` says what is wrong with it."""

    video_id: str
    frames: int
    status: str
    """`ok`, `damaged` (the decoder complained and went on), or `failed`."""
    reason: str = ""


@dataclass(frozen=True)
class Clip:
    """A video file or a frame folder. What cannot be read is a VideoError with the reason."""

    video_id: str
    path: Path

    @property
    def is_folder(self) -> bool:
        """Whether it is a folder of pictures."""
        return self.path.is_dir()

    @functools.cached_property
    def probe(self) -> Probe:
        """What a file's header and first frame say, or all pictures of a folder."""
        try:
            if self.is_folder:
                return frame_folders.probe_any(self.path, FOLDER_FPS)
            if not self.path.exists():
                raise VideoError("there is no such file or folder")
            if not self.path.is_file():
                raise VideoError("not a regular file")
            return codec.probe(self.path)
        except (av.FFmpegError, OSError) as error:
            raise VideoError(_reason(error)) from error

    @property
    def size(self) -> tuple[int, int]:
        """Height and width as shown, pixels."""
        return self.probe.height, self.probe.width

    @property
    def fps(self) -> Fraction:
        """Frames/s; of a folder `FOLDER_FPS`."""
        return self.probe.fps

    def decode(self, views: dict[str, tuple[int, int]], resize: str, complaints: list[str]) -> Iterator[Views]:
        """Every frame in all views, uint8 [H, W, 3] each. What the decoder complains of is added to `complaints`."""
        self.probe  # noqa: B018 (refuses what is no video)
        try:
            if self.is_folder:
                frames = frame_folders.decode(self.path, FOLDER_FPS, views, resize)
            else:
                frames = codec.decode(self.path, views, resize, complaints=complaints)
            for frame in frames:
                yield frame.views
        except (av.FFmpegError, OSError) as error:
            raise VideoError(_reason(error)) from error

    def frames(self, size: tuple[int, int], resize: str, first: int, count: int) -> np.ndarray:
        """Frames first … first + count − 1, uint8 [count, H, W, 3].

        Raises:
            VideoError: the video ends before.
        """
        found: list[np.ndarray] = []
        total = 0
        for views in self.decode({"view": size}, resize, []):
            total += 1
            if total > first:
                found.append(views["view"])
            if len(found) == count:
                return np.stack(found)
        raise too_short(first, count, total)


def too_short(first: int, count: int, total: int) -> VideoError:
    """The error of a video of `total` frames."""
    return VideoError(f"too short: frames {first} to {first + count - 1} are needed, and there are {total} frames")


def _reason(error: Exception) -> str:
    """What is wrong, without the path."""
    return getattr(error, "strerror", None) or str(error)


def find(sources: Iterable[Path], out: Path) -> list[Clip]:
    """The videos among files and folders, in order of their ids.

    A file is a video, whatever its name; so is a folder with `image_*.png`. Another folder is searched for both, but
    not what lies below `out`. A named video's id is its name, a found one's its path below the folder it was found in.

    Raises:
        FileNotFoundError: there is no video. ValueError: two videos have one id; `out` holds a source or is one.
    """
    target = _absolute(out)
    clips: list[Clip] = []
    for path in map(_absolute, sources):
        if path == target or target in path.parents:
            raise ValueError(f"--out {str(out)!r} is or holds the source {str(path)!r}; write to another folder")
        clips += _searched(path) if path.is_dir() and not _is_video(path) else [Clip(path.name, path)]
    clips = [clip for clip in clips if target not in (clip.path, *clip.path.parents)]
    if not clips:
        raise FileNotFoundError(
            f"no video in {', '.join(repr(str(path)) for path in sources)}: neither a file with a video's suffix "
            "(docs/config.md lists them) nor a folder with image_0.png, image_1.png …"
        )
    twice, count = Counter(clip.video_id for clip in clips).most_common(1)[0]
    if count > 1:
        places = ", ".join(str(clip.path) for clip in clips if clip.video_id == twice)
        raise ValueError(f"{count} videos have the id {twice!r}: {places}; name the folder above them, or run twice")
    return sorted(clips, key=lambda clip: clip.video_id)


def _absolute(path: Path) -> Path:
    return Path(os.path.abspath(Path(path).expanduser()))


def _is_video(folder: Path) -> bool:
    return any(is_picture(name) for name in os.listdir(folder))


def _searched(folder: Path) -> list[Clip]:
    source = PlainSource(kind="plain", path=str(folder)).model_dump()
    found = [*list_videos(source), *list_frame_folders(source)]
    return [Clip(video_id, folder / video_id) for video_id, _, _ in found]


COLUMNS = [field.name for field in fields(Outcome)]


def _writer(stream: TextIO) -> Any:
    return csv.writer(stream, lineterminator="\n", quoting=csv.QUOTE_NONNUMERIC)


class Journal:
    """The table of outcomes, a line as soon as a video is done: a call that is killed leaves what it did.

    Lines of an earlier call stay before these until all videos are done, so that an interrupted call loses none.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.stream = open(path, "a", encoding="utf-8", newline="")  # noqa: SIM115 (closed by `with`)
        self.outcomes: list[Outcome] = []

    def __enter__(self) -> Journal:
        if not self.stream.tell():
            _writer(self.stream).writerow(COLUMNS)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stream.close()
        if kind is None:
            with replacing(self.path) as temporary, open(temporary, "w", encoding="utf-8", newline="") as stream:
                _writer(stream).writerows([COLUMNS, *map(astuple, self.outcomes)])

    def add(self, outcome: Outcome) -> None:
        """Write one line."""
        self.outcomes.append(outcome)
        _writer(self.stream).writerow(astuple(outcome))
        self.stream.flush()

    def check(self) -> list[Outcome]:
        """The outcomes.

        Raises:
            ValueError: all videos failed; names the first ones with their reasons.
        """
        failed = [one for one in self.outcomes if one.status == "failed"]
        if len(failed) == len(self.outcomes):
            first = "; ".join(f"{one.video_id}: {one.reason}" for one in failed[:5])
            raise ValueError(f"none of {len(failed)} videos can be used. The first: {first}")
        return self.outcomes
