"""Few descriptors, few processes, little memory, small files: errors or rows, never a traceback, never an untrue
row."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from cam_cli.errors import CamxError
from cam_cli.images import channel, workers
from cam_cli.images.worker_process import WorkerProcess
from cam_cli.images.workers import Workers
from cam_cli.pipeline import loop
from cli.main import COMMANDS, run

from . import faults
from .conftest import TINY

Camx = Callable[..., int]
ROOT = str(Path(__file__).parents[1])


def limited(cwd: Path, limit: str, *argv: object) -> tuple[int, str]:
    """Exit code and output of `camx` in a shell with a limit."""
    line = f'ulimit {limit}; exec "$@"'
    done = subprocess.run(
        ["bash", "-c", line, "-", sys.executable, "-m", "cli.main", *map(str, argv)],
        cwd=cwd, env={**os.environ, "PYTHONPATH": ROOT}, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    return done.returncode, done.stderr


def check_rows(out: Path, whole: Path) -> None:
    """Rows equal those of an undisturbed run, or their errors name the shortage."""

    def rows(path: Path) -> dict[str, dict[str, object]]:
        journal = path / "manifest.jsonl"
        lines = journal.read_bytes().splitlines(keepends=True) if journal.exists() else []
        return {row["image"]: row for row in map(json.loads, (line for line in lines if line.endswith(b"\n")))}

    wanted = rows(whole)
    for image, row in rows(out).items():
        if row["status"] == "ok":
            assert row["top"] == wanted[image]["top"]
            assert all((out / name).is_file() for name in row["files"])  # type: ignore[attr-defined]
        else:
            assert any(word in str(row["error"]) for word in ("memory", "Too many open files", "File too large")), row


@pytest.mark.slow
@pytest.mark.parametrize("limit", ["-n 24"])
def test_a_run_with_a_low_limit(limit: str, camx: Camx, images: Path, tmp_path: Path) -> None:
    assert camx("explain", images, *TINY, "-q", "-o", "whole") == 0
    code, words = limited(tmp_path, limit, "explain", images, *TINY, "-j", "2")
    assert "Traceback" not in words
    assert code in (0, 1, 2)
    assert code == 0 or "ulimit" in words
    check_rows(tmp_path / "camx-out", tmp_path / "whole")
    assert camx("explain", images, *TINY, "-q") == 0


@pytest.mark.slow
@pytest.mark.parametrize(
    "limit",
    [
        *(f"-n {n}" for n in range(6, 90, 4)),
        *(f"-v {n * 100_000}" for n in range(1, 40, 3)),
        *(f"-f {n}" for n in (0, 1, 2, 8, 64)),
    ],
)
def test_every_limit(limit: str, camx: Camx, images: Path, tmp_path: Path) -> None:
    assert camx("explain", images, *TINY, "-q", "-o", "whole") == 0
    code, words = limited(tmp_path, limit, "explain", images, *TINY, "-j", "2")
    if "-v" not in limit:
        # Without memory the interpreter or a library may end before camx begins.
        assert "Traceback" not in words
        assert code in (0, 1, 2)
    print(limit, code, words.strip().splitlines()[-1:])
    check_rows(tmp_path / "camx-out", tmp_path / "whole")
    assert camx("explain", images, *TINY, "-q") == 0


@pytest.mark.parametrize("number", [errno.EMFILE, errno.EAGAIN, errno.ENOMEM])
def test_a_system_that_starts_no_process(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """camx tries again for a while; then its error names the limit to raise, and processes that have started end."""
    monkeypatch.setattr(workers, "_REST", 0.001)
    begun: list[int] = []
    started: list[WorkerProcess] = []

    class Refused(WorkerProcess):
        def __init__(self, memory: int) -> None:
            begun.append(memory)
            if len(begun) > 1:
                raise OSError(number, os.strerror(number))
            super().__init__(memory)
            started.append(self)

    monkeypatch.setattr(workers, "WorkerProcess", Refused)
    with pytest.raises(CamxError, match=f"could not be started: {os.strerror(number)}. .*ulimit -[nuv]"):
        Workers(2)
    assert len(begun) == 6
    assert started[0].end() == -9


def test_a_process_that_the_system_refuses_for_a_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "_REST", 0.001)
    begun: list[int] = []

    class Late(WorkerProcess):
        def __init__(self, memory: int) -> None:
            begun.append(memory)
            if len(begun) in (1, 2, 4):
                raise BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")
            super().__init__(memory)

    monkeypatch.setattr(workers, "WorkerProcess", Late)
    with Workers(1) as pool:
        assert pool.call(faults.double, 4) == 8
        with pytest.raises(workers.WorkerFailed):
            pool.call(faults.leave, 3)
        assert pool.call(faults.double, 5) == 10
    assert len(begun) == 6


def test_without_memory_that_two_processes_see_images_go_through_pipes(monkeypatch: pytest.MonkeyPatch) -> None:
    """A limit of file sizes also applies to shared memory."""
    monkeypatch.setattr(
        channel.os, "truncate", lambda *_: (_ for _ in ()).throw(OSError(errno.EFBIG, "File too large"))
    )
    with channel.new_window() as window:
        assert window is None
    with Workers(1) as pool:
        assert pool.call(len, bytes(3 << 20)) == 3 << 20


def test_threads_that_cannot_start_end_the_run_with_an_error(
    camx: Camx, images: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refused(*_: object, **more: object) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patched:
        patched.setattr(loop, "prefetch", refused)
        assert camx("explain", images, *TINY) == 2
    assert "The system starts no more processes or threads. Raise the limit (ulimit -u)" in capsys.readouterr().err
    assert json.loads(Path("camx-out/run.json").read_text())["state"] == "broken"
    assert camx("explain", images, *TINY) == 0


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OSError(errno.EMFILE, "Too many open files", "x"), "'x': Too many open files. Raise the limit of open files"),
        (OSError(errno.EIO, "Input/output error"), "Input/output error. Correct that"),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), "Not enough memory."),
        (MemoryError(), "Not enough memory."),
        (ImportError("libtorch.so: failed to map segment from shared object"), "Not enough memory."),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"), "Not enough memory."),
        (RuntimeError("can't start new thread"), "The system starts no more"),
    ],
)
@pytest.mark.parametrize("command", ["report", "merge", "audit"])
def test_errors_of_the_system_are_words(
    error: Exception, words: str, command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def raises(*_: object, **more: object) -> None:
        raise error

    module = {"report": "cam_cli.report", "merge": "cam_cli.distributed", "audit": "cam_cli.audit.audit"}[command]
    name = {"report": "build_report", "merge": "merge", "audit": "audit"}[command]
    monkeypatch.setattr(sys.modules.get(module) or __import__(module, fromlist=["x"]), name, raises)
    assert run([command, "out"]) == 2
    assert f"error: {words}" in capsys.readouterr().err.replace("\n", " ")
    assert command in COMMANDS


def test_a_mistake_of_camx_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def raises(*_: object, **more: object) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr("cam_cli.report.build_report", raises)
    with pytest.raises(RuntimeError, match="a bug"):
        run(["report", "out"])
