"""What the demo costs: jobs, CPU seconds, start-up and wall time of every rule, in a fresh folder.

    python benchmarks/demo.py [--native] [--neighbour] [--save] [--cores 2] [--targets …] [--configfile …]

CPU seconds (user + system, all processes, finished ones and those that outlived their parent) are the measure: they do
not depend on what else the machine does. A weak CPU without AVX-512, AMX and bf16 arithmetic is emulated by environment
variables, unless `--native`. `start` is what a job spends before its own work: interpreter, Snakemake's preamble and
imports, those inside its work included. The line `Snakemake` is the rest: Snakemake's main process, shells, what
processes spend on ending, and the process that holds loaded libraries for the jobs (`framecast.warm`), whose imports
count as start-up too. `--neighbour` keeps one process busy beside the demo. The run happens twice; the second
one has nothing to do.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import ctypes
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil

from framecast.core import costs

ROOT = Path(__file__).resolve().parents[1]
SAVED = Path(__file__).with_suffix(".json")
WEAK = {"ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2", "MKL_ENABLE_INSTRUCTIONS": "AVX2"}
PR_SET_CHILD_SUBREAPER = 36


def snakemake(folder: Path, args: argparse.Namespace) -> list[str]:
    overlay = ["--configfile", *(str(Path(name).resolve()) for name in args.configfile)] if args.configfile else []
    return [sys.executable, "-m", "snakemake", "--cores", str(args.cores), "--snakefile", str(ROOT / "Snakefile"),
            "--directory", str(folder), *args.targets, *overlay]  # fmt: skip


def adopt_orphans() -> None:
    """Become the parent of processes that outlive theirs (Linux), so that their CPU seconds count."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def wait_for_all(neighbour: int | None) -> None:
    """Wait for every child, adopted ones too, but not for the busy process."""
    while others := [child.pid for child in psutil.Process().children() if child.pid != neighbour]:
        os.waitpid(others[0], 0)


def children() -> float:
    """CPU seconds of all finished children so far."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


@contextlib.contextmanager
def busy(wanted: bool) -> Iterator[int | None]:
    """Yield the id of a process that never rests while the block lasts; it is reaped after the measurement."""
    process = subprocess.Popen([sys.executable, "-c", "while True: pass"]) if wanted else None
    try:
        yield process.pid if process else None
    finally:
        if process:
            process.kill()
            process.wait()


def measured(command: list[str], environment: dict[str, str], neighbour: int | None = None) -> tuple[float, float, int]:
    """CPU seconds, wall seconds and exit status of a command."""
    before, began = children(), time.monotonic()
    status = subprocess.run(command, env={**os.environ, **environment}, cwd=ROOT, check=False).returncode
    wall = time.monotonic() - began
    wait_for_all(neighbour)
    return children() - before, wall, status


def table(lines: list[dict[str, float]], total: float) -> list[tuple[str, int, float, float, float]]:
    """(rule, jobs, CPU seconds, of these start-up, wall seconds) with the most expensive first."""
    rules: dict[str, list[float]] = collections.defaultdict(lambda: [0, 0.0, 0.0, 0.0])
    for line in lines:
        sums = rules[str(line["rule"])]
        sums[0] += 1
        for place, value in enumerate((line["cpu"], line["start"] + line["imports"], line["wall"]), 1):
            sums[place] += value
    rest = total - sum(sums[1] for sums in rules.values())
    rows = [(rule, int(sums[0]), *sums[1:]) for rule, sums in rules.items()]
    return [*sorted(rows, key=lambda row: -row[2]), ("Snakemake", 0, rest, 0.0, 0.0)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--native", action="store_true", help="this CPU as it is")
    parser.add_argument("--neighbour", action="store_true", help="one busy process beside the demo")
    parser.add_argument("--targets", nargs="*", default=[])
    parser.add_argument("--configfile", nargs="*", default=[])
    parser.add_argument(
        "--save", action="store_true", help="write benchmarks/demo.json, which `make demo` estimates by"
    )
    parser.add_argument("--keep", type=Path, help="folder for the results, instead of a temporary one")
    args = parser.parse_args()
    adopt_orphans()
    with tempfile.TemporaryDirectory(prefix="framecast-demo-") as made:
        folder = args.keep or Path(made)
        record = Path(made) / "costs.jsonl"
        environment = {costs.FILE: str(record), **({} if args.native else WEAK)}
        with busy(args.neighbour) as neighbour:
            total, wall, status = measured(snakemake(folder, args), environment, neighbour)
        lines = [json.loads(line) for line in record.read_text().splitlines()]
        again = measured(snakemake(folder, args), environment)
    rows = table(lines, total)
    print(f"\n{'rule':<20}{'jobs':>6}{'CPU s':>10}{'start-up s':>12}{'wall s':>10}")
    for rule, jobs, cpu, start, spent in rows:
        print(f"{rule:<20}{jobs or '':>6}{cpu:>10.1f}{start:>12.1f}{spent:>10.1f}")
    start = sum(row[3] for row in rows)
    print(f"{'sum':<20}{len(lines):>6}{total:>10.1f}{start:>12.1f}{wall:>10.1f}")
    print(
        f"start-up: {100 * start / total:.0f} % of CPU seconds; wall: {wall / 60:.1f} min; second run: {again[1]:.1f} s"
    )
    if args.save:
        saved = {rule: {"jobs": jobs, "cpu_seconds": round(cpu, 1)} for rule, jobs, cpu, _, _ in rows}
        command = "python benchmarks/demo.py --save"
        SAVED.write_text(json.dumps({"command": command, "cores": args.cores, "rules": saved}, indent=1) + "\n")
    slowest = sorted(lines, key=lambda line: -line["cpu"])[:20]
    print("\nmost expensive jobs:")
    for line in slowest:
        print(f"  {line['cpu']:8.1f} s CPU, {line['start'] + line['imports']:5.1f} s start-up: {line['name']}")
    sys.exit(status or again[2])


if __name__ == "__main__":
    main()
