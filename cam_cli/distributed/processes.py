"""The processes that work for the devices of a run: started, listened to, and ended with it.

Each begins when it is told which job and images, says the fingerprint of its engine, and waits for the word to begin.
It ends when its pipe closes: none outlives the run. Signals come from the run, never from the terminal.
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
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from functools import partial
from typing import IO, Any, NamedTuple

from ..errors import CamxError
from ..images.listing import Inputs
from ..images.shard import Shard
from ..images.worker_process import exit_description
from ..machine import cpus
from ..outputs.folder import OutputFolder
from ..outputs.shards import Part, locked_part
from ..pipeline import Dropped, Plan, Stop, Summary
from ..pipeline.progress import Progress
from ..pipeline.session import run_task
from ..pipeline.task import AnyTask

_BEGIN = f"import sys; sys.path[:] = sys.argv[1:]; from {__name__} import serve; serve()"
#: Seconds after which the run looks for signals, where nobody says anything.
_TICK = 0.2
#: Seconds that a process may be silent after the signal that ends it, or be stopped from outside, before it is killed.
_PATIENCE = 60.0
#: Seconds from the end of the pipe to the end of its process.
_LAST_MOMENTS = 10.0


class Fingerprint(NamedTuple):
    """What the results of this process depend on; it waits now."""

    content: dict[str, Any]


class Warned(NamedTuple):
    text: str


class Failed(NamedTuple):
    """It could not start, or not go on: the sentence of a `CamxError`."""

    text: str


class Ended(NamedTuple):
    """The process is gone, and how."""

    words: str


Message = Fingerprint | Warned | Failed | Ended | Plan | Progress | Summary


@dataclass(eq=False)
class DeviceProcess:
    """One process and the shard that it does.

    signalled: whether it has been told to end. heard: when it last said something. paused_since: when it was first seen
    stopped from outside, by SIGSTOP; None while it runs. has_job: whether it has taken its job from the pipe.
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
        """Nothing happens where the process has ended: the end of the other pipe says so."""
        with contextlib.suppress(BrokenPipeError):
            pickle.dump(message, self.requests)
            self.requests.flush()

    def is_stuck(self, now: float) -> bool:
        """Whether it does not react to the signal that ends it, or has been stopped from outside for long."""
        if not _is_paused(self.process.pid):
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


def _is_paused(process: int) -> bool:
    """Whether a process is stopped by SIGSTOP or its like (Linux)."""
    try:
        with open(f"/proc/{process}/stat", encoding="utf-8", errors="replace") as file:
            return file.read().rpartition(")")[2].split()[:1] == ["T"]
    except OSError:
        return False


def _started(task: AnyTask) -> subprocess.Popen[bytes]:
    """A process of its own session: Ctrl-C at the terminal is for the run, which passes it on."""
    threads = {"OMP_NUM_THREADS": str(max(1, cpus() // task.job.processes))} if task.device == "cpu" else {}
    return subprocess.Popen(
        [sys.executable, "-I", "-c", _BEGIN, *sys.path],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**threads, **os.environ},
        start_new_session=True,
    )


@dataclass
class _AgreedPart(Part):
    """A part that begins when the run, which holds OUT for all of them, says so."""

    agree: Callable[[Fingerprint], None] = lambda fingerprint: None
    held: ExitStack = field(default_factory=ExitStack)

    def begin(self, fingerprint: Mapping[str, Any], keys: Iterable[str] = (), *, overwrite: bool = False) -> None:
        self.agree(Fingerprint(dict(fingerprint)))
        self.held.enter_context(locked_part(self.path, self.shard, self.parent_lock))
        super().begin(fingerprint, keys, overwrite=overwrite)

    def close(self) -> None:
        super().close()
        self.held.close()


class _Channel:
    """The other end of the pipes; an observer that passes everything on."""

    def __init__(self, requests: IO[bytes], replies: IO[bytes], stop: Stop) -> None:
        self._requests, self._replies, self._stop = requests, replies, stop
        self._word = threading.Event()
        threading.Thread(target=self._watch, daemon=True).start()

    def _watch(self) -> None:
        """The end of the pipe is the end of the run, also in the middle of a batch."""
        with contextlib.suppress(EOFError):
            pickle.load(self._requests)
            self._word.set()
            pickle.load(self._requests)
        os._exit(1)

    def agree(self, fingerprint: Fingerprint) -> None:
        """Say it, and wait for the word."""
        self.send(fingerprint)
        while not self._word.wait(_TICK):
            if self._stop.signal is not None:
                raise Dropped

    def send(self, message: Message) -> None:
        pickle.dump(message, self._replies)
        self._replies.flush()

    planned = advanced = send

    def warned(self, message: str) -> None:
        self.send(Warned(message))


def serve() -> None:
    """The life of a device process. It leaves at once: a thread waits for the end of the pipe that it cannot be
    called away from."""
    try:
        _work()
    except BaseException:
        traceback.print_exc()
        os._exit(1)
    os._exit(0)


def _work() -> None:
    # What libraries print is not for the run to read.
    replies = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    requests = sys.stdin.buffer
    task, inputs = pickle.load(requests)
    with Stop() as stop:
        channel = _Channel(requests, replies, stop)
        lock = partial(_locked_when_agreed, task.job.shard, channel)
        try:
            channel.send(run_task(task, channel, stop, inputs=inputs, lock_folder=lock))
        except CamxError as error:
            channel.send(Failed(str(error)))
        except Dropped:
            pass


def _locked_when_agreed(shard: Shard, channel: _Channel, path: str) -> AbstractContextManager[OutputFolder]:
    def parent_lock(_: str) -> AbstractContextManager[OutputFolder]:
        return contextlib.nullcontext(OutputFolder(path))

    return contextlib.closing(_AgreedPart(path, shard=shard, parent_lock=parent_lock, agree=channel.agree))
