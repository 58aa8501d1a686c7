"""CPU seconds of a job: before its own work began, for imports during it, and in all.

Recorded only where the environment names a file (`FRAMECAST_COSTS`), as `benchmarks/demo.py` does: one JSON line a job.
"""

from __future__ import annotations

import builtins
import contextlib
import importlib
import json
import os
import resource
import time
from collections.abc import Iterator
from typing import Any

FILE = "FRAMECAST_COSTS"
"""Environment variable with the path of the file that lines are added to."""


SPENT = "FRAMECAST_SPENT"
"""Environment variable with the CPU seconds that a job's client spent before the fork server went on with the job."""


@contextlib.contextmanager
def recorded(rule: str, name: str) -> Iterator[None]:
    """Add a line on this process when the block ends.

    `start`: CPU seconds up to here: interpreter, Snakemake's preamble, the script's imports. `imports`: CPU seconds of
    imports inside the block. `cpu`: all, finished children included. `wall`: seconds of the block.
    """
    if not os.environ.get(FILE):
        yield
        return
    client = float(os.environ.get(SPENT, 0.0))
    start, began = client + time.process_time(), time.monotonic()
    with _imports_timed() as spent:
        try:
            yield
        finally:
            used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
            cpu = client + sum(one.ru_utime + one.ru_stime for one in used)
            note(rule, name, start=start, imports=spent[0], cpu=cpu, wall=time.monotonic() - began)


def note(rule: str, name: str, **seconds: float) -> None:
    """Add one line to the file, where there is one."""
    if path := os.environ.get(FILE):
        with open(path, "a", encoding="utf-8") as stream:  # one short write: lines of several jobs do not mix
            stream.write(json.dumps({"rule": rule, "name": name, **seconds}) + "\n")


@contextlib.contextmanager
def _imports_timed() -> Iterator[list[float]]:
    """Sum the CPU seconds of the outermost imports in the block into a list of one number."""
    spent, depth = [0.0], [0]

    def timed(load: Any) -> Any:
        def importing(*args: Any, **keys: Any) -> Any:
            depth[0] += 1
            before = time.process_time()
            try:
                return load(*args, **keys)
            finally:
                depth[0] -= 1
                if not depth[0]:
                    spent[0] += time.process_time() - before

        return importing

    originals = builtins.__import__, importlib.import_module
    builtins.__import__, importlib.import_module = (timed(load) for load in originals)
    try:
        yield spent
    finally:
        builtins.__import__, importlib.import_module = originals
