"""Signals and kills: finished results stay, no process survives, and the command, repeated, continues."""

from __future__ import annotations

import contextlib
import csv
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cam_cli.pipeline.stop import Stop

from .conftest import TINY, picture
from .test_workers import children, gone

ROOT = str(Path(__file__).parents[1])
#: A run whose decoders hang on images named `hang…`.
FAULTY = "from cam_cli.pipeline import explain; from tests.faults import faulty_load; explain.load = faulty_load"


@contextlib.contextmanager
def start(images: Path, cwd: Path, *argv: str, before: str = "pass") -> Iterator[subprocess.Popen[str]]:
    """`camx explain` in its own process, which ends with the block."""
    script = f"{before}\nimport sys\nfrom cli.main import main\nsys.exit(main())"
    process = subprocess.Popen(
        [sys.executable, "-c", script, "explain", str(images), *argv],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": ROOT},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def wait_for(what: Callable[[], object], seconds: float = 90) -> None:
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def lines(out: Path) -> list[bytes]:
    """The whole lines of the journal."""
    journal = out / "manifest.jsonl"
    data = journal.read_bytes() if journal.exists() else b""
    return [line for line in data.splitlines(keepends=True) if line.endswith(b"\n")]


@pytest.fixture
def hanging(tmp_path: Path) -> Path:
    """Three images, and then two whose decoder hangs."""
    folder = tmp_path / "in"
    folder.mkdir()
    for name in ("a.png", "b.png", "c.png", "hang1.png", "hang2.png"):
        picture().save(folder / name)
    return folder


@pytest.mark.skipif(sys.platform != "linux", reason="looks for children in /proc")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143)])
@pytest.mark.long
def test_a_signal_ends_a_run_whose_decoders_hang(
    hanging: Path, tmp_path: Path, number: signal.Signals, code: int
) -> None:
    argv = (*TINY, "-b", "1", "-j", "2", "--image-timeout", "0")
    with start(hanging, tmp_path, *argv, before=FAULTY) as process:
        wait_for(lambda: len(list(tmp_path.glob("camx-out/overlays/*.png"))) == 3)
        workers = children(process.pid)
        assert len(workers) == 4, "two that decode, two that draw"
        began = time.monotonic()
        process.send_signal(number)
        printed, _ = process.communicate(timeout=30)
    assert process.returncode == code
    assert time.monotonic() - began < 25, "on a machine that does nothing else it takes a tenth of a second"
    assert "interrupted: the same command continues" in printed
    assert all(map(gone, workers))
    with open(tmp_path / "camx-out" / "predictions.csv", newline="") as file:
        assert [row["status"] for row in csv.DictReader(file)] == ["ok"] * 3
    assert json.loads((tmp_path / "camx-out" / "run.json").read_text())["state"] == "interrupted"


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="there is no SIGHUP here")
@pytest.mark.long
def test_a_hangup_ends_a_run_as_a_signal_does_also_when_it_comes_twice(hanging: Path, tmp_path: Path) -> None:
    """A closed terminal sends SIGHUP, and its shell sends it once more; neither stream can be written."""
    argv = (*TINY, "-b", "1", "-j", "2", "--image-timeout", "0")
    with start(hanging, tmp_path, *argv, before=FAULTY) as process:
        wait_for(lambda: len(list(tmp_path.glob("camx-out/overlays/*.png"))) == 3)
        assert process.stdout is not None
        process.stdout.close()
        for _ in range(3):
            process.send_signal(signal.SIGHUP)
        process.wait(timeout=30)
    assert process.returncode == 129
    with open(tmp_path / "camx-out" / "predictions.csv", newline="") as file:
        assert [row["status"] for row in csv.DictReader(file)] == ["ok"] * 3
    assert json.loads((tmp_path / "camx-out" / "run.json").read_text())["state"] == "interrupted"


def test_handlers_of_a_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """SIGHUP is never a second signal, and stays ignored below `nohup`."""
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = [signal.getsignal(number) for number in numbers]
    monkeypatch.setattr(os, "_exit", lambda code: ended.append(code))
    ended: list[int] = []
    with Stop() as stop:
        os.kill(os.getpid(), signal.SIGHUP)
        assert stop.signal == signal.SIGHUP
        os.kill(os.getpid(), signal.SIGHUP)
        assert ended == []
        os.kill(os.getpid(), signal.SIGTERM)
        assert ended == [143]
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with Stop() as stop:
            os.kill(os.getpid(), signal.SIGHUP)
            assert stop.signal is None
    finally:
        signal.signal(signal.SIGHUP, before[2])
    assert [signal.getsignal(number) for number in numbers] == before


#: A run whose files never finish encoding: the first signal waits for files that are being written.
STUCK = """
import time
from cam_cli.pipeline.loop import Loop
Loop._written = lambda self, *_: time.sleep(1000)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="looks for children in /proc")
def test_a_second_signal_is_immediate(hanging: Path, tmp_path: Path) -> None:
    with start(hanging / "a.png", tmp_path, *TINY, before=STUCK) as process:
        wait_for(lambda: (tmp_path / "camx-out" / "manifest.jsonl").exists())
        workers = children(process.pid)
        assert len(workers) == 2
        time.sleep(1)
        process.send_signal(signal.SIGINT)
        time.sleep(0.5)
        assert process.poll() is None
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=10)
    assert process.returncode == 130
    assert all(map(gone, workers))


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="looks for children in /proc")
def test_twenty_kills_at_any_time(tmp_path: Path) -> None:
    """`kill -9` at twenty random times, each time continued: the end equals an undisturbed run."""
    folder, out = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    for index in range(400):
        picture(200 + index % 50, 150, index).save(folder / f"{index:03}.jpg")
    (folder / "150.jpg").write_bytes(b"\xff\xd8\xff broken")
    argv = ("--model", "demo", "--save", "overlay,heatmap", "-j", "2", "-b", "4")
    chance, kills, while_at_work, survivors = random.Random(0), 0, 0, list[int]()
    while kills < 20:
        done = len(lines(out))
        with start(folder, tmp_path, *argv, "-o", str(out)) as process:
            # Half of the kills come at any time, also before the first image; the others during the work.
            while kills % 2 and process.poll() is None and len(lines(out)) == done:
                time.sleep(0.02)
            time.sleep(chance.uniform(0, 0.3 if kills % 2 else 4))
            if process.poll() is None:
                survivors += children(process.pid)
                kills += 1
        while_at_work += len(lines(out)) > done
        assert not unfinished(out)
        if process.returncode in (0, 1):
            (out / "overlays" / f"{chance.randrange(140):03}.jpg.png").unlink()
    assert all(map(gone, survivors))
    assert while_at_work >= 5
    with start(folder, tmp_path, *argv, "-o", str(out)) as last:
        last.communicate()
    with start(folder, tmp_path, *argv, "-o", str(tmp_path / "undisturbed")) as other:
        other.communicate()
    assert last.returncode == other.returncode == 1, "one image is broken"
    assert (out / "predictions.csv").read_bytes() == (tmp_path / "undisturbed" / "predictions.csv").read_bytes()
    for path in (tmp_path / "undisturbed").rglob("*.png"):
        # Other batches round differently: by a level of the map, which is some levels of a colour.
        with Image.open(path) as wanted, Image.open(out / path.relative_to(tmp_path / "undisturbed")) as found:
            assert np.abs(np.asarray(wanted, np.int16) - np.asarray(found, np.int16)).max() <= 8
    assert len(list(out.rglob("*.*"))) == len(list((tmp_path / "undisturbed").rglob("*.*")))


#: A run with a timeout of a fifth of a second for stopped workers.
IMPATIENT = """
from cam_cli.images import worker_process, workers
worker_process._PAUSE, workers._LOOK = 0.2, 0.05
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="looks for children in /proc")
def test_a_storm_of_signals_on_workers(tmp_path: Path) -> None:
    """Kills and stops workers at any moment, also while they start: every row is true, and the next run completes
    all."""
    folder, out = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    for index in range(300):
        picture(200 + index % 50, 150, index).save(folder / f"{index:03}.jpg")
    argv = ("--model", "demo", "-j", "3", "-b", "4", "-q")
    with start(folder, tmp_path, *argv, "-o", str(tmp_path / "undisturbed")) as process:
        process.communicate()
    chance, sent = random.Random(0), dict.fromkeys((signal.SIGKILL, signal.SIGSTOP), 0)
    with start(folder, tmp_path, *argv, "-o", str(out), before=IMPATIENT) as process:
        while process.poll() is None:
            with contextlib.suppress(OSError, IndexError):
                number = chance.choice(list(sent))
                os.kill(chance.choice(children(process.pid)), number)
                sent[number] += 1
            time.sleep(chance.uniform(0.05, 0.5))
        _, said = process.communicate()
    print(f"\n{sent[signal.SIGKILL]} workers killed, {sent[signal.SIGSTOP]} stopped")
    # On a slow machine a worker may be killed five times in a row while it starts.
    assert process.returncode in (0, 1) or "A process for decoding images could not be started" in said
    assert "Traceback" not in said
    wanted, found = (
        {row["image"]: row for row in map(json.loads, lines(path))} for path in (tmp_path / "undisturbed", out)
    )
    assert found.keys() == wanted.keys() or process.returncode == 2
    for image, row in found.items():
        if row["status"] == "ok":
            assert row["top"][0]["index"] == wanted[image]["top"][0]["index"]
            assert abs(row["top"][0]["prob"] - wanted[image]["top"][0]["prob"]) < 1e-5
        else:
            assert "was ended by SIGKILL" in row["error"] or "was stopped from outside" in row["error"], row
    failed = sum(row["status"] == "failed" for row in found.values())
    print(f"{failed} of {len(found)} images failed, each with two workers")
    assert sum(sent.values()) >= 20
    with start(folder, tmp_path, *argv, "-o", str(out)) as process:
        process.communicate()
    assert process.returncode == 0


def unfinished(out: Path) -> list[str]:
    """Images without their last bytes."""
    return [path.name for path in out.rglob("*.png") if not path.read_bytes().endswith(b"IEND\xaeB`\x82")]
