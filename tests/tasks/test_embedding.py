"""Next-embedding prediction: windows, normalisation, baselines, drawing, scores."""

from __future__ import annotations

import functools
import types

import numpy as np
import pandas as pd
import pytest
import torch

from framecast.config.base import Budget, Settings
from framecast.core.files import read_json
from framecast.core.needs import Needs
from framecast.core.seeding import torch_generator
from framecast.models import copy_last, linear, mean, recurrent, tmdn
from framecast.ops.steps import step as change_over
from framecast.prediction import inference, scoring
from framecast.stores import Stores
from framecast.stores.embeddings import EmbeddingWriter
from framecast.tasks import embedding as task
from framecast.training import loop
from tests import startup

torch.set_num_threads(1)
CONFIG = task.Config(encoder="toy", history=6, gap=2).model_dump(mode="json")
TMDN = tmdn.Config(lags=(1, 3), width=16, layers=1, heads=2, manifold=4, denoiser_width=16, denoiser_layers=1)
GRU = recurrent.Config(cell="gru", hidden=8)
DRAW = task.Inference(mode="mean", samples=6, steps=4).model_dump(mode="json")


def toy(counts=(12, 5, 9), width=5, seed=0, length=8, stride=1) -> task.Windows:
    """Random walks; video 1 is too short for a window."""
    rng = np.random.default_rng(seed)
    table = np.concatenate([rng.normal(size=(count, width)).cumsum(0) * 3 + 7 for count in counts])
    names = [f"v{index}" for index in range(len(counts))]
    offsets = np.concatenate([[0], np.cumsum(counts)])
    return task.Windows(table.astype(np.float32), offsets, names, [f"u{n}" for n in names], length, stride)


def network(model, config=None, data=None, gap=2, dense=True):
    data = data or toy()
    torch.manual_seed(0)
    core = functools.partial(model.build, config or model.Config())
    net = task.build({**CONFIG, "gap": gap, "dense": dense}, task.facts(CONFIG, data), core)
    task.fit(net, data)
    return net


def everything(data):
    return data.__getitems__(list(range(len(data))))


def stirred(net):
    """Weights that no longer stand at their start, as if trained."""
    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in net.core.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return net.eval()


def generator(seed=0):
    return torch_generator(seed, "test")


# --- windows ---------------------------------------------------------------------------------------------------------


def test_windows_stay_within_their_video():
    data = toy()
    batch = everything(data)
    assert len(data) == 5 + 0 + 2
    assert batch["sample_id"] == ["v0#7", "v0#8", "v0#9", "v0#10", "v0#11", "v2#7", "v2#8"] == data.sample_ids()
    assert batch["unit"] == ["uv0"] * 5 + ["uv2"] * 2
    np.testing.assert_array_equal(batch["window"][1], data.table[1:9])
    np.testing.assert_array_equal(batch["window"][5], data.table[17:25])
    assert data.short == ["v1"]
    assert batch["window"].shape == (7, 8, 5) and batch["window"].dtype == torch.float32


def test_stride_thins_windows():
    assert toy(stride=3).sample_ids() == ["v0#7", "v0#10", "v2#7"]


def test_one_item_equals_its_row_of_a_batch():
    data = toy()
    item, batch = data[4], everything(data)
    torch.testing.assert_close(item["window"], batch["window"][4])
    assert (item["sample_id"], item["unit"]) == ("v0#11", "uv0")


@pytest.fixture
def stores(tmp_path):
    """A split of three videos, cached in two buckets; a fourth video belongs to another split."""
    rows = toy(counts=(12, 5, 9, 20)).table
    offsets = [0, 12, 17, 26, 46]
    for bucket, videos in enumerate([[2, 3], [0, 1]]):
        counts = [offsets[v + 1] - offsets[v] for v in videos]
        with EmbeddingWriter(tmp_path / f"{bucket}.h5", [f"v{v}" for v in videos], counts, 5, "float32") as writer:
            for v in videos:
                writer.append(rows[offsets[v] : offsets[v + 1]])
            writer.finish("identity", {"kind": "toy"}, {})
    samples = pd.DataFrame(
        {"video_id": ["v2", "v3", "v0", "v1"], "split": ["test", "train", "test", "test"], "unit": ["b", "c", "a", "b"]}
    )
    samples.to_parquet(tmp_path / "samples.parquet")
    return Stores(samples=tmp_path / "samples.parquet", embeddings={"toy": [tmp_path / "0.h5", tmp_path / "1.h5"]})


def test_short_videos_are_counted_out_loud(stores, caplog):
    data = task.dataset(CONFIG, stores, "test")
    assert "1 of 3 videos are shorter than history 6 + gap 2 frames and give no sample (v1)" in caplog.text
    assert task.facts(CONFIG, data) == {"width": 5, "windows": 7, "videos": 2, "short_videos": 1}
    assert everything(data)["unit"] == ["a"] * 5 + ["b"] * 2
    np.testing.assert_array_equal(everything(data)["window"][5], data.table[17:25])


def test_history_longer_than_every_video_is_refused(stores):
    with pytest.raises(ValueError, match=r"split 'test': history 30 \+ gap 2 needs 32 frames.*'v0', has 12; lower"):
        task.dataset({**CONFIG, "history": 30}, stores, "test")


def test_needs_names_the_encoder():
    assert task.needs(CONFIG) == Needs(embeddings=("toy",))


# --- baselines -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        (copy_last, lambda h: h[:, -1]),
        (mean, lambda h: h.mean(dim=1)),
        (linear, lambda h: h[:, -1] + 2 * (h[:, -1] - h[:, -2])),
    ],
)
def test_trivial_baselines_are_what_they_say_in_raw_units(model, expected):
    data = toy()
    batch = everything(data)
    got = task.predict(network(model), batch, generator(), task.Inference().model_dump())["prediction"]
    torch.testing.assert_close(got, expected(batch["window"][:, :6]), rtol=1e-6, atol=1e-5)


@pytest.mark.parametrize(("model", "config"), [(tmdn, TMDN), (recurrent, GRU)])
def test_untrained_networks_copy_the_last_embedding(model, config):
    batch = everything(toy())
    got = network(model, config).eval()(batch["window"][:, :6])
    assert torch.equal(got, batch["window"][:, 5])


# --- normalisation ---------------------------------------------------------------------------------------------------


def test_statistics_come_from_videos_that_train():
    data = toy()
    net = network(copy_last, data=data)
    used = np.concatenate([data.table[:12], data.table[17:]])
    np.testing.assert_allclose(net.mean, used.mean(axis=0), rtol=1e-5)
    np.testing.assert_allclose(net.deviation, used.std(axis=0), rtol=1e-4)
    changes = [data.table[a + 2 : b] - data.table[a : b - 2] for a, b in [(0, 12), (12, 17), (17, 26)]]
    np.testing.assert_allclose(net.change, np.concatenate(changes).astype(float).ravel().std(), rtol=0.1)
    np.testing.assert_allclose(net.change, np.sqrt((np.concatenate(changes) ** 2).mean()), rtol=1e-5)


def test_a_constant_dimension_divides_by_one():
    data = toy()
    data.table[:, 2] = 4
    assert network(copy_last, data=data).deviation[2] == 1


@pytest.mark.parametrize(("model", "config"), [(tmdn, TMDN), (recurrent, GRU)])
def test_predictions_move_with_the_units_of_the_encoder(model, config):
    """Scaled and shifted embeddings give scaled and shifted predictions: no unit is built in."""
    data, scaled = toy(), toy()
    scaled.table = data.table * 50 - 300
    guess, moved = (stirred(network(model, config, each))(everything(each)["window"][:, :6]) for each in (data, scaled))
    torch.testing.assert_close(moved, guess * 50 - 300, rtol=1e-3, atol=1e-2)


# --- loss ------------------------------------------------------------------------------------------------------------


def test_loss_of_copy_last_is_the_mean_square_of_the_change():
    batch = everything(toy())
    net = network(recurrent, GRU, dense=False)
    change = (batch["window"][:, -1] - batch["window"][:, 5]) / net.change
    torch.testing.assert_close(task.loss(net, batch, generator(), 0.0)["loss"], change.square().mean())
    dense = network(recurrent, GRU)
    changes = (batch["window"][:, 2:] - batch["window"][:, :6]) / net.change
    torch.testing.assert_close(task.loss(dense, batch, generator(), 0.0)["loss"], changes.square().mean())


def test_tmdn_logs_the_same_head_loss_that_others_train_on():
    batch = everything(toy())
    parts = task.loss(network(tmdn, TMDN).eval(), batch, generator(), 0.0)
    torch.testing.assert_close(parts["head"], task.loss(network(recurrent, GRU), batch, generator(), 0.0)["loss"])
    torch.testing.assert_close(parts["loss"].detach(), parts["head"] + 0.5 * parts["diffusion"])


@pytest.mark.parametrize(("model", "config"), [(tmdn, TMDN), (recurrent, GRU)])
def test_every_parameter_learns(model, config):
    net = stirred(network(model, config)).train()
    task.loss(net, everything(toy()), generator(), 0.5)["loss"].backward()
    assert [name for name, p in net.named_parameters() if p.grad is None or not p.grad.abs().sum()] == []


@pytest.mark.parametrize(("model", "config"), [(tmdn, TMDN), (recurrent, GRU)])
def test_training_beats_copy_last_on_a_pattern(model, config):
    """Circles: the next point follows from the last two."""
    time = torch.arange(60)[:, None] * torch.tensor([0.5, 0.5, 0.8, 0.8]) + torch.tensor([0, 1.57, 0, 1.57])
    data = task.Windows(torch.sin(time).numpy(), np.array([0, 60]), ["v"], ["v"], 8, 1)
    net = network(model, config, data)
    before = task.monitor(net.eval(), everything(data), generator())["mse"].mean()
    optimiser = torch.optim.AdamW(net.parameters(), lr=1e-2)
    net.train()
    for step in range(80):
        optimiser.zero_grad()
        task.loss(net, everything(data), generator(step), step / 80)["loss"].backward()
        optimiser.step()
    after = task.monitor(net.eval(), everything(data), generator())["mse"]
    assert after.shape == (53,) and after.mean() < 0.2 * before


def test_models_see_no_future():
    for model, config in [(tmdn, TMDN), (recurrent, GRU), (mean, None), (linear, None), (copy_last, None)]:
        net = stirred(network(model, config))
        history = torch.randn(2, 6, 5)
        changed = history.clone()
        changed[:, 4:] += 1
        with torch.no_grad():
            torch.testing.assert_close(net.core(history)[:, :4], net.core(changed)[:, :4])


# --- drawing ---------------------------------------------------------------------------------------------------------


def drawn(batch, mode="mean", seed=0, **keys):
    net = stirred(network(tmdn, TMDN))
    return task.predict(net, batch, generator(seed), {**DRAW, "mode": mode, **keys})


def test_batch_size_changes_no_sample():
    data = toy()
    whole = drawn(everything(data))
    for index in range(len(data)):
        alone = drawn(data.__getitems__([index]))
        for name in ("prediction", "best"):
            torch.testing.assert_close(alone[name][0], whole[name][index], rtol=1e-3, atol=1e-3)


def test_draws_depend_on_the_seed_and_the_sample():
    data = toy()
    batch = data.__getitems__([0, 0])
    batch["sample_id"] = ["v0#7", "other"]
    here = drawn(batch, "sample")["prediction"]
    assert not torch.allclose(here[0], here[1])
    assert not torch.allclose(here, drawn(batch, "sample", seed=1)["prediction"])
    torch.testing.assert_close(here, drawn(batch, "sample")["prediction"])


def test_best_is_nearest_to_the_truth_and_mean_is_between():
    batch = everything(toy())
    truth = batch["window"][:, -1]
    best, mean_of = drawn(batch, "best"), drawn(batch)
    assert set(best) == {"best"}
    torch.testing.assert_close(best["best"], mean_of["best"])
    one = drawn(batch, "sample")["prediction"]
    assert ((best["best"] - truth).square().mean(1) <= (one - truth).square().mean(1) + 1e-6).all()


def test_paired_noise_is_opposite_and_still_normal():
    noise = task._noise(["a", "b"], 2001, 3, 0, antithetic=True)
    assert noise.shape == (2, 2001, 3)
    torch.testing.assert_close(noise[:, :1000], -noise[:, 1001:])
    assert abs(noise.std() - 1) < 0.05
    assert not torch.equal(
        task._noise(["a"], 4, 3, 0, antithetic=False)[:, :2], -task._noise(["a"], 4, 3, 0, False)[:, 2:]
    )


def test_an_untrained_tmdn_draws_the_gaussian_it_says():
    """Head zero, spread 1/2 on the whitened manifold: draws around copy-last with a quarter of the change's
    variance."""
    data = toy(counts=(200, 150), width=4)
    net = network(tmdn, TMDN, data)
    batch = data.__getitems__([3])
    noise = torch.randn(1, 4000, 4, generator=generator())
    draws = net.core.sample(net.inputs(batch["window"][:, :6]), noise, 50)[0] @ net.core.to_manifold
    assert draws.mean(dim=0).abs().max() < 0.05
    torch.testing.assert_close(draws.std(dim=0), torch.full((4,), 0.5), rtol=0.06, atol=0)


def test_manifold_is_whitened_and_keeps_the_main_axes_and_steps_have_unit_size():
    changes = torch.randn(500, 5) * torch.tensor([3.0, 0.1, 2.0, 0.5, 1.0])
    core = tmdn.build(TMDN, width=5, history=6, gap=1)
    histories = torch.randn(50, 6, 5).cumsum(dim=1) * 0.01
    core.fit(histories, changes)
    steps = change_over(histories, 3) * core.context.steps.scale[1]
    torch.testing.assert_close(steps.square().mean(), torch.ones(()))
    points = changes @ core.to_manifold
    torch.testing.assert_close(points.square().mean(dim=0), torch.ones(4), rtol=1e-3, atol=1e-3)
    rest = (points @ core.from_manifold - changes).square().mean()
    assert rest < 0.003  # the smallest variance, 0.01, over 5 dimensions


def test_models_that_draw_nothing_refuse_to():
    with pytest.raises(ValueError, match="'mean', but this model draws no samples; use mode: deterministic"):
        task.predict(network(recurrent, GRU), everything(toy()), generator(), DRAW)


# --- scores ----------------------------------------------------------------------------------------------------------


def predictions(data, **arrays):
    batch = everything(data)
    arrays = {name: np.asarray(value) for name, value in arrays.items()}
    return types.SimpleNamespace(arrays=arrays, sample_ids=batch["sample_id"], units=batch["unit"], attrs={})


def test_scores_of_the_truth_are_perfect():
    data = toy()
    truth = everything(data)["window"][:, -1]
    rows, facts = task.score(CONFIG, predictions(data, prediction=truth, best=truth), data)
    table = rows.pivot(index="sample_id", columns="metric", values="value")
    assert list(rows.columns) == ["sample_id", "unit", "metric", "value"]
    assert table["mse"].eq(0).all() and table["mse_best"].eq(0).all() and table["cosine"].round(9).eq(1).all()
    assert table["rank_video"].eq(1).all() and table["rank_all"].eq(1).all()
    assert facts["gallery_frames"] == 26 and facts["short_videos"] == 1 and len(facts["gallery"]) == 64


def test_scores_of_copy_last_rank_the_copied_frame_first():
    data = toy()
    rows, _ = task.score(CONFIG, predictions(data, prediction=everything(data)["window"][:, 5]), data)
    table = rows.pivot(index="sample_id", columns="metric", values="value")
    assert (table["rank_video"] >= 2).all() and (table["rank_all"] >= table["rank_video"]).all()
    assert "mse_best" not in table


def test_scores_follow_sample_ids_not_order():
    data = toy()
    guess = predictions(data, prediction=everything(data)["window"][:, 5])
    rows, _ = task.score(CONFIG, guess, data)
    turned = types.SimpleNamespace(
        arrays={"prediction": guess.arrays["prediction"][::-1]},
        sample_ids=guess.sample_ids[::-1], units=guess.units[::-1], attrs={},
    )  # fmt: skip
    again, _ = task.score(CONFIG, turned, data)
    key = ["sample_id", "metric"]
    pd.testing.assert_frame_equal(rows.sort_values(key, ignore_index=True), again.sort_values(key, ignore_index=True))


def test_a_thinned_gallery_is_another_gallery():
    data = toy()
    truth = predictions(data, prediction=everything(data)["window"][:, -1])
    _, whole = task.score(CONFIG, truth, data)
    rows, part = task.score({**CONFIG, "gallery": 9}, truth, data)
    assert part["gallery_frames"] == 9 and part["gallery"] != whole["gallery"]
    assert rows[rows.metric == "rank_all"].value.eq(1).all()


def test_predictions_of_another_split_are_refused():
    data = toy()
    guess = predictions(data, prediction=everything(data)["window"][:, -1])
    guess.sample_ids[0] = "stranger#7"
    with pytest.raises(ValueError, match=r"1 of the predicted are not in the split \(stranger#7\); predict again"):
        task.score(CONFIG, guess, data)


def test_preview_is_a_picture():
    batch = everything(toy())
    picture = task.preview({"prediction": batch["window"][:, 0]}, batch)
    assert picture.dtype == np.uint8 and picture.ndim == 3 and picture.shape[2] == 3 and picture.std() > 0


# --- through the real thing ------------------------------------------------------------------------------------------


def test_trains_predicts_and_scores(stores, tmp_path):
    """From a cache to rows: TMDN for a few steps, mean of K; the table has every sample once a metric."""
    samples = pd.read_parquet(stores.samples)
    samples.loc[samples.video_id == "v0", "split"] = "select"
    samples.to_parquet(stores.samples)
    budget = Budget(steps=4, batch=4, evaluate_every=2, monitor="mse", ema=0.5).model_dump(mode="json")
    spec = {
        "experiment": "toy", "seed": 3, "data": "toys", "select": "select", "init": None, "fingerprint": "f",
        "task": {"name": "embedding", **CONFIG}, "model": {"name": "tmdn", **TMDN.model_dump(mode="json")},
        "budget": budget,
    }  # fmt: skip
    settings = Settings(device="cpu", tensorboard=False).model_dump(mode="json")
    run = tmp_path / "run"
    out = {"model": run / "model.safetensors", "run": run / "run.json", "curve": run / "curve.csv"}
    loop.train(spec, stores, None, None, out, tmp_path / "work", settings)
    spec["inference"] = DRAW
    inference.predict(spec, run, stores, "test", tmp_path / "p.h5", settings)
    scoring.score(spec, tmp_path / "p.h5", stores, "test", tmp_path / "test.csv", tmp_path / "test.json")
    rows = pd.read_csv(tmp_path / "test.csv")
    assert sorted(set(rows.sample_id)) == ["v2#7", "v2#8"] and set(rows.unit) == {"b"}
    assert sorted(set(rows.metric)) == ["cosine", "mse", "mse_best", "rank_all", "rank_video"]
    assert len(rows) == 10 and read_json(tmp_path / "test.json")["short_videos"] == 1
    startup.check_scores(tmp_path / "test.csv", tmp_path / "p.h5", stores)
