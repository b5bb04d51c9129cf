"""Scores of maps against truth, the threshold, left-out images, names."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from cam_cli.errors import CamxError
from cam_cli.evaluation.localise import localise
from cam_cli.evaluation.names import ClassMatcher, read_synonyms
from cam_cli.evaluation.options import LocaliseOptions

from .evaluate_support import SIZE, box, boxes_file, out, truth, value  # noqa: F401 - fixtures are found by their names
from .journals import failed_row, hill, map_of, row_of, run_of


class TestScores:
    def test_a_known_run_has_known_scores(self, out: Path, truth: str) -> None:
        found = localise(str(out), LocaliseOptions(truth=truth))
        assert value(found, "pointing") == value(found, "pointing_tol") == 0.75
        figure = found.sets[0].whole.figures["pointing"][0]
        # Wilson's interval of 30 of 40.
        assert (figure.low, figure.high) == pytest.approx((0.598054, 0.858132), abs=1e-5)
        assert figure.baseline == 0
        assert figure.gain == 0.75
        assert value(found, "area_truth") == pytest.approx(0.08)
        # The box holds ±1 standard deviation across and ±2 down: 0.683 × 0.954 of three quarters of the maps.
        assert value(found, "energy") == pytest.approx(0.75 * 0.6827 * 0.9545, abs=0.02)

    def test_every_method_is_measured_and_named(self, tmp_path: Path, truth: str) -> None:
        rows = [
            row_of(f"{i:02d}.jpg", [map_of(hill(0.25, 0.5), 0, SIZE, "a"), map_of(hill(0.75, 0.5), 0, SIZE, "b")])
            for i in range(20)
        ]
        found = localise(str(run_of(tmp_path / "two", rows)), LocaliseOptions(truth=truth))
        assert [one.method for one in found.sets] == ["a", "b"]
        assert [value(found, "pointing", place) for place in (0, 1)] == [1, 0]

    def test_the_map_of_the_truths_class_is_taken(self, tmp_path: Path) -> None:
        maps = [map_of(hill(0.75, 0.5), 0, SIZE), map_of(hill(0.25, 0.5), 1, SIZE)]
        folder = run_of(tmp_path / "out", [row_of("a.jpg", maps)])
        found = localise(str(folder), LocaliseOptions(truth=boxes_file(tmp_path / "t.csv", box("a.jpg", "Dog"))))
        assert value(found, "pointing") == 1

    def test_without_one_the_predicted_class_is_measured_apart(self, tmp_path: Path) -> None:
        rows = [
            row_of("a.jpg", [map_of(hill(0.25, 0.5), 0, SIZE)]),
            row_of("b.jpg", [map_of(hill(0.25, 0.5), 1, SIZE)]),
        ]
        path = boxes_file(tmp_path / "t.csv", box("a.jpg"), box("b.jpg"))
        (one,) = localise(str(run_of(tmp_path / "out", rows)), LocaliseOptions(truth=path, threshold="0.3")).sets
        assert (len(one.scores.cases), len(one.other.cases)) == (1, 1)
        assert one.whole_other.figures["pointing"][0].value == 1
        # A box that fits is no top-1 localisation if the class is wrong.
        assert one.whole.figures["box_acc"][0].value == 1
        assert one.whole.figures["top1_loc"][0].value == 0.5

    def test_of_several_classes_only_those_with_a_map_count(self, tmp_path: Path) -> None:
        folder = run_of(tmp_path / "out", [row_of("a.jpg", [map_of(hill(0.25, 0.5), 0, SIZE)])])
        path = boxes_file(tmp_path / "t.csv", box("a.jpg"), box("a.jpg", "dog", (150, 30, 190, 70)))
        found = localise(str(folder), LocaliseOptions(truth=path))
        assert len(found.sets[0].scores.cases) == 1
        assert found.problems.counts() == {"no map of this class": 1}

    def test_a_truth_without_names_is_of_the_images_label(self, tmp_path: Path) -> None:
        maps = [map_of(hill(0.75, 0.5), 0, SIZE), map_of(hill(0.25, 0.5), 1, SIZE)]
        rows = [
            row_of("a.jpg", maps, label="dog", label_index=1),
            row_of("b.jpg", maps, label="dog"),
            row_of("c.jpg", maps),
        ]
        path = boxes_file(tmp_path / "t.csv", box("a.jpg", ""), box("b.jpg", ""), box("c.jpg", ""))
        (one,) = localise(str(run_of(tmp_path / "out", rows)), LocaliseOptions(truth=path)).sets
        assert one.scores.maps.values["pointing"].tolist() == [1, 1, 0]
        assert [case.name for case in one.scores.cases] == ["dog", "dog", "cat"]

    def test_groups_are_those_of_the_attributes(self, out: Path, truth: str) -> None:
        (one,) = localise(str(out), LocaliseOptions(truth=truth, by=("light",))).sets
        by = {group.by: dict(zip(group.names, group.measured.figures["pointing"])) for group in one.groups}
        assert set(by) == {"class", "light"}
        assert by["class"]["cat"].n == 40
        assert by["light"]["day"].value == by["light"]["night"].value == 0.75
        assert by["light"]["day"].n == 20
        with pytest.raises(CamxError, match=r"no attribute 'lite'\. Did you mean light"):
            localise(str(out), LocaliseOptions(truth=truth, by=("lite",)))


class TestThreshold:
    def test_it_is_chosen_on_images_that_are_not_measured_with_it(self, out: Path, truth: str) -> None:
        found = localise(str(out), LocaliseOptions(truth=truth, calibrate=0.3))
        (one,) = found.sets
        apart = sum(case.held_apart for case in one.scores.cases)
        assert 0 < apart < 40
        assert one.whole.figures["box_acc"][0].n == one.whole.figures["box_iou"][0].n == 40 - apart
        assert one.whole.figures["pointing"][0].n == 40
        # A hill of standard deviation 20×10 pixels fills the box 40×40 from about 0.37 of its peak on.
        assert one.chosen.ours is not None
        assert one.scores.maps.largest[0, one.chosen.ours] >= 0.5

    def test_the_centre_has_one_where_none_of_its_boxes_fits(self, tmp_path: Path) -> None:
        """Its boxes lie around the middle, those of the truth in a corner: IoU is below 0.5, but above 0."""
        corner = (0, 0, 110, 60)
        rows = [row_of(f"{i:02d}.jpg", [map_of(hill(0.25, 0.3), 0, SIZE)]) for i in range(20)]
        path = boxes_file(tmp_path / "t.csv", *(box(f"{i:02d}.jpg", edges=corner) for i in range(20)))
        (one,) = localise(str(run_of(tmp_path / "out", rows)), LocaliseOptions(truth=path, calibrate=0.5)).sets
        figures = {name: one.whole.figures[name][0] for name in ("box_iou", "box_acc")}
        assert one.scores.centre.largest.max() < 0.5
        assert figures["box_iou"].baseline == pytest.approx(one.scores.centre.largest[0].max())
        assert figures["box_acc"].baseline == 0

    def test_a_given_one_needs_no_images(self, out: Path, truth: str) -> None:
        (one,) = localise(str(out), LocaliseOptions(truth=truth, threshold="0.123")).sets
        assert one.whole.figures["box_acc"][0].n == 40
        assert (
            localise(str(out), LocaliseOptions(truth=truth, threshold="0.123")).thresholds[one.chosen.ours or 0]
            == 0.123
        )

    def test_without_a_box_that_fits_there_is_none_and_a_note(self, out: Path, tmp_path: Path) -> None:
        tiny = boxes_file(tmp_path / "tiny.csv", *(box(f"{i:02d}.jpg", edges=(0, 0, 6, 6)) for i in range(40)))
        found = localise(str(out), LocaliseOptions(truth=tiny))
        assert found.sets[0].chosen.ours is None
        assert found.sets[0].whole.figures["box_acc"][0].n == 0
        assert any("no threshold can be chosen" in note for note in found.notes)

    @pytest.mark.parametrize("text", ["1", "-0.1", "half", "nan", "20%"])
    def test_what_is_no_share_is_refused(self, out: Path, truth: str, text: str) -> None:
        with pytest.raises(CamxError, match="`threshold`"):
            localise(str(out), LocaliseOptions(truth=truth, threshold=text))


class TestLeftOut:
    def test_what_cannot_be_scored_is_counted_and_named(self, tmp_path: Path) -> None:
        shown = map_of(hill(0.25, 0.5), 0, SIZE)
        rows = [
            row_of("ok.jpg", [shown]),
            failed_row("failed.jpg"),
            row_of("blank.jpg", [map_of(None, 0, SIZE)], status="blank"),
            row_of("alone.jpg", [shown]),
            row_of("empty.jpg", [shown]),
            row_of("far.jpg", [shown]),
            row_of("size.jpg", [shown]),
        ]
        path = tmp_path / "truth.json"
        names = ["ok.jpg", "failed.jpg", "blank.jpg", "empty.jpg", "far.jpg", "size.jpg", "elsewhere.jpg"]
        images = [
            {"id": n, "file_name": name, "width": 200, "height": 100 + (name == "size.jpg")}
            for n, name in enumerate(names)
        ]
        annotations = [{"image_id": n, "category_id": 1, "bbox": [30, 30, 40, 40]} for n in (0, 1, 2, 5, 6)]
        annotations += [{"image_id": 4, "category_id": 1, "bbox": [300, 30, 40, 40]},
                        {"image_id": 3, "category_id": 1, "bbox": [30, 30, 40, 40], "iscrowd": 1}]  # fmt: skip
        path.write_text(
            json.dumps({"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "cat"}]})
        )
        found = localise(str(run_of(tmp_path / "out", rows)), LocaliseOptions(truth=str(path)))
        assert found.images == 1
        assert found.problems.counts() == {
            "no object to find": 2,
            "not in the run": 1,
            "the image was not explained": 1,
            "blank map": 1,
            "image without truth": 1,
            "outside the image": 1,
            "wrong size": 1,
        }
        named = {problem.image for problem in found.problems.found}
        assert named == {"failed.jpg", "blank.jpg", "alone.jpg", "empty.jpg", "far.jpg", "size.jpg", "elsewhere.jpg"}

    def test_a_class_that_the_network_does_not_have(self, tmp_path: Path) -> None:
        rows = [row_of("a.jpg", [map_of(hill(0.25, 0.5), 0, SIZE)])]
        folder = run_of(tmp_path / "out", rows, classes=["cat", "dog", "pot, flowerpot"])
        path = boxes_file(tmp_path / "t.csv", box("a.jpg"), box("a.jpg", "zebra"), box("a.jpg", "flowerpot"))
        found = localise(str(folder), LocaliseOptions(truth=path))
        assert found.problems.counts() == {"unknown class": 1, "no map of this class": 1}

    def test_an_image_that_was_stored_lying_is_turned_by_its_file(self, tmp_path: Path) -> None:
        pictures = tmp_path / "pictures"
        pictures.mkdir()
        exif = Image.Exif()
        exif[0x0112] = 6  # stored 100×200, upright 200×100
        Image.new("RGB", (100, 200)).save(pictures / "a.jpg", exif=exif)
        folder = run_of(tmp_path / "out", [row_of("a.jpg", [map_of(hill(0.25, 0.5), 0, SIZE)])], base=str(pictures))
        # Upright 30…70 × 30…70 lies at x = y', y = 200 − x' of the stored pixels.
        path = tmp_path / "t.csv"
        path.write_text("image,label,x0,y0,x1,y1,width,height\na.jpg,cat,30,130,70,170,100,200\n")
        assert value(localise(str(folder), LocaliseOptions(truth=str(path))), "pointing") == 1
        (pictures / "a.jpg").unlink()
        with pytest.raises(CamxError, match=r"wrong size \(1\)"):
            localise(str(folder), LocaliseOptions(truth=str(path)))


class TestNames:
    def test_a_class_goes_by_name_synonym_and_number(self) -> None:
        same = ClassMatcher({"kitty": frozenset({"cat"})}).same
        assert same("flowerpot", 2, "pot, flowerpot")
        assert same("Pot,  Flowerpot", 2, "pot, flowerpot")
        assert same("2", 2, "pot, flowerpot")
        assert same("pot_plant", 1, "pot plant")
        assert same("Kitty", 0, "cat")
        assert not same("po", 2, "pot, flowerpot")
        assert not same("2", 22, "cat")

    def test_a_table_of_names(self, tmp_path: Path) -> None:
        (tmp_path / "names.csv").write_text("truth,model\npet,cat\npet,dog\n")
        assert read_synonyms(str(tmp_path / "names.csv")) == {"pet": frozenset({"cat", "dog"})}
        (tmp_path / "bad.csv").write_text("truth,network\npet,cat\n")
        for name in ("bad.csv", "none.csv"):
            with pytest.raises(CamxError, match="truth,model"):
                read_synonyms(str(tmp_path / name))
