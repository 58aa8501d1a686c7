"""What an artefact can say about itself: config, code, inputs, seed, versions, git state, machine, time."""

from __future__ import annotations

import datetime
import functools
import importlib.metadata
import platform
import subprocess
from pathlib import Path
from typing import Any

from framecast import __version__
from framecast.core.files import file_digest

PACKAGES = ("accelerate", "av", "h5py", "numpy", "pandas", "scipy", "snakemake", "torch", "transformers", "zarr")


def record(**facts: Any) -> dict[str, Any]:
    """The facts given, with versions, git state, machine and the time of the call (UTC, ISO 8601)."""
    return {
        **facts,
        "framecast": __version__,
        "git": git_state(),
        "versions": versions(),
        "machine": machine(),
        "time": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    }


@functools.cache
def versions() -> dict[str, str]:
    """Installed versions of the packages that numbers depend on; absent ones are left out."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


@functools.cache
def git_state() -> dict[str, Any] | None:
    """Commit and whether tracked files were changed; None outside a checkout or without git."""
    root = Path(__file__).resolve().parents[3]
    try:
        commit = _git(root, "rev-parse", "HEAD")
        return {"commit": commit, "changed": bool(_git(root, "status", "--porcelain", "--untracked-files=no"))}
    except (OSError, subprocess.CalledProcessError):
        return None


def _git(root: Path, *words: str) -> str:
    return subprocess.run(["git", "-C", str(root), *words], check=True, capture_output=True, text=True).stdout.strip()


@functools.cache
def machine() -> dict[str, Any]:
    """System, processor and core count."""
    import psutil

    return {
        "system": f"{platform.system()} {platform.release()}",
        "processor": _processor(),
        "cores": psutil.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
    }


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def digests(paths: list[Path]) -> dict[str, str]:
    """SHA-256 of each input, by its name as given."""
    return {str(path): file_digest(path) for path in paths}
