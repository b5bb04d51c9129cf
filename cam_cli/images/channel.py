"""Messages between two processes: small ones go through a pipe, images through memory that both see.

An image crosses a pipe in pieces, and each is copied into the system and out of it again.
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

#: Bytes that both processes see: an image of the usual size. Larger messages go through the pipe.
_WINDOW = 2 << 20
#: Milliseconds that the system can wait, about 24 days.
_LONGEST = (1 << 31) - 1
#: The pipes hold an image, so that a worker needs not wait for its reader (Linux; elsewhere they stay as they are).
_PIPE = 1 << 20


class Channel:
    """One end of a conversation in which the two sides take turns; only one of them speaks at a time."""

    def __init__(self, incoming: IO[bytes], outgoing: IO[bytes], window: int | None) -> None:
        """`window`: a descriptor of `new_window`, the same on both sides, or None for pipes alone."""
        self._incoming, self._outgoing = incoming, outgoing
        self._window = None if window is None else mmap.mmap(window, _WINDOW)
        for pipe in (incoming, outgoing):
            _widen(pipe)

    def send(self, message: object) -> None:
        """Send anything that can be pickled; the memory of its arrays is copied once, as it is."""
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
        """The next message. Raises `EOFError` at the end of the pipe, also in the middle of a message."""
        sizes, fits = pickle.load(self._incoming)
        head, *arrays = self._taken(sizes) if fits else [self._read(size) for size in sizes]
        return pickle.loads(head.data, buffers=arrays)

    def wait(self, seconds: float) -> bool:
        """Whether a message comes, or the end, within so many seconds. Windows cannot wait for a pipe: True there."""
        if not hasattr(select, "poll"):
            return True
        poll = select.poll()
        poll.register(self._incoming, select.POLLIN)
        return bool(poll.poll(min(1000 * seconds, _LONGEST)))

    def close(self) -> None:
        """Close this end."""
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

    def _taken(self, sizes: Sequence[int]) -> list[np.ndarray]:
        """Copies of the blocks in the window, which the next message overwrites."""
        assert self._window is not None
        seen, blocks, begin = np.frombuffer(self._window, np.uint8), [], 0
        for size in sizes:
            blocks.append(seen[begin : begin + size].copy())
            begin += size
        return blocks

    def _read(self, size: int) -> np.ndarray:
        block = np.empty(size, np.uint8)
        # A buffered reader, of which the types know no more than that it is a file.
        if self._incoming.readinto(block) < size:  # type: ignore[attr-defined]
            raise EOFError
        return block


@contextlib.contextmanager
def new_window() -> Iterator[int | None]:
    """A descriptor of memory for both ends, for the other process to inherit and this one to map while the context is
    open; None where the system has no such memory."""
    if not hasattr(os, "memfd_create"):
        yield None
        return
    descriptor = os.memfd_create("camx")
    try:
        yield descriptor if _sized(descriptor) else None
    finally:
        os.close(descriptor)


def _sized(descriptor: int) -> bool:
    """Gives the memory its size; False where a limit of file sizes (`ulimit -f`), which holds for it too, is lower."""
    try:
        os.truncate(descriptor, _WINDOW)
    except OSError:
        return False
    return True


def _widen(pipe: IO[bytes]) -> None:
    with contextlib.suppress(ImportError, AttributeError, OSError):
        import fcntl

        fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, _PIPE)
