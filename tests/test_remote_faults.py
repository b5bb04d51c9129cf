"""The loop of faults for results in an object store: every single call to it fails once, or from then on."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import pytest

from cam_cli.errors import CamxError
from cam_cli.images import remote as images_remote
from cam_cli.outputs import remote

from . import stub
from .stub import content, run_stub
from .test_faults import IMAGES, PAGE

OUT = "memory://faults/out"


class FaultyStore:
    """The file system of a store whose `at`-th call fails: `once`, `for good`, or for good with an error that retries
    do not solve (`denied`). A call that fails may have succeeded on the server (`done, then failed`)."""

    def __init__(self, at: int = 0, mode: str = "") -> None:
        self.at, self.mode, self.count, self.real = at, mode, 0, fsspec.filesystem("memory")

    def _called(self, name: str, *arguments: Any, **options: Any) -> Any:
        self.count += 1
        lasting = self.mode in ("for good", "denied")
        hit = self.at and (self.count == self.at or (lasting and self.count > self.at))
        if not hit:
            return getattr(self.real, name)(*arguments, **options)
        if self.mode == "done, then failed":
            getattr(self.real, name)(*arguments, **options)
        raise PermissionError("denied") if self.mode == "denied" else ConnectionError("the connection is gone")

    def __getattr__(self, name: str) -> Any:
        if name in ("rm_file", "find", "cat_file", "pipe_file", "put_file"):
            return lambda *arguments, **options: self._called(name, *arguments, **options)
        return getattr(self.real, name)


class CopiesNoLastRow(FaultyStore):
    """Denies the copy of a journal with so many rows, and every call from then on."""

    def __init__(self, rows: int) -> None:
        super().__init__(mode="denied")
        self.rows = rows

    def _called(self, name: str, *arguments: Any, **options: Any) -> Any:
        if name == "put_file" and str(arguments[1]).endswith("manifest.jsonl") and not self.at:
            whole = len(Path(arguments[0]).read_bytes().splitlines()) == self.rows
            self.at = self.count + 1 if whole else 0
        return super()._called(name, *arguments, **options)


@pytest.fixture
def stubs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(images_remote, "_PAUSE", 0.0)
    monkeypatch.setattr(remote, "_INTERVAL", 0.0)
    folder = tmp_path / "images"
    folder.mkdir()
    for name in IMAGES[:6] + IMAGES[-1:]:
        (folder / name).write_bytes(b"-")
    yield folder
    emptied()


def emptied() -> None:
    there = fsspec.filesystem("memory")
    if there.exists("/faults"):
        there.rm("/faults", recursive=True)


def stored() -> dict[str, bytes]:
    there = fsspec.filesystem("memory")
    return {name.removeprefix("/faults/out/"): there.cat_file(name) for name in there.find("/faults/out")}


def stable() -> dict[str, bytes]:
    files = stored()
    lines = files.pop("manifest.jsonl", b"").splitlines()
    files["run.json"] = json.dumps(json.loads(files["run.json"])["state"]).encode()
    if PAGE in files:
        files[PAGE] = files[PAGE][-8:]
    return files | {f"row of {json.loads(line)['image']}": line for line in lines}


def run_on(store: FaultyStore, images: Path, monkeypatch: pytest.MonkeyPatch, **more: Any) -> str:
    with monkeypatch.context() as patched:
        patched.setattr(remote, "filesystem", lambda _: store)
        try:
            return run_stub(images, OUT, **more).state  # type: ignore[arg-type]
        except CamxError:
            return "error"


def rows_without_files() -> list[str]:
    files = stored()
    rows = [json.loads(line) for line in files.get("manifest.jsonl", b"").splitlines()]
    named = [name for row in rows for one in row.get("maps", ()) for name in (one["overlay"], one["heatmap"])]
    wrong = [
        name
        for name in named
        if name.startswith("overlays")
        and files.get(name) != content(name.removeprefix("overlays/").removesuffix(".png"), "overlay")
    ]
    return [name for name in named if name not in files] + wrong


def check_loop(images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int, *, report: bool) -> int:
    emptied()
    clean = FaultyStore()
    assert run_on(clean, images, monkeypatch, report=report) == "finished"
    expected = stable()
    modes = ["once", "done, then failed", "for good", "denied"]
    cases = [(mode, at) for mode in modes for at in range(1, clean.count + 1)][::step]
    for number, (mode, at) in enumerate(cases):
        emptied()
        shutil.rmtree(tmp_path / "cache", ignore_errors=True)
        state = run_on(FaultyStore(at, mode), images, monkeypatch, report=report)
        if mode in ("once", "done, then failed"):
            assert state == "finished", (mode, at, "it is tried again")
        assert not rows_without_files(), (mode, at)
        if number % 2:
            # Another machine continues.
            shutil.rmtree(tmp_path / "cache", ignore_errors=True)
        assert run_on(FaultyStore(), images, monkeypatch, report=report) == "finished", (mode, at)
        assert stable() == expected, (mode, at)
    return len(cases)


def test_any_call_to_a_store_may_fail(stubs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A sample of the cases of the test below."""
    assert check_loop(stubs, tmp_path, monkeypatch, step=5, report=True) > 15


@pytest.mark.slow
@pytest.mark.parametrize("report", [True, False])
def test_every_call_to_a_store_may_fail(
    report: bool, stubs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    number = check_loop(stubs, tmp_path, monkeypatch, step=1, report=report)
    print(f"\n{number} faults of a store")
    assert number >= 80


def test_a_store_that_is_lost_while_rows_are_copied_loses_none(
    stubs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The local journal continues at the end of the copy in the store."""
    rendered: list[str] = []
    store = CopiesNoLastRow(len(list(stubs.iterdir())))
    assert run_on(store, stubs, monkeypatch, report=False) == "error"
    assert store.at, "all rows were there when the store was lost"

    def counted(result: stub.Result) -> Any:
        rendered.append(result.picture.source.key)
        return stub.rendered(result)

    assert run_on(FaultyStore(), stubs, monkeypatch, report=False, render=counted) == "finished"
    assert rendered == []
