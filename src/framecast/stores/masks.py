"""Mask files: the class masks of one bucket of videos in HDF5, one compressed frame a chunk: any clip is read alone.

masks      uint8 [N, H, W], gzip; 0 background, 1–48 class; the frames of all videos one after another
video_id   one a video, and offset (its first row), frames (how many)
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

import h5py
import numpy as np


class MaskWriter:
    """Appends the masks of whole videos to a new file; `with` closes it."""

    def __init__(self, path: Path, height: int, width: int) -> None:
        self.file = h5py.File(path, "w")
        self.masks = self.file.create_dataset(
            "masks", (0, height, width), np.uint8, maxshape=(None, height, width), chunks=(1, height, width),
            compression="gzip",
        )  # fmt: skip
        self.rows: list[tuple[str, int, int]] = []

    def append(self, video_id: str, masks: np.ndarray) -> None:
        """Add the masks uint8 [T, H, W] of one video."""
        if masks.dtype != np.uint8 or masks.shape[1:] != self.masks.shape[1:]:
            raise ValueError(f"masks of {video_id!r} are {masks.dtype} {masks.shape}, wanted is uint8 [T, H, W] with "
                             f"[H, W] = {list(self.masks.shape[1:])}")  # fmt: skip
        offset = len(self.masks)
        self.masks.resize(offset + len(masks), axis=0)
        self.masks[offset:] = masks
        self.rows.append((video_id, offset, len(masks)))

    def __enter__(self) -> MaskWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        ids, offsets, counts = zip(*self.rows, strict=True) if self.rows else ((), (), ())
        self.file.create_dataset("video_id", data=list(ids), dtype=h5py.string_dtype())
        self.file.create_dataset("offset", data=np.array(offsets, np.int64))
        self.file.create_dataset("frames", data=np.array(counts, np.int64))
        self.file.close()


class Masks:
    """The mask files of a data set, or folders with a `masks.h5`, as one; opened when first read, in each process.

    Attributes: places, video id → (file number, first row, frames).
    """

    def __init__(self, paths: Sequence[Path]) -> None:
        self.paths = [path / "masks.h5" if path.is_dir() else path for path in map(Path, paths)]
        self.places: dict[str, tuple[int, int, int]] = {}
        for number, path in enumerate(self.paths):
            with h5py.File(path, "r") as file:
                ids, offsets, counts = file["video_id"].asstr()[()], file["offset"][()], file["frames"][()]
            for video_id, offset, count in zip(ids, offsets, counts, strict=True):
                self.places[str(video_id)] = (number, int(offset), int(count))
        self._files: dict[int, h5py.File] = {}

    def __contains__(self, video_id: str) -> bool:
        return video_id in self.places

    def __getstate__(self) -> dict[str, object]:
        return {**self.__dict__, "_files": {}}

    def count(self, video_id: str) -> int:
        """Frames of a video."""
        return self._place(video_id)[2]

    def read(self, video_id: str, first: int, count: int) -> np.ndarray:
        """Masks first … first + count − 1 of a video; uint8 [count, H, W].

        Raises:
            KeyError: the video has no masks. IndexError: it has fewer frames.
        """
        number, offset, frames = self._place(video_id)
        if first < 0 or count < 1 or first + count > frames:
            raise _outside(video_id, frames, first, count)
        if number not in self._files:
            self._files[number] = h5py.File(self.paths[number], "r")
        return self._files[number]["masks"][offset + first : offset + first + count]

    def _place(self, video_id: str) -> tuple[int, int, int]:
        if video_id not in self.places:
            raise KeyError(f"video {video_id!r} has no masks in {len(self.paths)} files, the first {self.paths[:1]}")
        return self.places[video_id]


def _outside(video_id: str, frames: int, first: int, count: int) -> IndexError:
    return IndexError(f"video {video_id!r} has masks 0 to {frames - 1}; asked for {first} to {first + count - 1}")


class PredictedMasks:
    """Masks that an experiment has predicted, frame by frame, read clip by clip from its predictions file.

    The samples are named `<video id>#<frame>`, the frames of a video stand in order and from 0 on.
    """

    def __init__(self, path: Path) -> None:
        self.path = Path(path)
        self.places: dict[str, tuple[int, int]] = {}
        with h5py.File(self.path, "r") as file:
            names = file["sample_ids"].asstr()[()].tolist()
        for row, name in enumerate(names):
            video_id, _, frame = name.rpartition("#")
            first, count = self.places.get(video_id, (row, 0))
            if int(frame) != count or row != first + count:
                raise ValueError(
                    f"{path}: predictions of {video_id!r} do not hold its frames in order from 0 on (row {row} is "
                    f"{name!r}); a source of masks is a segmentation of every frame (at: null)"
                )
            self.places[video_id] = (first, count + 1)
        self._file: h5py.File | None = None

    def __contains__(self, video_id: str) -> bool:
        return video_id in self.places

    def __getstate__(self) -> dict[str, object]:
        return {**self.__dict__, "_file": None}

    def count(self, video_id: str) -> int:
        """Frames of a video."""
        return self._place(video_id)[1]

    def read(self, video_id: str, first: int, count: int) -> np.ndarray:
        """Masks first … first + count − 1 of a video; uint8 [count, H, W]. Errors as of `Masks.read`."""
        start, frames = self._place(video_id)
        if first < 0 or count < 1 or first + count > frames:
            raise _outside(video_id, frames, first, count)
        if self._file is None:
            self._file = h5py.File(self.path, "r")
        return self._file["arrays/mask"][start + first : start + first + count]

    def _place(self, video_id: str) -> tuple[int, int]:
        if video_id not in self.places:
            raise KeyError(f"{self.path} holds no predictions of video {video_id!r}; predict again")
        return self.places[video_id]


def resized(masks: np.ndarray, height: int, width: int) -> np.ndarray:
    """Nearest neighbour at pixel centres: [..., H, W] → [..., height, width]. Classes are never mixed."""
    if masks.shape[-2:] == (height, width):
        return masks
    rows, columns = (
        ((np.arange(new, dtype=np.float32) + 0.5) * (old / new)).astype(np.int64).clip(max=old - 1)
        for new, old in ((height, masks.shape[-2]), (width, masks.shape[-1]))
    )
    return masks.take(rows, axis=-2).take(columns, axis=-1)
