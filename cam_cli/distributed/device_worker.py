"""Main function of the process of one device: runs one shard and reports to the run through a pipe.

The process receives a task with its images, sends the fingerprint of its engine, and begins when the run answers. It
ends when the pipe closes, so that it never outlives the run.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import sys
import threading
import traceback
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from functools import partial
from typing import IO, Any

from ..errors import CamxError
from ..images.shard import Shard
from ..library_messages import quiet_libraries
from ..outputs.folder import OutputFolder
from ..outputs.shards import Part, locked_part
from ..pipeline import Dropped, Stop
from ..pipeline.session import run_task
from .messages import Failed, Fingerprint, Message, Warned

#: Seconds between two checks for a signal while it waits to begin.
_TICK = 0.2


def serve() -> None:
    """Runs the process, and exits without joining threads: one blocks on the pipe and cannot be woken."""
    quiet_libraries()
    try:
        _work()
    except BaseException:
        traceback.print_exc()
        os._exit(1)
    os._exit(0)


def _work() -> None:
    # The run must not read output of libraries as messages.
    replies = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    requests = sys.stdin.buffer
    task, inputs = pickle.load(requests)
    with Stop() as stop:
        run = _RunObserver(requests, replies, stop)
        lock = partial(_locked_when_agreed, task.job.shard, run)
        try:
            run.send(run_task(task, run, stop, inputs=inputs, lock_folder=lock))
        except CamxError as error:
            run.send(Failed(str(error)))
        except Dropped:
            pass


class _RunObserver:
    """Observer that sends everything to the run through the pipes."""

    def __init__(self, requests: IO[bytes], replies: IO[bytes], stop: Stop) -> None:
        self._requests, self._replies, self._stop = requests, replies, stop
        self._may_begin = threading.Event()
        threading.Thread(target=self._watch, daemon=True).start()

    def _watch(self) -> None:
        """Ends this process when the pipe closes, even in the middle of a batch."""
        with contextlib.suppress(EOFError):
            pickle.load(self._requests)
            self._may_begin.set()
            pickle.load(self._requests)
        os._exit(1)

    def agree(self, fingerprint: Fingerprint) -> None:
        """Sends the fingerprint and waits for the answer of the run. Raises `Dropped` after a signal."""
        self.send(fingerprint)
        while not self._may_begin.wait(_TICK):
            if self._stop.signal is not None:
                raise Dropped

    def send(self, message: Message) -> None:
        pickle.dump(message, self._replies)
        self._replies.flush()

    planned = advanced = send

    def warned(self, message: str) -> None:
        self.send(Warned(message))


@dataclass
class _AgreedPart(Part):
    """A part that begins after the answer of the run, which holds the lock of OUT for all parts."""

    agree: Callable[[Fingerprint], None] = lambda fingerprint: None
    held: ExitStack = field(default_factory=ExitStack)

    def begin(self, fingerprint: Mapping[str, Any], keys: Iterable[str] = (), *, overwrite: bool = False) -> None:
        self.agree(Fingerprint(dict(fingerprint)))
        self.held.enter_context(locked_part(self.path, self.shard, self.parent_lock))
        super().begin(fingerprint, keys, overwrite=overwrite)

    def close(self) -> None:
        super().close()
        self.held.close()


def _locked_when_agreed(shard: Shard, run: _RunObserver, path: str) -> AbstractContextManager[OutputFolder]:
    def parent_lock(_: str) -> AbstractContextManager[OutputFolder]:
        return contextlib.nullcontext(OutputFolder(path))

    return contextlib.closing(_AgreedPart(path, shard=shard, parent_lock=parent_lock, agree=run.agree))
