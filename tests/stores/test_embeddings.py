"""Embedding stores: what was written is read, and damaged or mixed files are refused."""

from __future__ import annotations

import pickle

import h5py
import numpy as np
import pytest

from framecast.stores.embeddings import Embeddings, EmbeddingWriter

VIDEOS = ["a/ünïcode name.mp4", "b\n'quoted' \"2\".mkv", "-dash.webm"]
COUNTS = [3, 0, 5]
ROWS = np.arange(8 * 4, dtype=np.float32).reshape(8, 4) / 7


def write(path, video_ids=VIDEOS, counts=COUNTS, rows=ROWS, identity="one", dtype="float32"):
    with EmbeddingWriter(path, video_ids, counts, rows.shape[1], dtype) as writer:
        for start in range(0, len(rows), 3):  # across the borders of videos
            writer.append(rows[start : start + 3])
        writer.finish(identity, {"kind": "dino"}, {"time": "now"})
    return path


@pytest.fixture
def path(tmp_path):
    return write(tmp_path / "bucket_0.h5")


def test_round_trip(path):
    store = Embeddings([path])
    assert (store.width, store.identity, store.encoder, store.video_ids) == (4, "one", {"kind": "dino"}, VIDEOS)
    assert [store.count(video) for video in VIDEOS] == COUNTS
    np.testing.assert_array_equal(store.read(VIDEOS[0], 0, 3), ROWS[:3])
    np.testing.assert_array_equal(store.read(VIDEOS[2], 1, 3), ROWS[4:6])
    assert store.read(VIDEOS[1], 0, 0).shape == (0, 4)


def test_table_is_in_the_order_asked_for(path, tmp_path):
    other = write(tmp_path / "bucket_1.h5", ["z.mp4"], [2], ROWS[:2] + 100)
    rows, offsets = Embeddings([path, other]).table([VIDEOS[2], "z.mp4", VIDEOS[1], VIDEOS[0]])
    assert offsets.tolist() == [0, 5, 7, 7, 10]
    np.testing.assert_array_equal(rows, np.concatenate([ROWS[3:], ROWS[:2] + 100, ROWS[:3]]))


def test_half_precision_comes_back_as_float32(tmp_path):
    store = Embeddings([write(tmp_path / "half.h5", dtype="float16")])
    assert store.read(VIDEOS[0], 0, 3).dtype == np.float32
    np.testing.assert_allclose(store.read(VIDEOS[0], 0, 3), ROWS[:3], rtol=1e-3)


def test_pickles_after_use(path):
    store = Embeddings([path])
    store.read(VIDEOS[0], 0, 1)
    copy = pickle.loads(pickle.dumps(store))
    np.testing.assert_array_equal(copy.read(VIDEOS[0], 0, 3), ROWS[:3])


def test_bucket_without_videos(tmp_path, path):
    empty = write(tmp_path / "empty.h5", [], [], ROWS[:0])
    assert Embeddings([empty]).video_ids == []
    assert Embeddings([empty, path]).count(VIDEOS[0]) == 3


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e5])
def test_numbers_that_do_not_fit_are_refused(tmp_path, value):
    rows = ROWS.copy()
    rows[4, 1] = value
    with pytest.raises(ValueError, match=r"frames 3 to 5 .* not finite in float16.*store: float32"):
        write(tmp_path / "bad.h5", rows=rows, dtype="float16")


def test_unfinished_file_is_refused(tmp_path):
    path = tmp_path / "part.h5"
    with EmbeddingWriter(path, VIDEOS, COUNTS, 4, "float32") as writer:
        writer.append(ROWS[:4])
        with pytest.raises(ValueError, match="4 of 8"):
            writer.finish("one", {}, {})
    with pytest.raises(ValueError, match="not finished"):
        Embeddings([path]).width  # noqa: B018


def test_mixed_encoders_are_refused(path, tmp_path):
    for other in (
        write(tmp_path / "i.h5", ["x"], [8], identity="two"),
        write(tmp_path / "w.h5", ["x"], [8], ROWS[:, :3]),
    ):
        with pytest.raises(ValueError, match="different encoders"):
            Embeddings([path, other]).width  # noqa: B018


def test_one_video_in_two_files_is_refused(path, tmp_path):
    other = write(tmp_path / "again.h5")
    with pytest.raises(ValueError, match="in two files"):
        Embeddings([path, other]).count(VIDEOS[0])


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9])
def test_truncated_file(path, share):
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(ValueError, match=r"bucket_0.h5: truncated or damaged"):
        Embeddings([path]).table(VIDEOS)


def test_no_hdf5_at_all(tmp_path):
    (tmp_path / "text.h5").write_text("hello" * 500)
    with pytest.raises(ValueError, match="truncated or damaged"):
        Embeddings([tmp_path / "text.h5"]).width  # noqa: B018
    with pytest.raises(ValueError, match="no such embedding file"):
        Embeddings([tmp_path / "absent.h5"]).width  # noqa: B018
    with pytest.raises(ValueError, match="no embedding file was given"):
        Embeddings([]).width  # noqa: B018


def test_offsets_that_do_not_fit(path):
    with h5py.File(path, "r+") as file:
        file["offsets"][-1] = 99
    with pytest.raises(ValueError, match="offsets do not fit 8 rows"):
        Embeddings([path]).width  # noqa: B018


def test_what_is_not_there(path):
    store = Embeddings([path])
    with pytest.raises(KeyError, match="no video 'nope'"):
        store.read("nope", 0, 1)
    with pytest.raises(IndexError, match=r"frames 0 to 2, asked for \[1, 4\)"):
        store.read(VIDEOS[0], 1, 4)
