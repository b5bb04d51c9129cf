"""A continued run checks the files of the run before: by their sizes, and with `--verify` by all of their bytes."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pytest

from cam_cli.outputs.result_files import is_intact, written_file
from cam_cli.outputs.rows import parse_row

from .conftest import TINY
from .test_faults import images as stub_images  # noqa: F401 - a fixture

Camx = Callable[..., int]
RUN = (*TINY, "--save", "overlay,heatmap,array", "-j", "1")


def journal(out: str = "camx-out") -> list[dict[str, Any]]:
    return [json.loads(line) for line in Path(out, "manifest.jsonl").read_text().splitlines()]


def files(out: str = "camx-out") -> dict[str, bytes]:
    kinds = ("overlays", "heatmaps", "arrays", "report/thumbs")
    return {str(path): path.read_bytes() for kind in kinds for path in Path(out, kind).rglob("*.*")}


def without_sizes(out: str = "camx-out") -> None:
    """Makes the journal one of camx 0.1.0."""
    rows = journal(out)
    for row in rows:
        row.pop("files", None)
    Path(out, "manifest.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))


def again(camx: Camx, images: Path, capsys: pytest.CaptureFixture[str], *more: str) -> tuple[int, str]:
    """Number of images that the repeated command explains again, and its messages."""
    before = len(journal())
    assert camx("explain", images, *RUN, *more) == 0
    return len(journal()) - before, capsys.readouterr().err


@pytest.fixture
def done(camx: Camx, images: Path) -> dict[str, bytes]:
    """The files of a finished run."""
    assert camx("explain", images, *RUN, "-q") == 0
    return files()


def test_a_row_has_size_and_digest_of_every_file(done: dict[str, bytes]) -> None:
    named = {f"camx-out/{name}": one for row in journal() for name, one in row["files"].items()}
    assert named == {name: written_file(data) for name, data in done.items()}
    assert len(named) == 7 * 4
    line = json.dumps(journal()[0])
    assert parse_row(line.encode())
    assert parse_row(line.replace('"crc32": "', '"crc32": "0').encode()) is None


@pytest.mark.parametrize("kind", ["overlays", "heatmaps", "arrays", "report/thumbs"])
@pytest.mark.parametrize("size", [0, 20])
def test_a_file_that_was_cut_is_made_again(
    kind: str, size: int, done: dict[str, bytes], camx: Camx, images: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name = next(name for name in done if f"/{kind}/" in name)
    Path(name).write_bytes(done[name][:size])
    count, said = again(camx, images, capsys)
    assert count == 1
    assert "1 image has results that are missing or damaged, and is explained again." in said
    assert files().keys() == done.keys()
    assert len(files()[name]) == len(done[name])


def test_bytes_that_changed_are_seen_with_verify(
    done: dict[str, bytes], camx: Camx, images: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    overlay, array = (next(name for name in done if f"/{kind}/" in name) for kind in ("overlays", "arrays"))
    others = [name for name in done if "/arrays/" in name and Path(name).stem != Path(overlay).stem]
    for name in (overlay, others[-1]):
        data = bytearray(done[name])
        data[-20] ^= 1
        Path(name).write_bytes(data)
    assert again(camx, images, capsys)[0] == 0, "the sizes are right"
    count, said = again(camx, images, capsys, "--verify")
    assert count == 2
    assert "2 images have results that are missing or damaged, and are explained again." in said
    assert files().keys() == done.keys()
    assert np.load(array).shape
    assert again(camx, images, capsys, "--verify")[0] == 0


def test_rows_of_camx_0_1_0_are_proved_by_decoding(
    done: dict[str, bytes], camx: Camx, images: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    without_sizes()
    assert again(camx, images, capsys, "--verify")[0] == 0
    without_sizes()
    overlays = [name for name in done if "/overlays/" in name]
    Path(overlays[0]).write_bytes(b"")
    Path(overlays[1]).write_bytes(done[overlays[1]][:-40])
    assert again(camx, images, capsys)[0] == 1, "no file of camx is empty"
    without_sizes()
    assert again(camx, images, capsys, "--verify")[0] == 1


@pytest.mark.parametrize("kind", ["overlays", "heatmaps", "arrays", "report/thumbs"])
def test_every_byte_that_is_missing_is_seen_without_a_digest(done: dict[str, bytes], kind: str) -> None:
    name = next(name for name in done if f"/{kind}/" in name)
    row: Any = {"image": "a", "status": "ok"}
    assert is_intact(row, name, done[name])
    assert not is_intact(row, name, None)
    for size in (0, 1, 60, len(done[name]) // 2):
        assert not is_intact(row, name, done[name][:size]), size


def test_a_relabelled_row_keeps_its_proof(done: dict[str, bytes], camx: Camx, images: Path) -> None:
    assert camx("explain", images, *RUN, "-q", "--labels", "folder") == 0
    rows = journal()
    assert len(rows) == 14
    assert [row["files"] for row in rows[7:]] == [row["files"] for row in rows[:7]]


def test_a_cut_file_in_a_store_is_made_again(
    camx: Camx, images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    there = fsspec.filesystem("memory")
    out = "memory://proofs/out"
    try:
        assert camx("explain", images, *TINY, "-q", "-o", out) == 0
        cut, changed = (f"/proofs/out/overlays/{name}.png" for name in ("cat/0.jpg", "dog/4.jpg"))
        whole = there.cat_file(changed)
        there.pipe_file(cut, there.cat_file(cut)[:-1])
        there.pipe_file(changed, whole[:-1] + b"x")
        shutil.rmtree("cache")
        assert camx("explain", images, *TINY, "-o", out) == 0
        assert "6 of them earlier" in capsys.readouterr().out
        assert there.cat_file(changed) == whole[:-1] + b"x"
        assert camx("explain", images, *TINY, "-o", out, "--verify") == 0
        assert "6 of them earlier" in capsys.readouterr().out
        assert there.cat_file(changed) == whole
    finally:
        there.rm("/proofs", recursive=True)
