"""`camx compare` from the rows of two runs: flips, paired intervals, where the maps moved, and what was left out."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cam_cli.compare.compare import compare
from cam_cli.compare.maps import CHANCE, likeness
from cam_cli.compare.options import CompareOptions
from cam_cli.compare.records import Comparison
from cam_cli.compare.summary import lines, markdown
from cam_cli.compare.write import write
from cam_cli.errors import CamxError
from cam_cli.gates import GateResult
from cam_cli.statistics import mcnemar, paired_difference, z_of

from .run_folders import NAMES, blank_row, csv_file, failed_row, image_row, run_folder, sketch, spot

Z = z_of(0.05)
CAT, DOG, FISH = range(3)


def runs(tmp_path: Path, pairs: list[tuple[dict[str, Any], dict[str, Any]]], **record: Any) -> tuple[str, str]:
    """A run of the first rows, and one of the second ones."""
    record = {"classes": list(NAMES), **record}
    first, second = (
        run_folder(tmp_path / name, [pair[side] for pair in pairs], **record) for side, name in enumerate("ab")
    )
    return str(first), str(second)


def predicted(counts: dict[tuple[int, int], int], **more: Any) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """Pictures of cats: how many have which class in A and in B."""
    kinds = [kind for kind, count in counts.items() for _ in range(count)]
    return [tuple(image_row(f"{i}.jpg", CAT, kind[side], **more) for side in (0, 1)) for i, kind in enumerate(kinds)]  # type: ignore[misc]


#: The example of the specification: 160 photos, accuracy 0.969 → 0.925, broke 9, fixed 2.
EXAMPLE = {(CAT, CAT): 146, (CAT, DOG): 9, (DOG, CAT): 2, (DOG, DOG): 2, (DOG, FISH): 1}


@pytest.fixture
def example(tmp_path: Path) -> tuple[str, str]:
    return runs(tmp_path, predicted(EXAMPLE))


def one_gate(pair: tuple[str, str], text: str, **options: Any) -> GateResult:
    (found,) = compare(*pair, CompareOptions(fail_if=(text,), **options)).gates
    return found


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


GATES = {
    "accuracy_drop > 0.01": ("warn", 0.04375),
    "accuracy_drop > 0": ("fail", 0.04375),
    "accuracy_drop > 5%": ("pass", 0.04375),
    "accuracy < 0.9": ("pass", 0.925),
    "broke > 3": ("fail", 9),
    "broke > 9": ("pass", 9),
    "broke > 5%": ("warn", 9 / 160),
    "flips > 20%": ("pass", 12 / 160),
    "flips >= 12": ("fail", 12),
    "changed > 0": ("fail", 1),
    "map_iou < 0.3": ("pass", 1.0),
    "map_cosine < 0.9 if same": ("pass", 1.0),
    "peak_shift > 0.1 if differs": ("pass", 0.0),
    "cam_border_rise > 0.1": ("pass", 0.0),
}  # fmt: skip


@pytest.mark.parametrize("text", GATES)
def test_gates(example: tuple[str, str], text: str) -> None:
    verdict, seen = GATES[text]
    gate = one_gate(example, text)
    assert (gate.verdict, gate.text) == (verdict, text)
    assert gate.seen == pytest.approx(seen)


def test_sentences_of_gates(example: tuple[str, str]) -> None:
    drop = one_gate(example, "accuracy_drop > 0.01")
    assert drop.sentence.startswith("accuracy_drop: all images 4.4 % (n = 160), between 0.1 % and 9.3 % (95 %); about ")
    assert one_gate(example, "broke > 3").sentence == "broke: all images 9 (n = 160)"


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
    assert any("does not show that there is none" in note for note in compare(first, first).notes)


def test_places_of_maps_by_pencil() -> None:
    a, b = np.zeros((2, 5)), np.zeros((2, 5))
    a[0, :2], b[0, 1:3] = (200, 100), (100, 200)  # a fifth of ten cells are two
    found = likeness([sketch(a)], [sketch(b)])
    assert found.cosine[0] == pytest.approx(100 * 100 / (200**2 + 100**2))
    assert found.iou[0] == pytest.approx(1 / 3)
    assert found.shift[0] == pytest.approx(2 / 5)
    assert np.isnan(found.shuffled)


def test_a_fifth_that_holds_no_heat_is_not_hot() -> None:
    a, b = np.zeros((10, 10)), np.zeros((10, 10))
    a[0, 0], b[9, 9] = 255, 255
    found = likeness([sketch(a), sketch(a)], [sketch(b), sketch(a)])
    assert found.iou.tolist() == [0.0, 1.0]
    assert found.shift[0] == pytest.approx(0.9 * 2**0.5)


def test_a_peak_of_several_cells_lies_in_their_middle() -> None:
    a, b = np.zeros((4, 4)), np.zeros((4, 4))
    a[0, [0, 3]] = 255
    b[0, [1, 2]] = 255
    assert likeness([sketch(a)], [sketch(b)]).shift[0] == pytest.approx(0.0)


def test_maps_that_are_missing_blank_or_of_another_shape_are_left_out() -> None:
    some, other = sketch(spot(2, 2)), sketch(spot(2, 2, side=8))
    found = likeness([some, None, sketch(np.zeros((10, 10))), some], [None, some, some, other])
    for column in (found.cosine, found.iou, found.shift):
        assert np.isnan(column).all()


def test_signs_of_a_map_are_strength() -> None:
    signed = np.full((4, 5), 128)
    signed[0, 0], signed[3, 4] = 255, 1
    plain = np.zeros((4, 5))
    plain[0, 0], plain[3, 4] = 127, 127
    found = likeness([{**sketch(signed), "signed": True}], [sketch(plain)])
    assert found.cosine[0] == pytest.approx(1.0)


def test_random_maps_have_the_likeness_of_chance() -> None:
    rng = np.random.default_rng(0)
    first, second = ([sketch(rng.permutation(576).reshape(24, 24) * 255 / 575) for _ in range(200)] for _ in range(2))
    found = likeness(first, second)
    assert found.iou.mean() == pytest.approx(CHANCE, abs=0.01)
    assert found.shuffled == pytest.approx(CHANCE, abs=0.01)
    assert pytest.approx(1 / 9) == CHANCE


def test_a_habit_of_looking_at_the_middle_shows_in_the_shuffled_maps() -> None:
    same = [sketch(spot(12, 12, side=24)) for _ in range(20)]
    assert likeness(same, same).shuffled == 1.0


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


def test_the_map_that_is_asked_for(tmp_path: Path) -> None:
    """Each row has a map of a cat, a dog and, of another method, a cat again."""

    def row(best: int, cat: np.ndarray, dog: np.ndarray, other: np.ndarray) -> dict[str, Any]:
        made = [
            image_row("x", CAT, target, cells=cells)["maps"][0]
            for target, cells in ((CAT, other), (CAT, cat), (DOG, dog))
        ]
        made[0]["method"] = "eigencam"
        return image_row("i.jpg", CAT, best, maps=made)

    left, right, up = spot(1, 5), spot(8, 5), spot(5, 1)
    pair = runs(tmp_path, [(row(CAT, left, right, up), row(DOG, right, right, up))])
    shift = {
        on: compare(*pair, CompareOptions(on=on)).likeness.shift[0]
        for on in ("prediction", "label", "target:Cat", "target:1")
    }
    assert shift == pytest.approx({"prediction": 0.7, "label": 0.7, "target:Cat": 0.7, "target:1": 0.0})
    assert np.isnan(compare(*pair, CompareOptions(on="target:fish")).likeness.shift[0])
    for on in ("everything", "target:", "target: "):
        with pytest.raises(CamxError, match="`on`"):
            compare(*pair, CompareOptions(on=on))


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
        "only in A": 1, "only in B": 2, "failed in A": 2, "failed in B": 1, "changed on the disk in between": 1,
        "with another label in B": 1,
    }  # fmt: skip
    assert found.a.images == ["0.jpg", "5.jpg", "l.jpg"] == found.b.images
    assert found.accuracy is not None
    assert found.accuracy.a.total == 2
    assert np.isnan(found.likeness.iou[1])


def test_a_digest_tells_more_than_a_size(tmp_path: Path) -> None:
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
    assert any("by the content" in note for note in found.notes)


def test_disjoint_folders_and_nothing_comparable_are_refused(tmp_path: Path) -> None:
    a = run_folder(tmp_path / "a", [image_row("cats/0.jpg")])
    b = run_folder(tmp_path / "b", [image_row("0.jpg")])
    with pytest.raises(
        CamxError, match=r"no image in common: A has 'cats/0\.jpg', B has '0\.jpg'\. Names start at the folder"
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
    assert any("flips and maps only" in note for note in found.notes)
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


def test_other_layers_methods_and_frames_are_said(tmp_path: Path) -> None:
    a = run_folder(
        tmp_path / "a", [image_row("0.jpg")], classes=list(NAMES), fingerprint={"preprocessing": {"size": [224, 224]}}
    )
    other = image_row("0.jpg")
    other["maps"][0]["layer"] = "blocks.11"
    b = run_folder(tmp_path / "b", [other], classes=list(NAMES), fingerprint={"preprocessing": {"size": [384, 384]}})
    notes = " ".join(compare(str(a), str(b)).notes)
    assert "gradcam at layer4 in A and of gradcam at blocks.11 in B" in notes
    assert "shown the pictures in different ways" in notes


def test_gates_by_attribute_are_judged_on_the_worst_group(tmp_path: Path) -> None:
    pairs = []
    for i in range(200):
        of = {"attributes": {"site": "xy"[i % 2]}}
        pairs.append(
            (image_row(f"{i}.jpg", CAT, CAT, **of), image_row(f"{i}.jpg", CAT, DOG if i % 10 == 1 else CAT, **of))
        )
    pair = runs(tmp_path, pairs)
    gate = one_gate(pair, "accuracy_drop > 0.05 by site")
    assert (gate.groups, gate.seen) == (("y",), pytest.approx(0.2))
    assert gate.low == pytest.approx(-paired_difference(80, 20, 0, 0, z_of(0.05, 2))[1])
    assert gate.verdict == "fail"
    assert "all 2 groups together" in gate.sentence
    worst = one_gate(pair, "map_iou < 0.5 by site if same")
    assert worst.verdict == "pass"
    found = compare(*pair, CompareOptions(by=("site",)))
    rows = {(row.by, row.group): row for row in found.groups}
    assert (rows["site", "y"].broke, rows["site", "x"].broke, rows["class", "cat"].broke) == (20, 0, 20)
    difference = rows["site", "y"].difference
    assert difference is not None
    assert (difference.value, difference.low, difference.high) == pytest.approx(
        (-0.2, *paired_difference(80, 20, 0, 0, Z))
    )
    table = csv_file(
        tmp_path / "g.csv", [("image", "lens"), *((f"{i}.jpg", "uv"[i % 2]) for i in range(200)), ("z.jpg", "u")]
    )
    with_file = compare(*pair, CompareOptions(groups=str(table), fail_if=("broke > 30 by lens",)))
    assert with_file.gates[0].verdict == "pass"
    assert with_file.left_out == {"in the groups file, not compared": 1}


WRONG = {
    "typo": ("acuracy_drop > 0.1", r"Did you mean accuracy_drop"),
    "no count and no share": ("flips > 0.05", r"flips is a number of images.*'flips > 5%'"),
    "a flag that is none": ("map_iou < 0.3 if equal", "There are same, differs"),
    "an attribute that is none": ("broke > 3 by site", "no attribute 'site'"),
    "probability of the label": ("label_prob_drop > 0.1", "lack the probability of the true class"),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_gates_are_refused_with_what_to_do(example: tuple[str, str], case: str) -> None:
    text, message = WRONG[case]
    with pytest.raises(CamxError, match=message):
        one_gate(example, text)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"equivalent_within": 0.0}, "`equivalent_within` 0.0 is out of range"),
        ({"confidence": 1.0}, "`confidence` 1.0 is out of range"),
        ({"confidence": 95.0}, "from 0.5 to 0.9999"),
    ],
)
def test_wrong_numbers_are_refused(example: tuple[str, str], options: dict[str, Any], message: str) -> None:
    with pytest.raises(CamxError, match=message):
        compare(*example, CompareOptions(**options))


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
