"""A trained CLIP → a folder in the hub's format with its tokenizer, which loads like any CLIP."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from framecast.core.files import write_json
from framecast.encoders import clip, clip_text
from framecast.prediction.export.dino import parameters, pixels, score
from framecast.weights import bpe, hub

CHECKED = ("moving a cup from left to right", "Generate a future frame of this action: moving. And 41% of", "")
"""Texts that both networks must encode alike."""


def write(run: Path, folder: Path, parts: dict[str, Path]) -> None:
    """Write config.json, model.safetensors, preprocessor_config.json, the tokenizer's files, README.md.

    They are read back: `framecast.encoders.clip`, `clip_text` and transformers' `CLIPTokenizer` give the embeddings and
    tokens of the run's own network.

    Args:
        run: model.safetensors and run.json of an experiment with task `contrast` and model `clip`.
        folder: An empty folder.
        parts: Not read.

    Raises:
        ValueError: the run's model is another, or what was written differs from it.
    """
    from framecast.prediction.inference import load_run

    record, module = load_run(run)
    spec, facts = record["spec"], record["facts"]
    if spec["model"]["name"] != "clip":
        raise ValueError(
            f"{run}: the model is {spec['model']['name']!r}; what is exported is a run of the model 'clip'"
        )
    core: Any = module.core
    core.network.save_pretrained(folder)
    write_json(folder / hub.PIXELS, {**pixels(core, facts["size"]), "image_processor_type": "CLIPImageProcessor"})
    bpe.save(facts["merges"], spec["task"]["text_limit"], folder)
    (folder / "README.md").write_text(card(record), encoding="utf-8")
    _check(core, record, folder)


def _check(core: Any, record: dict[str, Any], folder: Path) -> None:
    """Refuse to hand out a folder whose embeddings are not those of the run."""
    size, limit = record["facts"]["size"], record["spec"]["task"]["text_limit"]
    frames = torch.randint(0, 256, (2, size, size, 3), generator=torch.Generator().manual_seed(0)).byte()
    own = bpe.tokenizer(record["facts"]["merges"], limit)
    ids = own(list(CHECKED), padding="max_length", max_length=limit, truncation=True, return_tensors="pt")["input_ids"]
    with torch.inference_mode():
        pictures = core.images(frames.movedim(-1, 1).float() / 255)
        states = core.network.text_model(input_ids=ids).last_hidden_state
    found = clip.load(str(folder), None).encode(frames), clip_text.load(str(folder), None).encode(list(CHECKED))
    for name, one, other in zip(("images", "texts"), (pictures, states), found, strict=True):
        if one.shape != other.shape or not torch.allclose(one, other, rtol=1e-3, atol=1e-3):
            raise ValueError(f"{folder}: the exported network does not give the run's embeddings of {name}")


def card(record: dict[str, Any]) -> str:
    """The model card: what it is, what it was trained on and how well, how to load it."""
    spec, facts = record["spec"], record["facts"]
    model, size, task = spec["model"], facts["size"], spec["task"]
    return f"""---
library_name: transformers
tags: [zero-shot-image-classification, clip]
---
# {spec["experiment"]}

A small CLIP (image encoder {model["width"]} wide with {model["layers"]} layers and patches of {model["patch"]} pixels,
text encoder {model["text_width"]} wide with {model["text_layers"]} layers), trained from nothing on videos of the data
set `{spec["data"]}` and their texts. A video is the mean of its frames' normalised embeddings. It knows that data set
and nothing else: no replacement for CLIP.

| | |
|---|---|
| trained on | split `train`: {facts["videos"]} videos, {facts["texts"]} different texts, {size}×{size} pixels |
| steps | {record.get("best_step", 0)} of {spec["budget"]["steps"]}, batch {spec["budget"]["batch"]} |
| {record.get("monitor", "loss")} on `{spec["select"]}` | {score(record)} |
| tokenizer | {facts["tokens"]} tokens, of the training texts and prompts; at most {task["text_limit"]} a text |
| parameters | {parameters(record)} |
| seed | {spec["seed"]} |
| framecast | {record.get("framecast", "?")}, commit {(record.get("git") or {}).get("commit", "unknown")} |
| run | {record["identity"]} |

```python
from transformers import CLIPModel, CLIPTokenizer
model, tokenizer = (kind.from_pretrained("PATH OF THIS FOLDER") for kind in (CLIPModel, CLIPTokenizer))
```

Pixels: RGB, squashed to {size}×{size}, scaled to [0, 1], then normalised as preprocessor_config.json says.
"""
