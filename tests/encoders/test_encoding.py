"""Encoding a bucket: every frame's embedding in its place, whatever the batch; whole or absent."""

from __future__ import annotations

import itertools
import threading

import numpy as np
import pytest
import torch

from framecast.core import devices
from framecast.encoders import dino, encoding
from framecast.stores.embeddings import Embeddings
from framecast.stores.frames import FrameStore, FrameWriter
from tests.encoders.test_encoders import dinov2, save

torch.set_num_threads(1)
FRAME_SET = {"fps": None, "resize": "squash", "views": {"32": [32, 32], "30": [30, 30]}}
COUNTS = {"b.mp4": 5, "a.mp4": 2, "c/c.mp4": 7}
ENCODER = {
    "kind": "dino", "hub": None, "revision": None, "experiment": "tiny", "seed": 0, "frames": "small", "view": "32",
    "pool": "cls", "batch": 4, "precision": "float32", "store": "float32",
}  # fmt: skip


def write_frames(folder, counts):
    generator = np.random.default_rng(0)
    with FrameWriter(folder, FRAME_SET) as writer:
        for video_id, count in counts.items():
            writer.start(video_id)
            for index in range(count):
                shapes = {name: (*size, 3) for name, size in FRAME_SET["views"].items()}
                writer.append(
                    {name: generator.integers(0, 256, shape, np.uint8) for name, shape in shapes.items()},
                    index / 10,
                    index,
                )
        writer.finish({})
    return folder


@pytest.fixture(scope="module")
def frames(tmp_path_factory):
    return write_frames(tmp_path_factory.mktemp("frames") / "bucket_0", COUNTS)


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    return str(save(dinov2(), tmp_path_factory.mktemp("weights") / "tiny"))


def encode(frames, weights, out, **changes):
    encoding.encode(frames, {**ENCODER, **changes}, weights, out, "cpu")
    return Embeddings([out])


def test_every_frame_in_its_place(frames, weights, tmp_path):
    store, network = encode(frames, weights, tmp_path / "e.h5"), dino.load(weights, None)
    assert store.video_ids == list(COUNTS)
    for video_id, count in COUNTS.items():
        pictures = FrameStore(frames).read("32", video_id, 0, count)
        expected = network.encode(torch.from_numpy(pictures)).numpy()
        np.testing.assert_allclose(store.read(video_id, 0, count), expected, rtol=1e-4, atol=1e-5)


def test_batch_size_changes_neither_numbers_nor_identity(frames, weights, tmp_path):
    one, other = (encode(frames, weights, tmp_path / f"{batch}.h5", batch=batch) for batch in (3, 64))
    assert one.identity == other.identity
    np.testing.assert_allclose(one.table(list(COUNTS))[0], other.table(list(COUNTS))[0], rtol=1e-4, atol=1e-5)


def test_identity_follows_settings(frames, weights, tmp_path):
    changes = [{}, {"precision": "bf16"}, {"store": "float16"}, {"pool": "mean"}]
    identities = [encode(frames, weights, tmp_path / f"{i}.h5", **change).identity for i, change in enumerate(changes)]
    assert len(set(identities)) == len(changes)


def test_mixed_precision_is_close(frames, weights, tmp_path):
    full = encode(frames, weights, tmp_path / "full.h5").table(list(COUNTS))[0]
    mixed = encode(frames, weights, tmp_path / "mixed.h5", precision="bf16").table(list(COUNTS))[0]
    assert 0 < np.abs(full - mixed).max() < 0.1 * np.abs(full).max()


def test_bucket_without_videos(weights, tmp_path):
    store = encode(write_frames(tmp_path / "empty", {}), weights, tmp_path / "e.h5")
    assert (store.video_ids, store.width) == ([], 24)


def test_failure_leaves_nothing(frames, weights, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(encoding.EmbeddingWriter, "append", full)
    with pytest.raises(OSError, match="No space left"):
        encode(frames, weights, tmp_path / "e.h5")
    assert list(tmp_path.iterdir()) == []


def test_view_that_does_not_suit(frames, weights, tmp_path):
    with pytest.raises(ValueError, match="view is 30x30"):
        encode(frames, weights, tmp_path / "e.h5", view="30")
    with pytest.raises(KeyError, match="no view 'huge'"):
        encode(frames, weights, tmp_path / "e.h5", view="huge")


def test_out_of_memory_names_the_keys(frames, weights, tmp_path, monkeypatch):
    def full(*_):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")

    monkeypatch.setattr(encoding, "embed", full)
    with pytest.raises(devices.OutOfMemory, match=r"encoders.batch is 4; encoders.precision is 'float32'"):
        encode(frames, weights, tmp_path / "e.h5")


def test_other_errors_are_not_taken_for_memory():
    with pytest.raises(RuntimeError, match="shapes") as caught, devices.memory_advice({"batch": 1}, "cpu"):
        raise RuntimeError("shapes do not match")
    assert not isinstance(caught.value, devices.OutOfMemory)


def test_device_that_is_not_there():
    assert devices.choose("cpu") == "cpu"
    assert devices.choose("auto") in devices.DEVICES[1:]
    with pytest.raises(ValueError, match="must be one of auto, cpu, cuda, mps"):
        devices.choose("tpu")
    if not torch.backends.mps.is_available():
        with pytest.raises(ValueError, match=r"settings.device is 'mps'.*`auto`"):
            devices.choose("mps")


# --- the reading thread ----------------------------------------------------------------------------------------------


def test_prefetching_keeps_order_and_ends():
    assert list(encoding.prefetched(iter(range(50)), 3)) == list(range(50))
    assert list(encoding.prefetched(iter(()), 3)) == []


def test_prefetching_runs_at_most_so_far_ahead():
    produced = itertools.count()
    items = encoding.prefetched((next(produced) for _ in range(100)), 2)
    next(items)
    items.close()
    assert next(produced) <= 5
    assert not any(thread.name == "prefetch" for thread in threading.enumerate())


def test_errors_of_the_reading_thread_are_raised():
    def broken():
        yield 1
        raise ValueError("damaged store")

    items = encoding.prefetched(broken(), 2)
    assert next(items) == 1
    with pytest.raises(ValueError, match="damaged store"):
        next(items)
