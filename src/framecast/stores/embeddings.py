"""Embedding stores: one HDF5 file a bucket, every frame's embedding, video after video.

An encoder with `at` has the frames of these numbers alone, as far as a video has them.

embeddings   [N, D] float32 or float16, contiguous; the frames of all videos one after another
video_ids    [V] text, in the order stored
offsets      [V + 1] int64; video v has rows offsets[v] to offsets[v + 1]
attributes   format, identity (digest of everything the numbers depend on), encoder (JSON), provenance (JSON)
"""

from __future__ import annotations

import functools
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from framecast.core.files import canonical

FORMAT = 1
"""Version of the file's layout; a reader refuses others."""
BLOCK = 2**20
"""Bytes that are gathered before they are written: a call of h5py takes longer than a small batch's bytes."""


class EmbeddingWriter:
    """Writes one file: `append` in order, then `finish`. `path` should come from `framecast.core.files.replacing`.

    A context manager that closes the file. A file without `finish` has no identity and is refused by the reader.
    """

    def __init__(self, path: Path, video_ids: Sequence[str], counts: Sequence[int], width: int, dtype: str) -> None:
        self._file = h5py.File(path, "w", track_order=True)
        self._rows = 0
        offsets = np.concatenate([[0], np.cumsum(np.asarray(counts, dtype=np.int64))]).astype(np.int64)
        self._file.create_dataset("video_ids", data=list(video_ids), dtype=h5py.string_dtype(), shape=(len(video_ids),))
        self._file.create_dataset("offsets", data=offsets)
        self._embeddings = self._file.create_dataset("embeddings", (int(offsets[-1]), width), dtype=dtype)
        self._gathered: list[np.ndarray] = []

    def __enter__(self) -> EmbeddingWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def append(self, embeddings: np.ndarray) -> None:
        """Add rows [B, D]; they may cross the borders of videos.

        Raises:
            ValueError: a number is not finite, also after rounding to the file's number format.
        """
        stop = self._rows + len(embeddings)
        dtype = self._embeddings.dtype
        limit = np.finfo(dtype).max
        if not (np.abs(embeddings) <= limit).all():
            raise ValueError(
                f"embeddings of frames {self._rows} to {stop - 1} of this bucket are not finite in "
                f"{dtype}: use `precision: float32` (or bf16) and `store: float32`, "
                "or check its weights"
            )
        self._gathered.append(embeddings.astype(dtype))
        self._rows = stop
        if sum(rows.nbytes for rows in self._gathered) >= BLOCK:
            self._write()

    def _write(self) -> None:
        """Write what was gathered, the last rows up to now."""
        if self._gathered:
            rows = np.concatenate(self._gathered)
            self._embeddings[self._rows - len(rows) : self._rows] = rows
            self._gathered = []

    def finish(self, identity: str, encoder: dict[str, Any], provenance: dict[str, Any]) -> None:
        """Check that every row was written, and write what the file says about itself."""
        if self._rows != self._embeddings.shape[0]:
            raise ValueError(f"{self._rows} of {self._embeddings.shape[0]} embeddings were written")
        self._write()
        described = {"encoder": canonical(encoder), "provenance": json.dumps(provenance, ensure_ascii=False)}
        self._file.attrs.update({"format": FORMAT, "identity": identity, **described})


class EmbeddingFile:
    """One bucket's file, checked when it is opened."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._file = h5py.File(path, "r")
            self._check()
        except FileNotFoundError:
            raise ValueError(f"{path}: there is no such embedding file; encode the frames first") from None
        except (OSError, KeyError, RuntimeError, UnicodeDecodeError) as error:
            raise ValueError(
                f"{path}: truncated or damaged embedding file ({error}): delete it and run again"
            ) from error

    def _check(self) -> None:
        attributes = self._file.attrs
        if "identity" not in attributes or int(attributes.get("format", -1)) != FORMAT:
            raise ValueError(
                f"{self.path}: no embedding file of format {FORMAT}, or one that was not finished: encode anew"
            )
        self.identity = str(attributes["identity"])
        self.encoder: dict[str, Any] = json.loads(attributes["encoder"])
        self.video_ids: list[str] = self._file["video_ids"].asstr()[:].tolist()
        self.offsets: np.ndarray = self._file["offsets"][:]
        self.rows: h5py.Dataset = self._file["embeddings"]
        videos, rows = len(self.video_ids), self.rows.shape[0]
        fits = len(self.offsets) == videos + 1 and self.offsets[0] == 0 and self.offsets[-1] == rows
        if not fits or (np.diff(self.offsets) < 0).any():
            raise ValueError(
                f"{self.path}: damaged embedding file, its offsets do not fit {rows} rows: delete it and run again"
            )

    @property
    def width(self) -> int:
        return int(self.rows.shape[1])

    @functools.cached_property
    def mapped(self) -> np.ndarray:
        """All rows [N, D] as memory that is read where it is touched: many single rows at a copy's cost each."""
        place = self.rows.id.get_offset()
        if place is None:  # no rows
            return self.rows[:]
        return np.memmap(self.path, self.rows.dtype, "r", place, self.rows.shape)


class Embeddings:
    """The embeddings of one encoder over all buckets of a data set.

    Opens nothing before it is asked, may be pickled and used by workers.

    Errors: ValueError for a file that is no embedding file, is damaged, or is of another encoder than the
    others; KeyError for a video and IndexError for a frame that is not there.
    """

    def __init__(self, paths: Iterable[str | Path]) -> None:
        self.paths = [Path(path) for path in paths]

    def __reduce__(self) -> tuple[type[Embeddings], tuple[list[Path]]]:
        return Embeddings, (self.paths,)

    @functools.cached_property
    def _files(self) -> list[EmbeddingFile]:
        if not self.paths:
            raise ValueError("no embedding file was given: name at least one bucket's file")
        files = [EmbeddingFile(path) for path in self.paths]
        first = files[0]
        for file in files[1:]:
            if (file.identity, file.width) != (first.identity, first.width):
                raise ValueError(
                    f"{file.path} ({file.width} wide, identity {file.identity[:12]}) and {first.path} "
                    f"({first.width} wide, identity {first.identity[:12]}) come from different encoders: encode all "
                    "buckets anew"
                )
        return files

    @functools.cached_property
    def _videos(self) -> dict[str, tuple[EmbeddingFile, int, int]]:
        """Video to its file, first row and end."""
        found: dict[str, tuple[EmbeddingFile, int, int]] = {}
        for file in self._files:
            bounds = file.offsets.tolist()
            for video_id, start, stop in zip(file.video_ids, bounds[:-1], bounds[1:], strict=True):
                if video_id in found:
                    raise ValueError(
                        f"video {video_id!r} stands in two files: {found[video_id][0].path} and {file.path}"
                    )
                found[video_id] = (file, start, stop)
        return found

    @property
    def width(self) -> int:
        """D, numbers in an embedding."""
        return self._files[0].width

    @property
    def identity(self) -> str:
        """Digest of the weights, pixel preparation, precision and frame set that the numbers come from."""
        return self._files[0].identity

    @property
    def encoder(self) -> dict[str, Any]:
        """The encoder's config as it was used."""
        return self._files[0].encoder

    @property
    def video_ids(self) -> list[str]:
        """Bucket by bucket, in the order stored."""
        return list(self._videos)

    def count(self, video_id: str) -> int:
        """Embeddings (frames) of one video."""
        _, start, stop = self._video(video_id)
        return stop - start

    def read(self, video_id: str, start: int, stop: int) -> np.ndarray:
        """Embeddings of frames `start` to `stop` (exclusive) of one video, float32 [T, D]."""
        self._check_whole()
        file, first, end = self._video(video_id)
        if not 0 <= start <= stop <= end - first:
            raise IndexError(
                f"{file.path}: video {video_id!r} has frames 0 to {end - first - 1}, asked for [{start}, {stop})"
            )
        return self._rows(file, first + start, first + stop)

    def table(self, video_ids: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        """Everything of some videos at once, for tasks that hold a split in memory.

        Returns:
            Embeddings float32 [N, D] in the order of `video_ids`, and offsets int64 [V + 1]: video v has the rows
            offsets[v] to offsets[v + 1].
        """
        self._check_whole()
        offsets = np.concatenate([[0], np.cumsum([self.count(video_id) for video_id in video_ids])]).astype(np.int64)
        rows = np.empty((int(offsets[-1]), self.width), dtype=np.float32)
        for video_id, start, stop in zip(video_ids, offsets[:-1], offsets[1:], strict=True):
            file, first, end = self._video(video_id)
            rows[start:stop] = self._rows(file, first, end)
        return rows, offsets

    def has(self, video_id: str, number: int) -> bool:
        """Whether frame `number` of a video is there; KeyError for a video that is not."""
        return self._place(video_id, number) is not None

    def frames(self, video_ids: Sequence[str], numbers: Sequence[int]) -> np.ndarray:
        """Single frames of any videos, one row for each pair (video, frame number); float32 [n, D]."""
        out = np.empty((len(video_ids), self.width), dtype=np.float32)
        for row, video_id, number in zip(out, video_ids, numbers, strict=True):
            place = self._place(video_id, number)
            if place is None:
                raise IndexError(self._absent(video_id, number))
            file, position = place
            row[:] = file.mapped[position]
        return out

    @functools.cached_property
    def _at(self) -> dict[int, int] | None:
        """Frame number → place among a video's rows; None where all frames are there."""
        at = self.encoder.get("at")
        return None if at is None else {number: place for place, number in enumerate(at)}

    def _place(self, video_id: str, number: int) -> tuple[EmbeddingFile, int] | None:
        file, start, stop = self._video(video_id)
        place = number if self._at is None else self._at.get(number, -1)
        return (file, start + place) if 0 <= place < stop - start else None

    def _absent(self, video_id: str, number: int) -> str:
        file, start, stop = self._video(video_id)
        there = f"frames 0 to {stop - start - 1}" if self._at is None else f"frames {list(self._at)[: stop - start]}"
        return f"{file.path}: video {video_id!r} has no embedding of frame {number}; it has {there}"

    def _check_whole(self) -> None:
        if self._at is not None:
            raise ValueError(
                f"{self.paths[0]}: this encoder's `at` is {list(self._at)}, so its cache holds these frames alone; "
                "what reads whole videos needs an encoder with `at: null`"
            )

    def _rows(self, file: EmbeddingFile, start: int, stop: int) -> np.ndarray:
        try:
            return file.rows[start:stop].astype(np.float32, copy=False)
        except (OSError, RuntimeError) as error:
            raise ValueError(f"{file.path}: damaged embedding file ({error}): delete it and run again") from error

    def _video(self, video_id: str) -> tuple[EmbeddingFile, int, int]:
        try:
            return self._videos[video_id]
        except KeyError:
            raise KeyError(
                f"no video {video_id!r} among {len(self._videos)} in {len(self.paths)} embedding files"
            ) from None
