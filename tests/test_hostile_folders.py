"""Report, tracker, merge and resume on damaged or hostile folders: errors, never a traceback."""

from __future__ import annotations

import base64
import io
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from cam_cli.errors import CamxError
from cam_cli.evaluation.folder import ExplainedRun
from cam_cli.outputs.run_folder import RunFolder
from cam_cli.report import build_report
from cam_cli.tracking.explain_log import explain_log
from cam_cli.tracking.publish import push
from cam_cli.tracking.tracker import ImageCell, RunInfo, Scalar, Step, Table, Value
from cli.main import run as command

from .conftest import TINY
from .damaged import DAMAGED, EPS, EXPLAINED, mapped, row, written, wrong_records

Camx = Callable[..., int]


class Nobody:
    """A tracker that reads every value and stores the last tables."""

    def __init__(self) -> None:
        self.tables: dict[str, Table] = {}

    def begin(self, info: RunInfo) -> None:
        json.dumps(info.config, allow_nan=False)

    def log(self, values: Mapping[str, Value], at: Step | None = None) -> None:
        self.tables |= {name: value for name, value in values.items() if isinstance(value, Table)}

    def finish(self, summary: Mapping[str, Scalar], exit_code: int) -> None:
        json.dumps(dict(summary), allow_nan=False)


def pushed(folder: Path) -> tuple[Nobody, list[str]]:
    tracker, said = Nobody(), list[str]()
    push(RunFolder.read(str(folder)), tracker, 10, said.append)
    return tracker, said


def page_data(folder: Path) -> dict[str, Any]:
    text = (folder / "report" / "index.html").read_text()
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL)
    assert found
    return json.loads(found[1])


@pytest.mark.parametrize("what", DAMAGED)
def test_report_and_tracker_leave_a_damaged_line_out(what: str, tmp_path: Path) -> None:
    written(tmp_path, [row("b.jpg"), DAMAGED[what], row("c.jpg")], EXPLAINED)
    warnings: list[str] = []
    build_report(str(tmp_path), warned=warnings.append)
    assert page_data(tmp_path)["parts"]["rows-0"]["image"] == ["b.jpg", "c.jpg"]
    assert warnings == [f"{tmp_path}: 1 damaged line is left out."]
    assert "Damaged, and left out" in (tmp_path / "report" / "index.html").read_text()
    tracker, said = pushed(tmp_path)
    assert sorted(cells[-1] for cells in tracker.tables["explanations"].rows) == ["b.jpg", "c.jpg"]  # type: ignore[type-var]
    assert said[-1] == warnings[0]


def test_the_command_lists_what_it_left_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    written(tmp_path, [row("b.jpg"), "{", "["], {**EXPLAINED, "plan": 7})
    assert command(["report", str(tmp_path)]) == 0
    heard = capsys.readouterr()
    assert heard.out.strip() == str(tmp_path / "report/index.html")
    assert "warning:" in heard.err
    assert "2 damaged lines are left out" in heard.err
    assert "the field plan of run.json is malformed and left out" in heard.err


@pytest.mark.parametrize("kind", ["explain", "activations", "train-gap"])
def test_a_record_of_wrong_kinds_is_no_traceback(kind: str, tmp_path: Path) -> None:
    """Every reader ends with a result or one sentence, for any value of any field of run.json."""
    written(tmp_path, [row("a.jpg"), row("b.jpg", status="failed", error="broken")])
    (tmp_path / "metrics.csv").write_text(
        "epoch,lr,train_loss,train_accuracy,val_loss,val_accuracy,seconds,best\n1,0.1,2,0.5,nan,0.4,1,1\n"
    )
    said = []
    for record in wrong_records(kind):
        (tmp_path / "run.json").write_text(json.dumps(record))
        try:
            build_report(str(tmp_path))
            pushed(tmp_path)
        except CamxError as error:
            said.append(str(error))
    assert {re.sub("'[^']*'", "…", one) for one in said} <= {
        "… was written by a later camx (schema 7; this one reads 1). Update camx: pip install -U camx.",
        "… holds results of `camx x`, for which this camx has no report. Update camx.",
    }
    assert len(said) <= 2


@pytest.mark.parametrize(
    "text",
    ["epoch,train_loss\nabc,def\n", "a,b\n1,2\n", "epoch,train_loss,val_loss,train_accuracy,val_accuracy\n-5,NaN,Infinity,1,1\n"],
)  # fmt: skip
def test_a_table_of_a_training_that_is_none(text: str, tmp_path: Path) -> None:
    (tmp_path / "metrics.csv").write_text(text)
    warnings: list[str] = []
    build_report(str(tmp_path), warned=warnings.append)
    assert page_data(tmp_path)["metrics"] == []
    assert len(warnings) == 1
    pushed(tmp_path)


def test_an_epoch_without_a_loss_keeps_its_columns(tmp_path: Path) -> None:
    (tmp_path / "metrics.csv").write_text("epoch,lr,train_loss,val_loss,val_accuracy\n1,0.1,2,nan,0.5\n2,0.1,1,3,0.5\n")
    build_report(str(tmp_path))
    table = re.search(r'<table class="figures">(.*?)</table>', (tmp_path / "report/index.html").read_text(), re.DOTALL)
    assert table
    first = re.findall(r"<td>(.*?)</td>", table[1])[:5]
    assert first == ["1", "0.1", "2", "", "50.0\u202f%"]


# Images


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A run of one image beside a private image."""
    folder = tmp_path / "out"
    (folder / "overlays").mkdir(parents=True)
    (folder / "report" / "thumbs").mkdir(parents=True)
    Image.new("RGB", (8, 8), "red").save(folder / "overlays" / "good.png")
    Image.new("RGB", (8, 8), "blue").save(tmp_path / "private.png")
    os.mkfifo(folder / "overlays" / "pipe.png")
    os.mkfifo(tmp_path / "pipe.png")
    (folder / "report" / "thumbs" / "eps.jpg").write_bytes(EPS)
    (folder / "overlays" / "link.png").symlink_to(tmp_path / "private.png")
    (folder / "overlays" / "zero.png").symlink_to("/dev/zero")
    return folder


HOSTILE = ["../private.png", "overlays/../../private.png", "/dev/zero", "overlays/pipe.png", "../pipe.png", "report/thumbs/eps.jpg",
           "overlays/link.png", "overlays/zero.png", "run.json", "overlays"]  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("field", ["thumb", "overlay"])
def test_no_image_but_those_of_the_run_reaches_page_or_tracker(name: str, field: str, folder: Path) -> None:
    named = row(thumb=name) if field == "thumb" else mapped(overlay=name)
    written(folder, [named], EXPLAINED)
    build_report(str(folder))
    data = page_data(folder)
    (details,) = data["parts"]["more-0"]
    assert details["picture"] == ""
    for address in details["maps"][0]["files"].values():
        assert re.fullmatch(r"\.\./(overlays|report)/(?!.*\.\.).*", address), "a link stays in the folder"
    tracker, _ = pushed(folder)
    (cells,) = tracker.tables["explanations"].rows
    shown = [cell.path for cell in cells if isinstance(cell, ImageCell)]
    assert name not in [os.path.relpath(path, folder) for path in shown]


@pytest.mark.parametrize("name", HOSTILE)
def test_a_large_report_links_no_image_from_elsewhere(name: str, folder: Path) -> None:
    rows = [mapped(overlay=name) | {"image": f"{number}.jpg", "thumb": name} for number in range(201)]
    written(folder, [*rows, row("good.jpg", thumb="overlays/good.png")], EXPLAINED)
    build_report(str(folder))
    texts = [path.read_text() for path in (folder / "report" / "data").glob("*-more-*.js")]
    addresses = re.findall(r'"picture":"([^"]*)"', "".join(texts))
    assert len(addresses) == 202
    elsewhere = {address for address in addresses if address} - {"../overlays/good.png"}
    # The page may link a file that is no image: a browser has its own decoders, and runs nothing.
    assert elsewhere <= {"../report/thumbs/eps.jpg", "../run.json"}


def test_no_program_is_started_for_an_image(folder: Path, tmp_path: Path) -> None:
    """Pillow would start Ghostscript for an EPS file with any name."""
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin" / "gs"
    program.write_text(f"#!/bin/sh\ntouch {tmp_path}/started\n")
    program.chmod(0o755)
    written(folder, [row(thumb="report/thumbs/eps.jpg")], EXPLAINED)
    code = "import sys; from cam_cli.report import build_report; build_report(sys.argv[1])"
    path = {**os.environ, "PATH": f"{tmp_path}/bin:{os.environ['PATH']}"}
    subprocess.run([sys.executable, "-c", code, folder], check=True, env=path, cwd=Path(__file__).parents[1])
    assert not (tmp_path / "started").exists()
    with Image.open(io.BytesIO(EPS)) as image:
        assert image.format == "EPS", "the file is one that Pillow knows"


def test_an_original_outside_the_folder_of_the_inputs_is_not_logged(folder: Path, tmp_path: Path) -> None:
    private = tmp_path / "private.png"
    state = private.stat()
    known = {"bytes": state.st_size, "mtime_ns": state.st_mtime_ns}
    record = {**EXPLAINED, "fingerprint": {"command": "explain", "inputs": str(folder)}}
    written(folder, [row("../private.png", **known)], record)
    values, _, _ = explain_log(RunFolder.read(str(folder)), 10)
    table = values["explanations"]
    assert isinstance(table, Table)
    assert table.rows[0][0] is None


def test_how_an_image_is_held_is_asked_of_images_alone(folder: Path, tmp_path: Path) -> None:
    photo = Image.new("RGB", (8, 6))
    exif = photo.getexif()
    exif[0x0112] = 6
    for path in (folder / "turned.jpg", tmp_path / "turned.jpg"):
        photo.save(path, "JPEG", exif=exif)
    (folder / "eps.jpg").write_bytes(EPS)
    os.mkfifo(folder / "pipe.jpg")
    written(folder, [row()], {**EXPLAINED, "fingerprint": {"command": "explain", "inputs": str(folder)}})
    run = ExplainedRun(str(folder), partial=False)
    turned = run.orientation("turned.jpg")
    assert turned is not None
    assert turned.size(8, 6) == (6, 8)
    for name in ("../turned.jpg", "pipe.jpg", "eps.jpg", "missing.jpg"):
        assert run.orientation(name) is None


def test_the_images_of_epochs_are_those_of_the_folder(folder: Path, tmp_path: Path) -> None:
    shutil.rmtree(folder)
    inside = folder / "cams" / "epoch-001"
    inside.mkdir(parents=True)
    (folder / "metrics.csv").write_text("epoch,val_accuracy\n1,0.5\n")
    Image.new("RGB", (8, 8)).save(inside / "good.png")
    (inside / "link.png").symlink_to(tmp_path / "private.png")
    (inside / "loop").symlink_to(inside)
    (inside / "eps.png").write_bytes(EPS)
    os.mkfifo(inside / "pipe.png")
    (folder / "activations").symlink_to(folder / "cams")
    build_report(str(folder))
    samples = dict(page_data(folder)["samples"]["cams"])
    assert {name for name, epochs in samples.items() if epochs} == {"good"}
    assert set(page_data(folder)["samples"]) == {"cams"}
    assert samples["good"]["1"].startswith("data:image/jpeg;base64,")
    assert base64.b64decode(samples["good"]["1"].split(",")[1]).startswith(b"\xff\xd8")
    tracker, _ = pushed(folder)
    assert [cells[2] for cells in tracker.tables["cams"].rows] == ["good.png"]


@pytest.mark.parametrize("name", ["20", "21", "23", "24", "25", "27", "28", "29", "31"])
def test_journals_that_broke_version_0_1_0(name: str, data: Path, folder: Path) -> None:
    (path,) = (data / "faults").glob(f"{name}_*.jsonl")
    shutil.copy(path, folder / "manifest.jsonl")
    (folder / "run.json").write_text(json.dumps(EXPLAINED))
    shutil.copy(data / "faults" / "41_thumb.eps", folder / "overlays" / "000.jpg.png")
    shutil.copy(data / "faults" / "48_thumb_bomb.png", folder / "overlays" / "002.jpg.png")
    build_report(str(folder))
    assert all(details["picture"] == "" for details in page_data(folder)["parts"]["more-0"])
    pushed(folder)


# Merge and resume


@pytest.mark.parametrize("what", ["no JSON", "maps null", "thumb is a number", "nested beyond any stack"])
def test_a_run_explains_the_image_of_a_damaged_line_again(
    what: str, camx: Camx, images: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert camx("explain", images, *TINY, "-q", "--no-report") == 0
    journal = Path("camx-out/manifest.jsonl")
    lines = journal.read_text().splitlines()
    bad = DAMAGED[what] if isinstance(DAMAGED[what], str) else json.dumps(DAMAGED[what])
    journal.write_text("\n".join([bad, *lines[1:]]) + "\n")
    assert camx("explain", images, *TINY, "--no-report") == 0
    heard = capsys.readouterr()
    assert "1 damaged line of the journal is ignored. Images without another line are explained again." in heard.err
    assert "7 of 7 images explained, 6 of them earlier" in heard.out
    assert len(RunFolder.read("camx-out").images) == 7
    assert journal.read_text().splitlines()[1:7] == lines[1:], "nothing is rewritten"


def test_a_merge_counts_damaged_lines(camx: Camx, images: Path) -> None:
    argv = ("explain", images, *TINY, "-q", "--no-report")
    assert camx(*argv, "--shard", "1/2") == 0
    part = Path("camx-out/parts/1-of-2/manifest.jsonl")
    lines = part.read_text().splitlines()
    part.write_text("\n".join(["{", *lines[1:]]) + "\n")
    inputs = part.parent / "inputs.jsonl"
    inputs.write_text('{"x": 1}\n[1]\nnonsense\n["a", 1]\n' + inputs.read_text())
    assert RunFolder.read("camx-out").damaged == 1
    assert camx("merge", "camx-out") == 1
    assert len(RunFolder.read("camx-out").images) == len(lines) - 1


@pytest.mark.parametrize("field", ["images", "seconds", "stages", "plan", "job", "state", "ok"])
def test_a_merge_of_a_part_whose_record_is_damaged(field: str, camx: Camx, images: Path) -> None:
    argv = ("explain", images, *TINY, "-q", "--no-report")
    assert camx(*argv, "--shard", "1/2") == 0
    path = Path("camx-out/parts/1-of-2/run.json")
    record = json.loads(path.read_text())
    path.write_text(json.dumps({**record, field: "x" if field != "state" else 7}))
    assert camx("merge", "camx-out") == 1
    assert len(RunFolder.read("camx-out").images) > 0
