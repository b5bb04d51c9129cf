"""Annotations of COCO, VOC and YOLO as shapes in an image."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cam_cli.errors import CamxError
from cam_cli.images.annotations.formats import read_truth
from cam_cli.images.annotations.run_lengths import encoded, text_of
from cam_cli.images.annotations.shapes import Box
from cam_cli.images.annotations.voc import parsed

from .annotations_support import coco, objects_of, voc, voc_object


class TestCoco:
    def test_boxes_polygons_and_both_run_lengths(self, tmp_path: Path) -> None:
        mask = np.zeros((10, 20), bool)
        mask[2:6, 3:9] = True
        counts = encoded(mask)
        path = coco(
            tmp_path / "truth.json",
            [
                {"bbox": [1, 2, 3.5, 4]},
                {"segmentation": [[0, 0, 4, 0, 4, 4, 0, 4]], "category_id": 9},
                {"segmentation": {"size": [10, 20], "counts": counts}, "bbox": [3, 2, 6, 4]},
                {"segmentation": {"size": [10, 20], "counts": text_of(counts)}, "iscrowd": 1},
            ],
        )
        truth = read_truth(path)
        (found,) = objects_of(truth).values()
        assert found is not None
        assert [(one.name, one.box, one.ignored) for one in found] == [
            ("dog", Box(1, 2, 4.5, 6), ""),
            ("cat", Box(0, 0, 4, 4), ""),
            ("dog", Box(3, 2, 9, 6), ""),
            ("dog", Box(3, 2, 9, 6), "crowd"),
        ]
        assert np.array_equal(found[3].shape.coverage(20, 10, 20, 10) > 0, mask)
        assert truth.problems.counts() == {}

    @pytest.mark.parametrize(
        ("annotation", "reason"),
        [
            ({"bbox": [1, 1, 0, 5]}, "degenerate box"),
            ({"bbox": [1, 1, -3, 5]}, "degenerate box"),
            ({"bbox": [1, 1, float("nan"), 5]}, "degenerate box"),
            ({"bbox": [1, 1, 1e999, 5]}, "degenerate box"),
            ({"bbox": [1, 1, "3", 5]}, "degenerate box"),
            ({"bbox": [1, 1, 3]}, "degenerate box"),
            ({"bbox": [30, 1, 3, 3]}, "outside the image"),
            ({"bbox": [15, 5, 10, 3]}, "cut at the edge of the image"),
            ({"bbox": [1, 1, 2, 2], "category_id": 99}, "unknown category"),
            ({"bbox": [1, 1, 2, 2], "category_id": [7]}, "unknown category"),
            ({"bbox": [1, 1, 2, 2], "image_id": 99}, "no such image in the truth"),
            ({"bbox": [1, 1, 2, 2], "image_id": {}}, "no such image in the truth"),
            ({}, "neither box nor segmentation"),
            ({"segmentation": [[0, 0, 1, 1]]}, "bad segmentation"),
            ({"segmentation": [[0, 0, 1, 1, 2]]}, "bad segmentation"),
            ({"segmentation": [[0, 0, 1, 1, 2, float("nan")]]}, "bad segmentation"),
            ({"segmentation": [[0, 0, 1e9, 0, 0, 1e9]]}, "outside the image"),
            ({"segmentation": "nonsense"}, "bad segmentation"),
            ({"segmentation": {"size": [10, 20], "counts": [5]}}, "bad segmentation"),
            ({"segmentation": {"size": [10, 20], "counts": "~"}}, "bad segmentation"),
            ({"segmentation": {"size": [10, 20], "counts": ["a"]}}, "bad segmentation"),
            ({"segmentation": {"size": [10**9, 10**9], "counts": [10**18]}}, "bad segmentation"),
            ({"segmentation": {"counts": [200]}}, "bad segmentation"),
            ({"segmentation": {"size": [10, 20], "counts": [200]}}, "degenerate box"),
        ],
    )
    def test_what_is_wrong_is_counted_and_named(self, tmp_path: Path, annotation: dict[str, Any], reason: str) -> None:
        truth = read_truth(coco(tmp_path / "truth.json", [{"bbox": [1, 1, 2, 2]}, annotation]))
        (found,) = objects_of(truth).values()
        assert found is not None
        assert truth.problems.counts() == {reason: 1}
        assert len(found) == (2 if reason.startswith("cut") else 1)
        (problem,) = truth.problems.found
        assert problem.thing
        if reason.startswith("cut"):
            assert found[1].box == Box(15, 5, 20, 8)

    @pytest.mark.parametrize(
        ("text", "words"),
        [
            ("{", "no valid JSON"),
            ("[" * 100_000, "no valid JSON"),
            ("[]", "list of detections"),
            ("{}", "no COCO file"),
            ('{"images": 3, "annotations": [], "categories": []}', "no COCO file"),
            ("9" * 10_000, "no valid JSON"),
        ],
    )
    def test_a_file_that_is_none_is_a_sentence(self, tmp_path: Path, text: str, words: str) -> None:
        (tmp_path / "truth.json").write_text(text)
        with pytest.raises(CamxError, match=words):
            read_truth(str(tmp_path / "truth.json"))

    def test_entries_of_any_kind_are_survived(self, tmp_path: Path) -> None:
        images = [
            3,
            {"id": [], "file_name": "x"},
            {"id": 1, "file_name": "a.jpg"},
            {"id": 1, "file_name": "b.jpg"},
            None,
        ]
        truth = read_truth(coco(tmp_path / "t.json", [], images=images, categories=[None, {"id": 7, "name": ""}]))
        assert [image.name for image in truth.images] == ["a.jpg"]
        assert truth.problems.counts() == {
            "image without id or file name": 3,
            "category without id or name": 2,
            "two images of one id": 1,
        }


class TestVoc:
    def test_pixels_are_counted_from_one_and_the_last_belongs_to_the_box(self, tmp_path: Path) -> None:
        voc(tmp_path / "xml", "a", voc_object(1, 2, 3, 4), voc_object(5, 5, 20, 10, difficult=1))
        truth = read_truth(str(tmp_path / "xml"))
        (found,) = objects_of(truth).values()
        assert found is not None
        assert [(one.box, one.ignored) for one in found] == [
            (Box(0, 1, 3, 4), ""),
            (Box(4, 4, 20, 10), "difficult"),
        ]
        assert truth.notes == ("VOC boxes count pixels from 1, as in PASCAL VOC",)

    @pytest.mark.parametrize("edges", [(0, 2, 3, 4), (1.5, 2, 3, 4)])
    def test_a_zero_or_a_fraction_means_that_the_set_counts_from_zero(
        self, tmp_path: Path, edges: tuple[float, ...]
    ) -> None:
        voc(tmp_path / "xml", "a", voc_object(*edges))
        voc(tmp_path / "xml", "b", voc_object(1, 2, 3, 4))
        truth = read_truth(str(tmp_path / "xml"))
        found = objects_of(truth)
        assert found["b"] is not None
        assert found["b"][0].box == Box(1, 2, 3, 4)
        assert truth.notes == ("VOC boxes count pixels from 0",)

    def test_what_is_wrong_is_counted(self, tmp_path: Path) -> None:
        voc(tmp_path / "xml", "a", voc_object("x", 2, 3, 4), voc_object(5, 5, 3, 6), voc_object(1, 1, 2))
        (tmp_path / "xml" / "b.xml").write_text("<annotation><object></annotation>")
        (tmp_path / "xml" / "c.xml").write_text("<other/>")
        truth = read_truth(str(tmp_path / "xml"))
        assert objects_of(truth) == {"a": ()}
        assert truth.problems.counts() == {"degenerate box": 3, "unreadable XML": 1, "no VOC annotation": 1}

    @pytest.mark.parametrize(
        "text",
        [
            '<!DOCTYPE a [<!ENTITY x "xxxxxxxxxx"><!ENTITY y "&x;&x;&x;&x;&x;&x;&x;&x;&x;">]><annotation>&y;</annotation>',
            '<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><annotation><object><name>&x;</name></object></annotation>',
            "<a>" * 5000 + "</a>" * 5000,
            "",
            "\0",
            "<annotation>&undefined;</annotation>",
        ],
    )
    def test_hostile_files_are_refused_unread(self, text: str) -> None:
        with pytest.raises(ValueError, match=r"document type|nested|no element|not well-formed|undefined|unclosed"):
            parsed(text.encode())

    def test_a_giant_file_is_not_parsed(self, tmp_path: Path) -> None:
        voc(tmp_path / "xml", "a", voc_object(1, 1, 2, 2))
        with open(tmp_path / "xml" / "b.xml", "wb") as file:
            file.truncate(9 << 20)
        truth = read_truth(str(tmp_path / "xml"))
        assert [problem.detail for problem in truth.problems.found] == ["it is larger than 8,388,608 bytes"]


class TestYolo:
    @pytest.fixture
    def labels(self, tmp_path: Path) -> Path:
        (tmp_path / "labels").mkdir()
        (tmp_path / "data.yaml").write_text("names: {0: dog, 1: cat}\n")
        return tmp_path / "labels"

    def test_boxes_and_polygons_are_shares_of_the_upright_image(self, labels: Path) -> None:
        (labels / "a.txt").write_text("0 0.5 0.5 0.5 0.2\n1 0 0 0.5 0 0.5 1 0 1\n\n")
        for path in (labels, labels.parent, labels.parent / "data.yaml"):
            truth = read_truth(str(path))
            (found,) = objects_of(truth).values()
            assert found is not None
            assert [one.name for one in found] == ["dog", "cat"]
            assert found[0].box == pytest.approx((5, 4, 15, 6))
            assert found[1].box == (0, 0, 10, 10)

    @pytest.mark.parametrize(
        ("line", "reason"),
        [
            ("0 0.5 0.5 0.2 0.2 0.9", "a confidence follows the box"),
            ("9 0.5 0.5 0.2 0.2", "unknown category"),
            ("dog 0.5 0.5 0.2 0.2", "no YOLO label"),
            ("0 0.5 0.5 0.2", "no YOLO label"),
            ("0 0.5 0.5 nan 0.2", "degenerate box"),
            ("0 0.5 0.5 0 0.2", "degenerate box"),
            ("0 1.5 0.5 0.2 0.2", "outside the image"),
            ("0 1e308 1e308 1e308 1e308", "degenerate box"),
            ("0", "no YOLO label"),
        ],
    )
    def test_what_is_wrong_is_counted(self, labels: Path, line: str, reason: str) -> None:
        (labels / "a.txt").write_text(f"{line}\n1 0.5 0.5 0.2 0.2\n")
        truth = read_truth(str(labels))
        (found,) = objects_of(truth).values()
        assert found is not None
        assert [one.name for one in found] == ["cat"]
        assert truth.problems.counts() == {reason: 1}

    @pytest.mark.parametrize(
        ("content", "words"),
        [
            ("names: 3", "has no `names`"),
            ("[", "no valid YAML"),
            ("names: [a]\nkpt_shape: [17, 3]", "keypoints"),
            ("a: &a [x, x]\nb: &b [*a, *a]\nnames: *b\nc: !!python/object/apply:os.system [true]", "no valid YAML"),
        ],
    )
    def test_a_description_that_is_none_is_a_sentence(self, labels: Path, content: str, words: str) -> None:
        (labels / "a.txt").write_text("0 0.5 0.5 0.2 0.2\n")
        (labels.parent / "data.yaml").write_text(content)
        with pytest.raises(CamxError, match=words):
            read_truth(str(labels))

    def test_names_may_be_a_list_beside_the_labels(self, labels: Path) -> None:
        (labels.parent / "data.yaml").unlink()
        (labels / "a.txt").write_text("1 0.5 0.5 0.2 0.2\n")
        with pytest.raises(CamxError, match="have no names"):
            read_truth(str(labels))
        (labels / "classes.txt").write_text("dog\ncat\n")
        (found,) = objects_of(read_truth(str(labels))).values()
        assert found is not None
        assert found[0].name == "cat"
