"""Bounds the memory of images in flight in bytes, and spares the garbage collector old objects during a run."""

from __future__ import annotations

import contextlib
import gc
import threading
from collections.abc import Iterator


class MemoryReservation:
    """Reserves bytes of a total. A request above the total waits until it is the only one."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._taken = 0
        self._changed = threading.Condition()

    @contextlib.contextmanager
    def reserve(self, size: int) -> Iterator[None]:
        """Context that holds `size` bytes. Waits until they are free."""
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
    """Counts bytes of decoded images, from decoding until the line in the journal.

    At `total` no further image is decoded, except the one that the loop waits for. So the total is exceeded by at most
    one image per worker.
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
        """Waits until memory is free, or the loop waits for the image with this turn."""
        with self._changed:
            self._changed.wait_for(lambda: not self.full or turn <= self._turn or self._closed)

    def await_turn(self, turn: int) -> None:
        """Allows the decoding of the image with this turn, for which the loop waits."""
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
        """Ends all waits."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()


@contextlib.contextmanager
def gc_frozen() -> Iterator[None]:
    """While active, the garbage collector skips objects that already exist.

    Libraries and network have some hundred thousand objects that live as long as the run; scanning them repeatedly
    would take some percent of its time.
    """
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()
