"""A trained run of task `pixels` → a pipeline folder of diffusers, with its autoencoder, text encoder and tokenizer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from framecast.core import contract
from framecast.core.files import write_json
from framecast.ops import sampler
from framecast.prediction.inference import load_run
from framecast.weights import diffusers_folders, hub

INDEX = "model_index.json"


def write(run: Path, folder: Path, parts: dict[str, Path]) -> None:
    """Write model_index.json, unet/, vae/, text_encoder/, tokenizer/ and scheduler/, and read them back.

    `StableDiffusionInstructPix2PixPipeline.from_pretrained(folder)` loads it, or `StableDiffusionPipeline` where the
    task has no input frame. There is no safety checker.

    Args:
        run: model.safetensors and run.json of an experiment with model `instruct_pix2pix`.
        folder: There, and empty.
        parts: Encoder → folder of its weights: the task's autoencoder, and the text encoder of its prompts.

    Raises:
        ValueError: a run without a UNet, or parts other than these two.
    """
    from framecast.encoders import clip_text
    from framecast.weights import vae

    record, module = load_run(run)
    task, core = record["spec"]["task"], _core(module, record)
    others = sorted(set(parts) - {task["encoder"]})
    if task["encoder"] not in parts or len(others) != 1:
        raise ValueError(
            f"{run}: a pipeline needs the folders of the autoencoder {task['encoder']!r} and of one text encoder; "
            f"given are {sorted(parts)}"
        )
    text = clip_text.load(str(parts[others[0]]), None)
    pipeline = _pipeline(core.given)(
        vae=vae.network(vae.find(str(parts[task["encoder"]]), None)),
        text_encoder=text.network, tokenizer=text.tokenizer, unet=core.unet,
        scheduler=sampler.scheduler(core.scheduler, None), safety_checker=None, feature_extractor=None,
        requires_safety_checker=False,
    )  # fmt: skip
    pipeline.save_pretrained(folder, safe_serialization=True)
    # diffusers writes this sampler's own defaults into the file too, and another sampler would then take them over.
    write_json(folder / "scheduler" / diffusers_folders.SCHEDULER, core.scheduler)
    _check(core, folder)


def _core(module: Any, record: dict[str, Any]) -> Any:
    if contract.hook(module.core, "unet") is None:
        spec = record["spec"]
        raise ValueError(
            f"experiment {spec['experiment']!r} has the model {spec['model']['name']!r}, which has no UNet to export; "
            "name an experiment of task 'pixels' with the model 'instruct_pix2pix'"
        )
    return module.core


def _pipeline(given: bool) -> Any:
    """The class of diffusers, with or without an input frame."""
    import diffusers

    return diffusers.StableDiffusionInstructPix2PixPipeline if given else diffusers.StableDiffusionPipeline


def load(folder: Path, given: bool) -> Any:
    """The pipeline of a folder, from safetensors alone, in float32, without progress bars.

    Raises:
        WeightsError: it is no pipeline, or a part of it cannot be loaded.
    """
    if not (folder / INDEX).is_file():
        raise hub.WeightsError(f"{folder}: has no {INDEX}, so it is no pipeline of diffusers; give a whole pipeline")
    try:
        return _opened(folder, given)
    except (OSError, ValueError, KeyError) as error:
        raise hub.WeightsError(f"{folder}: the pipeline cannot be loaded: {error}") from error


def _opened(folder: Path, given: bool) -> Any:
    found = _pipeline(given).from_pretrained(folder, safety_checker=None, use_safetensors=True, local_files_only=True)
    found.set_progress_bar_config(disable=True)
    return found


def _check(core: Any, folder: Path) -> None:
    """Refuse to hand out a folder whose UNet is not the run's."""
    found = load(folder, core.given).unet.state_dict()
    own = core.unet.state_dict()
    wrong = [name for name in own if name not in found or not torch.equal(own[name], found[name])]
    if wrong or len(found) != len(own):
        raise RuntimeError(f"{folder}: read back, {len(wrong)} of {len(own)} tensors of the UNet differ: {wrong[:3]}")
