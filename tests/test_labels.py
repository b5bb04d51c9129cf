"""Labels and other columns of their table in the rows of a run."""

from __future__ import annotations

import json
import pickle
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from cam_cli.distributed.actor import packed, unpacked
from cam_cli.errors import CamxError
from cam_cli.images.labels import with_labels
from cam_cli.images.listing import find

from .conftest import TINY

Camx = Callable[..., int]


def rows_of(out: Path = Path("camx-out")) -> dict[str, dict[str, Any]]:
    """The last row of each image."""
    rows = [json.loads(line) for line in (out / "manifest.jsonl").read_text("utf-8").splitlines()]
    return {row["image"]: row for row in rows}


def written(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(lines) + "\n", "utf-8")
    return path


def test_other_columns_of_the_labels_file_are_attributes(camx: Camx, images: Path, tmp_path: Path) -> None:
    table = written(tmp_path / "l.csv", "image,label,Sex,site", "cat/0.jpg,3,f,Rome", "cat/1.png,4,m,", "dog/5.png,,f,")
    assert camx("explain", images, *TINY, "--labels", table) == 0
    rows = rows_of()
    assert rows["cat/0.jpg"]["attributes"] == {"sex": "f", "site": "Rome"}
    assert rows["cat/1.png"]["attributes"] == {"sex": "m"}
    assert (rows["dog/5.png"]["attributes"], rows["dog/5.png"]["label"]) == ({"sex": "f"}, "")
    assert "attributes" not in rows["cat/2.jpg"]


def test_other_columns_of_a_list_are_attributes_also_of_images_that_fail(camx: Camx, images: Path) -> None:
    listed = written(images / "l.csv", "image,label,sex", "cat/0.jpg,3,f", "none.jpg,4,m")
    assert camx("explain", f"@{listed}", *TINY) == 1
    assert {image: row["attributes"] for image, row in rows_of().items()} == {
        "cat/0.jpg": {"sex": "f"},
        "none.jpg": {"sex": "m"},
    }
    assert camx("activations", f"@{listed}", *TINY, "-o", "maps") == 1
    assert rows_of(Path("maps"))["cat/0.jpg"]["attributes"] == {"sex": "f"}


def test_an_audit_needs_nothing_but_the_labels_file(
    camx: Camx, images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = [str(path.relative_to(images)) for path in sorted(images.rglob("*.*"))]
    lines = [f"{name},{place % 2},{'f' if place < 3 else 'm'}" for place, name in enumerate(names)]
    table = written(tmp_path / "l.csv", "image,label,sex", *lines)
    assert camx("explain", images, *TINY, "--labels", table) == 0
    capsys.readouterr()
    assert camx("audit", "camx-out", "--by", "sex", "--json") == 0
    groups = (Path("camx-out") / "audit" / "groups.csv").read_text("utf-8").splitlines()
    found = {line.split(",")[1]: line.split(",")[2] for line in groups if line.startswith("sex,")}
    assert found == {"f": "3", "m": "4"}


def test_changed_attributes_are_noted_without_explaining_again(
    camx: Camx, images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = ("explain", images, *TINY, "--target", "label", "--labels")
    first = written(tmp_path / "1.csv", "image,label,sex", *(f"cat/{name},3,f" for name in ("0.jpg", "1.png")))
    second = written(tmp_path / "2.csv", "image,label,site", "cat/0.jpg,3,Rome", "cat/1.png,3,")
    assert camx(*argv, first) == 1
    capsys.readouterr()
    assert camx(*argv, second, "--json") == 1
    assert json.loads(capsys.readouterr().out)["skipped"] == 2
    rows = rows_of()
    assert rows["cat/0.jpg"]["attributes"] == {"site": "Rome"}
    assert "attributes" not in rows["cat/1.png"]


def test_several_labels_of_one_image(camx: Camx, images: Path, tmp_path: Path) -> None:
    table = written(tmp_path / "l.csv", "image,label", "cat/0.jpg,3|x", "cat/1.png,5", "cat/1.png,6", "cat/2.jpg,3|4|5")
    assert camx("explain", images, *TINY, "--labels", table, "--top-k", 1000) == 0
    rows = rows_of()
    assert rows["cat/0.jpg"]["labels"] == ["3", "x"]
    assert rows["cat/1.png"]["labels"] == ["5", "6"]
    row = rows["cat/2.jpg"]
    best = next(one for one in row["top"] if one["index"] in (3, 4, 5))
    assert (row["label_index"], row["label"], row["label_prob"]) == (best["index"], str(best["index"]), best["prob"])
    assert "labels" not in rows["dog/5.png"]


def test_one_of_several_labels_is_enough_to_be_correct(camx: Camx, images: Path, tmp_path: Path) -> None:
    assert camx("explain", images, *TINY) == 0
    best = rows_of()["cat/0.jpg"]["top"][0]["index"]
    table = written(tmp_path / "l.csv", "image,label", f"cat/0.jpg,{(best + 1) % 1000}|{best}")
    assert camx("explain", images, *TINY, "--labels", table) == 0  # notes it in the row
    noted = rows_of()["cat/0.jpg"]
    assert camx("explain", images, *TINY, "--labels", table, "-o", "new") == 0
    for row in (noted, rows_of(Path("new"))["cat/0.jpg"]):
        assert (row["correct"], row["label_index"], row["label_rank"]) == (True, best, 1)
        assert row["label"] == str(best)


def test_probability_and_rank_of_the_true_class(camx: Camx, images: Path, tmp_path: Path) -> None:
    assert camx("explain", images, *TINY, "--top-k", 1000, "-o", "all") == 0
    ranking = rows_of(Path("all"))["cat/0.jpg"]["top"]
    last, second, third = ranking[-1], ranking[1], ranking[2]
    table = written(tmp_path / "l.csv", "image,label", f"cat/0.jpg,{last['index']}")
    assert camx("explain", images, *TINY, "--labels", table) == 0
    row = rows_of()["cat/0.jpg"]
    assert (row["label_rank"], row["label_prob"], row["correct"]) == (1000, last["prob"], False)
    # Another label on resume: its probability is known if it is among the top classes.
    table = written(tmp_path / "l.csv", "image,label", f"cat/0.jpg,{second['index']}")
    assert camx("explain", images, *TINY, "--labels", table) == 0
    row = rows_of()["cat/0.jpg"]
    assert (row["label_rank"], row["label_index"]) == (2, second["index"])
    assert row["label_prob"] == pytest.approx(second["prob"])
    table = written(tmp_path / "l.csv", "image,label", f"cat/0.jpg,{ranking[500]['index']}")
    assert camx("explain", images, *TINY, "--labels", table) == 0
    row = rows_of()["cat/0.jpg"]
    assert row["label_index"] == ranking[500]["index"]
    assert not {"label_rank", "label_prob"} & row.keys()
    assert third["index"] != second["index"]


def test_rows_say_where_the_map_lies_and_how_bright_the_image_is(camx: Camx, tmp_path: Path) -> None:
    for name, level in (("black", 0), ("grey", 51), ("white", 255)):
        Image.new("RGB", (200, 100), (level,) * 3).save(tmp_path / f"{name}.png")
    argv = ("explain", *(tmp_path / f"{name}.png" for name in ("black", "grey", "white")), *TINY)
    camx(*argv, "--crop-mode", "border", "--crop-pct", 1)
    rows = rows_of()
    assert [rows[f"{name}.png"]["brightness"] for name in ("black", "grey", "white")] == [0, 0.2, 1]
    row = rows["grey.png"]
    # The network saw a square around the image, as wide as the image.
    assert row["frame"] == [0, -50, 200, 150]
    assert row["seen"] == pytest.approx([0, 0, 1, 1], abs=0.01)
    assert row["maps"][0]["grid"] == [5, 5]


def test_a_labels_file_with_more_rows_than_images(images: Path, tmp_path: Path) -> None:
    table = written(
        tmp_path / "l.csv",
        *("image,label,sex", "cat/0.jpg,3,f", "cat/0.jpg,4,f", "cat/1.png,3,f", "cat/1.png,3,m"),
        *(f"gone/{number}.jpg,3,f" for number in range(5)),
    )
    found = with_labels(find([str(images)]), str(table))
    left, without, several, denied = found.notes
    assert "for 5 of 7 images" in without
    assert "5 images of" in left
    assert "(gone/0.jpg, gone/1.jpg, gone/2.jpg …)" in left
    assert "1 image with different labels" in several
    assert "cat/0.jpg: 3, 4" in several
    assert "1 image with different attributes" in denied
    assert dict(found.sources[1].attributes) == {"sex": "f"}


def test_sources_travel_whole(images: Path) -> None:
    listed = written(images / "l.csv", "image,label,sex", "cat/0.jpg,3|4,f", "cat/1.png,,")
    for source in find([f"@{listed}"]).sources:
        assert unpacked(packed(7, source)) == (7, source)
        assert pickle.loads(pickle.dumps(source)) == source


def test_a_run_lists_the_classes_of_its_network(camx: Camx, images: Path, tmp_path: Path) -> None:
    assert camx("explain", images, "--model", "demo", "--device", "cpu", "--limit", 1) == 0
    record = json.loads(Path("camx-out/run.json").read_text("utf-8"))
    assert record["classes"][rows_of()["cat/0.jpg"]["top"][0]["index"]] == rows_of()["cat/0.jpg"]["top"][0]["name"]
    assert len(record["classes"]) == 12
    assert "classes" not in record["plan"]
    assert camx("explain", images, *TINY, "--model-arg", "num_classes=3", "--limit", 1, "-o", "nameless") == 0
    assert "classes" not in json.loads(Path("nameless/run.json").read_text("utf-8"))


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_tables_have_the_separators_of_spreadsheets(images: Path, tmp_path: Path, separator: str) -> None:
    lines = [("Image", '"Label"', "sex"), ("cat/0.jpg", "3.0", "f, adult" if separator != "," else '"f, adult"')]
    table = written(tmp_path / "l.csv", *(separator.join(line) for line in lines))
    first = with_labels(find([str(images)]), str(table)).sources[0]
    assert (first.label, dict(first.attributes)) == ("3.0", {"sex": "f, adult"})
    listed = written(images / "l.csv", *(separator.join(line) for line in lines))
    assert find([f"@{listed}"]).sources[0].attributes == first.attributes


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("image,label\ncat/0.jpg,3\n".encode("utf-16"), "is a text in UTF-16.*UTF-8"),
        (b"PK\x03\x04\x14\x00\x06\x00", r"is a spreadsheet \(.xlsx\).*as CSV"),
        (b"", "no column 'image' .its first line: empty"),
    ],
)
def test_files_that_are_no_tables_are_named(images: Path, tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "l.csv").write_bytes(content)
    with pytest.raises(CamxError, match=message):
        with_labels(find([str(images)]), str(tmp_path / "l.csv"))


def test_columns_by_their_names(camx: Camx, images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = written(tmp_path / "l.csv", "id,File Name,class,label", "1,cat/0.jpg,3,x", "2,cat/1.png,4,y")
    argv = ("explain", images, *TINY, "--no-report", "--labels", table)
    # 0.1.0 asked to change the file.
    assert camx(*argv) == 2
    said = " ".join(capsys.readouterr().err.split())
    assert "has no column 'image' (its first line: id, file name, class, label)" in said
    assert "--image-column and --label-column" in said
    assert camx(*argv, "--image-column", "file name", "--label-column", "CLASS") == 0
    row = rows_of()["cat/0.jpg"]
    assert (row["label"], row["label_index"], row["attributes"]) == ("3", 3, {"id": "1", "label": "x"})
    assert camx(*argv, "--image-column", "File Name", "--label-column", "kind") == 2
    assert "has no column 'kind' (its columns: id, file name, class, label)" in " ".join(
        capsys.readouterr().err.split()
    )
    listed = written(images / "l.csv", "file;class", "cat/0.jpg;5", "dog/5.png;6")
    assert camx("explain", f"@{listed}", *TINY, "--image-column", "file", "--label-column", "class", "-o", "list") == 0
    assert {key: row["label_index"] for key, row in rows_of(Path("list")).items()} == {"cat/0.jpg": 5, "dog/5.png": 6}


def test_names_of_images_in_another_form_of_their_letters(tmp_path: Path) -> None:
    folder = tmp_path / "images" / unicodedata.normalize("NFD", "Café")
    folder.mkdir(parents=True)
    for name in (unicodedata.normalize("NFD", "é.png"), "ü.png", "plain.png"):
        Image.new("RGB", (8, 8)).save(folder / name)
    # 0.1.0: the table names none of the first two.
    table = written(tmp_path / "l.csv", "image,label", "Café/é.png,1", "Café\\ü.png,2", "Café/plain.png,3")
    found = with_labels(find([str(tmp_path / "images"), str(tmp_path / "images" / folder)]), str(table))
    assert {unicodedata.normalize("NFC", one.key)[-5:]: one.label for one in found.sources} == {
        "é.png": "1", "ü.png": "2", "n.png": "3",
    }  # fmt: skip
    assert found.notes == ()


def test_images_without_a_row_are_counted_and_named(images: Path, tmp_path: Path) -> None:
    table = written(tmp_path / "l.csv", "image,label", "cat/0.jpg,3", "cat/1.png,3")
    (note,) = with_labels(find([str(images)]), str(table)).notes
    assert "for 5 of 7 images" in note
    assert "(cat/2.jpg, cat/3.png, dog/4.jpg …)" in note


def test_labels_that_are_no_class_are_counted_by_their_images(
    camx: Camx, images: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert camx("explain", images, *TINY, "--labels", "folder", "--no-report") == 0
    said = " ".join(capsys.readouterr().err.split())
    assert "`correct` stays empty for 7 images." in said


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"image,label,label\ncat/0.jpg,3,4\n", "has several columns 'label'"),
        (b"image,label,Sex,sex\ncat/0.jpg,3,f,m\n", "has several columns 'sex'"),
        ("image,label\ncat/0.jpg,caf\u00e9\n".encode("latin-1"), r"is no text in UTF-8 \(line 2\)"),
    ],
)
def test_tables_that_can_be_read_in_two_ways_are_refused(
    images: Path, tmp_path: Path, content: bytes, message: str
) -> None:
    (tmp_path / "l.csv").write_bytes(content)
    with pytest.raises(CamxError, match=message):
        with_labels(find([str(images)]), str(tmp_path / "l.csv"))


def test_a_label_that_several_classes_share_is_a_warning(
    camx: Camx, images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """ImageNet has two classes `crane`."""
    names = written(tmp_path / "names.txt", "crane", "cat", "crane")
    table = written(tmp_path / "l.csv", "image,label", "cat/0.jpg,crane", "cat/1.png,2", "cat/2.jpg,owl")
    argv = ("explain", images, *TINY, "--model-arg", "num_classes=3", "--class-names", names, "--labels", table)
    assert camx(*argv, "--no-report") == 0
    said = " ".join(capsys.readouterr().err.split())
    assert "1 label is the name of several classes (crane: 0, 2), so `correct` stays empty for 1 image." in said
    assert "1 label is no class of the model (owl); `correct` stays empty for 1 image." in said
    assert rows_of()["cat/1.png"]["label_index"] == 2
