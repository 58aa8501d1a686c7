"""Progress: moments, clips, texts as tokens, PAC-Net and its baselines, ablations, scores."""

from __future__ import annotations

import functools
import itertools
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from pydantic import ValidationError

from framecast.config.base import Budget, Config, Settings
from framecast.core.files import read_json, write_json
from framecast.core.seeding import torch_generator
from framecast.core.validation import parse
from framecast.models import constant_progress, elapsed_frames, pac_net, random_progress
from framecast.prediction import inference as prediction
from framecast.prediction import scoring
from framecast.stores import Stores, predictions, states
from framecast.stores.frames import FrameWriter
from framecast.tasks import progress
from framecast.tasks._progress_clips import moments, possible, shown
from framecast.training import identity, loop
from framecast.weights import hub, run_files, tokens
from framecast.workflow import plan
from framecast.workflow.inputs import Flow
from tests import startup
from tests.workflow.test_plan import DEFAULT

torch.set_num_threads(1)
SIDE = 24
SPLITS = {"train": 8, "select": 3, "test": 4}
FRAME_SET = {"fps": None, "resize": "squash", "views": {"small": [SIDE, SIDE]}}
TEMPLATES = ("Pushing [something] from left to right", "Pulling [something] from right to left")
KEYS = {"frames": "native", "view": "small", "count": 6, "crops": 8, "moments": 3, "brightness": 0.0}
TASK = progress.Config(**KEYS).model_dump(mode="json")
SMALL = {"channels": (8, 16), "text_width": 16, "text_layers": 1, "width": 32, "layers": 1, "dropout": 0.0}
NET = pac_net.Config(**SMALL)


def length(number: int) -> int:
    return 16 + 5 * (number % 4)


def clip(number: int) -> np.ndarray:
    """A bright square whose column is the share of the action that is done: what the first frames do is nothing."""
    frames = np.full((length(number), SIDE, SIDE, 3), 40, np.uint8)
    for frame, share in enumerate(action(number)):
        left = round(share * (SIDE - 6))
        left = left if number % 2 == 0 else SIDE - 6 - left
        frames[frame, 6 + number % 8 : 12 + number % 8, left : left + 6] = 230
    return frames


def action(number: int) -> np.ndarray:
    """Begins at frame 3, ends with the video."""
    times = np.arange(length(number))
    return ((times - 3) / (times[-1] - 3)).clip(0, 1)


@pytest.fixture
def stores(tmp_path):
    """15 videos of unequal lengths with texts and, in `labels`, the progress of two objects at each frame."""
    rows, found = [], []
    frames, labels = tmp_path / "frames", tmp_path / "labels"
    frames.mkdir()
    labels.mkdir()
    with FrameWriter(frames, FRAME_SET) as writer:
        for split, count in SPLITS.items():
            for _ in range(count):
                number = len(rows)
                video_id, template = f"{split}/video {number:02d}", TEMPLATES[number % 2]
                text = template.lower().replace("[something]", f"a {('red', 'blue')[number // 2 % 2]} cube")
                rows.append({"video_id": video_id, "split": split, "unit": f"group {number // 2}", "text": text,
                             "template": template})  # fmt: skip
                writer.start(video_id)
                for frame, picture in enumerate(clip(number)):
                    writer.append({"small": picture}, frame / 10, frame)
                found += [(video_id, frame, share) for frame, share in enumerate(action(number)) for _ in range(2)]
        writer.finish({})
    pd.DataFrame(rows).to_parquet(tmp_path / "samples.parquet")
    pd.DataFrame(found, columns=["video_id", "frame", "progress"]).to_parquet(labels / "states.parquet")
    return Stores(tmp_path / "samples.parquet", {"native": [frames]}, labels=[labels])


def network(dataset, model=pac_net, keys=NET, config=TASK):
    torch.manual_seed(0)
    net = progress.build(config, progress.facts(config, dataset), functools.partial(model.build, keys))
    progress.fit(net, dataset)
    return net


def generator(seed=0):
    return torch_generator(seed, "test")


def everything(dataset):
    return dataset.__getitems__(list(range(len(dataset))))


def with_texts(stores, tmp_path, texts):
    table = pd.read_parquet(stores.samples)
    table["text"] = [texts.get(name, text) for name, text in zip(table["video_id"], table["text"], strict=True)]
    table.to_parquet(tmp_path / "changed.parquet")
    return Stores(tmp_path / "changed.parquet", stores.frames, labels=stores.labels)


# --- moments and clips -----------------------------------------------------------------------------------------------


def test_evaluated_moments_are_the_middles_of_the_span():
    config = {**TASK, "moments": 4}
    assert moments(config, "v", 100, training=False) == [20, 40, 60, 80]
    assert moments({**config, "moments": 40}, "v", 10, training=False) == [1, 2, 3, 4, 5, 6, 7, 8, 9]
    assert moments({**config, "span": (0.0, 1.0), "moments": 1000}, "v", 10, training=False) == list(range(10))


def test_possible_moments_are_those_of_the_span():
    assert possible(TASK, 20) == list(range(2, 19))
    assert possible({**TASK, "span": (0.0, 1.0)}, 3) == [0, 1, 2]
    assert possible({**TASK, "at": [7, 3, 9]}, 8) == [3, 7]
    many = moments({**TASK, "crops": 4000}, "v", 47, training=True)
    assert sorted(set(many)) == possible(TASK, 47)


def test_training_moments_are_drawn_in_equal_parts_of_the_span_by_the_video():
    config = {**TASK, "crops": 40}
    drawn = moments(config, "a", 1000, training=True)
    assert [(moment - 100) // 20 for moment in drawn] == list(range(40))  # 0.1 to 0.9 in 40 parts of 20 frames
    assert drawn == moments(config, "a", 1000, training=True) != moments(config, "b", 1000, True)


def test_training_clips_are_moved_whole():
    frames = torch.rand(40, 2, 3, 8, 6, generator=generator())
    found = progress._moved(frames, 2, generator())
    steps = set()
    for before, after in zip(frames, found, strict=True):
        middle, ways = after[..., 2:-2, 2:-2], itertools.product(range(-2, 3), repeat=2)
        fits = [(y, x) for y, x in ways if torch.equal(middle, before[..., 2 - y : 6 - y, 2 - x : 4 - x])]
        steps |= set(fits)
        assert len(fits) == 1
        if fits[0][0] == 2:
            assert torch.equal(after[..., 0, :], after[..., 1, :]) and torch.equal(after[..., 1, :], after[..., 2, :])
    assert len(steps) > 15


def test_frames_shown_end_at_the_moment():
    assert shown(TASK, 10) == [0, 2, 4, 6, 8, 10]
    assert shown(TASK, 3) == [0, 1, 1, 2, 2, 3]
    last = {**TASK, "sampling": "last"}
    assert shown(last, 10) == [5, 6, 7, 8, 9, 10] and shown(last, 3) == [0, 0, 0, 1, 2, 3]


def test_clips_and_targets(stores):
    dataset = progress.dataset(TASK, stores, "test")
    batch = everything(dataset)
    number, count = 11, length(11)
    assert batch["sample_id"][:3] == [f"test/video 11#{round(share * count)}" for share in (0.1 + 0.4 / 3, 0.5, 0.9 - 0.4 / 3)]  # fmt: skip  # noqa: E501
    assert len(dataset) == 12 and set(batch["unit"]) == {"group 5", "group 6", "group 7"}
    end = int(batch["elapsed"][1])
    assert batch["target"][1].numpy() == pytest.approx(np.array(shown(TASK, end)) / count)
    assert np.array_equal(batch["frames"][1], clip(number)[shown(TASK, end)])
    assert torch.equal(dataset[1]["frames"], batch["frames"][1])
    assert len(progress.dataset(TASK, stores, "train")) == 8 * 8


def test_progress_of_the_action_comes_from_the_labels(stores):
    config = {**TASK, "target": "action"}
    dataset = progress.dataset(config, stores, "test")
    expected = np.array([action(11 + video)[shown(TASK, end)] for video, end in dataset.places])
    np.testing.assert_allclose(everything(dataset)["target"], expected, atol=1e-6)
    np.testing.assert_allclose(dataset.targets, expected[:, -1])
    assert progress.samples(config) != progress.samples(TASK)
    with pytest.raises(ValueError, match="says nothing of the progress of an action: set the task's target: elapsed"):
        progress.dataset(config, Stores(stores.samples, stores.frames), "test")


def test_a_frame_set_that_drops_frames_finds_its_labels(stores, tmp_path):
    frames = tmp_path / "sparse"
    frames.mkdir()
    with FrameWriter(frames, FRAME_SET) as writer:
        for number in range(15):
            split = "train" if number < 8 else "select" if number < 11 else "test"
            writer.start(f"{split}/video {number:02d}")
            for frame in range(0, length(number), 3):
                writer.append({"small": clip(number)[frame]}, frame / 10, frame)
        writer.finish({})
    sparse = Stores(stores.samples, {"native": [frames]}, labels=stores.labels)
    dataset = progress.dataset({**TASK, "target": "action"}, sparse, "test")
    expected = [action(11 + video)[3 * moment] for video, moment in dataset.places]
    np.testing.assert_allclose(dataset.targets, expected)


def test_a_video_without_labels_is_named(stores, tmp_path):
    table = pd.read_parquet(stores.labels[0] / "states.parquet")
    table[table["video_id"] != "test/video 12"].to_parquet(tmp_path / "states.parquet")
    fewer = Stores(stores.samples, stores.frames, labels=[tmp_path])
    with pytest.raises(ValueError, match="1 of 4 videos is not known, first 'test/video 12'"):
        progress.dataset({**TASK, "target": "action"}, fewer, "test")


def test_a_span_that_does_not_rise_is_refused():
    with pytest.raises(ValidationError, match=r"span is \[0.9, 0.1\]"):
        progress.Config(**{**KEYS, "span": (0.9, 0.1)})


def test_videos_are_cut_at_given_frames(stores, caplog):
    """Lengths are 16, 21, 26 and 31: of the 4 test videos two end before frame 24, one of them before frame 18."""
    config = {**TASK, "at": [24, 18]}
    assert moments(config, "a", 25, training=True) == moments(config, "b", 25, False) == [18, 24]
    assert moments(config, "a", 24, False) == [18] and moments(config, "a", 18, False) == []
    dataset = progress.dataset(config, stores, "test")
    assert everything(dataset)["sample_id"] == [
        "test/video 11#18", "test/video 11#24", "test/video 13#18", "test/video 14#18", "test/video 14#24"
    ]  # fmt: skip
    assert dataset.targets == pytest.approx([18 / 31, 24 / 31, 18 / 21, 18 / 26, 24 / 26])
    found = progress.facts(config, dataset)
    assert (found["clips"], found["videos"], found["videos_too_short"]) == (5, 3, 2)
    assert "2 of 4 videos end before a frame of `at`" in caplog.text
    assert len(progress.dataset(config, stores, "train")) == 2 * 4 + 2
    assert progress.samples(config) == progress.samples({**config, "moments": 9}) != progress.samples(TASK)


def test_a_frame_that_no_video_has_is_named(stores):
    with pytest.raises(ValueError, match="split test: no video has a frame 31, the longest has 31 frames"):
        progress.dataset({**TASK, "at": [31, 40]}, stores, "test")
    with pytest.raises(ValidationError, match=r"at is \[20, 20\]: name each frame once"):
        progress.Config(**KEYS, at=[20, 20])


# --- texts -----------------------------------------------------------------------------------------------------------


def test_words_are_numbered_in_alphabetical_order():
    words = tokens.words_of(["Pushing a cube", "a ball, rolling"])
    assert words.vocabulary == [",", "a", "ball", "cube", "pushing", "rolling"] and words.size == 9
    assert words("a CUBE rolls") == [0, 4, 6, 2, 1] and words("") == [0, 1]
    assert tokens.words_of(["物体を押す"])("物体を押す") == [0, 3, 1]


def test_long_texts_keep_their_end_and_are_counted():
    table = tokens.table(tokens.words_of(["a b c d"]), ["a b c d", "a"], 4)
    assert table.ids.tolist() == [[0, 3, 4, 1], [0, 3, 1, 1]]
    assert table.kept.tolist() == [[True] * 4, [True, True, True, False]] and table.long == ["a b c d"]


def test_texts_of_a_split(stores, tmp_path, caplog):
    changed = with_texts(stores, tmp_path, {"test/video 11": "word " * 200, "test/video 12": None})
    dataset = progress.dataset(TASK, changed, "test")
    found = progress.facts(TASK, dataset)
    assert found["videos_with_cut_text"] == found["videos_without_text"] == 1 and found["texts"] == 3
    assert found["size"] == [SIDE, SIDE] and found["resize"] == "squash"
    assert "1 of 4 videos have a text of more than 77 tokens" in caplog.text and "have no text" in caplog.text
    assert found["vocabulary"] == ["a", "blue", "cube", "from", "left", "pulling", "pushing", "red", "right", "to"]
    assert found["tokens"] == 13 and everything(dataset)["tokens"].shape == (12, 77)
    assert everything(dataset)["kept"].sum(1).tolist()[::3] == [77, 2, 10, 10]


def test_other_texts_are_of_other_actions(stores):
    dataset = progress.dataset(TASK, stores, "test")
    kinds = [("pulling", "pushing")[text.startswith("pulling")] for text in dataset.videos["text"]]
    for other, kind in zip(dataset.texts.other, kinds, strict=True):
        assert dataset.texts.distinct[other].startswith(kind)


def test_one_text_cannot_be_shuffled(stores, tmp_path):
    same = with_texts(stores, tmp_path, {f"test/video {number}": "a cube" for number in range(11, 15)})
    dataset = progress.dataset(TASK, same, "test")
    with pytest.raises(ValueError, match="'shuffled_text', but the split has one text only"):
        progress.predict(network(dataset), everything(dataset), generator(), {"input": "shuffled_text"})


# --- hub -------------------------------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path):
    """A CLIP model and its tokenizer, and a ResNet, as the hub has them."""
    from transformers import CLIPConfig, CLIPModel, CLIPTokenizer, ResNetConfig, ResNetModel

    letters = "abcdefghijklmnopqrstuvwxyz"
    names = ["<|startoftext|>", "<|endoftext|>", *letters, *(f"{letter}</w>" for letter in letters)]
    vocabulary = {name: number for number, name in enumerate(names)}
    CLIPTokenizer(vocab=vocabulary, merges=[], model_max_length=77).save_pretrained(tmp_path / "clip")
    sizes = {"hidden_size": 8, "intermediate_size": 16, "num_attention_heads": 2, "num_hidden_layers": 1}
    text = {**sizes, "vocab_size": len(names), "bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 1}
    torch.manual_seed(5)
    pictures = {**sizes, "image_size": 8, "patch_size": 4}
    whole = CLIPModel(CLIPConfig(text_config=text, vision_config=pictures, projection_dim=8))
    whole.save_pretrained(tmp_path / "clip")
    stages = {"embedding_size": 8, "hidden_sizes": [8, 16], "depths": [1, 1], "layer_type": "basic"}
    ResNetModel(ResNetConfig(**stages)).save_pretrained(tmp_path / "resnet")
    write_json(tmp_path / "resnet" / hub.PIXELS, {"image_mean": [0.5] * 3, "image_std": [0.25] * 3})
    return tmp_path


def from_folder(folder):
    hubs = {"frame_encoder": {"hub": str(folder / "resnet")}, "text_encoder": {"hub": str(folder / "clip")}}
    task = {**TASK, "tokenizer": {"hub": str(folder / "clip"), "revision": None}}
    return task, pac_net.Config(**{**SMALL, **hubs, "heads": 2})


def test_encoders_and_tokenizer_of_a_folder(stores, folder):
    from transformers import CLIPTextModel, ResNetModel

    task, keys = from_folder(folder)
    dataset = progress.dataset(task, stores, "test")
    batch = everything(dataset)
    assert batch["tokens"].shape[1] == 2 + len("pushingabluecubefromlefttoright") and dataset.texts.vocabulary is None
    net = network(dataset, keys=keys, config=task).eval()
    with torch.no_grad():
        own = CLIPTextModel.from_pretrained(folder / "clip")(input_ids=batch["tokens"]).last_hidden_state
        assert torch.allclose(net.core.text(batch["tokens"]), own, atol=1e-5)
        frames = torch.rand(2, 3, SIDE, SIDE, generator=generator())
        found = net.core.frames(frames[None])[0]
        maps = ResNetModel.from_pretrained(folder / "resnet").eval()(pixel_values=(frames - 0.5) / 0.25)
        pooled = torch.nn.functional.adaptive_avg_pool2d(maps.last_hidden_state, 4).flatten(1)
        assert torch.allclose(found, pooled, atol=1e-4)
        assert net(batch["frames"], batch["tokens"], batch["kept"], batch["elapsed"]).shape == (12,)
    assert all(parameter.requires_grad for parameter in net.parameters())


def test_local_folders_are_part_of_a_runs_identity(folder):
    task, keys = from_folder(folder)
    spec = {"task": task, "model": keys.model_dump(mode="json")}
    assert hub.local_folders(spec) == [str(folder / "clip"), str(folder / "resnet")]
    before = identity.pretrained(spec)
    (folder / "resnet" / hub.PIXELS).write_text("{}")
    after = identity.pretrained(spec)
    assert before["pretrained/0"] == after["pretrained/0"] and before["pretrained/1"] != after["pretrained/1"]
    assert hub.local_folders({"model": {"frame_encoder": {"hub": "microsoft/resnet-50"}, "name": "pac_net"}}) == []


def test_a_tokenizer_that_is_not_the_encoders(stores, folder):
    _, keys = from_folder(folder)
    with pytest.raises(ValueError, match=r"knows 54 tokens .* texts have 13 .* give the task `tokenizer` the same hub"):
        network(progress.dataset(TASK, stores, "test"), keys=keys)
    with pytest.raises(hub.WeightsError, match=r"resnet: has no tokenizer.json"):
        progress.dataset({**TASK, "tokenizer": {"hub": str(folder / "resnet"), "revision": None}}, stores, "test")
    with pytest.raises(hub.WeightsError, match="needs `revision`"):
        progress.dataset({**TASK, "tokenizer": {"hub": "openai/clip", "revision": None}}, stores, "test")


def test_weights_of_another_architecture_are_refused(stores, folder):
    hubs = {"frame_encoder": {"hub": str(folder / "clip")}}
    with pytest.raises(hub.WeightsError, match="model_type is 'clip'; this encoder kind reads resnet"):
        network(progress.dataset(TASK, stores, "test"), keys=pac_net.Config(**SMALL, **hubs))


# --- models ----------------------------------------------------------------------------------------------------------


def test_padding_changes_nothing(stores):
    dataset = progress.dataset(TASK, stores, "test")
    net, batch = network(dataset).eval(), everything(dataset)
    torch.nn.init.normal_(net.core.answer.weight)
    longer = torch.nn.functional.pad(batch["tokens"], (0, 3), value=1)
    kept = torch.nn.functional.pad(batch["kept"], (0, 3), value=False)
    with torch.no_grad():
        first = net.core.output(progress.pixels(batch["frames"]), batch["tokens"], batch["kept"], batch["elapsed"])
        second = net.core.output(progress.pixels(batch["frames"]), longer, kept, batch["elapsed"])
    assert torch.allclose(first, second, atol=1e-5) and first.std() > 0


@pytest.mark.parametrize(
    ("inputs", "matters"), [(["index"], {"elapsed"}), (["text"], {"tokens"}), (["frames"], {"frames"}),
                            (["frames", "text", "index"], {"frames", "tokens", "elapsed"})],
)  # fmt: skip
def test_inputs_are_what_is_seen(stores, inputs, matters):
    dataset = progress.dataset(TASK, stores, "test")
    net, batch = network(dataset, keys=pac_net.Config(**SMALL, inputs=inputs)).eval(), everything(dataset)
    torch.nn.init.normal_(net.core.answer.weight)
    given = {"frames": progress.pixels(batch["frames"]), **{key: batch[key] for key in ("tokens", "kept", "elapsed")}}
    changed = {"frames": given["frames"].flip(0), "tokens": batch["other_tokens"], "elapsed": given["elapsed"].flip(0)}
    with torch.no_grad():
        first = net.core(**given)
        found = {name for name, value in changed.items() if not torch.equal(net.core(**{**given, name: value}), first)}
    assert found == matters


def test_heads_start_at_the_training_targets(stores):
    dataset = progress.dataset(TASK, stores, "train")
    batch, mean = everything(dataset), dataset.targets.mean()
    for head in ("regression", "bins"):
        net = network(dataset, keys=pac_net.Config(**SMALL, head=head)).eval()
        with torch.no_grad():
            found = net(batch["frames"], batch["tokens"], batch["kept"], batch["elapsed"])
        assert found == pytest.approx(np.full(len(dataset), mean), abs=0.05)


def test_losses_by_hand():
    target = torch.tensor([[0.1, 0.5], [0.9, 0.5]])  # the last frame's is asked for
    keys = pac_net.Config(**{**SMALL, "inputs": ["index"], "beta": 0.1})
    shape = {"frames": 2, "vocabulary": 3, "length": 5, "longest": 9, "templates": 0}
    net = pac_net.build(keys, **shape)
    nothing = torch.zeros(2)
    net.answer.bias.data.fill_(0.8)
    found = net.loss(nothing, nothing, nothing, torch.ones(2), target)
    assert found["loss"].item() == pytest.approx(0.3 - 0.05) and found["abs_error"].item() == pytest.approx(30)
    bins = pac_net.build(keys.model_copy(update={"head": "bins", "bins": 5}), **shape)
    bins.answer.bias.data = torch.tensor([0.0, 0, 0, 0, 0])
    found = bins.loss(nothing, nothing, nothing, torch.ones(2), torch.tensor([[0.0], [0.3]]))
    assert found["loss"].item() == pytest.approx(np.log(5)) and found["abs_error"].item() == pytest.approx(35)
    assert bins.bin(torch.tensor([0.0, 0.3, 0.95, 1.0])).tolist() == [0, 1, 4, 4]


def test_earlier_frames_are_learnt_from(stores):
    """Their share of the loss by hand, and what a frame's answer rests on: the frames up to it."""
    dataset = progress.dataset(TASK, stores, "test")
    batch = everything(dataset)
    given = {"frames": progress.pixels(batch["frames"]), **{key: batch[key] for key in ("tokens", "kept", "elapsed")}}
    net = network(dataset, keys=pac_net.Config(**SMALL, every_frame=0.25)).core.eval()
    torch.nn.init.normal_(net.answer.weight)
    with torch.no_grad():
        output = net.output(**given)
        later = {**given, "frames": torch.cat([given["frames"][:, :4], 1 - given["frames"][:, 4:]], 1)}
        changed = net.output(**later)
        found = net.loss(**given, target=batch["target"])
    errors = torch.nn.functional.smooth_l1_loss(output[..., 0], batch["target"], beta=0.1, reduction="none")
    assert found["loss"].item() == pytest.approx(float(0.75 * errors[:, -1].mean() + 0.25 * errors[:, :-1].mean()))
    assert torch.allclose(output[:, :4], changed[:, :4], atol=1e-5) and not torch.allclose(
        output[:, 4:], changed[:, 4:]
    )


def test_motion_and_places():
    """Differences are to the first frame and the one before; a bright spot's place is found to the cell."""
    maps = torch.zeros(1, 2, 5, 5)
    maps[0, 0, 4, 1], maps[0, 1, 2, 2] = 50, 50
    assert torch.allclose(pac_net._places(maps), torch.tensor([[1.0, 0.0, -0.5, 0.0]]), atol=1e-4)
    encoder = pac_net.FrameEncoder(pac_net.Config(**SMALL, motion=True)).eval()
    seen = []
    encoder.network.register_forward_pre_hook(
        lambda _, args, given: seen.append(given["pixel_values"]), with_kwargs=True
    )
    clip = torch.rand(1, 3, 3, 8, 8, generator=generator())
    encoder(clip)
    steps = (clip[0] * 255 - 127.5) / 64
    assert torch.allclose(seen[0][:, :3], steps, atol=1e-5)
    assert torch.allclose(seen[0][2, 3:], torch.cat([steps[2] - steps[0], steps[2] - steps[1]]), atol=1e-5)
    assert (seen[0][0, 3:] == 0).all()


def test_layered_rates_find_their_prefixes(stores):
    from framecast.training.schedules import parameter_groups

    factors = {"core.frames.": 0.1, "core.text.": 0.05, "core.head.": 1.0}
    groups = parameter_groups(network(progress.dataset(TASK, stores, "test")), Budget(steps=1, factors=factors))
    assert {group["factor"] for group in groups} == {0.05, 0.1, 1.0}


def test_heads_must_divide_widths():
    with pytest.raises(ValidationError, match="heads is 4, which does not divide text_width 30"):
        pac_net.Config(text_width=30)


def test_motion_is_not_for_encoders_of_the_hub():
    with pytest.raises(ValidationError, match=r"microsoft/resnet-50 takes frames alone: set motion: false"):
        pac_net.Config(motion=True, frame_encoder={"hub": "microsoft/resnet-50", "revision": "0"})


def test_baselines_by_hand():
    targets, elapsed, lengths = torch.tensor([0.2, 0.4, 0.9]), torch.tensor([2, 2, 6]), torch.tensor([8, 12])
    shape, nothing = {"frames": 2, "vocabulary": 3, "length": 5, "longest": 12, "templates": 2}, torch.zeros(4)
    asked = torch.tensor([0.0, 2.0, 4.0, 50.0])

    def answers(module, **keys):
        net = module.build(module.Config(**keys), **shape)
        if module is elapsed_frames:
            net.fit_every_frame(targets, elapsed, lengths, torch.tensor([0, 0, 1]))
        else:
            net.fit(targets, elapsed, lengths)
        return net(nothing, nothing, nothing, asked).tolist()

    assert answers(constant_progress) == pytest.approx([0.4] * 4)
    assert answers(constant_progress, value="mean") == pytest.approx([0.5] * 4)
    assert answers(elapsed_frames) == pytest.approx([0, 0.2, 0.4, 1])
    assert answers(elapsed_frames, rule="average") == pytest.approx([0.3, 0.3, 0.6, 0.9])
    assert answers(elapsed_frames, rule="average", by="template") == pytest.approx([0.3, 0.3, 0.6, 0.9])  # none known


def test_mean_at_the_frame_number_by_template_by_hand():
    """Template 0 has two videos at frame 2 and one at 6, template 1 one at 6; 2 has none, and -1 is not in training."""
    net = elapsed_frames.build(elapsed_frames.Config(rule="average", by="template"), frames=2, vocabulary=3, length=5,
                               longest=12, templates=3)  # fmt: skip
    targets, elapsed, template = [0.2, 0.4, 0.9, 0.5], [2, 2, 6, 6], [0, 0, 0, 1]
    net.fit_every_frame(torch.tensor(targets), torch.tensor(elapsed), torch.tensor([8, 12]), torch.tensor(template))

    def answers(number):
        return net.from_frame_number(torch.tensor([0.0, 2.0, 4.0, 50.0]), torch.full((4,), number)).tolist()

    assert answers(0) == pytest.approx([0.3, 0.3, 0.6, 0.9])
    assert answers(1) == pytest.approx([0.5] * 4)
    assert answers(2) == answers(-1) == pytest.approx([0.3, 0.3, 0.5, 0.7])


def test_only_averages_are_by_template():
    with pytest.raises(ValidationError, match=r"rule is 'mean_length': set rule: average, or by: null"):
        elapsed_frames.Config(by="template")


def test_rule_by_template_of_a_split(stores, tmp_path):
    """Each test video gets its own template's mean of the training videos; a template of none of them, that of all."""
    table = pd.read_parquet(stores.samples)
    strange = table["video_id"] == "test/video 13"
    table.assign(template=table["template"].mask(strange, "Turning [something]")).to_parquet(
        tmp_path / "changed.parquet"
    )
    stores = Stores(tmp_path / "changed.parquet", stores.frames, labels=stores.labels)
    keys = elapsed_frames.Config(rule="average", by="template")
    dataset, train = (progress.dataset(TASK, stores, split) for split in ("test", "train"))
    assert dataset.templates == sorted(TEMPLATES) and progress.facts(TASK, dataset)["videos_of_other_templates"] == 1
    net = network(train, elapsed_frames, keys)
    found = progress.predict(net, everything(dataset), generator(), {"input": "video"})["progress"]
    videos = zip(train.videos["template"], train.counts.tolist(), strict=True)
    known = [(template, frame, frame / count) for template, count in videos
             for frame in range(round(0.1 * count), round(0.9 * count) + 1)]  # fmt: skip
    known = pd.DataFrame(known, columns=["template", "frame", "target"])
    for place, (video, frame) in enumerate(dataset.places):
        own = known["template"] == dataset.videos["template"][video]
        means = (known[own] if own.any() else known).groupby("frame")["target"].mean()
        expected = np.interp(frame, means.index, means)
        assert found[place].item() == pytest.approx(expected, abs=1e-6)


def test_random_guesses_depend_on_the_sample_alone(stores):
    dataset = progress.dataset(TASK, stores, "test")
    net, whole = network(dataset, random_progress, random_progress.Config()), everything(dataset)
    found = progress.predict(net, whole, generator(), {"input": "video"})["progress"]
    alone = progress.predict(net, dataset.__getitems__([7]), generator(), {"input": "video"})["progress"]
    assert found[7] == alone[0] and len(set(found.tolist())) == 12 and 0 <= found.min() < found.max() <= 1


def test_noise_depends_on_the_sample_alone(stores):
    dataset = progress.dataset(TASK, stores, "test")
    net = network(dataset).eval()
    torch.nn.init.normal_(net.core.answer.weight, std=0.02)
    found = {mode: progress.predict(net, everything(dataset), generator(), {"input": mode})["progress"]
             for mode in ("video", "noise", "shuffled_text")}  # fmt: skip
    alone = progress.predict(net, dataset.__getitems__([7]), generator(), {"input": "noise"})["progress"]
    assert found["noise"][7].item() == pytest.approx(alone.item(), abs=1e-5)
    assert not torch.allclose(found["noise"], found["video"])
    assert not torch.allclose(found["shuffled_text"], found["video"])


# --- the whole way ---------------------------------------------------------------------------------------------------


def run(folder, stores, model="pac_net", keys=NET, steps=0, inference="video", parent=None, **task):
    budget = Budget(steps=steps, batch=16, evaluate_every=60, monitor="abs_error", learning_rate=0.005)
    spec = {
        "experiment": folder.name, "seed": 0, "task": {"name": "progress", **TASK, **task},
        "model": {"name": model, **keys.model_dump(mode="json")}, "budget": budget.model_dump(mode="json"),
        "init": parent and {"experiment": parent.name, "seed": None, "fresh": []},
        "data": "toy", "select": "select", "fingerprint": "-",
    }  # fmt: skip
    folder.mkdir()
    out = {"model": folder / run_files.WEIGHTS, "run": folder / run_files.RECORD, "curve": folder / "curve.csv"}
    settings = Settings(tensorboard=False).model_dump(mode="json")
    loop.train(spec, stores, None, parent and parent / run_files.WEIGHTS, out, folder / "work", settings)
    asked = {**spec, "inference": {"input": inference}}
    prediction.predict(asked, folder, stores, "test", folder / "test.h5", settings)
    scoring.score(spec, folder / "test.h5", stores, "test", folder / "test.csv", folder / "test.json")
    return folder


def error(folder):
    return pd.read_csv(folder / "test.csv")["value"].mean()


def test_it_sees_what_is_visible(stores, tmp_path):
    """The square's column and its direction, which the text names, are the progress; lengths and starts vary."""
    task = {"target": "action", "shift": 1}
    keys = NET.model_copy(update={"motion": True, "places": True, "every_frame": 0.5})
    trained = run(tmp_path / "video", stores, keys=keys, steps=180, **task)
    noise = run(tmp_path / "noise", stores, keys=keys, inference="noise", parent=trained, **task)
    constant = run(tmp_path / "constant", stores, "constant_progress", constant_progress.Config(), **task)
    elapsed = run(tmp_path / "elapsed", stores, "elapsed_frames", elapsed_frames.Config(rule="average"), **task)
    assert error(trained) < 0.5 * error(elapsed) < 0.5 * error(constant), [error(trained), error(elapsed)]
    assert error(trained) < 0.5 * error(noise)


def test_train_predict_score(stores, tmp_path):
    folder = run(tmp_path / "bins", stores, keys=pac_net.Config(**SMALL, head="bins"), steps=4)
    record, facts, rows = read_json(folder / "run.json"), read_json(folder / "test.json"), pd.read_csv(folder / "test.csv")  # fmt: skip  # noqa: E501
    assert record["facts"]["tokens"] == 13 and record["facts"]["longest"] == 31 and "labels/0" not in record["inputs"]
    assert set(pd.read_csv(folder / "curve.csv")["quantity"]) >= {"loss", "abs_error"}
    found = predictions.read(folder / "test.h5")
    dataset = progress.dataset(TASK, stores, "test")
    expected = 100 * np.abs(found.arrays["progress"].astype(float) - dataset.targets)
    np.testing.assert_allclose(rows.set_index("sample_id")["value"][found.sample_ids], expected)
    assert set(facts["breakdown"]["template"]) == set(TEMPLATES) and facts["videos"] == 4 and facts["clips"] == 12
    own = rows[rows["sample_id"].str.contains("video 12|video 14")].groupby("unit")["value"].mean().mean()
    assert facts["breakdown"]["template"][TEMPLATES[0]] == {"abs_error": pytest.approx(own), "samples": 6, "units": 2}
    startup.check_scores(folder / "test.csv", folder / "test.h5", stores)


def test_a_baseline_is_predicted_without_transformers(stores, tmp_path):
    folder = run(tmp_path / "constant", stores, "constant_progress", constant_progress.Config())
    startup.check_predictions(folder, {"input": "video"}, stores)


def test_labels_are_part_of_a_runs_identity_where_they_are_read(stores):
    action = progress.Config(**KEYS, target="action").model_dump(mode="json")
    before = identity.inputs(stores, progress.needs(action))
    (stores.labels[0] / "masks.h5").write_bytes(b"another task's")
    assert identity.inputs(stores, progress.needs(action)) == before
    table = pd.read_parquet(stores.labels[0] / "states.parquet")
    table.assign(progress=0.0).to_parquet(stores.labels[0] / "states.parquet")
    assert identity.inputs(stores, progress.needs(action))["labels/0"] != before["labels/0"]
    assert (states.progress(stores.labels)["test/video 11"] == 0).all()


def test_labels_reach_the_jobs_of_runs_that_read_them(tmp_path):
    made = plan.resolve(parse(Config, {**DEFAULT, "run": {"comparisons": ["progress", "masks"]}}))
    flow = Flow(made, {"world": {}, "actions": {0: "a", 2: "b"}, "objects": {1: "c"}}, tmp_path)
    asked = SimpleNamespace(experiment="pac_net", seed=0, split="test")
    folders = [str(tmp_path / "data" / "actions" / "videos" / f"bucket_{bucket}") for bucket in (0, 2)]
    assert flow.frame_labels(asked) == flow.labels(SimpleNamespace(data="actions")) == folders
    assert flow.masks(asked) == [] == flow.frame_labels(SimpleNamespace(experiment="simvp"))


def test_preview(stores):
    dataset = progress.dataset(TASK, stores, "test")
    batch = everything(dataset)
    found = progress.predict(network(dataset), batch, generator(), {"input": "video"})
    picture = progress.preview(found, batch)
    assert picture.shape == (2 * SIDE + 8 + 2, 8 * SIDE + 7 * 2, 3) and picture.dtype == np.uint8


def test_gallery(stores):
    """The clip's ends, over a green bar as long as the truth and a red one as long as what each member says."""
    dataset = progress.dataset(TASK, stores, "test")
    batch = everything(dataset)
    shares = np.linspace(0, 1, len(dataset))
    said = [predictions.Predictions({"progress": values}, batch["sample_id"], batch["unit"], {})
            for values in (shares, 1 - shares)]  # fmt: skip
    headings, rows = progress.gallery(TASK, dataset, dict(zip("ab", said, strict=True)), 20)
    assert headings == ["first frame, truth", "a", "b"] and len(rows) == len(dataset) == 12
    for number, (first, one, other) in enumerate(rows):
        assert first.shape == one.shape == other.shape == (SIDE + 8, SIDE, 3)
        assert np.array_equal(first[:SIDE], batch["frames"][number, 0])
        assert np.array_equal(one[:SIDE], batch["frames"][number, -1]) and np.array_equal(other[:SIDE], one[:SIDE])
        lengths = [(cell[row] != 220).any(-1).sum() for cell, row in ((one, SIDE), (one, -1), (other, -1))]
        wanted = (dataset.targets[number], shares[number], 1 - shares[number])
        assert lengths == [round(share * SIDE) for share in wanted]
