"""Messages between two processes: small ones through a pipe, images through shared memory.

A pipe would copy an image in pieces, each into the kernel and out again.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import pickle
import select
from collections.abc import Iterator, Sequence
from typing import IO, Any

import numpy as np

#: Bytes of shared memory: an image of the usual size. Larger messages go through the pipe.
_WINDOW = 2 << 20
#: Longest timeout of the system in milliseconds, about 24 days.
_LONGEST = (1 << 31) - 1
#: Size of the pipes: they hold an image, so that a worker need not wait for its reader. Only on Linux.
_PIPE = 1 << 20


class Channel:
    """One end of a connection whose two sides send in turn."""

    def __init__(self, incoming: IO[bytes], outgoing: IO[bytes], window: int | None) -> None:
        """window: descriptor from `new_window`, the same on both sides; None for pipes alone."""
        self._incoming, self._outgoing = incoming, outgoing
        self._window = None if window is None else mmap.mmap(window, _WINDOW)
        for pipe in (incoming, outgoing):
            _widen(pipe)

    def send(self, message: object) -> None:
        """Sends any object that can be pickled. The memory of its arrays is copied only once."""
        buffers: list[pickle.PickleBuffer] = []
        head = pickle.dumps(message, pickle.HIGHEST_PROTOCOL, buffer_callback=buffers.append)
        blocks = [memoryview(head), *(buffer.raw() for buffer in buffers)]
        sizes = [block.nbytes for block in blocks]
        fits = self._window is not None and sum(sizes) <= _WINDOW
        if fits:
            self._put(blocks)
        pickle.dump((sizes, fits), self._outgoing)
        for block in () if fits else blocks:
            self._outgoing.write(block)
        self._outgoing.flush()

    def receive(self) -> Any:
        """Receives the next message. Raises `EOFError` at the end of the pipe, also in the middle of a message."""
        sizes, fits = pickle.load(self._incoming)
        head, *arrays = self._copied(sizes) if fits else [self._read(size) for size in sizes]
        return pickle.loads(head.data, buffers=arrays)

    def wait(self, seconds: float) -> bool:
        """Whether a message or the end arrives within `seconds`.

        Always True on Windows, which cannot wait for a pipe.
        """
        if not hasattr(select, "poll"):
            return True
        poll = select.poll()
        poll.register(self._incoming, select.POLLIN)
        return bool(poll.poll(min(1000 * seconds, _LONGEST)))

    def close(self) -> None:
        """Closes this end."""
        for pipe in (self._incoming, self._outgoing):
            with contextlib.suppress(BrokenPipeError):
                pipe.close()
        if self._window is not None:
            self._window.close()

    def _put(self, blocks: Sequence[memoryview]) -> None:
        assert self._window is not None
        self._window.seek(0)
        for block in blocks:
            self._window.write(block)

    def _copied(self, sizes: Sequence[int]) -> list[np.ndarray]:
        """Copies the blocks out of the shared memory, which the next message overwrites."""
        assert self._window is not None
        memory, blocks, begin = np.frombuffer(self._window, np.uint8), [], 0
        for size in sizes:
            blocks.append(memory[begin : begin + size].copy())
            begin += size
        return blocks

    def _read(self, size: int) -> np.ndarray:
        block = np.empty(size, np.uint8)
        # A buffered reader; its static type is only that of a file.
        if self._incoming.readinto(block) < size:  # type: ignore[attr-defined]
            raise EOFError
        return block


@contextlib.contextmanager
def new_window() -> Iterator[int | None]:
    """Yields a descriptor of shared memory that the other process inherits; None if the system has no such memory.

    This process maps it while the context is open.
    """
    if not hasattr(os, "memfd_create"):
        yield None
        return
    descriptor = os.memfd_create("camx")
    try:
        yield descriptor if _sized(descriptor) else None
    finally:
        os.close(descriptor)


def _sized(descriptor: int) -> bool:
    """Sets the size of the memory; False if the limit of file sizes (`ulimit -f`) is lower, which applies to it too."""
    try:
        os.truncate(descriptor, _WINDOW)
    except OSError:
        return False
    return True


def _widen(pipe: IO[bytes]) -> None:
    with contextlib.suppress(ImportError, AttributeError, OSError):
        import fcntl

        fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, _PIPE)
