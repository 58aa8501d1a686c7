"""A trained autoencoder → a folder in the hub's format, which loads like any DINOv2."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import nn

from framecast.core import contract
from framecast.core.files import write_json
from framecast.weights import hub

POOLS = {"cls": "the class token", "mean": "the mean of the patch tokens"}


def write(run: Path, folder: Path, parts: dict[str, Path]) -> None:
    """Write the encoder of a run: config.json, model.safetensors, preprocessor_config.json, README.md.

    What was written is read back: `framecast.encoders.dino.load` and transformers' `AutoModel.from_pretrained` give
    the embeddings of the run's own network.

    Args:
        run: model.safetensors and run.json of an experiment with task `autoencoder` and model `tiny_dino`.
        folder: There, and empty.
        parts: Nothing is needed beside the run.

    Raises:
        ValueError: the run is of another model.
    """
    from framecast.prediction.inference import load_run

    record, module = load_run(run)
    core: Any = module.core
    if contract.hook(core, "network") is None:
        spec = record["spec"]
        raise ValueError(
            f"{run}: experiment {spec['experiment']!r} has the task {spec['task']['name']!r} and the model "
            f"{spec['model']['name']!r}, which hold no DINOv2 network; an encoder's `experiment` must be of the task "
            "'autoencoder' and the model 'tiny_dino'"
        )
    _write(core, record, folder)
    _check(core, record["facts"]["size"], folder)


def _write(core: nn.Module, record: dict[str, Any], folder: Path) -> None:
    network: Any = core.network
    weights = {name: tensor.detach().float().contiguous() for name, tensor in network.state_dict().items()}
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    network.config.architectures = [type(network).__name__]
    config = json.loads(network.config.to_json_string(use_diff=False))
    write_json(folder / hub.CONFIG, {**config, hub.POOL: core.pool})
    write_json(folder / hub.PIXELS, pixels(core, record["facts"]["size"]))
    (folder / "README.md").write_text(card(record), encoding="utf-8")


def pixels(core: Any, size: int) -> dict[str, Any]:
    """preprocessor_config.json: squash to the view, scale to [0, 1], normalise."""
    return {
        "image_processor_type": "BitImageProcessor",
        "do_convert_rgb": True,
        "do_resize": True,
        "size": {"height": size, "width": size},
        "resample": 3,
        "do_center_crop": False,
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_normalize": True,
        "image_mean": core.mean.flatten().double().tolist(),
        "image_std": core.std.flatten().double().tolist(),
    }


def _check(core: Any, size: int, folder: Path) -> None:
    """Refuse to hand out a folder whose embeddings are not those of the run."""
    from framecast.encoders import dino

    frames = torch.randint(0, 256, (2, size, size, 3), generator=torch.Generator().manual_seed(0)).byte()
    with torch.inference_mode():
        own = core.encode(frames.movedim(-1, 1).float() / 255)
    if not torch.allclose(own, dino.load(str(folder), None, core.pool).encode(frames), rtol=1e-3, atol=1e-3):
        raise ValueError(f"{folder}: the exported network does not give the embeddings of the run")


def card(record: dict[str, Any]) -> str:
    """The model card: what it is, what it was trained on and how well, how to load it."""
    spec, facts = record["spec"], record["facts"]
    model, size = spec["model"], facts["size"]
    return f"""---
library_name: transformers
tags: [image-feature-extraction, dinov2]
---
# {spec["experiment"]}

A small image encoder of DINOv2's architecture ({model["width"]} wide, {model["layers"]} layers, patches of
{model["patch"]} pixels), trained from nothing as an autoencoder on frames of the data set `{spec["data"]}`. The
embedding is {POOLS[model["pool"]]}. It knows that data set and nothing else: no replacement for DINOv2.

| | |
|---|---|
| trained on | split `train`: {facts["frames"]:,} frames of {facts["videos"]} videos, {size}×{size} pixels |
| steps | {record.get("best_step", 0)} of {spec["budget"]["steps"]}, batch {spec["budget"]["batch"]} |
| {record.get("monitor", "loss")} on `{spec["select"]}` | {score(record)} |
| parameters | {parameters(record)} with the decoder, which is not in this folder |
| seed | {spec["seed"]} |
| framecast | {record.get("framecast", "?")}, commit {(record.get("git") or {}).get("commit", "unknown")} |
| run | {record["identity"]} |

```python
from transformers import AutoModel
tokens = AutoModel.from_pretrained("PATH OF THIS FOLDER")(pixel_values=pixels).last_hidden_state
embedding = {"tokens[:, 0]" if model["pool"] == "cls" else "tokens[:, 1:].mean(1)"}
```

Pixels: RGB, squashed to {size}×{size}, scaled to [0, 1], then normalised as preprocessor_config.json says.
"""


def score(record: dict[str, Any]) -> str:
    """A run's monitored score, for a model card."""
    return f"{record['score']:.6g}" if record.get("score") is not None else "not scored"


def parameters(record: dict[str, Any]) -> str:
    """A run's number of parameters, for a model card."""
    return f"{record['parameters']:,}" if "parameters" in record else "unknown"
