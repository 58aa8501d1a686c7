"""Kill -9 at random moments of a training run, rerun as documented, compare the weights byte for byte.

    python benchmarks/kill.py [--kills 10] [--seed 0]

Kills hit, in turn, Snakemake itself, the process that it started for the training, and the one that the fork server
forked to train. After each the documented rerun follows (`--unlock`, then `--rerun-incomplete`). Checked every time:
the weights are those of an undisturbed run, and nothing that the killed run started is still alive when the rerun ends.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil
import yaml

from framecast.core.files import file_digest

ROOT = Path(__file__).resolve().parents[1]
SERVER = "framecast.workflow.forkserver"
VICTIMS = ("snakemake", "client", "forked")
TARGET = "results/runs/killed/seed_0/model.safetensors"
OVERLAY = {
    "run": {"experiments": ["killed"], "comparisons": []},
    "settings": {"checkpoint_every": 10},
    "data": {"world": {"source": {"videos": 60}}},
    "budgets": {
        "encoder": {"steps": 20, "evaluate_every": 10},
        "killed": {"steps": 240, "batch": 16, "evaluate_every": 60, "ema": 0.9, "monitor": "mse"},
    },
    "experiments": {"killed": {"task": "next_1", "data": "world", "model": "tmdn", "budget": "killed"}},
}


def snakemake(folder: Path, *options: str) -> list[str]:
    return [sys.executable, "-m", "snakemake", "--cores", "2", "--snakefile", str(ROOT / "Snakefile"),
            "--directory", str(folder), *options, "--configfile", str(folder / "overlay.yaml")]  # fmt: skip


def trainers(folder: Path) -> dict[str, list[psutil.Process]]:
    """Processes that train in this folder: `client`, what Snakemake started; `forked`, where the work is done."""
    found: dict[str, list[psutil.Process]] = {"client": [], "forked": []}
    for process in psutil.process_iter(["cmdline", "cwd"]):
        command = process.info["cmdline"] or [""]
        if process.info["cwd"] != str(folder) or "python" not in Path(command[0]).name:
            continue
        if any("train.py" in part for part in command):
            found["client"].append(process)
        elif SERVER in command and (parent := process.parent()) and SERVER in parent.cmdline():
            found["forked"].append(process)
    return found


def wait_for_training(folder: Path, run: subprocess.Popen[bytes]) -> None:
    while run.poll() is None and not trainers(folder)["forked"]:
        time.sleep(0.05)


def killed_run(folder: Path, number: int, delay: float) -> str:
    """Start the run, kill it after `delay` seconds of training, rerun; returns what was killed."""
    shutil.rmtree(folder / "results" / "runs" / "killed", ignore_errors=True)
    shutil.rmtree(folder / "results" / "work" / "killed", ignore_errors=True)
    run = subprocess.Popen(snakemake(folder, TARGET), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait_for_training(folder, run)
    time.sleep(delay)
    what = VICTIMS[number % len(VICTIMS)]
    for pid in [run.pid] if what == "snakemake" else [process.pid for process in trainers(folder)[what]]:
        os.kill(pid, signal.SIGKILL)
    run.wait()
    subprocess.run(snakemake(folder, "--unlock"), check=True, capture_output=True)
    orphans = {process.pid for processes in trainers(folder).values() for process in processes}
    rerun = subprocess.Popen(snakemake(folder, "--rerun-incomplete", TARGET), stdout=subprocess.DEVNULL,
                             stderr=subprocess.PIPE)  # fmt: skip
    _, errors = rerun.communicate()
    if rerun.returncode:
        raise SystemExit(f"the rerun failed:\n{errors.decode()[-4000:]}")
    alive = [pid for pid in orphans if psutil.pid_exists(pid)]
    if alive:
        raise SystemExit(f"orphans outlived the rerun: {alive}")
    return what


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    random.seed(options.seed)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name).resolve()
        (folder / "overlay.yaml").write_text(yaml.safe_dump(OVERLAY))
        subprocess.run(snakemake(folder, "results/data/world/samples.parquet"), check=True, capture_output=True)
        subprocess.run(snakemake(folder, TARGET), check=True, capture_output=True)
        shutil.rmtree(folder / "results" / "runs" / "killed")
        start = time.monotonic()
        subprocess.run(snakemake(folder, TARGET), check=True, capture_output=True)
        seconds = time.monotonic() - start
        wanted = file_digest(folder / TARGET)
        equal = 0
        for number in range(1, options.kills + 1):
            delay = random.uniform(0, max(1.0, seconds - 4))
            what = killed_run(folder, number, delay)
            same = file_digest(folder / TARGET) == wanted
            equal += same
            print(
                f"kill {number}: {what} after {delay:.1f} s of training: {'same bytes' if same else 'OTHER BYTES'}",
                flush=True,
            )
    print(f"{equal} of {options.kills} reruns gave the same weights, byte for byte")
    sys.exit(equal != options.kills)


if __name__ == "__main__":
    main()
