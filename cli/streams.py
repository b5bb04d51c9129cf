"""Keeps the standard streams of a command open, and ignores errors of their readers."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import select
import sys
from typing import Any, TextIO

#: Seconds to wait for the reader of a non-blocking stream before text is dropped.
_PATIENCE = 2.0


class LossyFile(io.FileIO):
    """A descriptor that accepts every byte. Drops text that cannot be written, and keeps the first error."""

    error: OSError | None = None

    def write(self, data: Any, /) -> int:
        """Writes or drops all bytes of `data`."""
        rest = memoryview(data).cast("B")
        size = rest.nbytes
        try:
            while rest:
                written = super().write(rest)
                if not written and not select.select([], [self.fileno()], [], _PATIENCE)[1]:
                    raise BlockingIOError(errno.EAGAIN, "its reader does not read")
                rest = rest[written or 0 :]
        except OSError as error:
            self.error = self.error or error
        return size


def open_streams() -> None:
    """Opens closed descriptors among 0 to 2, so that no file of the run gets their numbers, and makes the streams drop
    text that cannot be written."""
    for descriptor in (0, 1, 2):
        if not _is_open(descriptor):
            # The system assigns the lowest free number.
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
    if sys.stdin is None:
        sys.stdin = open(0, encoding="utf-8", errors="surrogateescape", closefd=False)  # noqa: SIM115 - it stays open
    sys.stdout = _lossy(1, sys.stdout)
    sys.stderr = _lossy(2, sys.stderr, lines=True)


def lost_output() -> OSError | None:
    """Error that lost data on standard output; None if all was written, or if the reader has closed the pipe."""
    with contextlib.suppress(OSError, ValueError):
        sys.stdout.flush()
    raw = getattr(getattr(sys.stdout, "buffer", None), "raw", None)
    error = raw.error if isinstance(raw, LossyFile) else None
    return None if error is None or error.errno == errno.EPIPE else error


def _is_open(descriptor: int) -> bool:
    try:
        os.fstat(descriptor)
    except OSError:
        return False
    return True


def _lossy(descriptor: int, before: TextIO | None, *, lines: bool = False) -> TextIO:
    """Text stream on a descriptor, with the encoding of the previous one."""
    raw = LossyFile(descriptor, "w", closefd=False)
    encoding = getattr(before, "encoding", None) or "utf-8"
    # Characters outside the encoding are written as escapes.
    return io.TextIOWrapper(
        io.BufferedWriter(raw), encoding, errors="backslashreplace", line_buffering=lines or raw.isatty()
    )
