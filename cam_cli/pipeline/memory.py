"""Bytes instead of counts: how much memory pictures under way may take, whatever their size."""

from __future__ import annotations

import contextlib
import gc
import threading
from collections.abc import Iterator


class MemoryReservation:
    """Bytes given out to who asks. Who asks for more than there is waits until all the others are back."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._taken = 0
        self._changed = threading.Condition()

    @contextlib.contextmanager
    def reserve(self, size: int) -> Iterator[None]:
        """Hold `size` bytes, as soon as they are there."""
        with self._changed:
            self._changed.wait_for(lambda: not self._taken or self._taken + size <= self._total)
            self._taken += size
        try:
            yield
        finally:
            with self._changed:
                self._taken -= size
                self._changed.notify_all()


class InFlightMemory:
    """The memory of decoded pictures, from the worker that decodes one to the line in the journal.

    Where it is full, nobody begins another picture, but for the one that the loop waits for: it is over by one
    picture per worker at most.
    """

    def __init__(self, total: int) -> None:
        self.total = total
        self._held = 0
        self._turn = 0
        self._closed = False
        self._changed = threading.Condition()

    @property
    def full(self) -> bool:
        return self._held >= self.total

    def wait(self, turn: int) -> None:
        """Return when there is room, or when it is this one's turn."""
        with self._changed:
            self._changed.wait_for(lambda: not self.full or turn <= self._turn or self._closed)

    def await_turn(self, turn: int) -> None:
        """Tell that the loop waits for this one now."""
        with self._changed:
            self._turn = turn
            self._changed.notify_all()

    def take(self, size: int) -> None:
        with self._changed:
            self._held += size
            self._changed.notify_all()

    def give_back(self, size: int) -> None:
        self.take(-size)

    def close(self) -> None:
        """Nobody waits any more."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()


@contextlib.contextmanager
def gc_frozen() -> Iterator[None]:
    """While it is open, the garbage collector leaves alone what is there already.

    The hundred thousands of objects of the libraries and the network live as long as the run; looking through them
    again and again takes some percent of its time.
    """
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()
