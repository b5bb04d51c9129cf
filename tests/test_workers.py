"""Worker processes: the end of one fails only its present image, and none survives the run."""

from __future__ import annotations

import contextlib
import csv
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from cam_cli.errors import CamxError
from cam_cli.images import worker_process
from cam_cli.images import workers as workers_module
from cam_cli.images.channel import Channel
from cam_cli.images.worker_process import WorkerFailed, WorkerProcess
from cam_cli.images.workers import Workers
from cam_cli.pipeline import explain as task

from . import faults
from .conftest import TINY, picture

pytestmark = pytest.mark.usefixtures("real_workers")


def alive(process: int) -> bool:
    """Whether a process exists and still runs, without zombies."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def children(process: int) -> list[int]:
    """The processes that any thread of a process has started."""
    found: list[int] = []
    for thread in Path(f"/proc/{process}/task").iterdir():
        with contextlib.suppress(OSError):  # a thread that has ended meanwhile
            found += map(int, (thread / "children").read_text().split())
    return found


def gone(process: int, within: float = 10.0) -> bool:
    deadline = time.monotonic() + within
    while alive(process) and time.monotonic() < deadline:
        time.sleep(0.02)
    return not alive(process)


@pytest.mark.parametrize(
    ("fault", "item", "reason"),
    [
        (faults.crash, 0, "ended by SIGSEGV"),
        (faults.leave, 3, "ended with code 3"),
        (faults.leave, 0, "ended with code 0"),
        (faults.hang, 0, r"more than 0.5 s \(image_timeout\)"),
        (faults.swallow, 4 << 30, "not enough memory"),
        (faults.fail, 0, "broken image: KeyError: 'ihdr'"),
        (faults.unpicklable, 0, "ended with code 1"),
    ],
)
def test_what_ends_a_worker_costs_its_own_call(fault: Callable[[int], object], item: int, reason: str) -> None:
    with Workers(1, timeout=0.5, memory=2 << 30) as workers:
        assert workers.call(faults.double, 4) == 8
        with pytest.raises(WorkerFailed, match=reason):
            workers.call(fault, item)
        assert workers.call(faults.double, 5) == 10


def test_many_threads_get_their_own_answers() -> None:
    with Workers(3) as workers, ThreadPoolExecutor(3) as pool:
        results = list(pool.map(lambda n: workers.call(faults.double, n), range(300)))
        assert results == [2 * n for n in range(300)]
        assert len(set(pool.map(lambda n: workers.call(faults.where, n), range(50)))) <= 3


@pytest.mark.skipif(sys.platform != "linux", reason="/proc is Linux's")
def test_workers_leave_no_descriptor_open() -> None:
    before = os.listdir("/proc/self/fd")
    with Workers(2) as workers:
        assert workers.call(faults.double, 1) == 2
        with pytest.raises(WorkerFailed):
            workers.call(faults.leave, 3)
        assert workers.call(faults.double, 1) == 2
    assert len(os.listdir("/proc/self/fd")) == len(before)


def test_what_libraries_print_is_neither_an_answer_nor_seen(capfd: pytest.CaptureFixture[str]) -> None:
    with Workers(1) as workers:
        assert workers.call(faults.chatter, 0) == "said"
    assert capfd.readouterr() == ("", "")


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel ends a worker with the thread that started it on Linux")
def test_a_worker_outlives_the_thread_that_replaced_it() -> None:
    """Pools of threads last as long as a batch: the next image uses the worker that the last thread has started."""
    with Workers(1) as workers:
        with ThreadPoolExecutor(1) as pool, pytest.raises(WorkerFailed):
            pool.submit(workers.call, faults.leave, 3).result()
        with ThreadPoolExecutor(1) as pool:
            process = pool.submit(workers.call, faults.where, 0).result()
        time.sleep(0.2)
        assert alive(process)
        assert workers.call(faults.where, 0) == process


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel ends a worker with the thread that started it on Linux")
def test_workers_outlive_the_thread_that_made_them() -> None:
    def made() -> Workers:
        workers = Workers(1)
        workers.call(faults.double, 1)
        return workers

    with ThreadPoolExecutor(1) as pool:
        workers = pool.submit(made).result()
    with workers:
        time.sleep(0.2)
        assert alive(workers._workers[0].pid)


def test_an_image_whose_worker_is_killed_is_tried_again(tmp_path: Path) -> None:
    """Killed from outside, idle or at work: camx tries the image again. One that kills its second worker, too,
    fails."""
    with Workers(1) as workers:
        os.kill(workers._workers[0].pid, signal.SIGKILL)
        assert workers.call(faults.double, 4) == 8
        os.kill(workers._workers[0].pid, signal.SIGKILL)
        assert workers.call(faults.double, 5) == 10
        note = tmp_path / "note"
        assert workers.call(faults.killed_once, note) == "done"
        assert note.read_text() == "killed"
        with pytest.raises(WorkerFailed, match="was ended by SIGSEGV"):
            workers.call(faults.crash, 0)
        assert workers.call(faults.double, 6) == 12


def test_an_image_that_hangs_is_not_tried_again(tmp_path: Path) -> None:
    with Workers(1, timeout=0.5) as workers:
        with pytest.raises(WorkerFailed, match="more than 0.5 s"):
            workers.call(faults.noted_hang, tmp_path / "note")
        assert (tmp_path / "note").read_text() == "hangs\n"


@pytest.mark.skipif(sys.platform != "linux", reason="/proc is Linux's")
def test_a_worker_that_is_stopped_from_outside_fails_no_image(monkeypatch: pytest.MonkeyPatch) -> None:
    """Idle, at work, or while it starts: camx kills it after a timeout, and another worker takes over."""
    monkeypatch.setattr(worker_process, "_PAUSE", 0.1)
    monkeypatch.setattr(workers_module, "_LOOK", 0.05)
    with Workers(1) as workers:
        os.kill(workers._workers[0].pid, signal.SIGSTOP)
        assert workers.call(faults.double, 4) == 8, "stopped while it starts"
        os.kill(workers._workers[0].pid, signal.SIGSTOP)
        assert workers.call(faults.double, 5) == 10
        os.kill(workers._workers[0].pid, signal.SIGSTOP)
        # More than a pipe holds: the message itself cannot be sent.
        assert workers.call(len, bytes(8 << 20)) == 8 << 20
        with pytest.raises(WorkerFailed, match=r"its decoder was stopped from outside \(SIGSTOP\)"):
            workers.call(faults.stop, 0)
        assert workers.call(faults.double, 6) == 12


@pytest.mark.skipif(sys.platform != "linux", reason="/proc is Linux's")
def test_a_worker_that_is_stopped_has_not_taken_too_long(tmp_path: Path) -> None:
    with Workers(1, timeout=0.3) as workers:
        assert workers.call(faults.stopped_once, tmp_path / "note") == "done"
        with pytest.raises(WorkerFailed, match="stopped from outside"):
            workers.call(faults.stop, 0)


@pytest.mark.skipif(sys.platform != "linux", reason="/proc is Linux's")
def test_a_worker_that_is_stopped_for_a_moment_goes_on() -> None:
    with Workers(1) as workers, ThreadPoolExecutor(1) as pool:
        process = workers.call(faults.where, 0)
        os.kill(process, signal.SIGSTOP)
        answer = pool.submit(workers.call, faults.where, 0)
        time.sleep(0.3)
        os.kill(process, signal.SIGCONT)
        assert answer.result(10) == process


def test_time_in_which_the_run_itself_was_stopped_is_not_decoding(monkeypatch: pytest.MonkeyPatch) -> None:
    """As after `kill -STOP` of run and workers: the timeout is over, but the worker has not worked."""
    waits: list[float] = []

    def wait(self: Channel, seconds: float) -> bool:
        waits.append(seconds)
        return len(waits) == 3

    monkeypatch.setattr(Channel, "wait", wait)
    with Workers(1, timeout=2.5) as workers:
        assert workers.call(faults.double, 4) == 8
    assert waits == [1.0, 1.0, 0.5]


def test_workers_that_are_killed_while_they_start_are_started_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three workers, one after the other."""
    begun: list[int] = []

    def killed(self: WorkerProcess) -> None:
        begun.append(self.pid)
        if len(begun) <= 3:
            os.kill(self.pid, signal.SIGKILL)
        await_start(self)

    await_start = WorkerProcess.await_start
    monkeypatch.setattr(WorkerProcess, "await_start", killed)
    with Workers(1) as workers:
        assert workers.call(faults.double, 4) == 8
    assert len(set(begun)) == 4


def test_workers_that_cannot_start_end_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that ends by itself is not started again; one that is killed is, a few times."""
    begun: list[int] = []
    await_start = WorkerProcess.await_start

    def killed(self: WorkerProcess) -> None:
        begun.append(self.pid)
        os.kill(self.pid, signal.SIGKILL)
        await_start(self)

    with monkeypatch.context() as patched:
        patched.setattr(WorkerProcess, "await_start", killed)
        with Workers(1) as workers, pytest.raises(CamxError, match="was ended by SIGKILL"):
            workers.call(faults.double, 4)
    assert len(set(begun)) == 5
    monkeypatch.setattr(worker_process, "_BEGIN", "raise SystemExit(7)")
    with Workers(1) as workers, pytest.raises(CamxError, match="ended with code 7"):
        workers.call(faults.double, 4)


def test_workers_are_ended_with_their_context_even_if_they_hang() -> None:
    with ThreadPoolExecutor(1) as pool:
        with Workers(2) as workers:
            processes = [worker.pid for worker in workers._workers]
            workers.call(faults.double, 1)
            hanging = pool.submit(workers.call, faults.hang, 0)
            time.sleep(0.1)
            assert all(map(alive, processes))
        with pytest.raises(WorkerFailed):
            hanging.result(10)
    assert not any(map(alive, processes))


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's signal at the parent's death is Linux's")
@pytest.mark.parametrize("fault", ["double", "hang"])
def test_workers_do_not_survive_a_parent_that_is_killed(fault: str) -> None:
    """Idle workers see the end of their pipe; the kernel ends those that never read it."""
    script = f"""
import threading, time
from cam_cli.images.workers import Workers
from tests import faults
workers = Workers(1)
workers.call(faults.double, 1)
print(workers._workers[0].pid, flush=True)
threading.Thread(target=workers.call, args=(faults.{fault}, 1)).start()
time.sleep(100)
"""
    root = str(Path(__file__).parents[1])
    parent = subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, cwd=root, env={**os.environ, "PYTHONPATH": root}
    )
    with parent:
        assert parent.stdout is not None
        process = int(parent.stdout.readline())
        time.sleep(0.1)
        assert alive(process)
        parent.send_signal(signal.SIGKILL)
    assert gone(process)


def test_the_working_folder_adds_no_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder of images may hold a `pickle.py` or `numpy.py`: it is never imported."""
    for name in ("pickle", "numpy", "PIL", "sitecustomize"):
        (tmp_path / f"{name}.py").write_text(f"open({str(tmp_path / 'imported')!r}, 'w')")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [folder for folder in sys.path if folder])
    with Workers(1) as workers:
        assert workers.call(faults.double, 1) == 2
    assert not (tmp_path / "imported").exists()


def test_a_run_goes_on_where_decoders_crash_hang_and_swallow(
    camx: Callable[..., int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(task, "load", faults.faulty_load)
    folder = tmp_path / "images"
    folder.mkdir()
    names = ["a.png", "crash.png", "b.png", "hang.png", "c.png", "fail.png", "huge.png", "d.png"]
    for index, name in enumerate(names):
        picture(seed=index).save(folder / name)
    assert camx("explain", folder, *TINY, "-j", 2, "-b", 2, "--image-timeout", 1, "--max-failures", 4) == 0
    with open("camx-out/predictions.csv", newline="", encoding="utf-8") as file:
        rows = {row["image"]: row for row in csv.DictReader(file)}
    assert {name for name, row in rows.items() if row["status"] == "ok"} == {"a.png", "b.png", "c.png", "d.png"}
    assert rows["crash.png"]["error"] == "its decoder was ended by SIGSEGV"
    assert rows["hang.png"]["error"] == "decoding took more than 1 s (image_timeout)"
    assert rows["fail.png"]["error"] == "broken image: KeyError: 'ihdr'"
    assert rows["huge.png"]["error"] == "not enough memory to decode it"
    monkeypatch.undo()
    monkeypatch.chdir(tmp_path)
    assert camx("explain", folder, *TINY) == 0, "the next run tries the failed ones again"
