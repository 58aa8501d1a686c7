"""Pixels: a frame of a video and a text → a later frame. Without an input frame: a text → a frame (text-to-image).

Learned as latent diffusion. Latents and texts come from caches, so that a training step runs the UNet and no frozen
network. As published for InstructPix2Pix: the target's latents are a sample of the posterior, times the autoencoder's
scaling factor; the source's are the mode of its posterior, unscaled. Left and right matter, so nothing is mirrored.

A model is built with latent, given, width, size and base (see `models/instruct_pix2pix.py`) and called with noisy
latents, time steps, text and source. A baseline has `answer(input frames, target latents)` instead: frames uint8, or
latents that are decoded; and `fit_frames(pairs of training frames)` where it learns from them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from pydantic import Field, model_validator

from framecast.config.base import Closed, Positive
from framecast.core import contract
from framecast.core.needs import Needs
from framecast.core.seeding import drawn, torch_generator
from framecast.pictures import frames as frame_pictures
from framecast.pictures.masks import column, row
from framecast.stores import Stores
from framecast.tasks._diffusion import autoencoder, drawn_latents, dropped, sampled
from framecast.tasks._pairs import Pairs, pairs_of
from framecast.tasks._tensors import pixels, without_gradients
from framecast.weights import diffusers_folders

if TYPE_CHECKING:
    import pandas as pd
    import torch
    from torch import Tensor, nn

    from framecast.stores.predictions import Predictions
    from framecast.tasks._networks import Pixels

Number = Annotated[int, Field(ge=0)]
READ = 64
"""Pairs of frames that are in memory at once where a baseline learns from all of them."""
LOOKS = 4
"""Time steps at which each sample's denoising loss is monitored."""
FUTURE = (
    "its prompts hold the true progress, the input frame's number over the length of the whole video: knowledge of the "
    "future, which nobody has who predicts it"
)
EQUAL = 100.0
"""PSNR of equal pictures, dB: it would be infinite, and one such sample would make every mean so."""


EXPORT = "diffusers_pipeline"
"""Module of `framecast.prediction.export` that writes a run's network in the hub's folder format."""


class Config(Closed):
    """Which frame from which, the caches, and the dropout of conditions."""

    encoder: str
    """Encoder of kind `vae`, with the frames below in its `at`: latents are read from its cache."""
    prompts: str
    """Entry of `prompts`: texts, with or without progress, for the input frames."""
    frames: str
    """Frame set; predictions are compared with its frames."""
    view: str
    """View of that frame set, the encoder's."""
    input: Number | None = 20
    """Number of the given frame, from 0; null gives none: text-to-image, whose texts are those for `target`."""
    target: Number = 21
    """Number of the frame that is predicted."""
    moments: tuple[Number, ...] = ()
    """Further input frames in training, with the target as far away; without an input, further targets."""
    dropout: Annotated[float, Field(ge=0, lt=1 / 3)] = 0.05
    """Share of training samples without text, as many without source, and as many without either (without an input
    frame: twice as many without text). Guidance needs it."""
    most: Positive | None = None
    """Videos that are drawn of each split but training, as many of each task; null takes all."""

    @model_validator(mode="after")
    def _apart(self) -> Config:
        if self.input == self.target:
            raise ValueError(f"input and target are both frame {self.target}; set target to another frame")
        return self


class Inference(Closed):
    """How pictures are drawn."""

    steps: Positive = 25
    """Denoising steps."""
    text_guidance: Annotated[float, Field(ge=0)] = 7.5
    """How much further than without it the text pulls; 1 is no guidance."""
    image_guidance: Annotated[float, Field(ge=0)] = 1.5
    """The same for the input frame."""
    scheduler: str | None = None
    """Sampler of diffusers by class name, such as `EulerAncestralDiscreteScheduler`; null takes the base's."""
    prompts: Literal["own", "shuffled_text", "shuffled_progress", "empty"] = "own"
    """`own`: the video's prompt. `shuffled_text`: another action's text with the own progress. `shuffled_progress`: the
    own text with another video's progress. `empty`: no words."""
    draws: Positive = 1
    """Pictures that are drawn of each sample; their mean is the prediction."""
    decode: Literal["plain", "residual"] = "plain"
    """`plain`: decode what was drawn. `residual`: add to the input frame what decoding changes from the input's latents
    to the drawn ones, so that the autoencoder's error falls out where nothing moves."""


def needs(config: dict[str, Any]) -> Needs:
    """One view of a frame set, latents with the network that decodes them, and prompts."""
    encoders = (config["encoder"],)
    frames = ((config["frames"], config["view"]),)
    return Needs(frames=frames, embeddings=encoders, prompts=(config["prompts"],), networks=encoders)


def samples(config: dict[str, Any]) -> str:
    """What a scored sample is: the same whatever the prompts and the autoencoder."""
    given = "text" if config["input"] is None else f"frame {config['input']}"
    drawn_of = "" if config["most"] is None else f", up to {config['most']} videos"
    return f"frame {config['target']} from {given}, {config['frames']} {config['view']}{drawn_of}"


# --- data ------------------------------------------------------------------------------------------------------------


def dataset(config: dict[str, Any], stores: Stores, split: str) -> Pairs:
    """All pairs of a split; errors as of `_pairs.pairs_of`."""
    return pairs_of(config, stores, split)


def facts(config: dict[str, Any], dataset: Pairs) -> dict[str, Any]:
    """What the network's shape depends on, how latents are scaled, and how much there is to learn from."""
    _, height, width = dataset.shape
    return {
        **_counts(dataset), "latent": dataset.shape[0] // 2, "size": [height, width], "width": dataset.prompts.width,
        "pixels": list(dataset.frames.shape[:2]), "resize": dataset.frames.resize,
        "length": dataset.prompts.length, "texts_cut": dataset.prompts.cut, "progress_in_prompts": _progress(dataset),
        "progress_in_sample": dataset.prompts.in_sample,
        "scaling_factor": diffusers_folders.scaling_factor(dataset.autoencoder),
    }  # fmt: skip


def _counts(dataset: Pairs) -> dict[str, Any]:
    return {"pairs": len(dataset), "videos": len(dataset.video_ids), "without_target": dataset.without_target}


def _progress(dataset: Pairs) -> str:
    """What the prompts say of progress: none, index (future knowledge) or estimate."""
    return str(dataset.prompts.config.get("progress", "none"))


# --- network and training --------------------------------------------------------------------------------------------


def build(config: dict[str, Any], facts: dict[str, Any], core: Callable[..., nn.Module]) -> Pixels:
    """The network for the caches' latents and texts."""
    from framecast.tasks._networks import Pixels

    height, width = facts["size"]
    shape = {"latent": facts["latent"], "width": facts["width"], "size": (height, width)}
    return Pixels(core(**shape, given=config["input"] is not None, base=facts.get("base")), config, facts)


def fit(module: Pixels, dataset: Pairs) -> None:
    """A model that starts from a base loads it; one with `fit_frames` gets the input and target frames of all pairs,
    and what it says of them is logged.

    Raises:
        ValueError: it is to learn from input frames, and the task has none.
    """
    if model_fit := contract.hook(module.core, "fit"):
        model_fit()
    if fit_frames := contract.hook(module.core, "fit_frames"):
        if module.config["input"] is None:
            raise ValueError("the model learns from input frames, and the task's input is null: set it to a frame")
        print(fit_frames(_frames(dataset)), flush=True)


def _frames(dataset: Pairs) -> Iterator[tuple[Tensor, Tensor]]:
    """Input and target frames of all pairs, uint8 [B, H, W, 3] each, some at a time."""
    import torch

    for start in range(0, len(dataset), READ):
        given, wanted = dataset.pictures(dataset.places[start : start + READ])
        yield torch.from_numpy(given), torch.from_numpy(wanted)


def adopt(module: Pixels, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Another experiment's weights, brought to the model's input channels."""
    model_adopt = contract.hook(module.core, "adopt")
    return model_adopt(tensors, "core.") if model_adopt else tensors


def loss(module: Pixels, batch: dict[str, Any], generator: torch.Generator, progress: float) -> dict[str, Tensor]:
    """Squared error of the noise (or what the schedule says is predicted) at a random time step of each sample."""
    import torch

    target = batch["target"]
    device, count = target.device, len(target)
    draws = torch.rand(count, generator=generator, device=device)
    steps = torch.randint(module.core.steps, (count,), generator=generator, device=device)
    noises = torch.randn((2, count, *module.shape), generator=generator, device=device)
    text, source = dropped(module.config, batch["text"], batch["empty"], batch.get("source"), draws)
    return {"loss": _error(module, sampled(target, noises[0]) * module.scale, noises[1], steps, text, source).mean()}


def _error(
    module: Pixels, latents: Tensor, noise: Tensor, steps: Tensor, text: Tensor, source: Tensor | None
) -> Tensor:
    """Squared error of each sample [B]."""
    from torch.nn.functional import mse_loss

    noisy, wanted = module.core.noised(latents, noise, steps)
    found = module.core(noisy, steps, text, source)
    return mse_loss(found.float(), wanted.float(), reduction="none").mean((1, 2, 3))


@without_gradients
def monitor(module: Pixels, batch: dict[str, Any], generator: torch.Generator) -> dict[str, Tensor]:
    """loss of each sample, all conditions given: mean over `LOOKS` time steps spread over the schedule. Noise and steps
    depend on the sample's id alone, so that evaluations, seeds and arms can be compared."""
    import torch

    draws = [torch_generator(0, "monitor", name) for name in batch["sample_id"]]
    device, target = batch["target"].device, batch["target"]
    losses = []
    for look in range(LOOKS):
        within = torch.stack([torch.rand((), generator=draw) for draw in draws])
        steps = ((look + within) / LOOKS * module.core.steps).long().to(device)
        noises = torch.stack([torch.randn((2, *module.shape), generator=draw) for draw in draws], 1).to(device)
        latents = sampled(target, noises[0]) * module.scale
        losses.append(_error(module, latents, noises[1], steps, batch["text"], batch.get("source")))
    return {"loss": torch.stack(losses).mean(0)}


# --- prediction ------------------------------------------------------------------------------------------------------


@without_gradients
def predict(
    module: Pixels, batch: dict[str, Any], generator: torch.Generator, inference: dict[str, Any]
) -> dict[str, Tensor]:
    """frame: uint8 [B, H, W, 3]. A sample's noise depends on the run's seed and the sample's id alone.

    Raises:
        ValueError: prompts that the cache does not hold, or a residual without an input frame.
        ConfigError: an unknown sampler.
    """
    import torch

    from framecast.ops import sampler

    if answer := contract.hook(module.core, "answer"):
        found = answer(batch.get("input_frame"), batch["target"].chunk(2, 1)[0])
        return {"frame": found if found.dtype == torch.uint8 else sampler.quantised(_decoded(batch, found))}
    seed, text = generator.initial_seed(), _text(batch, inference["prompts"])
    frames = []
    for draw in range(inference["draws"]):
        generators = [torch_generator(seed, "predict", name, draw) for name in batch["sample_id"]]
        latents = drawn_latents(module, text, batch["empty"], batch.get("source"), inference, generators)
        frames.append(_pictured(batch, latents / module.scale, inference["decode"]))
    return {"frame": sampler.quantised(torch.stack(frames).mean(0) if len(frames) > 1 else frames[0])}


def _text(batch: dict[str, Any], kind: str) -> Tensor:
    """The prompts [B, L, D] of one variant."""
    if kind == "empty":
        return batch["empty"].expand_as(batch["text"])
    name = "text" if kind == "own" else kind
    if name not in batch:
        remedy = "needs prompts with progress" if kind == "shuffled_progress" else "needs texts of several actions"
        raise ValueError(
            f"inference.prompts is {kind!r}, which {remedy}: the task's prompts hold none; use own or empty"
        )
    return batch[name]


def _pictured(batch: dict[str, Any], latents: Tensor, decode: str) -> Tensor:
    """Frames float [B, 3, H, W], about 0 to 1, of unscaled latents."""
    frames = _decoded(batch, latents)
    if decode == "plain":
        return frames
    if "input_frame" not in batch:
        raise ValueError("inference.decode is 'residual', and the task's input is null: use plain")
    return pixels(batch["input_frame"]) + frames - _decoded(batch, batch["source"])


def _decoded(batch: dict[str, Any], latents: Tensor) -> Tensor:
    from framecast.ops import sampler

    return sampler.decoded(autoencoder(batch["autoencoder"], str(latents.device)), latents)


# --- scores and pictures ---------------------------------------------------------------------------------------------


def score(config: dict[str, Any], predictions: Predictions, dataset: Pairs) -> tuple[pd.DataFrame, dict[str, Any]]:
    """ssim and psnr of every sample against the true frame, of pixels 0 to 255; equal pictures count as `EQUAL` dB."""
    import pandas as pd

    from framecast import metrics

    truth = _pictures(dataset, predictions.sample_ids)[1]
    found = predictions.arrays["frame"]
    values = {
        "ssim": metrics.ssim(found, truth, data_range=255),
        "psnr": np.minimum(metrics.psnr(found, truth, data_range=255), EQUAL),
    }
    rows = [
        pd.DataFrame({"sample_id": predictions.sample_ids, "unit": predictions.units, "metric": name, "value": value})
        for name, value in values.items()
    ]
    progress = _progress(dataset)
    equal = int((values["psnr"] >= EQUAL).sum())
    extra = {"data_range": 255, "progress_in_prompts": progress, "equal_pictures": equal, **_counts(dataset)}
    return pd.concat(rows, ignore_index=True), extra | ({"caution": FUTURE} if progress == "index" else {})


def _pictures(dataset: Pairs, sample_ids: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """Input and target frames of samples, uint8 [B, H, W, 3] each."""
    return dataset.pictures([dataset.places[index] for index in dataset.find(sample_ids)])


def preview(predictions: dict[str, Tensor], batch: dict[str, Any]) -> np.ndarray:
    """Up to eight columns: the input frame where there is one, the true target, the prediction; uint8 [H, W, 3]."""
    found = predictions["frame"].byte().numpy()
    lines = [batch[name].numpy() for name in ("input_frame", "target_frame") if name in batch]
    return column([row(list(frames[:8])) for frames in [*lines, found]])


def gallery(
    config: dict[str, Any], dataset: Pairs, predictions: dict[str, Predictions], count: int
) -> tuple[list[str], list[list[np.ndarray]]]:
    """Headings and rows of pictures: input, truth, each experiment's output.

    predictions: heading → predictions of the same samples.
    """
    names = next(iter(predictions.values())).sample_ids
    chosen = drawn("gallery", names, count)
    given, truth = _pictures(dataset, [names[place] for place in chosen])
    shown = [truth] if config["input"] is None else [given, truth]
    rows = [
        [*(frames[line] for frames in shown), *(one.arrays["frame"][place] for one in predictions.values())]
        for line, place in enumerate(chosen)
    ]
    return [*(["Truth"] if config["input"] is None else ["Input", "Truth"]), *predictions], rows


def pictures(config: dict[str, Any], predictions: Predictions, dataset: Pairs, folder: Path) -> list[dict[str, Any]]:
    """target/, output/ and comparison/ of every sample; see `pictures.frames.of_task`."""
    return frame_pictures.of_task(config, predictions, dataset, folder)
