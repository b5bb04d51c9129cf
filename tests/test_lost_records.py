"""Folders without `run.json`, journal, or the record of a part: nothing is lost without a message, and a command
repairs them."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from cam_cli.errors import CamxError
from cam_cli.outputs.run_folder import RunFolder

from .conftest import TINY
from .stub import run_stub
from .test_faults import IMAGES, Faulty, run_on, tree, volatile_parts

Camx = Callable[..., int]
RECORDS = {
    "lost": None,
    "empty": b"",
    "torn": b'{"schema": 1, "finger',
    "foreign": b"[]",
    "without": b'{"state": "finished"}',
}


def damage(out: Path, record: bytes | None) -> None:
    (out / "run.json").unlink()
    if record is not None:
        (out / "run.json").write_bytes(record)


@pytest.fixture
def stubs(tmp_path: Path) -> Path:
    folder = tmp_path / "images"
    folder.mkdir()
    for name in IMAGES[:4]:
        (folder / name).write_bytes(b"-")
    return folder


@pytest.mark.parametrize("kind", RECORDS)
def test_the_error_of_the_next_run_names_the_folder_and_what_to_do(kind: str, stubs: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run_stub(stubs, out)
    damage(out, RECORDS[kind])
    before = tree(out)
    with pytest.raises(CamxError) as caught:
        run_stub(stubs, out)
    assert str(caught.value) == (
        f"'{out}' holds 4 rows and 8 files of camx, but its run.json is missing or damaged, so their options are "
        f"unknown. `camx report {out}` still shows them. Choose another `output`, or give `overwrite`, which removes "
        "them and explains all images again."
    )
    assert tree(out) == before, "nothing is changed"


@pytest.mark.parametrize("kind", RECORDS)
def test_overwrite_adopts_the_folder(kind: str, stubs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out, new = tmp_path / "out", tmp_path / "undisturbed"
    with monkeypatch.context() as patched:
        patched.setattr("tests.stub.EXTENSION", "webp")
        run_stub(stubs, out)
    (out / "mine.txt").write_text("kept")
    damage(out, RECORDS[kind])
    run_stub(stubs, out, overwrite=True)
    run_stub(stubs, new)
    assert volatile_parts(tree(out)) == volatile_parts(tree(new)) | {"mine.txt": b"kept"}
    assert json.loads((out / "run.json").read_text())["state"] == "finished"


def test_adopting_may_fail_anywhere(stubs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After each fault the command, repeated, removes the old run; without `overwrite` it takes no old row."""
    old, out = tmp_path / "old", tmp_path / "out"
    with monkeypatch.context() as patched:
        patched.setattr("tests.stub.EXTENSION", "webp")
        assert run_on(Faulty(), stubs, old, patched) == "finished"
    damage(old, None)
    run_stub(stubs, tmp_path / "undisturbed")
    expected = volatile_parts(tree(tmp_path / "undisturbed"))
    clean = Faulty()
    shutil.copytree(old, out)
    assert run_on(clean, stubs, out, monkeypatch, overwrite=True) == "finished"
    for at in range(1, clean.count + 1, 3):
        shutil.rmtree(out)
        shutil.copytree(old, out)
        run_on(Faulty(at, "kill"), stubs, out, monkeypatch, overwrite=True)
        if run_on(Faulty(), stubs, out, monkeypatch) != "finished":
            assert run_on(Faulty(), stubs, out, monkeypatch, overwrite=True) == "finished", at
        assert volatile_parts(tree(out)) == expected, at


def test_a_journal_that_is_empty_is_no_loss(stubs: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "manifest.jsonl").touch()
    assert run_stub(stubs, out).state == "finished"


@pytest.mark.parametrize("name", ["predictions.csv", "overlays"])
def test_files_of_others_are_refused_also_with_overwrite(name: str, stubs: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / name).mkdir() if name == "overlays" else (out / name).write_text("theirs")
    for overwrite in (False, True):
        with pytest.raises(CamxError, match=f"holds '{name}', but no rows or run.json of camx"):
            run_stub(stubs, out, overwrite=overwrite)
    assert (out / name).exists()
    (out / "manifest.jsonl").write_text("not ours\n")
    with pytest.raises(CamxError, match="no rows or run.json of camx"):
        run_stub(stubs, out, overwrite=True)


def test_a_dry_run_lists_what_overwrite_removes(camx: Camx, images: Path, capsys: pytest.CaptureFixture[str]) -> None:
    argv = ("explain", images, *TINY, "--overwrite", "-n")
    assert camx(*argv) == 0
    assert "would remove" not in capsys.readouterr().out
    assert camx("explain", images, *TINY, "-q") == 0
    for record in (True, False):
        if not record:
            Path("camx-out/run.json").unlink()
        assert camx(*argv) == 0
        assert "--overwrite would remove 7 rows and 14 files" in capsys.readouterr().out
    assert camx(*argv, "--json") == 0
    assert json.loads(capsys.readouterr().out)["replaced"] == "7 rows and 14 files"
    assert camx("explain", images, *TINY, "--overwrite") == 0
    assert "--overwrite removed 7 rows and 14 files of a run without its run.json" in capsys.readouterr().err
    record: dict[str, Any] = json.loads(Path("camx-out/run.json").read_text())
    assert (record["state"], record["skipped"]) == ("finished", 0)
    assert "replaced" not in record["plan"]


def test_everything_that_reads_still_works(camx: Camx, images: Path, capsys: pytest.CaptureFixture[str]) -> None:
    argv = ("explain", images, *TINY, "-q", "--labels", "folder", "--class-names", "names.txt")
    Path("names.txt").write_text("cat\ndog\n" + "".join(f"{n}\n" for n in range(998)))
    assert camx(*argv) == 0
    shutil.copytree("camx-out", "whole")
    Path("camx-out/run.json").unlink()
    assert camx("report", "camx-out") == 0
    assert Path("camx-out/report/index.html").read_text().count("data:image/") >= 7
    assert camx("audit", "camx-out", "--partial") == 0
    assert camx("compare", "whole", "camx-out", "--partial") == 0
    assert camx("export", "camx-out", "--format", "csv", "--partial") == 0
    capsys.readouterr()
    assert camx("audit", "camx-out") == 2
    assert "--partial" in capsys.readouterr().err
    assert camx("merge", "camx-out") == 2
    assert "Traceback" not in capsys.readouterr().err
    assert len(RunFolder.read("camx-out").images) == 7


@pytest.fixture
def parts(camx: Camx, images: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[int], int]:
    """Two finished shards that are not merged."""

    def run(number: int) -> int:
        return camx("explain", images, *TINY, "-q", "--no-report", "--shard", f"{number}/2")

    with monkeypatch.context() as patched:
        patched.setattr(import_module("cam_cli.distributed.run"), "may_be_complete", lambda *_: False)
        assert [run(number) for number in (1, 2)] == [0, 0]
    return run


def test_a_merge_knows_the_run_from_its_parts(parts: Callable[[int], int], camx: Camx) -> None:
    record = Path("camx-out/run.json").read_text()
    Path("camx-out/run.json").unlink()
    assert camx("merge", "camx-out") == 0
    now = json.loads(Path("camx-out/run.json").read_text())
    assert (now["state"], now["ok"]) == ("finished", 7)
    assert now["fingerprint"] == json.loads(record)["fingerprint"]


def test_a_part_without_its_record_is_named_and_its_rows_are_kept(
    parts: Callable[[int], int], camx: Camx, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("camx-out/parts/1-of-2/run.json").unlink()
    assert camx("merge", "camx-out") == 1
    assert "1/2 without its run.json" in capsys.readouterr().err
    assert len(RunFolder.read("camx-out").images) == 7
    assert parts(1) == 0
    now = json.loads(Path("camx-out/run.json").read_text())
    assert (now["state"], now["ok"]) == ("finished", 7)
    assert re.fullmatch(r"\d", str(now["shards"][0]["rows"]))


def test_a_training_without_its_state_is_replaced_only(
    camx: Camx, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = Path(__file__).parent / "fixtures" / "0.1.0" / "data"
    argv = ("train-gap", data, "--model", "test_resnet", "--no-pretrained", "--device", "cpu", "--epochs", 1, "-j", 1)
    assert camx(*argv, "-q") == 0
    Path("camx-gap/training-state.pt").unlink()
    for more in ((), ("--resume",)):
        assert camx(*argv, *more) == 2
        assert "holds a training without its training-state.pt" in capsys.readouterr().err
    assert camx(*argv, "-q", "--overwrite") == 0
    assert Path("camx-gap/training-state.pt").exists()
