"""Latents: the autoencoder with a latent picture through the real loop, its export, and the cache of its posteriors."""

from __future__ import annotations

import copy
import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from framecast.config import loading
from framecast.config.base import Budget, Config, Encoder
from framecast.core.validation import ConfigError, parse
from framecast.encoders import encoding
from framecast.encoders import vae as encoders_vae
from framecast.models import autoencoder_kl
from framecast.ops.windows import windows
from framecast.prediction import inference, scoring
from framecast.prediction.export import export
from framecast.stores import Stores
from framecast.stores.embeddings import Embeddings
from framecast.stores.frames import FrameStore, FrameWriter, ViewReader
from framecast.tasks import latent_autoencoder
from framecast.tasks._moments import moving
from framecast.tasks._tensors import pixels
from framecast.training import loop
from framecast.weights import hub, vae
from framecast.workflow import jobs, plan
from framecast.workflow.inputs import Flow

torch.set_num_threads(1)
HEIGHT, WIDTH, STEPS = 16, 24, 40
COUNTS = {"a": 12, "b": 12, "c": 12, "one": 1}
ROWS = {"a": 0, "b": 4, "c": 8, "one": 2}
SPLITS = {"a": "train", "b": "train", "c": "select", "one": "train"}
TASK = {
    "name": "latent_autoencoder",
    **latent_autoencoder.Config(frames="native", view="v", stride=4).model_dump(),
}
SMALL = autoencoder_kl.Config(widths=[8, 16, 16], latent_channels=2, groups=4)
MODEL = {"name": "autoencoder_kl", **SMALL.model_dump()}
ENCODER = {
    "kind": "vae", "hub": None, "revision": None, "experiment": "vae", "seed": 0, "frames": "native", "view": "v",
    "at": None, "pool": "cls", "batch": 4, "precision": "float32", "store": "float32",
}  # fmt: skip
QUIET = {"device": "cpu", "tensorboard": False}
DEFAULT = loading.default()


def picture(index, row):
    """A white block of 4×3 pixels that moves one pixel a frame over a gray gradient."""
    frame = np.repeat(np.linspace(60, 120, HEIGHT).astype(np.uint8)[:, None, None], WIDTH, axis=1).repeat(3, axis=2)
    frame[row : row + 4, index : index + 3] = 255
    return frame


@pytest.fixture(scope="module")
def stores(tmp_path_factory):
    folder = tmp_path_factory.mktemp("stores")
    with FrameWriter(folder / "frames", {"views": {"v": [HEIGHT, WIDTH], "odd": [HEIGHT, WIDTH + 2]}}) as writer:
        for video, count in COUNTS.items():
            writer.start(video)
            for index in range(count):
                frame = picture(index, ROWS[video])
                writer.append({"v": frame, "odd": np.pad(frame, ((0, 0), (0, 2), (0, 0)))}, index / 12, index)
        writer.finish({})
    table = {"video_id": list(COUNTS), "split": [SPLITS[video] for video in COUNTS], "unit": list(COUNTS)}
    pd.DataFrame(table).to_parquet(folder / "samples.parquet")
    return Stores(folder / "samples.parquet", {"native": [folder / "frames"]})


def spec(steps, model=MODEL, **task):
    budget = Budget(
        steps=steps, batch=8, evaluate_every=steps or 1, monitor="-psnr", learning_rate=3e-3, ema=0.9, warmup=0.1
    )
    return {
        "experiment": "vae", "seed": 0, "data": "world", "select": "select", "init": None, "fingerprint": "x",
        "task": {**TASK, **task}, "model": model, "budget": budget.model_dump(mode="json"),
    }  # fmt: skip


def trained(stores, folder, chosen):
    out = {"model": folder / "model.safetensors", "run": folder / "run.json", "curve": folder / "curve.csv"}
    loop.train(chosen, stores, None, None, out, folder / "work", QUIET)
    return folder


@pytest.fixture(scope="module")
def run(stores, tmp_path_factory):
    return trained(stores, tmp_path_factory.mktemp("run"), spec(STEPS))


@pytest.fixture(scope="module")
def weights(run, tmp_path_factory):
    folder = tmp_path_factory.mktemp("hub") / "vae"
    export(run, folder)
    return folder


def all_frames(stores, video="a"):
    frames = FrameStore(stores.frames["native"][0]).read("v", video, 0, COUNTS[video])
    return torch.from_numpy(frames)


# --- task ------------------------------------------------------------------------------------------------------------


def test_every_frame_trains_and_evaluated_ones_are_strided(stores):
    train, select = (latent_autoencoder.dataset(TASK, stores, split) for split in ("train", "select"))
    assert len(train) == 12 + 12 + 1
    batch = select.__getitems__([0, 2])
    assert (batch["sample_id"], batch["unit"]) == (["c#0", "c#8"], ["c", "c"])
    assert (batch["moments"][1, 0].numpy() == picture(8, 8)).all()
    assert latent_autoencoder.facts(TASK, train) == {"height": HEIGHT, "width": WIDTH, "frames": 25, "videos": 3}


def test_learns(stores, run, tmp_path):
    curve = pd.read_csv(run / "curve.csv")
    found = curve[(curve["split"] == "select") & (curve["quantity"] == "psnr")]["value"].tolist()
    assert found[-1] > found[0] + 3
    losses = curve[(curve["split"] == "train") & (curve["quantity"] == "loss")]["value"].tolist()
    assert np.mean(losses[-5:]) < 0.5 * np.mean(losses[:5])
    chosen = {**spec(STEPS), "inference": {}}
    inference.predict(chosen, run, stores, "select", tmp_path / "p.h5", QUIET)
    scoring.score(chosen, tmp_path / "p.h5", stores, "select", tmp_path / "s.csv", tmp_path / "f.json")
    scored = pd.read_csv(tmp_path / "s.csv")
    assert scored["sample_id"].tolist() == ["c#0", "c#4", "c#8"] and set(scored["metric"]) == {"psnr"}
    assert scored["value"].mean() == pytest.approx(found[-1], abs=1e-9), "the monitor is the score"


def test_scaled_latents_of_the_trained_network_have_unit_deviation(stores, run):
    _, module = inference.load_run(run)
    latents = torch.cat([module.posterior(pixels(all_frames(stores, video))).mode() for video in ("a", "b", "one")])
    assert (latents * module.scaling_factor()).std().item() == pytest.approx(1, abs=0.03)
    untrained = loop.runs.build(spec(STEPS), {"height": HEIGHT, "width": WIDTH})
    untrained.sample.copy_(module.sample)
    assert untrained.scaling_factor() != pytest.approx(module.scaling_factor(), rel=0.1)


def test_moving_pixels_weigh_more(stores, run):
    _, module = inference.load_run(run)
    batch = latent_autoencoder.dataset(TASK, stores, "select").__getitems__([0, 1])
    errors = []
    for emphasis in (0.0, 50.0):
        module.config = {**TASK, "emphasis": emphasis}
        errors.append(latent_autoencoder.monitor(module, batch, torch.Generator())["error"].mean().item())
    assert errors[1] > 1.5 * errors[0], "the block is what is hard"


def test_windows_are_cut_where_things_move(stores):
    batch = latent_autoencoder.dataset(TASK, stores, "train").__getitems__(range(24))
    moments = pixels(batch["moments"])
    frames, motion = moments[:, 0], moving(moments)[:, 0]
    found, moved = windows(frames, motion, motion + 0.02, (8, 12), torch.Generator().manual_seed(0))
    assert found.shape == (24, 3, 8, 12) and moved.shape == (24, 8, 12)
    assert moved.mean() > 2 * motion.mean()
    for frame, window in zip(frames, found, strict=True):
        assert (frame.unfold(1, 8, 1).unfold(2, 12, 1) == window[:, None, None]).all((0, 3, 4)).any()


def test_training_on_windows(stores, tmp_path):
    trained(stores, tmp_path, spec(2, crop=[8, 12]))
    with pytest.raises(ValueError, match=r"crop \[8, 25\] does not fit into view 'v' of \[16, 24\]"):
        trained(stores, tmp_path, spec(1, crop=[8, 25]))


def test_sides_that_cannot_be_halved_are_refused(stores, tmp_path):
    with pytest.raises(ValueError, match=r"16x26.*multiples of 4.*a view of \[16, 24\]"):
        trained(stores, tmp_path, spec(1, view="odd"))


def test_groups_that_do_not_divide_are_refused():
    with pytest.raises(ValueError, match=r"groups is 8, which does not divide 12 of widths \[12, 16\]"):
        autoencoder_kl.Config(widths=[12, 16])


# --- export and the hub's format -------------------------------------------------------------------------------------


def test_export_is_what_diffusers_loads(stores, run, weights):
    from diffusers import AutoencoderKL

    _, module = inference.load_run(run)
    network = AutoencoderKL.from_pretrained(weights)
    assert network.config.scaling_factor == module.scaling_factor()
    frames = all_frames(stores)
    with torch.inference_mode():
        latents = network.encode(2 * pixels(frames) - 1).latent_dist.mode()
        torch.testing.assert_close(module.posterior(pixels(frames)).mode(), latents, rtol=1e-5, atol=1e-5)
        own, theirs = module.decode(latents), network.decode(latents).sample / 2 + 0.5
        torch.testing.assert_close(own, theirs, rtol=1e-5, atol=1e-5)
    assert {path.name for path in weights.iterdir()} == {
        "README.md", "config.json", "diffusion_pytorch_model.safetensors",
    }  # fmt: skip
    card = (weights / "README.md").read_text()
    assert "16×24 pixels" in card and "25 frames of 3 videos" in card and "psnr" in card


def test_export_is_deterministic(run, weights, tmp_path):
    export(run, tmp_path / "again")
    for path in weights.iterdir():
        assert path.read_bytes() == (tmp_path / "again" / path.name).read_bytes()


def test_a_task_without_a_network_is_not_exported(tmp_path):
    (tmp_path / "run.json").write_text(json.dumps({"spec": {"task": {"name": "progress"}}}))
    with pytest.raises(ValueError, match=r"'progress', which has no network to export.*'latent_autoencoder'"):
        export(tmp_path, tmp_path / "out")


def test_training_goes_on_from_a_base(stores, weights, tmp_path):
    based = {**MODEL, "widths": [4], "groups": 4, "base": {"hub": str(weights), "revision": None}}
    _, module = inference.load_run(trained(stores, tmp_path, spec(0, based)))
    own, base = module.core.network, vae.network(weights)
    assert all(torch.equal(tensor, base.state_dict()[name]) for name, tensor in own.state_dict().items())
    assert all(parameter.requires_grad for parameter in own.parameters())
    assert module.scaling_factor() == base.config.scaling_factor


def pipeline(weights, folder):
    shutil.copytree(weights, folder / "vae")
    (folder / "model_index.json").write_text("{}")
    return folder


def test_a_pipelines_autoencoder_is_found(weights, tmp_path):
    alone, part = (
        encoders_vae.load(str(weights), None),
        encoders_vae.load(str(pipeline(weights, tmp_path / "pipeline")), None),
    )
    assert alone.identity == part.identity
    frames = torch.zeros(1, HEIGHT, WIDTH, 3, dtype=torch.uint8)
    assert torch.equal(alone.encode(frames), part.encode(frames))


def test_names_of_old_attention_layers_are_read(tmp_path):
    """Stable Diffusion 1.5's file calls them query, key, value and proj_attn."""
    from safetensors.torch import load_file, save_file

    network = autoencoder_kl.build(SMALL.model_copy(update={"attention": True}), HEIGHT, WIDTH).network
    network.save_pretrained(tmp_path)
    file = tmp_path / "diffusion_pytorch_model.safetensors"
    pairs = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}
    tensors = load_file(file)
    for new, old in pairs.items():
        tensors = {name.replace(f".{new}.", f".{old}."): tensor for name, tensor in tensors.items()}
    assert any(".proj_attn." in name for name in tensors)
    save_file(tensors, file, {"format": "pt"})
    found = vae.network(tmp_path).state_dict()
    assert all(torch.equal(tensor, found[name]) for name, tensor in network.state_dict().items())


def test_files_that_do_not_do_are_named(weights, tmp_path):
    empty, other, bare, pickled, damaged = (
        tmp_path / name for name in ("empty", "other", "bare", "pickled", "damaged")
    )
    for folder in (empty, other, bare, pickled):
        folder.mkdir()
    with pytest.raises(hub.WeightsError, match=r"empty: has neither vae/config.json nor config.json"):
        encoders_vae.load(str(empty), None)
    (other / "config.json").write_text('{"_class_name": "UNet2DConditionModel"}')
    with pytest.raises(hub.WeightsError, match=r"_class_name is 'UNet2DConditionModel', needed is 'AutoencoderKL'"):
        encoders_vae.load(str(other), None)
    for folder in (bare, pickled):
        shutil.copy(weights / "config.json", folder)
    (pickled / "diffusion_pytorch_model.bin").write_bytes(b"pickle")
    for folder in (bare, pickled):
        with pytest.raises(hub.WeightsError, match=r"diffusion_pytorch_model.safetensors"):
            encoders_vae.load(str(folder), None)
    shutil.copytree(weights, damaged)
    file = damaged / "diffusion_pytorch_model.safetensors"
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(hub.WeightsError, match="damaged"):
        encoders_vae.load(str(damaged), None)


def test_weights_that_do_not_fit_are_named(weights, tmp_path):
    from safetensors.torch import load_file, save_file

    shutil.copytree(weights, tmp_path / "part")
    file = tmp_path / "part" / "diffusion_pytorch_model.safetensors"
    tensors = load_file(file)
    tensors["decoder.extra"] = tensors.pop("quant_conv.bias")
    tensors["post_quant_conv.bias"] = torch.zeros(3)
    save_file(tensors, file, {"format": "pt"})
    with pytest.raises(hub.WeightsError) as caught:
        vae.network(tmp_path / "part")
    for words in ("quant_conv.bias: missing", "decoder.extra: in the file", r"post_quant_conv.bias: shape (3,)"):
        assert words in str(caught.value)


# --- the cache of posteriors -----------------------------------------------------------------------------------------


def encoded(stores, weights, out, **changes):
    encoding.encode(stores.frames["native"][0], {**ENCODER, **changes}, str(weights), out, "cpu")
    return Embeddings([out])


def posteriors(weights, frames):
    """As diffusers' own AutoencoderKL.encode gives them, [B, 2C, h, w]."""
    from diffusers import AutoencoderKL

    network = AutoencoderKL.from_pretrained(weights)
    with torch.inference_mode():
        return network.encode(frames.movedim(-1, 1).float() / 127.5 - 1).latent_dist.parameters.numpy()


def test_rows_are_posteriors(stores, weights, tmp_path):
    found = encoded(stores, weights, tmp_path / "e.h5")
    assert found.encoder["shape"] == [4, 4, 6] and found.width == 4 * 4 * 6
    for video, count in COUNTS.items():
        expected = posteriors(weights, all_frames(stores, video))
        np.testing.assert_allclose(found.read(video, 0, count).reshape(expected.shape), expected, rtol=1e-5, atol=1e-5)


def test_only_frames_at_are_read_and_encoded(stores, weights, tmp_path, monkeypatch):
    whole = encoded(stores, weights, tmp_path / "whole.h5")
    read = []
    original = ViewReader.read_run

    def noted(self, position, out):
        read.extend(range(position, position + len(out)))
        return original(self, position, out)

    monkeypatch.setattr(ViewReader, "read_run", noted)
    some = encoded(stores, weights, tmp_path / "some.h5", at=[0, 5, 6, 11], batch=3)
    assert read == [0, 5, 6, 11, 12, 17, 18, 23, 24, 29, 30, 35, 36]
    assert [some.count(video) for video in COUNTS] == [4, 4, 4, 1]
    assert some.has("a", 6) and not some.has("a", 7) and some.has("one", 0) and not some.has("one", 5)
    assert whole.has("a", 7) and not whole.has("a", 12)
    videos, numbers = ["c", "a", "a", "one"], [11, 6, 0, 0]
    np.testing.assert_allclose(some.frames(videos, numbers), whole.frames(videos, numbers), rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(whole.frames(["b"], [3])[0], whole.read("b", 3, 4)[0])
    assert some.identity != whole.identity and some.encoder["at"] == [0, 5, 6, 11]


def test_frames_that_are_not_there_are_named(stores, weights, tmp_path):
    some = encoded(stores, weights, tmp_path / "some.h5", at=[0, 5])
    with pytest.raises(IndexError, match=r"video 'one' has no embedding of frame 5; it has frames \[0\]"):
        some.frames(["a", "one"], [5, 5])
    with pytest.raises(KeyError, match="no video 'nope'"):
        some.has("nope", 0)
    for whole in (lambda: some.read("a", 0, 1), lambda: some.table(["a"])):
        with pytest.raises(ValueError, match=r"`at` is \[0, 5\].*`at: null`"):
            whole()


def test_no_video_reaches(stores, weights, tmp_path):
    none = encoded(stores, weights, tmp_path / "none.h5", at=[40])
    assert none.frames([], []).shape == (0, 96) and not none.has("a", 40)


def test_half_precision(stores, weights, tmp_path):
    full = encoded(stores, weights, tmp_path / "full.h5").table(list(COUNTS))[0]
    half = encoded(stores, weights, tmp_path / "half.h5", precision="bf16", store="float16")
    assert half.frames(["a"], [0]).dtype == np.float32
    assert 0 < np.abs(full - half.table(list(COUNTS))[0]).max() < 0.1 * np.abs(full).max()


def test_views_and_pools_that_do_not_suit(stores, weights, tmp_path):
    with pytest.raises(ValueError, match="the view is 16x26"):
        encoded(stores, weights, tmp_path / "e.h5", view="odd")
    with pytest.raises(ValueError, match="`pool` is 'mean', but an autoencoder has no tokens"):
        encoded(stores, weights, tmp_path / "e.h5", pool="mean")
    assert list(tmp_path.iterdir()) == []


# --- config and graph ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"at": [21, 20]}, r"at is \[21, 20\].*\[20, 21\]"),
        ({"at": [20, 20]}, r"once, rising: \[20\]"),
        ({"at": []}, "at"),
        ({"at": [-1]}, "at"),
        ({"at": [3], "kind": "clip_text"}, "'clip_text' encodes texts, so leave out"),
    ],
)
def test_frame_numbers_that_cannot_be(changes, words):
    with pytest.raises(ValueError, match=words):
        Encoder(**{"kind": "vae", "hub": "x/y", "frames": "native", "view": "v", **changes})


def changed(encoders=(), run=("latents",)):
    config = copy.deepcopy(DEFAULT)
    config["run"] = {"encoders": list(run), "comparisons": []}
    config["encoders"] |= dict(encoders)
    return config


def flow(config, buckets=(0,)):
    made = plan.resolve(parse(Config, config))
    return made, Flow(made, {name: dict.fromkeys(buckets, "x") for name in made["data"]}, Path("results"))


def test_the_default_caches_latents_without_probing_them():
    made, answers = flow(changed(run=["latents", "tiny"]))
    assert {20, 21, 25} < set(made["encoders"]["latents"]["at"])
    assert ["world", "latents"] in [list(pair) for pair in made["caches"]]
    assert {Path(path).stem for path in answers.probes()} == {"tiny"}
    codes = [made["experiments"][name]["code"]["export"] for name in ("vae", "tiny_encoder")]
    assert len(set(codes)) == 2


def test_an_experiment_without_a_network_is_refused():
    with pytest.raises(ConfigError, match=r"encoders.bad.experiment: 'unet' is of task 'segmentation'"):
        flow(changed({"bad": {"kind": "vae", "experiment": "unet", "frames": "native", "view": "64x96"}}))


def test_networks_for_decoding(stores, weights, tmp_path):
    """Exported folders are inputs; a folder or name on the hub stands in the embedding file."""
    cache = tmp_path / "embeddings" / "theirs" / "bucket_0.h5"
    cache.parent.mkdir(parents=True)
    encoded(stores, weights, cache, hub=str(weights), experiment=None)
    inputs = Inputs(stores=[str(stores.samples), str(cache)], networks=["results/encoders/latents"])
    assert jobs.stores(inputs).networks == {"theirs": str(weights), "latents": "results/encoders/latents"}


class Inputs(dict):
    """Stands for Snakemake's inputs."""

    def __getattr__(self, name):
        return self[name]
