"""Which files of a repository on the hub are downloaded: those that are read, by the hub's own client's filter."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from pathlib import Path

import huggingface_hub
import pytest
from huggingface_hub.utils import filter_repo_objects

from framecast.apply import edit
from framecast.encoders import clip_text, dino
from framecast.models import instruct_pix2pix
from framecast.weights import hub, vae

UNET, VAE = (f"{part}/diffusion_pytorch_model.safetensors" for part in ("unet", "vae"))
TEXT, WORDS = "text_encoder/model.safetensors", "tokenizer/merges.txt"
PIPELINE = [
    UNET, VAE, TEXT, WORDS, "model_index.json", "README.md", "instruct-pix2pix-00-22000.safetensors",
    "instruct-pix2pix-00-22000.ckpt", "v1-5-pruned-emaonly.safetensors", "unet/config.json",
    "unet/diffusion_pytorch_model.fp16.safetensors", "unet/diffusion_pytorch_model.non_ema.safetensors",
    "unet/diffusion_pytorch_model.bin", "vae/config.json", "vae/diffusion_pytorch_model.fp16.safetensors",
    "vae/diffusion_pytorch_model.bin", "text_encoder/config.json", "text_encoder/model.fp16.safetensors",
    "text_encoder/pytorch_model.bin", "text_encoder/flax_model.msgpack", "tokenizer/vocab.json",
    "scheduler/scheduler_config.json", "feature_extractor/preprocessor_config.json", "safety_checker/config.json",
    "safety_checker/model.safetensors",
]  # fmt: skip
"""As in timbrooks/instruct-pix2pix and runwayml/stable-diffusion-v1-5."""
MODEL = [
    "README.md", "config.json", "preprocessor_config.json", "model.safetensors", "model.fp16.safetensors", "vocab.json",
    "pytorch_model.bin", "tf_model.h5", "flax_model.msgpack", "merges.txt", "tokenizer.json", "onnx/model.onnx",
]  # fmt: skip
"""As in openai/clip-vit-base-patch32."""
SHARDS = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"]
SHARDED = ["config.json", "model.safetensors.index.json", *SHARDS, "model.fp16-00001-of-00002.safetensors"]
CLASSES = {"unet": "UNet2DConditionModel", "vae": "AutoencoderKL"}


def base(name: str, revision: str) -> instruct_pix2pix.Config:
    return instruct_pix2pix.Config.model_validate({"base": {"hub": name, "revision": revision}})


@pytest.mark.parametrize(
    ("call", "there", "fetched"),
    [
        (vae.find, PIPELINE, {VAE, WORDS}),
        (clip_text.load, PIPELINE, {TEXT, WORDS}),
        (lambda *named: instruct_pix2pix.facts(base(*named)), PIPELINE, {UNET, WORDS}),
        (lambda *named: edit.opened(*named, None, "cpu"), PIPELINE, {UNET, VAE, TEXT, WORDS}),
        (clip_text.load, MODEL, {"model.safetensors", "merges.txt"}),
        (dino.load, MODEL, {"model.safetensors", "merges.txt"}),
        (dino.load, SHARDED, set(SHARDS)),
    ],
    ids=["latents", "prompts", "base", "edit", "clip", "encoder", "shards"],
)
def test_only_what_is_read_is_downloaded(
    call: Callable[..., object],
    there: list[str],
    fetched: set[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    asked: set[str] = set()

    def download(name: str, revision: str, allow_patterns: list[str]) -> str:
        """What the hub's client does, with files that are empty but for their class."""
        for file in filter_repo_objects(there, allow_patterns=allow_patterns):
            asked.add(file)
            (tmp_path / file).parent.mkdir(exist_ok=True)
            (tmp_path / file).write_text(json.dumps({"_class_name": CLASSES.get(file.split("/")[0])}))
        return str(tmp_path)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    with contextlib.suppress(hub.WeightsError):
        call("someone/model", "a" * 40)
    assert {file for file in asked if not file.endswith(".json")} == fetched
    assert {file for file in there if file.endswith(".json")} <= asked
