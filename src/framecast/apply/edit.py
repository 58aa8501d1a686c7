"""One picture from one frame and a text, by an InstructPix2Pix of ours or of the hub.

from framecast.weights import run_files
from framecast.apply.edit import Wish, edit
edit("results/exports/ip2p_5", Wish(text="pushing a cube from left to right", progress=40), Path("later.png"),
     image=Path("frame.png"))

later.png               the picture
later_comparison.png    input and picture side by side
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageOps, UnidentifiedImageError

from framecast.apply._runs import running, trained
from framecast.apply._sources import Clip
from framecast.core import devices
from framecast.core.files import read_json, replacing
from framecast.core.own_files import check_new_file
from framecast.encoders import prompts
from framecast.ops import sampler
from framecast.pictures.masks import row
from framecast.prediction.export import diffusers_pipeline
from framecast.tasks import progress
from framecast.tasks._progress_clips import shown
from framecast.video.codec import VideoError
from framecast.weights import hub, run_files, state_dict, tokens

SIDES: dict[str, Callable[..., Image.Image]] = {"squash": Image.Image.resize, "crop": ImageOps.fit, "pad": ImageOps.pad}
"""How a picture comes to a size, by the frame sets' policy."""


@dataclass(frozen=True)
class Wish:
    """What is to be drawn, and how. Keys as in the `inference` of task `pixels`."""

    text: str | None = None
    """An action, put into the wording that our models learn."""
    prompt: str | None = None
    """Instead of `text`: a prompt, taken as it is."""
    progress: int | None = None
    """Percent of the action that is done; put into the wording."""
    steps: int = 25
    text_guidance: float = 7.5
    image_guidance: float = 1.5
    scheduler: str | None = None
    seed: int = 42

    def words(self, percent: int | None) -> str:
        """The prompt.

        Raises:
            ValueError: neither a text nor a prompt, both, or progress beside a prompt.
        """
        if (self.text is None) == (self.prompt is None):
            raise ValueError("give either --text (an action, which is put into our wording) or --prompt (as it is)")
        if self.prompt is not None and percent is not None:
            raise ValueError("--progress and --estimate belong to --text; write progress into the --prompt yourself")
        return self.prompt if self.prompt is not None else prompts.prompt(str(self.text), percent)


@dataclass(frozen=True)
class Source:
    """A pipeline, and the size of frames that it was made for (null: any). Its UNet is called as a task's model is."""

    pipeline: Any
    size: tuple[int, int] | None = None
    resize: str = "squash"

    def __call__(self, noisy: torch.Tensor, step: torch.Tensor, text: torch.Tensor, source: Any) -> torch.Tensor:
        return self.pipeline.unet(torch.cat([noisy, source], 1), step, text, return_dict=False)[0]

    def fitting(self, height: int, width: int) -> tuple[int, int]:
        """Height and width at which a frame is edited, pixels: the run's, or the nearest that the autoencoder takes."""
        factor = 2 ** (len(self.pipeline.vae.config.block_out_channels) - 1)
        return self.size or (max(factor, height - height % factor), max(factor, width - width % factor))

    @torch.no_grad()
    def draw(self, frame: np.ndarray, words: str, wish: Wish) -> np.ndarray:
        """The edited frame; both uint8 [H, W, 3]."""
        from framecast.encoders import clip_text

        vae, scheduler = self.pipeline.vae, self.pipeline.scheduler
        encoder = clip_text.ClipText(self.pipeline.text_encoder, self.pipeline.tokenizer, "")
        text, empty = encoder.encode([words, ""])
        given = torch.from_numpy(frame).to(text.device).movedim(-1, 0)[None] / 127.5 - 1
        source = vae.encode(given).latent_dist.mode()
        chosen = sampler.scheduler({**scheduler.config, "_class_name": type(scheduler).__name__}, wish.scheduler)
        inference = {name: getattr(wish, name) for name in ("steps", "text_guidance", "image_guidance")}
        generators = [torch.Generator().manual_seed(wish.seed)]
        latents = sampler.denoise(self, chosen, text[None], empty, source, source.shape[1:], inference, generators)
        return sampler.quantised(sampler.decoded(vae, latents / vae.config.scaling_factor))[0].cpu().numpy()


def edit(
    pipeline: str,
    wish: Wish,
    out: Path,
    *,
    run: Path | None = None,
    revision: str | None = None,
    image: Path | None = None,
    video: Path | None = None,
    frame: int = 20,
    estimate: Path | None = None,
    device: str = "auto",
) -> str:
    """Write the picture, and beside it input and picture in one; returns the prompt.

    Args:
        pipeline: Folder or hub name of an InstructPix2Pix pipeline, with `revision` of the hub.
        out: A new .png file; `…_comparison.png` goes beside it.
        run: A run whose weights replace the pipeline's, and whose size of frames is taken.
        image, video, frame: One picture, or a video and the number of the frame given.
        estimate: Folder of a run of task `progress` that says how far the action in the video has got.
        device: `auto`, `cpu`, `cuda` or `mps`.

    Raises:
        OSError, ValueError: a file, run or pipeline that cannot be used; `out` exists or lies in one.
        WeightsError: weights that are absent.
    """
    if (image is None) == (video is None):
        raise ValueError("give either --image, or --video and the number of its --frame")
    if estimate is not None and (video is None or wish.progress is not None):
        raise ValueError("--estimate takes the progress from the frames of a --video, in place of --progress")
    if out.suffix.lower() != ".png":
        raise ValueError(f"--out {str(out)!r}: give a .png file")
    beside = out.with_name(f"{out.stem}_comparison.png")
    read = [Path(one) for one in (pipeline, run, image, video, estimate) if one is not None]
    for path in (out, beside):
        check_new_file(path, read)
    percent = wish.progress
    if estimate is not None and video is not None:
        percent = int(100 * estimated(estimate, Clip(video.name, video), frame, str(wish.text), device))
    words, source = wish.words(percent), opened(pipeline, revision, run, device)
    given = _picture(image, source) if image is not None else _frame(Clip(str(video), Path(str(video))), frame, source)
    found = source.draw(given, words, wish)
    for path, picture in ((out, found), (beside, row([given, found]))):
        with replacing(path) as temporary:
            Image.fromarray(picture).save(temporary, format="PNG")
    return words


def exported(run: Path) -> Path:
    """The pipeline folder of a run's experiment: results/exports/{experiment} beside results/runs.

    Raises:
        FileNotFoundError: no such run, or its experiment is not exported.
    """
    if not (run / run_files.RECORD).is_file():
        raise FileNotFoundError(
            f"{str(run)!r} has no {run_files.RECORD}; give a finished run: results/runs/ip2p_5/seed_0"
        )
    experiment = read_json(run / run_files.RECORD)["spec"]["experiment"]
    folder = run.resolve().parents[2] / "exports" / experiment
    if not folder.is_dir():
        raise FileNotFoundError(
            f"{folder} is not there: it holds the autoencoder and the text encoder beside the run's UNet; make it with "
            f"`snakemake results/exports/{experiment}`"
        )
    return folder


def opened(pipeline: str, revision: str | None, run: Path | None, device: str) -> Source:
    """A pipeline on a device, with the weights of a run of its experiment where one is given.

    Raises:
        ValueError: it takes no input frame, or the run's weights do not fit.
    """
    folder = hub.folder(pipeline, revision, "unet", "vae", "text_encoder")
    found = diffusers_pipeline.load(folder, given=True)
    latent, inputs = found.vae.config.latent_channels, found.unet.config.in_channels
    if inputs != 2 * latent:
        raise ValueError(
            f"{folder}: its UNet has {inputs} input channels, where {2 * latent} make an InstructPix2Pix: "
            "give a pipeline with an input frame"
        )
    found.to(devices.choose(device))
    if run is None:
        return Source(found)
    facts, path = read_json(run / run_files.RECORD)["facts"], run_files.weights_file(run)
    own = {name.removeprefix("core.unet."): tensor for name, tensor in state_dict.load(path).items()}
    state_dict.restore(found.unet, own, str(path))
    return Source(found, tuple(facts["pixels"]), facts["resize"])


def _picture(path: Path, source: Source) -> np.ndarray:
    """A picture file at the pipeline's size, uint8 [H, W, 3]."""
    try:
        with Image.open(path) as opened_file:
            picture = opened_file.convert("RGB")
    except UnidentifiedImageError:
        raise ValueError(f"--image {str(path)!r} is no picture; give a png or jpeg file") from None
    height, width = source.fitting(picture.height, picture.width)
    return np.array(SIDES[source.resize](picture, (width, height), Image.Resampling.BICUBIC))


def _frame(clip: Clip, number: int, source: Source) -> np.ndarray:
    try:
        return clip.frames(source.fitting(*clip.size), source.resize, number, 1)[0]
    except VideoError as error:
        raise ValueError(f"--video {clip.video_id!r}: {error}") from error


def estimated(run: Path, clip: Clip, frame: int, text: str, device: str) -> float:
    """How much of its action a video has done by a frame, 0 to 1, as a run of task `progress` sees it."""
    one = trained(run, "progress")
    facts, own = read_json(run / run_files.RECORD)["facts"], one.task["tokenizer"]
    tokenizer = (
        tokens.FolderTokens(hub.folder(own["hub"], own["revision"])) if own else tokens.Words(facts["vocabulary"])
    )
    table = tokens.table(tokenizer, [text], one.task["text_limit"])
    try:
        frames = clip.frames(one.size, one.resize, 0, frame + 1)[shown(one.task, frame)]
    except VideoError as error:
        raise ValueError(f"--video {clip.video_id!r}: {error}") from error
    batch = {
        "frames": torch.from_numpy(frames)[None], "tokens": torch.from_numpy(table.ids),
        "kept": torch.from_numpy(table.kept), "elapsed": torch.tensor([float(frame)]), "template": torch.tensor([-1]),
        "sample_id": [clip.video_id],
    }  # fmt: skip
    with running(one, device) as place:
        batch = {name: value.to(place) if isinstance(value, torch.Tensor) else value for name, value in batch.items()}
        inference = progress.Inference().model_dump(mode="json")
        return float(progress.predict(one.network, batch, torch.Generator(), inference)["progress"][0])
