"""A pool of processes that decode and draw. A crash, hang or excess of memory fails only one image.

Each worker has its own pipe and one task at a time. If a process ends during an image, the image is tried again in a
new process, because the cause may be outside or an earlier image. A second end fails the image.
"""

from __future__ import annotations

import errno
import queue
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from ..errors import CamxError
from ..shortages import advice, is_threads
from .worker_process import ProcessEnded, WorkerFailed, WorkerProcess

T = TypeVar("T")

#: Consecutive failed starts of processes before the run gives up.
_STARTS = 5
#: Seconds before the second attempt to start a refused process; each further delay doubles.
_REST = 0.1
#: Seconds between two checks for processes that are stopped from outside.
_LOOK = 1.0


class Workers:
    """Context manager of `count` worker processes. `count` threads may use `call` at once."""

    def __init__(self, count: int, *, timeout: float = 0.0, memory: int = 0) -> None:
        """timeout: seconds for one call. memory: bytes that a worker may allocate. 0: no limit."""
        self._timeout = timeout
        # The kernel ends a worker with the thread that started it, not with its process. Calling threads come and go,
        # so one thread that lives as long as the pool starts all workers.
        self._starter = ThreadPoolExecutor(1, "starts workers")

        def start() -> WorkerProcess:
            return _started(lambda: self._starter.submit(WorkerProcess, memory).result())

        self._workers: list[_Worker] = []
        self._idle: queue.SimpleQueue[_Worker] = queue.SimpleQueue()
        self._over = threading.Event()
        try:
            for _ in range(count):
                self._workers.append(_Worker(start))
                self._idle.put(self._workers[-1])
            threading.Thread(target=self._watch, name="watches workers", daemon=True).start()
        except BaseException:
            self.__exit__()
            raise

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, *_: object) -> None:
        """Ends all workers immediately. Their callers get `WorkerFailed`."""
        self._over.set()
        for worker in self._workers:
            worker.end()
        # Callers return them as soon as they notice the end.
        for worker in [self._idle.get() for _ in self._workers]:
            worker.close()
            self._idle.put(worker)
        self._starter.shutdown()

    def _watch(self) -> None:
        """Kills processes that stay stopped from outside, whose callers would wait forever."""
        while not self._over.wait(_LOOK):
            for worker in self._workers:
                worker.kill_if_paused()

    def call(self, work: Callable[[Any], T], item: object) -> T:
        """Result of `work(item)` in a worker. All three must be picklable.

        Raises `WorkerFailed`, after which the next call gets a new process, and `CamxError` if no process can be
        started.
        """
        worker = self._idle.get()
        try:
            return worker.call(work, item, self._timeout)
        finally:
            self._idle.put(worker)


def _started(start: Callable[[], WorkerProcess]) -> WorkerProcess:
    """Starts a process, with retries after pauses if the system refuses. Finally raises `CamxError`."""
    for attempt in range(_STARTS):
        try:
            return start()
        except (OSError, RuntimeError) as error:
            refused = error
            if not isinstance(error, OSError) and not is_threads(error):
                raise
        time.sleep(_REST * 2**attempt)
    reason = refused.strerror if isinstance(refused, OSError) else str(refused)
    hint = advice(refused if isinstance(refused, OSError) else OSError(errno.EAGAIN, ""), "Give fewer `workers`.")
    raise CamxError(f"A process for decoding images could not be started: {reason}. {hint}")


class _Worker:
    """A slot of the pool: one process at a time, replaced at the next call after its end."""

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

    def kill_if_paused(self) -> None:
        self._process.kill_if_paused()

    def end(self) -> None:
        """Ends the process without a replacement."""
        self._closed = True
        self._process.end()

    def close(self) -> None:
        """Closes the channel to the ended process."""
        self._process.close()

    def _ready(self) -> WorkerProcess:
        """The process when it serves. Replaces one that is killed during its start."""
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
                # It ended by itself, as the next one would.
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
