"""Throughput of the embedding cache against the bare network's forward pass on the same batches in memory.

    python benchmarks/embedding_cache.py [--repeats 5] [--threads 2]

The cache reads a frame store, prepares pixels, runs the network, collects and writes the file; the bare side runs the
network alone on batches that were prepared before. Both sides alternate; the ratio of frames per second is the median
over the repeats, and so is that of CPU time, which other work on the machine hardly changes. Bar: 0.95. Networks have
random weights: speed does not depend on them.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

import framecast  # noqa: F401  before torch: OpenMP's threads wait as they do in jobs

# isort: split
import torch
from transformers import Dinov2Config, Dinov2Model

from framecast.encoders import dino, encoding
from framecast.stores.frames import FrameStore, FrameWriter
from framecast.weights import hub

# name: (view's side, frames, batch, settings of the network)
SMALL = {"hidden_size": 384, "num_attention_heads": 6, "num_hidden_layers": 12, "patch_size": 14, "image_size": 518}
TINY = {"hidden_size": 128, "num_attention_heads": 4, "num_hidden_layers": 3, "patch_size": 16, "image_size": 64}
Side = list[tuple[float, float]]  # wall and CPU seconds of each repeat
CASES = {
    "DINOv2-small at 98²": (98, 160, 32, SMALL),
    "tiny encoder at 64²": (64, 6400, 64, {**TINY, "mlp_ratio": 2}),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    for name, case in CASES.items():
        with tempfile.TemporaryDirectory() as folder:
            report(name, case[1], *compare(Path(folder), arguments.repeats, *case))


def compare(
    folder: Path, repeats: int, side: int, frames: int, batch: int, settings: dict[str, int]
) -> tuple[Side, Side]:
    """Times of the cache and of the bare network."""
    weights, store = network(folder / "weights", settings), frame_store(folder / "frames", side, frames)
    entry = {"kind": "dino", "hub": weights, "revision": None, "frames": "f", "view": "v", "pool": "cls"}
    entry |= {"batch": batch, "precision": "float32", "store": "float32"}
    encoder, bare_network = dino.load(weights, None), hub.load(Dinov2Model, Path(weights))
    batches = encoding.frame_batches(FrameStore(store), "v", batch)
    prepared = [(torch.from_numpy(part).permute(0, 3, 1, 2).contiguous() / 255 - 0.45) / 0.22 for part in batches]

    def cache() -> None:
        encoding.write(FrameStore(store), encoder, entry, weights, folder / "out.h5", "cpu")

    @torch.inference_mode()
    def bare() -> None:
        for pixels in prepared:
            bare_network(pixel_values=pixels)

    cache(), bare()  # warm
    pairs = [(seconds(cache), seconds(bare)) for _ in range(repeats)]
    return [pair[0] for pair in pairs], [pair[1] for pair in pairs]


def network(folder: Path, settings: dict[str, int]) -> str:
    Dinov2Model(Dinov2Config(**settings)).save_pretrained(folder)
    pixels = {"image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225], "rescale_factor": 1 / 255}
    (folder / "preprocessor_config.json").write_text(json.dumps(pixels))
    return str(folder)


def frame_store(folder: Path, side: int, frames: int) -> Path:
    generator = np.random.default_rng(0)
    with FrameWriter(folder, {"views": {"v": [side, side]}}) as writer:
        for index in range(frames):
            if index % 50 == 0:  # videos of 50 frames: batches cross their borders
                writer.start(f"v{index}.mp4")
            writer.append({"v": generator.integers(0, 256, (side, side, 3), np.uint8)}, index / 12, index)
        writer.finish({})
    return folder


def seconds(call: Callable[[], None]) -> tuple[float, float]:
    """Wall and CPU seconds, the latter of all threads."""
    wall, cpu = time.perf_counter(), time.process_time()
    call()
    return time.perf_counter() - wall, time.process_time() - cpu


def report(name: str, frames: int, cache: Side, bare: Side) -> None:
    print(f"{name}, {len(cache)} repeats; bar 0.95")
    for clock, ours, theirs in zip(("wall", "CPU"), zip(*cache, strict=True), zip(*bare, strict=True), strict=True):
        ratios = sorted(other / one for one, other in zip(ours, theirs, strict=True))
        rates = [frames / statistics.median(times) for times in (ours, theirs)]
        print(
            f"  {clock} time: cache {rates[0]:.0f} frames/s, bare network {rates[1]:.0f} frames/s, "
            f"ratio {statistics.median(ratios):.3f} ({ratios[0]:.3f} to {ratios[-1]:.3f})"
        )


if __name__ == "__main__":
    main()
