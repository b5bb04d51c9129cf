"""Ground truth of five formats: what is read, what is turned, and that nothing bad is scored in silence."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from cam_cli.errors import CamxError
from cam_cli.images.annotations.formats import READERS, read_truth
from cam_cli.images.annotations.mask_files import VOC_CLASSES
from cam_cli.images.annotations.matching import matched
from cam_cli.images.annotations.names import TRUTH_FORMATS
from cam_cli.images.annotations.rasterise import filled
from cam_cli.images.annotations.run_lengths import counts_of, decoded, encoded, text_of
from cam_cli.images.annotations.shapes import Bitmap, Box, Polygons, RunLengths
from cam_cli.images.annotations.truth import Annotations, Problems, Truth, TruthImage, TruthObject, as_read
from cam_cli.images.annotations.upright import upright
from cam_cli.images.annotations.voc import parsed
from cam_cli.images.orientation import Orientation

SIZE = (20, 10)
#: By the number in EXIF data.
TURNS = [
    Orientation(),
    Orientation(mirrored=True),
    Orientation(mirrored=True, flipped=True),
    Orientation(flipped=True),
    Orientation(transposed=True),
    Orientation(transposed=True, mirrored=True),
    Orientation(transposed=True, mirrored=True, flipped=True),
    Orientation(transposed=True, flipped=True),
]


def objects_of(truth: Truth, size: tuple[int, int] = SIZE) -> dict[str, tuple[TruthObject, ...] | None]:
    """The usable objects of every image, all of one size."""
    return {
        image.name: upright(image.read(size, truth.problems), image.name, size, lambda: None, truth.problems)
        for image in truth.images
    }


def coco(path: Path, annotations: list[Any], **more: Any) -> str:
    content = {
        "images": [{"id": 1, "file_name": "a.jpg", "width": 20, "height": 10}],
        "categories": [{"id": 7, "name": "dog"}, {"id": 9, "name": "cat"}],
        "annotations": [{"id": n, "image_id": 1, "category_id": 7, **one} for n, one in enumerate(annotations)],
        **more,
    }
    path.write_text(json.dumps(content))
    return str(path)


def voc_object(*edges: object, name: str = "dog", difficult: int = 0) -> str:
    box = "".join(f"<{e}>{v}</{e}>" for e, v in zip(("xmin", "ymin", "xmax", "ymax"), edges))
    return f"<object><name>{name}</name><difficult>{difficult}</difficult><bndbox>{box}</bndbox></object>"


def voc(folder: Path, stem: str, *objects: str, size: tuple[int, int] = SIZE) -> None:
    folder.mkdir(exist_ok=True)
    width, height = size
    head = f"<size><width>{width}</width><height>{height}</height></size>"
    (folder / f"{stem}.xml").write_text(f"<annotation>{head}{''.join(objects)}</annotation>")


class TestRunLengths:
    def test_an_example_by_hand(self) -> None:
        mask = np.array([[0, 1, 1], [0, 1, 0]], bool)
        assert encoded(mask) == [2, 3, 1]
        assert decoded([2, 3, 1], 3, 2).tolist() == mask.tolist()
        assert encoded(~mask) == [0, 2, 3, 1]

    @pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
    @pytest.mark.parametrize("seed", range(30))
    def test_both_forms_are_those_of_pycocotools(self, seed: int) -> None:
        coco_mask = pytest.importorskip("pycocotools.mask")
        rng = np.random.default_rng(seed)
        height, width = map(int, rng.integers(1, 200, 2))
        mask = np.repeat(rng.random((height, width)) < rng.random(), 1, 0)
        theirs = coco_mask.encode(np.asfortranarray(mask.astype(np.uint8)))
        text = theirs["counts"].decode()
        counts = encoded(mask)
        assert counts_of(text) == counts
        assert text_of(counts) == text
        assert np.array_equal(decoded(counts, width, height), mask)
        plain = coco_mask.frPyObjects({"size": [height, width], "counts": counts}, height, width)
        assert np.array_equal(coco_mask.decode(plain).astype(bool), mask)

    @pytest.mark.parametrize("text", ["~~~", "o", "oooooooooooooooooooo0", "é0", "0 0"])
    def test_a_text_that_is_none_is_refused(self, text: str) -> None:
        with pytest.raises(ValueError, match="run length"):
            counts_of(text)

    @pytest.mark.parametrize("counts", [[7], [-1, 7], [], [2**64 + 6], [5, 2], [2**63, 2**63, 2**63, -(3 * 2**63 - 6)]])
    def test_counts_of_another_size_are_refused_before_anything_is_allocated(self, counts: list[int]) -> None:
        with pytest.raises(ValueError, match="run length"):
            decoded(counts, 3, 2)


class TestShapes:
    def test_a_box_covers_cells_by_their_share(self) -> None:
        cover = Box(0.5, 0, 2, 1).coverage(4, 2, 4, 2)
        assert cover.tolist() == [[0.5, 1, 0, 0], [0, 0, 0, 0]]
        # On a raster of half the size: 1.5 of 4 pixels, and none.
        assert Box(0.5, 0, 2, 1).coverage(4, 2, 2, 1).tolist() == [[1.5 / 4, 0]]

    def test_a_polygon_is_filled_where_centres_lie_inside(self) -> None:
        triangle = np.array([[0, 0], [4, 0], [0, 4]], float)
        assert filled(triangle, 4, 4).astype(int).tolist() == [[1, 1, 1, 0], [1, 1, 0, 0], [1, 0, 0, 0], [0, 0, 0, 0]]

    @pytest.mark.parametrize("seed", range(20))
    def test_a_polygon_covers_what_a_ray_to_the_left_crosses_oddly(self, seed: int) -> None:
        rng = np.random.default_rng(seed)
        ring = rng.uniform(-3, 15, (int(rng.integers(3, 9)), 2))
        slow = np.zeros((10, 12), bool)
        for y in range(10):
            for x in range(12):
                for (ax, ay), (bx, by) in zip(ring, np.roll(ring, -1, axis=0)):
                    if (ay <= y + 0.5) != (by <= y + 0.5) and ax + (y + 0.5 - ay) * (bx - ax) / (by - ay) <= x + 0.5:
                        slow[y, x] ^= True
        assert np.array_equal(filled(ring, 12, 10), slow)

    @pytest.mark.parametrize("turn", TURNS)
    def test_all_shapes_turn_as_the_pixels_do(self, turn: Orientation) -> None:
        width, height = 7, 5
        pixels = np.zeros((height, width), bool)
        pixels[1:3, 4:6] = True
        stored = Image.fromarray(pixels.astype(np.uint8))
        for wanted, method in (
            (turn.transposed, Image.Transpose.TRANSPOSE),
            (turn.mirrored, Image.Transpose.FLIP_LEFT_RIGHT),
            (turn.flipped, Image.Transpose.FLIP_TOP_BOTTOM),
        ):
            stored = stored.transpose(method) if wanted else stored
        expected = np.asarray(stored, np.float32)
        columns, rows = turn.size(width, height)
        square = np.array([[4, 1], [6, 1], [6, 3], [4, 3]], float)
        counts = RunLengths(tuple(encoded(pixels)), width, height)
        for shape in (Box(4, 1, 6, 3), Polygons((square,)), Bitmap(pixels), counts):
            placed = shape.upright(turn, width, height)
            assert np.allclose(placed.coverage(columns, rows, columns, rows), expected), shape
            assert Box(*placed.bounds()) == Bitmap(expected > 0).bounds()

    def test_polygons_of_one_object_are_joined(self) -> None:
        square = np.array([[0, 0], [2, 0], [2, 2], [0, 2]], float)
        both = Polygons((square, square + 1))
        assert both.coverage(4, 4, 4, 4).sum() == 7
        assert both.bounds() == Box(0, 0, 3, 3)


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
            ({"bbox": [30, 1, 3, 3]}, "outside the picture"),
            ({"bbox": [15, 5, 10, 3]}, "cut at the edge of the picture"),
            ({"bbox": [1, 1, 2, 2], "category_id": 99}, "unknown category"),
            ({"bbox": [1, 1, 2, 2], "category_id": [7]}, "unknown category"),
            ({"bbox": [1, 1, 2, 2], "image_id": 99}, "no such image in the truth"),
            ({"bbox": [1, 1, 2, 2], "image_id": {}}, "no such image in the truth"),
            ({}, "neither box nor segmentation"),
            ({"segmentation": [[0, 0, 1, 1]]}, "bad segmentation"),
            ({"segmentation": [[0, 0, 1, 1, 2]]}, "bad segmentation"),
            ({"segmentation": [[0, 0, 1, 1, 2, float("nan")]]}, "bad segmentation"),
            ({"segmentation": [[0, 0, 1e9, 0, 0, 1e9]]}, "outside the picture"),
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
    def test_a_zero_or_a_fraction_says_that_the_set_counts_from_zero(
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
        assert [problem.detail for problem in truth.problems.found] == ["larger than 8 MB"]


class TestYolo:
    @pytest.fixture
    def labels(self, tmp_path: Path) -> Path:
        (tmp_path / "labels").mkdir()
        (tmp_path / "data.yaml").write_text("names: {0: dog, 1: cat}\n")
        return tmp_path / "labels"

    def test_boxes_and_polygons_are_shares_of_the_upright_picture(self, labels: Path) -> None:
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
            ("0 1.5 0.5 0.2 0.2", "outside the picture"),
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


class TestTable:
    def test_boxes_by_image(self, tmp_path: Path) -> None:
        path = tmp_path / "boxes.csv"
        path.write_text(
            "image,label,x0,y0,x1,y1\n./a.jpg,dog,1,2,3,4\na.jpg,cat,0,0,5,5\nb.jpg,,1,1,2,2\nc.jpg,dog,,,,\n"
        )
        truth = read_truth(str(path))
        found = objects_of(truth)
        assert {name: [one.name for one in some or ()] for name, some in found.items()} == {
            "a.jpg": ["dog", "cat"],
            "b.jpg": [""],
            "c.jpg": [],
        }

    def test_a_stated_size_is_checked(self, tmp_path: Path) -> None:
        path = tmp_path / "boxes.csv"
        path.write_text(
            "image,label,xmin,ymin,xmax,ymax,width,height\na.jpg,dog,1,2,3,4,20,10\nb.jpg,dog,1,2,3,4,21,10\n"
        )
        truth = read_truth(str(path))
        assert objects_of(truth)["b.jpg"] is None
        (problem,) = truth.problems.found
        assert problem == ("b.jpg", "", "wrong size", "the truth says 21×10, the picture is 20×10")

    def test_what_is_wrong_is_counted(self, tmp_path: Path) -> None:
        path = tmp_path / "boxes.csv"
        path.write_text("image,label,x0,y0,x1,y1\na.jpg,dog,1,2,x,4\na.jpg,dog,inf,2,3,4\na.jpg,dog,5,5,4,6\n")
        truth = read_truth(str(path))
        assert objects_of(truth) == {"a.jpg": ()}
        assert truth.problems.counts() == {"degenerate box": 3}

    @pytest.mark.parametrize("text", ["", "image,label\na,b\n", "label,x0,y0,x1,y1\n"])
    def test_missing_columns_are_a_sentence(self, tmp_path: Path, text: str) -> None:
        (tmp_path / "boxes.csv").write_text(text)
        with pytest.raises(CamxError, match="column"):
            read_truth(str(tmp_path / "boxes.csv"))


class TestMasks:
    def write(self, path: Path, rows: list[list[int]], mode: str = "L") -> None:
        path.parent.mkdir(exist_ok=True)
        image = Image.fromarray(np.array(rows, np.uint8))
        if mode == "P":
            image.putpalette(bytes(range(256)) * 3)
            assert image.mode == "P"
        image.save(path)

    def names(self, folder: Path) -> dict[str, list[tuple[str, str, float]]]:
        truth = read_truth(str(folder), "masks")
        self.truth = truth
        found = objects_of(truth, (3, 2))
        return {
            name: [(one.name, one.ignored, one.shape.bounds().area) for one in some or ()]
            for name, some in found.items()
        }

    def test_zero_one_and_void(self, tmp_path: Path) -> None:
        self.write(tmp_path / "m" / "a.png", [[0, 1, 1], [0, 255, 1]])
        self.write(tmp_path / "m" / "b.png", [[0, 255, 255], [0, 0, 0]])
        assert self.names(tmp_path / "m") == {
            "a": [("", "", 4), ("", "void", 1)],
            "b": [("", "void", 2)],
        }

    def test_black_and_white(self, tmp_path: Path) -> None:
        self.write(tmp_path / "m" / "a.png", [[0, 255, 255], [0, 0, 0]])
        assert self.names(tmp_path / "m") == {"a": [("", "", 2)]}
        assert self.truth.notes == ("grey masks: 255 is the object",)

    def test_a_palette_holds_the_classes_of_voc(self, tmp_path: Path) -> None:
        self.write(tmp_path / "m" / "a.png", [[0, 12, 12], [0, 255, 99]], "P")
        assert self.names(tmp_path / "m") == {"a": [("dog", "", 2), ("", "void", 1)]}
        assert self.truth.problems.counts() == {"unknown category": 1}
        assert VOC_CLASSES[20] == "tvmonitor"

    def test_a_list_of_classes_names_the_levels(self, tmp_path: Path) -> None:
        self.write(tmp_path / "m" / "a.png", [[0, 2, 2], [1, 0, 3]])
        (tmp_path / "m" / "classes.txt").write_text("background\ncat\ndog\n")
        assert self.names(tmp_path / "m") == {"a": [("cat", "", 1), ("dog", "", 2)]}
        assert self.truth.problems.counts() == {"unknown category": 1}

    def test_bad_masks_are_counted_and_those_of_another_size_not_even_decoded(self, tmp_path: Path) -> None:
        self.write(tmp_path / "m" / "a.png", [[0, 1, 1], [0, 1, 1]])
        (tmp_path / "m" / "b.png").write_bytes(b"no picture")
        Image.new("L", (3000, 3000), 1).save(tmp_path / "m" / "c.png")
        data = (tmp_path / "m" / "c.png").read_bytes()
        (tmp_path / "m" / "c.png").write_bytes(data[:200])
        Image.fromarray(np.arange(18, dtype=np.uint8).reshape(2, 3, 3)).save(tmp_path / "m" / "d.png")
        assert self.names(tmp_path / "m") == {"a": [("", "", 4)], "b": [], "c": [], "d": []}
        assert self.truth.problems.counts() == {"unreadable mask": 2, "wrong size": 1}


class TestUpright:
    def test_a_truth_of_the_stored_pixels_is_turned(self) -> None:
        box = TruthObject("dog", Box(1, 2, 3, 4))
        problems = Problems()
        turned = Orientation(transposed=True, mirrored=True)
        found = upright(Annotations((10, 20), (box,)), "a", SIZE, lambda: turned, problems)
        assert found is not None
        # A stored picture of 10×20 turned to the right: x' = 20 − y, y' = x.
        assert found[0].box == Box(16, 1, 18, 3)
        assert problems.found == []

    @pytest.mark.parametrize("orientation", [None, Orientation(), Orientation(mirrored=True, flipped=True)])
    def test_sides_that_are_exchanged_without_a_reason_are_refused(self, orientation: Orientation | None) -> None:
        problems = Problems()
        found = upright(Annotations((10, 20), ()), "a", SIZE, lambda: orientation, problems)
        assert found is None
        assert problems.counts() == {"wrong size": 1}

    def test_the_file_is_not_asked_where_the_size_fits(self) -> None:
        def never() -> Orientation:
            raise AssertionError

        assert upright(Annotations(SIZE, ()), "a", SIZE, never, Problems()) == ()
        assert upright(Annotations(None, ()), "a", SIZE, never, Problems()) == ()


class TestMatching:
    def found(
        self, names: list[str], keys: list[str], base: str = "/data/train", *, stems: bool = False
    ) -> dict[str, str]:
        self.problems = Problems()
        images = [TruthImage(name, as_read(Annotations(None, ()))) for name in names]
        truths = matched(images, keys, base, stems=stems, problems=self.problems)
        return {key: image.name for key, image in truths.items()}

    def test_by_name_or_by_more_of_the_path(self) -> None:
        assert self.found(["a.jpg", "x/b.jpg"], ["a.jpg", "b.jpg"]) == {"a.jpg": "a.jpg", "b.jpg": "x/b.jpg"}
        assert self.found(["x/a.jpg", "y/a.jpg"], ["y/a.jpg", "x/a.jpg"]) == {
            "x/a.jpg": "x/a.jpg",
            "y/a.jpg": "y/a.jpg",
        }

    def test_the_folder_of_the_run_counts_too(self) -> None:
        assert self.found(["val/1.jpg", "train/1.jpg"], ["1.jpg"]) == {"1.jpg": "train/1.jpg"}
        assert self.problems.counts() == {"not in the run": 1}

    def test_stems(self) -> None:
        assert self.found(["labels/a", "b"], ["a.jpg", "b.c.png"], stems=True) == {"a.jpg": "labels/a"}
        assert self.problems.counts() == {"not in the run": 1}
        assert self.found(["b.c"], ["b.c.png"], stems=True) == {"b.c.png": "b.c"}

    def test_what_is_ambiguous_is_left_out(self) -> None:
        assert self.found(["a.jpg"], ["x/a.jpg", "y/a.jpg"]) == {}
        assert self.problems.counts() == {"belongs to several images": 1}
        assert self.found(["q/a.jpg", "r/a.jpg"], ["a.jpg"]) == {}
        assert self.problems.counts() == {"several truths for one image": 2}
        assert self.found(["a"], ["a.jpg", "a.png"], stems=True) == {}


class TestFormats:
    def test_every_name_has_a_reader(self) -> None:
        assert tuple(READERS) == TRUTH_FORMATS

    def test_the_format_is_told_by_what_is_there(self, tmp_path: Path) -> None:
        voc(tmp_path / "xml", "a", voc_object(1, 1, 2, 2))
        (tmp_path / "txt").mkdir()
        (tmp_path / "txt" / "a.txt").write_text("0 0.5 0.5 0.1 0.1\n")
        (tmp_path / "txt" / "classes.txt").write_text("dog\n")
        (tmp_path / "png").mkdir()
        Image.new("L", (3, 2)).save(tmp_path / "png" / "a.png")
        (tmp_path / "png" / "classes.txt").write_text("background\n")
        (tmp_path / "b.csv").write_text("image,label,x0,y0,x1,y1\na,b,1,1,2,2\n")
        for name, expected in (("xml", "voc"), ("txt", "yolo"), ("png", "masks"), ("b.csv", "csv")):
            assert read_truth(str(tmp_path / name)).format == expected
        assert read_truth(coco(tmp_path / "c.json", [])).format == "coco"

    def test_what_cannot_be_told_is_asked_for(self, tmp_path: Path) -> None:
        voc(tmp_path / "both", "a", voc_object(1, 1, 2, 2))
        Image.new("L", (3, 2)).save(tmp_path / "both" / "a.png")
        (tmp_path / "empty").mkdir()
        (tmp_path / "x.bin").write_text("")
        for name, words in (
            ("both", "may be voc or masks"),
            ("empty", "`truth_format`"),
            ("x.bin", "`truth_format`"),
            ("no", "not there"),
        ):
            with pytest.raises(CamxError, match=words):
                read_truth(str(tmp_path / name))
