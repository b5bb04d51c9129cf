"""Runs commands of camx as processes, forked from one that has imported everything: a tenth of a second each.

Signals, streams, exit codes and the disk are those of a real process. Run as a script, this is the process that forks.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

ROOT = Path(__file__).parents[1]
#: Seconds after which a command counts as hanging, also on a busy machine.
PATIENCE = 120.0


@dataclass(frozen=True)
class Ended:
    """A command that has ended: exit code, or minus the number of its signal, and its output."""

    code: int
    out: str
    err: str


class Commands:
    """Starts commands in a working folder. A context manager that ends all of them."""

    def __init__(self, cwd: Path, environment: Mapping[str, str]) -> None:
        self.cwd = cwd
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.forked_commands"], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", **environment}, text=True,
        )  # fmt: skip

    def __enter__(self) -> Commands:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.communicate()

    def run(
        self, argv: Sequence[str], *, disk: tuple[int, str] | None = None, ending: tuple[float, int] | None = None,
        full: Sequence[int] = (), closed: Sequence[int] = (),
    ) -> Ended:  # fmt: skip
        """Runs a command to its end. disk: the operation on the disk that fails, and how (`test_faults.Faulty`).
        ending: seconds until a signal, and its number. full, closed: streams that cannot be written, or do not
        exist."""
        began = time.monotonic()
        pid = int(self._asked({"argv": argv, "cwd": str(self.cwd), "disk": disk, "full": full, "closed": closed}))
        while (code := self._asked({"wait": pid})) == "None":
            waited = time.monotonic() - began
            if ending is not None and waited >= ending[0]:
                self._asked({"kill": pid, "number": ending[1]})
                ending = None
            if waited > PATIENCE:
                self._asked({"kill": pid, "number": signal.SIGABRT})
                raise AssertionError(f"hangs: {argv}: {self._said(2)}")
            time.sleep(0.005)
        return Ended(int(code), self._said(1), self._said(2))

    def _asked(self, question: Mapping[str, object]) -> str:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(question) + "\n")
        self._process.stdin.flush()
        return self._process.stdout.readline().strip()

    def _said(self, number: int) -> str:
        return (self.cwd / f"stream{number}").read_text("utf-8", "surrogateescape")


def _child(argv: list[str], cwd: str, disk: list[object] | None, full: list[int], closed: list[int]) -> None:
    """Becomes `camx`; does not return."""
    import cli.main
    from cam_cli.outputs import store

    from .test_faults import Faulty

    os.chdir(cwd)
    for number in (0, 1, 2):
        place = "/dev/full" if number in full else f"stream{number}" if number else os.devnull
        target = os.open(place, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o644)
        os.dup2(target, number)
        os.close(target)
    for number in closed:
        os.close(number)
    if disk is not None:
        store.system = Faulty(int(str(disk[0])), str(disk[1]))
    sys.argv = ["camx", *argv]
    cli.main.main()


def main() -> None:
    """Answers one request per line: starts a command, reports whether one has ended, or sends it a signal."""
    import torch

    import cam_cli.distributed
    import cam_cli.patterns.find
    import cam_cli.pipeline.commands
    import cam_cli.report
    import cli.main
    from cam_cli.models.timm_import import import_timm

    from . import test_faults

    # Without wandb: its import creates a folder, which the first copy that ends would remove.
    import_timm()
    assert "wandb" not in sys.modules
    _ = (cam_cli.report, cli.main, test_faults)
    torch.set_num_threads(1)
    answers = os.fdopen(os.dup(1), "w")
    for line in iter(sys.stdin.readline, ""):
        question = json.loads(line)
        answer: object = None
        if "wait" in question:
            ended, status = os.waitpid(question["wait"], os.WNOHANG)
            answer = os.waitstatus_to_exitcode(status) if ended else None
        elif "kill" in question:
            os.kill(question["kill"], question["number"])
        else:
            answer = os.fork()
            if not answer:
                _child(**question)
        print(answer, file=answers, flush=True)


if __name__ == "__main__":
    main()
