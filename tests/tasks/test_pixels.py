"""Frame prediction by diffusion: pairs, the UNet's start, dropout, sampling as diffusers does it, export, scores."""

from __future__ import annotations

import functools
import logging
import shutil

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from pydantic import ValidationError

from framecast import cli, metrics
from framecast.apply import edit
from framecast.config.base import Budget, Closed, Pretrained, Settings
from framecast.core.files import read_json, write_json
from framecast.core.seeding import torch_generator
from framecast.core.validation import ConfigError
from framecast.encoders import clip_text
from framecast.encoders import vae as encoders_vae
from framecast.models import autoencoder_round_trip, blur_frame, copy_last_frame, instruct_pix2pix
from framecast.ops import sampler
from framecast.ops.blur import REACH, blurred
from framecast.prediction import inference as prediction
from framecast.prediction import scoring
from framecast.prediction.export import diffusers_pipeline
from framecast.stores import Stores, predictions, prompts
from framecast.stores.embeddings import EmbeddingWriter
from framecast.stores.frames import FrameWriter
from framecast.tasks import _diffusion, _networks, _pairs, pixels, progress
from framecast.training import loop, runs
from framecast.weights import diffusers_folders, hub, run_files, state_dict, vae
from tests import startup

torch.set_num_threads(1)
SIDE, LATENT, WIDTH, LENGTH = 16, 4, 16, 8
SPLITS = {"train": 6, "select": 3, "test": 5}
AT = list(range(9))
GIVEN, TARGET = 2, 5
ENCODER = {"kind": "vae", "frames": "native", "view": "16", "at": AT, "revision": None, "hub": None}
WORDS = ("moving", "dropping", "red", "blue")
KEYS = {"encoder": "latents", "prompts": "plain", "frames": "native", "view": "16", "input": GIVEN, "target": TARGET}
TASK = pixels.Config(**KEYS).model_dump(mode="json")
TEXT_TO_IMAGE = pixels.Config(**{**KEYS, "input": None}).model_dump(mode="json")
NET = instruct_pix2pix.Config(channels=(8, 16), heads=2, groups=4)
INFERENCE = pixels.Inference(steps=3).model_dump(mode="json")


def length(number):
    return 4 if number in (1, 10) else 6 + number % 4


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """A tiny autoencoder and a tiny text encoder with its tokenizer, as diffusers and transformers write them."""
    from diffusers import AutoencoderKL
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

    root = tmp_path_factory.mktemp("folders")
    torch.manual_seed(0)
    AutoencoderKL(
        block_out_channels=(8, 16), norm_num_groups=4, latent_channels=LATENT, sample_size=SIDE, scaling_factor=0.7,
        down_block_types=("DownEncoderBlock2D",) * 2, up_block_types=("UpDecoderBlock2D",) * 2,
    ).save_pretrained(root / "vae")  # fmt: skip
    tokens = ["<|startoftext|>", "<|endoftext|>", *(f"{word}</w>" for word in WORDS)]
    letters = sorted({letter for word in WORDS for letter in word})
    tokens += [*letters, *(f"{letter}</w>" for letter in letters)]
    tokenizer = CLIPTokenizer(
        vocab={token: place for place, token in enumerate(tokens)}, merges=[], model_max_length=LENGTH,
        unk_token="<|endoftext|>",
    )  # fmt: skip
    tokenizer.save_pretrained(root / "text")
    CLIPTextModel(CLIPTextConfig(
        vocab_size=len(tokens), hidden_size=WIDTH, intermediate_size=32, num_attention_heads=2, num_hidden_layers=1,
        max_position_embeddings=LENGTH, bos_token_id=0, eos_token_id=1, pad_token_id=1,
    )).save_pretrained(root / "text")  # fmt: skip
    return root


def clip(number):
    """A square on grey that moves."""
    frames = np.full((length(number), SIDE, SIDE, 3), 60, np.uint8)
    for frame in range(len(frames)):
        frames[frame, 4:8, frame : frame + 5] = (200, 40 * (number % 5), 90)
    return frames


@pytest.fixture(scope="module")
def stores(folders, tmp_path_factory):
    """14 videos, two of them too short; latents of the frames `AT`; prompts with and without progress."""
    root = tmp_path_factory.mktemp("stores")
    (root / "frames").mkdir()
    rows = [
        {"video_id": f"{split}/{number:02d}", "split": split, "unit": f"group {number // 2}", "task": "ab"[number % 2],
         "frames": length(number)}
        for number, split in enumerate(split for split, count in SPLITS.items() for _ in range(count))
    ]  # fmt: skip
    table = pd.DataFrame(rows)
    table.to_parquet(root / "samples.parquet")
    frame_set = {"fps": None, "resize": "squash", "views": {"16": [SIDE, SIDE]}}
    encoder = encoders_vae.load(str(folders / "vae"), None)
    counts = [length(number) for number in range(len(table))]
    with (
        FrameWriter(root / "frames", frame_set) as writer,
        EmbeddingWriter(root / "latents.h5", table["video_id"].tolist(), counts, 8 * 64, "float32") as latents,
    ):
        for number, video_id in enumerate(table["video_id"]):
            writer.start(video_id)
            for frame, picture in enumerate(clip(number)):
                writer.append({"16": picture}, frame / 10, frame)
            latents.append(encoder.encode(torch.from_numpy(clip(number))).numpy())
        writer.finish({})
        latents.finish("identity", {**ENCODER, "shape": [8, 8, 8]}, {})
    text = clip_text.load(str(folders / "text"), None)
    for name, kind in (("plain", "none"), ("index", "index")):
        write_prompts(root / f"{name}.h5", table, text, kind)
    return Stores(
        root / "samples.parquet", {"native": [root / "frames"]}, {"latents": [root / "latents.h5"]},
        prompts={"plain": root / "plain.h5", "index": root / "index.h5"}, networks={"latents": str(folders / "vae")},
    )  # fmt: skip


def write_prompts(path, table, text, kind):
    texts = ["", "moving red", "dropping blue", "moving blue"]
    own = {(name, frame): 1 + place % 2 for place, name in enumerate(table["video_id"]) for frame in AT}
    others = {key: 3 - row for key, row in own.items() if not key[0].startswith("train")}
    places = {"own": own, "shuffled_text": others}
    if kind != "none":
        places["shuffled_progress"] = dict.fromkeys(others, 3)
    prompts.write(path, texts, [text.encode(texts).numpy()], places, prompts={"progress": kind})


def network(dataset, config=TASK, keys=NET, model=instruct_pix2pix, seed=0):
    torch.manual_seed(seed)
    known = {**pixels.facts(config, dataset), **(model.facts(keys) if hasattr(model, "facts") else {})}
    net = pixels.build(config, known, functools.partial(model.build, keys))
    pixels.fit(net, dataset)
    return net.eval()


def lively(net):
    """Weights that answer to source and text."""
    torch.manual_seed(5)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    return net


def everything(dataset):
    return dataset.__getitems__(list(range(len(dataset))))


def generator(seed=0):
    return torch_generator(seed, "test")


def spec_of(config=TASK, model=None, init=None, experiment="test", **budget):
    keys = (model or NET).model_dump(mode="json")
    budget = {"steps": 6, "batch": 3, "evaluate_every": 3, "learning_rate": 1e-3, "ema": 0.5, **budget}
    return {
        "experiment": experiment, "seed": 0, "task": {"name": "pixels", **config}, "data": "made", "select": "select",
        "model": {"name": "instruct_pix2pix", **keys}, "init": init, "fingerprint": "none",
        "budget": Budget(**budget).model_dump(mode="json"),
    }  # fmt: skip


def train(stores, out, spec, parent=None, settings=None):
    out.mkdir(parents=True, exist_ok=True)
    paths = {
        name: out / file
        for name, file in (("model", run_files.WEIGHTS), ("run", run_files.RECORD), ("curve", "curve.csv"))
    }
    known = Settings(device="cpu", tensorboard=False, **(settings or {})).model_dump(mode="json")
    loop.train(spec, stores, None, parent, paths, out / "work", known)
    return out


@pytest.fixture(scope="module")
def trained(stores, tmp_path_factory):
    return train(stores, tmp_path_factory.mktemp("run"), spec_of())


@pytest.fixture(scope="module")
def base(stores, folders, tmp_path_factory):
    """A text-to-image run of ours and its pipeline folder."""
    root = tmp_path_factory.mktemp("base")
    run = train(stores, root / "run", spec_of(TEXT_TO_IMAGE, experiment="base"))
    return run, export(run, root / "pipeline", folders)


def export(run, out, folders):
    out.mkdir()
    diffusers_pipeline.write(run, out, {"latents": folders / "vae", "text": folders / "text"})
    return out


# --- pairs -----------------------------------------------------------------------------------------------------------


def test_pairs_hold_posteriors_texts_and_frames(stores):
    dataset = pixels.dataset(TASK, stores, "test")
    batch = everything(dataset)
    assert batch["sample_id"] == [f"test/{number:02d}#2" for number in (9, 11, 12, 13)]
    assert np.array_equal(batch["target_frame"][0], clip(9)[TARGET])
    assert np.array_equal(batch["input_frame"][0], clip(9)[GIVEN])
    encoder = encoders_vae.load(dataset.autoencoder, None)
    torch.testing.assert_close(batch["target"][1].flatten(), encoder.encode(torch.from_numpy(clip(11)[[TARGET]]))[0])
    mode = encoder.network.encode(torch.from_numpy(clip(11)[[GIVEN]]).movedim(-1, 1) / 127.5 - 1).latent_dist.mode()
    torch.testing.assert_close(batch["source"][1], mode[0])
    assert batch["text"].shape == (4, LENGTH, WIDTH) and batch["empty"].shape == (LENGTH, WIDTH)
    assert torch.equal(batch["shuffled_text"][0], batch["text"][2]) and "shuffled_progress" not in batch
    single = dataset[1]
    assert torch.equal(single["target"], batch["target"][1]) and torch.equal(single["empty"], batch["empty"])


def test_large_caches_are_read_row_by_row(stores, monkeypatch):
    held = everything(pixels.dataset(TASK, stores, "train"))
    monkeypatch.setattr(_pairs, "HELD", 0)
    dataset = pixels.dataset(TASK, stores, "train")
    assert dataset._latents.held is None
    read = everything(dataset)
    assert all(torch.equal(read[key], held[key]) for key in ("target", "source", "text"))


def test_videos_without_the_target_are_left_out_of_both_arms_and_counted(stores, caplog):
    with caplog.at_level(logging.WARNING):
        arms = [pixels.dataset({**TASK, "prompts": name}, stores, "test") for name in ("plain", "index")]
    assert "split test: 1 of 5 videos lack frame 5 and are left out (test/10)" in caplog.text
    assert [arm.video_ids for arm in arms] == [["test/09", "test/11", "test/12", "test/13"]] * 2
    assert pixels.facts(TASK, arms[0])["without_target"] == 1
    assert pixels.samples(TASK) == pixels.samples({**TASK, "prompts": "index", "encoder": "other"})
    assert len({pixels.samples({**TASK, **other}) for other in ({}, {"target": 4}, {"input": None}, {"most": 2})}) == 4


def test_a_target_beyond_every_clip_is_refused(stores):
    with pytest.raises(ValueError, match=r"target frame 40, and the longest of 6 videos has 9 frames, numbers 0 to 8"):
        pixels.dataset({**TASK, "target": 40}, stores, "train")
    with pytest.raises(ValidationError, match="both frame 5"):
        pixels.Config(**{**KEYS, "input": 5})


def test_further_moments_train_only_and_end_with_the_video(stores):
    config = {**TASK, "moments": [0, 4]}
    train_set = pixels.dataset(config, stores, "train")
    of_long = [place[1:] for place in train_set.places if train_set.video_ids[place[0]] == "train/02"]  # 8 frames
    of_short = [place[1:] for place in train_set.places if train_set.video_ids[place[0]] == "train/00"]  # 6 frames
    assert of_long == [(2, 5), (0, 3), (4, 7)] and of_short == [(2, 5), (0, 3)]
    assert [place[1:] for place in pixels.dataset(config, stores, "test").places] == [(2, 5)] * 4
    images = pixels.dataset({**TEXT_TO_IMAGE, "moments": [0, 7]}, stores, "train")
    assert [place[1:] for place in images.places if images.video_ids[place[0]] == "train/00"] == [(None, 5), (None, 0)]
    assert "source" not in images.__getitems__([0])


def test_most_draws_evenly_over_tasks_whatever_else_is_there(stores):
    names = [f"v{number}" for number in range(40)]
    table = pd.DataFrame({"video_id": names, "task": ["a"] * 30 + ["b"] * 8 + ["c"] * 2})
    chosen = table.iloc[_pairs.drawn_evenly(table, 12)]
    assert chosen["task"].value_counts().to_dict() == {"a": 5, "b": 5, "c": 2}
    mixed = table.sample(frac=1, random_state=3).reset_index(drop=True)
    assert set(mixed.iloc[_pairs.drawn_evenly(mixed, 12)]["video_id"]) == set(chosen["video_id"])
    assert len(pixels.dataset({**TASK, "most": 2}, stores, "test")) == 2
    assert len(pixels.dataset({**TASK, "most": 2}, stores, "train")) == 5


def test_caches_of_other_frames_or_views_are_refused(stores, tmp_path):
    with pytest.raises(ValueError, match=r"encoders.latents.view is '16' and the task's view '32'"):
        pixels.Pairs({**TASK, "view": "32"}, stores, stores.split("test"), [(0, 2, 5)], False)
    with EmbeddingWriter(tmp_path / "few.h5", ["test/09"], [2], 512, "float32") as latents:
        latents.append(np.zeros((2, 512)))
        latents.finish("identity", {**ENCODER, "at": [1, 2], "shape": [8, 8, 8]}, {})
    few = Stores(
        stores.samples, stores.frames, {"latents": [tmp_path / "few.h5"]}, prompts=stores.prompts,
        networks=stores.networks,
    )  # fmt: skip
    videos = stores.split("test").iloc[:1]
    with pytest.raises(ValueError, match=r"no latents of frame 5 of video 'test/09'; add 5 to encoders.latents.at"):
        pixels.Pairs(TASK, few, videos, [(0, 2, 5)], False)


# --- the start -------------------------------------------------------------------------------------------------------


def parts_of(count=3, seed=1):
    made = torch.Generator().manual_seed(seed)
    noisy, source = torch.randn((2, count, LATENT, 8, 8), generator=made)
    return noisy, torch.tensor([900, 500, 10]), torch.randn((count, LENGTH, WIDTH), generator=made), source


def folder_config(path, **keys):
    return NET.model_copy(update={"base": Pretrained(hub=str(path), **keys)})


def test_a_text_to_image_base_gets_zero_channels_and_keeps_its_bias(stores, base):
    dataset = pixels.dataset(TASK, stores, "train")
    net = network(dataset, keys=folder_config(base[1]))
    given = diffusers_folders.tensors(base[1], "unet")
    first = net.core.unet.conv_in
    assert first.weight.shape[1] == 8 and not first.weight[:, 4:].any()
    assert torch.equal(first.weight[:, :4], given["conv_in.weight"]) and torch.equal(first.bias, given["conv_in.bias"])
    assert first.bias.abs().min() > 0
    noisy, steps, text, source = parts_of()
    plain = diffusers_pipeline.load(base[1], given=False).unet(noisy, steps, text).sample
    for other in (source, 100 * source, torch.zeros_like(source)):
        torch.testing.assert_close(net.core(noisy, steps, text, other), plain, rtol=0, atol=1e-6)
    scheduler = read_json(base[1] / "scheduler" / "scheduler_config.json")
    assert net.core.scheduler == scheduler == prediction.load_run(base[0])[1].core.scheduler
    assert scheduler["prediction_type"] == "epsilon" and scheduler["set_alpha_to_one"] is False


def test_a_text_to_image_run_of_ours_serves_as_init(stores, base, tmp_path):
    init = {"experiment": "base", "seed": None, "file": None, "fresh": []}
    out = train(stores, tmp_path / "run", spec_of(init=init, steps=0), base[0] / run_files.WEIGHTS)
    parent, own = state_dict.load(base[0] / run_files.WEIGHTS), state_dict.load(out / run_files.WEIGHTS)
    name = "core.unet.conv_in.weight"
    assert torch.equal(own[name], torch.cat([parent[name], torch.zeros_like(parent[name])], 1))
    assert all(torch.equal(own[other], parent[other]) for other in parent if other != name)
    again = train(stores, tmp_path / "again", spec_of(init=init, steps=0), out / run_files.WEIGHTS)
    assert torch.equal(state_dict.load(again / run_files.WEIGHTS)[name], own[name])


def test_a_base_with_channels_for_the_source_is_used_as_it_is(stores, trained, folders, tmp_path):
    pipeline = export(trained, tmp_path / "pipeline", folders)
    net = network(pixels.dataset(TASK, stores, "train"), keys=folder_config(pipeline))
    given = diffusers_folders.tensors(pipeline, "unet")
    assert given["conv_in.weight"].shape[1] == 8 and given["conv_in.weight"][:, 4:].any()
    own = net.core.unet.state_dict()
    assert own.keys() == given.keys() and all(torch.equal(own[name], given[name]) for name in given)


def test_a_run_from_a_base_predicts_without_it(stores, base, tmp_path):
    shutil.copytree(base[1], tmp_path / "base")
    run = train(stores, tmp_path / "run", spec_of(model=folder_config(tmp_path / "base"), steps=2))
    shutil.rmtree(tmp_path / "base")
    record, module = prediction.load_run(run)
    assert record["facts"]["base"]["unet"]["in_channels"] == 4 and module.core.unet.config.in_channels == 8


def altered(base, tmp_path, **keys):
    path = tmp_path / "unet"
    path.mkdir()
    write_json(path / "config.json", {**read_json(base[1] / "unet" / "config.json"), **keys})
    return path


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"in_channels": 9}, r"9 input channels, and 4 or 8 are needed .*inpainting"),
        ({"cross_attention_dim": 32}, r"texts of width 32, and the task's prompts have 16; .*text_encoder"),
        ({"out_channels": 8}, r"latents of 8 channels, and the task's latents have 4; .*subfolder vae"),
    ],
)
def test_a_base_of_the_wrong_kind_is_refused(stores, base, tmp_path, keys, message):
    with pytest.raises(ValueError, match=message):
        network(pixels.dataset(TASK, stores, "train"), keys=folder_config(altered(base, tmp_path, **keys)))


def test_files_of_a_base_that_do_not_serve_are_refused(stores, base, tmp_path):
    dataset = pixels.dataset(TASK, stores, "train")
    with pytest.raises(hub.WeightsError, match="Stable Diffusion XL"):
        network(dataset, keys=folder_config(altered(base, tmp_path, addition_embed_type="text_time")))
    (tmp_path / "unet" / "diffusion_pytorch_model.bin").write_bytes(b"")
    write_json(tmp_path / "unet" / "config.json", read_json(base[1] / "unet" / "config.json"))
    with pytest.raises(hub.WeightsError, match=r"pickled \(diffusion_pytorch_model.bin\)"):
        network(dataset, keys=folder_config(tmp_path / "unet"))
    with pytest.raises(hub.WeightsError, match="_class_name is 'AutoencoderKL', needed is 'UNet2DConditionModel'"):
        network(dataset, keys=folder_config(base[1] / "vae"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(hub.WeightsError, match=r"neither unet/config.json nor config.json"):
        network(dataset, keys=folder_config(tmp_path / "empty"))
    with pytest.raises(ValueError, match=r"8 input channels, and 4 are needed \(text-to-image\)"):
        wide = {**read_json(base[1] / "unet" / "config.json"), "in_channels": 8}
        instruct_pix2pix._check(wide, "base", latent=4, given=False, width=WIDTH)


def test_latents_of_other_channel_counts_double_too():
    net = instruct_pix2pix.build(NET, latent=6, given=True, width=WIDTH, size=(8, 8), base=None)
    assert net.unet.config.in_channels == 12 and net.unet.config.out_channels == 6


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"heads": 3}, "does not divide channels"),
        ({"groups": 5}, "does not divide"),
        ({"attention": (True,)}, "each level"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(keys, message):
    with pytest.raises(ValidationError, match=message):
        instruct_pix2pix.Config(**{"channels": (8, 16), "groups": 4, **keys})


# --- training --------------------------------------------------------------------------------------------------------


def test_conditions_are_dropped_in_the_published_shares():
    count, share = 60_000, 0.05
    draws = torch.rand(count, generator=generator())
    text, source = torch.ones(count, 1, 1), torch.ones(count, 1, 1, 1)
    words, frames = _diffusion.dropped({"dropout": share}, text, torch.zeros(1, 1), source, draws)
    without_text, without_source = words.flatten() == 0, frames.flatten() == 0
    shares = [without_text & ~without_source, ~without_text & without_source, without_text & without_source]
    assert [float(one.float().mean()) for one in shares] == pytest.approx([share] * 3, abs=0.004)
    words, frames = _diffusion.dropped({"dropout": share}, text, torch.zeros(1, 1), None, draws)
    assert frames is None and float((words == 0).float().mean()) == pytest.approx(2 * share, abs=0.004)
    assert torch.equal(_diffusion.dropped({"dropout": 0.0}, text, torch.zeros(1, 1), source, draws)[0], text)
    assert pixels.Config(**KEYS).dropout == 0.05


def test_the_module_holds_the_unet_alone_and_training_loads_no_frozen_network(stores, monkeypatch):
    monkeypatch.setattr(vae, "network", None)
    monkeypatch.setattr(clip_text, "load", None)
    dataset = pixels.dataset(TASK, stores, "train")
    net = network(dataset)
    assert {name.split(".")[1] for name, _ in net.named_parameters()} == {"unet"}
    batch = dataset.__getitems__([0, 1])
    assert set(batch) == {"target", "source", "text", "empty", "sample_id", "unit"}
    pixels.loss(net, batch, generator(), 0.0)["loss"].backward()
    assert all(parameter.grad is not None for parameter in net.parameters())


def test_the_loss_is_that_of_diffusers_training_script(stores):
    """The public script's lines, with the same random numbers."""
    from diffusers import DDPMScheduler
    from diffusers.models.autoencoders.vae import DiagonalGaussianDistribution

    dataset = pixels.dataset({**TASK, "dropout": 0.3}, stores, "train")
    net = lively(network(dataset, {**TASK, "dropout": 0.3}))
    batch = everything(dataset)
    found = pixels.loss(net, batch, generator(4), 0.0)["loss"]

    made, count = generator(4), len(dataset)
    random_p = torch.rand(count, generator=made)
    timesteps = torch.randint(1000, (count,), generator=made)
    noise_of_posterior, noise = torch.randn((2, count, LATENT, 8, 8), generator=made)
    posterior = DiagonalGaussianDistribution(batch["target"])
    latents = (posterior.mean + posterior.std * noise_of_posterior) * 0.7
    scheduler = DDPMScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", clip_sample=False)
    prompt_mask = (random_p < 2 * 0.3).reshape(count, 1, 1)
    encoder_hidden_states = torch.where(prompt_mask, batch["empty"][None], batch["text"])
    image_mask = 1 - (random_p >= 0.3).float() * (random_p < 3 * 0.3).float()
    original = image_mask.reshape(count, 1, 1, 1) * batch["source"]
    seen = torch.cat([scheduler.add_noise(latents, noise, timesteps), original], 1)
    predicted = net.core.unet(seen, timesteps, encoder_hidden_states, return_dict=False)[0]
    torch.testing.assert_close(found, torch.nn.functional.mse_loss(predicted, noise))


@pytest.mark.parametrize("kind", ["epsilon", "v_prediction", "sample"])
def test_what_is_predicted_follows_the_schedule(kind):
    net = instruct_pix2pix.build(NET.model_copy(update={"prediction": kind}), LATENT, True, WIDTH, (8, 8), None)
    latents, steps, _, noise = parts_of()
    noisy, wanted = net.noised(latents, noise, steps)
    signal, spread = (net.noise.alphas_cumprod[steps].sqrt()[:, None, None, None],
                      (1 - net.noise.alphas_cumprod[steps]).sqrt()[:, None, None, None])  # fmt: skip
    torch.testing.assert_close(noisy, signal * latents + spread * noise)
    expected = {"epsilon": noise, "v_prediction": signal * noise - spread * latents, "sample": latents}[kind]
    torch.testing.assert_close(wanted, expected)
    assert net.scheduler["prediction_type"] == kind


def test_checkpointing_changes_no_number(stores):
    dataset = pixels.dataset(TASK, stores, "train")
    batch, found = dataset.__getitems__([0, 1]), []
    for keys in (NET, NET.model_copy(update={"checkpointing": True})):
        net = lively(network(dataset, keys=keys)).train()
        loss = pixels.loss(net, batch, generator(), 0.0)["loss"]
        loss.backward()
        found.append((loss.item(), net.core.unet.conv_in.weight.grad))
    assert net.core.unet.is_gradient_checkpointing
    assert found[0][0] == pytest.approx(found[1][0], abs=1e-6)
    torch.testing.assert_close(found[0][1], found[1][1], atol=1e-6, rtol=1e-5)


def test_monitored_loss_depends_on_the_sample_alone(stores):
    dataset = pixels.dataset(TASK, stores, "test")
    net = lively(network(dataset))
    together = pixels.monitor(net, everything(dataset), generator(0))["loss"]
    alone = torch.cat([pixels.monitor(net, dataset.__getitems__([place]), generator(9))["loss"] for place in (3, 1)])
    torch.testing.assert_close(alone, together[[3, 1]], rtol=1e-5, atol=1e-6)


@pytest.fixture(scope="module")
def killed_and_resumed(stores, tmp_path_factory):
    """A run that was killed after step 4 of 6 and begun again, checkpointed every second step."""
    root, real, steps = tmp_path_factory.mktemp("killed"), loop.Learner.step, []

    def step(self, number, batches):
        steps.append(number)
        if steps == [0, 1, 2, 3, 4]:
            raise KeyboardInterrupt
        return real(self, number, batches)

    loop.Learner.step = step
    try:
        with pytest.raises(KeyboardInterrupt):
            train(stores, root, spec_of(), settings={"checkpoint_every": 2})
        train(stores, root, spec_of(), settings={"checkpoint_every": 2})
    finally:
        loop.Learner.step = real
    return root, steps


def test_a_killed_run_ends_with_the_same_bytes(trained, killed_and_resumed):
    root, steps = killed_and_resumed
    assert steps == [0, 1, 2, 3, 4, 4, 5]
    for name in (run_files.WEIGHTS, "curve.csv"):
        assert (root / name).read_bytes() == (trained / name).read_bytes()


def test_half_precision_trains_and_predicts(stores, tmp_path):
    run = train(stores, tmp_path / "run", spec_of(precision="bf16", steps=2, evaluate_every=2))
    curve = pd.read_csv(run / "curve.csv")
    assert np.isfinite(curve["value"]).all() and {"train", "select"} == set(curve["split"])
    predicted(run, stores, tmp_path / "found.h5")
    assert predictions.read(tmp_path / "found.h5").arrays["frame"].dtype == np.uint8


# --- sampling --------------------------------------------------------------------------------------------------------


def predicted(run, stores, out, split="test", **inference):
    record = read_json(run / run_files.RECORD)
    spec = {**{key: record["spec"][key] for key in ("experiment", "seed", "task", "model", "data", "fingerprint")},
            "inference": pixels.Inference(**{"steps": 3, **inference}).model_dump(mode="json")}  # fmt: skip
    prediction.predict(spec, run, stores, split, out, Settings(device="cpu").model_dump(mode="json"))
    return predictions.read(out)


@pytest.fixture(scope="module")
def lively_run(trained, tmp_path_factory):
    """The trained run with weights that answer to source and text."""
    root = tmp_path_factory.mktemp("lively")
    _, module = prediction.load_run(trained)
    write_json(root / run_files.RECORD, read_json(trained / run_files.RECORD))
    state_dict.save(state_dict.snapshot(lively(module)), root / run_files.WEIGHTS)
    return root


@pytest.mark.parametrize("name", ["DDIMScheduler", "PNDMScheduler", "EulerAncestralDiscreteScheduler"])
def test_our_sampler_and_diffusers_pipeline_draw_equal_pictures(lively_run, stores, folders, tmp_path, name):
    import diffusers

    pipeline = diffusers_pipeline.load(export(lively_run, tmp_path / "pipeline", folders), given=True)
    pipeline.scheduler = getattr(diffusers, name).from_config(pipeline.scheduler.config)
    dataset = pixels.dataset(TASK, stores, "test")
    _, module = prediction.load_run(lively_run)
    batch = dataset.__getitems__([0, 2])
    inference = {**INFERENCE, "steps": 5, "scheduler": name}
    made = [torch_generator(7, "predict", sample, 0) for sample in batch["sample_id"]]
    latents = _diffusion.drawn_latents(module, batch["text"], batch["empty"], batch["source"], inference, made)
    maker = torch.Generator().manual_seed(7)
    frames = pixels.predict(module, batch, maker, inference)["frame"]
    asked = {
        "prompt": ["dropping blue", "moving red"],
        "image": [Image.fromarray(frame) for frame in batch["input_frame"].numpy()], "num_inference_steps": 5,
    }  # fmt: skip

    def again(**how):
        made = [torch_generator(7, "predict", sample, 0) for sample in batch["sample_id"]]
        return pipeline(**asked, guidance_scale=7.5, image_guidance_scale=1.5, generator=made, **how).images

    torch.testing.assert_close(latents, again(output_type="latent"), rtol=0, atol=1e-5)
    pictures = np.stack([np.asarray(picture) for picture in again()])
    assert np.array_equal(frames.numpy(), pictures) and pictures.std() > 1


def test_text_to_image_draws_what_the_pipeline_draws(base, stores):
    pipeline = diffusers_pipeline.load(base[1], given=False)
    dataset = pixels.dataset(TEXT_TO_IMAGE, stores, "test")
    _, module = prediction.load_run(base[0])
    batch = dataset.__getitems__([0])
    frames = pixels.predict(module, batch, torch.Generator().manual_seed(7), INFERENCE)["frame"]
    made = torch_generator(7, "predict", batch["sample_id"][0], 0)
    picture = pipeline("dropping blue", SIDE, SIDE, num_inference_steps=3, guidance_scale=7.5, generator=made).images[0]
    assert np.array_equal(frames[0].numpy(), np.asarray(picture))
    assert batch["sample_id"] == ["test/09#5"] and "input_frame" not in batch


def test_predictions_depend_on_the_sample_and_the_seed_alone(lively_run, stores):
    dataset = pixels.dataset(TASK, stores, "test")
    _, module = prediction.load_run(lively_run)
    keys = {**INFERENCE, "scheduler": "EulerAncestralDiscreteScheduler"}
    found = {
        seed: pixels.predict(module, everything(dataset), torch.Generator().manual_seed(seed), keys)["frame"].int()
        for seed in (1, 2)
    }
    alone = pixels.predict(module, dataset.__getitems__([2]), torch.Generator().manual_seed(1), keys)["frame"].int()
    assert (alone[0] - found[1][2]).abs().max() <= 1  # convolutions add in another order in another batch
    assert (found[1] - found[2]).abs().max() > 1 and (found[1][0] - found[1][1]).abs().max() > 1


def test_inference_variants(lively_run, stores):
    dataset = pixels.dataset({**TASK, "prompts": "index"}, stores, "test")
    _, module = prediction.load_run(lively_run)
    batch = everything(dataset)

    def drawn(**keys):
        made = torch.Generator().manual_seed(1)
        return pixels.predict(module, batch, made, {**INFERENCE, **keys})["frame"].float()

    own = drawn()
    for kind in ("shuffled_text", "shuffled_progress", "empty"):
        assert not torch.equal(drawn(prompts=kind), own)
    with_words = {**batch, "text": batch["shuffled_text"]}
    made = torch.Generator().manual_seed(1)
    assert torch.equal(pixels.predict(module, with_words, made, INFERENCE)["frame"].float(),
                       drawn(prompts="shuffled_text"))  # fmt: skip
    assert torch.equal(drawn(prompts="empty", text_guidance=7.5), drawn(prompts="empty", text_guidance=2.0))
    one = drawn(text_guidance=1.0, image_guidance=1.0)
    three = drawn(text_guidance=1.0, image_guidance=1.0 + 1e-7)
    assert (one - three).abs().max() <= 1
    assert not torch.equal(drawn(draws=2), own)
    with pytest.raises(ConfigError, match=r"'DDIMSheduler' is no sampler .*did you mean 'DDIMScheduler'"):
        drawn(scheduler="DDIMSheduler")
    with pytest.raises(ValueError, match="'shuffled_progress', which needs prompts with progress"):
        batch.pop("shuffled_progress")
        drawn(prompts="shuffled_progress")


def test_residual_decoding_takes_the_autoencoders_error_off_what_stays(stores):
    batch = everything(pixels.dataset(TASK, stores, "test"))
    still = pixels._pictured(batch, batch["source"], "residual")
    assert torch.equal(sampler.quantised(still), batch["input_frame"])
    plain = pixels._pictured(batch, batch["source"], "plain")
    assert not torch.equal(sampler.quantised(plain), batch["input_frame"])
    images = everything(pixels.dataset(TEXT_TO_IMAGE, stores, "test"))
    with pytest.raises(ValueError, match="'residual', and the task's input is null"):
        pixels._pictured(images, images["target"][:, :LATENT], "residual")


# --- baselines, scores, pictures -------------------------------------------------------------------------------------


def baseline(stores, out, model):
    spec = {**spec_of(steps=0), "model": {"name": model.__name__.rpartition(".")[2]}}
    return predicted(train(stores, out, spec), stores, out / "found.h5")


def test_copy_last_frame_and_autoencoder_round_trip(stores, tmp_path):
    dataset = pixels.dataset(TASK, stores, "test")
    batch = everything(dataset)
    copied = baseline(stores, tmp_path / "copy", copy_last_frame)
    assert np.array_equal(copied.arrays["frame"], batch["input_frame"])
    tripped = baseline(stores, tmp_path / "trip", autoencoder_round_trip)
    network = vae.network(dataset.autoencoder)
    with torch.no_grad():
        decoded = network.decode(network.encode(batch["target_frame"].movedim(-1, 1) / 127.5 - 1).latent_dist.mode())
    expected = sampler.quantised(decoded.sample * 0.5 + 0.5).int()
    assert np.abs(tripped.arrays["frame"].astype(int) - expected.numpy()).max() <= 1
    images = everything(pixels.dataset(TEXT_TO_IMAGE, stores, "test"))
    with pytest.raises(ValueError, match="no frame to copy"):
        pixels.predict(_networks.Pixels(copy_last_frame.build(copy_last_frame.Config()), TEXT_TO_IMAGE, {
            "scaling_factor": 1, "latent": LATENT, "size": [8, 8]}), images, generator(), INFERENCE)  # fmt: skip


def test_copying_the_frame_is_predicted_and_scored_without_diffusers(stores, tmp_path):
    baseline(stores, tmp_path / "copy", copy_last_frame)
    run = tmp_path / "copy"
    startup.check_predictions(run, INFERENCE, stores)
    spec, scores = read_json(run / run_files.RECORD)["spec"], run / "test.csv"
    scoring.score(spec, run / "found.h5", stores, "test", scores, scores.with_suffix(".json"))
    startup.check_scores(scores, run / "found.h5", stores, {"scipy", "skimage"})


def test_blur_by_hand():
    """One bright pixel: with standard deviation 0.5 the weights are e^-8, e^-2, 1, e^-2, e^-8 over their sum."""
    frame = torch.zeros(1, 7, 9, 3, dtype=torch.uint8)
    frame[0, 3, 4] = torch.tensor([200, 100, 0])
    kernel = np.exp([-8, -2, 0, -2, -8]) / np.exp([-8, -2, 0, -2, -8]).sum()
    found = blurred(frame, 0.5)
    assert found.dtype == torch.uint8 and found[0, 3, 4].tolist() == [124, 62, 0]
    assert np.array_equal(found[0, 1:6, 2:7, 0], np.outer(kernel, 200 * kernel).round())
    assert torch.equal(blurred(frame, 0.0), frame)


@pytest.mark.parametrize("sigma", [0.3, 0.7, 1.4, 8.0])
def test_blur_is_scipys(sigma):
    from scipy.ndimage import gaussian_filter

    frames = torch.randint(256, (2, 9, 12, 3), generator=generator(), dtype=torch.uint8)
    expected = gaussian_filter(frames.double().numpy(), (0, sigma, sigma, 0), mode="nearest", truncate=REACH)
    assert np.abs(blurred(frames, sigma).numpy() - expected).max() <= 0.5 + 1e-3


def test_blur_learns_its_width():
    """The width that made the targets is found, in the mean over all batches; of equals the first is taken."""
    net = blur_frame.build(blur_frame.Config(candidates=[0.0, 1.0, 1.4]))
    sharp, flat = torch.randint(256, (2, 3, 9, 12, 3), generator=generator(), dtype=torch.uint8)
    flat[:] = 90

    def learnt(*pairs):
        said = net.fit_frames(pairs)
        return round(float(net.sigma), 6), said

    assert learnt((sharp, blurred(sharp, 1.4)))[0] == 1.4
    sigma, said = learnt((sharp[:1], sharp[:1]), (sharp[1:], blurred(sharp[1:], 1.0)))
    assert sigma == 1.0 and said.startswith("blur_frame: sigma 1 px") and "0: " in said
    assert learnt((flat, flat)) == (0.0, "blur_frame: sigma 0 px; mean PSNR of training pairs, dB: 0: 100.000, "
                                         "1: 100.000, 1.4: 100.000")  # fmt: skip
    assert blur_frame.build(blur_frame.Config(sigma=0.7)).candidates == [0.7]


def test_blur_frame_learns_on_training_pairs_and_blurs_others(stores, tmp_path, capsys):
    found = baseline(stores, tmp_path / "blur", blur_frame)
    sigma = float(state_dict.load(tmp_path / "blur" / run_files.WEIGHTS)["core.sigma"])
    assert f"sigma {sigma:g} px" in capsys.readouterr().out
    dataset = pixels.dataset(TASK, stores, "train")
    given, wanted = (torch.from_numpy(frames) for frames in dataset.pictures(dataset.places))
    decibels = {one: metrics.psnr(blurred(given, one), wanted, data_range=255).mean()
                for one in blur_frame.Config().candidates}  # fmt: skip
    assert sigma == pytest.approx(max(decibels, key=decibels.get))
    batch = everything(pixels.dataset(TASK, stores, "test"))
    assert np.array_equal(found.arrays["frame"], blurred(batch["input_frame"], sigma))
    net = blur_frame.build(blur_frame.Config())
    with pytest.raises(ValueError, match="no frame to blur"):
        net.answer(None, torch.zeros(1))
    images = pixels.dataset(TEXT_TO_IMAGE, stores, "train")
    module = _networks.Pixels(net, TEXT_TO_IMAGE, {"scaling_factor": 1, "latent": LATENT, "size": [8, 8]})
    with pytest.raises(ValueError, match="learns from input frames"):
        pixels.fit(module, images)


def test_scores_and_facts(stores, tmp_path):
    from skimage.metrics import peak_signal_noise_ratio

    dataset = pixels.dataset({**TASK, "prompts": "index"}, stores, "test")
    found = baseline(stores, tmp_path / "copy", copy_last_frame)
    found.arrays["frame"][1] = everything(dataset)["target_frame"][1]
    rows, facts = pixels.score(TASK, found, dataset)
    table = rows.pivot(index="sample_id", columns="metric", values="value")
    expected = peak_signal_noise_ratio(clip(9)[TARGET], clip(9)[GIVEN], data_range=255)
    assert table.loc["test/09#2", "psnr"] == pytest.approx(expected)
    assert table.loc["test/11#2", "psnr"] == 100 and table.loc["test/11#2", "ssim"] == pytest.approx(1)
    assert 0 < table.loc["test/09#2", "ssim"] < 1 and rows["value"].notna().all() and len(rows) == 8
    assert facts == {
        "data_range": 255, "progress_in_prompts": "index", "caution": pixels.FUTURE, "equal_pictures": 1, "pairs": 4,
        "videos": 4, "without_target": 1,
    }  # fmt: skip
    assert "caution" not in pixels.score(TASK, found, pixels.dataset(TASK, stores, "test"))[1]


def test_gallery_and_preview(stores, tmp_path):
    dataset = pixels.dataset(TASK, stores, "test")
    found = baseline(stores, tmp_path / "copy", copy_last_frame)
    headings, rows = pixels.gallery(TASK, dataset, {"copy": found, "again": found}, 2)
    assert headings == ["Input", "Truth", "copy", "again"] and [len(row) for row in rows] == [4, 4]
    number = {f"test/{place:02d}#2": place for place in range(9, 14)}
    chosen = [
        name for name in found.sample_ids if any(np.array_equal(row[1], clip(number[name])[TARGET]) for row in rows)
    ]
    assert len(chosen) >= 2 and all(np.array_equal(row[0], row[2]) for row in rows)
    batch = everything(dataset)
    picture = pixels.preview({"frame": torch.from_numpy(found.arrays["frame"]).float()}, batch)
    assert picture.dtype == np.uint8 and picture.shape == (3 * SIDE + 4, 4 * SIDE + 6, 3)
    assert np.array_equal(picture[SIDE + 2 : 2 * SIDE + 2, :SIDE], batch["target_frame"][0])


def test_export_refuses_what_is_no_pipeline(stores, trained, folders, tmp_path):
    spec = {**spec_of(steps=0), "model": {"name": "copy_last_frame"}}
    run = train(stores, tmp_path / "copy", spec)
    parts = {"latents": folders / "vae", "text": folders / "text"}
    with pytest.raises(ValueError, match="'copy_last_frame', which has no UNet to export"):
        diffusers_pipeline.write(run, tmp_path, parts)
    with pytest.raises(ValueError, match=r"autoencoder 'latents' and of one text encoder; given are \['text'\]"):
        diffusers_pipeline.write(trained, tmp_path, {"text": folders / "text"})


def test_every_key_is_described():
    for model in (pixels.Config, pixels.Inference, instruct_pix2pix.Config):
        assert issubclass(model, Closed) and all(field.description for field in model.model_fields.values())


# --- one picture from the command line -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def published(lively_run, folders, tmp_path_factory):
    """results/runs/test/seed_0 and its results/exports/test."""
    root = tmp_path_factory.mktemp("results")
    shutil.copytree(lively_run, root / "runs" / "test" / "seed_0")
    (root / "exports").mkdir()
    export(lively_run, root / "exports" / "test", folders)
    return root


def picture_file(path, size=(SIDE, SIDE)):
    Image.fromarray(clip(9)[GIVEN]).resize(size).save(path)
    return path


def test_edit_draws_the_pipelines_picture(published, tmp_path, capsys):
    image, out = picture_file(tmp_path / "frame.png"), tmp_path / "made" / "later.png"
    run = str(published / "runs" / "test" / "seed_0")
    keys = ["--image", str(image), "--steps", "3", "--seed", "5", "--device", "cpu", "--out", str(out)]
    assert cli.main(["edit", "--run", run, "--text", "moving", "--progress", "60", *keys]) == 0
    words = "Generate a future frame of this action: moving. And 60% of the action has been completed."
    assert capsys.readouterr().out == f"{out}: {words}\n"
    pipeline = diffusers_pipeline.load(published / "exports" / "test", given=True)
    made = torch.Generator().manual_seed(5)
    how = {"image": Image.open(image), "num_inference_steps": 3, "guidance_scale": 7.5, "image_guidance_scale": 1.5}
    expected = np.asarray(pipeline(words, generator=made, **how).images[0])
    assert np.array_equal(np.asarray(Image.open(out)), expected)
    beside = np.asarray(Image.open(out.with_name("later_comparison.png")))
    assert np.array_equal(beside[:, :SIDE], clip(9)[GIVEN]) and np.array_equal(beside[:, -SIDE:], expected)


def test_edit_takes_other_pipelines_sizes_and_videos(published, stores, tmp_path):
    folder = str(published / "exports" / "test")
    image, out = picture_file(tmp_path / "wide.png", (27, 18)), tmp_path / "later.png"
    words = ["--prompt", "red", "--steps", "1", "--device", "cpu", "--out"]
    assert cli.main(["edit", "--pipeline", folder, "--image", str(image), *words, str(out)]) == 0
    assert np.asarray(Image.open(out)).shape == (18, 26, 3)  # multiples of two
    pictures = tmp_path / "video"
    pictures.mkdir()
    for number, frame in enumerate(clip(9)):
        Image.fromarray(frame).save(pictures / f"image_{number}.png")
    run = ["--run", str(published / "runs" / "test" / "seed_0"), "--video", str(pictures)]
    assert cli.main(["edit", *run, "--frame", "2", *words, str(tmp_path / "second.png")]) == 0
    assert np.array_equal(np.asarray(Image.open(tmp_path / "second_comparison.png"))[:, :SIDE], clip(9)[2])


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        (["--pipeline", "{folder}", "--image", "{text}", "--text", "a"], "is no picture; give a png or jpeg file"),
        (["--pipeline", "{folder}", "--image", "{image}", "--prompt", "a", "--progress", "3"], "belong to --text"),
        (["--pipeline", "{folder}", "--image", "{image}", "--text", "a", "--estimate", "x"], "the frames of a --video"),
        (["--pipeline", "{folder}/vae", "--image", "{image}", "--text", "a"], "has no model_index.json"),
        (["--pipeline", "no/where", "--image", "{image}", "--text", "a"], "needs `revision`"),
        (["--run", "nowhere", "--image", "{image}", "--text", "a"], "has no run.json; give a finished run"),
        (["--run", "{run}", "--image", "{image}", "--text", "a", "--steps", "0"], "--steps 0"),
        (["--run", "{run}", "--video", "{video}", "--frame", "99", "--text", "a"], "frames 99 to 99 are needed"),
    ],
)
def test_edit_says_what_is_wrong(published, tmp_path, capsys, keys, message):
    (tmp_path / "video").mkdir()
    places = {
        "folder": published / "exports" / "test", "image": picture_file(tmp_path / "video" / "image_0.png"),
        "run": published / "runs" / "test" / "seed_0", "text": published / "runs" / "test" / "seed_0" / "run.json",
        "video": tmp_path / "video",
    }  # fmt: skip
    words = [key.format(**places) for key in keys]
    assert cli.main(["edit", *words, "--device", "cpu", "--out", str(tmp_path / "later.png")]) == 1
    assert message in capsys.readouterr().err and not (tmp_path / "later.png").exists()


def test_edit_names_the_export_that_is_missing(lively_run, tmp_path):
    run = tmp_path / "results" / "runs" / "test" / "seed_0"
    shutil.copytree(lively_run, run)
    with pytest.raises(FileNotFoundError, match="make it with `snakemake results/exports/test`"):
        edit.exported(run)


def test_edit_estimates_progress_from_the_video(published, tmp_path, capsys):
    """A constant stands in for the network: what is checked is the way from the video to the prompt."""
    facts = {"tokens": 5, "longest": 9, "vocabulary": ["moving"], "templates": [], "size": [SIDE, SIDE],
             "resize": "squash"}  # fmt: skip
    keys = {"frames": "native", "view": "16", "count": 3}
    spec = {
        **spec_of(steps=0, experiment="progress"), "model": {"name": "constant_progress"},
        "task": {"name": "progress", **progress.Config(**keys).model_dump(mode="json")},
    }  # fmt: skip
    module = runs.build(spec, facts)
    module.core.fit(torch.tensor([0.37]), torch.tensor([1]), torch.tensor([9]))
    estimating = tmp_path / "seed_0"
    write_json(estimating / run_files.RECORD, {"spec": spec, "facts": facts})
    state_dict.save(state_dict.snapshot(module), estimating / run_files.WEIGHTS)
    video = tmp_path / "video"
    video.mkdir()
    for number, frame in enumerate(clip(9)):
        Image.fromarray(frame).save(video / f"image_{number}.png")
    keys = ["--video", str(video), "--frame", "4", "--estimate", str(estimating), "--steps", "1", "--device", "cpu"]
    run = ["--run", str(published / "runs" / "test" / "seed_0"), "--text", "moving", "--out", str(tmp_path / "out.png")]
    assert cli.main(["edit", *run, *keys]) == 0
    assert capsys.readouterr().out.endswith("moving. And 37% of the action has been completed.\n")
