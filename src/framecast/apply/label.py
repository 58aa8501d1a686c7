"""A trained segmentation on one's own videos: the class masks of every frame, and the masks over the video.

from framecast.apply.label import label
label(Path("results/runs/unet/seed_0"), [Path("videos")], Path("labels"))

labels/{video id}/mask.npy       uint8 [T, H, W] at the video's own size, 0 background
labels/{video id}/overlay.mp4    the frames with their masks in fixed colours
labels/labels.csv                video_id, frames, status, reason: one line a file
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import torch

from framecast.apply._runs import Trained, running, trained
from framecast.apply._sources import Clip, Journal, Outcome, Views, find
from framecast.core import progress
from framecast.core.own_files import OwnFolder
from framecast.pictures.masks import overlay
from framecast.stores.masks import resized
from framecast.tasks import segmentation
from framecast.video import codec
from framecast.video.codec import VideoError

TABLE = "labels.csv"


def label(run: Path, sources: list[Path], out: Path, device: str = "auto") -> list[Outcome]:
    """Segment every frame of every video; a video that cannot be read is named in the table, and the others go on.

    Args:
        run: Folder of a run of task `segmentation`. Frames are brought to its view as its own were.
        sources: Video files, frame folders (image_0.png …), or folders that are searched for both.
        out: Folder to write. A video's own folder in it is whole or absent, and replaces that of an earlier call.
        device: `auto`, `cpu`, `cuda` or `mps`.

    Returns:
        What stands in labels.csv.

    Raises:
        OSError, ValueError: the run cannot be used; there is no video, or none that can be read; `out` holds files that
            no earlier call wrote.
    """
    segmenter, clips = trained(Path(run), "segmentation"), find(sources, out)
    own = OwnFolder(out, "label", [run, *(clip.path for clip in clips)])
    own.claim([TABLE])
    with Journal(own.path / TABLE) as journal, running(segmenter, device) as place:
        for clip in progress.track(clips, "label", len(clips), "video"):
            journal.add(_labelled(clip, segmenter, place, own))
        return journal.check()


def segmented(frames: np.ndarray, segmenter: Trained, place: torch.device) -> np.ndarray:
    """Frames uint8 [B, h, w, 3] of the run's size → classes uint8 [B, h, w]."""
    batches = torch.from_numpy(frames).split(segmenter.budget.batch)
    found = [
        segmentation.predict(segmenter.network, {"frame": batch.to(place)}, torch.Generator(), {})["mask"].cpu()
        for batch in batches
    ]
    return torch.cat(found).numpy()


def _labelled(clip: Clip, segmenter: Trained, place: torch.device, own: OwnFolder) -> Outcome:
    """Write the folder of one video."""
    masks: list[np.ndarray] = []
    complaints: list[str] = []
    try:
        size, fps = clip.size, clip.fps
        with own.part(clip.video_id) as folder:
            pictures = _overlays(clip, segmenter, place, masks, complaints)
            frames = codec.encode(pictures, folder / "overlay.mp4", fps)
            _write(masks, (frames, *size), folder / "mask.npy")
    except (VideoError, av.FFmpegError) as error:
        return Outcome(clip.video_id, sum(map(len, masks)), "failed", str(error))
    return Outcome(clip.video_id, frames, "damaged" if complaints else "ok", "; ".join(complaints))


def _overlays(
    clip: Clip, segmenter: Trained, place: torch.device, masks: list[np.ndarray], complaints: list[str]
) -> Iterator[np.ndarray]:
    """The frames with their masks over them, uint8 [H, W, 3] with even sides; adds the masks [B, h, w] to `masks`."""
    even = (clip.size[0] + clip.size[0] % 2, clip.size[1] + clip.size[1] % 2)
    frames = clip.decode({"seen": segmenter.size, "shown": even}, segmenter.resize, complaints)
    for batch in _batched(frames, segmenter.budget.batch):
        masks.append(segmented(np.stack([views["seen"] for views in batch]), segmenter, place))
        shown = resized(masks[-1], *even)
        for views, mask in zip(batch, shown, strict=True):
            yield overlay(views["shown"], mask, segmenter.classes)


def _batched(frames: Iterator[Views], count: int) -> Iterator[list[Views]]:
    while batch := list(itertools.islice(frames, count)):
        yield batch


def _write(masks: list[np.ndarray], shape: tuple[int, int, int], path: Path) -> None:
    """Masks [B, h, w] one after another at the video's own size, batch by batch: a long video does not fit whole."""
    file = np.lib.format.open_memmap(path, "w+", np.uint8, shape)
    start = 0
    for batch in masks:
        file[start : start + len(batch)] = resized(batch, *shape[1:])
        start += len(batch)
    file.flush()
