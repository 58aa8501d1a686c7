"""CLIP of our own: tokenizer, contrastive loss, retrieval, export, and the encoders that are loaded from it."""

from __future__ import annotations

import copy
import dataclasses
import functools
import math
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch

from framecast import metrics
from framecast.config.base import Budget, Config, Pretrained, Settings
from framecast.core.files import read_json, write_json
from framecast.core.seeding import torch_generator
from framecast.core.validation import ConfigError, parse
from framecast.encoders import clip as clip_encoder
from framecast.encoders import clip_text
from framecast.encoders.prompts import prompt
from framecast.models import clip, pac_net
from framecast.ops.contrastive import symmetric
from framecast.prediction import inference, scoring
from framecast.prediction.export import export
from framecast.tasks import contrast, progress
from framecast.training import loop
from framecast.weights import bpe, hub, run_files
from framecast.workflow import plan
from framecast.workflow.inputs import Flow
from tests.tasks.test_progress import SIDE, SMALL, stores  # noqa: F401 (a fixture)
from tests.workflow.test_plan import DEFAULT

torch.set_num_threads(1)
KEYS = {"frames": "native", "view": "small", "count": 3, "draws": 4, "vocabulary": 600, "text_limit": 50}
TASK = contrast.Config(**KEYS).model_dump(mode="json")
NET = {"width": 16, "layers": 1, "patch": 8, "text_width": 16, "text_layers": 1, "heads": 2, "projection": 12}
TEXTS = ["pushing a red cube", "pulling a blue cube", "pushing a blue cone"]


def trained(stores, folder, steps=2, task=TASK, model="clip", keys=NET):  # noqa: F811
    budget = Budget(steps=steps, batch=8, evaluate_every=50, monitor="contrast", learning_rate=0.003)
    model_keys = {"name": model, **(clip.Config(**keys).model_dump(mode="json") if model == "clip" else keys)}
    spec = {
        "experiment": "clip", "seed": 0, "task": {"name": "contrast", **task}, "model": model_keys,
        "budget": budget.model_dump(mode="json"), "init": None, "data": "toy", "select": "select", "fingerprint": "-",
    }  # fmt: skip
    folder.mkdir()
    out = {"model": folder / run_files.WEIGHTS, "run": folder / run_files.RECORD, "curve": folder / "curve.csv"}
    settings = Settings(tensorboard=False).model_dump(mode="json")
    loop.train(spec, stores, None, None, out, folder / "work", settings)
    inference.predict({**spec, "inference": {}}, folder, stores, "test", folder / "test.h5", settings)
    scoring.score(spec, folder / "test.h5", stores, "test", folder / "test.csv", folder / "test.json")
    return folder


@pytest.fixture
def run(stores, tmp_path):  # noqa: F811
    return trained(stores, tmp_path / "run")


# --- tokenizer -------------------------------------------------------------------------------------------------------


def test_the_tokenizer_follows_from_the_texts_alone():
    merges = bpe.learn([*TEXTS, *TEXTS], 600)
    assert merges == bpe.learn(TEXTS[::-1], 600) and len(merges) == 20
    names = bpe.vocabulary(merges)
    assert names[:2] == ["<|startoftext|>", "<|endoftext|>"] and len(names) == len(set(names)) <= 600
    pieces = bpe.Pieces(merges, 77)
    assert pieces("Pushing  a blue CUBE") == [
        0,
        *(names.index(f"{word}</w>") for word in ("pushing", "a", "blue", "cube")),
        1,
    ]
    strange = pieces("Zürich 漢字 99%!")
    assert 0 not in strange[1:-1] and 1 not in strange[1:-1] and max(strange) < pieces.size
    assert pieces("") == [0, 1]
    with pytest.raises(ValueError, match="a vocabulary of 100 tokens has no room"):
        bpe.learn(TEXTS, 100)


def test_a_merge_by_hand():
    """`a b` occurs most often, at the end of a word; then nothing is left that does."""
    merges = bpe.learn(["ab ab ab cb"], 516)
    assert merges == ["a b</w>", "c b</w>"]
    assert bpe.vocabulary(merges)[-2:] == ["ab</w>", "cb</w>"]


@pytest.mark.parametrize("absent", [["tokenizer.json"], ["vocab.json", "merges.txt"]])
def test_its_files_load_as_a_clip_tokenizer(tmp_path, absent):
    from transformers import CLIPTokenizer

    merges = bpe.learn(TEXTS, 600)
    bpe.save(merges, 40, tmp_path)
    for name in absent:
        (tmp_path / name).unlink()
    loaded = CLIPTokenizer.from_pretrained(tmp_path)
    for text in ["Pushing a blue cube, twice", "", "日本"]:
        assert loaded(text)["input_ids"] == bpe.Pieces(merges, 40)(text)
    assert loaded.model_max_length == 40
    assert loaded("a", padding="max_length")["input_ids"][-37:] == [1] * 37


# --- data and loss ---------------------------------------------------------------------------------------------------


def test_pairs(stores):  # noqa: F811
    train, test = (contrast.dataset(TASK, stores, split) for split in ("train", "test"))
    assert (len(train), len(test)) == (8 * 4, 4) and train.merges == test.merges
    batch = test.__getitems__([0, 1, 2, 3])
    assert batch["frames"].shape == (4, 3, SIDE, SIDE, 3) and batch["tokens"].shape[:2] == (4, 3)
    assert test.shown(0, 0) == [int(share * test.counts[0]) for share in (1 / 6, 3 / 6, 5 / 6)]
    pieces = bpe.Pieces(test.merges, 50)
    text = test.distinct[test.place[0]]
    ids = batch["tokens"][0].tolist()
    assert ids[0][: len(pieces(text))] == pieces(text) and set(ids[0][len(pieces(text)) :]) <= {1}
    assert ids[1][: len(pieces(prompt(text)))] == pieces(prompt(text))
    named = [name for name in train.video_ids for _ in range(4)]
    assert train.__getitems__([0, 5])["sample_id"] == [f"{named[0]}#0", f"{named[5]}#1"]
    assert train.shown(0, 0) == train.shown(0, 0) != train.shown(0, 1)


def test_the_loss_by_hand():
    """Two of three pairs share their text: neither is a negative of the other."""
    images = torch.eye(3)
    texts = torch.eye(3)[[0, 0, 2]]
    text = torch.tensor([0, 0, 1])
    same = text[:, None] == text
    found = symmetric(images, texts, torch.tensor(math.log(2.0)), same)
    e = math.e**2
    first = -math.log(2 * e / (2 * e + 1)) / 2 - math.log((e + 1) / (e + 2)) / 2
    second = -math.log(2 / 3) / 2 - math.log((e + 1) / (e + 2)) / 2
    third = -math.log(e / (e + 2)) / 2 - math.log(e / (e + 2)) / 2
    np.testing.assert_allclose(found.numpy(), [first, second, third], rtol=1e-5)
    plain = symmetric(images, images, torch.tensor(math.log(2.0)), torch.eye(3) > 0)
    logits = 2 * images
    np.testing.assert_allclose(plain, torch.nn.functional.cross_entropy(logits, torch.arange(3)).expand(3), rtol=1e-5)


def test_recall_counts_ties():
    similarity = [[0.9, 0.1, 0.2], [0.5, 0.5, 0.1], [0.3, 0.3, 0.3], [0.1, 0.9, 0.0]]
    np.testing.assert_allclose(metrics.recall_1(similarity, np.array([0, 1, 2, 0])), [1, 1 / 2, 1 / 3, 0])
    with pytest.raises(ValueError, match="must be finite, with one row for each of 2"):
        metrics.recall_1([[np.nan, 1], [0, 1]], np.array([0, 1]))


def test_wordings_are_drawn(stores):  # noqa: F811
    dataset = contrast.dataset(TASK, stores, "train")
    batch = dataset.__getitems__(list(range(32)))
    seen = []

    def core(frames, tokens):
        seen.append(tokens)
        return torch.eye(32), torch.eye(32)

    module = SimpleNamespace(config=TASK, core=SimpleNamespace(scale=torch.tensor(0.0)))
    module = type("M", (), {"__call__": lambda _, *given: core(*given), "config": TASK, "core": module.core})()
    contrast.loss(module, batch, torch_generator(0, "test"), 0.0)
    form = (seen[0][:, None] == batch["tokens"]).all(-1).float().argmax(1)
    counts = torch.bincount(form, minlength=3).tolist()
    assert sum(counts) == 32 and 10 <= counts[0] <= 22 and min(counts[1:]) >= 3


@pytest.mark.parametrize("text", ["", None])
def test_videos_without_text_are_refused(stores, text):  # noqa: F811
    table = pd.read_parquet(stores.samples)
    table.loc[2, "text"] = text
    table.to_parquet(stores.samples)
    with pytest.raises(ValueError, match=r"split 'train': 1 of 8 videos have no text, first 'train/video 02'"):
        contrast.dataset(TASK, stores, "test")


def test_long_texts_are_cut_and_counted(stores, caplog):  # noqa: F811
    table = pd.read_parquet(stores.samples)
    table.loc[2, "text"] = "word " * 200
    table.to_parquet(stores.samples)
    dataset = contrast.dataset(TASK, stores, "train")
    assert contrast.facts(TASK, dataset)["videos_with_cut_text"] == 1 and dataset.table.ids.shape[1] == 50
    assert "split train: 1 of 8 videos have a text, or a prompt of it, of more than 50 tokens" in caplog.text


# --- the whole way ---------------------------------------------------------------------------------------------------


def test_it_finds_the_texts_of_videos(stores, tmp_path):  # noqa: F811
    folder = trained(stores, tmp_path / "run", steps=150)
    rows, facts = pd.read_csv(folder / "test.csv"), read_json(folder / "test.json")
    assert set(rows["metric"]) == {"recall_1"} and len(rows) == 4
    assert facts["chance"] == 1 / facts["gallery_texts"] == 0.25
    assert pd.read_csv(folder / "curve.csv").query("quantity == 'loss'")["value"].iloc[-5:].mean() < 0.8


def test_an_export_loads_as_clip(run, tmp_path, stores):  # noqa: F811
    from transformers import CLIPModel, CLIPTokenizer

    export(run, tmp_path / "hub", {})
    record, module = inference.load_run(run)
    whole, words = CLIPModel.from_pretrained(tmp_path / "hub").eval(), CLIPTokenizer.from_pretrained(tmp_path / "hub")
    dataset = contrast.dataset(TASK, stores, "test")
    batch = dataset.__getitems__([0, 1])
    frames = batch["frames"][:, 0]
    mean, std = hub.pixel_statistics(tmp_path / "hub")
    values = ((frames.float() - torch.tensor(mean)) / torch.tensor(std)).movedim(-1, 1)
    ids = words([dataset.distinct[place] for place in dataset.place[:2]], padding=True, return_tensors="pt")[
        "input_ids"
    ]
    with torch.no_grad():
        own = module.core(contrast.pixels(frames), batch["tokens"][:, 0])
        found = whole(input_ids=ids, pixel_values=values)
    assert torch.allclose(found.image_embeds, torch.nn.functional.normalize(own[0], dim=-1), atol=1e-4)
    assert torch.allclose(found.text_embeds, torch.nn.functional.normalize(own[1], dim=-1), atol=1e-5)
    encoder = clip_encoder.load(str(tmp_path / "hub"), None)
    assert torch.allclose(encoder.encode(frames), own[0], atol=1e-4) and encoder.width == 12
    texts = clip_text.load(str(tmp_path / "hub"), None)
    assert texts.encode([prompt("pushing a red cube", 7)]).shape == (1, 50, 16)
    assert texts.count(prompt("pushing a red cube", 7)) < 50
    assert f"{record['facts']['texts']} different texts" in (tmp_path / "hub" / "README.md").read_text()


def test_exports_are_equal_bytes(run, tmp_path):
    for name in ("one", "two"):
        export(run, tmp_path / name, {})
    names = {path.name for path in (tmp_path / "one").iterdir()}
    assert {"config.json", "model.safetensors", "vocab.json", "merges.txt", hub.PIXELS} <= names
    for name in names:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_image_encoder_refuses_other_sizes_and_pools(run, tmp_path):
    export(run, tmp_path / "hub", {})
    encoder = clip_encoder.load(str(tmp_path / "hub"), None)
    with pytest.raises(ValueError, match=r"the view is 32x32, but this CLIP takes 24x24 only"):
        encoder.check_size(32, 32)
    with pytest.raises(ValueError, match="set `pool: cls`"):
        clip_encoder.load(str(tmp_path / "hub"), None, "mean")
    write_json(tmp_path / "hub" / "config.json", {"model_type": "vit"})
    with pytest.raises(hub.WeightsError, match="model_type is 'vit'"):
        clip_encoder.load(str(tmp_path / "hub"), None)


def test_pac_net_takes_its_text_encoder_and_tokenizer(run, tmp_path, stores):  # noqa: F811
    export(run, tmp_path / "hub", {})
    here = {"hub": str(tmp_path / "hub"), "revision": None}
    task = progress.Config(frames="native", view="small", count=4, text_limit=50, tokenizer=here).model_dump(
        mode="json"
    )
    dataset = progress.dataset(task, stores, "test")
    keys = pac_net.Config(**{**SMALL, "heads": 2}, text_encoder=here)
    module = progress.build(task, progress.facts(task, dataset), lambda **shape: pac_net.build(keys, **shape))
    batch = dataset.__getitems__([0, 1])
    assert module(batch["frames"], batch["tokens"], batch["kept"], batch["elapsed"]).shape == (2,)
    assert module.core.text.width == 16


def test_runs_that_cannot_be_exported(stores, tmp_path):  # noqa: F811
    folder = tmp_path / "run"
    folder.mkdir()
    spec = {"experiment": "e", "task": {"name": "segmentation"}, "model": {"name": "unet"}}
    write_json(folder / run_files.RECORD, {"spec": spec})
    with pytest.raises(ValueError, match="its task is 'segmentation', which has no network to export"):
        export(folder, tmp_path / "hub", {})
    assert not (tmp_path / "hub").exists()
    with pytest.raises(ValueError, match=r"models.clip.patch is 7, which does not divide"):
        clip.build(clip.Config(patch=7), 24, 600, 50)


# --- the plan --------------------------------------------------------------------------------------------------------


def borrowing(**keys):
    mapping = copy.deepcopy(DEFAULT)
    mapping["models"]["pac_net"]["text_encoder"] = keys
    mapping["tasks"]["progress"]["tokenizer"] = keys
    mapping["run"] = {"experiments": ["pac_net"]}
    return mapping


def test_an_experiment_serves_where_a_folder_would(tmp_path):
    made = plan.resolve(parse(Config, borrowing(experiment="clip")))
    assert list(made["experiments"]) == ["clip", "pac_net"]
    spec = made["experiments"]["pac_net"]["spec"]
    where = {"hub": "results/exports/clip", "revision": None, "experiment": None}
    assert spec["model"]["text_encoder"] == spec["task"]["tokenizer"] == where
    assert Pretrained(**where).hub == "results/exports/clip"
    flow = Flow(made, {"world": {0: "a"}}, tmp_path)
    asked = SimpleNamespace(experiment="pac_net", seed=0)
    assert flow.pretrained(asked) == [str(tmp_path / "exports" / "clip")]
    parent = SimpleNamespace(experiment="clip")
    assert flow.first_run(parent)[0] == str(tmp_path / "runs" / "clip" / "seed_0" / "model.safetensors")
    assert flow.export_parts(parent) == "{}" and flow.export_folders(parent) == flow.pretrained(parent) == []


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"experiment": "klip"}, ["tasks.progress.tokenizer.experiment", "'klip'", "'clip'"]),
        ({"experiment": "unet"}, ["'segmentation', whose networks are not exported", "contrast"]),
        ({"experiment": "clip", "hub": "a/b"}, ["either `hub` or `experiment`"]),
        ({"experiment": "clip", "revision": "0"}, ["an experiment's export has none"]),
        ({}, ["either `hub` or `experiment`"]),
    ],
)
def test_what_is_wrong_is_said(keys, words):
    with pytest.raises(ConfigError) as caught:
        plan.resolve(parse(Config, borrowing(**keys)))
    for word in words:
        assert word in str(caught.value), caught.value


def test_an_export_takes_the_frozen_networks_of_prompts_along(monkeypatch, tmp_path):
    from framecast.tasks import autoencoder

    own = autoencoder.needs
    asked = functools.wraps(own)(lambda config: dataclasses.replace(own(config), prompts=("plain",)))
    monkeypatch.setattr(autoencoder, "needs", asked)
    made = plan.resolve(parse(Config, {**DEFAULT, "run": {"experiments": ["tiny_encoder"]}}))
    assert list(made["experiments"]) == ["clip", "tiny_encoder"] and list(made["encoders"]) == ["words"]
    flow, asked = Flow(made, {"world": {0: "a"}}, tmp_path), SimpleNamespace(experiment="tiny_encoder", prompts="plain")
    folder = str(tmp_path / "encoders" / "words")
    assert flow.export_folders(asked) == flow.prompt_weights(asked) == [folder]
    assert flow.export_parts(asked) == f'{{"words":["{folder}",null]}}'
    words = SimpleNamespace(encoder="words")
    assert flow.encoder_code(words) == flow.export_code(SimpleNamespace(experiment="clip"))
    assert flow.export_code(asked) != flow.encoder_code(words)
