"""Processes that decode and draw: one that crashes, hangs or takes too much memory costs one image, not the run.

Each worker has a pipe of its own and does one thing at a time, so that whatever ends it can only be the image that
it was given. Workers import no torch, begin in a tenth of a second, and end with the process that started them.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import queue
import signal
import subprocess
import sys
from collections.abc import Callable
from math import inf
from typing import Any, TypeVar

from ..errors import CamxError
from ..machine import WORKER_ENVIRONMENT
from .channel import Channel, new_window

T = TypeVar("T")

#: Seconds from the end of a pipe to the end of its process.
_LAST_MOMENTS = 2.0
#: `-I`: neither the working folder nor the environment adds modules; the path is that of the parent.
_BEGIN = f"import sys; sys.path[:] = sys.argv[3:]; from {__name__} import serve; serve(*map(int, sys.argv[1:3]))"
#: In place of a descriptor.
_NONE = -1


class WorkerFailed(Exception):
    """A worker did not do what it was given: it died, took too long, or could not say what came out."""


class Workers:
    """A context of `count` worker processes. `call` may come from as many threads at once."""

    def __init__(self, count: int, *, timeout: float = 0.0, memory: int = 0) -> None:
        """`timeout`: seconds for one call; `memory`: bytes that a worker may allocate; 0: no limit."""
        self._timeout, self._memory = timeout, memory
        self._closed = False
        self._workers = [_Worker(memory) for _ in range(count)]
        self._idle: queue.SimpleQueue[_Worker] = queue.SimpleQueue()
        for worker in self._workers:
            self._idle.put(worker)

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, *_: object) -> None:
        """End all workers, whatever they are doing: their callers get `WorkerFailed`."""
        self._closed = True
        for worker in self._workers:
            worker.end()
        # Their callers give them back as soon as they see that end.
        for worker in [self._idle.get() for _ in self._workers]:
            worker.close()
            self._idle.put(worker)

    def call(self, work: Callable[[Any], T], item: object) -> T:
        """What `work(item)` returns in a worker; all three can be pickled.

        Raises `WorkerFailed`; the next call finds a new worker. Raises `CamxError` if no worker can be started.
        """
        worker = self._idle.get()
        try:
            if self._closed:
                raise WorkerFailed("the run is over")
            if worker.ended:
                worker.close()
                worker = self._replaced(worker)
            return worker.call(work, item, self._timeout)
        finally:
            self._idle.put(worker)

    def _replaced(self, old: _Worker) -> _Worker:
        new = _Worker(self._memory)
        self._workers[self._workers.index(old)] = new
        if self._closed:
            new.end()
        return new


class _Worker:
    """One process and the channel to it."""

    def __init__(self, memory: int) -> None:
        with new_window() as window:
            # A session of its own: Ctrl-C at the terminal is for the run, which ends its workers itself.
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-c", _BEGIN, str(memory), str(_NONE if window is None else window), *sys.path],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env={**os.environ, **WORKER_ENVIRONMENT},
                start_new_session=True,
                pass_fds=() if window is None else (window,),
            )
            requests, replies = self._process.stdin, self._process.stdout
            assert requests is not None
            assert replies is not None
            self._channel = Channel(replies, requests, window)
        self._ready = False
        self.ended = False

    def call(self, work: Callable[[Any], T], item: object, timeout: float) -> T:
        try:
            if not self._ready:
                self._await_start()
            self._channel.send((work, item))
            if 0 < timeout < inf and not self._channel.wait(timeout):
                self.end()
                raise WorkerFailed(f"decoding took more than {timeout:g} s (image_timeout)")
            done, result = self._channel.receive()
        except (EOFError, OSError, pickle.UnpicklingError) as error:
            raise WorkerFailed(f"its decoder {self._ending()}") from error
        if not done:
            raise WorkerFailed(result)
        answer: T = result
        return answer

    def end(self) -> int:
        """Kill the process if it still runs, and return how it ended."""
        self.ended = True
        self._process.kill()
        return self._process.wait()

    def close(self) -> None:
        """Close the channel to an ended process."""
        self._channel.close()

    def _ending(self) -> str:
        """How the process ended, whose pipe has."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_LAST_MOMENTS)
        return in_words(self.end())

    def _await_start(self) -> None:
        try:
            self._channel.receive()
        except EOFError as error:
            raise CamxError(
                f"A process for decoding images could not be started: it {self._ending()}. "
                "Try `camx --version` from another folder, or install camx again."
            ) from error
        self._ready = True


def in_words(code: int) -> str:
    """How a process ended."""
    if code >= 0:
        return f"ended with code {code}"
    with contextlib.suppress(ValueError):
        return f"was ended by {signal.Signals(-code).name}"
    return f"was ended by signal {-code}"


def serve(memory: int, window: int) -> None:
    """The life of a worker process: answer requests on its standard input until that is closed."""
    _die_with_parent()
    _limit_memory(memory)
    channel = Channel(sys.stdin.buffer, os.fdopen(os.dup(1), "wb"), None if window == _NONE else window)
    # The decoders' libraries are imported now, so that the first image does not wait for them.
    from . import picture as picture

    # The end of the parent, or of its interest.
    with contextlib.suppress(EOFError, BrokenPipeError):
        channel.send("ready")
        # What libraries print (libtiff does) is neither a reply nor for the user's terminal.
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, 1)
        os.dup2(null, 2)
        while True:
            work, item = channel.receive()
            channel.send(_reply(work, item))


def _reply(work: Callable[[Any], Any], item: object) -> tuple[bool, Any]:
    try:
        return True, work(item)
    except MemoryError:
        return False, "not enough memory to decode it"
    # Whatever a decoder raises is the image's own failure.
    except Exception as error:
        return False, f"broken image: {type(error).__name__}: {error}"


def _die_with_parent() -> None:
    """Also in the middle of a decoder that never looks at its pipe (Linux)."""
    if sys.platform == "linux":
        import ctypes

        set_death_signal = 1
        ctypes.CDLL(None).prctl(set_death_signal, signal.SIGKILL)


def _limit_memory(limit: int) -> None:
    """More is refused by the system, as a `MemoryError`, before it takes the memory of others."""
    if limit:
        with contextlib.suppress(ImportError, ValueError, OSError):
            import resource

            resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
