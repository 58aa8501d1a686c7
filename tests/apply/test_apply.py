"""Trained runs on a user's own files: what is found, what is written, what is refused."""

from __future__ import annotations

import csv

import numpy as np
import pytest
import torch
from PIL import Image

from framecast import cli
from framecast.apply.label import label
from framecast.apply.predict import predict
from framecast.core import own_files
from framecast.core.files import read_json, write_json
from framecast.models import unet
from framecast.pictures.masks import overlay
from framecast.tasks import segmentation
from framecast.training import runs
from framecast.video import codec
from framecast.weights import run_files, state_dict
from tests.made_runs import CLASSES, SEGMENT, SIZE, copy_of, frame_folder, made_run, pictures, unet_of


@pytest.fixture
def unet_run(tmp_path):
    return unet_of(tmp_path / "runs/unet")


@pytest.fixture
def copy_run(tmp_path):
    return copy_of(tmp_path / "runs/copy")


def masks_of(frames, run):
    """The masks of frames uint8 [T, 16, 24, 3], by the task itself."""
    record = read_json(run / run_files.RECORD)
    net = runs.build(record["spec"], record["facts"])
    state_dict.restore(net, state_dict.load(run / run_files.WEIGHTS), "")
    batch = {"frame": torch.from_numpy(np.stack(list(frames)))}
    return segmentation.predict(net.eval(), batch, torch.Generator(), {})["mask"].numpy()


def table(path):
    with open(path, encoding="utf-8", newline="") as stream:
        return list(csv.reader(stream))


# --- label -----------------------------------------------------------------------------------------------------------


def test_label_a_frame_folder_as_the_task_does(tmp_path, unet_run):
    frames = pictures(6)
    frame_folder(tmp_path / "in/a/one", frames)
    outcomes = label(unet_run, [tmp_path / "in"], tmp_path / "out", "cpu")
    found = np.load(tmp_path / "out/a/one/mask.npy")
    assert np.array_equal(found, masks_of(frames, unet_run)) and found.dtype == np.uint8
    assert len(np.unique(found)) > 1
    assert [(one.video_id, one.frames, one.status) for one in outcomes] == [("a/one", 6, "ok")]
    shown = np.stack([frame.views["full"] for frame in codec.frames(tmp_path / "out/a/one/overlay.mp4")])
    others = [overlay(frames, found, CLASSES), overlay(frames, found[::-1], CLASSES), frames]
    distances = [np.abs(shown.astype(float) - other).mean() for other in others]
    assert shown.shape == frames.shape and distances[0] < min(distances[1:]) / 1.5, distances


def test_label_a_video_at_its_own_size(tmp_path, unet_run):
    """The masks are the network's, each pixel of its view made two by two; odd sides are made even in the overlay."""
    clip = tmp_path / "clip.mp4"
    codec.encode(pictures(5, (32, 48)), clip, 10)
    folder = frame_folder(tmp_path / "odd", pictures(2, (17, 25)))
    label(unet_run, [clip, folder], tmp_path / "out", "cpu")
    small = [frame.views["view"] for frame in codec.decode(clip, {"view": SIZE}, "squash")]
    assert np.array_equal(
        np.load(tmp_path / "out/clip.mp4/mask.npy"), masks_of(small, unet_run).repeat(2, 1).repeat(2, 2)
    )
    assert codec.probe(tmp_path / "out/clip.mp4/overlay.mp4", count=True).frames == 5
    assert np.load(tmp_path / "out/odd/mask.npy").shape == (2, 17, 25)
    shown = codec.probe(tmp_path / "out/odd/overlay.mp4")
    assert (shown.height, shown.width) == (18, 26)


def test_bad_files_are_named_and_the_others_go_on(tmp_path, unet_run, capsys):
    folder = tmp_path / "in"
    frame_folder(folder / "gap", pictures(4))
    (folder / "gap/image_1.png").unlink()
    frame_folder(folder / "broken", pictures(3))
    (folder / "broken/image_2.png").write_bytes(b"no picture")
    frame_folder(folder / "good", pictures(3))
    (folder / "bad.mp4").write_bytes(b"no video")
    (folder / "text.txt").write_text("not a video")
    arguments = ["label", str(unet_run), str(folder), str(tmp_path / "gone.mp4"), "--out", str(tmp_path / "out")]
    assert cli.main([*arguments, "--device", "cpu"]) == 1
    told = capsys.readouterr()
    assert "1 of 5 videos in" in told.out and "framecast: gap: image_1.png is missing" in told.err
    rows = table(tmp_path / "out/labels.csv")
    assert rows[0] == ["video_id", "frames", "status", "reason"]
    assert {row[0]: row[2] for row in rows[1:]} == {
        "bad.mp4": "failed", "broken": "failed", "gap": "failed", "gone.mp4": "failed", "good": "ok",
    }  # fmt: skip
    reasons = {row[0]: row[3] for row in rows[1:]}
    assert "image_2.png cannot be read" in reasons["broken"] and "no such file" in reasons["gone.mp4"]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [own_files.MARKER, "good", "labels.csv"]


def test_damaged_videos_are_labelled_as_far_as_they_decode(tmp_path, unet_run):
    path = tmp_path / "cut.mp4"
    noise = np.random.default_rng(1).integers(0, 255, (20, 64, 64, 3), dtype=np.uint8)
    codec.encode(noise, path, 12)
    data = bytearray(path.read_bytes())
    data[len(data) // 2 : len(data) // 2 + 2000] = b"\xff" * 2000
    path.write_bytes(data)
    (one,) = label(unet_run, [path], tmp_path / "out", "cpu")
    assert one.status == "damaged" and one.reason and 0 < one.frames <= 20
    assert len(np.load(tmp_path / "out/cut.mp4/mask.npy")) == one.frames


def test_nothing_usable_is_an_error(tmp_path, unet_run, capsys):
    (tmp_path / "bad.mp4").write_bytes(b"no video")
    with pytest.raises(ValueError, match=r"none of 1 videos can be used. The first: bad\.mp4: "):
        label(unet_run, [tmp_path / "bad.mp4"], tmp_path / "out", "cpu")
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match=r"no video in '.*empty': neither a file"):
        label(unet_run, [tmp_path / "empty"], tmp_path / "other", "cpu")
    assert cli.main(["label", str(unet_run), str(tmp_path / "empty"), "--out", str(tmp_path / "out")]) == 1
    assert "no video in" in capsys.readouterr().err


def test_runs_of_another_kind_are_refused(tmp_path, unet_run, copy_run):
    with pytest.raises(
        ValueError, match=r"is a run of task 'future_masks' \(experiment 'copy'\); needed is one of task"
    ):
        label(copy_run, [tmp_path], tmp_path / "out")
    with pytest.raises(FileNotFoundError, match=r"has no run\.json; give the folder of a run that is done, such as"):
        label(tmp_path, [tmp_path], tmp_path / "out")
    with pytest.raises(ValueError, match="is a run of task 'segmentation'"):
        predict(unet_run, [tmp_path], tmp_path / "out")
    with pytest.raises(ValueError, match="is a run of task 'future_masks'"):
        predict(copy_run, [tmp_path], tmp_path / "out", copy_run)


def test_weights_of_another_class_count_are_refused(tmp_path, unet_run):
    record = read_json(unet_run / run_files.RECORD)
    record["spec"]["task"]["classes"] = 5
    write_json(unet_run / run_files.RECORD, record)
    with pytest.raises(ValueError, match=r"core\.readout\.weight \[9, 8, 1, 1\] instead of \[5, 8, 1, 1\]"):
        label(unet_run, [tmp_path], tmp_path / "out")


def test_a_run_that_does_not_say_how_it_resized_is_refused(tmp_path, unet_run):
    record = read_json(unet_run / run_files.RECORD)
    del record["facts"]["resize"]
    write_json(unet_run / run_files.RECORD, record)
    with pytest.raises(ValueError, match=r"does not say how frames were resized: .* train it again"):
        label(unet_run, [tmp_path], tmp_path / "out")


def test_sources_and_other_files_are_not_overwritten(tmp_path, unet_run):
    folder = frame_folder(tmp_path / "in/one", pictures(2), np.ones((2, *SIZE), np.uint8))
    for out in (tmp_path / "in", folder):
        with pytest.raises(ValueError, match="is or holds the source"):
            label(unet_run, [folder], out, "cpu")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/text.txt").write_text("mine")
    with pytest.raises(ValueError, match=r"holds files but no \.framecast_made"):
        label(unet_run, [folder], tmp_path / "mine", "cpu")
    with pytest.raises(ValueError, match="a file in its place; give a folder"):
        label(unet_run, [folder], tmp_path / "mine/text.txt", "cpu")
    twin = frame_folder(tmp_path / "other/one", pictures(2))
    with pytest.raises(ValueError, match="2 videos have the id 'one'"):
        label(unet_run, [folder, twin], tmp_path / "out", "cpu")


def test_labels_among_the_videos_are_not_labelled_again(tmp_path, unet_run):
    frame_folder(tmp_path / "in/one", pictures(2))
    for _ in range(2):
        outcomes = label(unet_run, [tmp_path / "in"], tmp_path / "in/labels", "cpu")
        assert [one.video_id for one in outcomes] == ["one"]


# --- predict ---------------------------------------------------------------------------------------------------------


def squares(count, number):
    """A square that moves on and changes its class with the video; uint8 [T, 16, 24]."""
    masks = np.zeros((count, *SIZE), np.uint8)
    for frame in range(count):
        masks[frame, 4:10, frame : frame + 6] = 1 + number
    return masks


def test_predict_from_given_masks(tmp_path, copy_run):
    for number in (2, 0, 1):
        frame_folder(tmp_path / f"in/v{number}", pictures(5), squares(5, number))
    outcomes = predict(copy_run, [tmp_path / "in"], tmp_path / "out", first=1, device="cpu")
    assert [(one.video_id, one.status) for one in outcomes] == [("v0", "ok"), ("v1", "ok"), ("v2", "ok")]
    last = np.stack([squares(5, number)[3] for number in range(3)])
    assert np.array_equal(np.load(tmp_path / "out/masks.npy"), last)
    assert table(tmp_path / "out/videos.csv") == [["row", "video_id"], ["0", "v0"], ["1", "v1"], ["2", "v2"]]
    assert np.array_equal(np.load(tmp_path / "out/v1/masks.npy"), np.stack([last[1]] * 2))
    with Image.open(tmp_path / "out/pictures/00002.png") as picture:
        assert np.array_equal(np.array(picture)[:, : SIZE[1]], pictures(5)[3])


def test_predict_from_labelled_frames(tmp_path, copy_run, unet_run):
    codec.encode(pictures(4, (32, 48)), tmp_path / "a.mp4", 10)
    folder = frame_folder(tmp_path / "b", pictures(3), squares(3, 0))
    predict(copy_run, [tmp_path / "a.mp4", folder], tmp_path / "out", unet_run, device="cpu")
    seen = [frame.views["view"] for frame in codec.decode(tmp_path / "a.mp4", {"view": SIZE}, "squash")]
    last = np.stack([masks_of(seen, unet_run)[2], masks_of(pictures(3), unet_run)[2]])
    assert np.array_equal(np.load(tmp_path / "out/masks.npy"), last)  # two sizes: at the run's own
    assert np.load(tmp_path / "out/a.mp4/masks.npy").shape == (2, 32, 48)


def test_videos_that_are_too_short_or_without_masks_are_left_out(tmp_path, copy_run, unet_run, capsys):
    frame_folder(tmp_path / "in/long", pictures(4), squares(4, 0))
    frame_folder(tmp_path / "in/short", pictures(2), squares(2, 0))
    frame_folder(tmp_path / "in/wrong", pictures(4), squares(4, CLASSES - 1))
    frame_folder(tmp_path / "in/unlabeled", pictures(4))
    codec.encode(pictures(2), tmp_path / "in/short.mp4", 10)
    run, out = str(copy_run), str(tmp_path / "out")
    assert cli.main(["predict", run, str(tmp_path / "in"), "--out", out, "--device", "cpu"]) == 1
    reasons = {row[0]: row[3] for row in table(tmp_path / "out/outcomes.csv")[1:]}
    assert reasons["long"] == "" and "--labeler RUN" in reasons["unlabeled"] and "--labeler" in reasons["short.mp4"]
    assert reasons["short"] == "too short: frames 0 to 2 are needed, and there are 2 frames"
    assert "class 9 in frame 0" in reasons["wrong"]
    assert len(np.load(tmp_path / "out/masks.npy")) == 1 and "1 of 5 videos" in capsys.readouterr().out
    outcomes = predict(copy_run, [tmp_path / "in"], tmp_path / "out", unet_run, 1, "cpu")
    assert {one.video_id for one in outcomes if one.status == "failed"} == {"short", "short.mp4"}
    with pytest.raises(ValueError, match=r"none of 2 videos can be used\. The first: short: too short: frames 0 to 2"):
        predict(copy_run, [tmp_path / "in/short", tmp_path / "in/short.mp4"], tmp_path / "new", unet_run, device="cpu")
    assert not (tmp_path / "new").exists()


def test_a_labeler_of_other_classes_is_refused(tmp_path, copy_run):
    keys = SEGMENT.model_copy(update={"classes": 5})
    other = made_run(tmp_path / "runs/other", "segmentation", keys, "unet", unet.Config(width=8, depth=2))
    with pytest.raises(ValueError, match=r"other segments into 5 classes, .*copy predicts 9; they must be equal"):
        predict(copy_run, [tmp_path], tmp_path / "out", other)
    with pytest.raises(ValueError, match="--first is -1"):
        predict(copy_run, [tmp_path], tmp_path / "out", first=-1)
