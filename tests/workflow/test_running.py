"""`make resume` refuses while a Snakemake still runs in the folder, and only then."""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from framecast.workflow import running

ROOT = Path(__file__).resolve().parents[2]
WAITING = """
rule all:
    output: "done"
    shell: "touch started; until test -e go; do sleep 0.1; done; touch done"
"""


@contextlib.contextmanager
def process(folder: Path, name: str, *flags: str) -> Iterator[int]:
    """A live process in `folder` whose program has that name; yields its id."""
    program = folder / name
    program.write_text("import sys, time\nprint('up', flush=True)\ntime.sleep(60)\n")
    command = [sys.executable, str(program), *flags]
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE) as started:
        assert started.stdout is not None and started.stdout.readline() == b"up\n"
        try:
            yield started.pid
        finally:
            started.kill()


def found(folder: Path) -> int | None:
    process = running.find(folder)
    return None if process is None else process.pid


def wait_for(path: Path) -> None:
    deadline = time.monotonic() + 60
    while not path.exists():
        assert time.monotonic() < deadline, f"{path} did not appear"
        time.sleep(0.05)


def test_a_live_snakemake_is_found_in_its_folder_alone_and_a_dead_one_nowhere(tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    with process(tmp_path, "snakemake", "--cores", "2") as pid:
        assert found(tmp_path) == pid
        assert found(other) is None
    assert found(tmp_path) is None


def test_a_folder_behind_a_link_is_the_same_folder(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    with process(tmp_path / "real", "snakemake") as pid:
        assert found(tmp_path / "link") == pid


@pytest.mark.parametrize(
    ("name", "flags"),
    [
        ("other", ["snakemake"]),
        ("snakemake", ["-n"]),
        ("snakemake", ["--cores", "2", "-Fnp"]),
        ("snakemake", ["--dry-run"]),
        ("snakemake", ["--target-jobs", "train:", "--mode", "subprocess"]),
    ],
    ids=["another program", "-n", "-Fnp", "--dry-run", "job"],
)
def test_what_is_no_snakemake_at_work_does_not_block(tmp_path: Path, name: str, flags: list[str]) -> None:
    with process(tmp_path, name, *flags):
        assert found(tmp_path) is None


def test_one_that_is_about_to_change_its_folder_is_found_there(tmp_path: Path) -> None:
    with process(tmp_path, "snakemake", "--directory", "study", "--cores", "2") as pid:
        assert found(tmp_path / "study") == pid


@pytest.mark.parametrize(
    ("flags", "folder"),
    [
        ([], "."),
        (["--configfile", "config/study.yaml", "--directory", "study"], "study"),
        (["--directory=study", "-n"], "study"),
        (["-d", "study", "--config", "light={}"], "study"),
    ],
)
def test_the_folder_is_that_of_the_flags(tmp_path: Path, flags: list[str], folder: str) -> None:
    assert running.directory(flags, tmp_path) == (tmp_path / folder).resolve()


def make_resume(folder: Path) -> subprocess.CompletedProcess[str]:
    """`make resume` of the repository in `folder`, with this environment in place of the one that make builds."""
    command = ["make", "--file", str(ROOT / "Makefile"), "--assume-old", ".venv/ready", "resume", "CORES=1",
               f"RUN={shlex.quote(str(Path(sys.executable).parent))}"]  # fmt: skip
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=120)


def test_make_resume_refuses_while_snakemake_ends_its_jobs_and_goes_on_after_a_kill(tmp_path: Path) -> None:
    (tmp_path / "Snakefile").write_text(WAITING)
    command = [sys.executable, "-m", "snakemake", "--cores", "1"]
    main = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.DEVNULL, start_new_session=True)
    try:
        wait_for(tmp_path / "started")
        main.send_signal(signal.SIGTERM)
        refused = make_resume(tmp_path)
        assert main.poll() is None
        assert refused.returncode != 0
        assert f"process {main.pid}" in refused.stderr and f"kill -9 {main.pid}" in refused.stderr, refused.stderr
        assert "unlock" not in refused.stdout
    finally:
        os.killpg(main.pid, signal.SIGKILL)
        main.wait()
    (tmp_path / "go").touch()
    resumed = make_resume(tmp_path)
    assert resumed.returncode == 0, resumed.stderr
    assert (tmp_path / "done").exists()
