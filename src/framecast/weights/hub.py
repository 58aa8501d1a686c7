"""Weights in the Hugging Face hub's folder format: found, checked and loaded, or refused with the remedy.

Nothing is unpickled (safetensors only), no code of a model repository runs, and no parameter stays random in silence.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from framecast.core.files import canonical, digest, file_digest, read_json

CONFIG = "config.json"
PIXELS = "preprocessor_config.json"
POOL = "framecast_pool"
"""Key of config.json in which an exported network says how its embedding is read."""
FILES = ["*.json", "merges.txt", "*/merges.txt"]
"""What is always fetched from the hub; `*` stands for any folders too."""
WEIGHTS = [f"{stem}{shard}.safetensors" for stem in ("model", "diffusion_pytorch_model")
           for shard in ("", "-?????-of-?????")]  # fmt: skip
"""Weights of a model, or of one part of a pipeline. Beside them a repository often holds other formats, precisions
(`model.fp16.safetensors`) and whole checkpoints under names of their own, gigabytes each."""
PIPELINE = "model_index.json"
"""File of a diffusers pipeline's folder, whose parts are folders in it."""
HEADS = ("classifier.", "text_projection.", "visual_projection.", "logit_scale")
"""Parameters that stand behind the embedding and may be left over."""


class WeightsError(RuntimeError):
    """Weights that are absent, incomplete, of another architecture or in a format that is not read."""


def folder(weights: str, revision: str | None, *names: str) -> Path:
    """The local folder of a model: `weights` itself, or the hub's cache, downloading what is not there yet and no more:
    configs, tokenizers, and the weights (`WEIGHTS`) of the model and of the named parts of a pipeline.

    Args:
        weights: A folder in the hub's format, or a name on the hub (`facebook/dinov2-small`).
        revision: Commit of the hub model; None for a folder.
        names: Parts of a diffusers pipeline that are wanted, should it be one: `unet`, `vae`, `text_encoder`.

    Raises:
        WeightsError: no such folder, a hub name without a revision, or the hub cannot be reached; says what to do.
    """
    path = Path(weights).expanduser()
    if path.is_dir():
        return path
    if weights.startswith((".", "/", "~")) or weights.count("/") > 1 or path.exists():
        raise WeightsError(f"{weights}: there is no such folder; `hub` is a folder in the hub's format or a hub name")
    if revision is None:
        raise WeightsError(
            f"{weights}: a model from the hub needs `revision`, the commit of its weights (40 hexadecimal digits, "
            "listed under 'Files and versions' on the model's page), so that a cache means one set of weights"
        )
    wanted = [*WEIGHTS, *(f"{name}/{file}" for name in names for file in WEIGHTS)]
    return _download(weights, revision, [*FILES, *wanted])


def parts(weights: str, revision: str | None, *names: str) -> list[Path]:
    """The folders of some parts of a diffusers pipeline (`text_encoder`, `tokenizer`, `vae`); where `weights` is a
    model of its own and no pipeline, its folder for each. Of a hub's pipeline only these parts are downloaded.

    Raises:
        WeightsError: as `folder`; or the pipeline has no such part.
    """
    path = folder(weights, revision, *names)
    if not (path / PIPELINE).is_file():
        return [path for _ in names]
    for name in names:
        if not (path / name).is_dir():
            there = sorted(part.name for part in path.iterdir() if part.is_dir())
            raise WeightsError(f"{path}: this pipeline has no folder {name!r}; its folders are {there}")
    return [path / name for name in names]


EXPORTS = "results/exports"
"""Where the exported network of an experiment lies, in a folder named after it."""


def experiments(keys: Any, where: str = "") -> dict[str, str]:
    """Place in a task's or a model's keys → the experiment whose export a `Pretrained` there names."""
    if not isinstance(keys, dict):
        return {}
    if _names_experiment(keys):
        return {f"{where}.experiment": keys["experiment"]}
    return {place: name for key, value in keys.items() for place, name in experiments(value, f"{where}.{key}").items()}


def exported(keys: Any) -> Any:
    """The same keys with the folder of the export as `hub` where a `Pretrained` names an experiment."""
    if not isinstance(keys, dict):
        return keys
    if _names_experiment(keys):
        return {**keys, "hub": f"{EXPORTS}/{keys['experiment']}", "experiment": None}
    return {key: exported(value) for key, value in keys.items()}


def _names_experiment(keys: dict[str, Any]) -> bool:
    return set(keys) == {"hub", "revision", "experiment"} and keys["experiment"] is not None


def local_folders(keys: Any) -> list[str]:
    """Folders on this machine that a task or a model names as `hub`, at any depth of its keys; sorted, once each."""
    if not isinstance(keys, dict):
        return []
    found = {folder for value in keys.values() for folder in local_folders(value)}
    name = keys.get("hub")
    if isinstance(name, str) and Path(name).expanduser().is_dir():
        found.add(str(Path(name).expanduser()))
    return sorted(found)


def _download(name: str, revision: str, files: Sequence[str]) -> Path:
    from huggingface_hub import constants, snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OfflineModeIsEnabled

    try:
        return Path(snapshot_download(name, revision=revision, allow_patterns=list(files)))
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OfflineModeIsEnabled, OSError) as error:
        first = (str(error).strip() or type(error).__name__).splitlines()[0]
        offline = os.environ.get("HF_HUB_OFFLINE", "unset")
        raise WeightsError(
            f"{name} at revision {revision} is not in the cache and could not be downloaded: {first}\n"
            f"  cache folder: {constants.HF_HUB_CACHE} (set HF_HOME to move it)\n"
            f"  hub address:  {constants.ENDPOINT} (set HF_ENDPOINT to a mirror)\n"
            f"  HF_HUB_OFFLINE: {offline} (1 forbids downloads; unset it to allow them)\n"
            f"On a machine with a connection run `hf download {name} --revision {revision}` and copy the cache here, "
            "or put the model's files into a folder and give that folder as `hub` without `revision`."
        ) from error


def describe(path: Path, model_types: tuple[str, ...]) -> dict[str, Any]:
    """The folder's config.json, after checking that it is of one of these architectures and has safetensors weights.

    Raises:
        WeightsError: a file is missing, pickled or of another architecture.
    """
    if not (path / CONFIG).is_file():
        raise WeightsError(f"{path}: has no {CONFIG}; a model folder holds {CONFIG}, model.safetensors and {PIXELS}")
    config = read_json(path / CONFIG)
    if config.get("model_type") not in model_types:
        raise WeightsError(
            f"{path / CONFIG}: model_type is {config.get('model_type')!r}; this encoder kind reads "
            f"{', '.join(model_types)}"
        )
    if not weight_files(path):
        pickled = sorted(file.name for pattern in ("*.bin", "*.pt", "*.pth", "*.ckpt") for file in path.glob(pattern))
        if pickled:
            raise WeightsError(
                f"{path}: the weights are pickled ({', '.join(pickled)}), and a pickle runs whatever code it holds. "
                "Convert it where you trust it: `safetensors.torch.save_file(torch.load(FILE, weights_only=True), "
                '"model.safetensors", {"format": "pt"})`, or take a revision that has model.safetensors'
            )
        raise WeightsError(f"{path}: has no model.safetensors")
    return config


def weight_files(path: Path) -> list[Path]:
    """The weights: one file, or the parts that an index lists."""
    if (path / "model.safetensors").is_file():
        return [path / "model.safetensors"]
    index = path / "model.safetensors.index.json"
    return [path / name for name in sorted(set(read_json(index)["weight_map"].values()))] if index.is_file() else []


def load(architecture: Any, path: Path, beside: tuple[str, ...] = ("text_model.",)) -> Any:
    """A network of a transformers class with every parameter from the folder's safetensors, in float32, for evaluation.

    Args:
        architecture: A `PreTrainedModel` class, for example `transformers.Dinov2Model`.
        beside: Prefixes of other networks in the same file, which may be left over.

    Raises:
        WeightsError: parameters are missing, left over or of wrong shape (named), or the file is damaged.
    """
    import torch
    from safetensors import SafetensorError

    try:
        with _quiet():
            network, report = architecture.from_pretrained(
                path, local_files_only=True, use_safetensors=True, output_loading_info=True,
                ignore_mismatched_sizes=True, dtype=torch.float32,
            )  # fmt: skip
    except (SafetensorError, OSError, KeyError, ValueError, RuntimeError) as error:
        raise WeightsError(f"{path}: the weights cannot be loaded into {architecture.__name__}: {error}") from error
    left = [name for name in report["unexpected_keys"]
            if not name.startswith((*HEADS, *beside)) and not name.endswith(".position_ids")]  # fmt: skip
    _check(report, left, architecture, path)
    return network.eval().requires_grad_(False)


def load_diffusers(architecture: Any, path: Path) -> Any:
    """As `load`, for a model class of diffusers (`diffusion_pytorch_model.safetensors`).

    Raises:
        WeightsError: as `load`.
    """
    import torch
    from diffusers.utils import logging
    from safetensors import SafetensorError

    level = logging.get_verbosity()
    logging.set_verbosity(logging.CRITICAL)  # what is wrong is said here, and refused
    try:
        network, report = architecture.from_pretrained(
            path, local_files_only=True, use_safetensors=True, output_loading_info=True,
            ignore_mismatched_sizes=True, low_cpu_mem_usage=False, torch_dtype=torch.float32,
        )  # fmt: skip
    except (SafetensorError, OSError, KeyError, ValueError, RuntimeError, TypeError) as error:
        raise WeightsError(f"{path}: the weights cannot be loaded into {architecture.__name__}: {error}") from error
    finally:
        logging.set_verbosity(level)
    _check(report, report["unexpected_keys"], architecture, path)
    return network.eval().requires_grad_(False)


def _check(report: Mapping[str, Any], left: Sequence[str], architecture: Any, path: Path) -> None:
    """Refuse a network with parameters that the file did not give.

    Args:
        report: What transformers and diffusers say of a loading.
        left: Names in the file that the network has no place for.
    """
    problems = [
        *(f"{name}: missing" for name in sorted(report["missing_keys"])),
        *(f"{name}: in the file, but not in the network" for name in sorted(left)),
        *(f"{name}: shape {tuple(found)} in the file, {tuple(wanted)} in the network"
          for name, found, wanted in sorted(report["mismatched_keys"], key=str)),
    ]  # fmt: skip
    if problems:
        more = f" and {len(problems) - 8} more" if len(problems) > 8 else ""
        listed = "\n  ".join(problems[:8])
        raise WeightsError(
            f"{path}: the weights do not fit {architecture.__name__} as {CONFIG} describes it:\n  {listed}{more}\n"
            f"Take {CONFIG} and the weights from one and the same model and revision."
        )


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without the library's own report and progress bar: `load` says what is wrong, and refuses it."""
    from transformers.utils import logging

    level, bar = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bar:
            logging.enable_progress_bar()


def pixel_statistics(path: Path) -> tuple[list[float], list[float]]:
    """Mean and standard deviation of the three channels, for pixels in [0, 255], from preprocessor_config.json.

    Sizes and crops in that file are not applied: the view of the frame set has the size that the user chose.

    Raises:
        WeightsError: the file is missing, or asks for other than three channels.
    """
    if not (path / PIXELS).is_file():
        raise WeightsError(
            f"{path}: has no {PIXELS}, which says how pixels are normalised; copy it from the same model"
        )
    values = read_json(path / PIXELS)
    unit = 1 / float(values.get("rescale_factor", 1 / 255)) if values.get("do_rescale", True) else 1.0
    if not values.get("do_normalize", True):
        return [0.0] * 3, [unit] * 3
    mean, std = values.get("image_mean"), values.get("image_std")
    if not (isinstance(mean, list) and isinstance(std, list) and len(mean) == len(std) == 3 and min(std) > 0):
        raise WeightsError(
            f"{path / PIXELS}: image_mean is {mean!r} and image_std {std!r}: three numbers each are needed"
        )
    return [value * unit for value in mean], [value * unit for value in std]


def identity(path: Path, revision: str | None) -> str:
    """Digest of the weights, the config, the pixel preparation and the revision: what an embedding depends on."""
    files = [file_digest(file) for file in weight_files(path)]
    config = {key: value for key, value in read_json(path / CONFIG).items() if not key.startswith("_")}
    config.pop("transformers_version", None)
    statistics = pixel_statistics(path)
    return digest(*files, canonical(config), canonical(statistics), revision or "folder")
