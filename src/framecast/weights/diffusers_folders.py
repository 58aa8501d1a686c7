"""Folders in the form of diffusers: a pipeline with a subfolder for each part, or one part alone.

Only configs (JSON) and safetensors are read; nothing is unpickled and no code of a folder runs.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from framecast.core.files import read_json
from framecast.weights import hub

if TYPE_CHECKING:
    from torch import Tensor

STEM = "diffusion_pytorch_model"
SCHEDULER = "scheduler_config.json"
SCALE = 0.18215
"""`scaling_factor` of an AutoencoderKL whose config says none: Stable Diffusion's, as in diffusers."""


def part(folder: Path, name: str) -> Path:
    """The subfolder `name` of a pipeline, or the folder itself where it is that part alone."""
    return folder / name if (folder / name).is_dir() else folder


def config(folder: Path, name: str, kind: str) -> dict[str, Any]:
    """config.json of one part.

    Args:
        folder: A pipeline or the part alone. name: `unet`, `vae`. kind: The class of diffusers that it must be.

    Raises:
        WeightsError: there is none, or it is of another class.
    """
    path = part(folder, name) / hub.CONFIG
    if not path.is_file():
        raise hub.WeightsError(
            f"{folder}: has neither {name}/{hub.CONFIG} nor {hub.CONFIG}; give a pipeline folder of diffusers, or the "
            f"folder of its {name} (with {hub.CONFIG} and {STEM}.safetensors)"
        )
    found = read_json(path)
    if found.get("_class_name") != kind:
        raise hub.WeightsError(
            f"{path}: _class_name is {found.get('_class_name')!r}, needed is {kind!r}; give a pipeline of Stable "
            f"Diffusion or InstructPix2Pix, or the folder of its {name}"
        )
    return found


def tensors(folder: Path, name: str) -> dict[str, Tensor]:
    """The weights of one part in float32, from one safetensors file or the parts that an index lists.

    Raises:
        WeightsError: there are none, or only pickled ones.
        ValueError: a damaged file.
    """
    from framecast.weights import state_dict

    path = part(folder, name)
    index, whole = path / f"{STEM}.safetensors.index.json", path / f"{STEM}.safetensors"
    files = [whole]
    if not whole.is_file():
        if not index.is_file():
            raise hub.WeightsError(_absent(path))
        files = [path / file for file in sorted(set(read_json(index)["weight_map"].values()))]
    return {key: value.float() for file in files for key, value in state_dict.load(file).items()}


def _absent(path: Path) -> str:
    pickled = sorted(file.name for pattern in ("*.bin", "*.ckpt", "*.pt") for file in path.glob(pattern))
    if not pickled:
        return f"{path}: has no {STEM}.safetensors; take a revision or a folder that has it"
    return (
        f"{path}: the weights are pickled ({', '.join(pickled)}), and a pickle runs whatever code it holds. Take a "
        f"revision that has {STEM}.safetensors, or convert the file where you trust it"
    )


def scheduler(folder: Path) -> dict[str, Any] | None:
    """The pipeline's noise schedule and sampler (`_class_name`); None where the folder is a part alone."""
    path = folder / "scheduler" / SCHEDULER
    return read_json(path) if path.is_file() else None


def scaling_factor(folder: Path) -> float:
    """What latents of an autoencoder are multiplied by before diffusion."""
    return float(config(folder, "vae", "AutoencoderKL").get("scaling_factor", SCALE))
