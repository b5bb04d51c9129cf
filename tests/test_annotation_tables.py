"""Annotations of tables and masks, and the image that each belongs to."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cam_cli.errors import CamxError
from cam_cli.images.annotations.formats import READERS, read_truth
from cam_cli.images.annotations.mask_files import VOC_CLASSES
from cam_cli.images.annotations.matching import match_truths
from cam_cli.images.annotations.names import TRUTH_FORMATS
from cam_cli.images.annotations.shapes import Box
from cam_cli.images.annotations.truth import Annotations, Problems, TruthImage, TruthObject, as_read
from cam_cli.images.annotations.upright import upright
from cam_cli.images.orientation import Orientation

from .annotations_support import SIZE, coco, objects_of, voc, voc_object


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
        assert problem == ("b.jpg", "", "wrong size", "the truth states 21×10, the image has 20×10")

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
        # A stored image of 10×20 turned to the right: x' = 20 − y, y' = x.
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
        truths = match_truths(images, keys, base, stems=stems, problems=self.problems)
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

    def test_the_format_follows_from_the_content(self, tmp_path: Path) -> None:
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

    def test_the_error_asks_for_what_cannot_be_determined(self, tmp_path: Path) -> None:
        voc(tmp_path / "both", "a", voc_object(1, 1, 2, 2))
        Image.new("L", (3, 2)).save(tmp_path / "both" / "a.png")
        (tmp_path / "empty").mkdir()
        (tmp_path / "x.bin").write_text("")
        for name, words in (
            ("both", "may be voc or masks"),
            ("empty", "`truth_format`"),
            ("x.bin", "`truth_format`"),
            ("no", "does not exist"),
        ):
            with pytest.raises(CamxError, match=words):
                read_truth(str(tmp_path / name))
