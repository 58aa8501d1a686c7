"""What the user sees: one line a job at the console, everything else in the job's log file."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")


def track(items: Iterable[T], title: str, total: int | None = None, unit: str = "it") -> Iterable[T]:
    """Iterate with a progress bar on standard error (in a job: the log file, a line every ten seconds)."""
    from tqdm import tqdm

    interval = 0.2 if sys.stderr.isatty() else 10.0
    return tqdm(items, desc=title, total=total, unit=unit, mininterval=interval, maxinterval=interval, file=sys.stderr)


@contextlib.contextmanager
def logged(log: str | Path, title: str) -> Iterator[None]:
    """Send the output of this process and of its children to `log`; write one line to the console when it ends.

    The file descriptors themselves are redirected, so that child processes and C libraries are caught too.
    """
    Path(log).parent.mkdir(parents=True, exist_ok=True)
    sys.stdout.flush()
    sys.stderr.flush()
    console = os.dup(2)
    target = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    os.dup2(target, 1)
    os.dup2(target, 2)
    start = time.monotonic()
    try:
        yield
    except BaseException as error:
        reason = next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
        reason = "; ".join([reason, *getattr(error, "__notes__", [])])
        _say(console, f"framecast: {title} FAILED after {time.monotonic() - start:.1f} s: {reason}; log: {log}")
        raise
    else:
        _say(console, f"framecast: {title} ({time.monotonic() - start:.1f} s)")
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os.close(target)


def _say(console: int, line: str) -> None:
    os.write(console, (line + "\n").encode("utf-8", "backslashreplace"))
