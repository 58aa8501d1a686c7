"""One writer a run, one job a GPU: advisory file locks that the system frees when the holder dies, however it dies."""

from __future__ import annotations

import contextlib
import fcntl
import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

# A process whose Snakemake died ends in about a second, its loader processes in about five (framecast.core.lifeline).
WAIT = 30.0
POLL = 0.2


@contextlib.contextmanager
def hold(path: Path, what: str, wait: float | None = None) -> Iterator[None]:
    """Hold the lock file `path` (made if absent, never removed) for the length of the block.

    Args:
        what: What is locked, for the error.
        wait: Seconds to wait for another holder; the default covers an orphan that is about to end.

    Raises:
        RuntimeError: another process still holds it; the text names its pid.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    deadline = time.monotonic() + (WAIT if wait is None else wait)
    with open(path, "a+", encoding="utf-8") as stream:
        while not _taken(stream):
            if time.monotonic() >= deadline:
                stream.seek(0)
                holder = stream.read().strip() or "unknown"
                raise RuntimeError(
                    f"{what} is being written by process {holder} (lock {path}); "
                    f"let it finish, or end it: kill {holder}"
                )
            time.sleep(POLL)
        yield


def _taken(stream: IO[str]) -> bool:
    """Take the lock if it is free, and leave our process id in the file for those who find it taken."""
    try:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    stream.truncate(0)
    stream.write(f"{os.getpid()}\n")
    stream.flush()
    return True


@contextlib.contextmanager
def gpu_slot(device: str) -> Iterator[str]:
    """Wait for a CUDA device that no other job of ours uses; yield it, as `cuda:<index>`, locked until the block ends.

    Snakemake hands out no devices: without this, jobs that run at the same time would all land on device 0. Other
    devices, and processes that a launcher has already given a device, pass through.
    """
    if device != "cuda" or "LOCAL_RANK" in os.environ:
        yield device
        return
    slots = _slots()
    said = False
    with contextlib.ExitStack() as stack:
        streams = {name: stack.enter_context(open(path, "a+", encoding="utf-8")) for name, path in slots.items()}
        while True:
            free = next((name for name, stream in streams.items() if _taken(stream)), None)
            if free is not None:
                break
            if not said:
                print(f"all {len(slots)} GPUs are in use by other jobs; waiting for one", flush=True)
                said = True
            time.sleep(POLL)
        yield free


def _slots() -> dict[str, Path]:
    """CUDA device → lock file. The file is named by the device's UUID, which CUDA_VISIBLE_DEVICES does not renumber."""
    import torch

    folder = Path(tempfile.gettempdir()) / f"framecast-gpu-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    return {
        f"cuda:{index}": folder / f"{torch.cuda.get_device_properties(index).uuid}.lock"
        for index in range(torch.cuda.device_count())
    }
