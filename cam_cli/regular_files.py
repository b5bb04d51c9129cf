"""Opens files that users or strangers name: only regular ones, and up to a limit of bytes.

Opening a pipe would block, opening a device may have effects, and /dev/zero never ends.
"""

from __future__ import annotations

import errno
import io
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO, TextIO

#: Default limit in bytes of a file that is read as a whole.
MOST_BYTES = 1 << 28
#: Limit of lists and tables (labels, groups, names, boxes): ten million lines of a hundred characters.
TABLE_BYTES = 1 << 30
#: Limit of configurations: TOML and YAML are slow to parse.
CONFIG_BYTES = 1 << 20

_KINDS = (
    (stat.S_ISDIR, "it is a folder"),
    (stat.S_ISFIFO, "it is a pipe, which is never opened; write its content to a file"),
    (stat.S_ISSOCK, "it is a socket, which is never opened"),
    (stat.S_ISCHR, "it is a device, which is never opened"),
    (stat.S_ISBLK, "it is a device, which is never opened"),
)


class NotRegular(OSError):
    """`path` is a folder, pipe, socket, device or broken link instead of a file."""

    def __init__(self, path: str, code: int | None, kind: str) -> None:
        super().__init__(code, kind)
        self.path = path


def require_regular(path: str) -> None:
    """Raises `NotRegular` unless `path` is a regular file, and `OSError` if it does not exist. Follows links."""
    try:
        mode = os.stat(path).st_mode
    except ValueError as error:
        raise OSError(None, f"its name is invalid ({error})") from error
    if not stat.S_ISREG(mode):
        kind = next((what for applies, what in _KINDS if applies(mode)), "it is no regular file")
        raise NotRegular(path, errno.EISDIR if stat.S_ISDIR(mode) else None, kind)


def open_regular(path: str, most: int | None = None) -> BinaryIO:
    """Opens a regular file for reading. Raises `OSError`, also for a folder, pipe, socket or device.

    most: limit in bytes; a larger file raises `OSError` here, and a growing one while it is read.
    """
    require_regular(path)
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOCTTY", 0) | getattr(os, "O_BINARY", 0)
    descriptor = os.open(path, flags)
    try:
        status = os.fstat(descriptor)
        # The name may belong to another file since the check.
        if not stat.S_ISREG(status.st_mode):
            raise OSError(None, "it is no regular file")
        if most is not None and status.st_size > most:
            raise _too_large(most)
        return io.BufferedReader(_Limited(descriptor, most))
    except BaseException:
        os.close(descriptor)
        raise


def read_regular(path: str, most: int = MOST_BYTES) -> bytes:
    """Bytes of a regular file. Raises `OSError`, also for more than `most` bytes."""
    with open_regular(path, most) as file:
        return file.read()


@contextmanager
def open_text(path: str, most: int = TABLE_BYTES, *, errors: str = "surrogateescape") -> Iterator[TextIO]:
    """Opens a regular UTF-8 text file, with line ends unchanged. Raises `OSError` as `open_regular` does."""
    with io.TextIOWrapper(open_regular(path, most), "utf-8-sig", errors, newline="") as file:
        yield file


class _Limited(io.FileIO):
    """A file with a limit on reading, even if it grows meanwhile."""

    def __init__(self, descriptor: int, most: int | None) -> None:
        super().__init__(descriptor, "rb")
        self._most = most
        self._read = 0

    def readinto(self, buffer: Any) -> int:
        return self._counted(super().readinto(buffer))

    def readall(self) -> bytes:
        blocks = list(iter(lambda: self.read(1 << 20), b""))
        return b"".join(blocks)

    def read(self, size: int | None = -1) -> bytes:
        if size is None or size < 0:
            return self.readall()
        data = super().read(size)
        self._counted(None if data is None else len(data))
        return data

    def _counted(self, count: int | None) -> int:
        # Files of /proc are regular, but some block.
        if count is None:
            raise OSError(errno.EAGAIN, "it has no content yet")
        self._read += count
        if self._most is not None and self._read > self._most:
            raise _too_large(self._most)
        return count


def _too_large(most: int) -> OSError:
    return OSError(errno.EFBIG, f"it is larger than {most:,} bytes")
