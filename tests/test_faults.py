"""Every single operation on the disk fails once, in every way; then the command, repeated, must repair everything."""

from __future__ import annotations

import errno
import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from cam_cli.errors import CamxError
from cam_cli.outputs import store

from .stub import content, run_stub

IMAGES = [f"{index:02}.jpg" for index in range(16)] + ["17bad.jpg"]


class Faulty(store.System):
    """A disk whose `at`-th operation fails: by `kill`, which stops everything, or with an error, once or from then on.
    Tears the file that is being written."""

    def __init__(self, at: int = 0, mode: str = "") -> None:
        self.at, self.mode, self.count = at, mode, 0
        self.open_files: set[int] = set()

    def _operation(self, torn: tuple[int, bytes] | None = None) -> None:
        self.count += 1
        kind, _, how = self.mode.partition(" ")
        lasting = kind == "kill" or how == "for good"
        if not self.at or self.count < self.at or (self.count > self.at and not lasting):
            return
        if torn is not None and self.count == self.at:
            os.write(torn[0], torn[1][: len(torn[1]) // 2])
        raise OSError(errno.EIO if kind == "kill" else getattr(errno, kind), kind)

    def open(self, path: str, flags: int) -> int:
        self._operation()
        descriptor = super().open(path, flags)
        self.open_files.add(descriptor)
        return descriptor

    def write(self, descriptor: int, data: bytes) -> int:
        self._operation((descriptor, data))
        return super().write(descriptor, data)

    def sync(self, descriptor: int) -> None:
        self._operation()

    def close(self, descriptor: int) -> None:
        self.open_files.discard(descriptor)
        super().close(descriptor)
        self._operation()

    def replace(self, source: str, target: str) -> None:
        self._operation()
        super().replace(source, target)

    def truncate(self, descriptor: int, length: int) -> None:
        self._operation()
        super().truncate(descriptor, length)

    def make_folder(self, path: str) -> None:
        if not os.path.isdir(path):
            self._operation()
            super().make_folder(path)

    def remove_folder(self, path: str) -> None:
        self._operation()
        super().remove_folder(path)

    def remove(self, path: str) -> None:
        if os.path.lexists(path):
            self._operation()
        super().remove(path)


PAGE = "report/index.html"


@pytest.fixture
def images(tmp_path: Path) -> Path:
    folder = tmp_path / "images"
    folder.mkdir()
    for name in IMAGES:
        (folder / name).write_bytes(b"-")
    return folder


def run_on(disk: Faulty, images: Path, out: Path, monkeypatch: pytest.MonkeyPatch, **changed: Any) -> str:
    """The end of a run on this disk."""
    with monkeypatch.context() as patched:
        patched.setattr(store, "system", disk)
        try:
            return run_stub(images, out, **changed).state
        except CamxError:
            return "error"
        finally:
            for descriptor in disk.open_files:
                os.close(descriptor)


def tree(out: Path) -> dict[str, bytes]:
    return {str(path.relative_to(out)): path.read_bytes() for path in sorted(out.rglob("*")) if path.is_file()}


def half_written(out: Path) -> list[str]:
    """Results that a reader would mistake for whole."""
    page = out / PAGE
    if page.exists() and not page.read_bytes().endswith(b"</html>"):
        return [PAGE]
    shown = [(kind, path) for kind in ("overlay", "heatmap") for path in (out / f"{kind}s").rglob("*.png")]
    return [path.name for kind, path in shown if path.read_bytes() != content(path.name.removesuffix(".png"), kind)]


def rows_without_files(out: Path) -> list[str]:
    """Missing files that whole lines of the journal name."""
    journal = out / "manifest.jsonl"
    lines = journal.read_bytes().splitlines(keepends=True) if journal.exists() else []
    rows: list[dict[str, Any]] = [json.loads(line) for line in lines if line.endswith(b"\n")]
    named = [name for row in rows for shown in row.get("maps", ()) for name in (shown["overlay"], shown["heatmap"])]
    return [name for name in named if not (out / name).is_file()]


def volatile_parts(files_of_run: dict[str, bytes]) -> dict[str, bytes]:
    """The files of a run without time-dependent parts: `run.json`, the journal, whose order may differ, and the page,
    which shows seconds and counts only as whole or not."""
    kept = {name: data for name, data in files_of_run.items() if name not in ("run.json", "manifest.jsonl")}
    if PAGE in kept:
        kept[PAGE] = kept[PAGE][-8:]
    last = {json.loads(line)["image"]: line for line in files_of_run["manifest.jsonl"].splitlines()}
    return kept | {f"row of {image}": line for image, line in last.items()}


def check_loop(images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int, *, report: bool) -> int:
    clean, out = Faulty(), tmp_path / "out"
    assert run_on(clean, images, tmp_path / "undisturbed", monkeypatch, report=report) == "finished"
    expected = volatile_parts(tree(tmp_path / "undisturbed"))
    modes = ["kill", "ENOSPC", "EIO", "EACCES", "ENOSPC for good"]
    cases = [(mode, at) for mode in modes for at in range(1, clean.count + 1)][::step]
    for case in cases:
        mode, at = case
        shutil.rmtree(out, ignore_errors=True)
        state = run_on(Faulty(at, mode), images, out, monkeypatch, report=report)
        assert not half_written(out), case
        assert not rows_without_files(out), case
        if state == "finished":
            # The note of the holder may stay: the lock itself is the kernel's. And a page that cannot be
            # written is a warning; the next run removes its remains.
            told = {
                name: data for name, data in tree(out).items() if not name.endswith((".camx.lock", store.TEMPORARY))
            }
            page = {PAGE: expected[PAGE]} if report else {}
            assert volatile_parts(told) | page == expected, ("said to be finished", case)
        assert run_on(Faulty(), images, out, monkeypatch, report=report) == "finished", case
        assert volatile_parts(tree(out)) == expected, case
        assert json.loads((out / "run.json").read_text())["state"] == "finished", case
    return len(cases)


@pytest.mark.long
def test_any_operation_may_fail(images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A sample of the cases of the test below, with the page of the report."""
    assert check_loop(images, tmp_path, monkeypatch, step=11, report=True) > 70


@pytest.mark.slow
def test_every_operation_may_fail(images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert check_loop(images, tmp_path, monkeypatch, step=1, report=False) >= 800


@pytest.mark.long
def test_replacing_a_folder_may_fail_anywhere(images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`--overwrite` in a folder of another run, stopped anywhere: the command, repeated, removes the old run, and never
    fails as if the folder belonged to somebody else."""
    old, new = tmp_path / "old", {"extra": "another run"}
    for name in IMAGES[3:]:
        (images / name).unlink()
    with monkeypatch.context() as patched:
        # Killed after all files and before the last lines of the journal: files that no line names.
        patched.setattr("tests.stub.EXTENSION", "webp")
        assert run_on(Faulty(20, "kill"), images, old, patched) == "error"
    assert [path.name for path in (old / "overlays").iterdir()]
    clean = Faulty()
    assert run_on(clean, images, tmp_path / "undisturbed", monkeypatch, **new) == "finished"
    expected = volatile_parts(tree(tmp_path / "undisturbed"))
    for mode in ("kill", "EIO"):
        for at in range(1, clean.count + 20, 2):
            out = tmp_path / "out"
            shutil.rmtree(out, ignore_errors=True)
            shutil.copytree(old, out)
            run_on(Faulty(at, mode), images, out, monkeypatch, **new, overwrite=True)
            assert run_on(Faulty(), images, out, monkeypatch, **new, overwrite=True) == "finished", (mode, at)
            assert volatile_parts(tree(out)) == expected, (mode, at)
