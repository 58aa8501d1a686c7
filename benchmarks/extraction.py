"""CPU time of extraction to 96 + 128 + 224 pixels, a source frame of 320 x 240 h264.

    python benchmarks/extraction.py [--videos FOLDER]

Against (a) one ffmpeg process for each size that writes PNG files, one thread each, and (b) one decode and three
resizes that write nothing, with PyAV alone. Extraction is the whole job: it reads the bucket's index, checks the files'
digests, decodes, resizes, writes the store and renames it. CPU time counts user and system time of the process, its
threads and its children; removing what the repeat before wrote is not counted. Repeats are interleaved; the ratio is
the median of the repeats' ratios.
"""

from __future__ import annotations

import argparse
import resource
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

import av
import imageio_ffmpeg
import numpy as np
import pandas as pd
from av.video.reformatter import Interpolation, VideoReformatter

from framecast.core.files import file_digest, remove
from framecast.data.extraction import extract

SIZES, REPEATS = (96, 128, 224), 7
FILES = ("exoplayer_sample_with_increasing_timestamps_320w_240h.mp4", "ffmpegpython_in1.mp4")
FRAME_SET = {"fps": None, "resize": "squash", "views": {f"frames_{size}": [size, size] for size in SIZES}}


def cpu_seconds() -> float:
    """User and system time of this process, its threads and its ended children."""
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def cost(work: Callable[[], object], out: Path, frames: int) -> float:
    """CPU milliseconds a source frame of writing `out` anew."""
    remove(out)
    start = cpu_seconds()
    work()
    return 1e3 * (cpu_seconds() - start) / frames


def decode_and_resize(paths: list[Path]) -> int:
    """One decode, three resizes; writes nothing. Returns the number of frames."""
    frames = 0
    for path in paths:
        scalers = [(size, VideoReformatter()) for size in SIZES]
        with av.open(str(path)) as container:
            container.streams.video[0].codec_context.thread_count = 1
            for frame in container.decode(video=0):
                for size, scaler in scalers:
                    scaler.reformat(frame, size, size, "rgb24", interpolation=Interpolation.BICUBIC, threads=1)
                frames += 1
    return frames


def png_per_size(paths: list[Path], out: Path) -> None:
    """One ffmpeg process for each size and video."""
    for path in paths:
        for size in SIZES:
            folder = out / f"frames_{size}" / path.stem
            folder.mkdir(parents=True)
            scale = ["-vf", f"scale={size}:{size}:flags=bicubic", "-fps_mode", "passthrough"]
            one_thread = ["-threads", "1", "-filter_threads", "1"]
            command = [
                imageio_ffmpeg.get_ffmpeg_exe(),
                "-v",
                "error",
                *one_thread,
                "-i",
                str(path),
                *scale,
                "-threads",
                "1",
            ]
            subprocess.run([*command, str(folder / "%05d.png")], check=True)


def write_index(paths: list[Path], counts: list[int], out: Path) -> None:
    columns = {
        "video_id": [path.stem for path in paths],
        "path": [str(path) for path in paths],
        "status": "ok",
        "frames": counts,
        "digest": [file_digest(path) for path in paths],
    }
    pd.DataFrame(columns).to_parquet(out)


def report(name: str, ours: list[float], other: list[float], ratios: list[float], bar: str) -> None:
    print(
        f"{name}: extraction {np.median(ours):.2f}, the other {np.median(other):.2f} CPU ms a frame; ratio "
        f"{np.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f}, {REPEATS} repeats); bar {bar}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--videos", type=Path, default=Path(__file__).resolve().parents[2] / "shared" / "clips")
    paths = [parser.parse_args().videos / name for name in FILES]
    work = Path(tempfile.mkdtemp(prefix="extraction_"))
    try:
        counts = [decode_and_resize([path]) for path in paths]
        frames, index, store = sum(counts), work / "bucket_0.parquet", work / "store"
        write_index(paths, counts, index)
        sides: dict[str, Callable[[], object]] = {
            "store": lambda: extract(index, FRAME_SET, store),
            "resize": lambda: decode_and_resize(paths),
            "png": lambda: png_per_size(paths, work / "png"),
        }
        sides["store"]()  # imports and page cache
        found: dict[str, list[float]] = {name: [] for name in sides}
        for repeat in range(REPEATS):
            for name in list(sides) if repeat % 2 else reversed(sides):
                found[name].append(cost(sides[name], work / name, frames))
        ours, png, bare = found["store"], found["png"], found["resize"]
        size = sum(file.stat().st_size for file in store.rglob("*") if file.is_file())
        print(
            f"{frames} source frames of {len(paths)} videos; sizes {SIZES}; {size / frames:,.0f} bytes a source frame"
        )
        report("one ffmpeg process a size, PNG", ours, png, [b / a for a, b in zip(ours, png, strict=True)], ">= 4")
        report("decode + three resizes", ours, bare, [a / b for a, b in zip(ours, bare, strict=True)], "<= 1.3")
    finally:
        shutil.rmtree(work)


if __name__ == "__main__":
    main()
