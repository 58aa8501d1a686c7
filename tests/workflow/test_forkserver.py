"""Jobs that go on in the fork server: same results, same errors, and nobody outlives those who wait for it."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from framecast.workflow import forkserver

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the fork server is used on Linux alone")

ROOT = Path(__file__).resolve().parents[2]
# The main process stands for Snakemake: jobs find it by its name among their ancestors.
MAIN = """
import os, subprocess, sys
os.environ["FRAMECAST_MAIN"] = str(os.getpid())
status = 0
for script in sys.argv[1:]:
    status = subprocess.run(["bash", "-c", f"'{sys.executable}' '{script}'; exit $?"]).returncode
sys.exit(status)
"""
START = "from framecast.workflow import forkserver\nforkserver.hand_over()\n"
SAY = (
    START
    + """
import json, os, sys
modules = sorted(name for name in ("numpy", "colorsys") if name in sys.modules)
import colorsys, framecast
print(json.dumps({"pid": os.getpid(), "parent": os.getppid(), "folder": os.getcwd(), "modules": modules,
                  "word": os.environ["WORD"], "argv": sys.argv}), flush=True)
"""
)
WAIT = START + "import os, time\nopen('job', 'w').write(str(os.getpid()))\ntime.sleep(60)\n"


def _main(folder: Path, *scripts: str, **options: str) -> subprocess.Popen[str]:
    """Run scripts one after the other below a process named snakemake."""
    (folder / "snakemake").write_text(MAIN)
    names = []
    for number, script in enumerate(scripts):
        names.append(folder / f"job {number}.py")
        names[-1].write_text(script)
    environment = {**os.environ, "WORD": "ünï", "PYTHONPATH": str(ROOT / "src"), **options}
    return subprocess.Popen(
        [sys.executable, str(folder / "snakemake"), *map(str, names)],
        cwd=folder, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def _until(true: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + 60
    while not true():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


def _job(folder: Path) -> psutil.Process:
    _until(lambda: (folder / "job").exists() and (folder / "job").read_text(), "the job did not start")
    return psutil.Process(int((folder / "job").read_text()))


def _server(folder: Path) -> psutil.Process | None:
    for process in psutil.process_iter(["cmdline", "cwd"]):
        if process.info["cwd"] == str(folder) and "framecast.workflow.forkserver" in (process.info["cmdline"] or []):
            return process
    return None


def test_jobs_run_in_the_server_and_find_what_one_before_loaded(tmp_path: Path) -> None:
    main = _main(tmp_path, SAY, START, SAY)
    out, err = main.communicate(timeout=60)
    assert (main.returncode, err) == (0, "")
    first, second = map(json.loads, out.splitlines())
    assert first["parent"] == second["parent"] != main.pid
    assert first["pid"] != second["pid"]
    assert "colorsys" not in first["modules"]
    assert "colorsys" in second["modules"]
    assert {one["word"] for one in (first, second)} == {"ünï"}
    assert {one["folder"] for one in (first, second)} == {str(tmp_path)}
    assert second["argv"] == [str(tmp_path / "job 2.py")]


def test_server_ends_with_its_snakemake_and_leaves_no_socket(tmp_path: Path) -> None:
    main = _main(tmp_path, SAY)
    main.communicate(timeout=60)
    _until(lambda: _server(tmp_path) is None, "the server outlived its Snakemake")
    assert [path.name for path in (tmp_path / "results" / ".framecast").iterdir()] == ["forkserver.log"]


@pytest.mark.parametrize(
    ("script", "status", "words"),
    [
        ("raise ValueError('no such colour: ultraviolet')", 1, "no such colour: ultraviolet"),
        ("import sys; sys.exit(3)", 3, ""),
        ("import sys; sys.exit('out of paper')", 1, "out of paper"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", 137, "the job's process was killed"),
    ],
)
def test_status_and_error_are_the_jobs(tmp_path: Path, script: str, status: int, words: str) -> None:
    main = _main(tmp_path, START + script)
    _, err = main.communicate(timeout=60)
    assert main.returncode == status
    assert words in err


@pytest.mark.parametrize("victim", ["client", "main"])
def test_job_ends_when_those_who_wait_for_it_are_killed(tmp_path: Path, victim: str) -> None:
    main = _main(tmp_path, WAIT)
    job = _job(tmp_path)
    clients = [
        one for one in psutil.Process(main.pid).children(recursive=True) if "job 0.py" in " ".join(one.cmdline())
    ]
    os.kill(clients[-1].pid if victim == "client" else main.pid, signal.SIGKILL)
    job.wait(timeout=30)
    main.communicate(timeout=30)
    _until(lambda: _server(tmp_path) is None, "the server outlived its Snakemake")


def test_interrupt_reaches_the_job(tmp_path: Path) -> None:
    main = _main(tmp_path, WAIT)
    job = _job(tmp_path)
    for process in psutil.Process(main.pid).children(recursive=True):
        if process.name().startswith("python"):
            process.send_signal(signal.SIGTERM)
    job.wait(timeout=30)
    main.communicate(timeout=30)


def test_without_a_server_of_this_snakemake_the_job_runs_itself(tmp_path: Path) -> None:
    script = (
        "from framecast.workflow import forkserver\nforkserver.hand_over()\nimport os\nprint(os.getpid(), os.getppid())"
    )
    main = _main(tmp_path, "import os; os.environ['FRAMECAST_MAIN'] = '1'\n" + script)
    out, err = main.communicate(timeout=60)
    assert (main.returncode, err) == (0, "")
    assert not (tmp_path / "results").exists()
    assert out


def test_each_interpreter_has_a_server_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    own = forkserver._socket_path((1, 2.0))
    monkeypatch.setattr(sys, "executable", "/conda/envs/torch/bin/python")
    assert forkserver._socket_path((1, 2.0)) != own


def test_a_client_that_says_nothing_leaves_no_process_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # a socket's path has at most 107 bytes
    main = _main(tmp_path, WAIT)
    _job(tmp_path)
    server = _server(tmp_path)
    assert server is not None
    (path,) = (tmp_path / "results" / ".framecast").glob("*.sock")
    assert path.stat().st_mode & 0o077 == 0
    before = {child.pid for child in server.children()}
    with socket.socket(socket.AF_UNIX) as silent:
        silent.connect(str(path.relative_to(tmp_path)))
    _until(lambda: {one.pid for one in server.children() if one.status() != psutil.STATUS_ZOMBIE} <= before, "it spins")
    main.kill()
    main.communicate(timeout=30)


def test_where_no_socket_can_be_made_jobs_run_themselves_and_later_ones_do_not_wait(tmp_path: Path) -> None:
    (tmp_path / "results" / ".framecast").mkdir(parents=True)
    broken = "import socket\nsocket.socket.bind = None\n"
    (tmp_path / "sitecustomize.py").write_text(broken)
    main = _main(tmp_path, SAY, SAY, PYTHONPATH=f"{tmp_path}{os.pathsep}{ROOT / 'src'}")
    out, err = main.communicate(timeout=60)
    assert (main.returncode, err) == (0, "")
    assert [json.loads(line)["parent"] for line in out.splitlines()]
    assert [path.suffix for path in (tmp_path / "results" / ".framecast").glob("*.failed")] == [".failed"]
