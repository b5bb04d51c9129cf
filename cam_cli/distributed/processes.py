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
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
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
    """One process and the shard that it does."""

    device: str
    process: subprocess.Popen[bytes]
    stopped: bool = False

    @property
    def requests(self) -> IO[bytes]:
        assert self.process.stdin is not None
        return self.process.stdin

    @property
    def replies(self) -> IO[bytes]:
        assert self.process.stdout is not None
        return self.process.stdout

    def send(self, message: object) -> None:
        """One that has ended hears nothing; its end is told by its pipe."""
        with contextlib.suppress(BrokenPipeError):
            pickle.dump(message, self.requests)
            self.requests.flush()


@dataclass
class Processes:
    """A context of one process per task, each for a shard of the inputs."""

    tasks: Sequence[AnyTask]
    inputs: Inputs
    all: list[DeviceProcess] = field(default_factory=list)
    running: int = 0
    _messages: queue.SimpleQueue[tuple[DeviceProcess, Message]] = field(default_factory=queue.SimpleQueue)

    def __enter__(self) -> Processes:
        for task in self.tasks:
            one = DeviceProcess(task.device, _started(task))
            self.all.append(one)
            self.running += 1
            one.send((task, self.inputs))
            threading.Thread(target=self._listen, args=[one], daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        for one in self.all:
            with contextlib.suppress(BrokenPipeError):
                one.requests.close()
        for one in self.all:
            one.process.wait()
            one.replies.close()

    def begin(self) -> None:
        """The word that they wait for."""
        for one in self.all:
            one.send("begin")

    def stop(self, number: int = signal.SIGTERM) -> None:
        """End them between two images; each gets one signal, since a second one would end it at once."""
        for one in self.all:
            if not one.stopped and one.process.poll() is None:
                one.stopped = True
                one.process.send_signal(number)

    def next_message(self) -> tuple[DeviceProcess, Message] | None:
        """What one of them says, or None after a moment of silence."""
        try:
            process, message = self._messages.get(timeout=_TICK)
        except queue.Empty:
            return None
        self.running -= isinstance(message, Ended)
        return process, message

    def _listen(self, one: DeviceProcess) -> None:
        with contextlib.suppress(EOFError, OSError, ValueError, pickle.UnpicklingError):
            while True:
                self._messages.put((one, pickle.load(one.replies)))
        self._messages.put((one, Ended(exit_description(one.process.wait()))))


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
