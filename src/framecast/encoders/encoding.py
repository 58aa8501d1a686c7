"""Frames → embeddings: one pass over a bucket's frame store, the reader and the writer beside the network's work."""

from __future__ import annotations

import contextlib
import importlib
import itertools
import math
import queue
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from framecast.core import devices, files, precision, progress, provenance
from framecast.stores.embeddings import EmbeddingWriter
from framecast.stores.frames import FrameStore

if TYPE_CHECKING:
    from framecast.encoders._image import FrameEncoder

T = TypeVar("T")
SCIENTIFIC = ("kind", "hub", "revision", "experiment", "seed", "frames", "view", "at", "pool", "precision", "store")
"""Keys of an encoder's config that decide the numbers; `batch` is not one."""
AHEAD = 3
"""Batches that are read while the network works on one."""


def encode(frames: Path, encoder: dict[str, Any], weights: str, out: Path, device: str) -> None:
    """Encode every frame of one bucket, or those that the encoder's `at` names.

    Args:
        frames: The bucket's frame store.
        encoder: An entry of the config's `encoders`.
        weights: Hub name, or a folder in the hub's format.
        out: HDF5 file that is written (`framecast.stores.embeddings`), whole or not at all.
        device: `auto`, `cpu`, `cuda` or `mps`.

    Raises:
        WeightsError: the weights cannot be used.
        ValueError: the view does not suit the network, the device lacks the precision, or an embedding is not finite.
        OutOfMemory: names the keys to change.
    """
    device = devices.choose(device)
    store = FrameStore(frames)
    network = load(encoder, weights).to(device)
    write(store, network, encoder, weights, out, device)


def write(
    store: FrameStore, network: FrameEncoder, encoder: dict[str, Any], weights: str, out: Path, device: str
) -> None:
    """Encode a store with a network that is loaded already; see `encode`."""
    size = store.view(encoder["view"]).shape[:2]
    network.check_size(*size)
    shape = network.shape(*size)
    at = encoder.get("at")
    counts = [len(encoded(store.count(video_id), at)) for video_id in store.video_ids]
    keys = {f"encoders.{key}": encoder[key] for key in ("batch", "precision", "view")}
    chosen = precision.choose(encoder["precision"], device)
    precision.check(chosen, device, "encoders.precision")
    settings = {key: encoder.get(key) for key in SCIENTIFIC} | {"precision": chosen}
    with (
        files.replacing(out) as temporary,
        EmbeddingWriter(temporary, store.video_ids, counts, math.prod(shape), encoder["store"]) as writer,
        devices.memory_advice(keys, device),
    ):
        batches = prefetched(frame_batches(store, encoder["view"], encoder["batch"], at), AHEAD)
        total = -(-sum(counts) // encoder["batch"])
        embedded = embed(network, batches, chosen, device)
        for rows in progress.track(embedded, f"encode {store.folder.name}", total, "batch"):
            writer.append(rows)
        identity = files.digest(network.identity, files.canonical(settings), files.canonical(store.info["frame_set"]))
        settings["shape"] = list(shape)
        writer.finish(identity, settings, provenance.record(weights=weights, network=network.identity, device=device))


def load(encoder: dict[str, Any], weights: str) -> FrameEncoder:
    """The encoder of a config entry, from `framecast.encoders.<kind>`."""
    module = importlib.import_module(f"framecast.encoders.{encoder['kind']}")
    return module.load(weights, encoder["revision"], encoder["pool"])


def encoded(count: int, at: list[int] | None) -> Sequence[int]:
    """Numbers of the frames that are encoded of a video with `count` frames."""
    return range(count) if at is None else [number for number in at if number < count]


def frame_batches(store: FrameStore, view: str, size: int, at: list[int] | None = None) -> Iterator[np.ndarray]:
    """The encoded frames of a store in order, uint8 [≤ size, H, W, 3]; batches cross the borders of videos.

    Frames that follow each other in the store are read at once, others are not read.
    """
    reader = store.view(view)
    wanted = ((video_id, number) for video_id in store.video_ids for number in encoded(store.count(video_id), at))
    places = np.array([store.position(*one) for one in wanted], dtype=np.int64)
    for start in range(0, len(places), size):
        part = places[start : start + size]
        batch = np.empty((len(part), *reader.shape), dtype=np.uint8)
        bounds = [0, *(np.flatnonzero(np.diff(part) != 1) + 1).tolist(), len(part)]
        for first, stop in itertools.pairwise(bounds):
            reader.read_run(int(part[first]), batch[first:stop])
        yield batch


def embed(network: FrameEncoder, batches: Iterator[np.ndarray], arithmetic: str, device: str) -> Iterator[np.ndarray]:
    """Embeddings float32 [B, D] of each batch, in order, computed in `float32`, `bf16` or `fp16`.

    One batch is in flight: where work is queued on a device, the next is queued before the last result is awaited.
    """
    import torch

    waiting: torch.Tensor | None = None
    for batch in batches:
        frames = torch.from_numpy(batch)
        if device == "cuda":
            frames = frames.pin_memory()
        with precision.mixed(arithmetic, device):
            following = network.encode(frames.to(device, non_blocking=True))
        if waiting is not None:
            yield waiting.cpu().numpy()
        waiting = following
    if waiting is not None:
        yield waiting.cpu().numpy()


def prefetched(items: Iterator[T], ahead: int) -> Iterator[T]:
    """The same items, produced by a thread that runs up to `ahead` items in front. Its errors are raised here."""
    results: queue.Queue[tuple[bool, Any]] = queue.Queue(ahead)
    stopped = threading.Event()

    def work() -> None:
        try:
            for item in items:
                _offer(results, (True, item), stopped)
                if stopped.is_set():
                    return
            _offer(results, (False, None), stopped)
        except BaseException as error:
            _offer(results, (False, error), stopped)

    thread = threading.Thread(target=work, name="prefetch", daemon=True)
    thread.start()
    try:
        while (result := results.get())[0]:
            yield result[1]
        if result[1] is not None:
            raise result[1]
    finally:
        stopped.set()
        thread.join()


def _offer(results: queue.Queue[Any], item: Any, stopped: threading.Event) -> None:
    """Put an item into a bounded queue, giving up when nobody takes items any more."""
    while not stopped.is_set():
        with contextlib.suppress(queue.Full):
            results.put(item, timeout=0.1)
            return
