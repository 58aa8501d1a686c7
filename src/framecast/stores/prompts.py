"""Prompt stores: one HDF5 file a data set and entry of `prompts`, each distinct prompt's hidden states once.

texts        [R] text, distinct; one of them is ""
embeddings   [R, L, D] float32 or float16: the text encoder's last hidden states, padded to L tokens
places/{variant}/video_ids [P], frames [P], rows [P]   which row serves a video's frame
attributes   format, identity (digest of texts, places, weights), encoder and prompts (JSON: their config entries), cut
             (prompts that lost tokens to the limit L), in_sample (whether estimates of progress for training videos
             come from a network that was trained on them), provenance (JSON)
"""

from __future__ import annotations

import functools
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from framecast.core.files import canonical, digest, replacing

FORMAT = 1
"""Version of the file's layout; a reader refuses others."""
VARIANTS = ("own", "shuffled_text", "shuffled_progress")
"""The video's own prompt; with another action's text and its own percent; with its own text and another percent."""
Places = Mapping[tuple[str, int], int]
"""(video id, number of the given frame) → row."""


def write(
    path: Path,
    texts: Sequence[str],
    embeddings: Iterable[np.ndarray],
    places: Mapping[str, Places],
    *,
    encoder: Mapping[str, Any] | None = None,
    prompts: Mapping[str, Any] | None = None,
    network: str = "",
    cut: int = 0,
    in_sample: bool = False,
    dtype: str = "float32",
    provenance: Mapping[str, Any] | None = None,
) -> None:
    """Write a file, whole or not at all.

    Args:
        texts: Distinct prompts, "" among them.
        embeddings: Batches [B, L, D], together one row a text in order.
        places: Variant (of `VARIANTS`) → rows; `own` at least.
        network: Digest of the weights that the embeddings come from.
        dtype: Number format of the embeddings in the file.

    Raises:
        ValueError: texts that repeat or lack the empty one, an unknown variant, a row that is not there, a number of
            embeddings other than that of the texts, a value that is not finite.
    """
    _check(texts, places)
    with replacing(path) as temporary, h5py.File(temporary, "w") as file:
        rows, shape = 0, (0, 0)
        for batch in embeddings:
            if "embeddings" not in file:
                shape = batch.shape[1:]
                file.create_dataset("embeddings", (len(texts), *shape), dtype=dtype)
            if batch.shape[1:] != shape or rows + len(batch) > len(texts):
                raise ValueError(f"embeddings {batch.shape} for {len(texts)} texts, {rows} written, of {shape}")
            if not (np.abs(batch) <= np.finfo(dtype).max).all():
                raise ValueError(
                    f"the embedding of one of the prompts {list(texts[rows : rows + 3])} … is not finite in {dtype}: "
                    "use `precision: float32` and `store: float32`, or check the encoder's weights"
                )
            file["embeddings"][rows : rows + len(batch)] = batch
            rows += len(batch)
        if rows != len(texts):
            raise ValueError(f"{rows} embeddings for {len(texts)} texts")
        _write_text(file, "texts", texts)
        described = {name: [[*place, row] for place, row in sorted(found.items())] for name, found in places.items()}
        for name, found in places.items():
            _write_places(file.create_group(f"places/{name}"), found)
        about = {"encoder": canonical(dict(encoder or {})), "prompts": canonical(dict(prompts or {}))}
        file.attrs.update({
            "format": FORMAT, "cut": cut, "in_sample": in_sample, **about,
            "provenance": json.dumps(dict(provenance or {})),
            "identity": digest(network, canonical(about), *texts, canonical(described), dtype),
        })  # fmt: skip
        file.close()  # before the rename: a full disk shows here


def _check(texts: Sequence[str], places: Mapping[str, Places]) -> None:
    if len(set(texts)) < len(texts) or "" not in texts:
        raise ValueError(f"{len(texts)} prompts, {len(set(texts))} of them distinct: they must be distinct, with ''")
    if "own" not in places or set(places) - set(VARIANTS):
        raise ValueError(f"variants are {sorted(places)}; needed is 'own', allowed are {list(VARIANTS)}")
    for name, found in places.items():
        for place, row in found.items():
            if not 0 <= row < len(texts):
                raise ValueError(f"{name} of {place}: row {row} of {len(texts)} prompts")


def _write_text(group: h5py.Group, name: str, values: Sequence[str]) -> None:
    group.create_dataset(name, data=np.array(list(values), object), dtype=h5py.string_dtype(), shape=(len(values),))


def _write_places(group: h5py.Group, found: Places) -> None:
    ordered = sorted(found)
    _write_text(group, "video_ids", [video_id for video_id, _ in ordered])
    group.create_dataset("frames", data=np.array([frame for _, frame in ordered], np.int64))
    group.create_dataset("rows", data=np.array([found[place] for place in ordered], np.int64))


class Prompts:
    """The prompts of one data set. Opens nothing before it is asked, may be pickled and used by workers.

    Errors: ValueError for a file that is no prompt file, damaged or unfinished; KeyError for a video, frame or variant
    that has no prompt.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)

    def __reduce__(self) -> tuple[type[Prompts], tuple[Path]]:
        return Prompts, (self.path,)

    @functools.cached_property
    def _file(self) -> h5py.File:
        try:
            file = h5py.File(self.path, "r")
        except FileNotFoundError:
            raise ValueError(f"{self.path}: there is no such prompt file; encode the prompts first") from None
        except OSError as error:
            raise ValueError(f"{self.path}: damaged prompt file ({error}): delete it and run again") from error
        if "identity" not in file.attrs or int(file.attrs.get("format", -1)) != FORMAT:
            raise ValueError(f"{self.path}: no prompt file of format {FORMAT}: delete it and encode anew")
        return file

    @functools.cached_property
    def texts(self) -> list[str]:
        """Distinct prompts, one a row."""
        return self._file["texts"].asstr()[:].tolist()

    @property
    def length(self) -> int:
        """L, tokens that each prompt is padded to."""
        return int(self._file["embeddings"].shape[1])

    @property
    def width(self) -> int:
        """D, numbers a token."""
        return int(self._file["embeddings"].shape[2])

    @property
    def identity(self) -> str:
        """Digest of the texts, their places and the weights that the embeddings come from."""
        return str(self._file.attrs["identity"])

    @functools.cached_property
    def encoder(self) -> dict[str, Any]:
        """The encoder's config as it was used."""
        return json.loads(self._file.attrs["encoder"])

    @functools.cached_property
    def config(self) -> dict[str, Any]:
        """The entry of the config's `prompts` as it was used."""
        return json.loads(self._file.attrs["prompts"])

    @property
    def cut(self) -> int:
        """Prompts that lost tokens to the limit."""
        return int(self._file.attrs["cut"])

    @property
    def in_sample(self) -> bool:
        """Whether the progress in training videos' prompts was estimated by a network that was trained on them."""
        return bool(self._file.attrs["in_sample"])

    @functools.cached_property
    def empty(self) -> int:
        """Row of the empty prompt."""
        return self.texts.index("")

    @functools.cached_property
    def _places(self) -> dict[str, dict[tuple[str, int], int]]:
        return {
            name: dict(zip(zip(group["video_ids"].asstr()[:].tolist(), group["frames"][:].tolist(), strict=True),
                           group["rows"][:].tolist(), strict=True))
            for name, group in self._file["places"].items()
        }  # fmt: skip

    def has(self, video_id: str, frame: int, variant: str = "own") -> bool:
        """Whether there is such a prompt."""
        return (video_id, frame) in self._places.get(variant, {})

    def row(self, video_id: str, frame: int, variant: str = "own") -> int:
        """The row of a video's prompt at a given frame.

        Args:
            variant: One of `VARIANTS`; all but `own` exist outside the training split only.
        """
        if variant not in self._places:
            raise KeyError(f"{self.path}: no prompts of variant {variant!r}; there are {sorted(self._places)}")
        try:
            return self._places[variant][video_id, frame]
        except KeyError:
            frames = sorted({number for _, number in self._places[variant]})
            raise KeyError(
                f"{self.path}: no prompt of variant {variant!r} for video {video_id!r} at frame {frame}; there are "
                f"prompts for the frames {frames} (`prompts.at`) of videos that reach them, and only 'own' for training"
            ) from None

    def read(self, rows: Sequence[int]) -> np.ndarray:
        """Hidden states of some rows, float32 [B, L, D]; rows may repeat."""
        found = np.empty((len(rows), self.length, self.width), np.float32)
        table = self._file["embeddings"]
        try:
            for place, row in enumerate(rows):
                found[place] = table[int(row)]
        except (OSError, RuntimeError) as error:
            raise ValueError(f"{self.path}: damaged prompt file ({error}): delete it and run again") from error
        return found
