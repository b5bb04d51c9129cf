"""Runs any tracker in its own thread: the run neither waits for it nor fails with it."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from ..errors import CamxError
from .tracker import RunInfo, Scalar, Step, Tracker, Value

#: Length of the queue to the tracker. While it is full, numbers are dropped.
_WAITING = 1000
#: Advice after an incomplete log.
AGAIN = "The results in the folder are complete: `camx push` logs them again."


@dataclass(frozen=True)
class Timeouts:
    """Timeouts in seconds: for the first answer of a server, for the start of a run, and for the upload at the end."""

    answer: float = 5.0
    start: float = 20.0
    finish: float = 60.0

    @classmethod
    def of_push(cls) -> Timeouts:
        """Timeouts of a command that only logs: W&B's own one for the start, none at the end."""
        return cls(answer=10.0, start=90.0, finish=0.0)


class Background:
    """A tracker behind a bounded queue. `open` creates the real one in the thread, which may take seconds.

    The first error switches tracking off with one warning to `warn`. With `insist` the constructor and `begin` raise
    their errors as `CamxError` instead.
    """

    def __init__(
        self, open: Callable[[], Tracker], name: str, warn: Callable[[str], None], *,  # noqa: A002 - callers give it by this name
        insist: bool = False, timeouts: Timeouts = Timeouts(),
    ) -> None:  # fmt: skip
        self._open, self._name, self._warn, self._insist, self._timeouts = open, name, warn, insist, timeouts
        self._steps: queue.Queue[Callable[[Tracker], None] | None] = queue.Queue(_WAITING)
        self._error: Exception | None = None
        self._begun = False
        self._opened, self._began = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)
        self._thread.start()
        if insist:
            self._require(self._opened)

    def begin(self, info: RunInfo) -> None:
        self._begun = True

        def step(tracker: Tracker) -> None:
            tracker.begin(info)
            self._began.set()

        self._put(step)
        if self._insist:
            self._require(self._began)

    def log(self, values: Mapping[str, Value], at: Step | None = None) -> None:
        def step(tracker: Tracker) -> None:
            if self._error is None:
                tracker.log(values, at)

        self._put(step)

    def finish(self, summary: Mapping[str, Scalar], exit_code: int) -> None:
        """Waits until the tracker has taken everything, or until the timeout."""
        until = time.monotonic() + self._timeouts.finish
        if self._begun:
            self._put(lambda tracker: tracker.finish(summary, exit_code), until)
        self._put(None, until)
        self._thread.join(max(0.0, until - time.monotonic()))
        if self._begun and self._thread.is_alive():
            self._error = TimeoutError()  # later errors of the thread are not reported
            waited = f"{self._timeouts.finish:.0f} s"
            self._warn(f"{self._name} did not accept everything within {waited}, and camx stopped waiting. {AGAIN}")

    def _put(self, step: Callable[[Tracker], None] | None, until: float | None = None) -> None:
        try:
            if until is None:
                self._steps.put_nowait(step)
            elif self._thread.is_alive():
                self._steps.put(step, timeout=max(0.0, until - time.monotonic()))
        except queue.Full:
            pass

    def _require(self, reached: threading.Event) -> None:
        # Twice the timeouts: the tracker has its own, whose errors are more precise.
        reached.wait(2 * (self._timeouts.answer + self._timeouts.start))
        if isinstance(self._error, CamxError):
            raise self._error
        if self._error is not None or not reached.is_set():
            raise CamxError(f"{self._name} cannot be reached: {self._error or 'it does not answer'}. Try again later.")

    def _work(self) -> None:
        try:
            tracker = self._open()
            self._opened.set()
        except Exception as error:
            self._failed(error)
            return
        while (step := self._steps.get()) is not None and self._done(step, tracker):
            pass

    def _done(self, step: Callable[[Tracker], None], tracker: Tracker) -> bool:
        """Runs one step and returns whether to continue. After an error a tracker that has begun is still finished, so
        that it uploads what it holds."""
        began = self._began.is_set()
        try:
            step(tracker)
        # A tracker, its library or its server may raise anything; the run must continue.
        except Exception as error:
            self._failed(error)
            return began
        return True

    def _failed(self, error: Exception) -> None:
        first, raised = self._error is None, self._insist and not self._began.is_set()
        self._error = self._error or error
        if first and not raised:
            self._warn(f"{self._name} is switched off: {str(error).rstrip('.')}. {AGAIN}")
        # Waiting callers look for an error first.
        self._opened.set()
        self._began.set()
