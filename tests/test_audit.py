"""`camx audit` from the rows of a run: groups, intervals, verdicts, and what was left out."""

from __future__ import annotations

import csv
import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

from cam_cli.audit.audit import audit
from cam_cli.audit.groups import Bins, column, crossing, intervals, quantiles
from cam_cli.audit.options import AuditOptions
from cam_cli.audit.records import AuditResult, GroupRow
from cam_cli.audit.summary import lines, markdown
from cam_cli.audit.write import write
from cam_cli.errors import CamxError
from cam_cli.gates import GateResult
from cam_cli.statistics import share_difference, wilson, z_of

from .run_folders import blank_row, csv_file, failed_row, image_row, rights, run_folder

Z = z_of(0.05)


def lit(total: int, right: int, light: str, **more: Any) -> list[dict[str, Any]]:
    return rights(total, right, light, attributes={"light": light}, **more)


@pytest.fixture
def pets(tmp_path: Path) -> Path:
    """The example of the specification: 80 dark pictures, 78 of them right, and 80 bright ones, 77 right."""
    return run_folder(tmp_path / "run", [*lit(80, 78, "dark"), *lit(80, 77, "bright", border=0.3)])


def group(result: AuditResult, by: str, name: str) -> GroupRow:
    (found,) = (row for row in result.groups if (row.by, row.group) == (by, name))
    return found


def one_gate(path: Path, text: str, **options: Any) -> GateResult:
    (found,) = audit(str(path), AuditOptions(fail_if=(text,), **options)).gates
    return found


def test_groups_come_from_the_columns_of_the_labels_file(pets: Path) -> None:
    result = audit(str(pets))
    dark = group(result, "light", "dark")
    assert (dark.images, dark.right, dark.failed, dark.unlabelled, dark.small) == (80, 78, 0, 0, False)
    value = dark.values["accuracy"]
    assert (value.value, value.low, value.high, value.total) == pytest.approx((78 / 80, *wilson(78, 80, Z), 80))
    assert group(result, "light", "bright").values["cam_border"].value == pytest.approx(0.3)
    assert [one.name for one in result.attributes] == ["light", "class"]
    assert result.overall["accuracy"].value == pytest.approx(155 / 160)


def test_a_gap_within_chance_passes_and_says_between_what_it_lies(pets: Path) -> None:
    gate = one_gate(pets, "accuracy_gap > 0.04")
    assert gate.verdict == "pass"
    assert gate.text == "accuracy_gap > 0.04 by light"
    low, high = share_difference(78, 80, 77, 80, Z)
    assert (gate.seen, gate.low, gate.high) == pytest.approx((0.0125, 0.0, high))
    assert low < 0
    assert gate.groups == ("dark", "bright")
    assert "dark 97.5 % (n = 80), bright 96.2 % (n = 80); gap 1.2 %, between 0.0 % and 8.2 % (95 %)" in gate.sentence


def test_a_gap_that_only_the_point_shows_warns_with_the_number_of_images(tmp_path: Path) -> None:
    run = run_folder(tmp_path / "run", [*lit(52, 52, "tall"), *lit(108, 103, "wide")])
    gate = one_gate(run, "accuracy_gap > 0.04")
    assert gate.verdict == "warn"
    assert gate.seen == pytest.approx(5 / 108)
    assert gate.low == 0.0
    assert gate.needed is not None
    assert gate.needed > 1000
    assert f"about {gate.needed:,} images per group would tell" in gate.sentence


def test_a_gap_beyond_the_limit_fails(tmp_path: Path) -> None:
    run = run_folder(tmp_path / "run", [*lit(300, 297, "men"), *lit(300, 240, "women")])
    gate = one_gate(run, "accuracy_gap > 0.04 by light")
    assert gate.verdict == "fail"
    assert gate.low == pytest.approx(share_difference(297, 300, 240, 300, Z)[0])
    assert gate.groups == ("men", "women")


def test_parity_has_to_be_shown(pets: Path, tmp_path: Path) -> None:
    gate = one_gate(pets, "accuracy_gap > 0.04", prove="parity")
    assert gate.verdict == "fail"
    assert gate.needed is not None
    assert f"about {gate.needed:,} images per group would show that the limit is kept" in gate.sentence
    assert one_gate(pets, "accuracy_gap > 0.1", prove="parity").verdict == "pass"
    apart = run_folder(tmp_path / "apart", [*lit(80, 80, "dark"), *lit(80, 40, "bright")])
    assert "no number of images" in one_gate(apart, "accuracy_gap > 0.04", prove="parity").sentence


def test_several_groups_share_the_level(tmp_path: Path) -> None:
    rows = [row for name, right in (("a", 90), ("b", 95), ("c", 99)) for row in lit(100, right, name)]
    run = run_folder(tmp_path / "run", rows)
    gate = one_gate(run, "accuracy_gap > 0.0 by light")
    assert gate.seen == pytest.approx(0.09)
    assert gate.low == pytest.approx(share_difference(99, 100, 90, 100, z_of(0.05, 3))[0])
    assert "all 3 pairs together" in gate.sentence
    with_reference = one_gate(run, "accuracy_gap > 0.0 by light", reference="b")
    assert with_reference.seen == pytest.approx(0.05)
    assert with_reference.groups == ("b", "a")
    assert "all 2 pairs together" in with_reference.sentence


def test_a_gate_without_by_is_judged_on_all_attributes_at_a_level_that_they_share(tmp_path: Path) -> None:
    rows = [
        image_row(f"{i}.jpg", 0, int(i % 7 == 0), attributes={"a": "xy"[i % 2], "b": "uvw"[i % 3]}) for i in range(300)
    ]
    run = run_folder(tmp_path / "run", rows)
    first, second = audit(str(run), AuditOptions(fail_if=("accuracy_gap > 0.1",))).gates
    assert (first.text, second.text) == ("accuracy_gap > 0.1 by a", "accuracy_gap > 0.1 by b")
    assert "all 4 pairs together" in first.sentence
    assert "all 4 pairs together" in second.sentence


FORMS = {
    "accuracy_ratio < 0.8": ("fail", 0.5, ("b", "a")),
    "accuracy_min < 0.6": ("fail", 0.45, ("b",)),
    "accuracy_max > 0.95": ("pass", 0.9, ("a",)),
    "accuracy < 0.7": ("warn", 0.675, ("all images",)),
    "cam_border_gap > 0.1": ("fail", 0.2, ("b", "a")),
    "cam_border_max > 0.5": ("pass", 0.305, ("b",)),
    "cam_border_ratio < 0.9": ("fail", 0.105 / 0.305, ("a", "b")),
    "prob_min < 0.5": ("pass", 0.9, ("a",)),
    "ece > 0.01": ("fail", 0.225, ("all images",)),
    "overconfidence > 0.1": ("fail", 0.225, ("all images",)),
    "recall_gap > 0.1": ("fail", 0.45, ("a", "b")),
    "precision < 1": ("warn", 0.5, ("all images",)),  # of the dogs predicted none is one, of the cats all are
}


@pytest.mark.parametrize("text", FORMS)
def test_forms_and_metrics(tmp_path: Path, text: str) -> None:
    rng = np.random.default_rng(0)
    rows = [
        image_row(f"a/{i}", 0, int(i >= 90), attributes={"g": "a"}, border=0.1 + 0.01 * rng.random())
        for i in range(100)
    ]
    rows += [
        image_row(f"b/{i}", 0, int(i >= 45), attributes={"g": "b"}, border=0.3 + 0.01 * rng.random())
        for i in range(100)
    ]
    verdict, seen, groups = FORMS[text]
    gate = one_gate(run_folder(tmp_path / "run", rows), text)
    if text != "precision < 1":
        assert (gate.verdict, gate.groups) == (verdict, groups)
    assert gate.seen == pytest.approx(seen, abs=0.006)
    assert gate.low is not None
    assert gate.high is not None
    assert gate.low <= gate.seen <= gate.high + 1e-9


def test_recall_and_precision_of_one_class_and_by_class(tmp_path: Path) -> None:
    # 40 cats, 30 found; 60 dogs, 50 found, 10 taken for cats.
    pairs = [(0, 0)] * 30 + [(0, 1)] * 10 + [(1, 1)] * 50 + [(1, 0)] * 10
    rows = [image_row(f"{i}.jpg", *pair, attributes={"g": "xy"[i % 2]}) for i, pair in enumerate(pairs)]
    run = run_folder(tmp_path / "run", rows)
    result = audit(str(run), AuditOptions(metrics=("recall", "precision"), positive="CAT"))
    assert result.overall["recall"].value == 0.75
    assert result.overall["recall"].total == 40
    assert result.overall["precision"].value == 0.75
    of_class = group(result, "class", "dog").values
    assert of_class["recall"].value == pytest.approx(50 / 60)
    assert of_class["precision"].value == pytest.approx(50 / 60)
    mean = audit(str(run), AuditOptions(metrics=("recall",))).overall["recall"]
    assert mean.value == pytest.approx((0.75 + 50 / 60) / 2)
    with pytest.raises(CamxError, match="`positive` 'cta': the run has no such class. Did you mean cat"):
        audit(str(run), AuditOptions(metrics=("recall",), positive="cta"))


def test_small_groups_are_shown_and_not_judged(tmp_path: Path) -> None:
    run = run_folder(tmp_path / "run", [*lit(100, 90, "a"), *lit(100, 90, "b"), *lit(29, 0, "c")])
    result = audit(str(run), AuditOptions(fail_if=("accuracy_gap > 0.1",)))
    assert group(result, "light", "c").small
    assert result.gates[0].verdict == "pass"
    assert {(row.group_a, row.group_b) for row in result.pairs if row.metric == "accuracy"} == {("a", "b")}
    judged = one_gate(run, "accuracy_gap > 0.1", min_group=20)
    assert judged.verdict == "fail"
    alone = one_gate(run, "accuracy_gap > 0.1", min_group=101)
    assert (alone.verdict, alone.seen) == ("warn", None)
    assert "fewer than two groups" in alone.sentence
    assert one_gate(run, "accuracy_gap > 0.1", min_group=101, prove="parity").verdict == "fail"
    assert "'c' has too few images" in one_gate(run, "accuracy_gap > 0.1", reference="c").sentence


def test_all_right_all_wrong_one_image_and_one_group(tmp_path: Path) -> None:
    run = run_folder(tmp_path / "run", [*lit(40, 40, "a"), *lit(40, 0, "b"), *lit(1, 1, "c")])
    result = audit(str(run), AuditOptions(min_group=1, fail_if=("accuracy_min < 0.5", "accuracy_ratio < 0.5")))
    assert group(result, "light", "a").values["accuracy"].low == pytest.approx(40 / (40 + Z**2))
    assert group(result, "light", "c").values["accuracy"].low == pytest.approx(1 / (1 + Z**2))
    assert [gate.verdict for gate in result.gates] == ["fail", "fail"]
    assert result.gates[1].seen == 0.0
    alone = run_folder(tmp_path / "alone", lit(50, 40, "a"))
    assert one_gate(alone, "accuracy_gap > 0.1").verdict == "warn"


def test_what_is_left_out_is_counted_and_why(tmp_path: Path) -> None:
    rows = [
        *lit(40, 30, "a"),
        *lit(40, 35, "b"),
        image_row("none.jpg", None, attributes={"light": "a"}),
        image_row("zebra.jpg", None, attributes={"light": "a"}) | {"label": "zebra"},
        image_row("dusk.jpg", 0, attributes={"light": ""}),
        image_row("without.jpg", 0),
        failed_row("broken.jpg", attributes={"light": "b"}),
        blank_row("blank.jpg", attributes={"light": "b"}),
    ]
    result = audit(str(run_folder(tmp_path / "run", rows)))
    assert result.left_out == {
        "failed": 1, "without a label": 1, "with a label that is no class of the network": 1, "blank map": 1,
        "without a group of light": 2,
    }  # fmt: skip
    a, b = group(result, "light", "a"), group(result, "light", "b")
    assert (a.images, a.unlabelled, a.failed, a.values["accuracy"].total) == (42, 2, 0, 40)
    assert (b.images, b.unlabelled, b.failed, b.values["accuracy"].total) == (41, 0, 1, 41)
    assert b.values["cam_border"].total == 40
    assert group(result, "class", "cat").failed == 1


def test_a_groups_file_adds_and_replaces(pets: Path, tmp_path: Path) -> None:
    names = [f"{light}/{i}.jpg" for light in ("dark", "bright") for i in range(80)]
    lines_of = [
        ("image", "Light", "Größe"),
        *((name, "all", "=1+1" if i % 2 else "ä b") for i, name in enumerate(names[:-3])),
    ]
    table = csv_file(tmp_path / "groups.csv", [*lines_of, ("stranger.jpg", "x", "y")])
    result = audit(str(pets), AuditOptions(groups=str(table)))
    assert [one.name for one in result.attributes] == ["light", "größe", "class"]
    assert [row.group for row in result.groups if row.by == "größe"] == ["=1+1", "ä b"]
    assert group(result, "light", "all").images == 157
    assert result.left_out["in the groups file, not in the run"] == 1
    assert result.left_out["not in the groups file"] == 3
    write(str(pets), result, AuditOptions())
    assert "größe,'=1+1,78," in (pets / "audit" / "groups.csv").read_text()


def test_a_groups_file_names_images_by_path_too(tmp_path: Path) -> None:
    images = tmp_path / "images"
    run = run_folder(
        tmp_path / "run",
        [image_row("=a.jpg"), image_row("b/c.jpg"), image_row("d.jpg")],
        fingerprint={"inputs": str(images)},
    )
    images.mkdir()
    rows = [("image", "g"), ("'=a.jpg", "x"), ("c.jpg", "x"), (images / "d.jpg", "y")]
    (images / "b").mkdir()
    table = csv_file(images / "b" / "groups.csv", rows)
    found = audit(str(run), AuditOptions(groups=str(table)))
    assert (group(found, "g", "x").images, group(found, "g", "y").images) == (2, 1)


WRONG_FILES = {
    "twice with two groups": ([("image", "g"), ("dark/1.jpg", "x"), ("dark/1.jpg", "y")], r"two rows for 'dark/1\.jpg' that differ \(g 'x' and g 'y'\)"),
    "no attribute": ([("image", "label"), ("dark/1.jpg", "x")], "has no attribute"),
    "no image of the run": ([("image", "g"), ("q.jpg", "x")], r"names none of the 160 images of the run.*'dark/0\.jpg'"),
    "no image column": ([("file", "g"), ("dark/1.jpg", "x")], "no column 'image'"),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG_FILES)
def test_a_groups_file_that_cannot_be_right_is_refused(pets: Path, tmp_path: Path, case: str) -> None:
    rows, message = WRONG_FILES[case]
    with pytest.raises(CamxError, match=message):
        audit(str(pets), AuditOptions(groups=str(csv_file(tmp_path / "g.csv", rows))))


def test_a_groups_file_may_repeat_itself(pets: Path, tmp_path: Path) -> None:
    table = csv_file(tmp_path / "g.csv", [("image", "g"), ("dark/1.jpg", "x"), ("dark/1.jpg", "x")])
    assert group(audit(str(pets), AuditOptions(groups=str(table))), "g", "x").images == 1


WRONG_OPTIONS = {
    "typo in a metric": ({"fail_if": ("acuracy_gap > 0.1",)}, r"no metric 'acuracy_gap'\. Did you mean accuracy_gap"),
    "typo in an attribute": ({"by": ("lihgt",)}, r"no attribute 'lihgt'\. Did you mean light"),
    "typo in a gate's attribute": ({"fail_if": ("accuracy_gap > 0.1 by lihgt",)}, "Did you mean light"),
    "by without a form": ({"fail_if": ("accuracy < 0.9 by light",)}, "accuracy_min"),
    "a flag": ({"fail_if": ("accuracy_gap > 0.1 if same",)}, "`if same`"),
    "typo in a reference": ({"reference": "drak"}, r"`reference` 'drak'.*Did you mean dark"),
    "typo in --metric": ({"metrics": ("cam_boarder",)}, "Did you mean cam_border"),
    "typo in --cluster": ({"cluster": "lighd"}, "Did you mean light"),
    "bins of words": ({"bins": ("light=1,2",)}, "has no numbers"),
    "bins of nothing": ({"bins": ("age=1,2",)}, "no such column"),
    "falling bins": ({"bins": ("light=2,1",)}, "rising edges"),
    "no bins": ({"bins": ("light",)}, "COLUMN=q4"),
    "cross of one": ({"cross": True}, "`cross` needs two attributes"),
    "truth": ({"metrics": ("energy_in_box",)}, "camx evaluate"),
    "an old journal": ({"by": ("brightness",)}, "no brightness"),
    "no probability of the label": ({"metrics": ("label_prob",)}, "earlier camx"),
    "no condition": ({"fail_if": ("accuracy gap",)}, "is no condition"),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG_OPTIONS)
def test_wrong_options_are_refused_with_what_to_do(pets: Path, case: str) -> None:
    options, message = WRONG_OPTIONS[case]
    with pytest.raises(CamxError, match=message):
        audit(str(pets), AuditOptions(**options))  # type: ignore[arg-type]


def test_an_unfinished_run_is_refused_unless_it_is_meant(tmp_path: Path) -> None:
    for state in ("running", "interrupted", "incomplete"):
        run = run_folder(tmp_path / state, lit(40, 40, "a"), state=state)
        with pytest.raises(CamxError, match=rf"not finished \({state}\).*`partial`"):
            audit(str(run))
        assert audit(str(run), AuditOptions(partial=True)).overall["accuracy"].value == 1.0


def test_only_runs_of_explain_with_labels_are_audited(tmp_path: Path) -> None:
    other = run_folder(tmp_path / "other", [image_row("a.jpg")], fingerprint={"command": "activations"})
    with pytest.raises(CamxError, match="camx activations"):
        audit(str(other))
    with pytest.raises(CamxError, match="no folder"):
        audit(str(tmp_path / "none"))
    with pytest.raises(CamxError, match="no images"):
        audit(str(run_folder(tmp_path / "empty", [])))
    bare = run_folder(
        tmp_path / "bare",
        [image_row(f"{i}.jpg", None, attributes={"g": "xy"[i % 2]}, border=0.1 + i / 1000) for i in range(80)],
    )
    with pytest.raises(CamxError, match="no labels that the network knows.*camx explain"):
        audit(str(bare))
    with pytest.raises(CamxError, match="'accuracy' needs"):
        audit(str(bare), AuditOptions(fail_if=("accuracy_gap > 0.1",)))
    attention = audit(str(bare), AuditOptions(fail_if=("cam_border_gap > 0.2",)))
    assert attention.gates[0].verdict == "pass"
    assert group(attention, "g", "x").right is None
    assert "accuracy" not in attention.metrics
    all_failed = run_folder(tmp_path / "failed", [failed_row("a.jpg")])
    with pytest.raises(CamxError, match="no labels|No image of the run was explained"):
        audit(str(all_failed), AuditOptions(metrics=("prob",)))


def test_derived_groups_are_quartiles_that_part_no_equal_values(tmp_path: Path) -> None:
    sizes = [(40, 30)] * 60 + [(30, 40)] * 40
    rows = [image_row(f"{i}", 0, 0, width=w, height=h, brightness=i / 100) for i, (w, h) in enumerate(sizes)]
    result = audit(str(run_folder(tmp_path / "run", rows)))
    found = {
        by: [(row.group, row.images) for row in result.groups if row.by == by]
        for by in ("aspect", "brightness", "size")
    }
    assert found["aspect"] == [("0.75", 40), ("1.333", 60)]
    assert found["brightness"] == [("0 – 0.24", 25), ("0.25 – 0.49", 25), ("0.5 – 0.74", 25), ("0.75 – 0.99", 25)]
    assert found["size"] == []  # all are of one size: no groups
    assert not result.notes
    assert len(audit(str(tmp_path / "run"), AuditOptions(by=("size",))).groups) == 1


def test_bins_by_edges_and_by_quantiles() -> None:
    ages = ["17", "18", "39.5", "40", "70", "", "old"]
    assert Bins.parse("age=18,40").groups(ages).codes.tolist() == [0, 1, 1, 2, 2, -1, -1]
    assert Bins.parse(" Age = 18, 40").groups(ages).groups == ("< 18", "18 – < 40", "≥ 40")
    halves = Bins.parse("age=q2").groups(ages)
    assert halves.codes.tolist() == [0, 0, 0, 1, 1, -1, -1]
    assert halves.groups == ("17 – 39.5", "40 – 70")


def test_groups_are_listed_as_people_count() -> None:
    found = column("site", ["10", "9", "a2", "a10", "", "9"])
    assert found.groups == ("9", "10", "a2", "a10")
    assert found.codes.tolist() == [1, 0, 2, 3, -1, 0]


def test_bounds_that_read_the_same_stay_two_groups() -> None:
    found = quantiles("x", np.array([1.00001, 1.00002, 1.00003, 1.00004]), 2)
    assert len(set(found.groups)) == 2
    assert intervals("x", np.array([0.5, np.nan]), [1.0]).codes.tolist() == [0, -1]


def test_a_crossing_is_a_second_table_and_no_gate_unless_it_is_named(tmp_path: Path) -> None:
    rows = [image_row(f"{i}.jpg", 0, 0, attributes={"a": "xy"[i % 2], "b": "uv"[i // 2 % 2]}) for i in range(200)]
    run = run_folder(tmp_path / "run", rows)
    result = audit(str(run), AuditOptions(by=("a", "b"), cross=True, fail_if=("accuracy_gap > 0.1",)))
    assert [one.name for one in result.attributes] == ["a", "b", "a × b"]
    assert [gate.text for gate in result.gates] == ["accuracy_gap > 0.1 by a", "accuracy_gap > 0.1 by b"]
    assert group(result, "a × b", "x × u").images == 50
    named = one_gate(run, "accuracy_min < 0.9 by a*b")
    assert named.verdict == "pass"
    assert "all 4 groups together" in named.sentence
    some = crossing([column("a", ["x", "x", ""]), column("b", ["u", "v", "u"])])
    assert some.groups == ("x × u", "x × v")
    assert some.codes.tolist() == [0, 1, -1]


def test_a_column_of_names_is_left_out_unless_it_is_asked_for(tmp_path: Path) -> None:
    rows = [image_row(f"{i}.jpg", attributes={"patient": f"p{i}", "site": "ab"[i % 2]}) for i in range(120)]
    run = run_folder(tmp_path / "run", rows)
    result = audit(str(run))
    assert [one.name for one in result.attributes] == ["site", "class"]
    assert any("patient has 120 values" in note for note in result.notes)
    asked = audit(str(run), AuditOptions(by=("patient",), min_group=1))
    assert len(asked.groups) == 120
    assert not asked.pairs
    assert any("7,140 pairs" in note for note in asked.notes)


def test_clusters_widen_what_images_of_one_subject_say(tmp_path: Path) -> None:
    rows = []
    for patient in range(40):
        right = patient % 5 != 0
        rows += [
            image_row(
                f"{patient}/{i}",
                0,
                int(not right),
                attributes={"patient": str(patient), "g": "xy"[patient % 2]},
                border=0.1 + 0.01 * patient,
            )
            for i in range(10)
        ]
    run = run_folder(tmp_path / "run", rows)
    alone = group(audit(str(run)), "g", "x").values
    together = group(audit(str(run), AuditOptions(cluster="patient")), "g", "x").values
    for metric in ("accuracy", "cam_border"):
        assert together[metric].value == pytest.approx(alone[metric].value)
        width = [value[metric].high - value[metric].low for value in (alone, together)]
        assert width[1] > 2.2 * width[0]


def test_pairs_are_adjusted_by_holm_and_share_a_level(tmp_path: Path) -> None:
    run = run_folder(tmp_path / "run", [*lit(100, 95, "a"), *lit(100, 80, "b"), *lit(100, 94, "c")])
    rows = {
        (row.group_a, row.group_b): row
        for row in audit(str(run)).pairs
        if (row.by, row.metric) == ("light", "accuracy")
    }
    assert list(rows) == [("a", "b"), ("a", "c"), ("b", "c")]
    pair = rows["a", "b"]
    assert (pair.low, pair.high) == pytest.approx(share_difference(95, 100, 80, 100, z_of(0.05, 3)))
    assert 0 < pair.p_holm < rows["b", "c"].p_holm < 0.01
    assert rows["a", "c"].p_holm > 0.5


def test_energy_in_the_box_comes_from_an_evaluation(pets: Path) -> None:
    (pets / "evaluate").mkdir()
    rows = [
        ("image", "class", "energy"),
        ("dark/1.jpg", "cat", 0.2),
        ("dark/1.jpg", "dog", 0.4),
        ("bright/2.jpg", "cat", 0.8),
        ("bright/3.jpg", "cat", ""),
    ]
    csv_file(pets / "evaluate" / "images.csv", rows)
    result = audit(str(pets), AuditOptions(metrics=("energy_in_box",)))
    assert group(result, "light", "dark").values["energy_in_box"].value == pytest.approx(0.3)
    assert group(result, "light", "bright").values["energy_in_box"].total == 1


def test_an_evaluation_has_the_columns_that_an_audit_reads() -> None:
    from cam_cli.evaluation.files import _IMAGE_COLUMNS

    assert {"image", "energy", "method"} <= set(_IMAGE_COLUMNS)


def test_files_terminal_and_markdown(pets: Path, tmp_path: Path) -> None:
    options = AuditOptions(fail_if=("accuracy_gap > 0.04", "accuracy_min < 0.97"), metrics=("ece",))
    result = audit(str(pets), options)
    write(str(pets), result, options, junit_file=str(tmp_path / "new" / "junit.xml"))
    with (pets / "audit" / "groups.csv").open(encoding="utf-8", newline="") as file:
        groups = list(csv.DictReader(file))
    assert list(groups[0])[:15] == ["by", "group", "n", "failed", "unlabelled", "right", "accuracy", "low", "high", "prob_mean", "cam_border_mean", "cam_border_low", "cam_border_high", "cam_area_mean", "small"]  # fmt: skip
    assert list(groups[0])[15:] == ["ece", "ece_low", "ece_high"]
    assert (groups[0]["group"], groups[0]["n"], groups[0]["right"], groups[0]["small"]) == (
        "bright",
        "80",
        "77",
        "false",
    )
    with (pets / "audit" / "pairs.csv").open(encoding="utf-8", newline="") as file:
        pairs = list(csv.DictReader(file))
    assert list(pairs[0]) == ["by", "group_a", "group_b", "difference", "low", "high", "p_holm", "metric"]
    assert float(pairs[0]["difference"]) == pytest.approx(-0.0125)
    content = json.loads((pets / "audit" / "summary.json").read_text())
    assert content["verdict"] == "warn"
    assert [gate["verdict"] for gate in content["gates"]] == ["pass", "warn"]
    assert content["overall"]["accuracy"]["n"] == 160
    assert ElementTree.parse(tmp_path / "new" / "junit.xml").getroot().get("tests") == "2"
    text = "\n".join(lines(result))
    assert "dark" in text
    assert "97.5 % [91.3, 99.3]" in text
    assert "PASS accuracy_gap > 0.04 by light" in text
    assert "## camx audit: warn" in markdown(result)


def test_names_of_groups_can_do_no_harm_in_markdown(tmp_path: Path) -> None:
    nasty = "<img src=x>|`[a](b)"
    run = run_folder(tmp_path / "run", [*lit(40, 40, nasty), *lit(40, 40, "b")])
    text = markdown(audit(str(run), AuditOptions(fail_if=("accuracy_gap > 0.1",))))
    assert "<img" not in text.replace(r"\<", "")
    assert all(
        row.replace(r"\|", "").count("|") == row.replace(r"\|", "").strip("|").count("|") + 2
        for row in text.splitlines()
        if row.startswith("|")
    )


def simulated(rng: np.random.Generator, shares: list[float], total: int, limit: float, times: int) -> float:
    """How often the gate fails: the same steps as an audit, without its files."""
    from cam_cli.gates import Condition, Groups, Judge
    from cam_cli.statistics import Shares

    count, totals = len(shares), np.full(len(shares), float(total))
    judge = Judge(Condition.parse(f"accuracy_gap > {limit}"), "accuracy", "gap", count * (count - 1) // 2)
    names, failed = [str(i) for i in range(count)], 0
    for _ in range(times):
        groups = Groups("g", names, Shares(rng.binomial(total, shares).astype(float), totals), range(count))
        failed += judge.on(groups).verdict == "fail"
    return failed / times


# groups, images in each, limit: how often a gate may fail when all groups are right in 97 % of their images.
ALARMS = [(2, 100, 0.0, 0.05), (4, 100, 0.0, 0.02), (2, 50, 0.04, 0.005), (6, 50, 0.04, 0.005), (6, 200, 0.04, 0.005)]


@pytest.mark.parametrize(("count", "total", "limit", "most"), ALARMS)
def test_a_gate_does_not_cry_wolf(count: int, total: int, limit: float, most: float) -> None:
    assert simulated(np.random.default_rng(0), [0.97] * count, total, limit, 400) <= most


def test_a_gate_on_the_point_would_cry_wolf() -> None:
    right = np.random.default_rng(0).binomial(50, 0.97, (4000, 6)) / 50
    assert 0.58 < np.mean(right.max(1) - right.min(1) > 0.04 + 1e-12) < 0.64


# Power for 99 % against 95 % and a limit of 0.02: images in each group, and how often the gate fails, as it should.
POWER = [(300, 0.20, 0.36), (1000, 0.68, 0.84), (3000, 0.99, 1.0)]


@pytest.mark.parametrize(("total", "least", "most"), POWER)
def test_a_gate_finds_a_real_gap(total: int, least: float, most: float) -> None:
    assert least <= simulated(np.random.default_rng(1), [0.99, 0.95], total, 0.02, 300) <= most


@pytest.mark.slow
@pytest.mark.parametrize("share", [0.5, 0.8, 0.9, 0.97, 0.99])
@pytest.mark.parametrize(("count", "total"), [(2, 30), (2, 100), (4, 100), (8, 100), (6, 400)])
def test_false_alarms_keep_their_level_everywhere(share: float, count: int, total: int) -> None:
    """At the limit of 0 a gate fails where its interval leaves out the truth: in 5 of 100 audits at most."""
    rng = np.random.default_rng([count, total, int(100 * share)])
    assert simulated(rng, [share] * count, total, 0.0, 4000) <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / 4000)


@pytest.mark.parametrize("count", [5_000, pytest.param(100_000, marks=pytest.mark.slow)])
def test_many_images_are_audited(tmp_path: Path, count: int) -> None:
    """About 5 s of one core for 100,000; reading the JSON is most of it."""
    rng = np.random.default_rng(0)
    text = json.dumps(image_row("x", attributes={"site": "a", "sex": "m"}, label_prob=0.5, brightness=0.5))
    run = run_folder(tmp_path / "run", [])
    with (run / "manifest.jsonl").open("w") as journal:
        for i, number in enumerate(rng.random(count).tolist()):
            one = text.replace('"x"', f'"{i}.jpg"', 1).replace('"border": 0.1', f'"border": {number:.4f}')
            one = one.replace('"a"', f'"{"abcd"[i % 4]}"').replace('"brightness": 0.5', f'"brightness": {number:.3f}')
            journal.write(one + "\n")
    result = audit(str(run), AuditOptions(fail_if=("accuracy_gap > 0.04", "cam_border_gap > 0.04 by site")))
    assert len(result.table) == count
    assert next(gate.verdict for gate in result.gates) == "pass"


def test_neither_torch_nor_scipy_is_needed() -> None:
    code = "import sys, cam_cli.audit.audit, cam_cli.audit.write, cam_cli.gates; print(sorted({'torch', 'scipy', 'pandas'} & {*sys.modules}))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_images_with_several_true_classes_are_said(tmp_path: Path) -> None:
    rows = [image_row(f"{i}.jpg", labels=["cat", "dog"] if i < 5 else ["cat"]) for i in range(40)]
    notes = audit(str(run_folder(tmp_path / "run", rows))).notes
    assert "5 images have several true classes: their class is the one that the network ranks best." in notes
