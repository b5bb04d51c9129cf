"""Ends a run early after a signal, between two images, so that no finished image is lost."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any


class Dropped(BaseException):
    """Raised to abort work after a signal. Nothing of that work has been written."""


#: SIGHUP: closing a terminal sends it, often twice, so it never counts as a second signal.
_HANGUP = getattr(signal, "SIGHUP", None)


class Stop:
    """Signal handlers for `with Stop() as stop:`. The first SIGINT, SIGTERM or SIGHUP sets `signal`; a second one other
    than SIGHUP exits. An ignored SIGHUP (`nohup`) stays ignored."""

    def __init__(self, limit: float | None = None) -> None:
        """limit: seconds after which the run ends as if by SIGTERM."""
        self.signal: int | None = None
        self.timed_out = False
        self._droppable = False
        self._before: dict[int, Any] = {}
        self._limit = threading.Timer(limit, self._time_out) if limit is not None else None

    def __enter__(self) -> Stop:
        hangup = [_HANGUP] if _HANGUP and signal.getsignal(_HANGUP) != signal.SIG_IGN else []
        for number in (signal.SIGINT, signal.SIGTERM, *hangup):
            self._before[number] = signal.signal(number, self._received)
        if self._limit is not None:
            self._limit.daemon = True
            self._limit.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._limit is not None:
            self._limit.cancel()
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _time_out(self) -> None:
        """Runs in its own thread: the signal interrupts the main thread wherever it waits."""
        if self.signal is None:
            self.timed_out = True
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGTERM)

    def _received(self, number: int, _frame: FrameType | None) -> None:
        if self.signal is not None:
            if number == _HANGUP:
                return
            os._exit(128 + number)
        self.signal = number
        if self._droppable:
            raise Dropped

    @contextmanager
    def droppable(self) -> Iterator[None]:
        """While active, a signal raises `Dropped` in the middle of the work."""
        self._droppable = True
        try:
            if self.signal is not None:
                raise Dropped
            yield
        finally:
            self._droppable = False
