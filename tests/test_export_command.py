"""Files and messages of an export, and its command."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import yaml
from PIL import Image

from cam_cli.export.findings import findings
from cam_cli.export.formats import FORMATS
from cam_cli.export.ledger import LEDGER
from cam_cli.export.options import ExportOptions
from cam_cli.images.annotations.run_lengths import decoded

from .export_support import SIZE, empty, exported, out  # noqa: F401 - fixtures are found by their names
from .journals import CLASSES, hill, map_of, row_of, run_of

Camx = Callable[..., int]


class TestFiles:
    def test_coco_holds_what_it_is_and_is_not(self, out: Path, tmp_path: Path) -> None:
        exported(out, "coco", tmp_path)
        content = json.loads((tmp_path / "coco.json").read_text())
        info = content["info"]
        assert "not drawn by hand" in info["description"]
        assert (info["version"], info["method"], info["threshold"], info["threshold_from"]) == (
            "9.9",
            "gradcam",
            0.5,
            "given",
        )
        assert [one["name"] for one in content["categories"]] == sorted(CLASSES)
        assert [(one["id"], one["file_name"], one["width"], one["height"]) for one in content["images"]] == [
            (1, "a.jpg", 200, 100),
            (2, "b c/ü.png", 200, 100),
            (3, "blank.jpg", 200, 100),
        ]

    def test_a_mask_as_run_lengths_is_the_mask(self, out: Path, tmp_path: Path) -> None:
        exported(out, "coco", tmp_path, shape="mask")
        annotation = json.loads((tmp_path / "coco.json").read_text())["annotations"][0]
        (one,) = next(findings(str(out), ExportOptions(threshold="0.5"), "9").images()).found
        assert np.array_equal(decoded(annotation["segmentation"]["counts"], *SIZE), one.mask(*SIZE))
        assert annotation["area"] == one.mask(*SIZE).sum()

    def test_label_studio_has_places_in_percent(self, out: Path, tmp_path: Path) -> None:
        exported(out, "label-studio", tmp_path, image_root="https://x/")
        tasks = json.loads((tmp_path / "label-studio.json").read_text())
        assert [task["data"]["image"] for task in tasks] == [
            "https://x/a.jpg",
            "https://x/b%20c/%C3%BC.png",
            "https://x/blank.jpg",
        ]
        (result,) = tasks[0]["predictions"][0]["result"]
        value = result["value"]
        assert value["x"] + value["width"] / 2 == pytest.approx(30, abs=1)
        assert value["y"] + value["height"] / 2 == pytest.approx(50, abs=1)
        assert value["rectanglelabels"] == ["cat"]
        assert tasks[0]["predictions"][0]["model_version"] == "camx 9.9, gradcam, threshold 0.5 (given)"
        assert tasks[2]["predictions"][0]["result"] == []
        labels = ElementTree.parse(tmp_path / "label-studio.xml").getroot().iter("Label")
        assert [one.get("value") for one in labels] == sorted(CLASSES)

    def test_a_mask_file_has_the_size_of_the_image_and_its_origin(self, out: Path, tmp_path: Path) -> None:
        exported(out, "masks", tmp_path)
        with Image.open(tmp_path / "masks" / "b c" / "ü.png") as image:
            assert (image.mode, image.size) == ("P", SIZE)
            assert set(np.unique(np.asarray(image))) == {0, 2, 3}
            assert json.loads(image.text["camx"])["threshold"] == 0.5  # type: ignore[attr-defined]
        assert (tmp_path / "masks" / "classes.txt").read_text().split("\n") == ["background", *sorted(CLASSES), ""]

    def test_yolo_has_its_origin_in_its_description(self, out: Path, tmp_path: Path) -> None:
        exported(out, "yolo", tmp_path)
        content = yaml.safe_load((tmp_path / "data.yaml").read_text())
        assert content["names"] == dict(enumerate(sorted(CLASSES)))
        assert content["camx"]["threshold"] == 0.5
        assert (tmp_path / "labels" / "blank.txt").read_text() == ""

    def test_a_name_that_a_spreadsheet_would_run(self, tmp_path: Path) -> None:
        folder = run_of(tmp_path / "out", [row_of("=1+1.jpg", [map_of(hill(0.5, 0.5), 0, SIZE)])])
        exported(folder, "csv", tmp_path)
        (row,) = csv.DictReader((tmp_path / "boxes.csv").read_text().splitlines())
        assert row["image"] == "'=1+1.jpg"

    @pytest.mark.parametrize("name", FORMATS)
    def test_a_run_without_images_is_valid_files(self, empty: Path, tmp_path: Path, name: str) -> None:
        exported(empty, name, tmp_path / "none")
        written = {path.name for path in (tmp_path / "none").rglob("*") if path.is_file()} - {LEDGER}
        expected = {"coco": {"coco.json"}, "yolo": {"data.yaml"}, "label-studio": {"label-studio.json", "label-studio.xml"},
                    "csv": {"boxes.csv"}, "masks": {"classes.txt"}}  # fmt: skip
        assert written == expected[name]
        if name == "coco":
            assert json.loads((tmp_path / "none" / "coco.json").read_text())["annotations"] == []
        if name == "label-studio":
            assert json.loads((tmp_path / "none" / "label-studio.json").read_text()) == []

    @pytest.mark.parametrize("name", ["yolo", "masks"])
    def test_no_name_leads_out_of_the_folder(self, tmp_path: Path, name: str) -> None:
        shown = [map_of(hill(0.5, 0.5), 0, SIZE)]
        names = ["../../x.jpg", "/etc/y.jpg", "a/../../z.jpg", "ok.jpg", "ok.png"]
        folder = run_of(tmp_path / "out", [row_of(image, shown) for image in names])
        exported(folder, name, tmp_path / "in" / "side")
        written = sorted(path.relative_to(tmp_path / "in").as_posix() for path in (tmp_path / "in").rglob("ok.*"))
        assert len(written) == 1
        assert not [path for path in tmp_path.rglob("[xyz].*") if "out" not in path.parts]


class TestCommand:
    def test_all_formats_at_once(self, camx: Camx, out: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert camx("export", out, "--format", ",".join(FORMATS), "--threshold", "otsu") == 0
        shown = capsys.readouterr().out
        folder = out / "export"
        assert shown.splitlines() == [
            "threshold: Otsu's for each map",
            *(
                f"{folder}/{name}"
                for name in (
                    "coco.json",
                    "data.yaml",
                    "labels/",
                    "label-studio.xml",
                    "label-studio.json",
                    "boxes.csv",
                    "masks/",
                )
            ),
        ]
        before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
        assert camx("export", out, "--format", ",".join(FORMATS), "--threshold", "otsu", "-q") == 0
        assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before

    def test_images_of_one_stem_are_named(self, camx: Camx, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        shown = [map_of(hill(0.5, 0.5), 0, SIZE)]
        folder = run_of(tmp_path / "twins", [row_of("a.jpg", shown), row_of("a.png", shown)])
        assert camx("export", folder, "--format", "yolo", "--json") == 0
        assert json.loads(capsys.readouterr().out)["left_out"] == ["a.png"]
        assert camx("export", folder, "--format", "yolo") == 0
        assert "1 image has no file of its own" in capsys.readouterr().out

    @pytest.mark.parametrize(
        ("argv", "words"),
        [
            (("--format", "cocoa"), "Did you mean coco"),
            (("--shape", "boxes"), "Did you mean box"),
            (("--format", "yolo", "--shape", "mask"), "does not support --shape mask. Give --shape box or polygon"),
            (("--threshold", "2"), "a share of the peak"),
            (("--threshold", "otsi"), "a share of the peak"),
            (("--min-area", "-1"), "--min-area"),
            (("--min-area", "5px"), "0.5% or 0.005"),
            (("--min-prob", "1.1"), "--min-prob"),
            (("--parts", "some"), "largest, all"),
            (("--method", "cam"), "no maps of --method 'cam'"),
            (("--format", ","), "give at least one name"),
        ],
    )
    def test_mistakes_are_a_sentence(
        self, camx: Camx, out: Path, capsys: pytest.CaptureFixture[str], argv: tuple[str, ...], words: str
    ) -> None:
        assert camx("export", out, *argv) == 2
        assert words in capsys.readouterr().err
        assert not (out / "export").exists()

    def test_where_nothing_can_be_written_is_a_sentence(
        self, camx: Camx, out: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        (tmp_path / "file").write_text("")
        assert camx("export", out, "-o", tmp_path / "file") == 2
        assert "is not a folder" in capsys.readouterr().err

    def test_every_format_knows_its_files_before_they_are_written(self, out: Path, tmp_path: Path) -> None:
        for name, one in FORMATS.items():
            exported(out, name, tmp_path / name)
            written = {path.relative_to(tmp_path / name).as_posix() for path in (tmp_path / name).rglob("*.*")}
            assert written - {LEDGER} == {*one.paths(findings(str(out), ExportOptions(), "9"))}

    def test_no_torch_is_loaded(self, out: Path) -> None:
        code = "import sys; from cli.main import run; code = run(sys.argv[1:]); sys.exit(code or 3 * ('torch' in sys.modules))"
        done = subprocess.run(
            [sys.executable, "-c", code, "export", out, "-q"], cwd=Path(__file__).parents[1], env={**os.environ}
        )
        assert done.returncode == 0
