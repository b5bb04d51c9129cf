"""A tracker that hangs, fails or has no server never stops a run."""

from __future__ import annotations

import http.server
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cam_cli.errors import CamxError
from cam_cli.tracking import tensorboard_log, wandb_run
from cam_cli.tracking.background import AGAIN, Background, Timeouts
from cam_cli.tracking.tracker import RunInfo

from .conftest import TINY, picture
from .tracking_support import FLAGS, SAMPLES, Camx, Recorder, nobody_logged_in  # noqa: F401 - fixtures are found by their names
from .wandb_reader import read_run

NOBODY = RunInfo("explain", "out", "a run", {}, "0")


SHORT = Timeouts(answer=0.2, start=0.2, finish=0.2)


def test_a_tracker_that_hangs_is_left_behind() -> None:
    said: list[str] = []
    release = threading.Event()

    class Hanging(Recorder):
        def begin(self, about: RunInfo) -> None:
            release.wait()

    tracker = Background(Hanging, "W&B", said.append, timeouts=SHORT)
    tracker.begin(NOBODY)
    for number in range(5000):
        tracker.log({"n": number})
    tracker.finish({}, 0)
    release.set()
    assert said == [f"W&B did not accept everything within 0 s, and camx stopped waiting. {AGAIN}"]


@pytest.mark.parametrize("method", ["begin", "log", "finish"])
def test_a_tracker_that_fails_is_switched_off_with_one_warning(method: str) -> None:
    said: list[str] = []
    recorder = Recorder()

    def broken(*_: object) -> None:
        raise OSError("no space left")

    setattr(recorder, method, broken)
    tracker = Background(lambda: recorder, "W&B", said.append)
    tracker.begin(NOBODY)
    tracker.log({"n": 1})
    tracker.log({"n": 2})
    tracker.finish({}, 0)
    assert said == [f"W&B is switched off: no space left. {AGAIN}"]


def test_whoever_insists_hears_of_it_at_once() -> None:
    def unreachable() -> Recorder:
        raise OSError("no route to host")

    said: list[str] = []
    with pytest.raises(CamxError, match="W&B cannot be reached: no route to host"):
        Background(unreachable, "W&B", said.append, insist=True)
    assert said == []


@pytest.fixture
def silent_server() -> Iterator[str]:
    """The address of a server that accepts connections and sends nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


@pytest.fixture
def no_server() -> str:
    """An address that refuses connections."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return f"http://127.0.0.1:{server.getsockname()[1]}"


def test_a_server_that_refuses_or_is_silent_does_not_answer(silent_server: str, no_server: str) -> None:
    assert not wandb_run._answers(no_server, 0.2)
    assert not wandb_run._answers(silent_server, 0.2)


@pytest.fixture
def mute_server() -> Iterator[str]:
    """The address of a server that answers requests for its page, and nothing else."""
    release = threading.Event()

    class Mute(http.server.BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None: ...

        def do_GET(self) -> None:
            self.send_error(404)

        def do_POST(self) -> None:
            release.wait(60)

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Mute) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        release.set()
        server.shutdown()
        thread.join()


SCRIPT = """
import os, signal, sys
from cam_cli.tracking.background import Background, Timeouts
from cam_cli.tracking.tracker import ImageCell, RunInfo, Step, Table
from cam_cli.tracking.wandb_run import WandbTracker
from cam_cli.tracking.options import WandbOptions
mode, start, picture, how = sys.argv[1:]
timeouts = Timeouts(answer=1, start=float(start), finish=30)
def tell(text): print(text, flush=True)
tracker = Background(lambda: WandbTracker(WandbOptions(mode=mode), tell, tell, timeouts), "W&B", tell, timeouts=timeouts)
tracker.begin(RunInfo("explain", "out", "a run", {"layer": "layer4"}, "0"))
tracker.log({"speed": 3.5}, Step("images", 10))
tracker.log({"table": Table(("picture",), [[ImageCell(picture, 64)]])})
if how == "killed":
    import glob, time
    # W&B writes every 15 s or so.
    while not any(os.path.getsize(path) > 100 for path in glob.glob("out/wandb/offline-run-*/*.wandb")):
        time.sleep(0.1)
    os.kill(os.getpid(), signal.SIGKILL)
tracker.finish({"images": 1}, 0)
"""


def script(tmp_path: Path, *argv: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """A run with figures and an image in its own process."""
    picture(80, 60).save(tmp_path / "picture.png")
    command = [sys.executable, "-c", SCRIPT, *argv[:2], str(tmp_path / "picture.png"), *argv[2:]]
    settings = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1]), **environment}
    return subprocess.run(command, cwd=tmp_path, env=settings, capture_output=True, text=True, timeout=120)


@pytest.mark.parametrize("server", ["no_server", "silent_server", "mute_server"])
@pytest.mark.slow
def test_without_a_server_a_run_is_offline_with_one_warning(
    server: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    url = request.getfixturevalue(server)
    ended = script(tmp_path, "auto", "2", "to the end", WANDB_BASE_URL=url, WANDB_API_KEY="0" * 40)
    (folder,) = (tmp_path / "out" / "wandb").glob("offline-run-*")
    (line,) = ended.stdout.splitlines()
    assert line.startswith("W&B run kept offline (")
    assert line.endswith(f"Upload it with: wandb sync out/wandb/{folder.name}")
    assert ended.returncode == 0
    logged = read_run(folder)
    assert (logged.config["layer"], logged.summary["images"], logged.exit_code) == ("layer4", 1, 0)
    (shown,) = logged.table("table").column("picture")
    with Image.open(shown["file"]) as image:
        assert image.size == (64, 48)
    # The key appears nowhere.
    for path in (tmp_path / "out").rglob("*"):
        assert not path.is_file() or b"0" * 40 not in path.read_bytes(), path


@pytest.mark.slow
def test_a_service_that_holds_the_failed_run_does_not_keep_it_from_being_offline(
    mute_server: str, tmp_path: Path
) -> None:
    """A program that has started W&B, such as a notebook, hands its service on to its child processes."""
    import wandb

    wandb.setup().ensure_service()
    try:
        assert "WANDB_SERVICE" in os.environ
        ended = script(tmp_path, "auto", "2", "to the end", WANDB_BASE_URL=mute_server, WANDB_API_KEY="0" * 40)
    finally:
        wandb.teardown()
    assert ended.stdout.startswith("W&B run kept offline (")
    logged = read_run(tmp_path / ended.stdout.split()[-1])
    assert (logged.summary["images"], logged.exit_code) == (1, 0)


@pytest.mark.slow
def test_a_killed_run_can_be_read(tmp_path: Path) -> None:
    assert script(tmp_path, "offline", "2", "killed").returncode == -signal.SIGKILL
    (folder,) = (tmp_path / "out" / "wandb").glob("offline-run-*")
    logged = read_run(folder)
    assert logged.config["layer"] == "layer4"
    assert logged.history[0]["speed"] == 3.5
    assert logged.history[0]["images"] == 10
    assert logged.summary.get("images") != 1


@pytest.mark.slow
def test_wandb_is_imported_only_when_asked_for(tmp_path: Path) -> None:
    code = (
        "import sys; from cli.main import run; "
        f"assert run(['explain', {str(SAMPLES / 'cat.jpg')!r}, '--model', 'demo', '-q']) == 0; "
        "assert not [name for name in ('wandb', 'tensorboard') if name in sys.modules]"
    )
    settings = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=settings, check=True, timeout=120)


@pytest.mark.slow
def test_more_images_than_wandb_takes_at_once_survive(camx: Camx, tmp_path: Path) -> None:
    """W&B drops all beyond 108 images of one name and step; tables do not."""
    for index in range(130):
        picture(40, 30, seed=index).save(tmp_path / f"{index:03}.png")
    assert camx("explain", *sorted(tmp_path.glob("*.png")), *TINY, *FLAGS, "-o", "out") == 0
    (folder,) = Path("out/wandb").glob("offline-run-*")
    table = read_run(folder).table("explanations")
    for name, shown in zip(table.column("path"), table.column("image"), strict=True):
        with Image.open(tmp_path / name) as original, Image.open(shown["file"]) as logged:
            difference = np.abs(np.asarray(original, dtype=float) - np.asarray(logged, dtype=float))
            assert difference.mean() < 6
    assert len(table.rows) == 130


def test_online_insists_before_anything_is_done(
    camx: Camx, no_server: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = ("explain", SAMPLES, "--model", "no such model", "--wandb", "--wandb-mode", "online")
    assert camx(*argv) == 2
    assert "W&B cannot be reached: no API key" in capsys.readouterr().err
    assert not Path("camx-out").exists()


def test_modes_and_missing_packages_are_explained(
    camx: Camx, images: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert camx("explain", images, *TINY, "--wandb", "--wandb-mode", "ofline") == 2
    assert "--wandb-mode 'ofline' is unknown. Did you mean offline" in capsys.readouterr().err
    monkeypatch.setattr(tensorboard_log, "find_spec", lambda name: None)
    assert camx("explain", images, *TINY, "--tensorboard") == 2
    assert "pip install 'camx[tensorboard]'" in capsys.readouterr().err
    assert camx("push", images) == 2
    assert "Give --wandb or --tensorboard" in capsys.readouterr().err
    assert camx("push", images, "--wandb") == 2
    assert (
        "holds no results of `camx explain`, `activations`, `evaluate`, `caption`, `ask` or `train-gap`"
        in capsys.readouterr().err
    )
    assert camx("push", "nowhere", "--wandb") == 2
    assert "There is no folder 'nowhere'" in capsys.readouterr().err


def test_images_open_also_where_pillow_lacks_a_format(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from cam_cli.images import decode
    from cam_cli.tracking.pictures import open_small

    Image.new("RGB", (8, 6)).save(tmp_path / "x.webp")
    Image.init()
    monkeypatch.delitem(Image.OPEN, "AVIF", raising=False)
    decode.readable_formats.cache_clear()
    try:
        assert open_small(str(tmp_path / "x.webp"), 512).size == (8, 6)
    finally:
        decode.readable_formats.cache_clear()
