"""The loop of faults for commands that read a finished folder, and for a merge of parts."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from cam_cli.outputs import store
from cam_cli.outputs.run_folder import RunFolder
from cam_cli.tracking.publish import push
from cam_cli.tracking.tracker import RunInfo, Scalar, Step, Value
from cli.main import run

from .conftest import TINY, picture
from .run_folders import csv_file, image_row, run_folder
from .test_faults import Faulty, tree
from .wandb_reader import read_finished_run

#: W&B leaves the folder of an artifact that could not be logged to the garbage collection, which may run in any test.
pytestmark = pytest.mark.filterwarnings("ignore:Implicitly cleaning up:ResourceWarning")

MODES = ["kill", "ENOSPC", "EIO", "EACCES", "ENOSPC for good"]
#: Commands, and the least number of operations on the disk of each.
COMMANDS: dict[str, tuple[str, ...]] = {
    "report": ("report", "run"),
    "audit": ("audit", "run", "--by", "class", "--junit", "gates.xml"),
    "compare": ("compare", "other", "run", "--junit", "gates.xml"),
    "evaluate": ("evaluate", "run", "--truth", "boxes.csv", "--junit", "gates.xml"),
    "export": ("export", "run", "--format", "coco,yolo,csv"),
    "push": ("push", "run", "--tensorboard"),
    "merge": ("merge", "parts"),
}


WANDB = ("push", "run", "--wandb", "--wandb-mode", "offline")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two finished runs, a run in two shards that are not merged, and the truth."""
    here = tmp_path_factory.mktemp("made")
    for name, predicted in (("run", 1), ("other", 0)):
        rows = [image_row(f"a/{n}.jpg", n % 2, predicted if n == 3 else n % 2) for n in range(6)]
        run_folder(here / name, rows)
    csv_file(
        here / "boxes.csv",
        [
            ["image", "class", "left", "top", "right", "bottom"],
            *[[f"a/{n}.jpg", "cat", 5, 5, 20, 20] for n in range(6)],
        ],
    )
    for number in range(6):
        (here / "images").mkdir(exist_ok=True)
        picture(seed=number).save(here / "images" / f"{number}.png")
    argv = ["explain", str(here / "images"), *TINY, "-q", "-j", "1", "-o", str(here / "parts"), "--shard"]
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(import_module("cam_cli.distributed.run"), "may_be_complete", lambda *_: False)
        assert [run([*argv, f"{number}/2"]) for number in (1, 2)] == [0, 0]
    return here


@pytest.fixture
def here(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def fresh(made: Path, here: Path) -> None:
    for path in here.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    shutil.copytree(made, here, dirs_exist_ok=True)


def stable(here: Path) -> dict[str, bytes]:
    """The files without their time-dependent parts: of records and pages only whether they are whole, of trackers
    nothing."""
    kept = {
        name: data
        for name, data in tree(here).items()
        if not name.startswith(("run/tensorboard", "run/wandb", "run/.wandb"))
    }
    for name, data in kept.items():
        if name.endswith(("run.json", "coco.json")):
            kept[name] = str(sorted(json.loads(data))).encode()
        elif name.endswith(".html"):
            kept[name] = data[-8:]
        elif name.endswith("manifest.jsonl"):
            kept[name] = b"".join(sorted(data.splitlines(keepends=True)))
    return kept


def half_written(here: Path) -> list[str]:
    ends = {".html": b"</html>", ".json": b"}\n", ".csv": b"\n", ".xml": b">\n", ".png": b"IEND\xaeB`\x82"}
    found = [path for path in here.rglob("*.*") if path.suffix in ends and path.is_file()]
    return [
        path.name for path in found if not path.read_bytes().rstrip(b"\n").endswith(ends[path.suffix].rstrip(b"\n"))
    ]


def run_on(disk: Faulty, argv: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> int:
    with monkeypatch.context() as patched:
        patched.setattr(store, "system", disk)
        try:
            return run(list(argv))
        finally:
            for descriptor in disk.open_files:
                os.close(descriptor)


def check_writing(command: str, made: Path, here: Path, monkeypatch: pytest.MonkeyPatch, step: int) -> int:
    """Returns the number of faults. After each, the command names the fault, and repeated repairs everything."""
    argv, clean = COMMANDS[command], Faulty()
    fresh(made, here)
    code = run_on(clean, argv, monkeypatch)
    assert code in (0, 1)
    expected = stable(here)
    assert clean.count > 0 or command == "push"
    cases = [(mode, at) for mode in MODES for at in range(1, clean.count + 1)][::step]
    for mode, at in cases:
        fresh(made, here)
        broken = run_on(Faulty(at, mode), argv, monkeypatch)
        assert broken in (2, code), (mode, at)
        assert not half_written(here), (mode, at)
        assert run_on(Faulty(), argv, monkeypatch) == code, (mode, at)
        if command == "merge" and broken == code:
            # An unwritable page is a warning that names this command.
            assert run(["report", "parts"]) == 0
        left = {name: data for name, data in stable(here).items() if not name.endswith(store.TEMPORARY)}
        assert left == expected, (mode, at)
    return len(cases)


class FaultyReads:
    """Opening the `at`-th file below a folder fails."""

    def __init__(self, folder: Path, at: int = 0) -> None:
        self.folder, self.at, self.count, self.real = str(folder), at, 0, os.open

    def __call__(self, path: str, flags: int, *more: int, **also: Any) -> int:
        if str(path).startswith(("run/", "other/", "parts/", self.folder)) and not flags & os.O_CREAT:
            self.count += 1
            if self.count == self.at:
                raise OSError(errno.EIO, "Input/output error")
        return self.real(path, flags, *more, **also)


def check_reading(command: str, made: Path, here: Path, monkeypatch: pytest.MonkeyPatch, step: int) -> int:
    def read_on(reads: FaultyReads) -> int:
        with monkeypatch.context() as patched:
            patched.setattr(os, "open", reads)
            return run(list(COMMANDS[command]))

    fresh(made, here)
    clean = FaultyReads(here)
    code = read_on(clean)
    expected = stable(here)
    assert clean.count > 0
    places = range(1, clean.count + 1, step)
    for at in places:
        fresh(made, here)
        before = tree(here / "run")
        broken = read_on(FaultyReads(here, at))
        assert broken in (2, code), at
        kept = tree(here / "run")
        assert {name: kept[name] for name in ("manifest.jsonl", "run.json")} == {
            name: before[name] for name in ("manifest.jsonl", "run.json")
        }
        assert not half_written(here), at
        assert run(list(COMMANDS[command])) == code, at
        if command == "merge" and broken == code:
            assert run(["report", "parts"]) == 0
        left = {name: data for name, data in stable(here).items() if not name.endswith(store.TEMPORARY)}
        assert left == expected, at
    return len(places)


@pytest.fixture
def quiet(capsys: pytest.CaptureFixture[str]) -> Callable[[], str]:
    return lambda: capsys.readouterr().err


@pytest.mark.parametrize("command", COMMANDS)
def test_a_reader_on_a_disk_that_fails(
    command: str, made: Path, here: Path, monkeypatch: pytest.MonkeyPatch, quiet: Callable[[], str]
) -> None:
    """A sample of the cases of the test below."""
    check_writing(command, made, here, monkeypatch, step=37 if command == "merge" else 19)
    check_reading(command, made, here, monkeypatch, step=17)
    assert "Traceback" not in quiet()


def test_a_push_that_fails_closes_the_run_of_its_tracker(made: Path) -> None:
    class Refusing:
        ended: int | None = None

        def begin(self, info: RunInfo) -> None: ...

        def log(self, values: Mapping[str, Value], at: Step | None = None) -> None:
            raise OSError(errno.EIO, "Input/output error")

        def finish(self, summary: Mapping[str, Scalar], exit_code: int) -> None:
            self.ended = exit_code

    tracker = Refusing()
    with pytest.raises(OSError, match="Input/output error"):
        push(RunFolder.read(str(made / "run")), tracker, 10, print)
    assert tracker.ended == 1


@pytest.fixture
def nobody_logged_in(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("WANDB_API_KEY", "WANDB_MODE", "WANDB_DATA_DIR", "WANDB_PROJECT", "WANDB_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    settings = tmp_path_factory.mktemp("wandb")
    monkeypatch.setenv("NETRC", str(settings / "netrc"))
    monkeypatch.setenv("WANDB_CONFIG_DIR", str(settings))


@pytest.mark.slow
@pytest.mark.usefixtures("nobody_logged_in")
def test_every_operation_of_a_push_to_wandb_may_fail(
    made: Path, here: Path, monkeypatch: pytest.MonkeyPatch, quiet: Callable[[], str]
) -> None:
    monkeypatch.setitem(COMMANDS, "push", WANDB)
    writes = check_writing("push", made, here, monkeypatch, step=1)
    reads = check_reading("push", made, here, monkeypatch, step=1)
    assert "Traceback" not in quiet()
    print(f"\npush to W&B: {writes} faults of writing, {reads} of reading")


@pytest.mark.slow
@pytest.mark.usefixtures("nobody_logged_in")
def test_a_push_may_be_killed_at_any_time(made: Path, here: Path) -> None:
    """Eight times; then it goes through, and the folder of the run is as it was."""
    fresh(made, here)
    before, chance, kills = stable(here), random.Random(0), 0
    while kills < 8:
        with start_push(here) as process:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(chance.uniform(0.5, 6))
            kills += process.poll() is None
            process.kill()
    with start_push(here) as process:
        assert process.wait(120) == 0
    newest = max((here / "run" / "wandb").glob("offline-run-*"))
    logged = read_finished_run(newest)
    assert logged.exit_code == 0
    assert set(logged.table("explanations").column("path")) == {f"a/{number}.jpg" for number in range(6)}
    assert stable(here) == before


def start_push(here: Path) -> subprocess.Popen[bytes]:
    root = str(Path(__file__).parents[1])
    argv = [sys.executable, "-m", "cli.main", *WANDB, "-q"]
    return subprocess.Popen(argv, cwd=here, env={**os.environ, "PYTHONPATH": root}, start_new_session=True)


@pytest.mark.slow
@pytest.mark.parametrize("command", COMMANDS)
def test_every_operation_of_a_reader_may_fail(
    command: str, made: Path, here: Path, monkeypatch: pytest.MonkeyPatch, quiet: Callable[[], str]
) -> None:
    writes = check_writing(command, made, here, monkeypatch, step=1)
    reads = check_reading(command, made, here, monkeypatch, step=1)
    assert "Traceback" not in quiet()
    print(f"\n{command}: {writes} faults of writing, {reads} of reading")
