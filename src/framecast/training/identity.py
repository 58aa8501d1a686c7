"""What makes a run the same run: its resolved experiment and code, its inputs, and the arithmetic."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from framecast.core.files import canonical, digest, file_digest, read_json
from framecast.core.needs import Needs
from framecast.stores import Stores
from framecast.weights import hub

# Larger files are known by size, time of change and samples of their content: reading a data set's frames again for
# every run would take longer than many runs.
WHOLE = 64 * 2**20
PIECE = 2**16
PIECES = 32


def inputs(stores: Stores, needs: Needs) -> dict[str, str]:
    """Digest of each store that a task reads, by its place in the layout, not its path on this machine.

    Args:
        needs: What the task's `needs` returned.
    """
    paths = {"samples": stores.samples}
    for frame_set in sorted({frame_set for frame_set, _ in needs.frames}):
        paths |= {f"frames/{frame_set}/{path.name}": path for path in stores.frames[frame_set]}
    for encoder in sorted(needs.embeddings):
        paths |= {f"embeddings/{encoder}/{path.name}": path for path in stores.embeddings[encoder]}
    paths |= {f"prompts/{name}": stores.prompts[name] for name in sorted(needs.prompts)}
    if needs.masks:
        paths |= {f"masks/{number}": path for number, path in enumerate(stores.masks)}
    if needs.labels:
        paths |= {f"labels/{number}": path / "states.parquet" for number, path in enumerate(stores.labels)}
    for experiment, files in sorted(stores.predictions.items()):
        paths |= {f"predictions/{experiment}/{split}": path for split, path in sorted(files.items())}
    return {name: content(path) for name, path in paths.items()}


def pretrained(spec: dict[str, Any]) -> dict[str, str]:
    """Digest of each local folder in the hub's format that the task or the model names."""
    folders = hub.local_folders({part: spec[part] for part in ("task", "model")})
    return {f"pretrained/{number}": content(Path(folder)) for number, folder in enumerate(folders)}


def content(path: Path) -> str:
    """Digest of a file's content, or of a folder's names and contents; of big files as said above."""
    if (path / "store.json").is_file():  # a frame store says what it holds
        return read_json(path / "store.json")["identity"]
    if path.is_dir():
        files = sorted(file for file in path.rglob("*") if file.is_file())
        return digest(*(part for file in files for part in (file.relative_to(path).as_posix(), content(file))))
    stat = path.stat()
    if stat.st_size <= WHOLE:
        return file_digest(path)
    pieces = []
    with open(path, "rb") as stream:
        for index in range(PIECES):
            stream.seek(index * (stat.st_size - PIECE) // (PIECES - 1))
            pieces.append(stream.read(PIECE))
    return digest(str(stat.st_size), str(stat.st_mtime_ns), *pieces)


def describe(
    spec: dict[str, Any], inputs: dict[str, str], parent: Path | None, rate: float | None, processes: int
) -> dict[str, Any]:
    """The identity of a run as JSON: equal identities end with equal weights (on a CPU, byte for byte).

    Args:
        spec: The resolved experiment; of `precision: auto`, what the device chose.
        parent: Weights the run starts from.
        rate: Tuned learning rate that replaces the budget's.
        processes: Processes that train together; their batches add up.
    """
    import torch

    return {
        "spec": spec,
        "inputs": inputs,
        "parent": file_digest(parent) if parent else None,
        "learning_rate": rate,
        "torch": torch.__version__,
        "threads": spec["budget"].get("threads", 1),
        "precision": spec["budget"].get("precision", "float32"),
        "processes": processes,
    }


def digest_of(identity: dict[str, Any]) -> str:
    """64 hexadecimal digits; the work folder carries the first 24."""
    return digest(canonical(identity))
