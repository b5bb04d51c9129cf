"""A pool of processes that decode and draw. One that crashes, hangs or takes too much memory fails one image only.

Each worker has a pipe of its own and does one thing at a time. When a process ends in the middle of an image, the image
is tried again in a new process: the end may have come from outside, or from an earlier image. A second end fails it.
"""

from __future__ import annotations

import queue
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from ..errors import CamxError
from .worker_process import ProcessEnded, WorkerFailed, WorkerProcess

T = TypeVar("T")

#: Processes that may be killed while they start, one after the other, before the run gives up.
_STARTS = 5


class Workers:
    """A context of `count` worker processes. `call` may come from as many threads at once."""

    def __init__(self, count: int, *, timeout: float = 0.0, memory: int = 0) -> None:
        """`timeout`: seconds for one call; `memory`: bytes that a worker may allocate; 0: no limit."""
        self._timeout = timeout
        # The kernel ends a worker with the thread that has started it, not with the process of that thread. Threads
        # that call come and go; this one stays as long as the pool.
        self._starter = ThreadPoolExecutor(1, "starts workers")

        def start() -> WorkerProcess:
            return self._starter.submit(WorkerProcess, memory).result()

        self._workers = [_Worker(start) for _ in range(count)]
        self._idle: queue.SimpleQueue[_Worker] = queue.SimpleQueue()
        for worker in self._workers:
            self._idle.put(worker)

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, *_: object) -> None:
        """Ends all workers, whatever they are doing: their callers get `WorkerFailed`."""
        for worker in self._workers:
            worker.end()
        # Their callers give them back as soon as they see that end.
        for worker in [self._idle.get() for _ in self._workers]:
            worker.close()
            self._idle.put(worker)
        self._starter.shutdown()

    def call(self, work: Callable[[Any], T], item: object) -> T:
        """The result of `work(item)` in a worker; all three can be pickled.

        Raises `WorkerFailed`; the next call finds a new process. Raises `CamxError` if no process can be started.
        """
        worker = self._idle.get()
        try:
            return worker.call(work, item, self._timeout)
        finally:
            self._idle.put(worker)


class _Worker:
    """A place in the pool: one process at a time, replaced by the next call after it has ended."""

    def __init__(self, start: Callable[[], WorkerProcess]) -> None:
        self._start = start
        self._process = start()
        self._closed = False

    @property
    def pid(self) -> int:
        return self._process.pid

    def call(self, work: Callable[[Any], T], item: object, timeout: float) -> T:
        try:
            return self._ready().call(work, item, timeout)
        except ProcessEnded:
            try:
                return self._ready().call(work, item, timeout)
            except ProcessEnded as error:
                raise WorkerFailed(f"its decoder {error}") from error

    def end(self) -> None:
        """Ends the process; no other one takes its place."""
        self._closed = True
        self._process.end()

    def close(self) -> None:
        """Closes the channel to the process, which has ended."""
        self._process.close()

    def _ready(self) -> WorkerProcess:
        """The process, once it serves. One that is killed while it starts is replaced."""
        code = 0
        for _ in range(_STARTS):
            if self._closed:
                raise WorkerFailed("the run is over")
            if self._process.ended:
                self._replace()
            try:
                self._process.await_start()
                return self._process
            except ProcessEnded as error:
                code = error.code
            if code >= 0 and not self._closed:
                # It has ended by itself, as the next one would.
                break
        raise CamxError(
            f"A process for decoding images could not be started: it {ProcessEnded(code)}. "
            "Try `camx --version` from another folder, or install camx again."
        )

    def _replace(self) -> None:
        self._process.close()
        self._process = self._start()
        if self._closed:
            self._process.end()
