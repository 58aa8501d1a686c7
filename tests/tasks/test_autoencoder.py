"""The autoencoder: samples, motion without labels, training through the real loop, export to the hub's format."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
import torch

from framecast.config.base import Budget
from framecast.encoders import dino
from framecast.models import mean_frame, tiny_dino
from framecast.prediction import inference, scoring
from framecast.prediction.export import export
from framecast.stores import Stores
from framecast.stores import predictions as prediction_store
from framecast.stores.frames import FrameWriter
from framecast.tasks import _moments, autoencoder
from framecast.training import loop

torch.set_num_threads(1)
SIZE, FRAMES, STEPS = 16, 12, 60
COUNTS = {"a": FRAMES, "b": FRAMES, "c": FRAMES, "d": 2, "e": FRAMES, "f": FRAMES}
ROWS = {"a": 0, "b": 4, "c": 6, "d": 0, "e": 8, "f": 12}
SPLITS = {"a": "train", "b": "train", "c": "select", "d": "train", "e": "train", "f": "train"}
TASK = {"name": "autoencoder", **autoencoder.Config(frames="small", view="16", grid=4, stride=4, lag=2).model_dump()}
MODEL = {
    "name": "tiny_dino",
    **tiny_dino.Config(width=16, layers=1, heads=2, patch=8, channels=[8, 4]).model_dump(),
}
QUIET = {"device": "cpu", "tensorboard": False}


def block(index, start):
    """A white block of 4×3 pixels that moves one pixel a frame over a gray gradient."""
    frame = np.repeat(np.linspace(60, 120, SIZE).astype(np.uint8)[:, None, None], SIZE, axis=1).repeat(3, axis=2)
    frame[start : start + 4, index : index + 3] = 255
    return frame


@pytest.fixture(scope="module")
def stores(tmp_path_factory):
    folder = tmp_path_factory.mktemp("stores")
    with FrameWriter(folder / "frames", {"views": {"16": [SIZE, SIZE], "wide": [8, SIZE]}}) as writer:
        for video, count in COUNTS.items():
            writer.start(video)
            for index in range(count):
                frame = block(index, ROWS[video])
                writer.append({"16": frame, "wide": frame[::2]}, index / 12, index)
        writer.finish({})
    table = {"video_id": list(COUNTS), "split": [SPLITS[video] for video in COUNTS], "unit": list(COUNTS)}
    pd.DataFrame(table).to_parquet(folder / "samples.parquet")
    return Stores(folder / "samples.parquet", {"small": [folder / "frames"]})


def spec(steps, model=MODEL, **task):
    budget = Budget(steps=steps, batch=4, evaluate_every=steps or 1, monitor="error", learning_rate=3e-3)
    return {
        "experiment": "tiny", "seed": 0, "data": "world", "select": "select", "init": None, "fingerprint": "x",
        "task": {**TASK, **task}, "model": model, "budget": budget.model_dump(mode="json"),
    }  # fmt: skip


@pytest.fixture(scope="module")
def run(stores, tmp_path_factory):
    return trained(stores, tmp_path_factory.mktemp("run"), spec(STEPS))


def trained(stores, folder, chosen):
    out = {"model": folder / "model.safetensors", "run": folder / "run.json", "curve": folder / "curve.csv"}
    loop.train(chosen, stores, None, None, out, folder / "work", QUIET)
    return folder


def scores(stores, run, folder, chosen):
    inference.predict({**chosen, "inference": {}}, run, stores, "select", folder / "p.h5", QUIET)
    scoring.score({**chosen, "inference": {}}, folder / "p.h5", stores, "select", folder / "s.csv", folder / "f.json")
    return pd.read_csv(folder / "s.csv")


# --- samples ---------------------------------------------------------------------------------------------------------


def test_samples(stores):
    train, select = (autoencoder.dataset(TASK, stores, split) for split in ("train", "select"))
    assert len(train) == 4 * (FRAMES - 2)  # the two frames of video d make no sample
    batch = select.__getitems__([0, 1])
    assert (batch["sample_id"], batch["unit"]) == (["c#0", "c#4"], ["c", "c"])
    assert batch["moments"].shape == (2, 4, SIZE, SIZE, 3) and batch["moments"].dtype == torch.uint8
    for place, index in enumerate((4, 6, 8, 0)):
        assert (batch["moments"][1, place].numpy() == block(index, 6)).all()
    assert select[1]["sample_id"] == "c#4"


def test_views_that_cannot_be_are_refused(stores):
    with pytest.raises(ValueError, match="view 'wide' is 8x16: it must be square"):
        autoencoder.dataset({**TASK, "view": "wide"}, stores, "train")
    with pytest.raises(ValueError, match="grid = 5"):
        autoencoder.dataset({**TASK, "grid": 5}, stores, "train")


def test_motion_is_where_the_object_is_now(stores):
    dataset = autoencoder.dataset({**TASK, "lag": 3}, stores, "select")
    moments = dataset.__getitems__([0])["moments"].movedim(-1, -3) / 255
    motion = _moments.moving(moments)[0]  # [4, H, W]
    for place, index in enumerate((0, 3, 4, 8)):
        expected = np.zeros((SIZE, SIZE))
        expected[6:10, index : index + 3] = 1
        if place == 1:
            expected[6:10, 4:6] = 0  # the third moment's block stands there too
        np.testing.assert_allclose(motion[place], expected, atol=1e-6)


def test_nothing_moves_in_a_still():
    assert _moments.moving(torch.full((1, 4, 3, SIZE, SIZE), 0.4)).max() == 0


def test_coarse_map():
    motion = torch.zeros(1, 2, 8, 8)
    motion[0, 1, 0:2, 4:6] = 1
    coarse = _moments.coarsened(motion, 2)
    assert coarse[0, 1].tolist() == [[0, 0.25], [0, 0]] and coarse[0, 0].max() == 0


def test_moving_pixels_weigh_more():
    frames, motion = torch.zeros(2, 3, 2, 2), torch.tensor([[[1.0, 0], [0, 0]]]).expand(2, 2, 2)
    rebuilt = frames.clone()
    rebuilt[0, :, 0, 0] = rebuilt[1, :, 1, 1] = 1
    assert _moments.weighted(rebuilt, frames, motion, 3.0).tolist() == pytest.approx([4 / 7, 1 / 7])


# --- through the real loop -------------------------------------------------------------------------------------------


def test_learns_and_beats_the_mean_frame(stores, run, tmp_path):
    baseline = spec(0, {"name": "mean_frame", **mean_frame.Config().model_dump()})
    trivial = scores(stores, trained(stores, tmp_path, baseline), tmp_path, baseline)
    (tmp_path / "tiny").mkdir()
    learned = scores(stores, run, tmp_path / "tiny", spec(STEPS))
    assert learned["sample_id"].tolist() == trivial["sample_id"].tolist() == ["c#0", "c#4", "c#8"]
    curve = pd.read_csv(run / "curve.csv")
    errors = curve[(curve["split"] == "select") & (curve["quantity"] == "error")]["value"].tolist()
    assert errors[-1] < 0.9 * errors[0]


def test_untrained_network_answers_the_mean_frame(stores, tmp_path):
    baseline = spec(0, {"name": "mean_frame"})
    trivial = scores(stores, trained(stores, tmp_path, baseline), tmp_path, baseline)
    (tmp_path / "tiny").mkdir()
    start = scores(stores, trained(stores, tmp_path / "tiny", spec(0)), tmp_path / "tiny", spec(0))
    np.testing.assert_allclose(start["value"], trivial["value"], rtol=1e-6)


def test_an_equal_frame_scores_a_finite_psnr(stores):
    dataset = autoencoder.dataset(TASK, stores, "select")
    truth = dataset.__getitems__(range(3))["moments"][:, 0].numpy()
    names = [dataset[index]["sample_id"] for index in range(3)]
    perfect = prediction_store.Predictions({"frame": truth}, names, ["c"] * 3, {})
    rows, _ = autoencoder.score(TASK, perfect, dataset)
    assert rows["value"].tolist() == [_moments.BEST_PSNR] * 3
    worse = truth.astype(int)
    worse[0, 0, 0, 0] += 51
    rows, _ = autoencoder.score(TASK, prediction_store.Predictions({"frame": worse}, names, ["c"] * 3, {}), dataset)
    assert rows["value"][0] == pytest.approx(10 * np.log10(25 * SIZE * SIZE * 3))


def test_preview(stores):
    batch = autoencoder.dataset(TASK, stores, "select").__getitems__([0, 1])
    picture = autoencoder.preview({"frame": batch["moments"][:, 0]}, batch)
    assert picture.shape == (2 * SIZE, 2 * SIZE, 3)
    assert (picture[:SIZE] == picture[SIZE:]).all()


# --- export ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("pool", ["cls", "mean"])
def test_export_gives_the_runs_own_embeddings(stores, tmp_path, pool):
    from transformers import AutoModel

    export(trained(stores, tmp_path, spec(8, {**MODEL, "pool": pool})), tmp_path / "hub", {})
    assert {path.name for path in (tmp_path / "hub").iterdir()} == {
        "config.json", "model.safetensors", "preprocessor_config.json", "README.md",
    }  # fmt: skip
    frames = autoencoder.dataset(TASK, stores, "select").__getitems__([0, 1])["moments"][:, 0]
    _, module = inference.load_run(tmp_path)
    encoder = dino.load(str(tmp_path / "hub"), None, pool)
    with torch.inference_mode():
        own = module.core.encode(frames.movedim(-1, 1).float() / 255)
        normalised = (frames.movedim(-1, 1).float() / 255 - module.core.mean) / module.core.std
        tokens = AutoModel.from_pretrained(tmp_path / "hub")(pixel_values=normalised).last_hidden_state
    torch.testing.assert_close(encoder.encode(frames), own, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(tokens[:, 0] if pool == "cls" else tokens[:, 1:].mean(1), own, rtol=1e-4, atol=1e-5)
    assert own.std(0).max() > 0
    other = "mean" if pool == "cls" else "cls"
    with pytest.raises(ValueError, match=f"set the encoder's `pool: {pool}`"):
        dino.load(str(tmp_path / "hub"), None, other)


def test_export_says_what_it_is(run, tmp_path):
    export(run, tmp_path / "hub", {})
    card = (tmp_path / "hub" / "README.md").read_text()
    for fact in ("tiny", "16×16 pixels", "40 frames of 5 videos", "| error on `select` |"):
        assert fact in card
    config = json.loads((tmp_path / "hub" / "config.json").read_text())
    assert (config["model_type"], config["hidden_size"], config["image_size"]) == ("dinov2", 16, 16)


def test_export_is_deterministic(run, tmp_path):
    for name in ("one", "two"):
        export(run, tmp_path / name, {})
    for path in (tmp_path / "one").iterdir():
        assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes()


def test_export_refuses_what_is_no_encoder(stores, tmp_path):
    run = trained(stores, tmp_path, spec(0, {"name": "mean_frame"}))
    with pytest.raises(ValueError, match=r"the model 'mean_frame', which hold no DINOv2 network.*'tiny_dino'"):
        export(run, tmp_path / "hub", {})
    assert not (tmp_path / "hub").exists()


# --- model -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("change", "named"), [({"patch": 5}, "patch = 5"), ({"heads": 3}, "heads = 3")])
def test_sizes_that_do_not_divide(change, named):
    with pytest.raises(ValueError, match=named):
        tiny_dino.build(tiny_dino.Config(**{"width": 16, "channels": [4], **change}), size=16, grid=4)


def test_positions_are_distinct_and_end_nearly_linear():
    waves = tiny_dino._positions(8, 16)
    assert waves.shape == (64, 16)
    assert torch.pdist(waves).min() > 0.1
    longest = waves.view(8, 8, 16)[:, 0, 3]  # sine of the longest wavelength, along the rows
    assert (longest.diff() > 0).all()
