"""A job whose Snakemake was killed ends by itself; nothing else ends it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from framecast.core import lifeline

JOB = """
import os, sys, time
from pathlib import Path
from framecast.core import lifeline
thread = lifeline.follow()
Path(sys.argv[1]).write_text(f"{os.getpid()} {'watched' if thread else 'free'}")
time.sleep(60)
"""
# As Snakemake does it: the main process starts a shell, the shell starts Python and waits for it.
MAIN = """
import subprocess, sys
subprocess.run(["bash", "-c", f"'{sys.executable}' '{sys.argv[1]}' '{sys.argv[2]}'; true"])
"""


def _start(folder: Path, name: str) -> tuple[subprocess.Popen, psutil.Process, str]:
    """A main process of that name, and its job two levels below."""
    (folder / "job.py").write_text(JOB)
    (folder / name).write_text(MAIN)
    answer = folder / "answer"
    main = subprocess.Popen([sys.executable, folder / name, folder / "job.py", answer], stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 30
    while not (answer.exists() and answer.read_text()):
        assert time.monotonic() < deadline, "the job did not start"
        time.sleep(0.02)
    pid, state = answer.read_text().split()
    return main, psutil.Process(int(pid)), state


def _end(main: subprocess.Popen, job: psutil.Process) -> None:
    for process in [job, *([psutil.Process(main.pid)] if psutil.pid_exists(main.pid) else [])]:
        if process.is_running():
            process.kill()
    main.wait()


@pytest.mark.parametrize("victim", ["snakemake", "shell"])
def test_job_ends_when_snakemake_is_killed(tmp_path: Path, victim: str) -> None:
    main, job, state = _start(tmp_path, "snakemake")
    try:
        assert state == "watched"
        shell = job.parent()
        assert shell is not None
        assert shell.name() == "bash"
        os.kill(main.pid if victim == "snakemake" else shell.pid, signal.SIGKILL)
        job.wait(timeout=60)
    finally:
        _end(main, job)


def test_job_without_snakemake_is_not_watched(tmp_path: Path) -> None:
    main, job, state = _start(tmp_path, "other")
    try:
        assert state == "free"
        main.kill()
        main.wait()
        time.sleep(1.5)
        assert job.is_running()
    finally:
        _end(main, job)


@pytest.mark.parametrize(
    ("words", "is_it"),
    [
        (["snakemake", "--cores", "2"], True),
        (["/env/bin/python3.11", "/env/bin/snakemake", "-c", "2"], True),
        (["python", "-u", "-m", "snakemake", "--target-jobs", "train"], True),
        (["bash", "-c", "snakemake --cores 2"], False),
        (["bash", "-c", "snakemake"], False),
        (["vim", "/home/me/snakemake/Snakefile"], False),
        (["/conda/envs/snakemake/bin/python", "train.py"], False),
        (["python", "train.py", "snakemake"], False),
        ([], False),
    ],
)
def test_what_counts_as_snakemake(words: list[str], is_it: bool) -> None:
    class Process:
        def cmdline(self) -> list[str]:
            return words

    process: Any = Process()
    assert lifeline.is_snakemake(process) == is_it


def test_the_chain_reaches_the_topmost_snakemake(monkeypatch: pytest.MonkeyPatch) -> None:
    class Process:
        def __init__(self, pid: int, *words: str) -> None:
            self.pid, self.words = pid, list(words)

        def cmdline(self) -> list[str]:
            return self.words

        def create_time(self) -> float:
            return self.pid + 0.5

    above = [Process(5, "bash", "-c", "python job.py"), Process(4, "python", "-m", "snakemake"), Process(3, "bash"),
             Process(2, "snakemake", "--cores"), Process(1, "init")]  # fmt: skip

    class Own:
        def parents(self) -> list[Process]:
            return above

    monkeypatch.setattr(psutil, "Process", Own)
    assert lifeline.chain() == [(5, 5.5), (4, 4.5), (3, 3.5), (2, 2.5)]
    above[:] = above[2:3]
    assert lifeline.chain() == []
    assert lifeline.follow() is None
