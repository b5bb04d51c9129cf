"""Readers of the target tools read exported files."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from cam_cli.evaluation.localise import localise
from cam_cli.evaluation.options import LocaliseOptions
from cam_cli.export.findings import MapPart, findings
from cam_cli.export.options import ExportOptions
from cam_cli.images.annotations.formats import read_truth
from cam_cli.images.annotations.shapes import Box
from cam_cli.images.annotations.truth import Problems

from .export_support import HALF, SIZE, empty, exported, out  # noqa: F401 - fixtures are found by their names
from .journals import CLASSES


def boxes_of(path: Path, format_name: str = "auto") -> dict[str, list[tuple[str, Box]]]:
    """Boxes as camx's own reader of ground truth reads them."""
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

    @pytest.mark.extras
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

    @pytest.mark.extras
    def test_detections_scored_by_pycocotools(self, out: Path, tmp_path: Path) -> None:
        """Results with themselves as the truth: recall 1."""
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

    @pytest.mark.extras
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

    @pytest.mark.extras
    @pytest.mark.filterwarnings("ignore")
    def test_supervision_reads_coco_and_yolo(self, out: Path, tmp_path: Path) -> None:
        supervision = pytest.importorskip("supervision")
        data = supervision.DetectionDataset
        exported(out, "coco", tmp_path)
        exported(out, "yolo", tmp_path / "y")
        self.pictures(out, tmp_path / "images")
        wanted = {
            image.image: image.found for image in findings(str(out), ExportOptions(threshold="0.5"), "9").images()
        }
        read = data.from_coco(str(tmp_path / "images"), str(tmp_path / "coco.json"))
        assert read.classes == sorted(CLASSES)
        self.compared(read, tmp_path / "images", wanted)
        # `from_yolo` looks for images in one folder, not below it.
        for folder in (".", "b c"):
            here = [str(tmp_path / kind / folder) for kind in ("images", "y/labels")]
            read = data.from_yolo(*here, str(tmp_path / "y" / "data.yaml"))
            assert read.classes == sorted(CLASSES)
            self.compared(read, tmp_path / "images", wanted)

    @staticmethod
    def compared(read: Any, folder: Path, wanted: Mapping[str, Sequence[MapPart]]) -> None:
        """Compares the boxes and classes of every image that was read with those of the run."""
        assert len(read) > 0
        for path, _, detections in read:
            found = wanted[Path(path).resolve().relative_to(folder.resolve()).as_posix()]
            numbers = [] if detections.class_id is None else detections.class_id
            assert [read.classes[number] for number in numbers] == [one.name for one in found]
            assert detections.xyxy == pytest.approx(np.array([one.box for one in found]).reshape(-1, 4), abs=0.02)

    @pytest.mark.extras
    @pytest.mark.filterwarnings("ignore")
    def test_fiftyone_reads_the_same_boxes(self, out: Path, tmp_path: Path) -> None:
        """Only its importer: a dataset needs a MongoDB server."""
        reader = pytest.importorskip("fiftyone.utils.coco")
        exported(out, "coco", tmp_path, shape="box")
        content = json.loads((tmp_path / "coco.json").read_text())
        images = {image["id"]: image for image in content["images"]}
        for image in images.values():
            path = tmp_path / "images" / image["file_name"]
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        names = {category["id"]: category["name"] for category in content["categories"]}
        expected = {}
        for one in content["annotations"]:
            image, (left, top, width, height) = images[one["image_id"]], one["bbox"]
            box = (left / image["width"], top / image["height"], width / image["width"], height / image["height"])
            expected.setdefault(image["file_name"], []).append((names[one["category_id"]], one["score"], box))
        labels = str(tmp_path / "coco.json")
        with reader.COCODetectionDatasetImporter(data_path=str(tmp_path / "images"), labels_path=labels) as importer:
            found = {
                os.path.relpath(path, tmp_path / "images"): [
                    (one.label, one.confidence, pytest.approx(tuple(one.bounding_box)))
                    for one in (label or {"detections": None})["detections"].detections
                ]
                for path, _, label in importer
                if label
            }
        assert expected == found
        assert len(found) > 1

    @pytest.mark.extras
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

    @pytest.mark.extras
    @pytest.mark.filterwarnings("ignore")
    @pytest.mark.parametrize("shape", ["box", "polygon", "point"])
    def test_label_studio_exports_them_again(self, out: Path, tmp_path: Path, shape: str) -> None:
        """Accepted predictions come back as COCO at the same places."""
        converter = pytest.importorskip("label_studio_sdk.converter")
        exported(out, "label-studio", tmp_path, shape=shape)
        tasks = json.loads((tmp_path / "label-studio.json").read_text())
        for number, task in enumerate(tasks):
            (prediction,) = task.pop("predictions")
            task |= {"id": number, "annotations": [{"id": number, "result": prediction["result"], "completed_by": 1}]}
        (tmp_path / "accepted.json").write_text(json.dumps(tasks))
        config = str(tmp_path / "label-studio.xml")
        made = converter.Converter(config, project_dir=None, download_resources=False)
        made.convert_to_coco(str(tmp_path / "accepted.json"), str(tmp_path / "again"), is_dir=False)
        again = json.loads((tmp_path / "again" / "result.json").read_text())
        images = findings(str(out), ExportOptions(threshold="0.5"), "9").images()
        found = [image.found for image in images if image.found]
        names = {one["id"]: one["name"] for one in again["categories"]}
        if shape == "point":
            # All points of an image are one object there, in the order of the interface.
            for annotation, some in zip(again["annotations"], found, strict=True):
                triples = np.array(annotation["keypoints"]).reshape(-1, 3)
                points = {name: tuple(triple[:2]) for name, triple in zip(sorted(CLASSES), triples) if triple[2]}
                assert points == {one.name: pytest.approx(one.point, abs=1) for one in some}
            return
        for annotation, one in zip(again["annotations"], [one for some in found for one in some], strict=True):
            assert names[annotation["category_id"]] == one.name
            if shape == "polygon":
                assert annotation["segmentation"][0] == pytest.approx(one.polygon.ravel(), abs=0.02)
            else:
                left, top, width, height = annotation["bbox"]
                assert (left, top, left + width, top + height) == pytest.approx(one.box, abs=0.02)
