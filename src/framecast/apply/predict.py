"""A trained prediction of future masks on one's own videos.

from framecast.apply.predict import predict
predict(Path("results/runs/simvp_tuned/seed_0"), [Path("videos")], Path("future"), Path("results/runs/unet/seed_0"))

future/masks.npy                 uint8 [videos, H, W], the last mask predicted of each video
future/videos.csv                row, video_id
future/{video id}/masks.npy      uint8 [ahead, H, W] at the video's own size
future/pictures/                 last frame given, last mask predicted, and that over the frame
future/outcomes.csv              video_id, frames, status, reason: one line a file
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from framecast.apply._runs import Trained, running, trained
from framecast.apply._sources import Clip, Journal, Outcome, find, too_short
from framecast.apply.label import segmented
from framecast.core import progress
from framecast.core.own_files import OwnFolder
from framecast.pictures.submission import write_last
from framecast.stores.masks import resized
from framecast.tasks import future_masks
from framecast.video import frame_folders
from framecast.video.codec import VideoError
from framecast.video.listing import MASKS

TABLE = "outcomes.csv"


def predict(
    run: Path, sources: list[Path], out: Path, labeler: Path | None = None, first: int = 0, device: str = "auto"
) -> list[Outcome]:
    """Predict the masks after frames first … first + given − 1 of every video, with the task's default inference.

    Args:
        run: Folder of a run of task `future_masks`, which says how many frames are `given` and how many `ahead`.
        sources: Video files, frame folders (image_0.png …), or folders that are searched for both.
        out: Folder to write; what an earlier call wrote is replaced once this one is done.
        labeler: Folder of a run of task `segmentation` that makes masks of frames; null takes the mask.npy of frame
            folders.
        first: Number of the first frame given, from 0.
        device: `auto`, `cpu`, `cuda` or `mps`.

    Returns:
        What stands in outcomes.csv. A video that is too short, without masks or not readable is left out.

    Raises:
        OSError, ValueError: a run cannot be used, or the two have other numbers of classes; there is no video, or none
            that can be used; `out` holds files that no earlier call wrote.
    """
    if first < 0:
        raise ValueError(f"--first is {first}; the number of the first frame given is 0 or more")
    forecaster = trained(Path(run), "future_masks")
    segmenter = None if labeler is None else trained(Path(labeler), "segmentation")
    if segmenter is not None and segmenter.classes != forecaster.classes:
        raise ValueError(
            f"{labeler} segments into {segmenter.classes} classes, {run} predicts {forecaster.classes}; they must be "
            "equal: name the run whose masks it was trained on"
        )
    clips, others = find(sources, out), [] if segmenter is None else [segmenter]
    networks = [run] if labeler is None else [run, labeler]
    with OwnFolder(out, "predict", [*networks, *(clip.path for clip in clips)]).whole() as folder:
        with Journal(folder / TABLE) as journal, running(forecaster, device, *others) as place:
            _Forecast(forecaster, segmenter, first, place).write(clips, journal, folder)
        return journal.outcomes


@dataclass(frozen=True)
class _Forecast:
    """One call: the two runs, the frames that are given, and where networks run."""

    forecaster: Trained
    segmenter: Trained | None
    first: int
    place: torch.device

    @property
    def given(self) -> int:
        return int(self.forecaster.task["given"])

    def write(self, clips: list[Clip], journal: Journal, out: Path) -> None:
        """Predict batch by batch; each video's masks are written at once, those of all when the last one is done."""
        usable = self._usable(progress.track(clips, "predict", len(clips), "video"), journal)
        done: list[Clip] = []
        last: list[np.ndarray] = []
        while batch := list(itertools.islice(usable, self.forecaster.budget.batch)):
            found = self._predicted(np.stack([given for _, given in batch]))
            for (clip, _), masks in zip(batch, found, strict=True):
                _write_video(clip, masks, out)
            done += [clip for clip, _ in batch]
            last += list(found[:, -1])
        journal.check()
        sizes = {clip.size for clip in done}
        write_last(
            out,
            [clip.video_id for clip in done],
            np.stack(last),
            sizes.pop() if len(sizes) == 1 else self.forecaster.size,
            self.forecaster.classes,
            lambda place: self._frames(done[place], self.forecaster, self.first + self.given - 1, 1)[0],
        )

    def _usable(self, clips: Iterable[Clip], journal: Journal) -> Iterator[tuple[Clip, np.ndarray]]:
        """Videos with their given masks, uint8 [T, h, w] at the run's size; the others are noted and passed over."""
        for clip in clips:
            try:
                masks = resized(self._masks(clip), *self.forecaster.size)
            except (VideoError, OSError) as error:
                journal.add(Outcome(clip.video_id, 0, "failed", str(error)))
                continue
            journal.add(Outcome(clip.video_id, len(masks), "ok"))
            yield clip, masks

    def _masks(self, clip: Clip) -> np.ndarray:
        """The given masks, made of the frames or read.

        Raises:
            VideoError: there are none, or too few.
        """
        if self.segmenter is not None:
            frames = self._frames(clip, self.segmenter, self.first, self.given)
            return segmented(frames, self.segmenter, self.place)
        if not (clip.path / MASKS).is_file():
            raise VideoError(f"it has no {MASKS}; name a run that segments its frames, --labeler RUN")
        if clip.probe.frames < self.first + self.given:
            raise too_short(self.first, self.given, clip.probe.frames)
        masks = frame_folders.read_masks(clip.path, (clip.probe.frames, *clip.size), self.forecaster.classes)
        return masks[self.first : self.first + self.given]

    def _frames(self, clip: Clip, run: Trained, first: int, count: int) -> np.ndarray:
        return clip.frames(run.size, run.resize, first, count)

    def _predicted(self, given: np.ndarray) -> np.ndarray:
        """Masks given [B, T, h, w] → masks ahead [B, T', h, w]."""
        batch = {"given": torch.from_numpy(given).to(self.place)}
        inference = future_masks.Inference().model_dump(mode="json")
        found = future_masks.predict(self.forecaster.network, batch, torch.Generator(), inference)
        return found["mask"].cpu().numpy()


def _write_video(clip: Clip, masks: np.ndarray, out: Path) -> None:
    (out / clip.video_id).mkdir(parents=True, exist_ok=True)
    np.save(out / clip.video_id / "masks.npy", resized(masks, *clip.size))
