"""The thin layer under everything that is written: each system call in one place, where a test can make it fail."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterable, Iterator

_BLOCK = 1 << 20


class System:
    """The system calls that output code makes."""

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
        if not os.path.isdir(path):
            os.makedirs(path, exist_ok=True)

    def remove_folder(self, path: str) -> None:
        os.rmdir(path)

    def remove(self, path: str) -> None:
        os.unlink(path)


system = System()

#: How temporary files end; what a killed run has left of them is removed by the next one.
TEMPORARY = ".camx-part"


def write_all(descriptor: int, data: bytes) -> None:
    """Write all bytes, however many calls it takes."""
    rest = memoryview(data)
    while rest:
        rest = rest[system.write(descriptor, bytes(rest)) :]


def write_file(path: str, data: bytes | Iterable[bytes], *, durable: bool = False) -> None:
    """Put a whole file in place at once: under a temporary name in the same folder, then renamed.

    Whoever looks sees the old file or the new one, never a part. `durable` waits for the disk. `data` may come in
    pieces, which are not held in memory together.
    """
    folder = os.path.dirname(path)
    system.make_folder(folder)
    temporary = os.path.join(folder, f".{os.getpid()}-{threading.get_ident()}{TEMPORARY}")
    try:
        _write_new(temporary, data, durable)
        system.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            system.remove(temporary)
        raise


def _write_new(path: str, data: bytes | Iterable[bytes], durable: bool) -> None:
    descriptor = system.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    try:
        for block in (data,) if isinstance(data, bytes) else _blocks(data):
            write_all(descriptor, block)
        if durable:
            system.sync(descriptor)
    finally:
        system.close(descriptor)


def _blocks(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """The pieces joined to blocks of about a megabyte."""
    block = bytearray()
    for piece in pieces:
        block += piece
        if len(block) >= _BLOCK:
            yield bytes(block)
            block.clear()
    yield bytes(block)


def remove_if_there(path: str) -> None:
    """Delete a file; one that is gone already is fine."""
    with contextlib.suppress(FileNotFoundError):
        system.remove(path)
