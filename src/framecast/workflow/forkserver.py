"""One Python that has loaded the large libraries already and forks for each job: a job then need not load them again.

Loading torch, transformers or diffusers costs 2 to 7 CPU seconds, more than most small jobs. So a job that Snakemake
started (the client) asks the run's fork server to go on with its script, and waits:

    Snakemake → shell → client ── its script's path, environment, folder, standard streams ──→ server
                          ↑                                                                     │ fork
                          └────────────── exit status; signals the other way ──────────── forked job

- The first client of a run starts the server; it ends when that Snakemake is gone. It imports nothing of this package,
  so an edit counts at once, and of others only what a job before had to import.
- A forked job ends at once when its client does, and a client without an answer fails: nothing hangs, nothing is lost.
- Only jobs of a Snakemake on this machine take part, on Linux, where no GPU is used; the others, and all with
  `settings: {forkserver: false}`, import for themselves. The results are the same bytes.
"""

from __future__ import annotations

import array
import atexit
import contextlib
import fcntl
import gc
import importlib
import json
import os
import platform
import runpy
import signal
import socket
import subprocess
import sys
import threading
import time
import traceback
from pathlib import Path
from typing import Any, NoReturn

from framecast.core import costs, lifeline
from framecast.core.files import digest

MAIN = "FRAMECAST_MAIN"
"""Environment variable with the process id of the Snakemake that has a fork server."""
CLIENT = lifeline.CLIENT
FOLDER = Path("results/.framecast")
"""Where the server's socket, lock and log lie, in the working folder: short as a path, which sockets need."""
OWN = ("framecast", "__")
"""Modules that the server never loads for others: this package, and what belongs to one script."""
START = 10.0
"""Seconds to wait for a server to come up before the job goes on alone."""
KILLED = 137


def hand_over() -> None:
    """Let the fork server run this job's script and end this process with its exit status.

    Returns where there is nothing to hand over: this is the forked job already, or no server is to be had.
    """
    if CLIENT in os.environ or sys.platform != "linux":
        return
    ancestors = lifeline.chain()
    main = next((mark for mark in ancestors if str(mark[0]) == os.environ.get(MAIN)), None)
    if main is None or (server := _connected(main)) is None:
        return
    lifeline.follow()
    _finish(server)


# --- the client ------------------------------------------------------------------------------------------------------


def _socket_path(main: lifeline.Mark) -> Path:
    """One for each Snakemake and interpreter: with conda, rules run in several environments."""
    return FOLDER / f"forkserver-{digest(platform.node(), repr(main), sys.executable)[:16]}.sock"


def _connected(main: lifeline.Mark) -> socket.socket | None:
    """A connection to the run's server, which is started where there is none; None where that fails."""
    path, server, deadline = _socket_path(main), None, time.monotonic() + START
    failed = path.with_suffix(".failed")
    while time.monotonic() < deadline and not failed.exists():
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        with contextlib.suppress(OSError):
            connection.connect(str(path))
            return connection
        connection.close()
        server = server or _start(main)
        if server.poll():  # such as on a file system without sockets; the next jobs need not try
            failed.touch()
        time.sleep(0.01)
    return None


def _start(main: lifeline.Mark) -> subprocess.Popen[bytes]:
    FOLDER.mkdir(parents=True, exist_ok=True)
    with open(FOLDER / "forkserver.log", "a", encoding="utf-8") as log:
        command = [sys.executable, "-m", "framecast.workflow.forkserver", str(main[0]), repr(main[1])]
        return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)


def _finish(server: socket.socket) -> NoReturn:
    """Send the job, pass signals on to it, end as it does."""
    environment = {**os.environ, costs.SPENT: repr(time.process_time())}
    request = {"script": os.path.abspath(sys.argv[0]), "folder": os.getcwd(), "environment": environment,
               "client": os.getpid(), "umask": _umask()}  # fmt: skip
    streams = array.array("i", [0, 1, 2])
    server.sendmsg([json.dumps(request).encode() + b"\n"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, streams)])
    with server.makefile("r", encoding="utf-8") as answers:
        job = _number(answers.readline())
        if job is not None:
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                signal.signal(number, lambda number, _: os.killpg(job, number))
        status = _number(answers.readline())
    if status is None:
        print("framecast: the job's process was killed (by hand, or the machine is out of memory)", file=sys.stderr)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(KILLED if status is None else status)


def _umask() -> int:
    """This process's mask of file permissions, which can only be read by setting it."""
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def _number(line: str) -> int | None:
    return int(line) if line.strip() else None


# --- the server ------------------------------------------------------------------------------------------------------


def serve(main: lifeline.Mark) -> None:
    """Fork for each connection until the Snakemake `main` is gone; returns in forked processes too, after their job."""
    path, loaded = _socket_path(main), _Loaded(main)
    with open(path.with_suffix(".lock"), "w", encoding="utf-8") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return  # another client's server was faster
        path.unlink(missing_ok=True)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        os.umask(0o077)  # whoever may write to the socket may run code here; a job sets its own mask
        listener.bind(str(path))
        listener.listen(1000)
        listener.settimeout(lifeline.POLL)
        while lifeline.alive(main):
            loaded.follow()
            _reap()
            with contextlib.suppress(TimeoutError):
                connection, _ = listener.accept()
                if os.fork() == 0:
                    lock.close()  # a job that outlives the server must not keep the next one from starting
                    listener.close()
                    _run(connection, loaded)
                connection.close()
    for name in (path, lock.name, loaded.path):
        Path(name).unlink(missing_ok=True)
    used = time.process_time()
    costs.note("fork server", "fork server", start=used, imports=0.0, cpu=used, wall=0.0)


def _reap() -> None:
    """Forget forked jobs that have ended; what became of them is between them and their clients."""
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


class _Loaded:
    """Names of modules that jobs had to load, in a file that jobs add to and the server follows."""

    def __init__(self, main: lifeline.Mark) -> None:
        self.path = _socket_path(main).with_suffix(".modules").resolve()
        self.read = 0

    def add(self, before: set[str]) -> None:
        """In a job: name the modules that were not there `before`."""
        names = [name for name in list(sys.modules) if name not in before and not name.startswith(OWN)]
        if names:
            with open(self.path, "a", encoding="utf-8") as stream:
                fcntl.flock(stream, fcntl.LOCK_EX)
                stream.write("\n".join(names) + "\n")

    def follow(self) -> None:
        """In the server: load what jobs have named since the last look."""
        if not self.path.exists() or self.path.stat().st_size == self.read:
            return
        with open(self.path, encoding="utf-8") as stream:
            stream.seek(self.read)
            names = stream.read().split()
            self.read = stream.tell()
        for name in dict.fromkeys(names):
            with contextlib.suppress(Exception):  # a job that needs it will meet the error itself
                importlib.import_module(name)
        gc.collect()
        gc.freeze()  # pages that the collector does not write to stay shared with the jobs


def _run(connection: socket.socket, loaded: _Loaded) -> NoReturn:
    """In the forked process: become the client's job, run its script, tell the client how it ended."""
    os.setpgid(0, 0)
    request = _received(connection)
    connection.sendall(f"{os.getpid()}\n".encode())
    threading.Thread(target=_end_with, args=(connection,), daemon=True).start()
    os.chdir(request["folder"])
    os.umask(request["umask"])
    os.environ.clear()
    os.environ.update(request["environment"], **{CLIENT: str(request["client"])})
    for name in [name for name in sys.modules if name.split(".")[0] == "framecast"]:
        del sys.modules[name]  # what the server runs may be older than what the job should
    before = set(sys.modules)
    sys.argv = [request["script"]]
    sys.path[0] = os.path.dirname(request["script"])
    status = _ran(request["script"])
    loaded.add(before)
    _leave(connection, status)


def _ran(script: str) -> int:
    """Run a script as Python would; its exit status."""
    try:
        runpy.run_path(script, run_name="__main__")
    except SystemExit as end:
        return _status(end)
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


def _leave(connection: socket.socket, status: int) -> NoReturn:
    """End as Python does, but for taking all modules apart, which costs most small jobs more than their work."""
    for thread in threading.enumerate():
        if not thread.daemon and thread is not threading.current_thread():
            thread.join()
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    connection.sendall(f"{status}\n".encode())
    os._exit(status)


def _status(end: SystemExit) -> int:
    """The exit status of `sys.exit(code)`: a number is one, None is success, a text is printed and is failure."""
    if end.code is None or isinstance(end.code, int):
        return end.code or 0
    print(end.code, file=sys.stderr)
    return 1


def _received(connection: socket.socket) -> dict[str, Any]:
    """The client's request; its standard streams become this process's own."""
    text, streams, _, _ = socket.recv_fds(connection, 1 << 16, 3)
    while not text.endswith(b"\n"):
        more = connection.recv(1 << 16)
        if not more:  # the client is gone before it has said what it wants
            os._exit(KILLED)
        text += more
    for own, given in enumerate(streams):
        os.dup2(given, own)
        os.close(given)
    return json.loads(text)


def _end_with(connection: socket.socket) -> None:
    """End this job and what it started when its client is gone."""
    with contextlib.suppress(OSError):
        connection.recv(1)
    os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    serve((int(sys.argv[1]), float(sys.argv[2])))
