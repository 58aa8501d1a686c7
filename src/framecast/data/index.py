"""Index: one row a video, by decoding each file to its end in a child process under a time limit.

Headers lie, so frames are counted. A file with at least one decoded frame is indexed, as `damaged` where the decoder
complained; a file with none is rejected with the reason. No file can crash or hang the run: a child that dies or takes
too long is replaced, and its file rejected.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import stat
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from framecast.core.files import replacing
from framecast.core.own_files import OwnFolder
from framecast.core.progress import track
from framecast.video.listing import list_videos, printable

WORKER = [sys.executable, "-m", "framecast.data.index_worker"]
SOURCE = Path(__file__).resolve().parents[2]
START_TIMEOUT = 120.0
"""Seconds that the child process may take to import what it needs."""

SCHEMA = pa.schema(
    [
        ("video_id", pa.string()),  # path below the folder, with suffix where it is a file
        ("path", pa.string()),
        ("status", pa.string()),  # ok | damaged | rejected
        ("reason", pa.string()),  # what the decoder complained of, or why there is no frame; empty for ok
        ("digest", pa.string()),  # SHA-256 of the file, or of a frame folder's pictures
        ("container", pa.string()),
        ("codec", pa.string()),
        ("pix_fmt", pa.string()),
        ("width", pa.int32()),  # as shown: square pixels, turned
        ("height", pa.int32()),
        ("coded_width", pa.int32()),
        ("coded_height", pa.int32()),
        ("sar", pa.string()),  # width of a pixel over its height, for example 64/51
        ("rotation", pa.int32()),  # clockwise turn for showing, degrees
        ("fps", pa.float64()),
        ("fps_num", pa.int64()),
        ("fps_den", pa.int64()),
        ("vfr", pa.bool_()),
        ("duration", pa.float64()),  # s, of the decoded frames
        ("header_duration", pa.float64()),  # s, as the header says
        ("start", pa.float64()),  # s, timestamp of the first decoded frame
        ("frames", pa.int64()),  # decoded
        ("header_frames", pa.int64()),  # as the header says
        ("audio", pa.string()),  # codec of the first audio stream
        ("bytes", pa.int64()),
        ("mtime_ns", pa.int64()),
    ]
)
REJECTED = ["path", "reason", "video_id", "bytes"]


def index_bucket(
    root: Path, video_ids: list[str], out: Path, timeout: float, rules: dict[str, Any] | None = None
) -> None:
    """Write one row for every id, in order of the ids, to the Parquet file `out`: the columns of `SCHEMA`.

    root: folder that the ids are relative to. timeout: seconds that reading one video may take. rules: where videos
    are folders of pictures, what such a folder must hold (see `framecast.video.frame_folders.probe`); else empty or
    None.
    """
    rows = []
    with _Decoder(timeout) as decoder:
        for video_id in track(sorted(video_ids), "index", len(video_ids), "video"):
            rows.append(_row(root, video_id, decoder, rules))
    _write(pa.Table.from_pylist(rows, SCHEMA), out)


def merge(parts: list[Path], index: Path, rejected: Path) -> None:
    """Join the buckets: `index` (Parquet) holds what is usable, `rejected` (CSV) the rest, both sorted by video id.

    Raises:
        ValueError: no video is usable. Both tables are written before that.
    """
    tables = [pa.parquet.read_table(part, schema=SCHEMA) for part in parts]
    table = pa.concat_tables(tables or [SCHEMA.empty_table()]).sort_by("video_id")
    bad = pa.compute.equal(table["status"], "rejected")
    good, refused = table.filter(pa.compute.invert(bad)), table.filter(bad).select(REJECTED)
    _write(good, index)
    with replacing(rejected) as temporary:
        pa.csv.write_csv(refused, temporary, pa.csv.WriteOptions(quoting_style="needed"))
    if not good.num_rows:
        first = "; ".join(f"{row['path']}: {row['reason']}" for row in refused.slice(0, 5).to_pylist())
        raise ValueError(
            f"none of {table.num_rows} files gives a frame (see {rejected}). The first: {first or 'there is none'}"
        )


def index_folder(folder: Path, out: Path, timeout: float) -> str:
    """Index a folder of videos into `out/index.parquet` and `out/rejected.csv`; returns a sentence with the counts.

    Raises:
        FileNotFoundError: the folder is missing, or no file in it has a video's suffix.
        ValueError: none of the files gives a frame; the tables are written all the same. `out` holds files that no
            earlier call wrote.
    """
    from framecast.config.base import PlainSource

    own = OwnFolder(out, "index")
    source = PlainSource(kind="plain", path=str(folder)).model_dump()
    video_ids = [video_id for video_id, _, _ in list_videos(source)]
    if not video_ids:
        raise FileNotFoundError(
            f"no file with a video suffix in {str(folder)!r}; suffixes looked for: {' '.join(source['suffixes'])}. "
            "Give the folder that holds the videos, or rename the files"
        )
    index, rejected = out / "index.parquet", out / "rejected.csv"
    own.claim([index.name, rejected.name])
    with tempfile.TemporaryDirectory(prefix="framecast_index_") as work:
        part = Path(work) / "bucket_0.parquet"
        index_bucket(folder, video_ids, part, timeout)
        merge([part], index, rejected)
    status = pa.parquet.read_table(index, columns=["status"])["status"].to_pylist()
    return (
        f"{len(video_ids)} files: {len(status)} in {index} ({status.count('damaged')} of them damaged), "
        f"{len(video_ids) - len(status)} in {rejected}"
    )


def _write(table: pa.Table, path: Path) -> None:
    with replacing(path) as temporary:
        pa.parquet.write_table(table, temporary)


# --- one file --------------------------------------------------------------------------------------------------------


def _row(root: Path, video_id: str, decoder: _Decoder, rules: dict[str, Any] | None) -> dict[str, Any]:
    path = os.path.join(root, video_id)
    row: dict[str, Any] = {"video_id": video_id, "path": printable(path), "status": "rejected", "frames": 0, "bytes": 0}
    try:
        status = os.stat(path)
    except OSError as error:
        return {**row, "reason": _unreachable(path, error)}
    row |= {"bytes": status.st_size, "mtime_ns": status.st_mtime_ns}
    if not rules and (reason := _unreadable(status)):
        return {**row, "reason": reason}
    answer = decoder.read({"folder": path, "video_id": video_id, "rules": rules} if rules else path)
    row |= {name: answer[name] for name in ("digest", "bytes", "mtime_ns") if name in answer}
    if "reason" in answer:
        return {**row, "reason": answer["reason"]}
    return {**row, **_columns(answer["facts"])}


def _unreachable(path: str, error: OSError) -> str:
    if isinstance(error, FileNotFoundError):
        if os.path.islink(path):
            return f"broken link to {printable(os.readlink(path))}"
        folder, name = os.path.split(path)
        with contextlib.suppress(OSError):
            if any(printable(other) == name for other in os.listdir(folder)):
                return "name is not valid UTF-8: rename the file"
        return "vanished between listing and indexing"
    return "permission denied" if isinstance(error, PermissionError) else (error.strerror or str(error)).lower()


def _unreadable(status: os.stat_result) -> str | None:
    if stat.S_ISDIR(status.st_mode):
        return "folder that may not be read: permission denied"
    if not stat.S_ISREG(status.st_mode):
        kind = {stat.S_IFIFO: "a pipe", stat.S_IFSOCK: "a socket"}.get(stat.S_IFMT(status.st_mode), "a device")
        return f"not a regular file ({kind})"
    return None if status.st_size else "zero bytes"


def _columns(facts: dict[str, Any]) -> dict[str, Any]:
    """The index columns of a video that decodes, from `framecast.video.codec.Probe` as the worker sends it."""
    same = ("container", "codec", "pix_fmt", "width", "height", "coded_width", "coded_height", "rotation", "vfr")
    numerator, denominator = facts["fps"]
    return {
        **{name: facts[name] for name in (*same, "start", "frames", "header_frames", "audio")},
        "status": "damaged" if facts["complaints"] else "ok",
        "reason": "; ".join(facts["complaints"]),
        "sar": "{}/{}".format(*facts["sar"]),
        "fps": numerator / denominator,
        "fps_num": numerator,
        "fps_den": denominator,
        "duration": facts["seconds"],
        "header_duration": facts["header_seconds"],
    }


class _Decoder:
    """A child process that reads files; started when needed, killed when it takes too long, replaced when it dies."""

    def __init__(self, timeout: float) -> None:
        self.timeout = timeout
        self.process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> _Decoder:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end(kill=kind is not None)

    def read(self, request: str | dict[str, Any]) -> dict[str, Any]:
        """The worker's answer for one file or frame folder; where it gives none, `{"reason": …}`."""
        if self.process is None:
            self._start()
        answer = b""
        try:
            answer = self._answer(json.dumps(request).encode() + b"\n", self.timeout)
        except TimeoutError:
            self._end(kill=True)
            return {"reason": f"decoding took longer than {self.timeout:g} s"}
        return json.loads(answer) if answer else {"reason": _death(self._end(kill=False))}

    def _start(self) -> None:
        paths = [str(SOURCE), *filter(None, [os.environ.get("PYTHONPATH")])]
        # One thread: numpy's thread pool would count against the worker's memory limit.
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "OPENBLAS_NUM_THREADS": "1"}
        self.process = subprocess.Popen(
            WORKER, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0, env=environment
        )
        if not self._answer(b"", START_TIMEOUT):
            code = self._end(kill=False)
            raise RuntimeError(f"the decoding process does not start ({_death(code)}): {' '.join(WORKER)}")

    def _answer(self, request: bytes, timeout: float) -> bytes:
        """Send a request and collect one line; empty where the process dies, TimeoutError where the time is up."""
        if self.process is None or self.process.stdin is None or self.process.stdout is None:
            raise RuntimeError("there is no decoding process to ask")
        with contextlib.suppress(BrokenPipeError):  # it died before it was asked; its exit status says how
            self.process.stdin.write(request)
        deadline = time.monotonic() + timeout
        answer = b""
        while not answer.endswith(b"\n"):
            if not select.select([self.process.stdout], [], [], max(0.0, deadline - time.monotonic()))[0]:
                raise TimeoutError(f"no answer within {timeout:g} s")
            chunk = os.read(self.process.stdout.fileno(), 2**16)
            if not chunk:
                return b""
            answer += chunk
        return answer

    def _end(self, kill: bool) -> int:
        """Let the process end, or make it, and return its exit status."""
        process, self.process = self.process, None
        if process is None:
            return 0
        with process:  # closes the pipes, which tells an idle worker to end, and waits
            if kill:
                process.kill()
        return process.returncode


def _death(code: int) -> str:
    if code >= 0:
        return f"decoder ended with exit status {code}"
    hint = ", perhaps for lack of memory" if -code == signal.SIGKILL else ""
    return f"decoder crashed (signal {-code}: {signal.Signals(-code).name}{hint})"
