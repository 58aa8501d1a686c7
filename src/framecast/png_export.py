"""Frame store → PNG trees, for tools that want image files: `frames_{size}/{video}/00000.png`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from PIL import Image

from framecast import progress
from framecast.files import replacing
from framecast.stores.frames import FrameStore

COMPRESSION = 1
"""zlib level: about a third of the time of Pillow's 6, files a tenth larger. The pixels are the same."""


def export(folders: Sequence[Path], view: str, out: Path, video_ids: Sequence[str] | None = None) -> list[Path]:
    """Write the frames of one view as PNG files, losslessly.

    Args:
        folders: Frame stores of one frame set, one a bucket.
        view: View of the frame set.
        out: Folder that gets `frames_{size}/{video}/00000.png …`; size is the side of a square view, or
            `{height}x{width}`. A video's folder is written whole or not at all; one that exists is replaced.
        video_ids: The videos; None takes all.

    Returns:
        The videos' folders.

    Raises:
        KeyError: a video or the view is not there.
        ValueError: a video id would lead out of `out`.
    """
    stores = [FrameStore(folder) for folder in folders]
    found = {video_id: store for store in stores for video_id in store.video_ids}
    wanted = list(found) if video_ids is None else list(video_ids)
    missing = [video_id for video_id in wanted if video_id not in found]
    if missing:
        raise KeyError(
            f"no video {missing[0]!r} among {len(found)} in the frame stores ({len(missing)} asked for are missing)"
        )
    return [
        _export_video(found[video_id], view, video_id, out)
        for video_id in progress.track(wanted, "export", unit="video")
    ]


def video_folder(out: Path, size: tuple[int, int], video_id: str) -> Path:
    """Where the frames of one video go. An id with `/` becomes nested folders, as its file was."""
    parts = PurePosixPath(video_id)
    if parts.is_absolute() or ".." in parts.parts or not parts.parts:
        raise ValueError(f"video id {video_id!r} leads out of the folder {out}")
    height, width = size
    return out / (f"frames_{height}" if height == width else f"frames_{height}x{width}") / parts


def _export_video(store: FrameStore, view: str, video_id: str, out: Path) -> Path:
    height, width, _ = store.view(view).shape
    target = video_folder(out, (height, width), video_id)
    with replacing(target) as folder:
        folder.mkdir()
        for index in range(store.count(video_id)):
            frame = store.read(view, video_id, index, index + 1)[0]
            Image.fromarray(frame).save(folder / f"{index:05d}.png", compress_level=COMPRESSION)
    return target
