"""Two runs compared pair by pair: accuracy, changed predictions, files, left-out images."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from cam_cli.compare.compare import compare
from cam_cli.compare.options import CompareOptions
from cam_cli.compare.records import Comparison
from cam_cli.compare.summary import lines, markdown
from cam_cli.compare.write import write
from cam_cli.errors import CamxError
from cam_cli.statistics import mcnemar, paired_difference, z_of

from .compare_support import CAT, DOG, Z, example, one_gate, predicted, runs  # noqa: F401 - fixtures are found by their names
from .run_folders import NAMES, blank_row, failed_row, image_row, run_folder, spot


def test_accuracy_is_compared_pair_by_pair(example: tuple[str, str]) -> None:
    accuracy = compare(*example).accuracy
    assert accuracy is not None
    assert (accuracy.both, accuracy.broke, accuracy.fixed, accuracy.neither) == (146, 9, 2, 3)
    assert accuracy.a.value == pytest.approx(155 / 160)
    assert accuracy.b.value == pytest.approx(148 / 160)
    seen = accuracy.difference
    assert (seen.low, seen.high) == pytest.approx(paired_difference(146, 9, 2, 3, Z))
    assert (seen.value, seen.low, seen.high) == pytest.approx((-0.044, -0.093, -0.001), abs=0.001)
    assert accuracy.p == pytest.approx(mcnemar(9, 2)) == pytest.approx(0.039, abs=0.001)


def test_flips(example: tuple[str, str]) -> None:
    found = compare(*example)
    assert {word: found.count(word) for word in ("same", "broke", "fixed", "changed")} == {
        "same": 148, "broke": 9, "fixed": 2, "changed": 1,
    }  # fmt: skip
    assert found.flipped == 12


def test_equivalence_has_to_be_shown(example: tuple[str, str], tmp_path: Path) -> None:
    (found,) = compare(*example, CompareOptions(equivalent_within=0.02)).gates
    assert found.verdict == "fail"
    assert (found.low, found.high) == pytest.approx(paired_difference(146, 9, 2, 3, z_of(0.10)))
    assert "90 % interval" in found.sentence
    assert "no number of images" in found.sentence
    close = runs(tmp_path / "close", predicted({(CAT, CAT): 990, (CAT, DOG): 5, (DOG, CAT): 5}))
    (found,) = compare(*close, CompareOptions(equivalent_within=0.02)).gates
    assert (found.verdict, found.needed) == ("pass", None)
    few = runs(tmp_path / "few", predicted({(CAT, CAT): 40, (CAT, DOG): 1, (DOG, CAT): 1}))
    (found,) = compare(*few, CompareOptions(equivalent_within=0.02)).gates
    assert found.verdict == "fail"
    assert found.needed is not None
    assert f"about {found.needed:,} images would show it" in found.sentence


def test_a_run_compared_with_itself(tmp_path: Path) -> None:
    first, _ = runs(tmp_path, predicted({(CAT, CAT): 40, (DOG, DOG): 5}))
    found = compare(
        first, first, CompareOptions(fail_if=("accuracy_drop > 0", "flips > 0", "map_iou < 1"), equivalent_within=0.1)
    )
    assert found.accuracy is not None
    assert (found.accuracy.p, found.accuracy.difference.value, found.flipped) == (1.0, 0.0, 0)
    assert found.maps["all"].cosine.value == pytest.approx(1.0)
    assert found.maps["all"].iou.value == 1.0
    assert found.maps["all"].shift.value == 0.0
    assert [gate.verdict for gate in found.gates] == ["pass", "pass", "pass", "pass"]
    assert any("`equivalent_within` tests whether they are equal" in note for note in compare(first, first).notes)


def test_where_predictions_agree_and_maps_do_not(tmp_path: Path) -> None:
    pairs = [
        (image_row(f"{i}.jpg", CAT, CAT, cells=spot(2, 2)), image_row(f"{i}.jpg", CAT, CAT, cells=spot(7, 7)))
        for i in range(40)
    ]
    pairs += [
        (image_row(f"x{i}.jpg", CAT, CAT, cells=spot(2, 2)), image_row(f"x{i}.jpg", CAT, DOG, cells=spot(2, 2)))
        for i in range(40)
    ]
    found = compare(
        *runs(tmp_path, pairs),
        CompareOptions(fail_if=("map_iou < 0.3 if same", "map_iou < 0.3 if differs", "map_iou < 0.2")),
    )
    assert found.maps["same"].iou.value < 0.1
    assert found.maps["differs"].iou.value == 1.0
    assert found.maps["same"].shift.value == pytest.approx(0.5 * 2**0.5)
    assert [gate.verdict for gate in found.gates] == ["fail", "pass", "pass"]
    text = "\n".join(lines(found))
    assert "IoU of two random fifths 0.111" in text
    assert "least alike with the same prediction: 0.jpg, 1.jpg, 2.jpg" in text


def test_what_is_left_out_is_counted_and_why(tmp_path: Path) -> None:
    first = [
        image_row("0.jpg"),
        image_row("1.jpg"),
        failed_row("2.jpg"),
        failed_row("3.jpg"),
        image_row("4.jpg", bytes=7),
        image_row("5.jpg"),
        image_row("onlya.jpg"),
        image_row("l.jpg"),
    ]
    second = [
        image_row("l.jpg", DOG, DOG),
        failed_row("1.jpg"),
        failed_row("2.jpg"),
        image_row("3.jpg"),
        image_row("4.jpg", bytes=8),
        blank_row("5.jpg"),
        image_row("0.jpg"),
        image_row("onlyb.jpg"),
        image_row("onlyb2.jpg"),
    ]
    a, b = run_folder(tmp_path / "a", first), run_folder(tmp_path / "b", second)
    found = compare(str(a), str(b))
    assert found.left_out == {
        "only in A": 1, "only in B": 2, "failed in A": 2, "failed in B": 1, "changed on disk between the runs": 1,
        "with another label in B": 1,
    }  # fmt: skip
    assert found.a.images == ["0.jpg", "5.jpg", "l.jpg"] == found.b.images
    assert found.accuracy is not None
    assert found.accuracy.a.total == 2
    assert np.isnan(found.likeness.iou[1])


def test_a_digest_finds_more_than_a_size(tmp_path: Path) -> None:
    same, other = "a" * 64, "b" * 64
    pairs = [
        (image_row("0.jpg", sha256=same), image_row("0.jpg", sha256=other)),
        (image_row("1.jpg", sha256=same, bytes=1), image_row("1.jpg", sha256=same, bytes=2)),
    ]
    found = compare(*runs(tmp_path, pairs))
    assert found.a.images == ["1.jpg"]


def test_a_renamed_folder_is_paired_by_content(tmp_path: Path) -> None:
    pairs = [
        (image_row(f"old/{i}.jpg", sha256=str(i) * 64), image_row(f"new/{i}.png", sha256=str(i) * 64)) for i in range(5)
    ]
    pairs += [(image_row("old/twin.jpg", sha256="8" * 64), image_row("new/twin.jpg", sha256="8" * 64))] * 2
    a = run_folder(tmp_path / "a", [pair[0] for pair in pairs[:6]] + [image_row("old/twin2.jpg", sha256="8" * 64)])
    b = run_folder(tmp_path / "b", [pair[1] for pair in pairs[:6]])
    found = compare(str(a), str(b))
    assert found.a.images == [f"old/{i}.jpg" for i in range(5)]
    assert any("by file content" in note for note in found.notes)


def test_disjoint_folders_and_nothing_comparable_are_refused(tmp_path: Path) -> None:
    a = run_folder(tmp_path / "a", [image_row("cats/0.jpg")])
    b = run_folder(tmp_path / "b", [image_row("0.jpg")])
    with pytest.raises(
        CamxError,
        match=r"no image in common: A has 'cats/0\.jpg', B has '0\.jpg'\. Names are relative to the explained folder",
    ):
        compare(str(a), str(b))
    c = run_folder(tmp_path / "c", [failed_row("0.jpg")])
    with pytest.raises(CamxError, match="No image can be compared: 1 failed in A"):
        compare(str(c), str(b))


def test_unfinished_runs_are_refused_unless_they_are_meant(tmp_path: Path) -> None:
    a = run_folder(tmp_path / "a", [image_row("0.jpg"), image_row("1.jpg")])
    b = run_folder(tmp_path / "b", [image_row("0.jpg")], state="interrupted")
    for pair in ((a, b), (b, a)):
        with pytest.raises(CamxError, match="not finished.*`partial`"):
            compare(*map(str, pair))
        assert len(compare(*map(str, pair), CompareOptions(partial=True)).a) == 1


def test_without_labels_there_are_flips_and_maps(tmp_path: Path) -> None:
    pair = runs(tmp_path, [(image_row(f"{i}.jpg", None, CAT), image_row(f"{i}.jpg", None, i % 2)) for i in range(10)])
    found = compare(*pair, CompareOptions(fail_if=("flips > 4",)))
    assert found.accuracy is None
    assert (found.count("changed"), found.gates[0].verdict) == (5, "fail")
    assert any("only flips and maps are compared" in note for note in found.notes)
    for text in ("accuracy_drop > 0", "broke > 1"):
        with pytest.raises(CamxError, match="both networks know"):
            one_gate(pair, text)
    with pytest.raises(CamxError, match="`equivalent_within` needs labels"):
        compare(*pair, CompareOptions(equivalent_within=0.1))


def test_classes_are_matched_by_name_and_the_rest_is_listed(tmp_path: Path) -> None:
    a = run_folder(tmp_path / "a", [image_row("0.jpg", DOG, DOG)], classes=["cat", "dog", "fish"])
    turned = image_row("0.jpg", DOG, DOG)
    turned |= {"label_index": 0, "top": [{"index": 0, "name": "dog", "prob": 0.9}]}
    b = run_folder(tmp_path / "b", [turned], classes=["dog", "cat", "bird"])
    found = compare(str(a), str(b))
    assert found.flipped == 0
    assert found.unmatched == (("fish",), ("bird",))
    assert "Only A has the classes fish. Classes are matched by name." in found.notes
    bare = run_folder(tmp_path / "bare", [image_row("0.jpg", DOG, DOG)])
    assert any("does not list its classes" in note for note in compare(str(a), str(bare)).notes)


def test_the_probability_of_the_label_is_paired(tmp_path: Path) -> None:
    pair = runs(
        tmp_path,
        [
            (image_row(f"{i}.jpg", label_prob=0.9), image_row(f"{i}.jpg", label_prob=0.9 - 0.01 * (i % 5)))
            for i in range(50)
        ],
    )
    gate = one_gate(pair, "label_prob_drop > 0.01")
    assert (gate.verdict, gate.seen) == ("fail", pytest.approx(0.02))


def test_files_and_markdown(example: tuple[str, str], tmp_path: Path) -> None:
    options = CompareOptions(fail_if=("accuracy_drop > 0.01",), equivalent_within=0.02)
    found: Comparison = compare(*example, options)
    write(str(tmp_path / "out"), found, options, junit_file=str(tmp_path / "j.xml"))
    with (tmp_path / "out" / "images.csv").open(encoding="utf-8", newline="") as file:
        images = list(csv.DictReader(file))
    assert list(images[0]) == ["image", "label", "a_top1", "a_prob", "b_top1", "b_prob", "flip", "map_cosine", "map_iou20", "peak_shift", "border_a", "border_b"]  # fmt: skip
    assert images[150] == {
        "image": "150.jpg", "label": "cat", "a_top1": "cat", "a_prob": "0.9", "b_top1": "dog", "b_prob": "0.9", "flip": "broke",
        "map_cosine": "1", "map_iou20": "1", "peak_shift": "0", "border_a": "0.1", "border_b": "0.1",
    }  # fmt: skip
    content = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert content["verdict"] == "fail"
    assert content["accuracy"]["broke"] == 9
    assert content["map_iou_chance"] == pytest.approx(0.111111)
    assert "equivalent within" in (tmp_path / "j.xml").read_text()
    text = markdown(found)
    assert "## camx compare: fail" in text
    assert "accuracy A 96.88%, B 92.50%".replace(".", ".") in text.replace("\\", "")
    groups = (tmp_path / "out" / "groups.csv").read_text().splitlines()
    assert groups[1].startswith("class,cat,160,160,155,148,9,2,1,-0.04375,")


def test_names_that_spreadsheets_would_run_are_made_harmless(tmp_path: Path) -> None:
    pair = runs(tmp_path, [(image_row("=1.jpg"), image_row("=1.jpg"))])
    write(str(tmp_path / "out"), compare(*pair), CompareOptions())
    assert (tmp_path / "out" / "images.csv").read_text().splitlines()[1].startswith("'=1.jpg,")


@pytest.mark.parametrize("count", [3_000, pytest.param(50_000, marks=pytest.mark.slow)])
def test_many_pairs_are_compared(tmp_path: Path, count: int) -> None:
    """About 10 s of one core for 50,000."""
    text = json.dumps(image_row("x", cells=spot(9, 9, side=24)))
    for name in "ab":
        run = run_folder(tmp_path / name, [], classes=list(NAMES))
        with (run / "manifest.jsonl").open("w") as journal:
            journal.writelines(text.replace('"x"', f'"{i}.jpg"', 1) + "\n" for i in range(count))
    found = compare(str(tmp_path / "a"), str(tmp_path / "b"))
    assert len(found.a) == count


def test_several_labels_are_the_same_whichever_is_ranked_best(tmp_path: Path) -> None:
    pair = runs(
        tmp_path,
        [(image_row("0.jpg", CAT, CAT, labels=["cat", "dog"]), image_row("0.jpg", DOG, DOG, labels=["dog", "cat"]))],
    )
    found = compare(*pair)
    assert found.accuracy is not None
    assert found.accuracy.a.total == 1
    assert not found.left_out
