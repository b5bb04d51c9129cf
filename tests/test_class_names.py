"""Labels name classes: by number, by name, or by the order of the class folders."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cam_cli.errors import CamxError
from cam_cli.models.catalog import load_model
from cam_cli.models.class_files import read_class_names
from cam_cli.models.classes import ClassNames
from cam_cli.models.options import ModelSpec

from .conftest import TINY, picture

Camx = Callable[..., int]


def class_folders(path: Path, *names: str) -> Path:
    for seed, name in enumerate(names):
        (path / name).mkdir(parents=True)
        picture(seed=seed).save(path / name / f"{seed}.png")
    return path


def rows_of(out: str = "camx-out") -> dict[str, dict[str, Any]]:
    lines = Path(out, "manifest.jsonl").read_text("utf-8").splitlines()
    return {row["image"].partition("/")[0]: row for row in map(json.loads, lines)}


def meanings(out: str = "camx-out") -> dict[str, Any]:
    """The predicted class of the images of each class folder."""
    return {label: row.get("label_index") for label, row in rows_of(out).items()}


def of(count: int) -> tuple[str, ...]:
    return (*TINY, "--model-arg", f"num_classes={count}", "--labels", "folder", "--no-report")


def test_numbers_with_two_readings_are_refused_with_both(
    camx: Camx, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = class_folders(tmp_path / "data", *map(str, range(12)))
    assert camx("explain", folder, *of(12)) == 2
    message = " ".join(capsys.readouterr().err.split())
    assert "'10' may mean class 10, or class 2" in message
    assert "--class-names folder" in message
    assert "--class-names index" in message
    assert not Path("camx-out/manifest.jsonl").exists()
    assert camx("explain", folder, *of(12), "--class-names", "index") == 0
    assert meanings() == {str(number): number for number in range(12)}
    assert camx("explain", folder, *of(12), "--class-names", "folder", "-o", "named") == 0
    assert meanings("named") == {name: place for place, name in enumerate(sorted(map(str, range(12))))}


@pytest.mark.parametrize(("names", "count"), [(range(3), 3), (("00", "01", "02"), 3), ((0, 11), 12)])
def test_numbers_with_one_reading_are_indices(camx: Camx, tmp_path: Path, names: Any, count: int) -> None:
    assert camx("explain", class_folders(tmp_path / "data", *map(str, names)), *of(count)) == 0
    assert meanings() == {str(name): int(name) for name in names}


def test_names_of_class_folders_in_the_order_of_image_folder(
    camx: Camx, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    torchvision = pytest.importorskip("torchvision.datasets")
    folder = class_folders(tmp_path / "data", "dog", "Zebra", "cat", "10", "9")
    assert camx("explain", folder, *of(5)) == 0
    said = " ".join(capsys.readouterr().err.split())
    assert "5 class folders are no class of the model, which has no class names (10, 9, Zebra …)" in said
    assert "--class-names folder" in said
    assert camx("explain", folder, *of(5), "--class-names", "folder", "--target", "cat", "-o", "named") == 0
    assert meanings("named") == torchvision.ImageFolder(str(folder)).class_to_idx
    assert {row["maps"][0]["target_name"] for row in rows_of("named").values()} == {"cat"}


def test_other_class_folders_than_the_network_has(
    camx: Camx, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = class_folders(tmp_path / "data", "dog", "cat")
    assert camx("explain", folder, *of(5), "--class-names", "folder") == 2
    assert "names 2 classes, but the model has 5" in " ".join(capsys.readouterr().err.split())
    assert camx("explain", folder / "cat", *of(5), "--class-names", "folder") == 2
    assert "there are no class folders in" in " ".join(capsys.readouterr().err.split())
    with pytest.raises(CamxError, match="only `camx explain` has"):
        load_model(ModelSpec("test_resnet", pretrained=False, class_names="folder"))


def test_a_flat_folder_has_no_class_folders(camx: Camx, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = class_folders(tmp_path, "photos") / "photos"
    assert camx("explain", folder, *TINY, "--labels", "folder", "--no-report") == 0
    said = " ".join(capsys.readouterr().err.split())
    assert "There are no class folders in" in said
    assert "'photos' is no class of the model" in said


def test_names_are_compared_exactly_first_then_by_letters_then_without_case() -> None:
    names = ClassNames(("A", "a", "Caf\u00e9", "crane", "crane, bird", "10"))
    composed, parted = "caf\u00e9", unicodedata.normalize("NFD", "Caf\u00e9")
    wanted = ("A", "a", parted, composed, "CRANE", "bird", "10", "10.0", "3.0", " 4 ")
    assert [names.index(one, 6) for one in wanted[:7]] == [0, 1, 2, 2, 3, 4, 5]
    assert [names.index(one, 6) for one in wanted[8:]] == [3, 4]
    with pytest.raises(CamxError, match="There is no class 10: the model has 6"):
        names.index(wanted[7], 6)
    with pytest.raises(CamxError, match=r"Several classes are called 'É': 0 \(é\), 1"):
        ClassNames(("\u00e9", "e\u0301")).index("\u00c9", 2)
    assert ClassNames(("\u00e9", "e\u0301")).index("e\u0301", 2) == 1


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("data.yaml", "path: here\nnc: 3\nnames: [ant, bee, cat]\n"),
        ("data.yml", "names:\n  0: ant\n  1: bee\n  2: cat\n"),
        ("config.json", '{"model_type": "vit", "id2label": {"0": "ant", "1": "bee", "2": "cat"}}'),
        ("names.txt", "0 ant\n1 bee\n2 cat\n"),
        ("names.txt", "2: cat\n0: ant\n1: bee\n"),
        ("names.csv", "1,ant\n2,bee\n3,cat\n"),
        ("places.txt", "ant 0\nbee 1\ncat 2\n"),
        ("synsets.txt", "n01440764 ant\nn01443537 bee\nn01484850 cat\n"),
        ("plain.txt", "ant\nbee\ncat\n"),
    ],
)
def test_files_that_name_classes(tmp_path: Path, name: str, content: str) -> None:
    (tmp_path / name).write_text(content)
    found = read_class_names(str(tmp_path / name))
    # 0.1.0 read most of these lines as names: "0 ant", "path: here" …
    assert found.names == ("ant", "bee", "cat")
    if name.startswith("synsets"):
        assert found.index("n01443537", 3) == 1


@pytest.mark.parametrize(
    "lines", [("3 wheeler", "4 wheeler"), ("class 0", "class 1"), ("0 ant", "1 ant"), ("0 ant", "bee"), ("7", "8")]
)
def test_numbers_in_names_are_names(tmp_path: Path, lines: tuple[str, ...]) -> None:
    (tmp_path / "names.txt").write_text("\n".join(lines))
    assert read_class_names(str(tmp_path / "names.txt")).names == lines


@pytest.mark.parametrize("content", ["names: {a: b}", "names: [", "just words", "nc: 3"])
def test_a_yaml_file_without_names_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "data.yaml").write_text(content)
    with pytest.raises(CamxError, match="is not a list of names .*`names` or `id2label`"):
        read_class_names(str(tmp_path / "data.yaml"))
