"""Mask files: what is written is read back, clip by clip; mistakes are named."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from framecast.stores.masks import Masks, MaskWriter


@pytest.fixture
def paths(tmp_path, rng):
    paths = [tmp_path / "bucket_0.h5", tmp_path / "bücket 1.h5"]
    for path, names in zip(paths, [["a/1.mp4", "b"], ["c"]], strict=True):
        with MaskWriter(path, 6, 8) as writer:
            for name in names:
                writer.append(name, rng.integers(0, 49, (5 + len(name), 6, 8), dtype=np.uint8))
    return paths


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def test_clips_read_back(paths):
    drawn = np.random.default_rng(0)
    truth = {name: drawn.integers(0, 49, (5 + len(name), 6, 8), dtype=np.uint8) for name in ("a/1.mp4", "b", "c")}
    masks = pickle.loads(pickle.dumps(Masks(paths)))
    assert list(masks.places) == list(truth) and "b" in masks and "d" not in masks
    for name, whole in truth.items():
        assert masks.count(name) == len(whole)
        assert np.array_equal(masks.read(name, 2, 3), whole[2:5])
        assert np.array_equal(masks.read(name, 0, len(whole)), whole)


def test_compressed(tmp_path):
    with MaskWriter(tmp_path / "m.h5", 160, 240) as writer:
        writer.append("v", np.zeros((22, 160, 240), np.uint8))
    assert (tmp_path / "m.h5").stat().st_size < 22 * 160 * 240 / 20


def test_an_empty_bucket(tmp_path):
    with MaskWriter(tmp_path / "m.h5", 4, 4):
        pass
    assert Masks([tmp_path / "m.h5"]).places == {}


def test_mistakes_are_named(paths, tmp_path):
    masks = Masks(paths)
    with pytest.raises(KeyError, match="'d' has no masks"):
        masks.read("d", 0, 1)
    with pytest.raises(IndexError, match="0 to 5; asked for 4 to 6"):
        masks.read("b", 4, 3)
    with MaskWriter(tmp_path / "m.h5", 4, 4) as writer, pytest.raises(ValueError, match=r"'v' are float32 .* \[4, 4\]"):
        writer.append("v", np.zeros((2, 4, 4), np.float32))
