"""The process that reads untrusted video files for `framecast.index`.

A decoder may crash or hang on a damaged file; then this process dies or is killed, and the indexing one goes on with a
new one. It reads one JSON string a line, a path, from standard input and answers with one JSON object a line:
`{"digest": …, "facts": {…}}` or `{"digest": …, "reason": …}`.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import re
import resource
import signal
import sys
from typing import Any

import av

from framecast import video
from framecast.files import file_digest

MEMORY = 8 * 2**30
"""Bytes of address space that reading one file may take: a picture of absurd size must not fill the machine."""
ENCRYPTION = re.compile(rb"schm.{4}(cenc|cbc1|cens|cbcs|piff)", re.DOTALL)
SEARCHED = 2**24
"""Bytes at either end of a file that are searched for the mark of encryption."""
TRUNCATED = ("moov atom not found", "partial file", "Truncat", "File ended prematurely")


def main() -> None:
    """Answer until standard input ends."""
    answers = os.fdopen(os.dup(1), "w", encoding="ascii")
    os.dup2(2, 1)  # whatever a library prints must not get between the answers
    _die_with_parent()
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, resource.getrlimit(resource.RLIMIT_AS)[1]))
    av.logging.set_level(av.logging.ERROR)
    for line in sys.stdin:
        print(json.dumps(read(json.loads(line))), file=answers, flush=True)


def read(path: str) -> dict[str, Any]:
    """Digest and facts of one file, or the reason why it gives no frame."""
    digest = None
    with av.logging.Capture(local=False) as records:
        try:
            digest = file_digest(path)
            facts = dataclasses.asdict(video.probe(path, count=True))
        except Exception as error:  # whatever a file does to a decoder ends as a row of the rejected table
            return {"digest": digest, "reason": _reason(path, error, _messages(records))}
    facts["complaints"] = _unique([*facts["complaints"], *_messages(records)])
    for name in ("fps", "sar"):
        facts[name] = [facts[name].numerator, facts[name].denominator]
    return {"digest": digest, "facts": facts}


def _messages(records: list[tuple[int, str, str]]) -> list[str]:
    return _unique(
        [f"{name.split(',')[0]}: {text.strip()}" for level, name, text in records if level <= av.logging.ERROR]
    )


def _unique(texts: list[str]) -> list[str]:
    return list(dict.fromkeys(texts))[: video.MAX_COMPLAINTS]


def _reason(path: str, error: Exception, messages: list[str]) -> str:
    if isinstance(error, FileNotFoundError):
        return "vanished between listing and indexing"
    if isinstance(error, PermissionError):
        return "permission denied"
    if isinstance(error, MemoryError):
        return f"reading it takes more than {MEMORY // 2**30} GiB of memory"
    if encryption := _encryption(path):
        return f"encrypted ({encryption}): no frame decodes without the key"
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    if not isinstance(error, video.VideoError):
        text = f"cannot be opened: {text}" if isinstance(error, av.FFmpegError) else f"{type(error).__name__}: {text}"
    truncated = any(mark in message for message in messages for mark in TRUNCATED)
    details = f" ({'; '.join(messages[:3])})" if messages else ""
    return f"{'truncated: ' if truncated else ''}{text}{details}"


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
