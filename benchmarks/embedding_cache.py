"""Throughput of the embedding cache against the bare network's forward pass on the same batches in memory.

    python benchmarks/embedding_cache.py [--repeats 5] [--threads 2]

The cache reads a frame store, prepares pixels, runs the network, collects and writes the file; the bare side runs the
network alone on batches that were prepared before. Both sides alternate; the ratio of frames per second is the median
over the repeats. Bar: 0.95. Networks have random weights: speed does not depend on them.
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
import torch
from transformers import Dinov2Config, Dinov2Model

from framecast import encoding, hub
from framecast.encoders import dino
from framecast.stores.frames import FrameStore, FrameWriter

# name: (view's side, frames, batch, settings of the network)
SMALL = {"hidden_size": 384, "num_attention_heads": 6, "num_hidden_layers": 12, "patch_size": 14, "image_size": 518}
TINY = {"hidden_size": 128, "num_attention_heads": 4, "num_hidden_layers": 3, "patch_size": 16, "image_size": 64}
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
            report(name, *compare(Path(folder), arguments.repeats, *case))


def compare(
    folder: Path, repeats: int, side: int, frames: int, batch: int, settings: dict[str, int]
) -> tuple[list[float], list[float]]:
    """Frames per second of the cache and of the bare network, one each a repeat."""
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
    pairs = [(frames / seconds(cache), frames / seconds(bare)) for _ in range(repeats)]
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


def seconds(call: Callable[[], None]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def report(name: str, cache: list[float], bare: list[float]) -> None:
    ratios = [one / other for one, other in zip(cache, bare, strict=True)]
    ours, theirs, ratio = (statistics.median(values) for values in (cache, bare, ratios))
    spread = f"{min(ratios):.3f} to {max(ratios):.3f}, {len(ratios)} repeats"
    print(
        f"{name}: cache {ours:.0f} frames/s, bare network {theirs:.0f} frames/s, ratio {ratio:.3f} ({spread}); bar 0.95"
    )


if __name__ == "__main__":
    main()
