"""Workers for runs inside the tests, forked from one process that has imported their libraries, in a hundredth of the
time.

They serve, end and die like those of a real run. Run as a script, this is the process that forks them.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from cam_cli.images import worker_process

ROOT = Path(__file__).parents[1]
#: Bytes of a request, most of it the environment.
_REQUEST = 1 << 20
#: Limits that a worker takes from the requesting process, not from the forking one.
_LIMITS = (resource.RLIMIT_NOFILE, resource.RLIMIT_AS, resource.RLIMIT_DATA, resource.RLIMIT_FSIZE)
_POPEN = subprocess.Popen
#: Held by the thread that waits for its process.
_TURN = threading.Lock()


class ForkedProcess:
    """Stands in for the `subprocess.Popen` of a worker."""

    def __init__(self, ask: socket.socket, argv: Sequence[str], env: dict[str, str], window: int | None) -> None:
        requests, self.stdin = _pipe(write=True)
        replies, self.stdout = _pipe(write=False)
        self._status, status = os.pipe()
        given = [requests, replies, 2, status] + ([] if window is None else [window])
        request = {
            "memory": int(argv[4]), "path": argv[6:], "env": env, "cwd": os.getcwd(),
            "limits": [[limit, *resource.getrlimit(limit)] for limit in _LIMITS],
        }  # fmt: skip
        with _TURN:
            socket.send_fds(ask, [json.dumps(request).encode()], given)
            self.pid = int(ask.recv(32))
        self.returncode: int | None = None
        for descriptor in (requests, replies, status):
            os.close(descriptor)

    def poll(self) -> int | None:
        """The exit code, or minus the number of the signal that ended it; None while it runs."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.wait(0)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Waits for the end. Raises `subprocess.TimeoutExpired`."""
        if self.returncode is None:
            if not select.select([self._status], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired("worker", timeout or 0)
            told = os.read(self._status, 16)
            os.close(self._status)
            self.returncode = int(told) if told else -signal.SIGKILL
        return self.returncode

    def kill(self) -> None:
        """Kills the process if it runs."""
        if self.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)

    def communicate(self) -> None:
        """Closes the pipes, and waits for the end."""
        self.stdin.close()
        self.stdout.close()
        self.wait()


@contextlib.contextmanager
def warm_workers() -> Iterator[None]:
    """While active, workers are forked; a replacement of `subprocess.Popen` by a test still takes effect."""
    started: list[tuple[socket.socket, subprocess.Popen[bytes]]] = []

    def popen(argv: Sequence[str], **options: Any) -> object:
        if subprocess.Popen is not _POPEN or argv[3] != worker_process._BEGIN or argv[0] != sys.executable:
            return subprocess.Popen(argv, **options)
        with _TURN:
            if not started:
                started.append(_forking_process())
        return ForkedProcess(started[0][0], argv, options["env"], next(iter(options["pass_fds"]), None))

    class Names:
        """The module `subprocess` with another `Popen`."""

        Popen = staticmethod(popen)

        def __getattr__(self, name: str) -> object:
            return getattr(subprocess, name)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(worker_process, "subprocess", Names())
        yield
    for ask, process in started:
        ask.close()
        process.wait()


def _forking_process() -> tuple[socket.socket, subprocess.Popen[bytes]]:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        process = _POPEN(
            [sys.executable, "-m", "tests.warm_workers", str(theirs.fileno())], cwd=ROOT, stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, env={**os.environ, **worker_process.WORKER_ENVIRONMENT, "PYTHONPATH": str(ROOT)},
            pass_fds=[theirs.fileno()], start_new_session=True,
        )  # fmt: skip
    return ours, process


def _pipe(*, write: bool) -> tuple[int, Any]:
    """A descriptor for the worker, and a file for the requesting process."""
    reads, writes = os.pipe()
    return (reads, os.fdopen(writes, "wb")) if write else (writes, os.fdopen(reads, "rb"))


def _fork_for(asked: socket.socket) -> None:
    """Forks a process for every request until no requester is left, and reports the end of each."""
    import cam_cli.images.picture
    import cam_cli.outputs.renderer  # noqa: F401 - for the processes forked below

    ended, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wake)
    statuses: dict[int, int] = {}
    while True:
        ready = select.select([asked, ended], [], [])[0]
        if ended in ready:
            os.read(ended, 4096)
            while statuses and (found := os.waitpid(-1, os.WNOHANG))[0]:
                status = statuses.pop(found[0])
                os.write(status, str(os.waitstatus_to_exitcode(found[1])).encode())
                os.close(status)
        if asked in ready:
            request, given, *_ = socket.recv_fds(asked, _REQUEST, 8)
            if not request:
                return
            pid = os.fork()
            if not pid:
                _serve(json.loads(request), given, [asked.fileno(), ended, wake, *statuses.values()])
            asked.send(str(pid).encode())
            statuses[pid] = given.pop(3)
            for descriptor in given:
                os.close(descriptor)


def _serve(request: dict[str, Any], given: list[int], others: list[int]) -> None:
    """Runs a worker. Never returns."""
    code = 1
    try:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.setsid()
        for number, descriptor in enumerate(given[:3]):
            os.dup2(descriptor, number)
        for descriptor in [*given[:4], *others]:
            os.close(descriptor)
        os.chdir(request["cwd"])
        os.environ.clear()
        os.environ.update(request["env"])
        sys.path[:] = request["path"]
        for limit, soft, hard in request["limits"]:
            resource.setrlimit(limit, (soft, hard))
        worker_process.serve(request["memory"], given[4] if len(given) > 4 else worker_process._NONE)
        code = 0
    finally:
        os._exit(code)


if __name__ == "__main__":
    _fork_for(socket.socket(fileno=int(sys.argv[1])))
