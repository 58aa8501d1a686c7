"""A job ends when its Snakemake does.

`kill -9` of Snakemake's main process leaves the shell and the Python processes of its jobs alive; their parent process
id does not change, because the process between them lives on. So a job watches the whole chain of its ancestors, up to
Snakemake's main process.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from pathlib import PurePath

import psutil

POLL = 1.0
EXIT_CODE = 75
THREAD = "lifeline"

CLIENT = "FRAMECAST_CLIENT"
"""Environment variable of a job that the fork server runs: the process id of the one that Snakemake waits for."""

Mark = tuple[int, float]
"""Process id and start time: together they name one process for good."""


def follow() -> threading.Thread | None:
    """End this process at once (exit code 75) when an ancestor, up to and including the topmost Snakemake, is gone.

    Nothing is watched, and None returned, when the process was not started by Snakemake. What is half written is left
    under its temporary name: outputs are renamed into place only when whole.
    """
    running = next((thread for thread in threading.enumerate() if thread.name == THREAD), None)
    if running is not None:
        return running
    marks = chain()
    if not marks:
        return None
    thread = threading.Thread(target=_watch, args=(marks,), name=THREAD, daemon=True)
    thread.start()
    return thread


def chain() -> list[Mark]:
    """The ancestors of this process up to the topmost Snakemake; empty when there is none."""
    client = os.environ.get(CLIENT)
    ancestors = psutil.Process(int(client)).parents() if client else psutil.Process().parents()
    top = max((index for index, process in enumerate(ancestors) if is_snakemake(process)), default=-1)
    return [(process.pid, process.create_time()) for process in ancestors[: top + 1]]


def is_snakemake(process: psutil.Process) -> bool:
    """Whether the process runs Snakemake: `snakemake …`, `python …/snakemake …` or `python -m snakemake …`.

    A shell that merely has the word in its text is not meant: it may end while Snakemake goes on.
    """
    try:
        words = process.cmdline()
    except psutil.Error:
        return False
    names = [PurePath(word).name for word in words]
    if "snakemake" not in names:
        return False
    options = words[1 : names.index("snakemake")]
    return all(word.startswith("-") and not word.endswith("c") for word in options)


def alive(mark: Mark) -> bool:
    """Whether the process is still the one that it was, and running."""
    pid, started = mark
    try:
        process = psutil.Process(pid)
        return process.create_time() == started and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
    except psutil.AccessDenied:
        return True


def _watch(marks: list[Mark]) -> None:
    while True:
        gone = next((pid for pid, started in marks if not alive((pid, started))), None)
        if gone is not None:
            message = f"framecast: the Snakemake process {gone} that started this job is gone; ending\n"
            os.write(sys.__stderr__.fileno() if sys.__stderr__ else 2, message.encode())
            os._exit(EXIT_CODE)
        time.sleep(POLL)
