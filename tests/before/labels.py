"""Cases about labels and names of classes."""

from __future__ import annotations

import unicodedata
from pathlib import Path
from typing import Any

from .case import TINY, Case, command, explained, pictures, rows, written

TWELVE = tuple(f"{number}/{number}.png" for number in range(12))


def numbered_folders() -> Any:
    pictures(*TWELVE)
    return explained("--model-arg", "num_classes=12", "--labels", "folder", "--target", "label")


def indices(*argv: str) -> list[Any]:
    """The classes of the labels in the rows, in the order of the images."""
    explained(*argv)
    return [row.get("label_index", row.get("label")) for _, row in sorted(rows().items())]


def names_of_folders() -> Any:
    pictures("cat/0.png", "dog/1.png")
    return indices("--model-arg", "num_classes=2", "--labels", "folder", "--class-names", "folder")


def case_of_letters() -> Any:
    pictures("A/0.png", "a/1.png")
    written("names.txt", "A", "a")
    explained("--model-arg", "num_classes=2", "--labels", "folder", "--class-names", "names.txt")
    return ["correct" in row for row in rows().values()]


def composed_letters() -> Any:
    pictures(unicodedata.normalize("NFD", "Café/0.png"))
    written("names.txt", "Café", "Bar")
    explained("--model-arg", "num_classes=2", "--labels", "folder", "--class-names", "names.txt")
    return ["correct" in row for row in rows().values()]


def table(*lines: str, encoding: str = "utf-8", **more: Any) -> list[Any]:
    """The labels of two images from a table."""
    pictures("0.png", "1.png")
    written("labels.csv", *lines, encoding=encoding)
    code, _ = command("explain", "images", *TINY, "--labels", "labels.csv", *more.get("argv", ()))
    return [code, *(row.get("labels", row["label"]) for _, row in sorted(rows().items()))]


def two_rows() -> Any:
    return table("image,label", "0.png,3", "0.png,4", "1.png,5")


def strangers() -> Any:
    pictures("0.png")
    written("labels.csv", "image,label", "0.png,3", "gone.png,4", "lost.png,4")
    return "2 images of" in command("explain", "images", *TINY, "--labels", "labels.csv")[1]


def spreadsheet() -> Any:
    pictures("0.png")
    Path("labels.csv").write_bytes(b"PK\x03\x04\x14\x00\x06\x00")
    return "spreadsheet" in command("explain", "images", *TINY, "--labels", "labels.csv")[1]


def flat_folder() -> Any:
    pictures("0.png", "1.png")
    return "no class folders" in command("explain", "images", *TINY, "--labels", "folder")[1]


def class_file(name: str, *lines: str) -> Any:
    """Writes the names of three classes into a file."""
    pictures("0.png")
    written(name, *lines)
    explained("--model-arg", "num_classes=3", "--class-names", name)
    return sorted(one["name"] for row in rows().values() for one in row["top"])


def other_names() -> Any:
    pictures("0.png")
    written("names.txt", "ant", "bee", "cat")
    explained("--model-arg", "num_classes=3")
    code = explained("--model-arg", "num_classes=3", "--class-names", "names.txt")
    return [code, *sorted(one["name"] for row in rows().values() for one in row["top"])]


def other_columns() -> Any:
    pictures("0.png")
    written("labels.csv", "image,label,sex", "0.png,3,f")
    explained("--labels", "labels.csv")
    return rows()["0.png"].get("attributes")


ABC = ["ant", "bee", "cat"]
LABELS = [
    Case("class folders 0 to 11 and no names", numbered_folders, 0, 2),
    Case("names from the class folders", names_of_folders, [], [0, 1]),
    Case("classes A and a", case_of_letters, [False, False], [True, True]),
    Case("folders of macOS", composed_letters, [False], [True]),
    Case("two labels of one image", two_rows, [0, "4", "5"], [0, ["3", "4"], "5"]),
    Case("labels of images that are not there", strangers, False, True),
    Case("3.0 by pandas", lambda: indices_of_table("3.0", "4.0"), ["3.0", "4.0"], [3, 4]),
    Case("semicolons", lambda: table("image;label", "0.png;3", "1.png;4"), [2], [0, "3", "4"]),
    Case("labels of several classes", lambda: table("image,label", "0.png,3|4", "1.png,5"), [0, "3|4", "5"], [0, ["3", "4"], "5"]),
    Case("an .xlsx as a table", spreadsheet, False, True),
    Case("a folder without class folders", flat_folder, False, True),
    Case("columns of other names", lambda: table("file,class", "0.png,3", "1.png,4", argv=("--image-column", "file", "--label-column", "class")), [2], [0, "3", "4"]),
    Case("other columns of a table", other_columns, None, {"sex": "f"}),
    Case("names in data.yaml", lambda: class_file("data.yaml", "nc: 3", "names: [ant, bee, cat]"), [], ABC),
    Case("names in id2label", lambda: class_file("config.json", '{"id2label": {"0": "ant", "1": "bee", "2": "cat"}}'), [], ABC),
    Case("names with their numbers", lambda: class_file("names.txt", "0 ant", "1 bee", "2 cat"), ["0 ant", "1 bee", "2 cat"], ABC),
    Case("names on a finished run", other_names, [2, "0", "1", "2"], [0, *ABC]),
]  # fmt: skip


def indices_of_table(*labels: str) -> list[Any]:
    pictures(*(f"{place}.png" for place in range(len(labels))))
    written("labels.csv", "image,label", *(f"{place}.png,{label}" for place, label in enumerate(labels)))
    explained("--labels", "labels.csv")
    return [row.get("label_index", row["label"]) for _, row in sorted(rows().items())]
