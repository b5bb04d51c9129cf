"""A repeated command continues the run; a signal or a full disk loses nothing."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import timm
import torch

from .conftest import TINY, picture
from .explain_support import Camx, journal, table


def test_a_zero_map_is_blank_and_has_no_overlay(camx: Camx, tmp_path: Path) -> None:
    module = timm.create_model("test_resnet", num_classes=3)
    with torch.no_grad():
        module.fc.weight.fill_(-1.0)
    torch.save(module.state_dict(), tmp_path / "w.pth")
    picture().save(tmp_path / "a.png")
    assert camx("explain", tmp_path / "a.png", "--model", "test_resnet", "--checkpoint", tmp_path / "w.pth") == 0
    (row,) = table()
    assert (row["status"], row["overlay"], row["cam_area"]) == ("blank", "", "")
    assert not Path("camx-out/overlays").exists()


def test_the_same_command_again_continues(camx: Camx, images: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert camx("explain", images, *TINY) == 0
    first = table()
    shutil.copy("camx-out/predictions.csv", "first.csv")
    (Path("camx-out") / first[2]["overlay"]).unlink()
    picture(90, 50, 99).save(images / "dog" / "4.jpg")
    (images / "dog" / "6.jpg").unlink()
    picture(90, 50, 98).save(images / "dog" / "7.jpg")
    capsys.readouterr()
    assert camx("explain", images, *TINY, "--json") == 0
    assert json.loads(capsys.readouterr().out)["skipped"] == 4
    again = table()
    assert [row["image"] for row in again] == [row["image"] for row in first[:-1]] + ["dog/7.jpg"]
    assert again[2] == first[2]
    assert again[4]["top1_prob"] != first[4]["top1_prob"], "a changed picture is explained again"
    assert (Path("camx-out") / first[2]["overlay"]).exists()


def test_another_run_in_the_same_folder(camx: Camx, images: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert camx("explain", images, *TINY) == 0
    assert camx("explain", images, *TINY, "--alpha", 0.3, "--seed", 1) == 2
    error = capsys.readouterr().err
    assert "Differences: weights" in error
    assert "rendering.alpha (0.5 → 0.3)" in error
    assert camx("explain", images, *TINY, "--alpha", 0.3, "--overwrite", "--format", "jpg") == 0
    assert {p.suffix for p in Path("camx-out/overlays").rglob("*.*")} == {".jpg"}


def test_the_output_folder_is_tried_before_the_model_is_loaded(
    camx: Camx, images: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cam_cli.pipeline.classes.load_model", lambda *_: pytest.fail("loaded"))
    assert camx("explain", images, *TINY, "-o", "/proc/nothing/out") == 2


def test_a_full_disk_ends_the_run_and_the_next_one_continues(
    camx: Camx, images: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from cam_cli.outputs import store

    class Full(store.System):
        written = 0

        def write(self, descriptor: int, data: bytes) -> int:
            Full.written += 1
            if Full.written > 8:
                raise OSError(28, "No space left on device")
            return super().write(descriptor, data)

    with monkeypatch.context() as patched:
        patched.setattr(store, "system", Full())
        assert camx("explain", images, *TINY, "-b", 1, "-j", 1) == 2
        assert "No space left on device" in capsys.readouterr().err
    assert camx("explain", images, *TINY) == 0
    assert [row["status"] for row in table()] == ["ok"] * 7


def start(images: Path, cwd: Path, *more: str) -> subprocess.Popen[str]:
    argv = [sys.executable, "-m", "cli.main", "explain", str(images), *TINY, "-b", "1", "-j", "1", *more]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    return subprocess.Popen(argv, cwd=cwd, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.long
def test_a_signal_ends_the_run_with_all_that_is_done(
    camx: Camx, tmp_path: Path, number: signal.Signals, code: int
) -> None:
    many = tmp_path / "many"
    many.mkdir()
    picture(400, 300).save(many / "0000.png")
    for index in range(1, 600):
        os.link(many / "0000.png", many / f"{index:04}.png")
    process = start(many, tmp_path)
    manifest = tmp_path / "camx-out" / "manifest.jsonl"
    deadline = time.monotonic() + 90
    while not (manifest.exists() and manifest.stat().st_size) and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(number)
    printed, _ = process.communicate(timeout=30)
    assert process.returncode == code
    assert "interrupted: the same command continues" in printed
    rows = table(tmp_path / "camx-out")
    assert 0 < len(rows) < 600
    assert len(rows) == len(journal(tmp_path / "camx-out"))
    assert all((tmp_path / "camx-out" / row["overlay"]).exists() for row in rows)
    assert not list((tmp_path / "camx-out").rglob("*.part"))


@pytest.mark.slow
def test_a_reader_that_goes_away_does_not_stop_the_run(camx: Camx, images: Path, tmp_path: Path) -> None:
    with start(images, tmp_path, "--json") as process:
        assert process.stdout is not None
        process.stdout.close()
        assert process.wait(timeout=90) == 0
    assert len(table(tmp_path / "camx-out")) == 7


def test_images_done_before_the_disk_is_full_are_in_the_journal(
    camx: Camx, images: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from cam_cli.outputs import store

    class Full(store.System):
        overlays = 0

        def replace(self, source: str, target: str) -> None:
            Full.overlays += "overlays" in target
            if Full.overlays == 5:
                raise OSError(28, "No space left on device")
            super().replace(source, target)

    with monkeypatch.context() as patched:
        patched.setattr(store, "system", Full())
        assert camx("explain", images, *TINY, "-b", 7, "-j", 1) == 2
    assert [row["status"] for row in journal()] == ["ok"] * 4
    assert json.loads(Path("camx-out/run.json").read_text())["state"] == "broken"
