"""A run on several devices: one process each, one result."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cam_cli.cams.engine.explainer import ExplainOptions
from cam_cli.distributed import devices, run
from cam_cli.distributed.devices import devices_of
from cam_cli.distributed.processes import Processes
from cam_cli.errors import CamxError
from cam_cli.images.shard import Shard
from cam_cli.models.options import ModelSpec
from cam_cli.pipeline import ExplainJob, Progress, Stop
from cam_cli.pipeline.commands import task_of
from cam_cli.pipeline.progress import Silent

from .conftest import TINY, picture
from .test_workers import children

Camx = Callable[..., int]
ROOT = Path(__file__).parents[1]


def test_devices_by_name_or_all_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    assert devices_of("cpu, cpu") == ("cpu", "cpu")
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    assert devices_of("all") == ("cuda:0", "cuda:1")
    assert devices_of("cuda:1,cpu") == ("cuda:1", "cpu")
    with pytest.raises(CamxError, match="'cuda:2' does not exist"):
        devices_of("cuda:0,cuda:2")
    monkeypatch.setattr("torch.cuda.device_count", lambda: 0)
    assert devices_of("all") == ("auto",)


@pytest.mark.long
def test_two_devices_leave_what_one_does(
    camx: Camx, images: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (images / "broken.jpg").write_bytes(b"nothing")
    words = ("explain", images, *TINY, "--labels", "folder", "--max-failures", "1")
    assert camx(*words, "-o", "one") == 0
    capfd.readouterr()
    assert camx(*words, "--device", "cpu,cpu") == 0
    told = capfd.readouterr()
    assert told.out.startswith("7 of 8 images explained, 1 failed, 0 blank\n")
    assert "Fatal" not in told.err  # of the processes
    assert told.err.count("no class of the model") == 1
    assert " · cpu, cpu, fp32" in told.err
    assert Path("camx-out/predictions.csv").read_bytes() == Path("one/predictions.csv").read_bytes()
    files = [{str(p.relative_to(name)) for p in Path(name).rglob("*")} for name in ("camx-out", "one")]
    assert files[0] == files[1]
    # Any other run can continue it.
    before = Path("camx-out/manifest.jsonl").read_bytes()
    assert camx(*words) == 0
    assert "7 of them earlier" in capfd.readouterr().out
    assert len(Path("camx-out/manifest.jsonl").read_bytes()) - len(before) < 1000


@pytest.mark.long
def test_feature_maps_on_two_devices_are_those_of_one(camx: Camx, images: Path) -> None:
    words = ("activations", images, *TINY, "--max-channels", "3", "-b", "1", "-q")
    assert camx(*words, "-o", "one") == 0
    assert camx(*words, "--device", "cpu,cpu", "-o", "two") == 0
    assert Path("two/activations.csv").read_bytes() == Path("one/activations.csv").read_bytes()
    files = [{str(p.relative_to(name)) for p in Path(name).rglob("*")} for name in ("one", "two")]
    assert files[0] == files[1]
    assert "activations/cat/0.jpg.png" in files[0]


@pytest.fixture
def many(tmp_path: Path) -> Path:
    folder = tmp_path / "many"
    folder.mkdir()
    for index in range(120):
        picture(seed=index % 7).save(folder / f"{index:03}.jpg")
    return folder


@pytest.mark.slow
def test_a_device_that_dies_ends_the_run_and_loses_nothing_that_was_done(
    many: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    begun: list[Processes] = []

    class Watched(Processes):
        def __enter__(self) -> Processes:
            begun.append(self)
            return super().__enter__()

    class Killer(Silent):
        def advanced(self, progress: Progress) -> None:
            if progress.done:
                begun[0].all[1].process.kill()

    monkeypatch.setattr(devices, "Processes", Watched)
    spec = ModelSpec("test_resnet", pretrained=False)
    job = ExplainJob(sources=(str(many),), model=spec, output=str(tmp_path / "out"), batch_size=2)
    job = dataclasses.replace(job, explain=ExplainOptions(device="cpu,cpu"))
    with pytest.raises(CamxError, match="process for cpu was ended by SIGKILL"):
        run(job, Killer())
    record = json.loads((tmp_path / "out" / "run.json").read_text())
    done = (tmp_path / "out" / "manifest.jsonl").read_text().splitlines()
    assert (record["state"], len(done)) == ("broken", len({json.loads(line)["image"] for line in done}))
    assert 0 < len(done) < 120
    summary = run(job)
    assert (summary.state, summary.progress.counts["ok"]) == ("finished", 120)
    assert summary.progress.skipped == len(done)


class Meddler(Silent):
    """Stops the second process from outside after its first image, and then performs one other action once."""

    def __init__(self, then: Callable[[], object] = lambda: None) -> None:
        self.begun: list[Processes] = []
        self.warnings: list[str] = []
        self._then = then

    def advanced(self, progress: Progress) -> None:
        if progress.done and self.begun:
            self.begun.pop().all[1].process.send_signal(signal.SIGSTOP)
            self._then()

    def warned(self, message: str) -> None:
        self.warnings.append(message)


def on_two(many: Path, out: Path) -> ExplainJob:
    spec = ModelSpec("test_resnet", pretrained=False)
    return ExplainJob(
        sources=(str(many),), model=spec, output=str(out), batch_size=1, explain=ExplainOptions(device="cpu,cpu")
    )


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> list[Processes]:
    """Contexts of processes that start from now on; their timeouts are short."""
    entered: list[Processes] = []
    enter = Processes.__enter__

    def watched(self: Processes) -> Processes:
        entered.append(self)
        return enter(self)

    monkeypatch.setattr(Processes, "__enter__", watched)
    for name in ("_PATIENCE", "_LAST_MOMENTS"):
        monkeypatch.setattr(f"cam_cli.distributed.processes.{name}", 2.0)
    return entered


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_process_that_is_stopped_from_outside_ends_the_run(
    many: Path, tmp_path: Path, impatient: list[Processes]
) -> None:
    meddler = Meddler()
    meddler.begun = impatient
    with pytest.raises(CamxError, match=r"process for cpu was stopped from outside .* Run the same command again"):
        run(on_two(many, tmp_path / "out"), meddler)
    done = (tmp_path / "out" / "manifest.jsonl").read_text().splitlines()
    assert 0 < len(done) < 120
    assert json.loads((tmp_path / "out" / "run.json").read_text())["state"] == "broken"


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="Windows stops no process")
def test_a_process_that_does_not_end_on_a_signal_is_killed(
    many: Path, tmp_path: Path, impatient: list[Processes]
) -> None:
    stop = Stop()
    meddler = Meddler(lambda: setattr(stop, "signal", signal.SIGINT))
    meddler.begun = impatient
    summary = run(on_two(many, tmp_path / "out"), meddler, stop)
    assert (summary.state, summary.signal) == ("interrupted", signal.SIGINT)
    assert meddler.warnings == ["The process for cpu ignored the signal to end, and was killed."]
    done = (tmp_path / "out" / "manifest.jsonl").read_text().splitlines()
    assert 0 < len(done) < 120
    assert not (tmp_path / "out" / "parts").exists()


@pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="Windows stops no process")
def test_a_process_that_never_takes_its_job_does_not_hold_up_the_end(many: Path, impatient: list[Processes]) -> None:
    """Its job does not fit into a pipe; the run kills it at once."""
    task = task_of(on_two(many, many / "out"))
    inputs = dataclasses.replace(task.find(), passed_over=0, base="x" * (8 << 20))
    with Processes([task.on_device("cpu")], inputs) as processes:
        processes.all[0].process.send_signal(signal.SIGSTOP)
        assert processes.next_message() is None
    assert processes.all[0].process.returncode == -signal.SIGKILL


@pytest.mark.long
def test_a_device_whose_rows_are_lost_is_not_called_finished(
    camx: Camx, images: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    real = devices.merge_rows

    def lose(path: str, parts: list[Shard]) -> list[Shard]:
        Path(path, "parts", "2-of-2", "manifest.jsonl").unlink(missing_ok=True)
        return real(path, parts)

    words = ("explain", images, *TINY, "--device", "cpu,cpu")
    with monkeypatch.context() as patched:
        patched.setattr(devices, "merge_rows", lose)
        assert camx(*words) == 2
    assert "no row although every device has finished (7 images in all)" in capsys.readouterr().err
    assert json.loads(Path("camx-out/run.json").read_text())["state"] == "broken"
    assert camx(*words) == 0
    assert len(Path("camx-out/predictions.csv").read_text().splitlines()) == 8


@pytest.mark.slow
def test_a_process_that_cannot_work_reports_the_reason(
    camx: Camx, images: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = ["explain", images, "--model", "test_resnet", "--no-pretrained", "--device", "cpu,cpu"]
    assert camx(*argv, "--layer", "nowhere") == 2
    assert "nowhere" in capsys.readouterr().err
    assert not Path("camx-out").exists()
    assert camx(*argv, "--shard", "1/2") == 2
    assert "one shard per device" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_no_process_outlives_the_run(many: Path, tmp_path: Path, number: int) -> None:
    """For every kind of end; a signal that can be caught leaves all files complete."""
    argv = ["explain", str(many), "--model", "test_resnet", "--no-pretrained", "--device", "cpu,cpu", "-b", "1"]
    code = "import sys; from cli.main import main; main()"
    parent = subprocess.Popen(
        [sys.executable, "-c", code, *argv, "-o", str(tmp_path / "out")],
        cwd=ROOT,
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
    )
    journals = [tmp_path / "out" / "parts" / f"{n}-of-2" / "manifest.jsonl" for n in (1, 2)]
    _until(lambda: all(path.exists() and path.stat().st_size for path in journals))
    below = children(parent.pid)
    below += [pid for child in below for pid in children(child)]
    assert len(below) >= 4
    parent.send_signal(number)
    parent.communicate()
    _until(lambda: not any(Path(f"/proc/{pid}/stat").exists() and not _is_zombie(pid) for pid in below))
    if number == signal.SIGINT:
        assert parent.returncode == 130
        rows = (tmp_path / "out" / "manifest.jsonl").read_text().splitlines()
        assert 0 < len(rows) < 120
        assert not (tmp_path / "out" / "parts").exists()
        assert json.loads((tmp_path / "out" / "run.json").read_text())["state"] == "interrupted"


def _is_zombie(pid: int) -> bool:
    try:
        return ") Z " in Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return True


def _until(true: Callable[[], Any]) -> None:
    for _ in range(1200):
        if true():
            return
        time.sleep(0.05)
    raise AssertionError(os.times())
