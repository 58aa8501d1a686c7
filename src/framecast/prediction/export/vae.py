"""A trained autoencoder with latents → a folder that diffusers' AutoencoderKL loads."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from framecast.core import contract
from framecast.prediction.export.dino import parameters, score
from framecast.weights import vae


def write(run: Path, folder: Path, parts: dict[str, Path]) -> None:
    """Write config.json, diffusion_pytorch_model.safetensors and README.md, read them back and compare.

    Args:
        run: model.safetensors and run.json of an experiment with task `latent_autoencoder`.
        folder: There, and empty.
        parts: Nothing is needed beside the run.

    Raises:
        ValueError: the run's model holds no AutoencoderKL, or the folder does not give its network back.
    """
    from framecast.prediction.inference import load_run

    record, module = load_run(run)
    core: Any = module.core
    trained: Any = module
    if contract.hook(core, "network") is None:
        spec = record["spec"]
        raise ValueError(
            f"{run}: experiment {spec['experiment']!r} has the model {spec['model']['name']!r}, which holds no "
            "AutoencoderKL; an encoder's `experiment` must be of the task 'latent_autoencoder' and the model "
            "'autoencoder_kl'"
        )
    network = core.network.requires_grad_(False)
    network.register_to_config(scaling_factor=trained.scaling_factor())
    network.register_to_config(_name_or_path=None)  # a folder of another machine
    network.save_pretrained(folder, safe_serialization=True)
    (folder / "README.md").write_text(card(record), encoding="utf-8")
    _check(network, folder)


def _check(network: Any, folder: Path) -> None:
    """Refuse to hand out a folder that does not give the run's own numbers."""
    found = vae.network(folder)
    own, read = network.state_dict(), found.state_dict()
    equal = own.keys() == read.keys() and all(torch.equal(own[name], read[name]) for name in own)
    if not equal or found.config.scaling_factor != network.config.scaling_factor:
        raise ValueError(f"{folder}: the exported network is not that of the run")


def card(record: dict[str, Any]) -> str:
    """The model card: what it is, what it was trained on and how well, how to load it."""
    spec, facts = record["spec"], record["facts"]
    model, size = spec["model"], f"{facts['height']}×{facts['width']}"
    start = f"from `{model['base']['hub']}`" if model["base"] else "from nothing"
    return f"""---
library_name: diffusers
tags: [autoencoder]
---
# {spec["experiment"]}

An autoencoder of Stable Diffusion's architecture (AutoencoderKL), trained {start} on frames of the data set
`{spec["data"]}`. It knows that data set and nothing else.

| | |
|---|---|
| trained on | split `train`: {facts["frames"]:,} frames of {facts["videos"]} videos, {size} pixels |
| steps | {record.get("best_step", 0)} of {spec["budget"]["steps"]}, batch {spec["budget"]["batch"]} |
| {record.get("monitor", "loss")} on `{spec["select"]}` | {score(record)} |
| parameters | {parameters(record)} |
| seed | {spec["seed"]} |
| framecast | {record.get("framecast", "?")}, commit {(record.get("git") or {}).get("commit", "unknown")} |
| run | {record["identity"]} |

```python
from diffusers import AutoencoderKL
vae = AutoencoderKL.from_pretrained("PATH OF THIS FOLDER")
latent = vae.encode(pixels).latent_dist.mode() * vae.config.scaling_factor
```

Pixels: RGB, squashed to {size}, scaled to [-1, 1]. `scaling_factor` brings the training split's latents to a deviation
of 1.
"""
