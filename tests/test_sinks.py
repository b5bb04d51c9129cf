"""Hostile names in every output: one property for each kind of reader."""

from __future__ import annotations

import csv
import io
import json
import re
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from xml.etree import ElementTree

import pytest
import yaml

from cam_cli.gates import GateResult, junit
from cam_cli.gates.markdown import cell as markdown_cell
from cam_cli.gates.markdown import table as markdown_table
from cam_cli.outputs import tables
from cam_cli.report import build_report
from cam_cli.tracking.tensorboard_log import _markdown
from cli.main import run
from cli.terminal import Reporter, fail, out, out_json

from .hostile_names import OF_FILES, names
from .run_folders import image_row, run_folder

NAMES = names(120)
#: A formula for a spreadsheet: its sign at the start, or after characters that a spreadsheet skips.
FORMULA = re.compile(r"^[\s\u200b\ufeff\u00a0\x00-\x20]*[=+\-@\uff1d\uff0b\uff0d\uff20]")


def is_safe_cell(text: str) -> bool:
    return not FORMULA.match(text)


def each_name(test: Callable[[str], None]) -> Callable[[], None]:
    """Runs a test for every name, and reports the name that fails."""

    def of_all() -> None:
        wrong = []
        for name in NAMES:
            try:
                test(name)
            except (AssertionError, ValueError, ElementTree.ParseError) as error:
                wrong.append((name, str(error)[:300]))
        assert wrong == []

    of_all.__doc__ = test.__doc__
    return of_all


# Tables


@each_name
def test_no_cell_of_a_table_is_a_formula_and_every_name_can_be_read_back(name: str) -> None:
    written = tables.text(name)
    assert is_safe_cell(written)
    assert written.removeprefix("'") == name or written == name
    data = tables.line(["a", written, "b"])
    (cells,) = csv.reader(io.StringIO(data.decode("utf-8"), newline=""))
    assert cells[::2] == ["a", "b"]
    assert cells[1].encode("utf-8", "backslashreplace") == written.encode("utf-8", "backslashreplace")
    assert data.endswith(b"\r\n")


def hostile_run(path: Path, count: int = 40) -> list[str]:
    """A run whose images, classes, labels and attributes have these names, for keys only valid ones."""
    from cam_cli.images.keys import image_key

    chosen = list(dict.fromkeys(image_key(name + ".jpg") for name in names(count, pieces=OF_FILES)))
    rows = []
    for number, image in enumerate(chosen):
        row = image_row(image, label=number % 3, predicted=number // 2 % 3)
        name = NAMES[number % len(NAMES)]
        row["top"][0]["name"] = row["maps"][0]["target_name"] = name
        row["label"] = NAMES[(number * 7) % len(NAMES)]
        row["attributes"] = {NAMES[number % 5] or "x": NAMES[(number * 3) % len(NAMES)], "site": name}
        row["maps"][0]["layer"] = name
        rows.append(row)
    run_folder(path, rows, classes=list(NAMES[:3]))
    return chosen


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sinks")
    hostile_run(folder / "out")
    hostile_run(folder / "other")
    images = [json.loads(line)["image"] for line in (folder / "out" / "manifest.jsonl").read_text().splitlines()]
    with open(folder / "truth.csv", "w", newline="", encoding="utf-8", errors="surrogateescape") as file:
        writer = csv.writer(file)
        writer.writerow(["image", "label", "x0", "y0", "x1", "y1"])
        writer.writerows([image, number // 2 % 3, 1, 1, 20, 20] for number, image in enumerate(images))
        writer.writerows([[f"=x{image}", "@dog", 5, 5, 1, "x"] for image in images[:9]])
    return folder


def tables_of(folder: Path) -> Iterator[tuple[Path, list[list[str]]]]:
    for path in folder.rglob("*/*.csv"):
        with open(path, encoding="utf-8", newline="") as file:
            yield path, list(csv.reader(file))


COMMANDS: dict[str, Callable[[Path], tuple[str, ...]]] = {
    "audit": lambda f: ("audit", str(f / "out"), "--by", "class", "--by", "site", "--min-group", "1", "--junit", str(f / "audit.xml")),
    "compare": lambda f: ("compare", str(f / "out"), str(f / "other"), "--by", "class", "-o", str(f / "compared")),
    "evaluate": lambda f: ("evaluate", str(f / "out"), "--truth", str(f / "truth.csv"), "-o", str(f / "evaluated")),
    "export": lambda f: ("export", str(f / "out"), "--format", "csv,coco,yolo,label-studio", "-o", str(f / "exported"), "--threshold", "0.5"),
    "report": lambda f: ("report", str(f / "out")),
}  # fmt: skip


@pytest.mark.parametrize("name", COMMANDS)
def test_what_commands_write_and_print(
    name: str, folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """No formula in a table, no control character on a stream, XML and JSON and YAML that parse, one row per line."""
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(folder / "summary.md"))
    code = run(list(COMMANDS[name](folder)))
    heard = capsys.readouterr()
    assert code in (0, 1), heard.err
    for text in (heard.out, heard.err):
        assert all(letter.isprintable() or letter == "\n" for letter in text)
        assert not re.search(r"^(::|##\[)", text, re.MULTILINE)
    for path, rows in tables_of(folder):
        assert len({len(row) for row in rows}) == 1, path
        numbers = re.compile(r"-?[\d.]+(e-?\d+)?")
        assert all(is_safe_cell(cell) or numbers.fullmatch(cell) for row in rows for cell in row), path
    for path in folder.rglob("*.xml"):
        ElementTree.parse(path)
    for path in [*folder.rglob("*.json")]:
        json.loads(path.read_text())
    for path in folder.rglob("*.yaml"):
        yaml.safe_load(path.read_text())
    if (folder / "summary.md").exists():
        check_markdown((folder / "summary.md").read_text())


# The terminal


def test_what_is_printed_commands_neither_the_terminal_nor_a_runner(capsys: pytest.CaptureFixture[str]) -> None:
    """No escape, no direction mark, no line that is a command of GitHub or Azure."""
    reporter = Reporter(quiet=False, verbose=True, color=False)
    for name in NAMES:
        for say in (fail, reporter.warned, reporter.inform, out):
            say(f"{name} is odd")
            say(f"odd: {name}")
        heard = capsys.readouterr()
        for text in (heard.out, heard.err):
            assert all(letter.isprintable() or letter == "\n" for letter in text)
            assert not re.search(r"^\s*(::|##\[)", text, re.MULTILINE), name
        out_json({"name": name})
        assert json.loads(capsys.readouterr().out) == {"name": name}


# XML and Markdown


@each_name
def test_junit_is_xml_whatever_a_group_is_called(name: str) -> None:
    result = GateResult(f"accuracy < 0.9 by {name}", "fail", f"{name}: 0.5")
    root = ElementTree.fromstring(junit("audit", [result]))
    (case,) = root.iter("testcase")
    shown = case.attrib["name"].removeprefix("accuracy < 0.9 by ")
    assert [child.tag for child in case] == ["failure", "system-out"]
    assert re.sub("\ufffd|\\s", "", shown) == re.sub(
        r"[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]|\ufffd|\s", "", name
    )


def check_markdown(text: str) -> None:
    """Every line of a table has as many cells as its header, without links, tags or code."""
    for line in text.splitlines():
        if line.startswith("| "):
            bare = re.sub(r"\\.", "", line)
            assert not re.search(r"[<>`\[\]]", bare.replace("|", "")), line
            assert all(letter.isprintable() for letter in line)


@each_name
def test_a_cell_of_markdown_is_the_text_and_nothing_else(name: str) -> None:
    text = markdown_table(("a", "b"), [(markdown_cell(name), "x")])
    assert len(text.splitlines()) == 3
    check_markdown(text)
    assert len(re.findall(r"(?<!\\)(?:\\\\)*\|", text.splitlines()[2])) == 3


@each_name
def test_a_table_of_tensorboard_keeps_its_cells(name: str) -> None:
    text = _markdown(["a", "b"], [[name, 1]])
    assert len(text.splitlines()) == 3
    check_markdown(text)
    text.encode("utf-8")


# The report


def test_a_report_of_hostile_names_is_data_and_no_page(folder: Path) -> None:
    """No tag of a name reaches the page, and the data equal those of the journal."""
    build_report(str(folder / "out"))
    page = (folder / "out" / "report" / "index.html").read_text("utf-8")
    (data,) = re.findall(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)
    for text in ("<script>alert", "</script>alert", "<!--x", "<img"):
        assert text not in page
    shown = json.loads(data)["parts"]["rows-0"]["image"]
    images = [json.loads(line)["image"] for line in (folder / "out" / "manifest.jsonl").read_text().splitlines()]
    assert [name.encode("utf-8", "backslashreplace") for name in images] == [
        name.encode("utf-8", "backslashreplace") for name in shown
    ]
    assert page.count("<script") == page.count("</script>")


# Trackers


def events(folder: Path) -> Iterator[bytes]:
    """The records of TensorBoard's files: length, checksum, data, checksum."""
    for path in folder.rglob("events.*"):
        data, place = path.read_bytes(), 0
        while place < len(data):
            (size,) = struct.unpack_from("<Q", data, place)
            yield data[place + 12 : place + 12 + size]
            place += size + 16


def test_trackers_take_every_name(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """TensorBoard, and W&B offline: the push succeeds, and names stay inside their folder."""
    pytest.importorskip("tensorboard")
    monkeypatch.chdir(folder)
    before = {path for path in folder.rglob("*") if "tensorboard" not in path.parts}
    assert run(["push", "out", "--tensorboard"]) == 0, capsys.readouterr().err
    assert sum(1 for _ in events(folder / "out" / "tensorboard")) > 3
    assert {path for path in folder.rglob("*") if "tensorboard" not in path.parts} == before


@pytest.mark.slow
def test_wandb_takes_every_name(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(folder)
    monkeypatch.setenv("WANDB_MODE", "offline")
    assert run(["push", "out", "--wandb", "--wandb-mode", "offline"]) == 0, capsys.readouterr().err
    (table,) = (folder / "out" / "wandb").rglob("explanations*.json")
    rows = json.loads(table.read_text())["data"]
    assert len(rows) == len((folder / "out" / "manifest.jsonl").read_text().splitlines())
    outside = [path for path in (folder / "out").rglob("*") if not path.resolve().is_relative_to(folder / "out")]
    # W&B links its own log.
    assert [path for path in outside if path.name != "debug-core.log"] == []
