"""Runs any tracker in a thread of its own: a run neither waits for it nor fails with it."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from ..errors import CamxError
from .tracker import RunInfo, Scalar, Step, Tracker, Value

#: What may wait for the tracker; numbers that come when so much is waiting are left out.
_WAITING = 1000
#: What remains to be done where not everything was logged.
AGAIN = "The results are whole; `camx push` logs them again."


@dataclass(frozen=True)
class Patience:
    """Seconds: for a server to answer at all, for a run to begin there, and for all to be handed over at the end."""

    answer: float = 5.0
    start: float = 20.0
    finish: float = 60.0

    @classmethod
    def without_end(cls) -> Patience:
        """Patience of a command that only logs: W&B's own time for starting, no limit at the end."""
        return cls(answer=10.0, start=90.0, finish=0.0)


class Background:
    """A tracker behind a bounded queue. `open` makes the real one, which may take seconds; it is called at once.

    The first error switches tracking off with one warning to `warn`. With `insist` the errors of opening and of
    beginning are raised instead, by the constructor and by `begin`, as `CamxError`.
    """

    def __init__(
        self, open: Callable[[], Tracker], name: str, warn: Callable[[str], None], *,  # noqa: A002 - callers give it by this name
        insist: bool = False, patience: Patience = Patience(),
    ) -> None:  # fmt: skip
        self._open, self._name, self._warn, self._insist, self._patience = open, name, warn, insist, patience
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
        """Waits until all is handed over, or as long as the patience lasts."""
        until = time.monotonic() + self._patience.finish
        if self._begun:
            self._put(lambda tracker: tracker.finish(summary, exit_code), until)
        self._put(None, until)
        self._thread.join(max(0.0, until - time.monotonic()))
        if self._begun and self._thread.is_alive():
            self._error = TimeoutError()  # nothing that it still says is of interest
            waited = f"{self._patience.finish:.0f} s"
            self._warn(f"{self._name} did not take everything within {waited} and is left behind. {AGAIN}")

    def _put(self, step: Callable[[Tracker], None] | None, until: float | None = None) -> None:
        try:
            if until is None:
                self._steps.put_nowait(step)
            elif self._thread.is_alive():
                self._steps.put(step, timeout=max(0.0, until - time.monotonic()))
        except queue.Full:
            pass

    def _require(self, reached: threading.Event) -> None:
        # Twice the patience: what is waited for has limits of its own, which tell more.
        reached.wait(2 * (self._patience.answer + self._patience.start))
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
        """Takes one step; returns whether to go on. After an error, a tracker that has begun is still finished, so that
        it hands on what it has."""
        began = self._began.is_set()
        try:
            step(tracker)
        # Whatever a tracker, its library or its server comes up with, the run is not its business.
        except Exception as error:
            self._failed(error)
            return began
        return True

    def _failed(self, error: Exception) -> None:
        first, raised = self._error is None, self._insist and not self._began.is_set()
        self._error = self._error or error
        if first and not raised:
            self._warn(f"{self._name} is switched off: {str(error).rstrip('.')}. {AGAIN}")
        # Whoever waits for one of these looks for an error first.
        self._opened.set()
        self._began.set()
