"""Frame store → PNG trees, for tools that want image files: `frames_{size}/{video}/00000.png`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from PIL import Image

from framecast.core import progress
from framecast.core.own_files import OwnFolder
from framecast.stores.frames import FrameStore

COMPRESSION = 1
"""zlib's level. The pixels are the same at every level; this one is the fastest."""


def export_png(folders: Sequence[Path], view: str, out: Path) -> list[Path]:
    """Write the frames of one view of frame stores as PNG files, losslessly.

    Args:
        folders: Frame stores of buckets.
        view: View of its frame set.
        out: Folder that gets `frames_{size}/{video}/00000.png …`, numbered as in the store; size is the side of a
            square view, else `{height}x{width}`. An id with `/` gives nested folders. A video's folder is written whole
            or not at all, in place of the one that an earlier call wrote.

    Returns:
        The videos' folders.

    Raises:
        KeyError: the store has no such view.
        ValueError: a folder is no frame store, a video id leads out of `out`, or `out` holds files that no earlier
            call wrote.
    """
    own = OwnFolder(out, "export", folders)
    return [written for folder in folders for written in _export_store(folder, view, own)]


def _export_store(folder: Path, view: str, own: OwnFolder) -> list[Path]:
    store = FrameStore(folder)
    height, width, _ = store.view(view).shape
    root = f"frames_{height}" if height == width else f"frames_{height}x{width}"
    videos = progress.track(store.video_ids, f"export {folder.name}", len(store.video_ids), "video")
    return [_export_video(store, view, video_id, root, own) for video_id in videos]


def _export_video(store: FrameStore, view: str, video_id: str, root: str, own: OwnFolder) -> Path:
    parts = PurePosixPath(video_id)
    if parts.is_absolute() or ".." in parts.parts or not parts.parts:
        raise ValueError(f"video id {video_id!r} leads out of the folder {own.path / root}: rename the video")
    with own.part(str(root / parts)) as target:
        for index in range(store.count(video_id)):
            frame = store.read(view, video_id, index, index + 1)[0]
            Image.fromarray(frame).save(target / f"{index:05d}.png", compress_level=COMPRESSION)
    return own.path / root / parts
