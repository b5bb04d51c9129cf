"""The processes of the devices of a run, from the outside: started, listened to, and ended with the run.

Signals reach them from the run, never from the terminal.
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

#: `-I`: neither the working folder nor the environment adds modules; the path is that of the run.
_BEGIN = f"import sys; sys.path[:] = sys.argv[1:]; from {__package__}.device_worker import serve; serve()"
#: Seconds between two looks for a signal, while no message comes.
_TICK = 0.2
#: Seconds that a process may be silent after the signal that ends it, or be stopped from outside, before it is killed.
_PATIENCE = 60.0
#: Seconds from the end of the pipe to the end of its process.
_LAST_MOMENTS = 10.0


@dataclass(eq=False)
class DeviceProcess:
    """One process and its device.

    signalled: whether it got a signal that ends it. heard: time of its last message. paused_since: time at which it was
    found stopped from outside, by SIGSTOP; None while it runs. has_job: whether it has taken its job from the pipe.
    """

    device: str
    process: subprocess.Popen[bytes]
    signalled: bool = False
    has_job: bool = False
    heard: float = field(default_factory=time.monotonic)
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
        """Sends it a message; nothing happens where it has ended, as the end of its other pipe tells that."""
        with contextlib.suppress(BrokenPipeError):
            pickle.dump(message, self.requests)
            self.requests.flush()

    def is_stuck(self, now: float) -> bool:
        """Whether it does not react to the signal that ends it, or has been stopped from outside for long."""
        if not is_paused(self.process.pid):
            self.paused_since = None
        elif self.paused_since is None:
            self.paused_since = now
        paused = self.paused_since is not None and now - self.paused_since > _PATIENCE
        return paused or (self.signalled and now - self.heard > _PATIENCE)


@dataclass
class Processes:
    """A context of one process per task, each for a shard of the inputs."""

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
        """Ends those that still run, the stuck ones by SIGKILL."""
        for one in self.all:
            if not one.has_job:
                # Its pipe may be full of a job that it does not take.
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
        """Lets all of them begin with their images."""
        for one in self.all:
            one.send("begin")

    def stop(self, number: int = signal.SIGTERM) -> None:
        """Ends them between two images. Each gets one signal: a second one would end it at once."""
        for one in self.all:
            if not one.signalled and one.process.poll() is None:
                one.signalled, one.heard = True, time.monotonic()
                one.process.send_signal(number)

    def kill_stuck(self) -> Iterator[DeviceProcess]:
        """Kills the processes that do not react any more, and yields them. Looks once a second at most."""
        now = time.monotonic()
        if now < self._next_look:
            return
        self._next_look = now + 1
        for one in self.all:
            if one.process.poll() is None and one.is_stuck(now):
                one.process.kill()
                yield one

    def next_message(self) -> tuple[DeviceProcess, Message] | None:
        """The next message of any of them, or None after a moment of silence."""
        try:
            process, message = self._messages.get(timeout=_TICK)
        except queue.Empty:
            return None
        process.heard = time.monotonic()
        self.running -= isinstance(message, Ended)
        return process, message

    def _listen(self, one: DeviceProcess, task: AnyTask) -> None:
        # In this thread: a process that never takes its job must not hold up the run.
        one.send((task, self.inputs))
        one.has_job = True
        with contextlib.suppress(EOFError, OSError, ValueError, pickle.UnpicklingError):
            while True:
                self._messages.put((one, pickle.load(one.replies)))
        self._messages.put((one, Ended(exit_description(one.process.wait()))))


def _started(task: AnyTask) -> subprocess.Popen[bytes]:
    """Starts a process in a session of its own: Ctrl-C at the terminal reaches the run, which passes it on."""
    threads = {"OMP_NUM_THREADS": str(max(1, cpus() // task.job.processes))} if task.device == "cpu" else {}
    return subprocess.Popen(
        [sys.executable, "-I", "-c", _BEGIN, *sys.path],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**threads, **os.environ},
        start_new_session=True,
    )
