"""Random reads from the frame store against PNG files, 224 x 224, one process, files in the page cache.

    python benchmarks/frame_reads.py [--videos FOLDER] [--containers]

Frames are decoded from real videos (FOLDER, default ../shared/clips) and written as PNG files (Pillow, its default
compression) and as a frame store with the default setting. Both sides read the same single frames, and the same clips
of 12 consecutive frames of one video, in the same random order; a repeat times one side after the other. PNG is read
with the fastest of Pillow, imageio and scikit-image. `--containers` prints the table of docs/stores.md: other
containers, chunks, codecs and readers, with bytes a frame and the CPU time of writing.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import av
import h5py
import imageio.v3
import numpy as np
import skimage.io
import tensorstore
import zarr
from PIL import Image

from framecast.stores.frames import Frames, FrameWriter

SIZE, CLIP, REPEATS = 224, 12, 7
FILES = (
    "exoplayer_sample_with_increasing_timestamps_320w_240h.mp4",
    "ffmpegpython_in1.mp4",
    "R6llTwEh07w.mp4",
    "SOX5yA1l24A.mp4",
    "mmaction2_demo.mp4",
    "v_SoccerJuggling_g23_c01.avi",
)
Read = Callable[[int, int], np.ndarray]  # first frame, number of frames → uint8 [T, H, W, 3]


@dataclass
class Side:
    """A container with one way to read it."""

    name: str
    read: Read
    bytes_a_frame: float
    write_ms: float
    """CPU time of writing, milliseconds a frame."""


def decode(folder: Path) -> list[np.ndarray]:
    """Frames of each video, uint8 [T, 224, 224, 3]."""
    videos = []
    for name in FILES:
        with av.open(str(folder / name), metadata_errors="replace") as container:
            frames = [frame.to_ndarray(format="rgb24", width=SIZE, height=SIZE) for frame in container.decode(video=0)]
        videos.append(np.stack(frames[:400]))
    return videos


def written(folder: Path, write: Callable[[], object], frames: int) -> tuple[float, float]:
    """Write; bytes and CPU milliseconds a frame."""
    start = time.process_time()
    write()
    cpu = time.process_time() - start
    size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    return size / frames, 1e3 * cpu / frames


# --- containers ------------------------------------------------------------------------------------------------------


def png(work: Path, videos: list[np.ndarray]) -> list[Side]:
    folder = work / "png"
    folder.mkdir()
    frames = [frame for video in videos for frame in video]

    def write() -> None:
        for number, frame in enumerate(frames):
            Image.fromarray(frame).save(folder / f"{number:05d}.png")

    cost = written(folder, write, len(frames))

    def reader(load: Callable[[Path], np.ndarray]) -> Read:
        return lambda start, count: np.stack([load(folder / f"{start + i:05d}.png") for i in range(count)])

    return [
        Side("PNG files, Pillow", reader(lambda path: np.asarray(Image.open(path))), *cost),
        Side("PNG files, imageio", reader(imageio.v3.imread), *cost),
        Side("PNG files, scikit-image", reader(skimage.io.imread), *cost),
    ]


def store(work: Path, videos: list[np.ndarray]) -> list[Side]:
    """The frame store, read by itself and by two Zarr libraries."""
    folder = work / "store"
    frame_set = {"fps": None, "resize": "squash", "views": {"frames_224": [SIZE, SIZE]}}

    def write() -> None:
        with FrameWriter(folder, frame_set) as writer:
            for number, video in enumerate(videos):
                writer.start(str(number))
                for index, frame in enumerate(video):
                    writer.append({"frames_224": frame}, index / 30, index)
            writer.finish({})

    cost = written(folder, write, sum(map(len, videos)))
    frames = Frames([folder], "frames_224")
    places = [(str(number), index) for number, video in enumerate(videos) for index in range(len(video))]
    array = folder / "views" / "frames_224"
    return [
        Side(
            "frame store (this library)", lambda start, count: frames.read_batch(places[start : start + count]), *cost
        ),
        Side("frame store, tensorstore", tensorstore_reader(array), *cost),
        Side("frame store, zarr-python", zarr_reader(array), *cost),
    ]


def tensorstore_reader(folder: Path) -> Read:
    spec = {"driver": "zarr3", "kvstore": {"driver": "file", "path": f"{folder}/"}}
    context = tensorstore.Context({"cache_pool": {"total_bytes_limit": 10**7}})  # keeps shard indexes, not the frames
    array = tensorstore.open({**spec, "recheck_cached_data": False}, context=context).result()
    return lambda start, count: array[start : start + count].read().result()


def zarr_reader(folder: Path) -> Read:
    array = zarr.open_array(str(folder), mode="r")
    return lambda start, count: array[start : start + count]


CODECS = {
    "uncompressed": [],
    "blosc lz4": [
        {
            "name": "blosc",
            "configuration": {"cname": "lz4", "clevel": 5, "shuffle": "noshuffle", "typesize": 1, "blocksize": 0},
        }
    ],
    "zstd 1": [{"name": "zstd", "configuration": {"level": 1, "checksum": False}}],
}


def zarr_shards(work: Path, videos: list[np.ndarray], codec: str, chunk: int, writer: str) -> list[Side]:
    """Zarr v3 shards of 512 frames, written by tensorstore or zarr-python, read by both."""
    folder, frames = work / f"zarr_{writer}_{codec}_{chunk}", np.concatenate(videos)
    inner = {
        "chunk_shape": [chunk, SIZE, SIZE, 3],
        "codecs": [{"name": "bytes"}, *CODECS[codec]],
        "index_codecs": [{"name": "bytes", "configuration": {"endian": "little"}}, {"name": "crc32c"}],
        "index_location": "end",
    }
    metadata = {
        "shape": list(frames.shape),
        "data_type": "uint8",
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [512, SIZE, SIZE, 3]}},
        "codecs": [{"name": "sharding_indexed", "configuration": inner}],
    }
    spec = {
        "driver": "zarr3",
        "kvstore": {"driver": "file", "path": f"{folder}/"},
        "metadata": metadata,
        "create": True,
    }
    array = tensorstore.open(spec).result()

    def write() -> None:
        target = zarr.open_array(str(folder), mode="r+") if writer == "zarr-python" else None
        for start in range(0, len(frames), 512):
            if target is not None:
                target[start : start + 512] = frames[start : start + 512]
            else:
                array[start : min(start + 512, len(frames))].write(frames[start : start + 512]).result()

    cost = written(folder, write, len(frames))
    name = f"Zarr shards, {codec}, chunk {chunk}, written by {writer}"
    return [
        Side(f"{name}, tensorstore", tensorstore_reader(folder), *cost),
        Side(f"{name}, zarr-python", zarr_reader(folder), *cost),
    ]


def hdf5(work: Path, videos: list[np.ndarray], compression: str | None) -> list[Side]:
    """HDF5, one frame a chunk."""
    folder, frames = work / f"hdf5_{compression}", np.concatenate(videos)
    folder.mkdir()

    def write() -> None:
        with h5py.File(folder / "frames.h5", "w") as file:
            target = file.create_dataset(
                "frames", frames.shape, "uint8", chunks=(1, SIZE, SIZE, 3), compression=compression
            )
            for index, frame in enumerate(frames):
                target[index] = frame

    cost = written(folder, write, len(frames))
    array = h5py.File(folder / "frames.h5", "r")["frames"]
    return [
        Side(
            f"HDF5, {compression or 'uncompressed'}, chunk 1", lambda start, count: array[start : start + count], *cost
        )
    ]


# --- measuring -------------------------------------------------------------------------------------------------------


def rate(read: Read, starts: np.ndarray, count: int) -> float:
    """Frames read in a second of wall time."""
    start = time.perf_counter()
    for first in starts:
        read(int(first), count)
    return len(starts) * count / (time.perf_counter() - start)


def starts(videos: list[np.ndarray], count: int, number: int, seed: int) -> np.ndarray:
    """Random first frames of clips that lie within one video."""
    ends = np.cumsum([len(video) for video in videos])
    allowed = np.concatenate(
        [np.arange(end - len(video), end - count + 1) for end, video in zip(ends, videos, strict=True)]
    )
    return np.random.default_rng(seed).choice(allowed, number)


def compare(ours: Side, other: Side, videos: list[np.ndarray], count: int) -> None:
    """Interleaved repeats; both sides, median ratio and spread."""
    pairs = []
    for repeat in range(REPEATS):
        places = starts(videos, count, 300 if count == 1 else 60, repeat)
        sides = [ours, other] if repeat % 2 else [other, ours]
        found = {side.name: rate(side.read, places, count) for side in sides}
        pairs.append((found[ours.name], found[other.name]))
    ratios = [a / b for a, b in pairs]
    left, right = np.median(pairs, axis=0)
    what = "single frames" if count == 1 else f"clips of {count} frames"
    print(
        f"{what}: {ours.name} {left:,.0f} frames/s; {other.name} {right:,.0f} frames/s; "
        f"ratio {np.median(ratios):.1f} ({min(ratios):.1f} to {max(ratios):.1f}, {REPEATS} repeats); bar 3"
    )


def table(sides: list[Side], videos: list[np.ndarray]) -> None:
    """One row a container and reader; medians over interleaved repeats."""
    found: dict[str, list[tuple[float, float]]] = {side.name: [] for side in sides}
    for repeat in range(5):
        for side in sides:
            single = rate(side.read, starts(videos, 1, 200, repeat), 1)
            found[side.name].append((single, rate(side.read, starts(videos, CLIP, 30, repeat), CLIP)))
    print("\n| container, reader | bytes a frame | writing, CPU ms a frame | single frames/s | clip frames/s |")
    print("|---|---|---|---|---|")
    for side in sides:
        single, clip = np.median(found[side.name], axis=0)
        print(f"| {side.name} | {side.bytes_a_frame:,.0f} | {side.write_ms:.2f} | {single:,.0f} | {clip:,.0f} |")


def small_batches(work: Path) -> None:
    """Batches of 32 single 64 x 64 frames of any videos, as the training of a small encoder reads them."""
    folder, frame = work / "small", np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    with FrameWriter(folder, {"fps": None, "resize": "squash", "views": {"frames_64": [64, 64]}}) as writer:
        for number in range(200):
            writer.start(str(number))
            for index in range(50):
                writer.append({"frames_64": frame}, index / 12, index)
        writer.finish({})
    frames, draw, times = Frames([folder], "frames_64"), np.random.default_rng(1), []
    for _ in range(500):
        items = [
            (str(video), int(index))
            for video, index in zip(draw.integers(0, 200, 32), draw.integers(0, 50, 32), strict=True)
        ]
        start = time.perf_counter()
        frames.read_batch(items)
        times.append(1e3 * (time.perf_counter() - start))
    spread = f"{min(times):.2f} to {max(times):.2f}, 500 batches"
    print(f"a batch of 32 single 64 x 64 frames: {np.median(times):.2f} ms ({spread})")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--videos", type=Path, default=Path(__file__).resolve().parents[2] / "shared" / "clips")
    parser.add_argument("--containers", action="store_true", help="also print the table of all containers")
    arguments = parser.parse_args()
    work = Path(tempfile.mkdtemp(prefix="frame_reads_"))
    try:
        videos = decode(arguments.videos)
        print(f"{sum(map(len, videos))} frames of {len(videos)} videos, {SIZE} x {SIZE}")
        pngs, stores = png(work, videos), store(work, videos)
        trials = [[rate(side.read, starts(videos, 1, 100, trial), 1) for side in pngs] for trial in range(5)]
        fastest = pngs[int(np.median(trials, axis=0).argmax())]
        for count in (1, CLIP):
            compare(stores[0], fastest, videos, count)
        small_batches(work)
        if arguments.containers:
            sides = [*stores, *pngs]
            sides += [side for codec in (None, "lzf", "gzip") for side in hdf5(work, videos, codec)]
            for codec in CODECS:
                for chunk in (1, 2, 4, 8):
                    sides += zarr_shards(work, videos, codec, chunk, "tensorstore")
                sides += zarr_shards(work, videos, codec, 1, "zarr-python")[:1]
            table(sides, videos)
    finally:
        shutil.rmtree(work)


if __name__ == "__main__":
    main()
