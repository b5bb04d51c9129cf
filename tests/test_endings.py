"""The end of `camx explain`: gates, JUnit, the browser, and time limits."""

from __future__ import annotations

import json
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from cam_cli.parsers import seconds
from cam_cli.pipeline import Stop
from cam_cli.pipeline.stop import Dropped
from cli import entry
from cli.main import run

from .conftest import TINY, picture

Camx = Callable[..., int]
LABELLED = (*TINY, "--labels", "folder", "--class-names", "names.txt", "-b", "2", "--no-report")


@pytest.fixture
def labelled(images: Path, tmp_path: Path) -> Path:
    """Seven images with labels that a network of random weights never predicts."""
    names = ["cat", "dog", *(f"other {number}" for number in range(998))]
    (tmp_path / "names.txt").write_text("\n".join(names))
    return images


def test_a_gate_fails_a_run(
    camx: Camx, labelled: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "summary.md"))
    gate = ("--fail-if", "accuracy < 90%", "--fail-if", "cam_area < 0")
    assert camx("explain", labelled, *LABELLED, *gate, "--junit", "camx.xml") == 1
    told = capsys.readouterr().out
    assert "FAIL accuracy < 90%: accuracy: all images 0.0 % (n = 7)" in told
    assert "PASS cam_area < 0:" in told
    assert "| ❌ fail | accuracy" in (tmp_path / "summary.md").read_text()
    suite = ElementTree.parse(tmp_path / "camx.xml").getroot()
    assert (suite.get("tests"), suite.get("failures")) == ("3", "1")
    assert camx("explain", labelled, *LABELLED, *gate, "-q") == 1
    quiet = capsys.readouterr()
    assert (quiet.out, quiet.err.count("FAIL accuracy < 90%")) == ("", 1)
    assert camx("explain", labelled, *LABELLED, *gate, "--json") == 1
    assert [one["verdict"] for one in json.loads(capsys.readouterr().out)["gates"]] == ["fail", "pass"]


def test_a_gate_that_no_run_can_meet_is_refused_before_the_run(
    camx: Camx, images: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for text, told in [("acuracy < 0.9", "Did you mean accuracy"), ("accuracy", "is no condition")]:
        assert camx("explain", images, *TINY, "--fail-if", text) == 2
        assert told in capsys.readouterr().err
    assert camx("explain", images, *TINY, "--fail-if", "accuracy < 1", "--shard", "1/2") == 2
    assert "--fail-if needs all images" in capsys.readouterr().err
    assert not Path("camx-out").exists()


def test_junit_names_the_failed_images(camx: Camx, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    picture().save(tmp_path / "in" / "good.png")
    (tmp_path / "in" / "bad.png").write_bytes(b"no image")
    assert camx("explain", "in", *TINY, "-q", "--junit", "camx.xml", "--no-report") == 1
    cases = list(ElementTree.parse(tmp_path / "camx.xml").getroot().iter("testcase"))
    assert [case.get("name") for case in cases] == ["1 image explained", "bad.png"]
    (failure,) = cases[1]
    assert "image" in (failure.get("message") or "")


def test_the_report_is_opened(
    camx: Camx, images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []

    def open_it(address: str) -> bool:
        opened.append(address)
        return False

    monkeypatch.setattr("webbrowser.open", open_it)
    assert camx("explain", images, *TINY, "--open") == 0
    assert "No browser could be started" in capsys.readouterr().err
    assert camx("report", "camx-out", "--open") == 0
    assert opened == [(tmp_path / "camx-out/report/index.html").as_uri()] * 2
    assert camx("explain", images, *TINY, "--open", "--no-report") == 0
    assert "There is no page" in capsys.readouterr().err


def test_a_run_stops_at_its_time_and_goes_on(
    camx: Camx, labelled: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The limit is reached between two batches."""
    from cam_cli.outputs.folder import OutputFolder

    started: list[threading.Timer] = []
    append = OutputFolder.append
    monkeypatch.setattr(threading.Timer, "start", lambda timer: started.append(timer))

    def append_and_time_out(folder: OutputFolder, rows: Any) -> None:
        append(folder, rows)
        if rows:
            for timer in started:
                timer.function()
            started.clear()

    monkeypatch.setattr(OutputFolder, "append", append_and_time_out)
    assert camx("explain", labelled, *LABELLED, "--time-limit", "1h", "-j", "1") == 128 + signal.SIGTERM
    assert "The time limit is reached. Run the same command again to continue." in capsys.readouterr().err
    assert json.loads(Path("camx-out/run.json").read_text())["state"] == "interrupted"
    done = len(Path("camx-out/manifest.jsonl").read_text().splitlines())
    assert 0 < done < 7
    assert camx("explain", labelled, *LABELLED) == 0
    assert f"{done} of them" in capsys.readouterr().out


def test_a_limit_drops_what_has_not_begun_and_ends_with_the_run() -> None:
    with pytest.raises(Dropped), Stop(0.01) as stop, stop.droppable():
        time.sleep(30)
    assert (stop.signal, stop.timed_out) == (signal.SIGTERM, True)
    with Stop(3600) as stop:
        pass
    assert not stop.timed_out
    timers = [thread for thread in threading.enumerate() if isinstance(thread, threading.Timer)]
    assert all(timer.finished.is_set() for timer in timers)


@pytest.mark.parametrize(
    ("text", "value"), [("90", 90), ("90s", 90), ("1.5m", 90), ("2h", 7200), ("1h30m", 5400), ("1h30m5s", 5405)]
)
def test_times(text: str, value: float) -> None:
    assert seconds(text) == value
    for wrong in ("", "0", "-1", "1d", "m", "1m1h"):
        with pytest.raises(ValueError, match="give a time"):
            seconds(wrong)


def test_ctrl_c_while_the_commands_are_made(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(**_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("cli.main._program", lambda: interrupted)
    assert run(["doctor"]) == 130


def test_ctrl_c_while_the_commands_are_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("cli.main.main", interrupted)
    monkeypatch.delenv("_CAMX_COMPLETE", raising=False)
    with pytest.raises(SystemExit) as ended:
        entry.main()
    assert ended.value.code == 130
