from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from cam_cli.images import worker_process
from cam_cli.outputs import store
from cli.main import run

from .warm_workers import warm_workers

# The networks of the tests are tiny: a second thread only waits.
torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Removes options of the caller's environment, and keeps tests from waiting for a network."""
    for name in list(os.environ):
        if name.startswith("CAMX_") and name != "CAMX_TEST_DATA":
            monkeypatch.delenv(name)


#: Functions that wait for the disk in a real run.
SYNC = store.System.sync


@pytest.fixture(autouse=True, scope="session")
def no_wait_for_the_disk() -> Iterator[None]:
    """Runs inside this process do not wait for the disk, because the tests create tens of thousands of files."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(store.System, "sync", lambda self, descriptor: None)
        yield


@pytest.fixture(autouse=True, scope="session")
def workers_start_at_once() -> Iterator[None]:
    """Forks the workers of runs inside this process, because the tests start thousands; see `real_workers`."""
    with warm_workers():
        yield


@pytest.fixture
def real_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Starts workers as a real run does: each in its own process that imports its libraries."""
    monkeypatch.setattr(worker_process, "subprocess", subprocess)


@pytest.fixture(autouse=True, scope="session")
def hangup_as_in_a_terminal() -> Iterator[None]:
    """Gives SIGHUP its default effect, also if the tests run below `nohup`."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder of real weights and photos; skips tests without it."""
    folder = os.environ.get("CAMX_TEST_DATA")
    if not folder:
        pytest.skip("CAMX_TEST_DATA is not set")
    return Path(folder)


def picture(width: int = 64, height: int = 48, seed: int = 0) -> Image.Image:
    """A smooth coloured image, different for each seed."""
    small = np.random.default_rng(seed).integers(0, 256, (4, 4, 3), dtype=np.uint8)
    return Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC)


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """A folder with seven images in two class folders."""
    folder = tmp_path / "images"
    for index in range(7):
        path = folder / ("cat" if index < 4 else "dog") / f"{index}.{'png' if index % 2 else 'jpg'}"
        path.parent.mkdir(parents=True, exist_ok=True)
        picture(60 + 10 * index, 50, seed=index).save(path)
    return folder


@pytest.fixture
def names(tmp_path: Path) -> Path:
    """A file with the classes of the drawn scenes: their colours, one per line."""
    from tools.tiny_clip import COLOURS

    path = tmp_path / "names.txt"
    path.write_text("\n".join(COLOURS))
    return path


@pytest.fixture
def camx(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """Runs `camx` in this process, in an empty working folder, and returns the exit code."""
    monkeypatch.chdir(tmp_path)

    def call(*argv: object) -> int:
        return run([str(word) for word in argv])

    return call


#: A tiny network with random weights, for runs whose classes do not matter.
TINY = ("--model", "test_resnet", "--no-pretrained", "--device", "cpu")
