"""Extraction: the store holds exactly what decodes, from the files that were indexed, or there is no store."""

from __future__ import annotations

import errno
import os
import resource
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import zarr
from PIL import Image

from framecast.core.files import file_digest
from framecast.core.own_files import OwnFolder
from framecast.data.extraction import ChangedVideo, extract
from framecast.data.index import index_bucket
from framecast.data.png_export import export_png
from framecast.stores import frames as frame_stores
from framecast.stores.frames import FrameStore
from framecast.video import codec

VIEWS = {"frames_16": [16, 16], "wide": [12, 20]}
FRAME_SET = {"fps": None, "resize": "squash", "views": VIEWS}
UNICODE = "Übung/a 'b' – 東京.mp4"
COUNTS = {UNICODE: 9, "b.mp4": 12}


def images(count: int, seed: int) -> Iterator[np.ndarray]:
    """A bright square that moves over noise."""
    noise = np.random.default_rng(seed).integers(0, 60, (32, 48, 3), dtype=np.uint8)
    for index in range(count):
        image = noise.copy()
        image[8:20, 2 * index : 2 * index + 12] = (220, 180, 40)
        yield image


@pytest.fixture(scope="module")
def indexed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two videos, a broken one, and their index."""
    root = tmp_path_factory.mktemp("videos")
    for seed, (video_id, count) in enumerate(COUNTS.items()):
        (root / video_id).parent.mkdir(exist_ok=True)
        codec.encode(images(count, seed), root / video_id, 10)
    (root / "zero.mp4").touch()
    index_bucket(root, [*COUNTS, "zero.mp4"], root / "bucket_3.parquet", timeout=60)
    return root / "bucket_3.parquet"


@pytest.fixture
def own(indexed: Path, tmp_path: Path) -> Path:
    """A copy of the videos and the index that a test may change."""
    root = shutil.copytree(indexed.parent, tmp_path / "own")
    table = pd.read_parquet(root / indexed.name)
    table["path"] = [str(root / video_id) for video_id in table["video_id"]]
    table.to_parquet(root / indexed.name)
    return root / indexed.name


def decoded(path: Path, frame_set: dict) -> list[codec.Frame]:
    return list(codec.decode(path, frame_set["views"], frame_set["resize"], frame_set["fps"]))


@pytest.mark.parametrize("resize", ["squash", "crop", "pad"])
@pytest.mark.parametrize("fps", [None, 4.0])
def test_store_is_what_decodes(indexed: Path, tmp_path: Path, resize: str, fps: float | None) -> None:
    frame_set = {**FRAME_SET, "resize": resize, "fps": fps}
    extract(indexed, frame_set, tmp_path / "store")
    store = FrameStore(tmp_path / "store")
    assert sorted(store.video_ids) == sorted(COUNTS)  # the broken one is passed over
    for video_id, count in COUNTS.items():
        frames = decoded(indexed.parent / video_id, frame_set)
        assert store.count(video_id) == len(frames) == (count if fps is None else -(-count * 4 // 10))
        assert store.seconds(video_id).tolist() == [frame.seconds for frame in frames]
        assert store.source(video_id).tolist() == [frame.index for frame in frames]
        for view in VIEWS:
            right = np.stack([frame.views[view] for frame in frames])
            np.testing.assert_array_equal(store.read(view, video_id, 0, len(frames)), right)
    assert store.info["frame_set"] == frame_set
    assert store.info["provenance"]["decoder"]["libavcodec"]


def test_one_decode_for_all_views(indexed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    decode = codec.decode
    monkeypatch.setattr(codec, "decode", lambda path, *rest: calls.append(path) or decode(path, *rest))
    extract(indexed, FRAME_SET, tmp_path / "store")
    assert sorted(calls) == sorted(str(indexed.parent / video_id) for video_id in COUNTS)


def test_same_videos_same_bytes(indexed: Path, tmp_path: Path) -> None:
    for name in ("one", "two", "two"):  # the second replaces what is there
        extract(indexed, FRAME_SET, tmp_path / name)
    assert file_digest(tmp_path / "one") == file_digest(tmp_path / "two")


def test_bucket_without_videos(indexed: Path, tmp_path: Path) -> None:
    empty = tmp_path / "bucket_0.parquet"
    pd.read_parquet(indexed).iloc[:0].to_parquet(empty)
    extract(empty, FRAME_SET, tmp_path / "store")
    store = FrameStore(tmp_path / "store")
    assert store.video_ids == []
    assert store.view("wide").shape == (12, 20, 3)


def nothing_left(folder: Path, before: set[str]) -> bool:
    return set(os.listdir(folder)) == before


def test_changed_video(own: Path) -> None:
    codec.encode(images(12, 7), own.parent / "b.mp4", 10)
    before = set(os.listdir(own.parent))
    with pytest.raises(ChangedVideo, match=r"'b.mp4' changed since it was indexed: .*b.mp4; run again"):
        extract(own, FRAME_SET, own.parent / "store")
    assert nothing_left(own.parent, before)


def test_touched_video_is_the_same(own: Path) -> None:
    os.utime(own.parent / "b.mp4", (0, 0))
    extract(own, FRAME_SET, own.parent / "store")
    assert FrameStore(own.parent / "store").count("b.mp4") == 12


def test_vanished_video(own: Path) -> None:
    (own.parent / "b.mp4").unlink()
    before = set(os.listdir(own.parent))
    with pytest.raises(ChangedVideo, match=r"'b.mp4' vanished since it was indexed: .*b.mp4; run again"):
        extract(own, FRAME_SET, own.parent / "store")
    assert nothing_left(own.parent, before)


@pytest.mark.parametrize(
    ("frames", "words"), [(11, "more than 11, but to 11 frames"), (13, "decodes to 12, but to 13")]
)
def test_miscounted_video(own: Path, frames: int, words: str) -> None:
    table = pd.read_parquet(own)
    table.loc[table["video_id"] == "b.mp4", "frames"] = frames
    table.to_parquet(own)
    with pytest.raises(ChangedVideo, match=words):
        extract(own, FRAME_SET, own.parent / "store")


def test_endless_decode_is_stopped(own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def endless(path: str, views: dict, *rest: object) -> Iterator[codec.Frame]:
        for index in range(10**9):
            yield codec.Frame(index, index / 10, {name: np.zeros((*size, 3), np.uint8) for name, size in views.items()})

    monkeypatch.setattr(codec, "decode", endless)
    with pytest.raises(ChangedVideo, match="more than"):
        extract(own, {**FRAME_SET, "fps": 1.0}, own.parent / "store")


def test_damaged_and_odd_files(clips: Path, tmp_path: Path) -> None:
    """Real files: a damaged one, one that is turned by its header, one whose header lies about its count."""
    names = ["decord_corrupted.mp4", "decord_video_90.mov", "exoplayer_sample.avi"]
    index_bucket(clips, names, tmp_path / "bucket_0.parquet", timeout=60)
    frame_set = {"fps": None, "resize": "pad", "views": {"frames_32": [32, 32]}}
    extract(tmp_path / "bucket_0.parquet", frame_set, tmp_path / "store")
    store = FrameStore(tmp_path / "store")
    manifest = pd.read_csv(clips / "manifest.tsv", sep="\t", quoting=3).set_index("file")["ffprobe_decoded"]
    assert {name: store.count(name) for name in names} == {name: int(manifest[name]) for name in names}
    turned = store.read("frames_32", "decord_video_90.mov", 0, 1)[0]
    assert turned[:, :4].max() == 0 and turned[:, 12:20].max() > 0  # upright: the bars are left and right


# --- full disk -------------------------------------------------------------------------------------------------------


def check_full(index: Path, out: Path) -> None:
    before = set(os.listdir(out.parent))
    with pytest.raises(OSError, match=r"no space left for the frame store .* takes up to 1 MiB: free some") as caught:
        extract(index, FRAME_SET, out)
    assert caught.value.errno in (errno.ENOSPC, errno.EFBIG)
    assert nothing_left(out.parent, before)


def test_file_size_limit(indexed: Path, tmp_path: Path) -> None:
    """The operating system refuses in the middle of a frame, for real (Python ignores the signal that goes with it)."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (5000, before[1]))
        check_full(indexed, tmp_path / "store")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("writes", [0, 3, 41, 43])
def test_full_disk(indexed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, writes: int) -> None:
    """In the first frame, in a later one, in a shard's index: 21 frames in two views are 42 writes."""
    real, count = frame_stores._write_all, iter(range(10**6))

    def limited(file: object, values: np.ndarray) -> None:
        if next(count) >= writes:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(file, values)  # type: ignore[arg-type]

    monkeypatch.setattr(frame_stores, "_write_all", limited)
    check_full(indexed, tmp_path / "store")


def test_full_disk_keeps_the_store_that_was_there(
    indexed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    extract(indexed, FRAME_SET, tmp_path / "store")
    before = file_digest(tmp_path / "store")
    test_full_disk(indexed, tmp_path, monkeypatch, 5)
    assert file_digest(tmp_path / "store") == before


# --- PNG -------------------------------------------------------------------------------------------------------------


def test_png_trees_hold_the_store(indexed: Path, tmp_path: Path) -> None:
    extract(indexed, FRAME_SET, tmp_path / "store")
    store = FrameStore(tmp_path / "store")
    for view, root in {"frames_16": "frames_16", "wide": "frames_12x20"}.items():
        folders = export_png([tmp_path / "store"], view, tmp_path / "out")
        assert folders == [tmp_path / "out" / root / video_id for video_id in store.video_ids]
        for video_id, count in COUNTS.items():
            files = sorted((tmp_path / "out" / root / video_id).iterdir())
            assert [file.name for file in files] == [f"{index:05d}.png" for index in range(count)]
            pixels = np.stack([np.asarray(Image.open(file)) for file in files])
            np.testing.assert_array_equal(pixels, store.read(view, video_id, 0, count))


def test_png_export_replaces_what_it_wrote_before(indexed: Path, tmp_path: Path) -> None:
    extract(indexed, FRAME_SET, tmp_path / "store")
    stale = tmp_path / "out/frames_16/b.mp4/99999.png"
    with OwnFolder(tmp_path / "out", "export").part("frames_16/b.mp4") as folder:
        (folder / stale.name).touch()
    export_png([tmp_path / "store"], "frames_16", tmp_path / "out")
    assert not stale.exists()


def test_png_export_of_an_unknown_view(indexed: Path, tmp_path: Path) -> None:
    extract(indexed, FRAME_SET, tmp_path / "store")
    with pytest.raises(KeyError, match="no view 'frames_17'"):
        export_png([tmp_path / "store"], "frames_17", tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("video_id", ["../b.mp4", "/b.mp4", ""])
def test_png_export_stays_in_its_folder(tmp_path: Path, video_id: str) -> None:
    with frame_stores.FrameWriter(tmp_path / "store", FRAME_SET) as writer:
        writer.start(video_id)
        writer.append({view: np.zeros((*size, 3), np.uint8) for view, size in VIEWS.items()}, 0.0, 0)
        writer.finish({})
    with pytest.raises(ValueError, match="leads out of the folder"):
        export_png([tmp_path / "store"], "wide", tmp_path / "out")


def test_views_are_plain_zarr(indexed: Path, tmp_path: Path) -> None:
    extract(indexed, FRAME_SET, tmp_path / "store")
    array = zarr.open_array(str(tmp_path / "store/views/wide"), mode="r")
    assert array.shape == (sum(COUNTS.values()), 12, 20, 3)
