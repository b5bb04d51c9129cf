"""Files that users and strangers name: opened only if they are regular, and read up to a limit of bytes.

A pipe would be waited for, a device may do something when it is opened, and /dev/zero never ends.
"""

from __future__ import annotations

import errno
import io
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO, TextIO

#: Bytes of the largest file that is read as a whole where no other limit is given.
MOST_BYTES = 1 << 28
#: Lists and tables: labels, groups, names, boxes. Ten million lines of a hundred characters.
TABLE_BYTES = 1 << 30
#: Configurations in TOML and YAML, which are read slowly.
CONFIG_BYTES = 1 << 20

_KINDS = (
    (stat.S_ISDIR, "it is a folder"),
    (stat.S_ISFIFO, "it is a pipe, which is never opened; write its content to a file"),
    (stat.S_ISSOCK, "it is a socket, which is never opened"),
    (stat.S_ISCHR, "it is a device, which is never opened"),
    (stat.S_ISBLK, "it is a device, which is never opened"),
)


class NotRegular(OSError):
    """A folder, a pipe, a socket, a device or a link lies at `path`, where a file is wanted."""

    def __init__(self, path: str, code: int | None, kind: str) -> None:
        super().__init__(code, kind)
        self.path = path


def require_regular(path: str) -> None:
    """Raises `NotRegular` for what is no regular file, and `OSError` for what is not there; links are followed."""
    try:
        mode = os.stat(path).st_mode
    except ValueError as error:
        raise OSError(None, f"its name is none ({error})") from error
    if not stat.S_ISREG(mode):
        kind = next((what for applies, what in _KINDS if applies(mode)), "it is no regular file")
        raise NotRegular(path, errno.EISDIR if stat.S_ISDIR(mode) else None, kind)


def open_regular(path: str, most: int | None = None) -> BinaryIO:
    """A regular file, opened to be read. Raises `OSError`, also for a folder, a pipe, a socket or a device.

    With `most`, reading further than so many bytes raises `OSError` too.
    """
    require_regular(path)
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOCTTY", 0) | getattr(os, "O_BINARY", 0)
    descriptor = os.open(path, flags)
    try:
        status = os.fstat(descriptor)
        # Something else may have taken its name since.
        if not stat.S_ISREG(status.st_mode):
            raise OSError(None, "it is no regular file")
        if most is not None and status.st_size > most:
            raise _too_large(most)
        return io.BufferedReader(_Limited(descriptor, most))
    except BaseException:
        os.close(descriptor)
        raise


def read_regular(path: str, most: int = MOST_BYTES) -> bytes:
    """The bytes of a regular file. Raises `OSError`, also for one that is too large to be what it should be."""
    with open_regular(path, most) as file:
        return file.read()


@contextmanager
def open_text(path: str, most: int = TABLE_BYTES, *, errors: str = "surrogateescape") -> Iterator[TextIO]:
    """A regular file of text in UTF-8, with line ends as they are. Raises `OSError` as `open_regular` does."""
    with io.TextIOWrapper(open_regular(path, most), "utf-8-sig", errors, newline="") as file:
        yield file


class _Limited(io.FileIO):
    """A file that is read up to a limit, also where it grows meanwhile."""

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
        # Files of /proc are regular, and some of them wait.
        if count is None:
            raise OSError(errno.EAGAIN, "it has no content yet")
        self._read += count
        if self._most is not None and self._read > self._most:
            raise _too_large(self._most)
        return count


def _too_large(most: int) -> OSError:
    return OSError(errno.EFBIG, f"it is larger than {most:,} bytes")
