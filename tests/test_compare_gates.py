"""Gates of a comparison, also by group; errors of wrong gates."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from cam_cli.compare.compare import compare
from cam_cli.compare.options import CompareOptions
from cam_cli.errors import CamxError
from cam_cli.statistics import paired_difference, z_of

from .compare_support import CAT, DOG, Z, example, one_gate, runs  # noqa: F401 - fixtures are found by their names
from .run_folders import csv_file, image_row

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
    "a flag that is none": ("map_iou < 0.3 if equal", "Give one of same, differs"),
    "an attribute that is none": ("broke > 3 by site", "no attribute 'site'"),
    "probability of the label": ("label_prob_drop > 0.1", "lack the probability of the true class"),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_gates_are_errors_that_say_what_to_do(example: tuple[str, str], case: str) -> None:
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
