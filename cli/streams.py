"""Standard input, output and error of a command: always open, and no word that is lost stops the work."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import select
import sys
from typing import Any, TextIO

#: Seconds that a reader of a non-blocking stream may take before words are lost.
_PATIENCE = 2.0


class LossyFile(io.FileIO):
    """A descriptor that takes every byte. What cannot be written is lost; the first such error is kept."""

    error: OSError | None = None

    def write(self, data: Any, /) -> int:
        """All bytes of `data` are taken."""
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
    """Opens the descriptors 0 to 2 that are closed, so that no file of the run gets one of them, and has all words that
    cannot be written be lost."""
    for descriptor in (0, 1, 2):
        if not _is_open(descriptor):
            # The lowest free one is taken.
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
    if sys.stdin is None:
        sys.stdin = open(0, encoding="utf-8", errors="surrogateescape", closefd=False)  # noqa: SIM115 - it stays open
    sys.stdout = _lossy(1, sys.stdout)
    sys.stderr = _lossy(2, sys.stderr, lines=True)


def lost_output() -> OSError | None:
    """Why data on standard output are lost; None where all were written, or where their reader has gone away."""
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
    """A text stream on a descriptor, with the encoding of the one before."""
    raw = LossyFile(descriptor, "w", closefd=False)
    encoding = getattr(before, "encoding", None) or "utf-8"
    # A character that the encoding lacks is written as an escape.
    return io.TextIOWrapper(
        io.BufferedWriter(raw), encoding, errors="backslashreplace", line_buffering=lines or raw.isatty()
    )
