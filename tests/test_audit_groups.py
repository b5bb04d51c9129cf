"""Sources of the groups of an audit: columns, files, derived values, crossings, clusters."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from cam_cli.audit.audit import audit
from cam_cli.audit.groups import Bins, column, crossing, intervals, quantiles
from cam_cli.audit.options import AuditOptions
from cam_cli.audit.summary import lines, markdown
from cam_cli.audit.write import write
from cam_cli.errors import CamxError
from cam_cli.statistics import share_difference, z_of

from .audit_support import group, lit, one_gate, pets  # noqa: F401 - fixtures are found by their names
from .run_folders import csv_file, image_row, run_folder


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


def test_the_tags_of_an_image_are_one_group(pets: Path, tmp_path: Path) -> None:
    """The report saves a row for each tag, in the order of the tags."""
    rows = [
        ("dark/1.jpg", "odd"),
        ("dark/1.jpg", "dim"),
        ("dark/2.jpg", "dim"),
        ("dark/2.jpg", "odd"),
        ("dark/3.jpg", "odd"),
    ]
    table = csv_file(tmp_path / "tags.csv", [("image", "tag"), *rows, ("dark/3.jpg", "odd")])
    result = audit(str(pets), AuditOptions(groups=str(table), by=("tag",)))
    assert [(row.group, row.images) for row in result.groups if row.by == "tag"] == [("dim odd", 2), ("odd", 1)]


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
    "no image of the run": ([("image", "g"), ("q.jpg", "x")], r"names no image of the run.*'dark/0\.jpg'"),
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
    "a flag": ({"fail_if": ("accuracy_gap > 0.1 if same",)}, "the flag 'same' does not exist"),
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
def test_wrong_options_are_errors_that_say_what_to_do(pets: Path, case: str) -> None:
    options, message = WRONG_OPTIONS[case]
    with pytest.raises(CamxError, match=message):
        audit(str(pets), AuditOptions(**options))  # type: ignore[arg-type]


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
