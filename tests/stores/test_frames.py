"""Frame stores: what goes in comes out, any Zarr library reads it, and every wrong question has a clear answer."""

from __future__ import annotations

import os
import pickle
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest
import tensorstore
import zarr

from framecast.stores import frames as frame_stores
from framecast.stores.frames import Frames, FrameStore, FrameWriter
from framecast.training.identity import content

SIZES = {"small": [6, 8], "large": [10, 12]}
FRAME_SET = {"fps": None, "resize": "squash", "views": SIZES}
UNICODE = "übung/two words '\" – 東京\n.mp4"
VIDEOS = {"b.mp4": 5, UNICODE: 7, "-a.mp4": 3}


def picture(view: str, number: int) -> np.ndarray:
    return np.random.default_rng(number).integers(0, 256, (*SIZES[view], 3), dtype=np.uint8)


def expected(view: str, video_id: str) -> np.ndarray:
    start = sum(list(VIDEOS.values())[: list(VIDEOS).index(video_id)])
    return np.stack([picture(view, start + index) for index in range(VIDEOS[video_id])])


def write(folder: Path, videos: dict[str, int] = VIDEOS, change: int = 0) -> Path:
    number = 0
    with FrameWriter(folder, FRAME_SET) as writer:
        for video_id, count in videos.items():
            writer.start(video_id)
            for index in range(count):
                writer.append({view: picture(view, number + change) for view in SIZES}, index / 8, 2 * index)
                number += 1
        writer.finish({"made": "by a test"})
    return folder


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A store whose shards hold four frames, so that videos lie across shards."""
    monkeypatch.setattr(frame_stores, "SHARD_FRAMES", 4)
    return write(tmp_path / "bucket_0")


def test_every_video_comes_back_in_every_view(folder: Path) -> None:
    store = FrameStore(folder)
    assert store.video_ids == list(VIDEOS)
    assert store.views == {"small": (6, 8), "large": (10, 12)}
    for video_id, count in VIDEOS.items():
        assert store.count(video_id) == count
        for view in SIZES:
            np.testing.assert_array_equal(store.read(view, video_id, 0, count), expected(view, video_id))
        np.testing.assert_array_equal(store.seconds(video_id), np.arange(count) / 8)
        np.testing.assert_array_equal(store.source(video_id), 2 * np.arange(count))
    assert store.read("small", "b.mp4", 2, 2).shape == (0, 6, 8, 3)


def test_shards_are_bounded(folder: Path) -> None:
    assert sorted(path.name for path in (folder / "views/large/c").iterdir()) == ["0", "1", "2", "3"]  # 15 frames
    height, width = 1080, 1920
    assert frame_stores.shard_frames(height, width) * height * width * 3 <= frame_stores.SHARD_BYTES
    assert frame_stores.shard_frames(20_000, 20_000) == 1


@pytest.mark.parametrize("frames", [3, 4, 8])
def test_zarr_libraries_read_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, frames: int) -> None:
    monkeypatch.setattr(frame_stores, "SHARD_FRAMES", 4)
    views = write(tmp_path / "store", {"b.mp4": frames}) / "views"
    right = np.stack([picture("large", number) for number in range(frames)])
    group = zarr.open_group(str(views), mode="r")
    assert sorted(group.array_keys()) == ["large", "small"]
    np.testing.assert_array_equal(group["large"][:], right)
    spec = {"driver": "zarr3", "kvstore": {"driver": "file", "path": f"{views / 'large'}/"}}
    np.testing.assert_array_equal(tensorstore.open(spec).result().read().result(), right)


def test_frames_of_several_buckets(folder: Path) -> None:
    other = write(folder.parent / "bucket_1", {"other.mp4": 2})
    empty = write(folder.parent / "bucket_2", {})
    frames = Frames([empty, folder, other], "small")
    assert frames.video_ids == [*VIDEOS, "other.mp4"]
    assert frames.shape == (6, 8, 3)
    assert frames.count("other.mp4") == 2
    assert frames.seconds("other.mp4").tolist() == [0, 0.125]
    np.testing.assert_array_equal(frames.read(UNICODE, [6, 0, 6]), expected("small", UNICODE)[[6, 0, 6]])
    batch = frames.read_batch([("other.mp4", 1), (UNICODE, np.int64(3)), ("b.mp4", 0)])
    right = [picture("small", 1), expected("small", UNICODE)[3], expected("small", "b.mp4")[0]]
    np.testing.assert_array_equal(batch, np.stack(right))


def test_empty_store(tmp_path: Path) -> None:
    folder = write(tmp_path / "empty", {})
    assert FrameStore(folder).video_ids == []
    assert Frames([folder], "small").read_batch([]).shape == (0, 6, 8, 3)
    assert zarr.open_array(str(folder / "views/small"), mode="r").shape == (0, 6, 8, 3)


def test_video_without_frames(tmp_path: Path) -> None:
    store = FrameStore(write(tmp_path / "store", {"none.mp4": 0, "b.mp4": 2}))
    assert (store.count("none.mp4"), store.count("b.mp4")) == (0, 2)


@pytest.mark.parametrize(
    ("ask", "error", "words"),
    [
        (lambda store: store.count("c.mp4"), KeyError, "no video 'c.mp4' among its 3"),
        (lambda store: store.read("huge", "b.mp4", 0, 1), KeyError, "no view 'huge'.*large.*small"),
        (lambda store: store.read("small", "b.mp4", 3, 6), IndexError, r"frames 0 to 4, asked for \[3, 6\)"),
        (lambda store: store.read("small", "b.mp4", -1, 2), IndexError, "frames 0 to 4"),
        (lambda store: store.read("small", "b.mp4", 3, 2), IndexError, "frames 0 to 4"),
        (lambda store: Frames([store.folder], "small").read("b.mp4", [5]), IndexError, "frames 0 to 4, asked for 5"),
        (lambda store: Frames([store.folder], "small").read("b.mp4", [-1]), IndexError, "asked for -1"),
        (lambda store: Frames([store.folder], "small").read("c.mp4", [0]), KeyError, "no video 'c.mp4'"),
        (lambda store: Frames([store.folder] * 2, "small").video_ids, ValueError, "stands in two stores"),
        (lambda store: Frames([], "small").shape, ValueError, "no frame store was given"),
    ],
)
def test_wrong_questions(folder: Path, ask, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        ask(FrameStore(folder))


def test_no_store(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no frame store"):
        FrameStore(tmp_path).count("b.mp4")


def test_other_format(folder: Path) -> None:
    path = folder / "store.json"
    path.write_text(path.read_text().replace('"format": 1', '"format": 0'))
    with pytest.raises(ValueError, match="format 0, needs 1"):
        FrameStore(folder).count("b.mp4")


@pytest.mark.parametrize("keep", [0, 10, 700])
def test_truncated_shard(folder: Path, keep: int) -> None:
    os.truncate(folder / "views/large/c/1/0/0/0", keep)
    store = FrameStore(folder)
    assert len(store.read("large", "b.mp4", 0, 4)) == 4  # the first shard is whole
    with pytest.raises(ValueError, match=r"(truncated|damaged) shard"):
        store.read("large", "b.mp4", 4, 5)


def test_wrong_frames_are_refused(tmp_path: Path) -> None:
    with FrameWriter(tmp_path / "store", FRAME_SET) as writer:
        writer.start("a")
        good = {view: picture(view, 0) for view in SIZES}
        with pytest.raises(ValueError, match=r"view 'small' holds uint8 \(6, 8, 3\), got uint8 \(8, 6, 3\)"):
            writer.append({**good, "small": good["small"].swapaxes(0, 1)}, 0.0, 0)
        with pytest.raises(ValueError, match="got float64"):
            writer.append({**good, "small": good["small"] / 255}, 0.0, 0)


def test_frames_that_are_not_contiguous(tmp_path: Path) -> None:
    frame = picture("small", 1)
    with FrameWriter(tmp_path / "store", {**FRAME_SET, "views": {"small": [6, 8]}}) as writer:
        writer.start("a")
        writer.append({"small": frame[::-1, ::-1]}, 0.0, 0)
        writer.finish({})
    np.testing.assert_array_equal(FrameStore(tmp_path / "store").read("small", "a", 0, 1)[0], frame[::-1, ::-1])


def test_a_video_twice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="written twice"), FrameWriter(tmp_path / "store", FRAME_SET) as writer:
        writer.start("a")
        writer.start("a")
        writer.finish({})


def test_identity_follows_content(tmp_path: Path) -> None:
    def identity(name: str, **how: object) -> str:
        folder = write(tmp_path / name, **how)  # type: ignore[arg-type]
        assert content(folder) == FrameStore(folder).info["identity"]
        return content(folder)

    assert identity("one") == identity("two")
    others = [identity("pixels", change=1), identity("ids", videos={"c": 15}), identity("cut", videos={"c": 14})]
    assert len({identity("again"), *others}) == 4


def test_pickled_readers_read(folder: Path) -> None:
    store, frames = FrameStore(folder), Frames([folder], "small")
    store.read("small", "b.mp4", 0, 1)
    frames.read("b.mp4", [0])
    right = expected("small", "b.mp4")
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(store)).read("small", "b.mp4", 0, 5), right)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(frames)).read("b.mp4", range(5)), right)


def _read_many(frames: Frames, results) -> None:
    results.put([int(frames.read(UNICODE, [index]).sum()) for index in list(range(7)) * 20])


def test_readers_survive_fork(folder: Path) -> None:
    frames = Frames([folder], "large")
    frames.read("b.mp4", range(5))  # files are open before the fork
    right = [int(picture.sum(dtype=np.int64)) for picture in expected("large", UNICODE)] * 20
    context = get_context("fork")
    results = context.SimpleQueue()
    workers = [context.Process(target=_read_many, args=(frames, results)) for _ in range(2)]
    for worker in workers:
        worker.start()
    assert [results.get() for _ in workers] == [right, right]
    for worker in workers:
        worker.join()


def test_few_files_stay_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frame_stores, "SHARD_FRAMES", 1)
    monkeypatch.setattr(frame_stores, "OPEN_SHARDS", 3)
    folder = write(tmp_path / "store")
    before = len(os.listdir("/proc/self/fd"))
    frames = Frames([folder], "small")
    frames.read(UNICODE, range(7))
    assert len(os.listdir("/proc/self/fd")) == before + 3
    del frames
    assert len(os.listdir("/proc/self/fd")) == before
