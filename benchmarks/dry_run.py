"""How long Snakemake takes to plan a set of 13,320 videos (the size of UCF-101) at the default shard size.

    python benchmarks/dry_run.py

The videos are empty files in class folders: a dry run lists them and reads none. Bar: 5 s; the first, which checks
config and code as after an edit, 10 s.
"""

from __future__ import annotations

import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[1]
VIDEOS, REPEATS = 13_320, 5


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for number in range(VIDEOS):
            path = folder / "videos" / f"class_{number % 101}" / f"v_{number}_g{number // 101 % 25:02d}_c01.avi"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        overlay = {
            "run": {"experiments": ["gru_ucf"], "comparisons": []},
            "data": {"ucf": {"source": {"kind": "plain", "path": str(folder / "videos")}}},
            "experiments": {"gru_ucf": {"task": "next_1", "data": "ucf", "model": "gru", "budget": "predictor"}},
        }
        (folder / "overlay.yaml").write_text(yaml.safe_dump(overlay))
        snakefile, overlay_file = str(ROOT / "Snakefile"), str(folder / "overlay.yaml")
        command = [sys.executable, "-m", "snakemake", "-n", "--quiet", "all", "--cores", "2"]
        command += ["--snakefile", snakefile, "--directory", name, "--configfile", overlay_file]
        runs = [measured(command) for _ in range(REPEATS + 1)]
    (first, first_cpu), later = runs[0], [wall for wall, _ in runs[1:]]
    later_cpu = statistics.median(cpu for _, cpu in runs[1:])
    spread = f"{min(later):.2f} to {max(later):.2f}, {REPEATS} repeats"
    print(f"{VIDEOS} videos, first (config and code are checked): {first:.2f} s, {first_cpu:.2f} s of CPU; bar 10 s")
    print(f"then: median {statistics.median(later):.2f} s ({spread}), {later_cpu:.2f} s of CPU; bar 5 s")


def measured(command: list[str]) -> tuple[float, float]:
    """Wall seconds of a command, and its CPU seconds, which neighbours on the machine change less."""
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    wall, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


if __name__ == "__main__":
    main()
