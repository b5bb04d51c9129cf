"""`camx export`: what is written is where the maps are, and comes back through the readers of those whom it is for."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
import yaml
from PIL import Image

from cam_cli.errors import CamxError
from cam_cli.evaluation.localise import localise
from cam_cli.evaluation.options import LocaliseOptions
from cam_cli.export.findings import findings
from cam_cli.export.formats import FORMATS, write_formats
from cam_cli.export.options import ExportOptions
from cam_cli.images.annotations.formats import read_truth
from cam_cli.images.annotations.run_lengths import decoded
from cam_cli.images.annotations.shapes import Box
from cam_cli.images.annotations.truth import Problems
from cam_cli.maps.thresholds import otsu

from .journals import CLASSES, failed_row, hill, map_of, row_of, run_of

Camx = Callable[..., int]
SIZE = (200, 100)
#: exp(−r²/2) = 0.5 at this many standard deviations.
HALF = float(np.sqrt(2 * np.log(2)))


def two_hills() -> np.ndarray:
    """A large hill on the left and a small one on the right."""
    return hill(0.3, 0.5, 0.1) + 0.8 * hill(0.8, 0.5, 0.05)


@pytest.fixture
def out(tmp_path: Path) -> Path:
    rows = [
        row_of("a.jpg", [map_of(two_hills(), 0, SIZE)]),
        row_of("b c/ü.png", [map_of(hill(0.5, 0.4), 1, SIZE), map_of(hill(0.2, 0.2), 2, SIZE)]),
        failed_row("broken.jpg"),
        row_of("blank.jpg", [map_of(None, 0, SIZE)], status="blank"),
    ]
    return run_of(tmp_path / "out", rows)


@pytest.fixture
def empty(tmp_path: Path) -> Path:
    """A run in which no image could be explained."""
    return run_of(tmp_path / "empty", [failed_row("broken.jpg")])


def exported(out: Path, name: str, folder: Path, **options: Any) -> Path:
    options = {"threshold": "0.5", **options}
    write_formats(findings(str(out), ExportOptions(format=(name,), **options), "9.9"), str(folder))
    return folder


class TestFindings:
    def found(self, out: Path, **options: Any) -> dict[str, list[Any]]:
        options = {"threshold": "0.5", **options}
        return {one.image: list(one.found) for one in findings(str(out), ExportOptions(**options), "9.9").images()}

    def test_a_hill_is_found_where_it_is(self, out: Path) -> None:
        """To within a third of a cell of the sketch, which is 8.3 pixels wide and high."""
        (one,) = self.found(out)["a.jpg"]
        # 0.1 of the side across and down: 20 and 10 pixels.
        expected = (60 - HALF * 20, 50 - HALF * 10, 60 + HALF * 20, 50 + HALF * 10)
        assert one.box == pytest.approx(expected, abs=2.8)
        assert one.point == pytest.approx((60, 50), abs=2.8)
        assert one.area == pytest.approx(np.pi * HALF**2 * 200, rel=0.1)
        assert (one.name, one.probability, one.threshold) == ("cat", 0.75, 0.5)

    def test_the_largest_part_or_all(self, out: Path) -> None:
        assert len(self.found(out)["a.jpg"]) == 1
        first, second = self.found(out, parts="all")["a.jpg"]
        assert first.area > second.area
        assert second.point == pytest.approx((160, 50), abs=2.8)
        assert len(self.found(out, parts="all", min_area="3%")["a.jpg"]) == 1
        assert self.found(out, min_area="50%")["a.jpg"] == []

    def test_failed_images_are_left_out_and_blank_ones_hold_nothing(self, out: Path) -> None:
        found = self.found(out)
        assert list(found) == ["a.jpg", "b c/ü.png", "blank.jpg"]
        assert found["blank.jpg"] == []
        assert [one.name for one in found["b c/ü.png"]] == ["dog", "pot, flowerpot"]
        assert self.found(out, min_prob=0.8)["a.jpg"] == []

    def test_a_map_at_the_edge_ends_with_the_picture(self, tmp_path: Path) -> None:
        folder = run_of(tmp_path / "edge", [row_of("a.jpg", [map_of(hill(0.0, 1.0, 0.2), 0, SIZE)])])
        (one,) = self.found(folder)["a.jpg"]
        left, top, right, bottom = one.box
        assert (left, bottom) == (0, 100)
        assert 0 < right < 60
        assert 60 < top < 100

    def test_pictures_larger_and_smaller_than_the_raster(self, tmp_path: Path) -> None:
        for size in ((4000, 2000), (40, 20)):
            folder = run_of(tmp_path / str(size), [row_of("a.jpg", [map_of(hill(0.3, 0.5), 0, size)], size)])
            (one,) = self.found(folder)["a.jpg"]
            scale = size[0] / 200
            expected = np.array([60 - HALF * 20, 50 - HALF * 10, 60 + HALF * 20, 50 + HALF * 10]) * scale
            assert np.abs(np.array(one.box) - expected).max() < 2.8 * scale + 0.5

    def test_a_hole_is_not_part_of_the_mask(self, tmp_path: Path) -> None:
        ring = hill(0.5, 0.5, 0.25) - hill(0.5, 0.5, 0.1)
        folder = run_of(tmp_path / "ring", [row_of("a.jpg", [map_of(np.maximum(ring, 0), 0, SIZE)])])
        (one,) = self.found(folder)["a.jpg"]
        mask = one.mask(*SIZE)
        assert not mask[50, 100]
        assert mask.sum() == pytest.approx(one.area, rel=0.02)

    def test_several_methods_must_be_told_apart(self, tmp_path: Path) -> None:
        folder = run_of(
            tmp_path / "two",
            [row_of("a.jpg", [map_of(hill(0.2, 0.5), 0, SIZE, "one"), map_of(hill(0.8, 0.5), 0, SIZE, "two")])],
        )
        with pytest.raises(CamxError, match=r"maps of one, two\. Say with `method`"):
            self.found(folder)
        (found,) = self.found(folder, method="two")["a.jpg"]
        assert found.point[0] > 100
        with pytest.raises(CamxError, match="Did you mean two"):
            self.found(folder, method="twoo")

    def test_an_outline_is_simple_and_nearly_the_same(self, out: Path) -> None:
        (one,) = self.found(out)["a.jpg"]
        assert len(one.polygon) < 80 < len(one.outline)
        mask = one.mask(*SIZE)
        y, x = np.mgrid[:100, :200] + 0.5
        ellipse = ((x - 60) / (HALF * 20)) ** 2 + ((y - 50) / (HALF * 10)) ** 2 <= 1
        assert (mask & ellipse).sum() / (mask | ellipse).sum() > 0.9


class TestThreshold:
    def test_otsu_parts_two_levels(self) -> None:
        heat = np.array([[0.1] * 5 + [0.9] * 3])
        assert otsu(heat) == pytest.approx(0.5, abs=0.01)
        assert otsu(np.full((2, 2), 0.8)) == 0.4

    @pytest.mark.parametrize("seed", range(5))
    def test_otsu_is_the_one_of_opencv(self, seed: int) -> None:
        cv2 = pytest.importorskip("cv2")
        rng = np.random.default_rng(seed)
        grey = np.clip(rng.normal(80, 20, 3000).tolist() + rng.normal(170, 25, 2000).tolist(), 0, 255).astype(np.uint8)
        theirs, _ = cv2.threshold(grey, 0, 255, cv2.THRESH_OTSU)
        # The level t there is the last one below; a bin of 256 here is a level.
        assert otsu((grey + 0.5) / 256) * 256 == pytest.approx(theirs + 1, abs=1)

    def test_auto_is_what_evaluate_has_found_for_this_run(self, out: Path, tmp_path: Path) -> None:
        from cam_cli.evaluation.files import write_files

        truth = tmp_path / "t.csv"
        truth.write_text("image,label,x0,y0,x1,y1\na.jpg,cat,40,40,80,60\n")
        assert findings(str(out), ExportOptions(), "9").threshold.value is None
        write_files(localise(str(out), LocaliseOptions(truth=str(truth), threshold="0.37")), str(out / "evaluate"))
        found = findings(str(out), ExportOptions(), "9").threshold
        assert (found.value, found.origin) == (0.37, "`camx evaluate`, given")
        summary = json.loads((out / "evaluate" / "summary.json").read_text())
        summary["run"]["fingerprint"]["model"] = "another"
        (out / "evaluate" / "summary.json").write_text(json.dumps(summary))
        assert findings(str(out), ExportOptions(), "9").threshold.value is None
        (out / "evaluate" / "summary.json").write_text("[]")
        assert findings(str(out), ExportOptions(), "9").threshold.value is None

    def test_otsu_gives_each_map_its_own(self, out: Path) -> None:
        found = [
            one for image in findings(str(out), ExportOptions(threshold="otsu"), "9").images() for one in image.found
        ]
        assert len({one.threshold for one in found}) > 1
        assert all(0.1 < one.threshold < 0.7 for one in found)


def boxes_of(path: Path, format_name: str = "auto") -> dict[str, list[tuple[str, Box]]]:
    """What our own reader of ground truth makes of it."""
    truth = read_truth(str(path), format_name)
    problems = Problems()
    found = {}
    for image in truth.images:
        objects = image.read(SIZE, problems).objects
        found[image.name] = [(one.name, one.box or one.shape.bounds()) for one in objects]
    assert not problems.found
    assert not truth.problems.found
    return found


class TestRoundTrips:
    @pytest.mark.parametrize("shape", ["box", "polygon", "mask"])
    def test_coco_comes_back_as_truth(self, out: Path, tmp_path: Path, shape: str) -> None:
        exported(out, "coco", tmp_path, shape=shape)
        found = boxes_of(tmp_path / "coco.json")
        assert set(found) == {"a.jpg", "b c/ü.png", "blank.jpg"}
        ((name, box),) = found["a.jpg"]
        assert name == "cat"
        (one,) = next(findings(str(out), ExportOptions(threshold="0.5"), "9").images()).found
        assert box == pytest.approx(one.box, abs=0.01)

    @pytest.mark.parametrize(("name", "path", "format_name"), [("yolo", "data.yaml", "yolo"), ("csv", "boxes.csv", "csv"), ("masks", "masks", "masks")])  # fmt: skip
    def test_the_other_formats_too(self, out: Path, tmp_path: Path, name: str, path: str, format_name: str) -> None:
        exported(out, name, tmp_path)
        found = boxes_of(tmp_path / path, format_name)
        stem = {image.replace("labels/", "").split(".")[0]: some for image, some in found.items()}
        assert set(stem) == {"a", "b c/ü", "blank"}
        assert stem["blank"] == []
        ((label, box),) = stem["a"]
        assert label == "cat"
        assert box == pytest.approx((60 - HALF * 20, 50 - HALF * 10, 60 + HALF * 20, 50 + HALF * 10), abs=3.3)
        assert {label for label, _ in stem["b c/ü"]} == {"dog", "pot, flowerpot"}

    def test_evaluated_against_its_own_export_every_box_fits(self, out: Path, tmp_path: Path) -> None:
        exported(out, "csv", tmp_path)
        found = localise(str(out), LocaliseOptions(truth=str(tmp_path / "boxes.csv"), threshold="0.5"))
        assert found.sets[0].whole.figures["pointing"][0].value == 1
        assert found.sets[0].whole.figures["box_iou"][0].value > 0.9

    @pytest.mark.parametrize("shape", ["box", "polygon", "mask", "point"])
    @pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
    def test_pycocotools_reads_it(self, out: Path, empty: Path, tmp_path: Path, shape: str) -> None:
        coco = pytest.importorskip("pycocotools.coco")
        exported(out, "coco", tmp_path, shape=shape, parts="all")
        read = coco.COCO(str(tmp_path / "coco.json"))
        assert sorted(one["name"] for one in read.loadCats(read.getCatIds())) == sorted(CLASSES)
        wanted = [
            one
            for image in findings(str(out), ExportOptions(threshold="0.5", parts="all"), "9").images()
            for one in image.found
        ]
        annotations = read.loadAnns(read.getAnnIds())
        assert len(annotations) == len(wanted) == 4
        for annotation, one in zip(annotations, wanted):
            left, top, width, height = annotation["bbox"]
            assert (left, top, left + width, top + height) == pytest.approx(one.box, abs=0.011)
            assert annotation["attributes"]["source"] == "camx"
            if shape in ("polygon", "mask"):
                mask, ours = read.annToMask(annotation).astype(bool), one.mask(*SIZE)
                iou = (mask & ours).sum() / (mask | ours).sum()
                assert iou == 1 if shape == "mask" else iou > 0.93
            if shape == "point":
                assert annotation["keypoints"][:2] == pytest.approx(one.point, abs=0.01)
        exported(empty, "coco", tmp_path / "none", shape=shape)
        assert coco.COCO(str(tmp_path / "none" / "coco.json")).getAnnIds() == []

    def test_detections_scored_by_pycocotools(self, out: Path, tmp_path: Path) -> None:
        """As results against itself as the truth: everything is found."""
        coco, evaluator = pytest.importorskip("pycocotools.coco"), pytest.importorskip("pycocotools.cocoeval")
        exported(out, "coco", tmp_path)
        truth = coco.COCO(str(tmp_path / "coco.json"))
        results = truth.loadRes(
            [
                {key: one[key] for key in ("image_id", "category_id", "bbox", "score")}
                for one in truth.loadAnns(truth.getAnnIds())
            ]
        )
        evaluation = evaluator.COCOeval(truth, results, "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
        assert evaluation.stats[0] == pytest.approx(1)

    def pictures(self, out: Path, folder: Path) -> None:
        for image in findings(str(out), ExportOptions(), "9").images():
            (folder / image.image).parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", SIZE).save(folder / image.image)

    @pytest.mark.filterwarnings("ignore")
    def test_ultralytics_reads_its_labels(self, out: Path, tmp_path: Path) -> None:
        utils = pytest.importorskip("ultralytics.data.utils")
        for shape, key in (("box", 4), ("polygon", 5)):
            folder = tmp_path / shape
            exported(out, "yolo", folder, shape=shape)
            self.pictures(out, folder / "images")
            for name, count in (("a", 1), ("b c/ü", 2), ("blank", 0)):
                picture = next((folder / "images").glob(f"{name}.*"))
                label = folder / "labels" / f"{name}.txt"
                read = utils.verify_image_label((str(picture), str(label), "", False, 3, 0, 0, False))
                assert read[0] is not None, read[-1]
                assert read[9] == ""
                assert len(read[1]) == count
                assert key == 4 or len(read[3]) == count
            assert utils.check_det_dataset(str(folder / "data.yaml"))["names"] == dict(enumerate(sorted(CLASSES)))

    @pytest.mark.filterwarnings("ignore")
    def test_supervision_reads_coco_and_yolo(self, out: Path, tmp_path: Path) -> None:
        supervision = pytest.importorskip("supervision")
        exported(out, "coco", tmp_path)
        self.pictures(out, tmp_path / "images")
        read = supervision.DetectionDataset.from_coco(str(tmp_path / "images"), str(tmp_path / "coco.json"))
        assert read.classes == sorted(CLASSES)
        assert sum(len(one) for _, _, one in read) == 3
        exported(out, "yolo", tmp_path / "y")
        read = supervision.DetectionDataset.from_yolo(
            str(tmp_path / "images"), str(tmp_path / "y" / "labels"), str(tmp_path / "y" / "data.yaml")
        )
        assert sum(len(one) for _, _, one in read) >= 1

    @pytest.mark.filterwarnings("ignore")
    @pytest.mark.parametrize("shape", ["box", "polygon", "point"])
    def test_label_studio_finds_its_predictions_valid(self, out: Path, tmp_path: Path, shape: str) -> None:
        interface = pytest.importorskip("label_studio_sdk.label_interface")
        exported(out, "label-studio", tmp_path, shape=shape)
        config = interface.LabelInterface((tmp_path / "label-studio.xml").read_text("utf-8"))
        tasks = json.loads((tmp_path / "label-studio.json").read_text())
        for task in tasks:
            assert config.validate_task({"data": task["data"]})
            for prediction in task["predictions"]:
                assert config.validate_prediction(prediction, return_errors=True) == []
        assert len(tasks) == 3


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

    def test_label_studio_tells_places_in_percent(self, out: Path, tmp_path: Path) -> None:
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

    def test_a_mask_file_has_the_picture_s_size_and_says_where_it_is_from(self, out: Path, tmp_path: Path) -> None:
        exported(out, "masks", tmp_path)
        with Image.open(tmp_path / "masks" / "b c" / "ü.png") as image:
            assert (image.mode, image.size) == ("P", SIZE)
            assert set(np.unique(np.asarray(image))) == {0, 2, 3}
            assert json.loads(image.text["camx"])["threshold"] == 0.5  # type: ignore[attr-defined]
        assert (tmp_path / "masks" / "classes.txt").read_text().split("\n") == ["background", *sorted(CLASSES), ""]

    def test_yolo_tells_where_it_is_from_in_its_description(self, out: Path, tmp_path: Path) -> None:
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
        written = {path.name for path in (tmp_path / "none").rglob("*") if path.is_file()}
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
            "threshold Otsu's of each map",
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
        assert "1 images have no file of their own" in capsys.readouterr().out

    @pytest.mark.parametrize(
        ("argv", "words"),
        [
            (("--format", "cocoa"), "Did you mean coco"),
            (("--shape", "boxes"), "Did you mean box"),
            (("--format", "yolo", "--shape", "mask"), "cannot hold --shape mask. Give --shape box or polygon"),
            (("--threshold", "2"), "a share of the peak"),
            (("--threshold", "otsi"), "a share of the peak"),
            (("--min-area", "-1"), "--min-area"),
            (("--min-area", "5px"), "0.5% or 0.005"),
            (("--min-prob", "1.1"), "--min-prob"),
            (("--parts", "some"), "largest, all"),
            (("--method", "cam"), "no maps of --method 'cam'"),
            (("--format", ","), "names nothing"),
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

    def test_no_torch_is_loaded(self, out: Path) -> None:
        code = "import sys; from cli.main import run; code = run(sys.argv[1:]); sys.exit(code or 3 * ('torch' in sys.modules))"
        done = subprocess.run(
            [sys.executable, "-c", code, "export", out, "-q"], cwd=Path(__file__).parents[1], env={**os.environ}
        )
        assert done.returncode == 0
