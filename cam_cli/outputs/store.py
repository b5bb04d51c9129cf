"""Writes files atomically. Every system call is a method of `System`, so that tests can make it fail."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterable, Iterator

_BLOCK = 1 << 20


class System:
    """System calls of output code."""

    def open(self, path: str, flags: int) -> int:
        return os.open(path, flags | getattr(os, "O_BINARY", 0), 0o644)

    def write(self, descriptor: int, data: bytes) -> int:
        return os.write(descriptor, data)

    def sync(self, descriptor: int) -> None:
        os.fsync(descriptor)

    def close(self, descriptor: int) -> None:
        os.close(descriptor)

    def replace(self, source: str, target: str) -> None:
        os.replace(source, target)

    def truncate(self, descriptor: int, length: int) -> None:
        os.ftruncate(descriptor, length)

    def make_folder(self, path: str) -> None:
        if "\0" in path:
            raise OSError(errno.EINVAL, "its name has a NUL")
        missing = []
        while path and not os.path.isdir(path):
            missing.append(path)
            path = os.path.dirname(path)
        # Not `os.makedirs`, which is recursive: a key may have a thousand folders.
        for one in reversed(missing):
            with contextlib.suppress(FileExistsError):
                os.mkdir(one)
        if missing and not os.path.isdir(missing[0]):
            raise FileExistsError(errno.EEXIST, "it is no folder", missing[0])

    def remove_folder(self, path: str) -> None:
        os.rmdir(path)

    def remove(self, path: str) -> None:
        os.unlink(path)


system = System()

#: Suffix of temporary files. A run removes those of a killed one.
TEMPORARY = ".camx-part"


def write_all(descriptor: int, data: bytes) -> None:
    """Writes all bytes, with several calls if necessary."""
    rest = memoryview(data)
    while rest:
        rest = rest[system.write(descriptor, bytes(rest)) :]


class Outside(OSError):
    """A path leads out of its folder, by its name or through a link."""

    def __init__(self, path: str, folder: str) -> None:
        super().__init__(None, f"{path!r} leads out of {folder!r}")


def require_below(path: str, folder: str) -> None:
    """Raises `Outside` unless `path` lies below `folder` by its name, and no folder on the way is a link.

    `folder` itself may be a link: the user chose it.
    """
    inside = os.path.relpath(path, folder)
    parts = inside.split(os.sep)
    if os.path.isabs(inside) or os.pardir in parts or inside == os.curdir:
        raise Outside(path, folder)
    here = folder
    for part in parts[:-1]:
        here = os.path.join(here, part)
        if os.path.islink(here):
            raise Outside(path, folder)


def write_file(path: str, data: bytes | Iterable[bytes], *, durable: bool = False, below: str | None = None) -> None:
    """Writes a file atomically: under a temporary name in the same folder, then renamed.

    Readers see the old file or the new one, never a part. Replaces a link of that name, never follows it. durable:
    waits for the disk. data: may be an iterator of pieces, to bound memory. below: raises `Outside`, before any change,
    for a path outside this folder.
    """
    if below is not None:
        require_below(path, below)
    folder = os.path.dirname(path)
    system.make_folder(folder)
    temporary = os.path.join(folder, f".{os.getpid()}-{os.urandom(6).hex()}{TEMPORARY}")
    try:
        _write_new(temporary, data, durable)
        system.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            system.remove(temporary)
        raise


def _write_new(path: str, data: bytes | Iterable[bytes], durable: bool) -> None:
    descriptor = system.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0))
    try:
        for block in (data,) if isinstance(data, bytes) else _blocks(data):
            write_all(descriptor, block)
        if durable:
            system.sync(descriptor)
    finally:
        system.close(descriptor)


def _blocks(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Joins pieces to blocks of about a megabyte."""
    block = bytearray()
    for piece in pieces:
        block += piece
        if len(block) >= _BLOCK:
            yield bytes(block)
            block.clear()
    yield bytes(block)


def remove_if_there(path: str) -> None:
    """Deletes a file, if it exists."""
    with contextlib.suppress(FileNotFoundError):
        system.remove(path)
