"""Segmentation and future masks: clips, where masks come from, losses, roll-outs, scores, submissions."""

from __future__ import annotations

import csv
import functools

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from framecast.config.base import Budget, Settings
from framecast.core.files import read_json
from framecast.core.needs import Needs, SourceExperiment
from framecast.core.seeding import torch_generator
from framecast.metrics import corpus_iou, family, iou, part
from framecast.models import copy_last_mask, simvp, unet
from framecast.ops.masks import seen
from framecast.pictures.masks import palette
from framecast.prediction import inference, scoring
from framecast.stores import Stores, predictions
from framecast.stores.frames import FrameWriter
from framecast.stores.masks import Masks, MaskWriter, PredictedMasks
from framecast.tasks import future_masks, segmentation
from framecast.training import loop
from framecast.weights import run_files
from tests import startup

torch.set_num_threads(1)
HEIGHT, WIDTH, CLASSES = 16, 24, 9
SPLITS = {"train": 4, "unlabeled": 3, "select": 2, "test": 3, "hidden": 2}
FRAME_SET = {"fps": None, "resize": "squash", "views": {"small": [HEIGHT, WIDTH]}}
SEGMENT = segmentation.Config(frames="native", view="small", classes=CLASSES, brightness=0.0).model_dump(mode="json")
SMALL = {"frames": "native", "view": "small", "classes": CLASSES, "given": 3, "ahead": 2, "colours": 4}
FUTURE = future_masks.Config(**SMALL).model_dump(mode="json")
LABELS = {"source": {"experiment": "unet", "seed": None}, "unlabeled": ["unlabeled"], "inputs": "predicted"}
SIMVP = simvp.Config(channels=4, hid_s=4, hid_t=8, n_s=2, n_t=2, mlp_ratio=2)
UNET = unet.Config(width=8, depth=3)


def moving_square(number: int, frames: int) -> np.ndarray:
    """A square of class 1 + number % 8 that moves one pixel a frame; uint8 [T, H, W]."""
    masks = np.zeros((frames, HEIGHT, WIDTH), np.uint8)
    for frame in range(frames):
        left = (3 * number + frame) % (WIDTH - 5)
        masks[frame, 4 + number % 6 : 10 + number % 6, left : left + 6] = 1 + number % 8
    return masks


@pytest.fixture
def stores(tmp_path):
    """14 videos; those of `unlabeled` and `hidden` have no masks, and hidden ones have 3 frames."""
    rows, videos = [], {}
    for split, count in SPLITS.items():
        for _ in range(count):
            number = len(rows)
            video_id = f"{split}/video {number:02d}"
            videos[video_id] = moving_square(number, 3 if split == "hidden" else 6 + number % 2)
            rows.append({"video_id": video_id, "split": split, "unit": video_id, "height": 32, "width": 48})
    pd.DataFrame(rows).to_parquet(tmp_path / "samples.parquet")
    frames, masks = tmp_path / "frames", tmp_path / "masks.h5"
    frames.mkdir()
    with FrameWriter(frames, FRAME_SET) as frame_writer, MaskWriter(masks, HEIGHT, WIDTH) as mask_writer:
        for video_id, clip in videos.items():
            frame_writer.start(video_id)
            for number, mask in enumerate(clip):
                frame_writer.append({"small": palette(CLASSES)[mask]}, number / 10, number)
            if video_id.split("/")[0] not in ("unlabeled", "hidden"):
                mask_writer.append(video_id, clip)
        frame_writer.finish({})
    files = {split: labelled(tmp_path, split, videos) for split in SPLITS}
    return Stores(tmp_path / "samples.parquet", {"native": [frames]}, {}, [masks], predictions={"unet": files})


def labelled(folder, split, videos):
    """Predictions as a segmentation writes them; recognisable, because class 8 stands in a corner."""
    path = folder / f"{split}.h5"
    chosen = {name: clip.copy() for name, clip in videos.items() if name.startswith(f"{split}/")}
    names = [f"{name}#{frame}" for name, clip in chosen.items() for frame in range(len(clip))]
    masks = np.concatenate(list(chosen.values()))
    masks[:, 0, 0] = 8
    predictions.write(path, {"mask": masks}, names, names, {})
    return path


def segmenter(dataset, config=SEGMENT):
    torch.manual_seed(0)
    return segmentation.build(config, segmentation.facts(config, dataset), functools.partial(unet.build, UNET))


def forecaster(config, dataset, model=simvp, keys=SIMVP):
    torch.manual_seed(0)
    return future_masks.build(config, future_masks.facts(config, dataset), functools.partial(model.build, keys))


def generator(seed=0):
    return torch_generator(seed, "test")


def everything(dataset):
    return dataset.__getitems__(list(range(len(dataset))))


# --- segmentation ----------------------------------------------------------------------------------------------------


def test_frames_meet_their_masks(stores):
    dataset = segmentation.dataset(SEGMENT, stores, "train")
    batch = everything(dataset)
    assert batch["sample_id"][:2] == ["train/video 00#0", "train/video 00#1"] and len(dataset) == 6 + 7 + 6 + 7
    assert np.array_equal(batch["frame"], palette(CLASSES)[batch["mask"].numpy()])


def test_training_crops_hold_objects(stores):
    dataset = segmentation.dataset({**SEGMENT, "crop": [8, 8]}, stores, "train")
    batch = everything(dataset)
    frames, masks = segmentation._cropped(batch["frame"].movedim(-1, 1), batch["mask"], (8, 8), generator())
    assert frames.shape == (len(dataset), 3, 8, 8) and masks.shape == (len(dataset), 8, 8)
    assert np.array_equal(frames.movedim(1, -1), palette(CLASSES)[masks.numpy()])
    assert (masks > 0).flatten(1).any(1).float().mean() > 0.95
    with pytest.raises(ValueError, match=r"crop \[20, 8\] .* \[16, 24\]"):
        segmentation.dataset({**SEGMENT, "crop": [20, 8]}, stores, "train")


def test_videos_without_masks_are_predicted_and_not_scored(stores):
    dataset = segmentation.dataset(SEGMENT, stores, "unlabeled")
    batch = everything(dataset)
    assert "mask" not in batch
    found = segmentation.predict(segmenter(dataset), batch, generator(), {})
    assert found["mask"].shape == (len(dataset), HEIGHT, WIDTH) and found["mask"].dtype == torch.uint8
    with pytest.raises(ValueError, match="videos without masks"):
        segmentation.score(SEGMENT, None, dataset)


def test_training_needs_masks(stores):
    with pytest.raises(ValueError, match=r"'train': none of its 4 videos has masks"):
        segmentation.dataset(SEGMENT, Stores(stores.samples, stores.frames), "train")


def test_a_frame_set_that_drops_frames_is_refused(stores, tmp_path):
    with MaskWriter(tmp_path / "longer.h5", HEIGHT, WIDTH) as writer:
        writer.append("test/video 09", moving_square(9, 40))
    with pytest.raises(ValueError, match=r"'test/video 09' has 40 masks but 7 frames .* fps: null"):
        segmentation.dataset(SEGMENT, Stores(stores.samples, stores.frames, masks=[tmp_path / "longer.h5"]), "test")


@pytest.mark.parametrize(("task", "config"), [(segmentation, SEGMENT), (future_masks, FUTURE)])
def test_a_frame_set_that_cuts_frames_is_refused(stores, tmp_path, task, config):
    with FrameWriter(tmp_path / "cut", {**FRAME_SET, "resize": "crop"}) as writer:
        writer.finish({})
    cut = Stores(stores.samples, {"native": [tmp_path / "cut"]}, {}, stores.masks)
    with pytest.raises(ValueError, match="frame set 'native' has resize: crop, and masks are squashed"):
        task.dataset(config, cut, "test")


def test_one_frame_of_each_video(stores):
    config = {**SEGMENT, "at": 4}
    assert everything(segmentation.dataset(config, stores, "test"))["sample_id"] == [
        "test/video 09#4", "test/video 10#4", "test/video 11#4",
    ]  # fmt: skip
    assert segmentation.samples(config) == future_masks.samples(FUTURE) != segmentation.samples({**config, "at": 3})
    assert segmentation.samples(SEGMENT) is None
    with pytest.raises(ValueError, match="at = 9, but the longest video has 7 frames"):
        segmentation.dataset({**SEGMENT, "at": 9}, stores, "test")


def test_masks_of_another_size_are_brought_to_the_view(stores, tmp_path):
    with MaskWriter(tmp_path / "double.h5", 2 * HEIGHT, 2 * WIDTH) as writer:
        writer.append("test/video 09", moving_square(9, 7).repeat(2, 1).repeat(2, 2))
    masks = Masks([tmp_path / "double.h5"])
    dataset = segmentation.dataset(SEGMENT, stores, "test")
    dataset.masks = masks
    assert np.array_equal(dataset.mask("test/video 09", 2), moving_square(9, 7)[2])


def test_it_learns_what_colours_say(stores):
    dataset = segmentation.dataset({**SEGMENT, "overlap": 0.5}, stores, "train")
    net = segmenter(dataset, {**SEGMENT, "overlap": 0.5})
    optimiser = torch.optim.Adam(net.parameters(), 0.01)
    batch = everything(dataset)
    for step in range(120):
        parts = segmentation.loss(net, batch, generator(step), 0.0)
        optimiser.zero_grad()
        parts["loss"].backward()
        optimiser.step()
    assert set(parts) == {"loss", "cross_entropy", "overlap"}
    net.eval()
    found = segmentation.monitor(net, batch, generator())
    assert found["iou"].mean() > 0.9
    totals = {name: found[name].sum(0) for name in ("shared", "union")}
    assert segmentation.summarise(totals)["iou_corpus"] == pytest.approx(
        corpus_iou(found["shared"].numpy(), found["union"].numpy())
    )


# --- clips -----------------------------------------------------------------------------------------------------------


def test_training_clips_are_all_windows_and_evaluated_ones_the_first(stores):
    clips = future_masks.dataset(FUTURE, stores, "train")
    assert len(clips) == 2 + 3 + 2 + 3
    batch = clips.__getitems__([1])
    assert batch["sample_id"] == ["train/video 00#5"]
    assert np.array_equal(batch["given"][0], moving_square(0, 6)[1:4])
    assert np.array_equal(batch["ahead"][0], moving_square(0, 6)[4:6])
    assert len(future_masks.dataset({**FUTURE, "stride": 2}, stores, "train")) == 1 + 2 + 1 + 2
    assert everything(future_masks.dataset(FUTURE, stores, "test"))["sample_id"] == [
        "test/video 09#4", "test/video 10#4", "test/video 11#4",
    ]  # fmt: skip


def test_predicted_masks_stand_in_where_config_says(stores):
    config = {**FUTURE, **LABELS}
    clips = future_masks.dataset(config, stores, "train")
    batch = everything(clips)
    labelled = [name.startswith("unlabeled/") for name in batch["sample_id"]]
    assert sum(labelled) == 2 + 3 + 2 and len(labelled) == 17
    corners = batch["given"][:, :, 0, 0].amax(1) == 8
    assert corners.tolist() == labelled  # given masks where there are some, predicted ones elsewhere
    batch = everything(future_masks.dataset(config, stores, "test"))
    assert (batch["given"][:, :, 0, 0] == 8).all() and (batch["ahead"][:, :, 0, 0] == 0).all()
    assert (everything(future_masks.dataset(FUTURE, stores, "test"))["given"][:, :, 0, 0] == 0).all()


def test_hidden_videos_have_no_future(stores):
    clips = future_masks.dataset({**FUTURE, **LABELS}, stores, "hidden")
    batch = everything(clips)
    assert "ahead" not in batch and batch["sample_id"] == ["hidden/video 12#4", "hidden/video 13#4"]
    with pytest.raises(ValueError, match=r"'hidden' holds videos without masks, and inputs is 'given'"):
        future_masks.dataset(FUTURE, stores, "hidden")
    with pytest.raises(ValueError, match="need 4 frames, and the longest video has 3"):
        future_masks.dataset({**FUTURE, **LABELS, "given": 4}, stores, "hidden")


def test_needs_name_the_source_and_its_splits():
    assert future_masks.needs(FUTURE) == Needs(frames=(("native", "small"),), masks=True)
    source = SourceExperiment("unet", None, train=("unlabeled",), select=True, evaluate=True)
    assert future_masks.needs({**FUTURE, **LABELS}).sources == (source,)


def test_a_class_that_the_task_does_not_have_is_named(stores):
    with pytest.raises(ValueError, match=r"'train/video 03' holds class 4; the task's classes = 4 allows 0 to 3"):
        everything(future_masks.dataset({**FUTURE, "classes": 4}, stores, "train"))


def test_selection_needs_truth(stores):
    dataset = segmentation.dataset(SEGMENT, stores, "unlabeled")
    with pytest.raises(ValueError, match="`select` split holds videos without masks"):
        segmentation.monitor(segmenter(dataset), everything(dataset), generator())
    clips = future_masks.dataset({**FUTURE, **LABELS}, stores, "unlabeled")
    with pytest.raises(ValueError, match="`select` split holds videos without masks"):
        future_masks.monitor(forecaster(FUTURE, clips), everything(clips), generator())


def test_a_segmenter_names_the_video_with_an_unknown_class(stores):
    dataset = segmentation.dataset({**SEGMENT, "classes": 4}, stores, "train")
    with pytest.raises(ValueError, match=r"'train/video 03', frame 0, holds class 4; .* allows 0 to 3"):
        everything(dataset)


def test_predictions_that_skip_frames_are_no_source(stores, tmp_path):
    path = tmp_path / "last.h5"
    predictions.write(path, {"mask": np.zeros((2, 4, 4), np.uint8)}, ["a#0", "a#2"], ["a", "a"], {})
    with pytest.raises(ValueError, match=r"do not hold its frames in order .* 'a#2'"):
        PredictedMasks(path)


# --- losses and roll-outs --------------------------------------------------------------------------------------------


def test_loss_is_the_plain_cross_entropy(stores):
    config = {**FUTURE, "flip": False, "colours": 0, "last_weight": 3.0}
    dataset = future_masks.dataset(config, stores, "train")
    net, batch = forecaster(config, dataset).eval(), everything(dataset)
    found = future_masks.loss(net, batch, generator(), 0.0)["loss"]
    with torch.no_grad():
        logits = net.core(batch["given"])  # [B, T', K, H, W]
    errors = torch.nn.functional.cross_entropy(
        logits.flatten(0, 1), batch["ahead"].flatten(0, 1).long(), reduction="none"
    ).mean((1, 2))
    weights = torch.tensor([1.0, 3.0]).repeat(len(logits))
    assert found.item() == pytest.approx((errors * weights).sum().item() / weights.sum().item(), rel=1e-5)


def test_colours_and_mirrors_are_drawn_for_each_clip(stores):
    dataset = future_masks.dataset(FUTURE, stores, "train")
    clip = everything(dataset)["given"]
    changed = future_masks._augmented(clip, FUTURE, generator())
    assert torch.equal(future_masks._augmented(clip, FUTURE, generator()), changed)
    assert ((changed > 0).sum((2, 3)) == (clip > 0).sum((2, 3))).all()
    assert len({tuple(found.flatten().tolist()) for found in changed}) > len(clip) / 2
    kinds = [(set(((one[one > 0].long() - 1) // 4).tolist())) for one in (clip, changed)]
    assert kinds[0] == kinds[1]
    still = {**FUTURE, "flip": False, "colours": 0}
    assert torch.equal(future_masks._augmented(clip, still, generator()), clip)


@pytest.mark.parametrize(("step", "passes"), [(None, 1), (1, 3), (2, 2)])
def test_roll_out_feeds_masks_back(stores, step, passes):
    config = {**FUTURE, "ahead": 3, "step": step}
    dataset = future_masks.dataset(config, stores, "test")
    net, batch = forecaster(config, dataset).eval(), everything(dataset)
    calls = []
    net.core.register_forward_pre_hook(lambda module, inputs: calls.append(inputs[0].clone()))
    masks, scores = net.roll_out(batch["given"])
    assert masks.shape == (3, 3, HEIGHT, WIDTH) and scores.shape == (3, CLASSES, HEIGHT, WIDTH)
    assert len(calls) == passes and torch.equal(scores.argmax(1).byte(), masks[:, -1])
    if step == 1:
        assert torch.equal(calls[2], torch.cat([batch["given"][:, 2:], masks[:, :2]], 1))


def test_scheduled_sampling_goes_from_truth_to_own_masks(stores):
    config = {**FUTURE, "step": 1, "truth_share": 0.0, "flip": False, "colours": 0}
    dataset = future_masks.dataset(config, stores, "train")
    net, batch = forecaster(config, dataset), everything(dataset)
    with torch.no_grad():
        for parameter in net.core.parameters():
            parameter.add_(0.5 * torch.randn(parameter.shape, generator=generator()))
    seen = []
    features = net.core.features
    net.core.features = lambda masks: seen.append(masks) or features(masks)
    future_masks.loss(net, batch, generator(), 0.0)["loss"].backward()
    assert torch.equal(seen[1][:, -1], batch["ahead"][:, 0])
    seen.clear()
    future_masks.loss(net, batch, generator(), 1.0)
    assert not torch.equal(seen[1][:, -1], batch["ahead"][:, 0])
    with torch.no_grad():
        assert torch.equal(seen[1][:, -1], net.core(batch["given"])[:, 0].argmax(1).byte())


def test_unseen_classes_are_not_predicted(stores):
    dataset = future_masks.dataset(FUTURE, stores, "test")
    net, batch = forecaster(FUTURE, dataset).eval(), everything(dataset)
    with torch.no_grad():
        for parameter in net.core.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator()))
    free = future_masks.predict(net, batch, generator(), {"seen_only": False})["mask"]
    bound = future_masks.predict(net, batch, generator(), {"seen_only": True})["mask"]
    allowed = seen(batch["given"], CLASSES)
    assert allowed.sum(1).tolist() == [2, 2, 2]  # background and one object
    assert not allowed.gather(1, free.flatten(1).long()).all()
    assert allowed.gather(1, bound.flatten(1).long()).all()


# --- the whole way ---------------------------------------------------------------------------------------------------


def run(folder, stores, task, task_config, model, model_config, steps, parent=None, **keys):
    budget = Budget(steps=steps, batch=4, evaluate_every=10, monitor="-iou_corpus", learning_rate=0.01)
    spec = {
        "experiment": folder.name, "seed": 0, "task": {"name": task, **task_config},
        "model": {"name": model, **model_config.model_dump(mode="json")}, "budget": budget.model_dump(mode="json"),
        "init": None if parent is None else {"experiment": parent.parent.name, "seed": None, "fresh": []},
        "data": "toy", "select": "select", "fingerprint": "-",
    }  # fmt: skip
    folder.mkdir()
    out = {"model": folder / run_files.WEIGHTS, "run": folder / run_files.RECORD, "curve": folder / "curve.csv"}
    settings = Settings(tensorboard=False).model_dump(mode="json")
    loop.train(spec, stores, None, parent, out, folder / "work", settings)
    task_inference = {"segmentation": {}, "future_masks": {"seen_only": True}}[task]
    inference.predict({**spec, "inference": task_inference}, folder, stores, "test", folder / "test.h5", settings)
    scoring.score(spec, folder / "test.h5", stores, "test", folder / "test.csv", folder / "test.json")
    return folder


def test_train_predict_score(stores, tmp_path):
    folder = run(tmp_path / "simvp", stores, "future_masks", {**FUTURE, **LABELS}, "simvp", SIMVP, 20)
    rows = pd.read_csv(folder / "test.csv")
    assert set(map(family, rows["metric"])) == {"iou", "iou_objects", "iou_corpus"}
    found = predictions.read(folder / "test.h5")
    truth = np.stack([moving_square(number, 7)[4] for number in (9, 10, 11)])
    expected = iou(found.arrays["mask"][:, -1], truth, CLASSES)
    np.testing.assert_allclose(rows[rows["metric"] == "iou"].sort_values("sample_id")["value"], expected)
    counts = rows[rows["metric"].map(family) == "iou_corpus"]
    assert (
        counts.loc[counts["metric"].map(lambda name: part(name)[0]) == "intersection", "value"].sum()
        == (found.arrays["mask"][:, -1] == truth).sum()
    )
    assert "iou_corpus" in set(pd.read_csv(folder / "curve.csv")["quantity"])
    facts = read_json(folder / run_files.RECORD)["facts"]
    assert facts == {"size": [HEIGHT, WIDTH], "resize": "squash", "clips": 17, "videos": 7}
    startup.check_scores(folder / "test.csv", folder / "test.h5", stores)


def test_fine_tuning_starts_from_cross_entropy_and_the_segmenter_scores_the_same_samples(stores, tmp_path):
    first = run(tmp_path / "simvp", stores, "future_masks", {**FUTURE, **LABELS}, "simvp", SIMVP, 10)
    tuned = {**FUTURE, **LABELS, "overlap": 1.0, "last_weight": 5.0}
    second = run(
        tmp_path / "tuned", stores, "future_masks", tuned, "simvp", SIMVP, 10, parent=first / run_files.WEIGHTS
    )
    assert read_json(second / run_files.RECORD)["parent"]
    third = run(tmp_path / "unet", stores, "segmentation", {**SEGMENT, "at": 4}, "unet", UNET, 10)
    names = [predictions.read(folder / "test.h5").sample_ids for folder in (first, second, third)]
    assert names[0] == names[1] == names[2]
    startup.check_scores(third / "test.csv", third / "test.h5", stores)


def test_submission(stores, tmp_path):
    config = {**FUTURE, **LABELS}
    dataset = future_masks.dataset(config, stores, "hidden")
    net = forecaster(config, dataset, copy_last_mask, copy_last_mask.Config())
    found = future_masks.predict(net, everything(dataset), generator(), {"seen_only": True})
    names = everything(dataset)["sample_id"][::-1]
    arrays = {"mask": found["mask"].numpy()[::-1]}
    out = tmp_path / "out"
    out.mkdir()
    future_masks.submit(config, predictions.Predictions(arrays, names, names, {}), dataset, out)
    masks = np.load(out / "masks.npy")
    assert masks.shape == (2, 32, 48) and masks.dtype == np.uint8  # the videos' own size, twice the view's
    last = np.stack([moving_square(number, 3)[2] for number in (12, 13)])
    last[:, 0, 0] = 8
    assert np.array_equal(masks, last.repeat(2, 1).repeat(2, 2))
    with open(out / "videos.csv", encoding="utf-8", newline="") as stream:
        assert list(csv.reader(stream)) == [["row", "video_id"], ["0", "hidden/video 12"], ["1", "hidden/video 13"]]
    with Image.open(out / "pictures" / "00000.png") as picture:
        assert picture.size == (3 * WIDTH + 4, HEIGHT)


def test_pictures(stores):
    dataset = future_masks.dataset(FUTURE, stores, "test")
    batch = everything(dataset)
    net = forecaster(FUTURE, dataset)
    found = future_masks.predict(net, batch, generator(), {"seen_only": True})
    shown = future_masks.preview({name: value.float() for name, value in found.items()}, batch)
    assert shown.shape == (3 * HEIGHT + 4, 3 * WIDTH + 4, 3) and shown.dtype == np.uint8
    named = predictions.Predictions({"mask": found["mask"].numpy()}, batch["sample_id"], batch["unit"], {})
    headings, rows = future_masks.gallery(FUTURE, dataset, {"SimVP": named}, 2)
    assert headings == ["last frame given", "truth", "SimVP"] and len(rows) == 2
    assert {cell.shape for row in rows for cell in row} == {(HEIGHT, WIDTH, 3)}
