"""A worker process: started and called by the run, serving until its pipe closes.

Workers import no torch, start in a tenth of a second, and end with their parent.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from math import inf
from typing import Any, TypeVar

from ..machine import WORKER_ENVIRONMENT
from .channel import Channel, new_window

T = TypeVar("T")

#: Seconds between the end of the pipe and the end of the process.
_LAST_MOMENTS = 2.0
#: Seconds before a process that is stopped from outside is killed.
_PAUSE = 10.0
#: Seconds between two checks of the clock while waiting for a reply.
_LOOK = 1.0
#: `-I`: neither the working folder nor the environment adds modules. The module path is that of the parent.
_BEGIN = f"import sys; sys.path[:] = sys.argv[3:]; from {__name__} import serve; serve(*map(int, sys.argv[1:3]))"
#: Value for no descriptor.
_NONE = -1


class WorkerFailed(Exception):
    """The worker gave no result: its process ended, took too long, or raised an exception."""


class ProcessEnded(Exception):
    """The process has ended. code: its exit code, or minus the number of the signal.

    paused: whether it was killed because it had been stopped from outside.
    """

    def __init__(self, code: int, *, paused: bool = False) -> None:
        super().__init__("was stopped from outside (SIGSTOP)" if paused else exit_description(code))
        self.code = code


class WorkerProcess:
    """A process and its channel. Not thread-safe."""

    def __init__(self, memory: int) -> None:
        """memory: bytes that it may allocate; 0 for no limit. Raises `OSError` if the system starts no process.

        On Linux the kernel ends the process with the thread that calls this.
        """
        with new_window() as window:
            # In its own session, so that Ctrl-C reaches only the run, which ends its workers.
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
            try:
                self._channel = Channel(replies, requests, window)
            except OSError:
                self._process.kill()
                self._process.communicate()
                raise
        self.pid = self._process.pid
        self.ended = False
        self._ready = False
        self._paused_since: float | None = None
        self._was_paused = False

    def await_start(self) -> None:
        """Waits until it serves. Raises `ProcessEnded`."""
        if not self._ready:
            try:
                self._channel.receive()
            except (EOFError, OSError, pickle.UnpicklingError) as error:
                raise ProcessEnded(self._exit_code(), paused=self._was_paused) from error
            self._ready = True

    def call(self, work: Callable[[Any], T], item: object, timeout: float) -> T:
        """Runs `work(item)` in the process.

        Raises `ProcessEnded`; and `WorkerFailed` for an exception of the work, or after `timeout` seconds, which ends
        the process.
        """
        try:
            self._channel.send((work, item))
            if 0 < timeout < inf and not self._replies_within(timeout):
                if is_paused(self.pid):
                    raise ProcessEnded(self.end(), paused=True)
                self.end()
                raise WorkerFailed(f"decoding took more than {timeout:g} s (image_timeout)")
            done, result = self._channel.receive()
        except (EOFError, OSError, pickle.UnpicklingError) as error:
            raise ProcessEnded(self._exit_code(), paused=self._was_paused) from error
        if not done:
            raise WorkerFailed(result)
        answer: T = result
        return answer

    def kill_if_paused(self) -> None:
        """Kills the process if it is stopped from outside too long. A waiting caller gets `ProcessEnded`.

        Called about once a second, from another thread than `call`.
        """
        if not is_paused(self.pid):
            self._paused_since = None
        elif self._paused_since is None:
            self._paused_since = time.monotonic()
        elif time.monotonic() - self._paused_since > _PAUSE:
            self._was_paused = True
            self._process.kill()

    def _replies_within(self, seconds: float) -> bool:
        """Whether a reply or the end arrives before the process has worked for this many seconds.

        Excludes time in which this process or the machine was suspended.
        """
        left = seconds
        while left > 0:
            part = min(left, _LOOK)
            if self._channel.wait(part):
                return True
            left -= part
        return False

    def end(self) -> int:
        """Kills the process if it still runs; returns its exit code."""
        self.ended = True
        self._process.kill()
        return self._process.wait()

    def close(self) -> None:
        """Closes the channel to an ended process."""
        self._channel.close()

    def _exit_code(self) -> int:
        """Exit code of a process with a closed pipe."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_LAST_MOMENTS)
        return self.end()


def is_paused(process: int) -> bool:
    """Whether a process is stopped by SIGSTOP or its like (Linux)."""
    try:
        with open(f"/proc/{process}/stat", encoding="utf-8", errors="replace") as file:
            return file.read().rpartition(")")[2].split()[:1] == ["T"]
    except OSError:
        return False


def exit_description(code: int) -> str:
    """`ended with code 3` or `was ended by SIGKILL`, from an exit code."""
    if code >= 0:
        return f"ended with code {code}"
    with contextlib.suppress(ValueError):
        return f"was ended by {signal.Signals(-code).name}"
    return f"was ended by signal {-code}"


def serve(memory: int, window: int) -> None:
    """Runs a worker process: answers requests on its standard input until that is closed."""
    _die_with_parent()
    _limit_memory(memory)
    channel = Channel(sys.stdin.buffer, os.fdopen(os.dup(1), "wb"), None if window == _NONE else window)
    # Import the decoders now, so that the first image does not wait for them.
    from . import picture as picture

    # The parent has ended or closed the pipe.
    with contextlib.suppress(EOFError, BrokenPipeError):
        channel.send("ready")
        # Output of libraries such as libtiff must reach neither the replies nor the terminal.
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
    # Any exception of a decoder fails only this image.
    except Exception as error:
        return False, f"broken image: {type(error).__name__}: {error}"


def _die_with_parent() -> None:
    """Makes the kernel end this process with the thread that started it (Linux).

    That works even inside a decoder that never reads the pipe.
    """
    if sys.platform == "linux":
        import ctypes

        set_death_signal = 1
        ctypes.CDLL(None).prctl(set_death_signal, signal.SIGKILL)


def _limit_memory(limit: int) -> None:
    """Limits the memory of this process: further allocations raise `MemoryError`."""
    if limit:
        # A number too large for the system is no limit on any machine.
        with contextlib.suppress(ImportError, ValueError, OSError, OverflowError):
            import resource

            resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
