"""`camx evaluate` on the truth: which map is scored, what is left out, the threshold, the files, the gates, the exit code."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from cam_cli.demo import render
from cam_cli.errors import CamxError
from cam_cli.evaluation.localise import localise
from cam_cli.evaluation.names import ClassMatcher, read_synonyms
from cam_cli.evaluation.options import LocaliseOptions
from cam_cli.evaluation.records import Localisation
from cam_cli.images.annotations.run_lengths import encoded

from .journals import failed_row, hill, map_of, row_of, run_of

Camx = Callable[..., int]
SIZE = (200, 100)
#: A box around the hill at 0.25, 0.5 of a picture of 200×100.
LEFT = (30, 30, 70, 70)


def boxes_file(path: Path, *lines: str) -> str:
    path.write_text("\n".join(("image,label,x0,y0,x1,y1", *lines)) + "\n")
    return str(path)


def box(image: str, label: str = "cat", edges: tuple[float, ...] = LEFT) -> str:
    return ",".join(map(str, (image, label, *edges)))


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """Forty images of a cat on the left. The maps of the first thirty point at it, the others to the right."""
    rows = [
        row_of(f"{i:02d}.jpg", [map_of(hill(0.25 if i < 30 else 0.75, 0.5), 0, SIZE)], attributes={"light": "day" if i % 2 else "night"})
        for i in range(40)
    ]  # fmt: skip
    return run_of(tmp_path / "out", rows)


@pytest.fixture
def truth(tmp_path: Path) -> str:
    return boxes_file(tmp_path / "truth.csv", *(box(f"{i:02d}.jpg") for i in range(40)))


def value(found: Localisation, metric: str, place: int = 0) -> float:
    return found.sets[place].whole.figures[metric][0].value


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
        # A box that fits is no top-1 localisation where the class is wrong.
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
        assert one.whole.figures["box_acc"][0].n == 40 - apart
        assert one.whole.figures["pointing"][0].n == 40
        # A hill of standard deviation 20×10 pixels fills the box 40×40 from about 0.37 of its peak on.
        assert one.chosen.ours is not None
        assert one.scores.maps.largest[0, one.chosen.ours] >= 0.5

    def test_a_given_one_needs_no_images(self, out: Path, truth: str) -> None:
        (one,) = localise(str(out), LocaliseOptions(truth=truth, threshold="0.123")).sets
        assert one.whole.figures["box_acc"][0].n == 40
        assert (
            localise(str(out), LocaliseOptions(truth=truth, threshold="0.123")).thresholds[one.chosen.ours or 0]
            == 0.123
        )

    def test_where_no_box_fits_there_is_none_and_it_is_said(self, out: Path, tmp_path: Path) -> None:
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
            "outside the picture": 1,
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

    def test_a_picture_that_was_stored_lying_is_turned_by_its_file(self, tmp_path: Path) -> None:
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


class TestCommand:
    def test_it_writes_tables_and_a_summary(
        self, camx: Camx, out: Path, truth: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert camx("evaluate", out, "--truth", truth, "--by", "light") == 0
        shown = capsys.readouterr().out
        assert "pointing        0.750 [0.598, 0.858]   centre 0.000   n = 40" in shown
        rows = list(csv.DictReader((out / "evaluate" / "images.csv").read_text().splitlines()))
        assert len(rows) == 40
        assert (rows[0]["image"], rows[0]["class"], rows[0]["pointing"], rows[39]["pointing"]) == (
            "00.jpg",
            "cat",
            "1",
            "0",
        )
        groups = list(csv.DictReader((out / "evaluate" / "groups.csv").read_text().splitlines()))
        (day,) = [row for row in groups if (row["group"], row["metric"]) == ("day", "pointing")]
        assert (day["by"], day["n"], day["value"], day["method"]) == ("light", "20", "0.75", "gradcam")
        summary = json.loads((out / "evaluate" / "summary.json").read_text())
        assert summary["images"] == 40
        assert summary["maps"][0]["own"]["metrics"]["pointing"]["value"] == 0.75
        assert summary["truth"] == {"path": truth, "format": "csv"}
        assert sum(summary["maps"][0]["curves"]["iou_histogram"]) == 40

    def test_the_same_command_writes_the_same_files(self, camx: Camx, out: Path, truth: str) -> None:
        files = [out / "evaluate" / name for name in ("images.csv", "groups.csv", "left_out.csv", "summary.json")]
        assert camx("evaluate", out, "--truth", truth, "-q") == 0
        before = [file.read_bytes() for file in files]
        assert camx("evaluate", out, "--truth", truth, "-q") == 0
        assert [file.read_bytes() for file in files] == before

    @pytest.mark.parametrize(
        ("gate", "code", "verdict"),
        [
            ("pointing < 0.5", 0, "pass"),
            ("pointing < 0.8", 0, "warn"),
            ("pointing < 0.9", 1, "fail"),
            ("pointing_gain < 0.9", 1, "fail"),
            ("energy < 10%", 0, "pass"),
            ("pointing_min < 0.98 by class", 1, "fail"),
            ("pointing_gap > 0.5 by light", 0, "pass"),
            ("max_box_acc_v2 < 0.99", 1, "fail"),
            ("top1_loc < 0.01", 0, "pass"),
        ],
    )
    def test_gates_know_their_interval(
        self, camx: Camx, out: Path, truth: str, tmp_path: Path, capsys: pytest.CaptureFixture[str],
        gate: str, code: int, verdict: str
    ) -> None:  # fmt: skip
        argv = ("evaluate", out, "--truth", truth, "--fail-if", gate, "--junit", tmp_path / "gates.xml", "--json")
        assert camx(*argv) == code
        shown = capsys.readouterr()
        (found,) = json.loads(shown.out)["gates"]
        assert found["verdict"] == verdict
        assert (f"{verdict}: {gate}" in shown.err) == (verdict != "pass")
        suites = ElementTree.parse(tmp_path / "gates.xml").getroot()
        assert suites.get("failures") == str(int(verdict == "fail"))

    @pytest.mark.parametrize(
        ("argv", "words"),
        [
            (("--fail-if", "pointin < 0.5"), "Did you mean pointing"),
            (("--fail-if", "pointing < 0.5 by class"), "say what of the groups counts"),
            (("--fail-if", "pointing_min < 0.5"), "by class"),
            (("--fail-if", "top1_loc_min < 0.5 by class"), "of all images"),
            (("--fail-if", "area_truth > 0.5"), "no metric 'area_truth'"),
            (("--by", "light,none"), "no attribute 'none'"),
            (("--calibrate", "1.5"), "--calibrate"),
            (("--confidence", "95"), "--confidence"),
            (("--truth-format", "kitti"), "--truth-format 'kitti' is unknown"),
            (("--names", "missing.csv"), "cannot be read"),
        ],
    )
    def test_mistakes_are_a_sentence(
        self, camx: Camx, out: Path, truth: str, capsys: pytest.CaptureFixture[str], argv: tuple[str, ...], words: str
    ) -> None:
        assert camx("evaluate", out, "--truth", truth, *argv) == 2
        shown = capsys.readouterr()
        assert words in shown.err
        assert shown.out == ""
        assert not (out / "evaluate").exists()

    def test_what_has_nothing_in_common_is_refused(
        self, camx: Camx, out: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        other = boxes_file(tmp_path / "other.csv", box("x/unknown.jpg"))
        assert camx("evaluate", out, "--truth", other) == 2
        assert "names 'x/unknown.jpg', the run '00.jpg'" in capsys.readouterr().err
        assert camx("evaluate", out) == 2
        assert "--truth" in capsys.readouterr().err
        assert camx("evaluate", tmp_path / "nowhere", "--truth", other) == 2

    def test_an_unfinished_run_needs_to_be_asked_for(
        self, camx: Camx, tmp_path: Path, truth: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        folder = run_of(tmp_path / "half", [row_of("00.jpg", [map_of(hill(0.25, 0.5), 0, SIZE)])], state="interrupted")
        assert camx("evaluate", folder, "--truth", truth) == 2
        assert "is not finished (it is interrupted)" in capsys.readouterr().err
        assert camx("evaluate", folder, "--truth", truth, "--partial", "-q") == 0

    def test_a_run_goes_on_beside_the_files_of_an_evaluation(self, camx: Camx, images: Path) -> None:
        from .conftest import TINY

        assert camx("explain", images, *TINY, "-q", "--no-report", "--labels", "folder") == 0
        path = boxes_file(Path("t.csv"), "cat/0.jpg,,5,5,20,20")
        assert camx("evaluate", "camx-out", "--truth", path, "-q") == 0
        assert camx("explain", images, *TINY, "-q", "--no-report", "--labels", "folder") == 0

    def test_no_torch_is_loaded(self, out: Path, truth: str) -> None:
        code = (
            "import sys; from cli.main import run; code = run(sys.argv[1:]); "
            "sys.exit(code or 3 * ('torch' in sys.modules))"
        )
        done = subprocess.run(
            [sys.executable, "-c", code, "evaluate", out, "--truth", truth, "-q"], cwd=Path(__file__).parents[1]
        )
        assert done.returncode == 0


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Twenty drawn scenes of one or two objects with their exact masks as COCO."""
    from cam_cli.demo import CLASSES

    folder = tmp_path_factory.mktemp("scenes")
    (folder / "pictures").mkdir()
    rng = np.random.default_rng(5)
    content: dict[str, list[Any]] = {"images": [], "annotations": [], "categories": []}
    content["categories"] = [{"id": place + 1, "name": name} for place, name in enumerate(CLASSES)]
    for i in range(20):
        scene = render(3_000_000 + i, (160, 160), tuple(rng.choice(CLASSES, 1 + i % 2, replace=False)))
        scene.image.save(folder / "pictures" / f"{i:02d}.png")
        content["images"].append({"id": i, "file_name": f"{i:02d}.png", "width": 160, "height": 160})
        for drawn in scene.objects:
            counts = {"size": [160, 160], "counts": encoded(drawn.mask)}
            content["annotations"].append({"image_id": i, "category_id": drawn.index + 1, "segmentation": counts})
    (folder / "truth.json").write_text(json.dumps(content))
    return folder / "pictures", folder / "truth.json"


def test_the_maps_of_the_demo_lie_on_its_objects(scenes: tuple[Path, Path], camx: Camx) -> None:
    """Three in four objects would be found by chance with a tolerance of half the picture; here nearly all are, by 3 %."""
    pictures, truth = scenes
    assert (
        camx(
            "explain",
            pictures,
            "-m",
            "demo",
            "--method",
            "cam",
            "--target",
            "top:12",
            "-q",
            "--no-report",
            "--device",
            "cpu",
        )
        == 0
    )
    found = localise("camx-out", LocaliseOptions(truth=str(truth)))
    assert len(found.sets[0].scores.cases) == 30
    assert value(found, "pointing") >= 0.9
    assert value(found, "pointing_tol") >= 0.95
    assert value(found, "energy") >= 0.55
    assert value(found, "max_box_acc_v2") >= 0.55
    assert found.sets[0].whole.figures["pointing"][0].baseline <= 0.4
    assert found.problems.counts() == {}
