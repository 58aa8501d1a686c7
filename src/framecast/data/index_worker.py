"""The process that reads untrusted video files for `framecast.data.index`.

A decoder may crash or hang on a damaged file; then this process dies or is killed, and the indexing one goes on with a
new one. It reads one JSON value a line from standard input, the path of a file or the arguments of `read_folder`, and
answers with one JSON object a line: `{"digest": …, "facts": {…}}` or `{"digest": …, "reason": …}`.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import logging
import os
import re
import resource
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av

from framecast.core.files import file_digest
from framecast.video import codec, frame_folders

MEMORY = 8 * 2**30
"""Bytes of address space that reading one file may take: a picture of absurd size must not fill the machine."""
ENCRYPTION = re.compile(rb"schm.{4}(cenc|cbc1|cens|cbcs|piff)", re.DOTALL)
SEARCHED = 2**24
"""Bytes at either end of a file that are searched for the mark of encryption."""
TRUNCATED = ("partial file", "File ended prematurely")
MP4_BOXES = (b"ftyp", b"mdat", b"moov", b"free", b"wide", b"skip")
"""What an MP4 or QuickTime file begins with, after four bytes of length."""


class _Messages(logging.Handler):
    """The first different messages of FFmpeg about one file: a bad one may give millions."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.texts: dict[str, None] = {}

    def emit(self, record: logging.LogRecord) -> None:
        if len(self.texts) < codec.MAX_COMPLAINTS:
            library = record.name.removeprefix("libav.").split(",")[0]
            self.texts[f"{library}: {record.getMessage().strip()}"] = None


def main() -> None:
    """Answer until standard input ends."""
    answers = os.fdopen(os.dup(1), "w", encoding="ascii")
    os.dup2(2, 1)  # whatever a library prints must not get between the answers
    _die_with_parent()
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, resource.getrlimit(resource.RLIMIT_AS)[1]))
    av.logging.set_level(av.logging.ERROR)
    av.logging.set_skip_repeated(False)  # it would hold back a message until the next file
    print(json.dumps("ready"), file=answers, flush=True)  # a broken installation must not pass for broken files
    for line in sys.stdin:
        request = json.loads(line)
        answer = read(request) if isinstance(request, str) else read_folder(**request)
        print(json.dumps(answer), file=answers, flush=True)


def read(path: str) -> dict[str, Any]:
    """Digest and facts of one file, or the reason why it gives no frame."""
    digest = None
    with _messages() as messages:
        try:
            digest = file_digest(path)
            facts = codec.probe(path, count=True)
        except Exception as error:  # whatever a file does to a decoder ends as a row of the rejected table
            return {"digest": digest, "reason": _usual(error) or _reason(path, error, list(messages))}
    return {"digest": digest, "facts": _plain(facts, messages)}


def read_folder(folder: str, video_id: str, rules: dict[str, Any]) -> dict[str, Any]:
    """Digest, bytes, newest time (ns) and facts of one folder of pictures, or the reason why it is no video."""
    answer: dict[str, Any] = {}
    with _messages() as messages:
        try:
            answer |= frame_folders.measure(Path(folder))
            facts = frame_folders.probe(Path(folder), video_id, rules)
        except Exception as error:  # as in `read`
            return {**answer, "reason": _folder_reason(folder, error)}
    return {**answer, "facts": _plain(facts, messages)}


def _folder_reason(folder: str, error: Exception) -> str:
    if isinstance(error, codec.VideoError):
        return str(error)
    if isinstance(error, OSError) and error.filename not in (None, folder):
        return f"{os.path.basename(error.filename)} cannot be read: {error.strerror}"
    return _usual(error) or f"{type(error).__name__}: {error}"


@contextlib.contextmanager
def _messages() -> Iterator[dict[str, None]]:
    """Collect what FFmpeg says meanwhile."""
    handler, logger = _Messages(), logging.getLogger("libav")
    logger.propagate = False
    logger.addHandler(handler)
    try:
        yield handler.texts
    finally:
        logger.removeHandler(handler)


def _plain(probe: codec.Probe, messages: dict[str, None]) -> dict[str, Any]:
    """The facts as JSON, with FFmpeg's messages among the complaints."""
    facts = dataclasses.asdict(probe)
    facts["complaints"] = [*dict.fromkeys(facts["complaints"]), *messages][: codec.MAX_COMPLAINTS]
    for name in ("fps", "sar"):
        facts[name] = [facts[name].numerator, facts[name].denominator]
    return facts


def _usual(error: Exception) -> str | None:
    """The reason where it lies with the machine and not with what is in the file."""
    if isinstance(error, FileNotFoundError):
        return "vanished between listing and indexing"
    if isinstance(error, PermissionError):
        return "permission denied"
    if isinstance(error, MemoryError):
        return f"reading it takes more than {MEMORY // 2**30} GiB of memory"
    return None


def _reason(path: str, error: Exception, messages: list[str]) -> str:
    with open(path, "rb") as stream:
        head = stream.read(200)
    if text := _text(head):
        return f"no video: the file holds text, which begins with {text!r}"
    if encryption := _encryption(path):
        return f"encrypted ({encryption}): no frame decodes without the key"
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    if not isinstance(error, codec.VideoError):
        text = f"cannot be opened: {text}" if isinstance(error, av.FFmpegError) else f"{type(error).__name__}: {text}"
    truncated = any(mark in message for message in messages for mark in TRUNCATED)
    truncated |= head[4:8] in MP4_BOXES and any("moov atom not found" in message for message in messages)
    details = f" ({'; '.join(messages[:3])})" if messages else ""
    return f"{'truncated: ' if truncated else ''}{text}{details}"


def _text(head: bytes) -> str | None:
    """The first line of a file that holds text: a failed download, a playlist, subtitles."""
    text = head.decode("utf-8", "ignore")
    if not text.strip() or len(text.encode()) < len(head) - 3 or not all(c.isprintable() or c.isspace() for c in text):
        return None
    return text.split("\n")[0].strip()[:60]


def _encryption(path: str) -> str | None:
    """The protection scheme that an MP4 file declares (ISO 23001-7), if any."""
    with open(path, "rb") as stream:
        head = stream.read(SEARCHED)
        stream.seek(max(len(head), os.fstat(stream.fileno()).st_size - SEARCHED))
        found = ENCRYPTION.search(head) or ENCRYPTION.search(stream.read())
    return found[1].decode() if found else None


def _die_with_parent() -> None:
    """Have the kernel end this process with its parent even while a decoder hangs (elsewhere than Linux: once idle)."""
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


if __name__ == "__main__":
    main()
