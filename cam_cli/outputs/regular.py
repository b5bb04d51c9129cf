"""Files are opened only if they are regular: a pipe or a device under the name of a result is never waited for."""

from __future__ import annotations

import io
import os
import stat
from typing import BinaryIO

#: Bytes of the largest file that is read as a whole.
_MOST = 1 << 28


def open_regular(path: str) -> BinaryIO:
    """A regular file, opened to be read. Raises `OSError`, also for a folder, a pipe or a device."""
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(None, "it is no regular file")
        return io.BufferedReader(io.FileIO(descriptor, "rb"))
    except BaseException:
        os.close(descriptor)
        raise


def read_regular(path: str) -> bytes:
    """The bytes of a regular file. Raises `OSError`, also for one that is too large to be what it should be."""
    with open_regular(path) as file:
        data = file.read(_MOST + 1)
    if len(data) > _MOST:
        raise OSError(None, f"it is larger than {_MOST:,} bytes")
    return data
