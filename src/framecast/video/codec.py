"""Probe, decode, encode: the only place that touches PyAV and ffmpeg.

What is honoured: the display matrix (quarter turns and mirrors; other angles are not turned), the sample aspect ratio,
full- and limited-range YUV, the colour matrix, chroma siting, bit depths above 8 (scaled to 8). What is not done: no
deinterlacing, no tone mapping of HDR, no interpolation of frames. Transparent pixels are laid over white.

A damaged packet is skipped and noted, and decoding goes on, as `ffmpeg` does. Decoding runs on one thread: it gives
the same frames at every load, loses none after an error, and costs the least CPU time a frame (docs/benchmarks.md).
"""

from __future__ import annotations

import math
import os
import struct
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.video.reformatter import ColorRange, Colorspace, Interpolation, VideoReformatter

from framecast.core.files import replacing

RESIZES = ("squash", "crop", "pad")
USUAL_RATES = [Fraction(n) for n in (10, 12, 15, 24, 25, 30, 48, 50, 60, 120)]
USUAL_RATES += [Fraction(n, 1001) for n in (12000, 15000, 24000, 30000, 48000, 60000, 120000)]
PLAUSIBLE_RATES = (Fraction(1, 10), Fraction(480))  # frames/s; headers outside are placeholders (flv and mkv: 1000)
ROUNDING = 1e-3  # s; containers that store milliseconds put a frame up to this much before its true time
MAX_COMPLAINTS = 20
PLAYLISTS = {"concat", "dash", "hls", "imf"}  # they would stand for files that have rows of their own


class VideoError(ValueError):
    """A file that gives no frame, with a reason that a reader of the rejected table understands."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One decoded frame in all its views."""

    index: int
    """Number of the frame in decoding output order, 0-based, dropped frames counted."""
    seconds: float
    """Time since the first decoded frame, s."""
    views: dict[str, np.ndarray]
    """View name to uint8 [H, W, 3], RGB, contiguous."""


@dataclass(frozen=True)
class Probe:
    """What a file says about itself and, where it was decoded, what is true."""

    container: str
    """Name of the demuxer, for example `mov,mp4,m4a,3gp,3g2,mj2`."""
    codec: str
    pix_fmt: str
    coded_width: int
    coded_height: int
    """Size of the decoded picture, pixels."""
    width: int
    height: int
    """Size as shown: widened by the sample aspect ratio, then turned; pixels."""
    sar: Fraction
    """Width of a pixel over its height; 1 where the file does not say."""
    rotation: int
    """Clockwise turn that showing the picture takes: 0, 90, 180 or 270 degrees."""
    fps: Fraction
    """Frames/s. The header's average, guessed or nominal rate, the first that the decoded times confirm within 1 %;
    else a usual rate that they confirm; else the measured one. Without counting: the header's first plausible one."""
    vfr: bool
    """Whether the rate varies: more than one distance in twenty is off the median by more than a tenth (and by more
    than the container rounds)."""
    audio: str | None
    """Codec of the first audio stream."""
    header_frames: int | None
    """Frames that the header promises."""
    header_seconds: float | None
    """Duration that the header promises, s."""
    frames: int
    """Decoded frames (1 where only the first was asked for)."""
    start: float | None
    """Timestamp of the first decoded frame, s."""
    seconds: float
    """Duration of the decoded frames, from the first to the end of the last, s."""
    complaints: list[str] = field(default_factory=list)
    """What demuxer and decoder complained of, at most 20 entries."""


# --- reading ---------------------------------------------------------------------------------------------------------


class _Clock:
    """Times that always rise, s since the first frame, from timestamps that may be missing, wrong or jump back.

    AVI stores no presentation times: there the decoding times of the frames, in output order, are the right ones. Else
    the choice follows libavcodec's `guess_correct_pts`: presentation times, unless they are wrong more often.
    """

    def __init__(self, step: float, trust_dts: bool) -> None:
        self.step = step
        self.trust_dts = trust_dts
        self.start: float | None = None
        self.wrong = {"pts": 0, "dts": 0}
        self.last: dict[str, int] = {}
        self.origin: float | None = None
        self.now = -math.inf

    def _note(self, name: str, value: int | None) -> None:
        if value is not None:
            self.wrong[name] += value <= self.last.get(name, value - 1)
            self.last[name] = value

    def seconds(self, pts: int | None, dts: int | None, time_base: Fraction) -> float:
        self._note("pts", pts)
        self._note("dts", dts)
        pts_wins = not self.trust_dts and self.wrong["pts"] <= self.wrong["dts"]
        stamp = pts if pts is not None and (dts is None or pts_wins) else dts
        absolute = None if stamp is None else float(stamp * time_base)
        if self.origin is None:
            self.start = absolute
            self.origin = absolute or 0.0
            self.now = 0.0
            return self.now
        expected = self.now + self.step
        if absolute is not None and absolute - self.origin < self.now - 1:
            self.origin = absolute - expected  # the clock was set back: streams were joined
        now = expected if absolute is None else absolute - self.origin
        self.now = now if now > self.now else expected
        return self.now


class _Reader:
    """An open video file: its stream and its decoded frames with their times."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = os.fspath(path)
        self.complaints: list[str] = []
        # `file:` keeps a name with a colon from being read as an address; the whitelist keeps a playlist that poses as
        # a video from opening others.
        self.container = av.open(
            f"file:{self.path}", metadata_errors="ignore", container_options={"protocol_whitelist": "file"}
        )
        try:
            self.stream = _video_stream(self.container)
            self.stream.codec_context.thread_count = 1
            self.sar = _plausible_sar(self.stream.sample_aspect_ratio)
            self.rate = _header_rate(self.stream)
        except BaseException:
            self.container.close()
            raise
        self.clock = _Clock(float(1 / self.rate), trust_dts=self.container.format.name == "avi")

    def __enter__(self) -> _Reader:
        return self

    def __exit__(self, *_: object) -> None:
        self.container.close()

    def complain(self, error: Exception) -> None:
        if len(self.complaints) < MAX_COMPLAINTS:
            self.complaints.append(getattr(error, "strerror", None) or str(error))

    def frames(self) -> Iterator[tuple[av.VideoFrame, float]]:
        """Decoded frames and their times, s since the first; damaged packets are skipped and noted."""
        for packet in self._packets():
            try:
                pictures = self.stream.decode(packet)
            except (av.FFmpegError, EOFError) as error:
                self.complain(error)
                continue
            for picture in pictures:
                yield picture, self.clock.seconds(picture.pts, picture.dts, self.stream.time_base)

    def _packets(self) -> Iterator[av.Packet | None]:
        """Packets of the stream, then None, which flushes the decoder; a read error ends the file, as in ffmpeg."""
        try:
            for packet in self.container.demux(self.stream):
                if packet.size:
                    yield packet
        except av.FFmpegError as error:
            self.complain(error)
        yield None


def _video_stream(container: Any) -> Any:
    if container.format.name in PLAYLISTS:
        raise VideoError(f"a list of other files ({container.format.name}) and no video")
    streams = [s for s in container.streams.video if not s.disposition & av.stream.Disposition.attached_pic]
    if not streams:
        others = ", ".join(f"{s.type} only: {s.codec_context.name}" for s in container.streams.audio[:1])
        raise VideoError(f"no video stream ({others or 'no audio either'})")
    best = container.streams.best("video")
    stream = best if best in streams else streams[0]
    if stream.codec_context is None:
        raise VideoError("no decoder for the video stream's codec")
    return stream


def _plausible_sar(sar: Fraction | None) -> Fraction:
    return sar if sar and Fraction(1, 10) <= sar <= 10 else Fraction(1)


def _header_rate(stream: Any) -> Fraction:
    low, high = PLAUSIBLE_RATES
    rates = [Fraction(rate) for rate in (stream.average_rate, stream.guessed_rate, stream.base_rate) if rate]
    return next((rate for rate in rates if low <= rate <= high), Fraction(25))


# --- geometry --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Turn:
    """How a stored picture becomes the shown one: rows and columns swapped, then mirrored."""

    swap: bool = False
    flip_x: bool = False
    flip_y: bool = False

    @classmethod
    def of(cls, picture: av.VideoFrame) -> _Turn:
        """From the display matrix (ISO 14496-12, 6.2.2): x' = a·x + c·y, y' = b·x + d·y; 16.16 numbers."""
        side: Any = picture.side_data.get("DISPLAYMATRIX")
        if side is None:
            return cls()
        a, b, _, c, d = struct.unpack("=9i", bytes(side))[:5]
        if abs(a) >= abs(b):
            return cls(False, a < 0, d < 0)
        return cls(True, c < 0, b < 0)

    @property
    def degrees(self) -> int:
        """The clockwise turn in it, mirrors left out."""
        if self.swap:
            return 90 if self.flip_x else 270
        return 180 if self.flip_y else 0

    def size(self, width: int, height: int) -> tuple[int, int]:
        return (height, width) if self.swap else (width, height)

    def apply(self, image: np.ndarray) -> np.ndarray:
        """uint8 [H, W, 3] → uint8 [H', W', 3], contiguous."""
        if self.swap:
            image = image.swapaxes(0, 1)
        image = image[:: -1 if self.flip_y else 1, :: -1 if self.flip_x else 1]
        return np.ascontiguousarray(image)


def shown_size(width: int, height: int, sar: Fraction) -> tuple[int, int]:
    """(width, height) with square pixels: the width is stretched, the height stays."""
    return max(1, round(width * sar)), height


@dataclass(frozen=True)
class _Fit:
    """One view: the size that the stored picture is scaled to, and where it lies in the (unturned) view."""

    scaled: tuple[int, int]  # width, height
    view: tuple[int, int]  # width, height

    @classmethod
    def of(cls, stored: tuple[int, int], view: tuple[int, int], sar: Fraction, resize: str) -> _Fit:
        if resize == "squash":
            return cls(view, view)
        width, height = stored[0] * sar, Fraction(stored[1])
        ratios = (view[0] / width, view[1] / height)
        ratio = max(ratios) if resize == "crop" else min(ratios)
        return cls((max(1, round(width * ratio)), max(1, round(height * ratio))), view)

    def cut(self, image: np.ndarray) -> np.ndarray:
        """uint8 [H, W, 3] of size `scaled` → size `view`: the centre cut out, or black bars added."""
        if self.scaled == self.view:
            return image
        (w, h), (width, height) = self.scaled, self.view
        left, top = max(0, (w - width) // 2), max(0, (h - height) // 2)
        image = image[top : top + height, left : left + width]
        if image.shape[:2] == (height, width):
            return image
        canvas = np.zeros((height, width, 3), np.uint8)
        top, left = (height - image.shape[0]) // 2, (width - image.shape[1]) // 2
        canvas[top : top + image.shape[0], left : left + image.shape[1]] = image
        return canvas


def _rgb(scaler: VideoReformatter, picture: av.VideoFrame, size: tuple[int, int]) -> np.ndarray:
    """Scale and convert in one step of swscale → uint8 [H, W, 3], a view of the frame's memory (rows may be padded)."""
    frame = scaler.reformat(
        picture, width=size[0], height=size[1], format="rgb24", interpolation=Interpolation.BICUBIC, threads=1
    )
    return _pixels(frame, 3)


def _pixels(frame: av.VideoFrame, channels: int) -> np.ndarray:
    """The one packed plane of a frame as uint8 [H, W, C], without a copy."""
    plane: Any = frame.planes[0]
    rows = np.frombuffer(plane, np.uint8).reshape(frame.height, plane.line_size)
    return rows[:, : frame.width * channels].reshape(frame.height, frame.width, channels)


def _opaque(picture: av.VideoFrame) -> av.VideoFrame:
    """Lay a picture with an alpha channel over white, before it is scaled: hidden colours must not bleed in."""
    if not any(component.is_alpha for component in picture.format.components):
        return picture
    image = _pixels(picture.reformat(format="rgba", threads=1), 4)
    colour, alpha = image[..., :3].astype(np.uint32), image[..., 3:].astype(np.uint32)
    over = ((colour * alpha + 255 * (255 - alpha) + 127) // 255).astype(np.uint8)
    return av.VideoFrame.from_ndarray(over, format="rgb24")


# --- decode ----------------------------------------------------------------------------------------------------------


class Ticks:
    """Which frames to keep for a lower rate: the first at or after each tick k/fps. No frame is kept twice."""

    def __init__(self, fps: float | None) -> None:
        self.fps = fps
        self.next = 0

    def keeps(self, seconds: float) -> bool:
        if self.fps is None:
            return True
        tick = math.floor((seconds + ROUNDING) * self.fps)
        if tick < self.next:
            return False
        self.next = tick + 1
        return True


def decode(
    path: str | os.PathLike[str],
    views: Mapping[str, tuple[int, int]],
    resize: str,
    fps: float | None = None,
    complaints: list[str] | None = None,
) -> Iterator[Frame]:
    """Decode a video once and yield its frames in every view.

    views: name → (height, width), pixels, of the shown picture (turned, square pixels).
    resize: `squash` ignores the aspect ratio, `crop` cuts the centre, `pad` adds black bars; bicubic (swscale).
    fps: frames/s to keep, by dropping: the first frame at or after each tick k/fps since the first frame, where a frame
    up to 1 ms early counts as on time (containers round). A slower video keeps all its frames. None keeps all.
    complaints: where given, the decoder's complaints are appended.
    Errors: VideoError for a file without video stream, av.FFmpegError for one that cannot be opened, ValueError for an
    unknown policy or an empty size.
    """
    if resize not in RESIZES:
        raise ValueError(f"resize is {resize!r}; allowed: {', '.join(RESIZES)}")
    if fps is not None and not fps > 0:
        raise ValueError(f"fps is {fps!r}: give a number above 0, or null for every frame")
    for name, size in views.items():
        if len(size) != 2 or min(size) < 1:
            raise ValueError(f"view {name!r} is {tuple(size)}: needs (height, width), both at least 1 pixel")
    return _decode(path, views, resize, fps, complaints)


def _decode(
    path: str | os.PathLike[str],
    views: Mapping[str, tuple[int, int]],
    resize: str,
    fps: float | None,
    complaints: list[str] | None,
) -> Iterator[Frame]:
    scalers = {name: VideoReformatter() for name in views}
    fits: dict[tuple[str, int, int], _Fit] = {}
    ticks = Ticks(fps)
    turn: _Turn | None = None
    with _Reader(path) as reader:
        if complaints is not None:
            reader.complaints = complaints
        for index, (picture, seconds) in enumerate(reader.frames()):
            turn = turn or _Turn.of(picture)
            if not ticks.keeps(seconds):
                continue
            picture = _opaque(picture)
            images = {}
            for name, (height, width) in views.items():
                key = (name, picture.width, picture.height)  # a stream may change its size on the way
                if key not in fits:
                    stored = (picture.width, picture.height)
                    fits[key] = _Fit.of(stored, turn.size(width, height), reader.sar, resize)
                fit = fits[key]
                images[name] = turn.apply(fit.cut(_rgb(scalers[name], picture, fit.scaled)))
            yield Frame(index, seconds, images)


def frames(path: str | os.PathLike[str], fps: float | None = None) -> Iterator[Frame]:
    """Every frame at its shown size (of the first frame), as the one view `full`. See `decode`."""
    found = probe(path)
    return decode(path, {"full": (found.height, found.width)}, "squash", fps)


# --- probe -----------------------------------------------------------------------------------------------------------


def probe(path: str | os.PathLike[str], count: bool = False) -> Probe:
    """Read the header and the first frame, or with `count` decode the whole file: headers lie about counts.

    Errors: VideoError where there is no video stream or nothing decodes (the reason names the decoder's complaint),
    av.FFmpegError where the file cannot be opened.
    """
    with _Reader(path) as reader:
        first: av.VideoFrame | None = None
        last: av.VideoFrame | None = None
        times: list[float] = []
        for picture, seconds in reader.frames():
            first, last = first or picture, picture
            times.append(seconds)
            if not count:
                break
        if first is None or last is None:
            raise VideoError(
                ": ".join([f"no frame of the {_codec(reader.stream)} stream decodes", *reader.complaints[:1]])
            )
        return _describe(reader, first, last, times)


def _codec(stream: Any) -> str:
    return str(stream.codec_context.codec.canonical_name)


def _describe(reader: _Reader, first: av.VideoFrame, last: av.VideoFrame, times: list[float]) -> Probe:
    turn = _Turn.of(first)
    width, height = turn.size(*shown_size(first.width, first.height, reader.sar))
    container, stream = reader.container, reader.stream
    fps, vfr, end = _measured_rate(reader, times, last)
    return Probe(
        container=container.format.name,
        codec=_codec(stream),
        pix_fmt=first.format.name,
        coded_width=first.width,
        coded_height=first.height,
        width=width,
        height=height,
        sar=reader.sar,
        rotation=turn.degrees,
        fps=fps,
        vfr=vfr,
        audio=next((_codec(s) for s in container.streams.audio if s.codec_context is not None), None),
        header_frames=stream.frames or None,
        header_seconds=None if container.duration is None else container.duration / av.time_base,
        frames=len(times),
        start=reader.clock.start,
        seconds=end,
        complaints=reader.complaints,
    )


def _measured_rate(reader: _Reader, times: list[float], last: av.VideoFrame) -> tuple[Fraction, bool, float]:
    """The rational rate that the decoded times confirm, whether it varies, and the duration, s."""
    stream = reader.stream
    gaps = [later - earlier for earlier, later in pairwise(times)]
    gap = float(np.median(gaps)) if gaps else float(1 / reader.rate)
    shown = float((last.duration or 0) * stream.time_base)  # flv and mkv write one tick where they do not know
    end = times[-1] + (shown if gap / 2 < shown < gap * 2 else gap)
    if not gaps:
        return reader.rate, False, end
    slack = max(0.1 * gap, 2 * ROUNDING, float(stream.time_base) if stream.time_base > 2 * ROUNDING else 0.0)
    vfr = sum(abs(other - gap) > slack for other in gaps) > len(gaps) / 20
    header = [Fraction(rate) for rate in (stream.average_rate, stream.guessed_rate, stream.base_rate) if rate]
    # The mean first, for a varying rate; the median gap second, for a constant one of which frames are missing.
    for measured, candidates in ((len(times) / end, header), (1 / gap, header), (1 / gap, USUAL_RATES)):
        near = [rate for rate in candidates if abs(rate / Fraction(measured) - 1) <= Fraction(1, 100)]
        if near and (candidates is header or not vfr):
            return near[0], vfr, end
    return Fraction(len(times) / end).limit_denominator(1001), vfr, end


# --- encode ----------------------------------------------------------------------------------------------------------


def encode(
    images: Iterable[np.ndarray],
    path: str | os.PathLike[str],
    fps: Fraction | int | float,
    *,
    crf: int = 18,
    preset: str = "veryfast",
    pix_fmt: str = "yuv420p",
) -> int:
    """Write frames as one H.264 video; equal frames give equal bytes. Returns the number of frames.

    images: uint8 [H, W, 3], RGB, all of one size, both sides even for yuv420p. fps: exact where it is a Fraction.
    crf: x264's quality, 0 (lossless) … 51; preset: x264's speed. The container follows the path's suffix. The file
    appears whole or not at all. Runs in this process: 8 ms for 50 frames of 64×96, against 20 ms for an ffmpeg process.
    """
    path = Path(path)
    count = 0
    with replacing(path) as temporary, _writer(temporary) as container:
        rate = Fraction(fps).limit_denominator(1001 * 1000)
        stream: Any = None
        scaler = VideoReformatter()
        for image in images:
            if stream is None:
                stream = _h264_stream(container, path, image, rate, crf, preset, pix_fmt)
            if image.shape != (stream.height, stream.width, 3) or image.dtype != np.uint8:
                raise ValueError(
                    f"{path}: frame {count} is {image.dtype} {image.shape}; "
                    f"all frames must be uint8 {(stream.height, stream.width, 3)} as the first"
                )
            picture = scaler.reformat(
                av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24"),
                format=pix_fmt,
                interpolation=Interpolation.BICUBIC | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INP,
                dst_colorspace=Colorspace.ITU601,
                dst_color_range=ColorRange.MPEG,
                threads=1,
            )
            picture.pts, picture.time_base = count, stream.codec_context.time_base
            container.mux(stream.encode(picture))
            count += 1
        if stream is None:
            raise ValueError(f"{path}: no frame to write; a video needs at least one")
        container.mux(stream.encode(None))
    return count


def _writer(path: Path) -> Any:
    return av.open(f"file:{path}", "w", container_options={"fflags": "+bitexact"})


def _h264_stream(
    container: Any, path: Path, image: np.ndarray, fps: Fraction, crf: int, preset: str, pix_fmt: str
) -> Any:
    height, width = image.shape[:2]
    if pix_fmt == "yuv420p" and (height % 2 or width % 2):
        raise ValueError(f"{path}: {width}×{height} is odd; yuv420p needs even sides: pad a pixel or take yuv444p")
    # x264's macroblock tree reads memory that it has not set: equal frames then gave several files.
    options = {"crf": str(crf), "preset": preset, "x264-params": "no-mbtree=1", "flags": "+bitexact"}
    stream = container.add_stream("libx264", rate=fps, options=options)
    stream.width, stream.height, stream.pix_fmt = width, height, pix_fmt
    context = stream.codec_context
    context.thread_count = 1
    context.time_base = 1 / fps
    context.color_range, context.colorspace = int(ColorRange.MPEG), 6  # 6: SMPTE 170M, which BT.601 is
    return stream
