"""Tables for data teams: lists and labels as JSON lines and Parquet, results in the same forms and from Python."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cam_cli import CamxError, read_results
from cam_cli.images.label_table import Columns
from cam_cli.images.typed_tables import table_rows

from .conftest import TINY, picture

Camx = Callable[..., int]
TWO = (*TINY, "--method", "gradcam", "--method", "layercam", "--top-k", "2", "--no-report", "-q")


@pytest.fixture
def two(tmp_path: Path) -> Path:
    """A good image and a broken one, in a list with labels and a site."""
    folder = tmp_path / "in"
    folder.mkdir()
    picture(80, 40).save(folder / "a.png")
    (folder / "b.png").write_bytes(b"no image")
    lines = [{"image": "a.png", "label": "7", "Site": "A"}, {"image": "b.png", "label": None, "Site": 3, "day": 1.5}]
    (folder / "list.jsonl").write_text("\n".join(map(json.dumps, lines)) + "\n\n")
    return folder


def test_a_list_of_json_lines(camx: Camx, two: Path) -> None:
    assert camx("explain", f"@{two}/list.jsonl", *TWO) == 1
    rows = read_results("camx-out", rows=True)
    assert [(row["image"], row["label"], row["attribute:site"], row["attribute:day"]) for row in rows] == [
        ("a.png", "7", "A", None), ("b.png", "", "3", "1.5"),
    ]  # fmt: skip
    assert camx("explain", two, *TWO, "--labels", two / "list.jsonl", "-o", "labels") == 1
    assert [row["label"] for row in read_results("labels", rows=True)] == ["7", ""]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{", "has no valid JSON in line 1"),
        ("{}\n[1]", "line 2: it is no object"),
        ('{"path": "a.png"}', "has no column 'image' (its columns: path)"),
        ("[" * 100_000, "has no valid JSON in line 1: nested too deeply. Correct that line."),
    ],
)
def test_json_lines_that_are_no_list_are_refused(
    camx: Camx, tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, told: str
) -> None:
    (tmp_path / "l.jsonl").write_text(text)
    assert camx("explain", "@l.jsonl", *TINY) == 2
    assert told in capsys.readouterr().err


def test_values_become_text(tmp_path: Path) -> None:
    row = '{"Image ": "a", "label": ["cat", "dog"], "x": true, "y": NaN, "z": {"k": 1}}'
    (tmp_path / "l.jsonl").write_text(row)
    assert table_rows(str(tmp_path / "l.jsonl"), Columns()) == [
        {"image": "a", "label": "cat|dog", "x": "true", "y": "", "z": "{'k': 1}"}
    ]


def test_rows_know_their_lines(tmp_path: Path) -> None:
    """The line where a row begins: cells may hold several, and empty lines count."""
    (tmp_path / "l.csv").write_text('image,text\n\na.jpg,"one\ntwo"\nb.jpg,x\n')
    (tmp_path / "l.jsonl").write_text('{"image": "a.jpg"}\n\n{"image": "b.jpg", "text": "x"}\n')
    for name, lines in (("l.csv", [3, 5]), ("l.jsonl", [1, 3])):
        assert [row.line for row in table_rows(str(tmp_path / name), Columns())] == lines


def test_maps_have_a_table_of_their_own(camx: Camx, two: Path) -> None:
    assert camx("explain", two, *TWO, "--table", "csv,jsonl") == 1
    with open("camx-out/maps.csv", newline="") as file:
        maps = list(csv.DictReader(file))
    assert [(row["image"], row["map"], row["method"]) for row in maps] == [
        ("a.png", "0", "gradcam"), ("a.png", "1", "layercam"),
    ]  # fmt: skip
    lines = [json.loads(line) for line in Path("camx-out/manifest.jsonl").read_text().splitlines()]
    (journal,) = [line for line in lines if line["image"] == "a.png"]
    box = [float(maps[1][f"box_{side}"]) for side in ("left", "top", "right", "bottom")]
    assert box == pytest.approx(journal["maps"][1]["component"]["box"], rel=1e-5)
    images = [json.loads(line) for line in Path("camx-out/predictions.jsonl").read_text().splitlines()]
    with open("camx-out/predictions.csv", newline="") as file:
        table = list(csv.DictReader(file))
    assert [list(row) for row in images] == [list(row) for row in table]
    assert (images[0]["width"], images[0]["top1_index"]) == (80, int(table[0]["top1_index"]))
    assert images[1]["top1_prob"] is None
    written = [json.loads(line) for line in Path("camx-out/maps.jsonl").read_text().splitlines()]
    assert [row["method"] for row in written] == ["gradcam", "layercam"]


def test_results_are_read_in_one_line(camx: Camx, two: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    camx("explain", two, *TWO)
    monkeypatch.setattr("cam_cli.results.find_spec", lambda name: None)
    images, maps = read_results("camx-out"), read_results(Path("camx-out"), "maps")
    assert (images[0]["status"], images[1]["status"], images[0]["cam_area"]) == ("ok", "failed", maps[0]["cam_area"])
    assert isinstance(images[0]["top2_prob"], float)
    wrong: Any = "rows"
    with pytest.raises(CamxError, match="There are no results of 'rows'"):
        read_results("camx-out", wrong)
    with pytest.raises(CamxError, match="There is no folder"):
        read_results("nowhere")


def test_without_pyarrow_parquet_is_refused_before_the_run(
    camx: Camx, images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cam_cli.outputs.records.find_spec", lambda name: None)
    assert camx("explain", images, *TINY, "--table", "parquet") == 2
    assert "--table parquet needs pyarrow. Install it with `pip install 'camx[parquet]'`." in capsys.readouterr().err
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    (tmp_path / "l.parquet").write_bytes(b"PAR1")
    assert camx("explain", "@l.parquet", *TINY) == 2
    assert "camx[parquet]" in capsys.readouterr().err


@pytest.mark.extras
def test_parquet_in_and_out(camx: Camx, two: Path, capsys: pytest.CaptureFixture[str]) -> None:
    parquet = pytest.importorskip("pyarrow.parquet", reason="needs the extra parquet")
    import pyarrow

    table = pyarrow.table({"image": ["a.png", "b.png"], "label": [["7", "8"], None], "n": [1, None]})
    parquet.write_table(table, two / "l.parquet")
    assert camx("explain", f"@{two}/l.parquet", *TWO, "--table", "parquet") == 1
    rows = read_results("camx-out", rows=True)
    assert [row["attribute:n"] for row in rows] == ["1", None]
    found = parquet.read_table("camx-out/predictions.parquet").to_pylist()
    assert [list(row) for row in found] == [[name for name in row if ":" not in name] for row in rows]
    assert found[0]["top1_prob"] == pytest.approx(rows[0]["top1_prob"])
    assert len(parquet.read_table("camx-out/maps.parquet")) == 2
    assert camx("explain", f"@{two}/l.parquet", *TWO) == 1
    assert not Path("camx-out/predictions.parquet").exists(), "a table of an earlier run would be believed"
    (two / "l.parquet").write_bytes(b"PAR1 and no more")
    capsys.readouterr()
    assert camx("explain", f"@{two}/l.parquet", *TWO) == 2
    assert "is no readable Parquet file" in capsys.readouterr().err


@pytest.mark.extras
def test_pandas_gets_a_frame(camx: Camx, two: Path) -> None:
    pandas = pytest.importorskip("pandas", reason="needs pandas")
    camx("explain", two, *TWO)
    frame = read_results("camx-out")
    assert isinstance(frame, pandas.DataFrame)
    assert list(frame["status"]) == ["ok", "failed"]


def test_a_folder_below_is_part_of_the_run(camx: Camx, images: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert camx("explain", images, *TWO) == 0
    picture(50, 40, seed=9).save(images / "dog" / "new.png")
    for wanted in ("dog", "cat"):
        assert camx("explain", images / wanted, *TINY, *TWO[len(TINY) :][:-1], "--json") == 0
        found = json.loads(capsys.readouterr().out)
        assert found["skipped"] == {"dog": 3, "cat": 4}[wanted]
    assert camx("explain", images, *TWO) == 0
    names = [row["image"] for row in read_results("camx-out", rows=True)]
    assert sorted(names) == sorted(str(path.relative_to(images)) for path in images.rglob("*.*"))
    assert len(Path("camx-out/manifest.jsonl").read_text().splitlines()) < 24, "nothing was explained twice"
    assert camx("explain", images.parent, *TWO) == 2
