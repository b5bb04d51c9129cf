"""Starts the processes of the devices, receives their messages, and ends them with the run.

The run sends them signals; the terminal does not.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import IO

from ..images.listing import Inputs
from ..images.worker_process import exit_description, is_paused
from ..machine import cpus
from ..pipeline.task import AnyTask
from .messages import Ended, Message

#: `-I`: neither the working folder nor the environment adds modules. The module path is that of the run.
_BEGIN = f"import sys; sys.path[:] = sys.argv[1:]; from {__package__}.device_worker import serve; serve()"
#: Seconds between two checks for a signal while no message arrives.
_TICK = 0.2
#: Seconds before a process is killed that ignores the signal to end, or is stopped from outside.
_PATIENCE = 60.0
#: Seconds from the end of the pipe to the end of its process.
_LAST_MOMENTS = 10.0


@dataclass(eq=False)
class DeviceProcess:
    """One process and its device.

    signalled: whether it has received the signal to end. last_message: time of its last message. paused_since: time
    when it was found stopped from outside, None while it runs. has_job: whether it has read its job from the pipe.
    """

    device: str
    process: subprocess.Popen[bytes]
    signalled: bool = False
    has_job: bool = False
    last_message: float = field(default_factory=time.monotonic)
    paused_since: float | None = None

    @property
    def requests(self) -> IO[bytes]:
        assert self.process.stdin is not None
        return self.process.stdin

    @property
    def replies(self) -> IO[bytes]:
        assert self.process.stdout is not None
        return self.process.stdout

    def send(self, message: object) -> None:
        """Sends a message. Ignores that the process has ended: its other pipe reports that."""
        with contextlib.suppress(BrokenPipeError):
            pickle.dump(message, self.requests)
            self.requests.flush()

    def is_stuck(self, now: float) -> bool:
        """Whether it ignores the signal to end, or has been stopped from outside too long."""
        if not is_paused(self.process.pid):
            self.paused_since = None
        elif self.paused_since is None:
            self.paused_since = now
        paused = self.paused_since is not None and now - self.paused_since > _PATIENCE
        return paused or (self.signalled and now - self.last_message > _PATIENCE)


@dataclass
class Processes:
    """Context manager of one process per task, each with one shard of the inputs."""

    tasks: Sequence[AnyTask]
    inputs: Inputs
    all: list[DeviceProcess] = field(default_factory=list)
    running: int = 0
    _next_look: float = 0.0
    _messages: queue.SimpleQueue[tuple[DeviceProcess, Message]] = field(default_factory=queue.SimpleQueue)

    def __enter__(self) -> Processes:
        for task in self.tasks:
            one = DeviceProcess(task.device, _started(task))
            self.all.append(one)
            self.running += 1
            threading.Thread(target=self._listen, args=[one, task], daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        """Ends the running processes; stuck ones by SIGKILL."""
        for one in self.all:
            if not one.has_job:
                # The pipe may be full with a job that the process does not read.
                one.process.kill()
            with contextlib.suppress(BrokenPipeError):
                one.requests.close()
        for one in self.all:
            try:
                one.process.wait(_LAST_MOMENTS)
            except subprocess.TimeoutExpired:
                one.process.kill()
                one.process.wait()
            one.replies.close()

    def begin(self) -> None:
        """Lets all processes begin with their images."""
        for one in self.all:
            one.send("begin")

    def stop(self, number: int = signal.SIGTERM) -> None:
        """Ends all processes between two images. Each gets one signal: a second one would end it immediately."""
        for one in self.all:
            if not one.signalled and one.process.poll() is None:
                one.signalled, one.last_message = True, time.monotonic()
                one.process.send_signal(number)

    def kill_stuck(self) -> Iterator[DeviceProcess]:
        """Kills stuck processes and yields them. Checks at most once a second."""
        now = time.monotonic()
        if now < self._next_look:
            return
        self._next_look = now + 1
        for one in self.all:
            if one.process.poll() is None and one.is_stuck(now):
                one.process.kill()
                yield one

    def next_message(self) -> tuple[DeviceProcess, Message] | None:
        """The next message of any process; None after a short time without one."""
        try:
            process, message = self._messages.get(timeout=_TICK)
        except queue.Empty:
            return None
        process.last_message = time.monotonic()
        self.running -= isinstance(message, Ended)
        return process, message

    def _listen(self, one: DeviceProcess, task: AnyTask) -> None:
        # In this thread: a process that never reads its job must not block the run.
        one.send((task, self.inputs))
        one.has_job = True
        with contextlib.suppress(EOFError, OSError, ValueError, pickle.UnpicklingError):
            while True:
                self._messages.put((one, pickle.load(one.replies)))
        self._messages.put((one, Ended(exit_description(one.process.wait()))))


def _started(task: AnyTask) -> subprocess.Popen[bytes]:
    """Starts a process in its own session: Ctrl-C reaches only the run, which forwards it."""
    threads = {"OMP_NUM_THREADS": str(max(1, cpus() // task.job.processes))} if task.device == "cpu" else {}
    return subprocess.Popen(
        [sys.executable, "-I", "-c", _BEGIN, *sys.path],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**threads, **os.environ},
        start_new_session=True,
    )
