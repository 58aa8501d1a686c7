"""Loading DINOv2 and AIMv2 from the hub's folder format: right numbers, and a refusal of what is not right."""

from __future__ import annotations

import json
import re

import pytest
import torch
from safetensors.torch import load_file, save_file

from framecast.encoders import aim, dino
from framecast.weights import hub

torch.set_num_threads(1)
MEAN, STD = [0.4, 0.5, 0.6], [0.2, 0.25, 0.3]
FRAMES = torch.randint(0, 256, (3, 32, 32, 3), generator=torch.Generator().manual_seed(1)).byte()


def save(network, folder, **pixels):
    folder.mkdir(parents=True)
    config = json.loads(network.config.to_json_string(use_diff=False))
    (folder / "config.json").write_text(json.dumps({**config, "architectures": [type(network).__name__]}))
    save_file({name: value.contiguous() for name, value in network.state_dict().items()}, folder / "model.safetensors",
              {"format": "pt"})  # fmt: skip
    values = {"image_mean": MEAN, "image_std": STD, "rescale_factor": 1 / 255, **pixels}
    (folder / "preprocessor_config.json").write_text(json.dumps(values))
    return folder


def dinov2(**changes):
    from transformers import Dinov2Config, Dinov2Model

    torch.manual_seed(0)
    sizes = {"hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2, "image_size": 32, "patch_size": 8}
    return Dinov2Model(Dinov2Config(**{**sizes, **changes})).eval()


def aimv2(**changes):
    from transformers import Aimv2VisionConfig, Aimv2VisionModel

    torch.manual_seed(0)
    sizes = {"hidden_size": 24, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 2,
             "image_size": 32, "patch_size": 8, "use_head": False}  # fmt: skip
    return Aimv2VisionModel(Aimv2VisionConfig(**{**sizes, **changes})).eval()


@pytest.fixture
def folder(tmp_path):
    return save(dinov2(), tmp_path / "dino")


def normalised(frames):
    scaled = frames.double().permute(0, 3, 1, 2) / 255
    return ((scaled - torch.tensor(MEAN).view(3, 1, 1)) / torch.tensor(STD).view(3, 1, 1)).float()


def change(folder, name, **values):
    path = folder / name
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


# --- numbers ---------------------------------------------------------------------------------------------------------


def test_dino_is_the_networks_class_token(folder):
    encoder = dino.load(str(folder), None)
    with torch.no_grad():
        tokens = dinov2()(pixel_values=normalised(FRAMES)).last_hidden_state
    embedding = encoder.encode(FRAMES)
    assert (encoder.width, embedding.shape, embedding.dtype) == (24, (3, 24), torch.float32)
    torch.testing.assert_close(embedding, tokens[:, 0], rtol=1e-4, atol=1e-5)
    mean = dino.load(str(folder), None, "mean").encode(FRAMES)
    torch.testing.assert_close(mean, tokens[:, 1:].mean(1), rtol=1e-4, atol=1e-5)


def test_aim_is_the_mean_of_the_patch_tokens(tmp_path):
    encoder = aim.load(str(save(aimv2(), tmp_path / "aim")), None)
    with torch.no_grad():
        tokens = aimv2()(pixel_values=normalised(FRAMES)).last_hidden_state
    torch.testing.assert_close(encoder.encode(FRAMES), tokens.mean(1), rtol=1e-4, atol=1e-5)


def test_aim_head(tmp_path):
    network = aimv2(use_head=True)
    encoder = aim.load(str(save(network, tmp_path / "head")), None, "cls")
    with torch.no_grad():
        pooled = network(pixel_values=normalised(FRAMES)).pooler_output
    torch.testing.assert_close(encoder.encode(FRAMES), pooled, rtol=1e-4, atol=1e-5)
    with pytest.raises(ValueError, match="pool: mean"):
        aim.load(str(save(aimv2(), tmp_path / "headless")), None, "cls")


def test_any_width(tmp_path):
    assert dino.load(str(save(dinov2(hidden_size=40), tmp_path / "wide")), None).encode(FRAMES).shape == (3, 40)


def test_other_view_sizes_interpolate_positions(folder):
    assert dino.load(str(folder), None).encode(FRAMES[:, :, :24]).shape == (3, 24)


def test_pixels_without_rescaling(tmp_path):
    raw = save(
        dinov2(),
        tmp_path / "raw",
        do_rescale=False,
        image_mean=[x * 255 for x in MEAN],
        image_std=[x * 255 for x in STD],
    )
    scaled = save(dinov2(), tmp_path / "scaled")
    torch.testing.assert_close(dino.load(str(raw), None).encode(FRAMES), dino.load(str(scaled), None).encode(FRAMES))


def test_weights_in_several_files(folder):
    whole = dino.load(str(folder), None).encode(FRAMES)
    weights = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    names, parts = sorted(weights), {}
    for number, chosen in enumerate((names[:10], names[10:]), 1):
        file = f"model-{number:05d}-of-00002.safetensors"
        save_file({name: weights[name] for name in chosen}, folder / file, {"format": "pt"})
        parts |= dict.fromkeys(chosen, file)
    index = {"metadata": {"total_size": 1}, "weight_map": parts}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    torch.testing.assert_close(dino.load(str(folder), None).encode(FRAMES), whole)


# --- identity --------------------------------------------------------------------------------------------------------


def test_identity_follows_what_an_embedding_depends_on(folder):
    first = dino.load(str(folder), None)
    assert dino.load(str(folder), None).identity == first.identity
    assert dino.load(str(folder), None, "mean").identity != first.identity
    change(folder, "config.json", transformers_version="0.0.0", _name_or_path="elsewhere")
    assert dino.load(str(folder), None).identity == first.identity
    change(folder, "preprocessor_config.json", image_mean=[0.5, 0.5, 0.5])
    second = dino.load(str(folder), None).identity
    assert second != first.identity
    weights = load_file(folder / "model.safetensors")
    weights["layernorm.bias"] += 1e-3
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    assert dino.load(str(folder), None).identity not in (first.identity, second)


# --- refusals --------------------------------------------------------------------------------------------------------


def test_wrong_width_names_the_parameters(folder):
    change(folder, "config.json", hidden_size=32)
    with pytest.raises(hub.WeightsError, match=r"embeddings.cls_token: shape \(1, 1, 24\) in the file, \(1, 1, 32\)"):
        dino.load(str(folder), None)


def test_missing_parameters_are_never_random(folder):
    weights = load_file(folder / "model.safetensors")
    del weights["encoder.layer.1.mlp.fc1.weight"]
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(hub.WeightsError, match=r"encoder\.layer\.1\.mlp\.fc1\.weight: missing"):
        dino.load(str(folder), None)


def test_left_over_parameters_are_refused_but_not_a_classifier(folder):
    weights = load_file(folder / "model.safetensors")
    save_file({**weights, "classifier.weight": torch.zeros(2, 48)}, folder / "model.safetensors", {"format": "pt"})
    dino.load(str(folder), None)
    extra = {**weights, "encoder.layer.2.norm1.weight": torch.zeros(24)}
    save_file(extra, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(
        hub.WeightsError, match=r"encoder\.layer\.2\.norm1\.weight: in the file, but not in the network"
    ):
        dino.load(str(folder), None)


def test_pickled_weights_are_refused(folder):
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(hub.WeightsError, match=r"pickled \(pytorch_model.bin\).*safetensors"):
        dino.load(str(folder), None)


def test_damaged_weights(folder):
    data = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(data[: len(data) // 2])
    with pytest.raises(hub.WeightsError, match="cannot be loaded"):
        dino.load(str(folder), None)


def test_another_architecture(folder):
    with pytest.raises(hub.WeightsError, match="model_type is 'dinov2'; this encoder kind reads aimv2"):
        aim.load(str(folder), None)


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "preprocessor_config.json"])
def test_missing_file(folder, name):
    (folder / name).unlink()
    with pytest.raises(hub.WeightsError, match=re.escape(f"no {name}")):
        dino.load(str(folder), None)


def test_no_such_folder(tmp_path):
    with pytest.raises(hub.WeightsError, match="no such folder"):
        dino.load(str(tmp_path / "absent"), None)


def test_hub_name_needs_a_revision():
    with pytest.raises(hub.WeightsError, match="needs `revision`"):
        dino.load("facebook/dinov2-small", None)


def test_offline_names_the_remedies(monkeypatch, tmp_path):
    import huggingface_hub
    from huggingface_hub.errors import LocalEntryNotFoundError

    def absent(*_, **__):
        raise LocalEntryNotFoundError("not cached")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", absent)
    with pytest.raises(
        hub.WeightsError, match=r"(?s)not cached.*HF_HOME.*HF_ENDPOINT.*HF_HUB_OFFLINE.*hf download fac"
    ):
        dino.load("facebook/dinov2-small", "a" * 40)


def test_view_that_does_not_divide(folder):
    with pytest.raises(ValueError, match=r"view is 30x32.*patch of 8.*\[32, 32\]"):
        dino.load(str(folder), None).encode(FRAMES[:, :30])


def test_aim_of_one_size_says_so(tmp_path):
    fixed = aim.load(str(save(aimv2(), tmp_path / "fixed")), None)
    with pytest.raises(ValueError, match="takes 32x32 only"):
        fixed.encode(FRAMES[:, :, :24])
    native = aim.load(str(save(aimv2(is_native=True), tmp_path / "native")), None)
    assert native.encode(FRAMES[:, :, :24]).shape == (3, 24)


def test_frames_must_be_uint8(folder):
    with pytest.raises(ValueError, match="uint8"):
        dino.load(str(folder), None).encode(FRAMES.float())
