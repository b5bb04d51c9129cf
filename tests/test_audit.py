"""Groups of an audit and its gates: verdicts, metrics, small groups, left-out images."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from cam_cli.audit.audit import audit
from cam_cli.audit.options import AuditOptions
from cam_cli.errors import CamxError
from cam_cli.statistics import share_difference, wilson, z_of

from .audit_support import group, lit, one_gate, pets  # noqa: F401 - fixtures are found by their names
from .run_folders import blank_row, csv_file, failed_row, image_row, run_folder

Z = z_of(0.05)


def test_groups_come_from_the_columns_of_the_labels_file(pets: Path) -> None:
    result = audit(str(pets))
    dark = group(result, "light", "dark")
    assert (dark.images, dark.right, dark.failed, dark.unlabelled, dark.small) == (80, 78, 0, 0, False)
    value = dark.values["accuracy"]
    assert (value.value, value.low, value.high, value.total) == pytest.approx((78 / 80, *wilson(78, 80, Z), 80))
    assert group(result, "light", "bright").values["cam_border"].value == pytest.approx(0.3)
    assert [one.name for one in result.attributes] == ["light", "class"]
    assert result.overall["accuracy"].value == pytest.approx(155 / 160)


def test_a_gap_within_chance_passes_with_its_interval(pets: Path) -> None:
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
    assert f"about {gate.needed:,} images per group would be enough to decide" in gate.sentence


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
    "precision < 1": ("warn", 0.5, ("all images",)),  # no predicted dog is one, all predicted cats are
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
    # 40 cats, 30 found; 60 dogs, 50 found, 10 predicted as cats.
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
    with pytest.raises(CamxError, match="needs labels that are classes of the network.*camx explain"):
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


@pytest.mark.parametrize("count", [5_000, pytest.param(100_000, marks=pytest.mark.slow)])
def test_many_images_are_audited(tmp_path: Path, count: int) -> None:
    """About 5 s of one core for 100,000 images, most of it to read the JSON."""
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


def test_images_with_several_true_classes_are_a_note(tmp_path: Path) -> None:
    rows = [image_row(f"{i}.jpg", labels=["cat", "dog"] if i < 5 else ["cat"]) for i in range(40)]
    notes = audit(str(run_folder(tmp_path / "run", rows))).notes
    assert "5 images have several true classes. Only the one with the highest rank counts." in notes
