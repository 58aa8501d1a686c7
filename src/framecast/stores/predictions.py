"""Predictions of one run on one split: HDF5, one dataset a predicted quantity, first axis = samples in order."""

from __future__ import annotations

import contextlib
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from framecast.core.files import digest, replacing

FORMAT = 1
ARRAYS = "arrays"


@dataclass(frozen=True)
class Predictions:
    """What a run predicted.

    Attributes: arrays, name → [N, …]; sample_ids and units, N each, in the order of the arrays; attrs, what the file
    says about itself.
    """

    arrays: dict[str, np.ndarray]
    sample_ids: list[str]
    units: list[str]
    attrs: dict[str, Any]

    def digest(self) -> str:
        """SHA-256 of samples and arrays, whoever predicted them: equal digests mean predictions equal bit for bit."""
        arrays = (
            part
            for name, values in sorted(self.arrays.items())
            for part in (name, values.dtype.str, str(values.shape), values.tobytes())
        )
        return digest(json.dumps(self.sample_ids), *arrays)


class Writer:
    """Appends batches to an open file, so that a split need not fit into memory."""

    def __init__(self, file: h5py.File) -> None:
        self.file = file
        self.group = file.create_group(ARRAYS)
        self.sample_ids: list[str] = []
        self.units: list[str] = []

    def append(self, arrays: Mapping[str, np.ndarray], sample_ids: Sequence[str], units: Sequence[str]) -> None:
        """Add the next samples; every array has one row a sample.

        Raises:
            ValueError: other names, shapes or lengths than before.
        """
        count = len(sample_ids)
        if self.sample_ids and set(arrays) != set(self.group):
            raise ValueError(f"a batch predicts {sorted(arrays)}, those before {sorted(self.group)}")
        if len(units) != count:
            raise ValueError(f"{count} sample ids but {len(units)} units")
        for name, values in arrays.items():
            if values.ndim == 0 or len(values) != count:
                raise ValueError(f"prediction {name!r} has shape {list(values.shape)} for {count} samples")
            self._dataset(name, values)[len(self.sample_ids) :] = values
        self.sample_ids += [str(name) for name in sample_ids]
        self.units += [str(unit) for unit in units]

    def _dataset(self, name: str, values: np.ndarray) -> h5py.Dataset:
        shape = values.shape[1:]
        if name not in self.group:
            chunks = (max(1, min(1024, 2**18 // max(1, values[0].nbytes))), *shape) if len(values) else True
            packed = {"compression": "gzip", "compression_opts": 1} if values.dtype == np.uint8 else {}  # masks
            self.group.create_dataset(name, (0, *shape), values.dtype, maxshape=(None, *shape), chunks=chunks, **packed)
        dataset = self.group[name]
        if dataset.shape[1:] != shape:
            raise ValueError(f"prediction {name!r} has rows of {list(shape)}, those before {list(dataset.shape[1:])}")
        dataset.resize(len(self.sample_ids) + len(values), axis=0)
        return dataset

    def finish(self, attrs: Mapping[str, Any]) -> None:
        """Check the ids, and write what the file says about itself.

        Raises:
            ValueError: no sample, or one that stands twice.
        """
        if not self.sample_ids:
            raise ValueError("there is nothing to predict: the split has no sample")
        repeated = sorted(name for name, count in Counter(self.sample_ids).items() if count > 1)
        if repeated:
            raise ValueError(f"{len(repeated)} sample ids stand more than once: {', '.join(repeated[:5])}")
        text = h5py.string_dtype()
        self.file.create_dataset("sample_ids", data=np.array(self.sample_ids, dtype=object), dtype=text)
        self.file.create_dataset("units", data=np.array(self.units, dtype=object), dtype=text)
        self.file.attrs["format"] = FORMAT
        # A long attribute would not fit into the object header; a dataset may be of any length.
        self.file.create_dataset("attrs", data=json.dumps(dict(attrs), ensure_ascii=False), dtype=text)


@contextlib.contextmanager
def writing(path: Path, attrs: Mapping[str, Any]) -> Iterator[Writer]:
    """A writer whose file takes its place when the block ends well, and is removed otherwise."""
    with replacing(path) as temporary, h5py.File(temporary, "w") as file:
        writer = Writer(file)
        yield writer
        writer.finish(attrs)
        file.close()  # before the rename, not after it: a full disk shows here


def write(
    path: Path,
    arrays: Mapping[str, np.ndarray],
    sample_ids: Sequence[str],
    units: Sequence[str],
    attrs: Mapping[str, Any],
) -> None:
    """Write all predictions at once."""
    with writing(path, attrs) as writer:
        writer.append(arrays, sample_ids, units)


def read(path: Path) -> Predictions:
    """Read a whole file.

    Raises:
        ValueError: not a whole predictions file.
    """
    try:
        with h5py.File(path, "r") as file:
            if file.attrs["format"] != FORMAT:
                raise ValueError(f"{path}: format {file.attrs['format']}, this version reads {FORMAT}; predict again")
            arrays = {name: dataset[()] for name, dataset in file[ARRAYS].items()}
            sample_ids, units = (file[name].asstr()[()].tolist() for name in ("sample_ids", "units"))
            return Predictions(arrays, sample_ids, units, json.loads(file["attrs"].asstr()[()]))
    except FileNotFoundError:
        raise
    except (OSError, KeyError) as error:
        raise ValueError(f"{path}: not a whole predictions file ({error}); delete it and predict again") from error
