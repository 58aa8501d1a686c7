"""Whether a Snakemake still runs in a folder: `make resume` asks before it unlocks the folder.

    python -m framecast.workflow.running --directory study      the flags of the run that is to go on

After Ctrl-C or SIGTERM, Snakemake goes on until its running jobs have ended, and its own lock files name no process. So
the live processes are searched, not a file: a process id that was given to another program since misleads nobody.
"""

from __future__ import annotations

import argparse
import re
import sys
import time
from pathlib import Path

import psutil

from framecast.core.lifeline import is_snakemake

DRY_RUN = re.compile(r"--dry-?run|-[fFknpt]*n[fFknpt]*")
"""A word of a command line that asks for a dry run, alone or among short flags: it writes nothing."""


def main(flags: list[str]) -> int:
    """Exit status 1, with a sentence on standard error, where a Snakemake runs in the folder that `flags` name."""
    folder = directory(flags, Path.cwd())
    process = find(folder)
    if process is None:
        return 0
    since = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(process.create_time()))
    print(
        f"framecast: Snakemake still runs in {folder}: process {process.pid}, since {since}. After Ctrl-C or SIGTERM "
        "it goes on until its running jobs have ended.\n"
        f"Wait until it has ended, or end it and its jobs now: kill -9 {process.pid} (training continues from its "
        "last checkpoint). Then give the command again.",
        file=sys.stderr,
    )
    return 1


def find(folder: Path) -> psutil.Process | None:
    """A live main process of Snakemake that works in `folder`; dry runs and the processes of jobs are none.

    Jobs whose main process was killed end by themselves (`framecast.core.lifeline`).
    """
    return next((process for process in psutil.process_iter() if _works_in(process, folder.resolve())), None)


def directory(words: list[str], start: Path) -> Path:
    """The working folder of a Snakemake that was started in `start` with these command-line words."""
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("-d", "--directory", type=Path, default=Path())
    return (start / parser.parse_known_args(words)[0].directory).resolve()


def _works_in(process: psutil.Process, folder: Path) -> bool:
    """Snakemake changes to its `--directory` while it starts, so the folder before that counts as well."""
    try:
        if not is_snakemake(process):
            return False
        words, current = process.cmdline(), Path(process.cwd())
    except psutil.Error:  # it has ended meanwhile, or belongs to somebody else
        return False
    if "--mode" in words or any(DRY_RUN.fullmatch(word) for word in words):
        return False
    return folder in (current, directory(words, current))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
