"""A video as a folder of numbered pictures, image_0.png, image_1.png …, and its class masks, mask.npy.

Pictures are decoded and scaled by `framecast.video.codec`, so a frame gives the same views whether it lies in a file or
in a folder. Pictures say nothing of time: the source's frame rate counts the timestamps off.
"""

from __future__ import annotations

import dataclasses
import os
import re
import zipfile
from collections.abc import Iterator, Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from framecast.core import files
from framecast.video import codec
from framecast.video.codec import Frame, Probe, VideoError
from framecast.video.listing import MASKS, is_picture

PICTURE = re.compile(r"image_(0|[1-9][0-9]*)\.png")
NAMED = 5
"""Pictures that an error names before it counts the rest."""


def probe(folder: Path, video_id: str, rules: Mapping[str, Any]) -> Probe:
    """Decode every picture and check the masks.

    Args:
        folder: The video.
        video_id: Its path below the source's; the first folder in it decides what is wanted.
        rules: Of the source: frames (first folder → number of frames), labelled (first folders with masks), classes
            (values of a mask), fps.

    Raises:
        VideoError: frames are missing or too many, a picture cannot be read or has another size than the first, or
            the masks are not those of the frames. The text names the file, its value and what is allowed.
        OSError: the folder cannot be read.
    """
    first = video_id.partition("/")[0]
    if first not in rules["frames"]:
        raise VideoError(f"folder {first!r} is not among those of the source's `frames`: {', '.join(rules['frames'])}")
    count = rules["frames"][first]
    found = _describe(folder, _numbered(folder, count, first), rules["fps"])
    if first in rules["labelled"]:
        read_masks(folder, (count, found.coded_height, found.coded_width), rules["classes"])
    return found


def probe_any(folder: Path, fps: float) -> Probe:
    """As `probe`, where nothing says how many pictures there must be: they go from image_0.png on without a gap.

    Raises:
        VideoError: a number is missing, or a picture cannot be read or has another size than the first.
        OSError: the folder cannot be read.
    """
    names = _in_order(folder)
    missing = next((index for index, name in enumerate(names) if name != f"image_{index}.png"), None)
    if missing is not None or not names:
        raise VideoError(f"image_{missing or 0}.png is missing: pictures are numbered from 0 on without a gap")
    return _describe(folder, names, fps)


def decode(
    folder: Path, rate: float, views: Mapping[str, tuple[int, int]], resize: str, fps: float | None = None
) -> Iterator[Frame]:
    """The pictures in every view, in order of their numbers, as `framecast.video.codec.decode` gives a file's frames.

    rate: frames/s of the folder. views: name → (height, width), pixels. resize, fps: as there.

    Raises:
        VideoError, av.FFmpegError: a picture cannot be read. ValueError: an unknown policy or an empty size.
    """
    ticks = codec.Ticks(fps)
    for index, name in enumerate(_in_order(folder)):
        if not ticks.keeps(index / rate):
            continue
        frame = next(codec.decode(folder / name, views, resize), None)
        if frame is None:
            raise VideoError(f"{name} cannot be read: no picture decodes")
        yield dataclasses.replace(frame, index=index, seconds=index / rate)


def digest(folder: Path) -> str:
    """SHA-256 of the names and bytes of the pictures. Masks are not in it: equal frames are found with and without."""
    return files.digest(*(part for name in _pictures(folder) for part in (name, files.file_digest(folder / name))))


def measure(folder: Path) -> dict[str, Any]:
    """digest (of the pictures), bytes and mtime_ns (the newest) of pictures and masks."""
    members = [folder / name for name in _pictures(folder)]
    members += [path for path in [folder / MASKS] if path.exists()]
    states = [path.stat() for path in [folder, *members]]
    return {
        "digest": digest(folder),
        "bytes": sum(state.st_size for state in states[1:]),
        "mtime_ns": max(state.st_mtime_ns for state in states[1:] or states),
    }


def read_masks(folder: Path, shape: tuple[int, int, int], classes: int) -> np.ndarray:
    """The class masks of a folder, uint8 [T, H, W], 0 to `classes` − 1; `shape` is that of its frames.

    Raises:
        VideoError: the file is missing, cannot be read, or has another type, shape or class than the frames allow.
    """
    masks = _load(folder / MASKS)
    if masks.dtype != np.uint8:
        raise VideoError(f"{MASKS} is {masks.dtype}; it must be uint8")
    if masks.shape != shape:
        raise VideoError(
            f"{MASKS} is {list(masks.shape)}; it must be {list(shape)}: frames, height and width of the pictures"
        )
    masks = np.array(masks)
    if masks.max() >= classes:
        frame = int(np.argmax(masks.max(axis=(1, 2)) >= classes))
        raise VideoError(
            f"{MASKS} holds class {masks[frame].max()} in frame {frame}; classes are 0 to {classes - 1} "
            "(the source's `classes`)"
        )
    return masks


def _load(path: Path) -> np.ndarray:
    """Mapped, so that type and shape are checked before a size that the header invents is read."""
    try:
        masks = np.load(path, mmap_mode="r", allow_pickle=False)
    except FileNotFoundError:
        raise VideoError(f"{path.name} is missing: videos of this folder are labelled") from None
    except (ValueError, EOFError, OverflowError, zipfile.BadZipFile) as error:
        reason = str(error).partition(". ")[0]  # a second sentence tells how to load pickles all the same
        raise VideoError(f"{path.name} cannot be read: {reason}") from error
    if not isinstance(masks, np.ndarray):
        raise VideoError(f"{path.name} is an archive of arrays; it must be one array (numpy.save)")
    return masks


# --- pictures --------------------------------------------------------------------------------------------------------


def _pictures(folder: Path) -> list[str]:
    return sorted(name for name in os.listdir(folder) if is_picture(name))


def _in_order(folder: Path) -> list[str]:
    """The pictures by number: image_2.png before image_10.png."""
    names = _pictures(folder)
    matches = [PICTURE.fullmatch(name) for name in names]
    strays = [name for name, match in zip(names, matches, strict=True) if match is None]
    if strays:
        raise VideoError(f"{_some(strays)}: pictures are named image_0.png, image_1.png … image_10.png …")
    return sorted(names, key=lambda name: (len(name), name))  # as numbers: none has a leading zero


def _numbered(folder: Path, count: int, first: str) -> list[str]:
    """The pictures by number, image_0.png to image_{count − 1}.png."""
    names = _in_order(folder)
    right = [f"image_{index}.png" for index in range(count)]
    there, wanted = set(names), set(right)
    missing, excess = [name for name in right if name not in there], [name for name in names if name not in wanted]
    if not missing and not excess:
        return names
    wrong = [f"{len(names)} frames instead of {count} (the source's `frames` for {first!r})"] * (len(names) != count)
    wrong += [f"{_some(missing)} {'is' if len(missing) == 1 else 'are'} missing"] * bool(missing)
    wrong += [f"{_some(excess)} {'is' if len(excess) == 1 else 'are'} too many"] * bool(excess)
    raise VideoError("; ".join(wrong))


def _picture(path: Path) -> Probe:
    try:
        found = codec.probe(path, count=True)
    except VideoError as error:
        raise VideoError(f"{path.name} cannot be read: {error}") from error
    except av.FFmpegError as error:
        raise VideoError(f"{path.name} cannot be read: {error.strerror}") from error
    if found.codec != "png" or found.frames != 1:
        raise VideoError(f"{path.name} holds {found.frames} frames of codec {found.codec}; it must be one PNG picture")
    return found


def _check_sizes(pictures: Mapping[str, Probe]) -> None:
    sizes = {name: f"{picture.coded_height}x{picture.coded_width}" for name, picture in pictures.items()}
    first = next(iter(sizes))
    for name, size in sizes.items():
        if size != sizes[first]:
            raise VideoError(f"{name} is {size} pixels, {first} is {sizes[first]}: frames of a video have one size")


def _describe(folder: Path, names: list[str], fps: float) -> Probe:
    """Decode the named pictures; they are one video."""
    pictures = [_picture(folder / name) for name in names]
    _check_sizes(dict(zip(names, pictures, strict=True)))
    rate = Fraction(fps).limit_denominator(1001)
    return dataclasses.replace(
        pictures[0],
        container="frame folder",
        fps=rate,
        frames=len(pictures),
        seconds=float(len(pictures) / rate),
        complaints=[text for picture in pictures for text in picture.complaints],
    )


def _some(names: list[str]) -> str:
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more
