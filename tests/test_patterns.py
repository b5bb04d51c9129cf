"""`camx patterns`: clusters of the contributions at the peaks, in numbers, files and gates."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cam_cli.errors import CamxError
from cam_cli.patterns.clustering import cluster_count, clustered, joined, unit
from cam_cli.patterns.find import find_patterns
from cam_cli.patterns.options import PatternsOptions
from cam_cli.patterns.records import ONE_CLASS, OUTSIDE, SAME_PLACE, Pattern, Patterns

from .pattern_support import Camx, Cue, planted, truth_csv, with_spots
from .run_folders import blank_row, failed_row, image_row


def names(found: Patterns, pattern: Pattern) -> set[str]:
    return {found.spots.table.images[place] for place in pattern.images.tolist()}


def the_mark(found: Patterns) -> Pattern:
    return max(found.patterns, key=lambda one: one.border)


def test_clusters_are_the_cues_and_do_not_depend_on_chance() -> None:
    rng = np.random.default_rng(0)
    cues = rng.integers(0, 4, 300)
    points = unit(rng.normal(size=(4, 50))[cues] + 0.4 * rng.normal(size=(300, 50))).astype(np.float32)
    found = clustered(points, np.arange(300), 4, np.random.default_rng(1))
    assert {len(set(found[cues == cue])) for cue in range(4)} == {1}
    assert len(set(found)) == 4
    again = clustered(points, np.arange(300), 4, np.random.default_rng(1))
    assert (found == again).all()


def test_points_beyond_the_sample_join_their_neighbours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cam_cli.patterns.clustering.SAMPLE", 80)
    rng = np.random.default_rng(0)
    cues = rng.integers(0, 3, 500)
    points = unit(rng.normal(size=(3, 50))[cues] + 0.4 * rng.normal(size=(500, 50))).astype(np.float32)
    found = clustered(points, np.arange(500), 3, np.random.default_rng(1))
    assert {len(set(found[cues == cue])) for cue in range(3)} == {1}


def test_pieces_of_one_cue_are_joined() -> None:
    rng = np.random.default_rng(0)
    cues = rng.integers(0, 3, 300)
    points = unit(rng.normal(size=(3, 50))[cues] + 0.2 * rng.normal(size=(300, 50))).astype(np.float32)
    pieces = cues * 3 + rng.integers(0, 3, 300)
    found = joined(points, pieces)
    assert len(set(found)) == 3
    assert {len(set(found[cues == cue])) for cue in range(3)} == {1}


@pytest.mark.parametrize(("points", "wanted", "count"), [(1, None, 1), (30, None, 1), (250, None, 10), (9999, None, 20), (5, 9, 5), (500, 3, 3)])  # fmt: skip
def test_the_number_of_clusters(points: int, wanted: int | None, count: int) -> None:
    assert cluster_count(points, wanted) == count


def test_an_unlabelled_mark_is_a_pattern(tmp_path: Path) -> None:
    found = find_patterns(str(planted(tmp_path / "out")))
    mark = the_mark(found)
    marked = {f"{number:04}.jpg" for number in range(0, 48, 2)}
    assert names(found, mark) == marked
    assert found.spots.table.classes[mark.target] == "cat"
    assert SAME_PLACE in mark.flags
    assert ONE_CLASS in mark.flags
    assert (mark.x, mark.y) == pytest.approx((0.08, 0.92), abs=0.02)
    assert mark.spread < 0.03
    assert mark.border == 1.0
    assert mark.share.value == pytest.approx(24 / mark.share.total)
    assert mark.share.low < mark.share.value < mark.share.high
    assert mark.with_ is not None
    assert mark.without is not None
    assert mark.with_.value == 1.0
    assert mark.without.value < 1.0, "dogs that were taken for cats have no mark"
    others = [one for one in found.patterns if one is not mark]
    assert not any(SAME_PLACE in one.flags for one in others), "parts of an animal lie anywhere"
    assert {one.number for one in found.patterns if one.target == mark.target} == set(range(1, 1 + sum(one.target == mark.target for one in found.patterns)))  # fmt: skip


def test_the_order_of_the_rows_and_a_second_time_change_nothing(tmp_path: Path) -> None:
    order = np.random.default_rng(3).permutation(120).tolist()
    found = [find_patterns(str(folder)) for folder in (planted(tmp_path / "a"), planted(tmp_path / "a"), planted(tmp_path / "b", order=order))]  # fmt: skip
    seen = [[(one.target, one.number, sorted(names(each, one))) for one in each.patterns] for each in found]
    assert seen[0] == seen[1] == seen[2]


def test_outside_the_box(tmp_path: Path) -> None:
    out = planted(tmp_path / "out")
    images = [f"{number:04}.jpg" for number in range(120)]
    truth = truth_csv(tmp_path / "truth.csv", images, (7, 5, 33, 25))
    found = find_patterns(str(out), PatternsOptions(truth=str(truth)))
    mark = the_mark(found)
    assert OUTSIDE in mark.flags
    assert mark.outside is not None
    assert mark.outside.value == 1.0
    assert not any(OUTSIDE in one.flags for one in found.patterns if one is not mark)
    everywhere = truth_csv(tmp_path / "all.csv", images, (0, 0, 40, 30))
    assert OUTSIDE not in the_mark(find_patterns(str(out), PatternsOptions(truth=str(everywhere)))).flags


def test_what_holds_for_most_patterns_is_no_flag(tmp_path: Path) -> None:
    rows = [image_row(f"{i:02}.jpg", i % 2, i % 2) for i in range(40)]
    found = find_patterns(str(with_spots(tmp_path / "out", rows, [[Cue(i % 2, 0.5, 0.5)] for i in range(40)])))
    assert [one.exclusive for one in found.patterns] == [1.0, 1.0]
    assert not any(ONE_CLASS in one.flags for one in found.patterns)
    assert any("no pattern gets the flag 'one class'" in note for note in found.notes)


def test_few_images_have_no_flags(tmp_path: Path) -> None:
    out = str(planted(tmp_path / "out", share=0.4))
    assert the_mark(find_patterns(out, PatternsOptions(min_images=25))).flags == ()
    assert the_mark(find_patterns(out, PatternsOptions(min_images=24))).flags != ()


def test_rows_of_every_kind(tmp_path: Path) -> None:
    rows = [image_row(f"{i}.jpg", None if i == 3 else 0) for i in range(8)]
    cues = [[Cue(1, 0.5, 0.5)] for _ in rows]
    cues[5] = []
    out = with_spots(tmp_path / "out", rows, cues)
    lines = (out / "manifest.jsonl").read_text().splitlines()
    lines += [json.dumps({**failed_row("f.jpg"), "index": 8}), json.dumps({**blank_row("b.jpg"), "index": 9})]
    (out / "manifest.jsonl").write_text("\n".join(lines) + "\n")
    damaged = (out / "spots.jsonl").read_bytes().splitlines(keepends=True)
    (out / "spots.jsonl").write_bytes(b"".join([*damaged[:-1], b"{}\n"]))
    found = find_patterns(str(out))
    assert dict(found.left_out) == {"failed": 1, "blank map": 1, "with damaged spots": 1}
    (one,) = found.patterns
    assert len(one.images) == 6
    assert one.share.total == 7, "a map without spots counts"
    assert one.with_ is not None
    assert one.with_.total == 5


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"classes": ("catt",)}, "no map shows such a class"),
        ({"fail_if": ("pattern_shar > 0.2",)}, "pattern_share"),
        ({"fail_if": ("pattern_share > 0.2 if somewhere",)}, "the flag 'somewhere' does not exist"),
        ({"fail_if": ("pattern_share > 0.2 if outside",)}, "the places of the objects"),
        ({"fail_if": ("pattern_share > 0.2 by sex",)}, "no groups"),
        ({"truth": "nowhere.json"}, "nowhere"),
    ],
)
def test_wrong_options_are_errors(tmp_path: Path, options: dict[str, Any], message: str) -> None:
    out = planted(tmp_path / "out")
    with pytest.raises(CamxError, match=message):
        find_patterns(str(out), PatternsOptions(**options))


def test_a_run_without_spots_is_an_error(tmp_path: Path, camx: Camx, capsys: pytest.CaptureFixture[str]) -> None:
    from .run_folders import run_folder

    assert camx("patterns", run_folder(tmp_path / "out", [image_row("a.jpg")])) == 2
    assert "--save overlay,spots" in capsys.readouterr().err
    unfinished = planted(tmp_path / "half")
    (unfinished / "run.json").write_text((unfinished / "run.json").read_text().replace('"finished"', '"interrupted"'))
    assert camx("patterns", unfinished) == 2
    assert "--partial" in capsys.readouterr().err


def test_the_files_and_what_is_printed(tmp_path: Path, camx: Camx, capsys: pytest.CaptureFixture[str]) -> None:
    out = planted(tmp_path / "out")
    assert camx("patterns", out, "--json", "--no-report") == 0
    said = json.loads(capsys.readouterr().out)
    assert said == json.loads((out / "patterns" / "summary.json").read_text())
    with (out / "patterns" / "patterns.csv").open(newline="") as file:
        table = list(csv.DictReader(file))
    assert len(table) == len(said["patterns"])
    mark = next(row for row in table if row["same_place"] == "true")
    assert mark["class"] == "cat"
    assert mark["images"] == "24"
    assert mark["examples"].split("|")[0].endswith(".jpg")
    with (out / "patterns" / "images.csv").open(newline="") as file:
        spots = [row for row in csv.DictReader(file) if row["class"] == "cat" and row["pattern"] == mark["pattern"]]
    assert len(spots) == 24
    assert {row["y"][:3] for row in spots} == {"0.9"}
    assert camx("patterns", out, "--no-report") == 0
    printed = capsys.readouterr().out
    assert "same place" in printed
    assert "accuracy with" in printed


@pytest.mark.parametrize(
    ("gate", "code", "verdict"),
    [
        ("pattern_share > 0.2 if same_place", 1, "fail"),
        ("pattern_share > 0.33 if same_place", 0, "warn"),
        ("pattern_share > 0.8 if same_place", 0, "pass"),
        ("pattern_accuracy < 0.5", 0, "pass"),
    ],
)
def test_gates(tmp_path: Path, camx: Camx, gate: str, code: int, verdict: str) -> None:
    out = planted(tmp_path / "out")
    assert camx("patterns", out, "-q", "--no-report", "--fail-if", gate, "--junit", tmp_path / "gates.xml") == code
    (judged,) = json.loads((out / "patterns" / "summary.json").read_text())["gates"]
    assert judged["verdict"] == verdict
    assert judged["text"] == gate
    assert "camx patterns" in (tmp_path / "gates.xml").read_text()


def test_a_gate_on_a_clean_folder_passes(tmp_path: Path, camx: Camx) -> None:
    out = planted(tmp_path / "out", share=0.0)
    assert camx("patterns", out, "-q", "--no-report", "--fail-if", "pattern_share > 0 if same_place") == 0
    (judged,) = json.loads((out / "patterns" / "summary.json").read_text())["gates"]
    assert judged["verdict"] == "pass"
    assert "there is no pattern with the flag" in judged["sentence"]


def test_names_that_a_spreadsheet_would_run(tmp_path: Path, camx: Camx) -> None:
    rows = [image_row(f"=cmd{i}.jpg") for i in range(12)]
    out = with_spots(tmp_path / "out", rows, [[Cue(1, 0.5, 0.5)]] * 12)
    assert camx("patterns", out, "-q", "--no-report") == 0
    for name in ("patterns.csv", "images.csv"):
        assert ",=" not in (out / "patterns" / name).read_text().replace("\n=", ",=")
