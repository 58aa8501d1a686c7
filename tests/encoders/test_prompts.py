"""Prompts: wording, percents, variants, the encoder's states as diffusers makes them, the plan and what is refused."""

from __future__ import annotations

import copy
import dataclasses
import functools
import logging
import pickle
import shutil
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch

from framecast.config.base import Config, Prompts
from framecast.core.files import read_json, write_json
from framecast.core.needs import Needs
from framecast.core.validation import ConfigError, parse
from framecast.encoders import clip_text, prompts
from framecast.stores import Stores, predictions
from framecast.stores import prompts as store
from framecast.training import identity
from framecast.weights import hub
from framecast.workflow import jobs, plan
from framecast.workflow.inputs import Flow
from tests.workflow.test_plan import DEFAULT

torch.set_num_threads(1)
LETTERS = [chr(number) for number in range(97, 123)] + list("0123456789.:%")
NAMES = ["<|startoftext|>", "<|endoftext|>", *LETTERS, *(f"{letter}</w>" for letter in LETTERS)]
PUSH, DROP = "Pushing [something]", "Dropping [something]"
ENCODER = {"kind": "clip_text", "hub": "-", "revision": None, "experiment": None, "seed": None, "batch": 4,
           "precision": "float32", "store": "float32"}  # fmt: skip


def config(**keys):
    return {**Prompts(encoder="words", **keys).model_dump(mode="json"), "splits": ["train", "select", "test"]}


@pytest.fixture
def samples():
    """Ten videos; one of them is shorter than 21 frames, one is of a split without prompts."""
    rows = []
    for number in range(10):
        template = (PUSH, DROP)[number % 2]
        text = template.lower().replace("[something]", ("a cube", "a cone", "a ball")[number % 3])
        split = "train" if number < 4 else "hidden" if number == 9 else "test"
        rows.append({"video_id": f"v{number}", "split": split, "frames": 12 if number == 8 else 40 + 3 * number,
                     "text": text, "template": template})  # fmt: skip
    return pd.DataFrame(rows)


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    """A tiny CLIP model with its tokenizer, as the hub has them."""
    from transformers import CLIPConfig, CLIPModel, CLIPTokenizer

    folder = tmp_path_factory.mktemp("clip")
    vocabulary = {name: number for number, name in enumerate(NAMES)}
    CLIPTokenizer(vocab=vocabulary, merges=[], model_max_length=77).save_pretrained(folder)
    sizes = {"hidden_size": 8, "intermediate_size": 16, "num_attention_heads": 2, "num_hidden_layers": 2}
    text = {**sizes, "vocab_size": len(NAMES), "bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 1}
    torch.manual_seed(5)
    pictures = {**sizes, "image_size": 8, "patch_size": 4}
    CLIPModel(CLIPConfig(text_config=text, vision_config=pictures, projection_dim=8)).save_pretrained(folder)
    return folder


def copied(clip, tmp_path):
    return shutil.copytree(clip, tmp_path / "copy")


# --- wording, percents, variants -------------------------------------------------------------------------------------


def test_wording():
    assert prompts.prompt("moving a cup down") == "Generate a future frame of this action: moving a cup down"
    assert prompts.prompt("moving a cup down", 41) == (
        "Generate a future frame of this action: moving a cup down. And 41% of the action has been completed."
    )


def test_percents_round_down_and_short_videos_have_no_prompt(samples):
    made = prompts.table(samples, config(progress="index", at=[20, 39]), {})
    own = {place: made.texts[row] for place, row in made.places["own"].items()}
    assert own["v1", 20] == prompts.prompt("dropping a cone", 46)  # 20 of 43
    assert own["v0", 39] == prompts.prompt("pushing a cube", 97)  # 39 of 40
    assert ("v8", 20) not in own and made.short == 1 and "" in made.texts
    assert len(made.texts) == len(set(made.texts))
    template = prompts.table(samples, config(text="template"), {})
    assert template.texts == ["", prompts.prompt(DROP), prompts.prompt(PUSH)]


def test_variants_are_of_other_actions_and_other_percents_of_the_same_split(samples):
    samples = samples[samples["split"] != "hidden"]
    made = prompts.table(samples, config(progress="index"), {})
    own, text, percent = (made.places[name] for name in store.VARIANTS)
    assert set(text) == set(percent) == {place for place in own if place[0] >= "v4"}
    for place in text:
        mine, other, shifted = (made.texts[found[place]].split(". And ") for found in (own, text, percent))
        assert mine[1] == other[1] and ("pushing" in mine[0]) != ("pushing" in other[0])
        assert mine[0] == shifted[0] and mine[1] != shifted[1]
    assert prompts.table(samples.iloc[::-1], config(progress="index"), {}).places == made.places


def test_one_video_alone_has_no_other_text_and_keeps_its_percent(samples):
    made = prompts.table(samples.iloc[5:6], config(progress="index"), {})
    assert set(made.places) == {"own", "shuffled_progress"}
    assert made.places["shuffled_progress"] == made.places["own"]


def test_estimates_are_written_into_prompts_and_must_all_be_there(samples, tmp_path):
    part = samples[samples["split"] != "hidden"]
    names = [f"{name}#20" for name in part["video_id"]]
    predictions.write(tmp_path / "a.h5", {"progress": np.linspace(0, 1.0, 9)}, names, names, {})
    found = prompts.estimates([tmp_path / "a.h5"])
    made = prompts.table(part, config(progress="estimate", source={"experiment": "x"}), found)
    assert made.texts[made.places["own"]["v1", 20]] == prompts.prompt("dropping a cone", 12)
    with pytest.raises(ValueError, match=r"1 of 9 estimates of progress are missing, first of video 'v9' at frame 20"):
        prompts.table(samples, config(progress="estimate", source={"experiment": "x"}), found)
    predictions.write(tmp_path / "b.h5", {"frame": np.zeros(9)}, names, names, {})
    with pytest.raises(ValueError, match=r"b.h5: predicts \['frame'\], not 'progress'"):
        prompts.estimates([tmp_path / "b.h5"])


@pytest.mark.parametrize("text", ["", "  ", None])
def test_videos_without_a_text_are_named(samples, text):
    samples.loc[3, "text"] = text
    with pytest.raises(ValueError, match=r"1 of 10 videos have no text, first 'v3'"):
        prompts.table(samples, config(), {})
    with pytest.raises(ValueError, match=r"no video has a frame \[70\]: the longest has 67 frames"):
        prompts.table(samples[samples["video_id"] != "v3"], config(at=[70]), {})


# --- the encoder -----------------------------------------------------------------------------------------------------


def pipeline(clip):
    """A tiny InstructPix2Pix pipeline around the text encoder."""
    from diffusers import AutoencoderKL, PNDMScheduler, StableDiffusionInstructPix2PixPipeline, UNet2DConditionModel
    from transformers import CLIPTextModel, CLIPTokenizer

    shape = {"block_out_channels": (8,), "norm_num_groups": 4, "layers_per_block": 1}
    unet = UNet2DConditionModel(
        in_channels=8, out_channels=4, down_block_types=("CrossAttnDownBlock2D",),
        up_block_types=("CrossAttnUpBlock2D",),
        cross_attention_dim=8, attention_head_dim=4, **shape,
    )  # fmt: skip
    vae = AutoencoderKL(down_block_types=("DownEncoderBlock2D",), up_block_types=("UpDecoderBlock2D",), **shape)
    return StableDiffusionInstructPix2PixPipeline(
        vae=vae, text_encoder=CLIPTextModel.from_pretrained(clip), tokenizer=CLIPTokenizer.from_pretrained(clip),
        unet=unet, scheduler=PNDMScheduler(), safety_checker=None,
        feature_extractor=None, requires_safety_checker=False,
    )  # fmt: skip


def test_states_are_those_of_a_diffusers_pipeline_also_from_its_folder(clip, tmp_path):
    texts = ["", "dropping a cone", prompts.prompt("pushing a cube", 41), "long " * 200]
    pipe = pipeline(clip)
    states = pipe._encode_prompt(texts, "cpu", 1, do_classifier_free_guidance=False)
    pipe.save_pretrained(tmp_path / "pipe")
    for folder in (clip, tmp_path / "pipe"):
        encoder = clip_text.load(str(folder), None)
        assert torch.equal(encoder.encode(texts), states.float())
        assert (encoder.length, encoder.width) == (77, 8) and encoder.count("long " * 200) == 802
    assert clip_text.load(str(clip), None).identity == clip_text.load(str(clip), None).identity


def test_identity_follows_weights_and_tokenizer(clip, tmp_path):
    before, folder = clip_text.load(str(clip), None).identity, copied(clip, tmp_path)
    assert clip_text.load(str(folder), None).identity == before
    found = read_json(folder / "tokenizer_config.json")
    write_json(folder / "tokenizer_config.json", {**found, "model_max_length": 40})
    shorter = clip_text.load(str(folder), None)
    assert shorter.identity != before and shorter.encode(["a"]).shape == (1, 40, 8)


def test_folders_that_do_not_serve_are_refused(clip, tmp_path):
    folder = copied(clip, tmp_path)
    found = read_json(folder / "tokenizer_config.json")
    write_json(folder / "tokenizer_config.json", {**found, "model_max_length": 99})
    with pytest.raises(hub.WeightsError, match=r"model_max_length in tokenizer_config.json is 99, .* 77 positions"):
        clip_text.load(str(folder), None)
    (folder / "tokenizer.json").unlink()
    with pytest.raises(hub.WeightsError, match=r"has no tokenizer.json, nor vocab.json"):
        clip_text.load(str(folder), None)
    write_json(folder / "config.json", {"model_type": "dinov2"})
    with pytest.raises(hub.WeightsError, match="model_type is 'dinov2'; this encoder kind reads clip_text_model, clip"):
        clip_text.load(str(folder), None)
    write_json(tmp_path / "pipe" / "model_index.json", {})
    (tmp_path / "pipe" / "vae").mkdir()
    with pytest.raises(hub.WeightsError, match=r"no folder 'text_encoder'; its folders are \['vae'\]"):
        clip_text.load(str(tmp_path / "pipe"), None)
    with pytest.raises(hub.WeightsError, match="needs `revision`"):
        clip_text.load("openai/clip-vit-base-patch32", None)


def test_a_tokenizer_of_another_model(clip, tmp_path):
    from transformers import CLIPTokenizer

    folder = copied(clip, tmp_path)
    more = {name: number for number, name in enumerate([*NAMES, "ab", "ba"])}
    CLIPTokenizer(vocab=more, merges=[], model_max_length=77).save_pretrained(folder)
    with pytest.raises(hub.WeightsError, match=rf"tokenizer has {len(more)} tokens, .* knows {len(NAMES)}"):
        clip_text.load(str(folder), None)


# --- the file --------------------------------------------------------------------------------------------------------


def embedded(samples, clip, tmp_path, sources=(), **keys):
    samples.to_parquet(tmp_path / "samples.parquet")
    arguments = config(**keys), ENCODER, str(clip), sources, tmp_path / "prompts.h5", "cpu"
    prompts.embed(tmp_path / "samples.parquet", *arguments)
    return store.Prompts(tmp_path / "prompts.h5")


def test_a_data_sets_prompts(samples, clip, tmp_path, caplog):
    samples.loc[5, "text"] = "word " * 200
    with caplog.at_level(logging.WARNING):
        found = pickle.loads(pickle.dumps(embedded(samples, clip, tmp_path, progress="index")))
    encoder = clip_text.load(str(clip), None)
    row = found.row("v4", 20)
    assert found.texts[row] == prompts.prompt("pushing a cone", 38)
    states = found.read([row, found.empty, row])
    assert states.shape == (3, 77, 8) == (3, found.length, found.width) and states.dtype == np.float32
    np.testing.assert_allclose(states, encoder.encode([found.texts[row], "", found.texts[row]]).numpy(), atol=1e-6)
    long = [text for text in found.texts if encoder.count(text) > 77]
    assert (
        found.cut == len(long) >= 2 and f"{found.cut} of {len(found.texts)} prompts are longer than 77" in caplog.text
    )
    assert "1 of 9 videos end before any given frame" in caplog.text
    assert not found.in_sample and found.encoder["kind"] == "clip_text" and found.config["progress"] == "index"
    assert found.has("v4", 20, "shuffled_text") and not found.has("v9", 20) and not found.has("v8", 20)
    for place in (("v1", 20, "shuffled_text"), ("v4", 21, "own"), ("v8", 20, "own")):
        with pytest.raises(KeyError, match=f"'{place[2]}' for video '{place[0]}' at frame {place[1]}"):
            found.row(*place)
    with pytest.raises(KeyError, match="no prompts of variant 'other'; there are"):
        found.row("v4", 20, "other")


def test_estimates_of_training_videos_are_said_to_be_in_sample(samples, clip, tmp_path):
    part = samples[samples["split"] != "hidden"]
    names = [f"{name}#20" for name in part["video_id"]]
    predictions.write(tmp_path / "a.h5", {"progress": np.full(9, 0.5)}, names, names, {})
    keys = {"progress": "estimate", "source": {"experiment": "x"}}
    first = embedded(samples, clip, tmp_path, [tmp_path / "a.h5"], **keys)
    assert first.in_sample and first.row("v4", 20, "shuffled_progress") == first.row("v4", 20)
    before = first.identity
    assert embedded(samples, clip, tmp_path, [tmp_path / "a.h5"], **keys).identity == before
    assert embedded(samples, clip, tmp_path).identity != before


def test_files_that_are_none(tmp_path):
    with pytest.raises(ValueError, match="there is no such prompt file"):
        _ = store.Prompts(tmp_path / "none.h5").length
    (tmp_path / "text.h5").write_text("text")
    with pytest.raises(ValueError, match="damaged prompt file"):
        _ = store.Prompts(tmp_path / "text.h5").length
    states = np.zeros((2, 3, 4), np.float32)
    with pytest.raises(ValueError, match="must be distinct, with ''"):
        store.write(tmp_path / "a.h5", ["a", "b"], [states], {"own": {}})
    with pytest.raises(ValueError, match=r"row 2 of 2 prompts"):
        store.write(tmp_path / "a.h5", ["", "b"], [states], {"own": {("v", 20): 2}})
    with pytest.raises(ValueError, match="allowed are"):
        store.write(tmp_path / "a.h5", ["", "b"], [states], {"own": {}, "mixed": {}})
    with pytest.raises(ValueError, match="1 embeddings for 2 texts"):
        store.write(tmp_path / "a.h5", ["", "b"], [states[:1]], {"own": {}})
    with pytest.raises(ValueError, match="not finite in float16"):
        store.write(tmp_path / "a.h5", ["", "b"], [states + 1e6], {"own": {}}, dtype="float16")
    assert not (tmp_path / "a.h5").exists()


# --- the plan --------------------------------------------------------------------------------------------------------


def planned(**prompts_keys):
    """The default with an entry of `prompts`, and PAC-Net on the data of the encoder."""
    mapping = copy.deepcopy(DEFAULT)
    mapping["experiments"]["pac_net"]["data"] = "world"
    mapping["comparisons"] = {"gap_1": mapping["comparisons"]["gap_1"]}
    mapping["run"]["comparisons"] = ["gap_1"]
    mapping["encoders"]["words"] = {"kind": "clip_text", "hub": "x/y", "revision": "0" * 40}
    mapping["prompts"] = {"plain": {"encoder": "words", **prompts_keys}}
    return mapping


@pytest.fixture
def reading(monkeypatch):
    """The task `autoencoder` reads the prompts `plain`."""
    from framecast.tasks import autoencoder

    own = autoencoder.needs
    asked = functools.wraps(own)(lambda config: dataclasses.replace(own(config), prompts=("plain",)))
    monkeypatch.setattr(autoencoder, "needs", asked)


def test_prompts_reach_the_jobs_and_bring_their_parents(reading, tmp_path):
    mapping = planned(progress="estimate", source={"experiment": "pac_net"})
    mapping["run"] = {"experiments": ["tiny_encoder"], "encoders": []}
    made = plan.resolve(parse(Config, mapping))
    assert list(made["experiments"]) == ["pac_net", "tiny_encoder"] and made["caches"] == []
    assert made["prompts"]["plain"]["source"] == {"experiment": "pac_net", "seed": 0}
    flow = Flow(made, {"world": {0: "a"}}, tmp_path)
    asked = SimpleNamespace(experiment="tiny_encoder", seed=0, split="test", prompts="plain", data="world")
    assert flow.prompts(asked) == [str(tmp_path / "data" / "world" / "prompts" / "plain.h5")]
    folder = tmp_path / "runs" / "pac_net" / "seed_0" / "predictions"
    assert flow.prompt_sources(asked) == [str(folder / f"{split}.h5") for split in ("train", "select", "test")]
    assert flow.prompt_weights(asked) == [] and '"splits":["train","select","test"]' in flow.prompt_config(asked)
    inputs = SimpleNamespace(stores="s.parquet", get={"prompts": flow.prompts(asked)}.get)
    assert jobs.stores(inputs).prompts == {"plain": tmp_path / "data" / "world" / "prompts" / "plain.h5"}


def test_prompts_are_part_of_a_runs_identity(tmp_path):
    for name in ("samples", "plain"):
        (tmp_path / name).write_text(name)
    stores = Stores(tmp_path / "samples", prompts={"plain": tmp_path / "plain"})
    needs = Needs(prompts=("plain",))
    before = identity.inputs(stores, needs)
    (tmp_path / "plain").write_text("other")
    assert before["prompts/plain"] != identity.inputs(stores, needs)["prompts/plain"]


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        ("prompts.plain.encoder", "word", ["prompts.plain.encoder", "'word'", "'words'"]),
        ("prompts.plain.encoder", "tiny", ["prompts.plain.encoder", "'dino', which encodes frames", "clip_text"]),
        ("prompts.plain.progress", "estimate", ["prompts.plain", "`estimate` needs a `source`"]),
        ("prompts.plain.source", {"experiment": "pac_net"}, ["prompts.plain", "progress is 'none'"]),
        ("prompts.plain.at", [], ["prompts.plain.at"]),
        ("prompts.plain.at", [20, 20], ["prompts.plain", "twice"]),
        ("prompts.plain.text", "caption", ["prompts.plain.text", "template"]),
        ("encoders.words.view", "64", ["encoders.words", "encodes texts, so leave out view"]),
        ("encoders.words.kind", "clip", ["encoders.words", "encodes frames: give `frames` and `view`"]),
        ("encoders.tiny.frames", None, ["encoders.tiny", "give `frames` and `view`"]),
        ("run.encoders", ["words"], ["run.encoders", "'words'", "encodes texts"]),
        ("tasks.next_1.encoder", "words", ["tasks.next_1.encoder", "encodes texts"]),
    ],
)
def test_what_is_wrong_is_said(path, value, words):
    mapping = planned()
    *parents, last = path.split(".")
    place = mapping
    for key in parents:
        place = place[key]
    place[last] = value
    with pytest.raises(ConfigError) as caught:
        plan.resolve(parse(Config, mapping))
    for word in words:
        assert word in str(caught.value), caught.value


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ({"experiment": "pacnet"}, ["prompts.plain.source.experiment", "'pac_net'"]),
        ({"experiment": "pac_net", "seed": 9}, ["prompts.plain.source.seed", "no seed 9"]),
        ({"experiment": "unet"}, ["prompts.plain.source.experiment", "'segmentation', which predicts no progress"]),
    ],
)
def test_sources_that_do_not_serve(source, words):
    with pytest.raises(ConfigError) as caught:
        plan.resolve(parse(Config, planned(progress="estimate", source=source)))
    for word in words:
        assert word in str(caught.value), caught.value


def test_estimates_of_other_data(reading):
    mapping = planned(progress="estimate", source={"experiment": "pac_net"})
    mapping["experiments"]["tiny_encoder"]["data"] = "objects"
    mapping["run"] = {"experiments": ["tiny_encoder"]}
    with pytest.raises(
        ConfigError, match=r"prompts.plain.source: 'pac_net' is on data 'world', 'tiny_encoder' on 'obj"
    ):
        plan.resolve(parse(Config, mapping))


def with_frames(name, fps):
    """A config whose pixels experiment, or whose estimates, take a frame set of this rate."""
    mapping = copy.deepcopy(DEFAULT)
    mapping["frame_sets"]["thinned"] = {**mapping["frame_sets"]["actions"], "fps": fps}
    mapping["tasks"][mapping["experiments"][name]["task"]]["frames"] = "thinned"
    mapping["comparisons"], mapping["run"] = {}, {"experiments": ["ip2p_5", "ip2p_5_estimate"]}
    return mapping


@pytest.mark.parametrize("name", ["ip2p_5", "pac_net_20"])
def test_prompts_need_every_frame(name):
    with pytest.raises(
        ConfigError, match=r"frame_sets.thinned.fps is 6, and prompts.\w+ counts the frames of the file"
    ):
        plan.resolve(parse(Config, with_frames(name, 6)))
    plan.resolve(parse(Config, with_frames(name, None)))
