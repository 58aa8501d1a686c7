"""A training step of InstructPix2Pix from cached latents and texts, against the bare UNet step, and against a step with
the autoencoder's encoder and the text encoder in it.

    python benchmarks/pix2pix_step.py [--size demo|sd15] [--repeats 5] [--steps 8] [--threads 1] [--device cpu]

Cached: what `framecast.training.loop` does for a step: reading latents and texts, posterior sample, dropout of
conditions, noise, loss, gradient clipping, AdamW. Bare: forward, backward and AdamW of the same UNet on random tensors
in memory, no clipping. Frozen networks inside: reading frames, encoding both and the texts, then the cached step's
work. All weights are random, which decides nothing about speed. Steps alternate one by one, so that whatever else the
machine does meets all. `sd15` has the networks of Stable Diffusion 1.5 and 256-pixel frames in bf16, for a GPU. Bar:
cached ≤ 1.05 of bare.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F

from framecast.config.base import Budget, Settings
from framecast.core import components
from framecast.core.seeding import rng
from framecast.stores import Stores, prompts
from framecast.stores.embeddings import EmbeddingWriter
from framecast.stores.frames import FrameWriter
from framecast.tasks import pixels
from framecast.training import sessions
from framecast.training.batches import Shuffled, loader
from framecast.training.learner import Learner
from framecast.training.runs import build

LATENT, LENGTH = 4, 77


@dataclass(frozen=True)
class Size:
    """Keys of the three networks, the frames' height and width, and the recipe."""

    unet: dict[str, Any]
    widths: tuple[int, ...]
    text: dict[str, int]
    frame: tuple[int, int]
    batch: int
    precision: str

    @property
    def latents(self) -> tuple[int, int]:
        """Height and width of a frame's latents."""
        factor = 2 ** (len(self.widths) - 1)
        return self.frame[0] // factor, self.frame[1] // factor


SIZES = {
    "demo": Size(
        {"channels": (32, 64)}, (16, 32, 64),
        {"hidden_size": 64, "intermediate_size": 256, "num_attention_heads": 4, "num_hidden_layers": 2},
        (64, 96), 8, "float32",
    ),
    "sd15": Size(
        {"channels": (320, 640, 1280, 1280), "layers": 2, "heads": 8, "groups": 32,
         "attention": (True, True, True, False)}, (128, 256, 512, 512),
        {"hidden_size": 768, "intermediate_size": 3072, "num_attention_heads": 12, "num_hidden_layers": 12},
        (256, 256), 4, "bf16",
    ),
}  # fmt: skip


def frozen(size: Size) -> tuple[Any, Any]:
    """An AutoencoderKL and a CLIP text encoder with random weights."""
    from diffusers import AutoencoderKL
    from transformers import CLIPTextConfig, CLIPTextModel

    levels, groups = len(size.widths), min(32, size.widths[0] // 2)
    network = AutoencoderKL(
        block_out_channels=size.widths, latent_channels=LATENT, norm_num_groups=groups, layers_per_block=2,
        down_block_types=("DownEncoderBlock2D",) * levels, up_block_types=("UpDecoderBlock2D",) * levels,
    )  # fmt: skip
    text = CLIPTextModel(CLIPTextConfig(max_position_embeddings=LENGTH, **size.text))
    return network.eval().requires_grad_(False), text.eval().requires_grad_(False)


def made(size: Size, autoencoder: Any, folder: Path) -> Stores:
    """Frames, latents and prompts of random numbers: four batches of videos of two frames."""
    names = [f"v{number:03d}" for number in range(4 * size.batch)]
    pd.DataFrame({"video_id": names, "split": "train", "unit": names}).to_parquet(folder / "samples.parquet")
    (folder / "frames").mkdir()
    random, (height, width) = rng(0, "benchmark"), size.latents
    with FrameWriter(folder / "frames", {"fps": None, "resize": "squash", "views": {"v": list(size.frame)}}) as writer:
        for name in names:
            writer.start(name)
            for number in range(2):
                picture = random.integers(256, size=(*size.frame, 3), dtype=np.uint8)
                writer.append({"v": picture}, number / 10, number)
        writer.finish({})
    shape = [2 * LATENT, height, width]
    with EmbeddingWriter(folder / "l.h5", names, [2] * len(names), int(np.prod(shape)), "float32") as latents:
        latents.append(random.standard_normal((2 * len(names), int(np.prod(shape))), np.float32))
        latents.finish("made", {"kind": "vae", "frames": "f", "view": "v", "at": None, "shape": shape}, {})
    texts = ["", *names]
    states = random.standard_normal((len(texts), LENGTH, size.text["hidden_size"]), np.float32)
    own = {(name, 0): place for place, name in enumerate(names, 1)}
    prompts.write(folder / "p.h5", texts, [states], {"own": own})
    autoencoder.save_config(folder / "vae")
    return Stores(
        folder / "samples.parquet", {"f": [folder / "frames"]}, {"latents": [folder / "l.h5"]},
        prompts={"plain": folder / "p.h5"}, networks={"latents": str(folder / "vae")},
    )  # fmt: skip


def bare_step(unet: Any, size: Size, accelerator: Any) -> Callable[[], None]:
    """Forward, backward, AdamW on random tensors."""
    device = accelerator.device
    noisy = torch.randn(size.batch, 2 * LATENT, *size.latents, device=device)
    wanted, steps = torch.randn_like(noisy[:, :LATENT]), torch.randint(1000, (size.batch,), device=device)
    text = torch.randn(size.batch, LENGTH, size.text["hidden_size"], device=device)
    optimizer = torch.optim.AdamW(unet.to(device).train().parameters(), lr=1e-5, fused=True)

    def step() -> None:
        with accelerator.autocast():
            found = unet(noisy, steps, text, return_dict=False)[0]
        F.mse_loss(found.float(), wanted).backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    return step


def encoded(dataset: Any, order: Any, networks: tuple[Any, Any], accelerator: Any) -> Iterator[dict[str, Any]]:
    """Batches whose latents and texts are worked out by the frozen networks."""
    device = accelerator.device
    autoencoder, text = (network.to(device) for network in networks)
    ids = torch.randint(1000, (1, LENGTH), device=device)
    for indices in order:
        frames = torch.from_numpy(np.concatenate(dataset.pictures([dataset.places[index] for index in indices])))
        with torch.no_grad(), accelerator.autocast():
            seen = frames.to(device).movedim(-1, 1).float() / 127.5 - 1
            source, target = autoencoder.encode(seen).latent_dist.parameters.float().chunk(2)
            words = text(ids.expand(len(indices), -1)).last_hidden_state.float()
        names = [dataset.name(dataset.places[index]) for index in indices]
        yield {"target": target, "source": source[:, :LATENT], "text": words, "empty": words[0], "sample_id": names,
               "unit": names}  # fmt: skip


def repeat(size: Size, steps: int, threads: int, device: str, folder: Path) -> tuple[float, float, float]:
    """Median milliseconds of a bare step, a step from caches, and one with the frozen networks inside."""
    budget = Budget(steps=10**6, batch=size.batch, learning_rate=1e-5, precision=size.precision, threads=threads)
    keys = {"encoder": "latents", "prompts": "plain", "frames": "f", "view": "v", "input": 0, "target": 1}
    task = components.load_task("pixels")
    config = pixels.Config(**keys).model_dump(mode="json")
    spec = {"seed": 0, "task": {"name": "pixels", **config}, "model": {"name": "instruct_pix2pix", **size.unet}}
    networks = frozen(size)
    dataset = task.dataset(config, made(size, networks[0], folder), "train")
    with (
        sessions.reproducible(threads),
        sessions.accelerated(budget, Settings.model_validate({"device": device})) as accelerator,
    ):
        facts = task.facts(config, dataset)
        bare = bare_step(build(spec, facts).core.unet, size, accelerator)
        learner = Learner(task, build(spec, facts), budget, 1e-5, 0, accelerator)
        order = Shuffled(len(dataset), size.batch, 0, 0, 4 * (steps + 2))
        cached = loader(dataset, order, 0, accelerator.device)
        inside = encoded(dataset, order, networks, accelerator)
        kinds = [bare, lambda: learner.step(1, cached), lambda: learner.step(1, inside)]
        times = [[_timed(kind, accelerator.device) for kind in kinds] for _ in range(steps + 2)][2:]
    bare_time, cached_time, inside_time = (1e3 * statistics.median(kind) for kind in zip(*times, strict=True))
    return bare_time, cached_time, inside_time


def _timed(step: Callable[[], None], device: torch.device) -> float:
    """Seconds until the device has done a step."""
    begin = time.perf_counter()
    step()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - begin


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", choices=sorted(SIZES), default="demo")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu", help="cpu or cuda (default cpu)")
    options = parser.parse_args()
    times = []
    for _ in range(options.repeats):
        with tempfile.TemporaryDirectory() as folder:
            times.append(repeat(SIZES[options.size], options.steps, options.threads, options.device, Path(folder)))
    bare, cached, inside = (statistics.median(kind) for kind in zip(*times, strict=True))
    ratios = sorted(one[1] / one[0] for one in times)
    gains = statistics.median(one[2] / one[1] for one in times)
    print(
        f"{options.size}: bare {bare:.1f} ms, from caches {cached:.1f} ms, frozen networks inside {inside:.1f} ms a "
        f"step; caches {statistics.median(ratios):.3f} of bare ({ratios[0]:.3f} to {ratios[-1]:.3f}, {len(ratios)} "
        f"repeats), bar 1.05; frozen networks inside take {gains:.2f} of the step from caches"
    )


if __name__ == "__main__":
    main()
